//! The answer to who speaks HTTP where TLS is spoken.

use std::time::{Duration, SystemTime};

use floe_proto::Code;
use floe_surfaces::http::{self, Cors, Envelope};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long the client gets to read the answer.
const DRAIN: Duration = Duration::from_secs(2);

/// Answers and ends the connection.
pub(super) async fn refuse(mut socket: TcpStream) {
    let mut out = Vec::new();
    let envelope = Envelope {
        pace: floe_surfaces::limits::Pace::NONE,
        date: &httpdate::fmt_http_date(SystemTime::now()),
        cors: Cors::Unasked,
        close: true,
        head: false,
    };
    let message = "this port speaks TLS; use https";
    http::error(&mut out, &envelope, Code::TlsRequired, message);
    let _ = tokio::time::timeout(DRAIN, async {
        socket.write_all(&out).await?;
        socket.shutdown().await?;
        // Bytes that nobody reads would reset the connection, and take the answer with them.
        let mut rest = [0; 1024];
        while socket.read(&mut rest).await? > 0 {}
        std::io::Result::Ok(())
    })
    .await;
}
