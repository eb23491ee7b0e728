//! The thread that fetches keys and asks the webhook.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use floe_surfaces::subscriptions::WebhookUrl;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use mio::Waker;
use tokio::runtime;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::tls::Roots;
use crate::webhook::{ConnectError, Connector};

/// Sends requests to addresses that the operator has chosen, and hands back the answers.
///
/// It costs nothing until the first. Dropping it ends its thread; requests that are out are given up.
pub struct Fetcher {
    shared: Arc<Shared>,
    running: Option<Running>,
    /// Requests without an answer yet.
    out: usize,
}

/// Requests at once; one more fails.
pub const FETCHES_MAX: usize = 256;

/// A request.
#[derive(Debug)]
pub struct Fetch {
    /// By which the answer is known.
    pub id: u64,
    /// Where.
    pub url: WebhookUrl,
    /// What connects there.
    pub connector: Arc<Connector>,
    /// JSON to post; without it, this is a GET.
    pub body: Option<String>,
    /// What is sent as `Authorization`.
    pub authorization: Option<String>,
    /// Time for all of it.
    pub timeout: Duration,
    /// Bytes of the answer's body; a longer one is none.
    pub bytes_max: usize,
}

/// What came back.
#[derive(Debug)]
pub struct Fetched {
    /// Which request.
    pub id: u64,
    /// Status and body.
    pub answer: Result<(u16, Bytes), FetchError>,
}

/// Why nothing came back.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nobody can be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The request cannot be made.
    #[error("no request: {0}")]
    Request(#[from] http::Error),
    /// The other side does not speak HTTP, or broke off.
    #[error("no answer: {0}")]
    Http(#[from] hyper::Error),
    /// The body is too long, or broke off.
    #[error("no whole answer: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    /// It took too long.
    #[error("no answer in time")]
    Late,
    /// Too many are out.
    #[error("{FETCHES_MAX} requests are out")]
    Full,
    /// There is no thread.
    #[error("the thread does not start: {0}")]
    Thread(io::Error),
}

struct Running {
    jobs: Option<UnboundedSender<(Fetch, Instant)>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    waker: Arc<Waker>,
    fetched: Mutex<Vec<Fetched>>,
}

/// Returns what connects to an address that the operator has chosen, and believes certificates of
/// these besides those that the system knows.
pub fn connector(roots: &Roots) -> Arc<Connector> {
    Arc::new(Connector::trusting(CONNECT_TIMEOUT, roots.clone()))
}

/// Time for one try to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 32 << 10;

impl Fetcher {
    /// Makes a fetcher that wakes the event loop with each answer.
    pub fn new(waker: &Arc<Waker>) -> Self {
        Self {
            shared: Arc::new(Shared {
                waker: Arc::clone(waker),
                fetched: Mutex::default(),
            }),
            running: None,
            out: 0,
        }
    }

    /// Sends a request, without waiting for anything.
    ///
    /// # Errors
    /// When too many are out already, or there can be no thread.
    pub fn send(&mut self, fetch: Fetch) -> Result<(), FetchError> {
        if self.out >= FETCHES_MAX {
            return Err(FetchError::Full);
        }
        let running = match &mut self.running {
            Some(running) => running,
            none => none.insert(Running::start(&self.shared).map_err(FetchError::Thread)?),
        };
        let deadline = Instant::now() + fetch.timeout;
        let jobs = running.jobs.as_ref();
        let sent = jobs.is_some_and(|jobs| jobs.send((fetch, deadline)).is_ok());
        if !sent {
            let error = io::Error::other("it has ended");
            return Err(FetchError::Thread(error));
        }
        self.out += 1;
        Ok(())
    }

    /// Takes what has come back.
    pub fn take(&mut self) -> Vec<Fetched> {
        if self.out == 0 {
            return Vec::new();
        }
        let fetched = self.shared.fetched.lock();
        let fetched = std::mem::take(&mut *fetched.unwrap_or_else(PoisonError::into_inner));
        self.out -= fetched.len();
        fetched
    }
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher")
            .field("out", &self.out)
            .finish_non_exhaustive()
    }
}

impl Running {
    fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            // Names are resolved on these.
            .max_blocking_threads(4)
            .build()?;
        let (jobs, taken) = mpsc::unbounded_channel();
        let shared = Arc::clone(shared);
        let thread = thread::Builder::new()
            .name("floe-access".to_owned())
            .spawn(move || {
                runtime.block_on(run(&shared, taken));
                // A name that still resolves must not hold up the end of the process.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // It ends by itself; that it panicked was already reported.
            let _ = thread.join();
        }
    }
}

async fn run(shared: &Arc<Shared>, mut jobs: UnboundedReceiver<(Fetch, Instant)>) {
    while let Some((fetch, deadline)) = jobs.recv().await {
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            let whole = exchange(&fetch);
            let answer = match tokio::time::timeout_at(deadline, whole).await {
                Ok(answer) => answer,
                Err(_) => Err(FetchError::Late),
            };
            let fetched = Fetched {
                id: fetch.id,
                answer,
            };
            let all = shared.fetched.lock();
            all.unwrap_or_else(PoisonError::into_inner).push(fetched);
            if let Err(error) = shared.waker.wake() {
                tracing::error!(%error, "the event loop is not told of an answer");
            }
        });
    }
}

/// Sends a request and reads the answer. A redirect is an answer like any other: it is not followed.
async fn exchange(fetch: &Fetch) -> Result<(u16, Bytes), FetchError> {
    let connection = TokioIo::new(fetch.connector.connect(&fetch.url).await?);
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD_BYTES_MAX);
    let (mut sender, connection) = builder.handshake::<_, Full<Bytes>>(connection).await?;
    // Dropped with this future, so that nothing of a connection outlives its answer or its time.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let response = sender.send_request(request(fetch)?).await?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), fetch.bytes_max);
    let body = body.collect().await.map_err(FetchError::Body)?;
    Ok((status, body.to_bytes()))
}

fn request(fetch: &Fetch) -> Result<Request<Full<Bytes>>, http::Error> {
    let target = &*fetch.url.target;
    let mut request = match &fetch.body {
        Some(_) => Request::post(target).header(header::CONTENT_TYPE, "application/json"),
        None => Request::get(target),
    };
    if let Some(authorization) = &fetch.authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    request
        .header(header::HOST, &*fetch.url.authority)
        .header(header::ACCEPT, "application/json")
        .header(
            header::USER_AGENT,
            concat!("floe/", env!("CARGO_PKG_VERSION")),
        )
        .header(header::CONNECTION, "close")
        .body(Full::new(Bytes::from(
            fetch.body.clone().unwrap_or_default(),
        )))
}
