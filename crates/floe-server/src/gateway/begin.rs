//! From a new connection to one that can be served.

use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::pipe::Pipe;
use super::rewound::Rewound;
use super::{Handed, Held, Link, http2, plain};
use crate::media::begins_so;
use crate::metrics::Refusal;
use crate::proxy::{HEADER_BYTES_MAX, Header, Peer, read_header};
use crate::tls::Certificates;

/// How TLS begins: a record of the handshake (RFC 8446, section 5.1).
const TLS_FIRST_BYTE: u8 = 22;

/// A connection that has said what it is.
enum Begun {
    /// HTTP without TLS, which is the event loop's.
    Http(TcpStream, Peer, Bytes),
    /// HTTP where TLS was asked for.
    Refused(TcpStream),
    /// Media of voice rooms, which are encrypted in themselves.
    Media(TcpStream, Bytes),
    /// HTTP/1.1 over TLS.
    Http1(TlsStream<Rewound>, Peer),
    /// HTTP/2 over TLS.
    Http2(TlsStream<Rewound>, Peer),
}

/// Reads the header of the PROXY protocol, shakes hands, and hands the connection on.
pub(super) async fn begin(link: Arc<Link>, held: Held, socket: TcpStream, peer: Peer) {
    let begun = match begin_in_time(&link, socket, peer).await {
        Ok(begun) => begun,
        Err(refusal) => {
            link.metrics.refused(refusal);
            return;
        }
    };
    // What serves a connection for long gets a task of its own, without the handshake's memory.
    match begun {
        Begun::Http(socket, peer, first) => {
            // The loop counts it from here.
            drop(held);
            if let Err(error) = hand_back(&link, socket, peer, first) {
                tracing::warn!(%error, "a connection was not handed on");
            }
        }
        Begun::Media(socket, first) => {
            drop(held);
            let handed = socket.into_std();
            let handed = handed.and_then(|socket| link.hand(Handed::Media(socket, first)));
            if let Err(error) = handed {
                tracing::warn!(%error, "a connection for media was not handed on");
            }
        }
        Begun::Refused(socket) => {
            link.metrics.refused(Refusal::Plain);
            plain::refuse(socket).await;
        }
        Begun::Http1(tls, peer) => match link.connect(peer) {
            Ok(local) => {
                let pipe = Pipe::new(tls, local, link.bounds.stall_timeout(), Some(held));
                tokio::spawn(async move {
                    if let Err(error) = pipe.await {
                        tracing::debug!(%error, "a TLS connection ended");
                    }
                });
            }
            Err(error) => tracing::warn!(%error, "a TLS connection was not handed on"),
        },
        Begun::Http2(tls, peer) => {
            tokio::spawn(http2::serve(link, held, tls, peer));
        }
    }
}

fn hand_back(link: &Link, socket: TcpStream, peer: Peer, first: Bytes) -> std::io::Result<()> {
    let socket = mio::net::TcpStream::from_std(socket.into_std()?);
    link.hand(Handed::Tcp(socket, peer, first))
}

async fn begin_in_time(link: &Link, socket: TcpStream, peer: Peer) -> Result<Begun, Refusal> {
    let waited = tokio::time::timeout(link.bounds.handshake_timeout(), link.slots.take()).await;
    let mut slot = waited.map_err(|_| Refusal::Crowded)?;
    tokio::select! {
        begun = read_first(link, socket, peer) => begun,
        () = tokio::time::sleep(link.bounds.handshake_timeout()) => Err(Refusal::Timeout),
        () = slot.lost() => Err(Refusal::Crowded),
        () = link.stopped() => Err(Refusal::Stopping),
    }
}

async fn read_first(link: &Link, mut socket: TcpStream, mut peer: Peer) -> Result<Begun, Refusal> {
    let mut first = BytesMut::new();
    if link.proxies.protocol {
        let header = read_proxy_header(&mut socket, &mut first).await?;
        let _ = first.split_to(header.len);
        if let Some(ip) = header.client {
            peer = Peer::new(ip, &link.proxies.trusted);
        }
    }
    let Some(certificates) = &link.certificates else {
        return Ok(Begun::Http(socket, peer, first.freeze()));
    };
    if first.is_empty() {
        receive(&mut socket, &mut first).await?;
    }
    if link.media && first.first().copied().is_some_and(begins_so) {
        return Ok(Begun::Media(socket, first.freeze()));
    }
    if first.first() != Some(&TLS_FIRST_BYTE) {
        return Ok(Begun::Refused(socket));
    }
    let tls = shake_hands(link, certificates, Rewound::new(first.freeze(), socket)).await?;
    peer.secure = true;
    Ok(match tls.get_ref().1.alpn_protocol() {
        Some(b"h2") => Begun::Http2(tls, peer),
        _ => Begun::Http1(tls, peer),
    })
}

async fn read_proxy_header(
    socket: &mut TcpStream,
    first: &mut BytesMut,
) -> Result<Header, Refusal> {
    loop {
        match read_header(first) {
            Ok(Some(header)) => return Ok(header),
            Ok(None) => receive(socket, first).await?,
            Err(_) => return Err(Refusal::ProxyHeader),
        }
    }
}

/// Receives something; what is there is bounded by the longest header.
async fn receive(socket: &mut TcpStream, first: &mut BytesMut) -> Result<(), Refusal> {
    let room = HEADER_BYTES_MAX.saturating_sub(first.len()).max(1);
    first.reserve(room.min(1024));
    match socket.read_buf(first).await {
        Ok(0) | Err(_) => Err(Refusal::Closed),
        Ok(_) => Ok(()),
    }
}

async fn shake_hands(
    link: &Link,
    certificates: &Certificates,
    socket: Rewound,
) -> Result<TlsStream<Rewound>, Refusal> {
    let started = Instant::now();
    let accepted = TlsAcceptor::from(certificates.config())
        .accept(socket)
        .await;
    let tls = accepted.map_err(|error| {
        tracing::debug!(%error, "a TLS handshake failed");
        if error
            .get_ref()
            .is_some_and(|inner| inner.is::<rustls::Error>())
        {
            Refusal::Tls
        } else {
            Refusal::Closed
        }
    })?;
    link.metrics.handshake(started.elapsed().as_secs_f64());
    Ok(tls)
}
