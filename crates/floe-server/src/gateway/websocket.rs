//! WebSockets over HTTP/2 (RFC 8441): a CONNECT that becomes an upgrade of HTTP/1.1.

use std::sync::Arc;

use bytes::Bytes;
use floe_proto::Code;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    UPGRADE,
};
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::{Either, Empty, Full};
use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper_util::rt::TokioIo;

use super::http2::{Body, Failure, Session, refuse, to_http1, to_http2};
use super::pipe::Pipe;

/// HTTP/2 has no key and no accept, since its CONNECT cannot be mistaken; HTTP/1.1 wants one.
const KEY: HeaderValue = HeaderValue::from_static("AAAAAAAAAAAAAAAAAAAAAA==");

/// Opens a WebSocket on a local connection of its own.
pub(super) async fn open(
    mut request: Request<Incoming>,
    session: &Arc<Session>,
) -> Result<Response<Body>, Failure> {
    let protocol = request.extensions().get::<Protocol>();
    if protocol.is_none_or(|protocol| protocol.as_str() != "websocket") {
        let cors = request.headers().contains_key(ORIGIN);
        let message = "CONNECT opens WebSockets alone";
        return Ok(refuse(cors, Code::MethodNotAllowed, message));
    }
    let client = hyper::upgrade::on(&mut request);
    let asked = as_upgrade(request)?;
    let local = session.link.connect(session.peer)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, Empty<Bytes>>(TokioIo::new(local)).await?;
    tokio::spawn(async move {
        let _ = connection.with_upgrades().await;
    });
    let mut response = sender.send_request(asked).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(to_http2(response));
    }
    let local = hyper::upgrade::on(&mut response);
    let stall_timeout = session.link.bounds.stall_timeout();
    let busy = session.activity.begin();
    tokio::spawn(async move {
        let _busy = busy;
        let (client, local) = match tokio::try_join!(client, local) {
            Ok(both) => both,
            Err(error) => {
                tracing::debug!(%error, "a WebSocket over HTTP/2 did not begin");
                return;
            }
        };
        let pipe = Pipe::new(
            TokioIo::new(client),
            TokioIo::new(local),
            stall_timeout,
            None,
        );
        if let Err(error) = pipe.await {
            tracing::debug!(%error, "a WebSocket over HTTP/2 ended");
        }
    });
    let (mut parts, _) = response.into_parts();
    parts.status = StatusCode::OK;
    parts.version = Version::HTTP_2;
    for name in [CONNECTION, UPGRADE, SEC_WEBSOCKET_ACCEPT, CONTENT_LENGTH] {
        parts.headers.remove(name);
    }
    Ok(Response::from_parts(parts, Either::Right(Full::default())))
}

/// Makes an extended CONNECT the request of HTTP/1.1 that asks for the same.
fn as_upgrade(request: Request<Incoming>) -> Result<Request<Empty<Bytes>>, Failure> {
    let (parts, _) = request.into_parts();
    let mut asked = Request::new(Empty::new());
    *asked.uri_mut() = parts.uri;
    *asked.headers_mut() = parts.headers;
    to_http1(&mut asked)?;
    *asked.method_mut() = Method::GET;
    let fields = asked.headers_mut();
    fields.remove(CONTENT_LENGTH);
    fields.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    fields.insert(UPGRADE, HeaderValue::from_static("websocket"));
    fields.insert(SEC_WEBSOCKET_KEY, KEY);
    Ok(asked)
}
