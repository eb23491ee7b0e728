//! HTTP/2 connections: each stream is a request of HTTP/1.1 to the event loop.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use floe_proto::Code;
use floe_surfaces::http::{self as surface, Cors, Envelope};
use http::header::{CONNECTION, HOST, HeaderName, HeaderValue, ORIGIN, TRANSFER_ENCODING};
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::idle::{Activity, Counted};
use super::{Held, Link, lock, websocket};
use crate::proxy::Peer;

/// Streams that one HTTP/2 connection may have open at once.
const STREAMS_MAX: u32 = 1_000;
/// Bytes of the header fields of one request.
const HEAD_BYTES_MAX: u32 = 16 << 10;
/// Local connections that one HTTP/2 connection keeps for its next requests.
const IDLE_MAX: usize = 16;
/// Time without a word after which a client is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(30);

pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;
pub(super) type Body = Either<Incoming, Full<Bytes>>;

/// One HTTP/2 connection.
#[derive(Debug)]
pub(super) struct Session {
    pub link: Arc<Link>,
    pub peer: Peer,
    /// Local connections that wait for a request. They are this client's alone, since the event
    /// loop knows a connection's client by where it comes from.
    idle: Mutex<Vec<SendRequest<Incoming>>>,
    pub activity: Arc<Activity>,
}

/// Serves a connection until it ends.
pub(super) async fn serve<T>(link: Arc<Link>, held: Held, io: T, peer: Peer)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let session = Arc::new(Session {
        link: Arc::clone(&link),
        peer,
        idle: Mutex::default(),
        activity: Activity::new(),
    });
    let activity = Arc::clone(&session.activity);
    let service = service_fn(move |request| {
        let session = Arc::clone(&session);
        async move { Ok::<_, Infallible>(answer(request, &session).await) }
    });
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .enable_connect_protocol()
        .serve_connection(TokioIo::new(io), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = async {
            tokio::select! {
                () = link.stopped() => {}
                () = activity.idle(|| link.bounds.idle_timeout()) => {}
            }
        } => {
            // The client is told first (GOAWAY), and what it has sent meanwhile is still served.
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP/2 connection ended");
    }
    drop(held);
}

async fn answer(request: Request<Incoming>, session: &Arc<Session>) -> Response<Counted<Body>> {
    let busy = session.activity.begin();
    let response = serve_one(request, session).await;
    response.map(|body| Counted::new(body, busy))
}

async fn serve_one(request: Request<Incoming>, session: &Arc<Session>) -> Response<Body> {
    let cors = request.headers().contains_key(ORIGIN);
    let answered = if request.method() == Method::CONNECT {
        websocket::open(request, session).await
    } else {
        forward(request, session).await
    };
    match answered {
        Ok(response) => response,
        Err(error) => {
            tracing::debug!(%error, "an HTTP/2 request was not served");
            let message = "the request could not be served";
            refuse(cors, Code::Overloaded, message)
        }
    }
}

async fn forward(
    mut request: Request<Incoming>,
    session: &Arc<Session>,
) -> Result<Response<Body>, Failure> {
    to_http1(&mut request)?;
    let mut sender = session.connection().await?;
    let response = sender.send_request(request).await?;
    let session = Arc::clone(session);
    tokio::spawn(async move {
        if sender.ready().await.is_ok() {
            let mut idle = lock(&session.idle);
            if idle.len() < IDLE_MAX {
                idle.push(sender);
            }
        }
    });
    Ok(to_http2(response))
}

/// Makes a request one of HTTP/1.1.
pub(super) fn to_http1<B>(request: &mut Request<B>) -> Result<(), Failure> {
    if let Some(authority) = request.uri().authority() {
        let host = HeaderValue::from_str(authority.as_str())?;
        request.headers_mut().insert(HOST, host);
    }
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str())
        .parse()?;
    *request.uri_mut() = target;
    *request.version_mut() = Version::HTTP_11;
    Ok(())
}

/// Makes an answer one of HTTP/2.
pub(super) fn to_http2(mut response: Response<Incoming>) -> Response<Body> {
    response.headers_mut().remove(CONNECTION);
    response.headers_mut().remove(http::header::UPGRADE);
    response.headers_mut().remove(TRANSFER_ENCODING);
    *response.version_mut() = Version::HTTP_2;
    response.map(Either::Left)
}

/// Returns an answer in the form that the event loop's have.
pub(super) fn refuse(cors: bool, code: Code, message: &str) -> Response<Body> {
    let mut head = Vec::new();
    let envelope = Envelope {
        pace: floe_surfaces::limits::Pace::NONE,
        date: &httpdate::fmt_http_date(SystemTime::now()),
        cors: if cors { Cors::Anyone } else { Cors::Unasked },
        close: false,
        head: false,
    };
    surface::error(&mut head, &envelope, code, message);
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut parsed = httparse::Response::new(&mut fields);
    let mut response = Response::new(Either::Right(Full::default()));
    *response.status_mut() =
        StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    // What we wrote ourselves can be read.
    let Ok(httparse::Status::Complete(head_len)) = parsed.parse(&head) else {
        return response;
    };
    for field in parsed.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(field.value)) {
            response.headers_mut().append(name, value);
        }
    }
    let body = Bytes::copy_from_slice(&head[head_len..]);
    *response.body_mut() = Either::Right(Full::new(body));
    response
}

impl Session {
    /// Returns a local connection that is ready for a request.
    async fn connection(&self) -> Result<SendRequest<Incoming>, Failure> {
        loop {
            let Some(sender) = lock(&self.idle).pop() else {
                break;
            };
            if sender.is_ready() {
                return Ok(sender);
            }
        }
        let local = self.link.connect(self.peer)?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake::<_, Incoming>(TokioIo::new(local)).await?;
        tokio::spawn(async move {
            // The event loop closes idle connections; the sender learns of it.
            let _ = connection.await;
        });
        Ok(sender)
    }
}
