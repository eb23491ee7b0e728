//! HTTP/2 connections, served through the HTTP/1.1 event loop of the same process.
//!
//! A stream of an HTTP/2 connection becomes one request on a local socket pair whose other end
//! the event loop accepts like any connection. So every rule, limit and timeout stands once. The
//! gateway's thread starts with the first HTTP/2 connection.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONNECTION, HOST, HeaderValue};
use http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use mio::Waker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Streams that one HTTP/2 connection may have open at once.
const STREAMS_MAX: u32 = 1_000;
/// Bytes of the header fields of one request.
const HEAD_BYTES_MAX: u32 = 16 << 10;
/// Local connections kept for the next request.
const IDLE_MAX: usize = 64;

/// The event loop's side of the gateway.
#[derive(Debug)]
pub struct Gateway {
    link: Arc<Link>,
    accepted: Option<UnboundedSender<(std::net::TcpStream, Bytes)>>,
}

/// What both sides share.
#[derive(Debug)]
struct Link {
    /// Ends of socket pairs for the event loop to take.
    sockets: Mutex<Vec<mio::net::UnixStream>>,
    /// Local connections that wait for a request.
    idle: Mutex<Vec<SendRequest<Incoming>>>,
    waker: Arc<Waker>,
}

impl Gateway {
    /// Makes a gateway that has no thread yet.
    pub fn new(waker: Arc<Waker>) -> Self {
        let link = Link {
            sockets: Mutex::default(),
            idle: Mutex::default(),
            waker,
        };
        Self {
            link: Arc::new(link),
            accepted: None,
        }
    }

    /// Serves a connection whose first bytes have been read.
    pub fn serve(&mut self, socket: mio::net::TcpStream, first: &[u8]) {
        let socket = std::net::TcpStream::from(socket);
        if self
            .accepted
            .as_ref()
            .is_none_or(UnboundedSender::is_closed)
        {
            let (accepted, connections) = unbounded_channel();
            let link = Arc::clone(&self.link);
            let thread = std::thread::Builder::new().name("floe-http2".into());
            if let Err(error) = thread.spawn(move || run(connections, &link)) {
                tracing::error!(%error, "the HTTP/2 thread did not start");
                return;
            }
            self.accepted = Some(accepted);
        }
        if let Some(accepted) = &self.accepted {
            // A thread that has just died drops the connection, and the next one starts another.
            let _ = accepted.send((socket, Bytes::copy_from_slice(first)));
        }
    }

    /// Takes the local sockets that the event loop should serve.
    pub fn take_sockets(&self) -> Vec<mio::net::UnixStream> {
        std::mem::take(&mut *lock(&self.link.sockets))
    }
}

fn run(mut connections: UnboundedReceiver<(std::net::TcpStream, Bytes)>, link: &Arc<Link>) {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the HTTP/2 runtime did not start");
            return;
        }
    };
    runtime.block_on(async {
        while let Some((socket, first)) = connections.recv().await {
            let link = Arc::clone(link);
            tokio::spawn(async move {
                if let Err(error) = serve(socket, first, link).await {
                    tracing::debug!(%error, "an HTTP/2 connection ended");
                }
            });
        }
    });
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn serve(socket: std::net::TcpStream, first: Bytes, link: Arc<Link>) -> Result<(), Failure> {
    let io = Rewound {
        first,
        socket: TcpStream::from_std(socket)?,
    };
    let service = service_fn(move |request| {
        let link = Arc::clone(&link);
        async move { Ok::<_, Infallible>(forward(request, &link).await) }
    });
    hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX)
        .keep_alive_interval(std::time::Duration::from_secs(30))
        .serve_connection(TokioIo::new(io), service)
        .await?;
    Ok(())
}

type Body = http_body_util::Either<Incoming, http_body_util::Empty<Bytes>>;

async fn forward(request: Request<Incoming>, link: &Arc<Link>) -> Response<Body> {
    match try_forward(request, link).await {
        Ok(response) => response.map(http_body_util::Either::Left),
        Err(error) => {
            tracing::debug!(%error, "an HTTP/2 request was not served");
            let mut response =
                Response::new(http_body_util::Either::Right(http_body_util::Empty::new()));
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            response
        }
    }
}

async fn try_forward(
    mut request: Request<Incoming>,
    link: &Arc<Link>,
) -> Result<Response<Incoming>, Failure> {
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
    let mut sender = connect(link).await?;
    let mut response = sender.send_request(request).await?;
    response.headers_mut().remove(CONNECTION);
    response
        .headers_mut()
        .remove(http::header::TRANSFER_ENCODING);
    *response.version_mut() = Version::HTTP_2;
    let link = Arc::clone(link);
    tokio::spawn(async move {
        if sender.ready().await.is_ok() {
            let mut idle = lock(&link.idle);
            if idle.len() < IDLE_MAX {
                idle.push(sender);
            }
        }
    });
    Ok(response)
}

/// Returns a local connection that is ready for a request.
async fn connect(link: &Link) -> Result<SendRequest<Incoming>, Failure> {
    loop {
        let Some(sender) = lock(&link.idle).pop() else {
            break;
        };
        if sender.is_ready() {
            return Ok(sender);
        }
    }
    let (near, far) = mio::net::UnixStream::pair()?;
    lock(&link.sockets).push(far);
    link.waker.wake()?;
    let near = UnixStream::from_std(std::os::unix::net::UnixStream::from(near))?;
    let (sender, connection) =
        hyper::client::conn::http1::handshake::<_, Incoming>(TokioIo::new(near)).await?;
    tokio::spawn(async move {
        // The event loop closes idle connections; the sender learns of it.
        let _ = connection.await;
    });
    Ok(sender)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A socket whose first bytes were read before.
#[derive(Debug)]
struct Rewound {
    first: Bytes,
    socket: TcpStream,
}

impl AsyncRead for Rewound {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.socket).poll_read(context, buffer);
        }
        let len = self.first.len().min(buffer.remaining());
        buffer.put_slice(&self.first.split_to(len));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
