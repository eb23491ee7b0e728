//! Connections that begin with more than an HTTP/1.1 request: TLS, HTTP/2, the PROXY protocol.
//!
//! What they carry is served by the event loop of the same process. A stream of an HTTP/2
//! connection becomes one request on a local socket pair whose other end the event loop takes like
//! any connection, and HTTP/1.1 over TLS is copied to and from such a pair. So every rule, limit and
//! timeout stands once, and no handshake holds up the loop. The gateway's threads start with their
//! first connection.

mod begin;
mod bounds;
mod http2;
mod idle;
mod pipe;
mod plain;
mod rewound;
mod slots;
mod websocket;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mio::Waker;
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use self::bounds::Bounds;
use self::rewound::Rewound;
use self::slots::Slots;
use crate::metrics::{GatewayMetrics, Refusal};
use crate::proxy::{Peer, ProxySettings};
use crate::settings::{Limits, Settings};
use crate::tls::Certificates;

/// The event loop's side of the gateway.
#[derive(Debug)]
pub struct Gateway {
    link: Arc<Link>,
    runtime: Option<Runtime>,
}

/// A connection for the event loop to serve.
#[derive(Debug)]
pub enum Handed {
    /// One end of a socket pair, and who is behind the other.
    Local(mio::net::UnixStream, Peer),
    /// A connection from the network, and what was read of it.
    Tcp(mio::net::TcpStream, Peer, Bytes),
    /// A connection from the network that brings media of voice rooms, and what was read of it.
    Media(std::net::TcpStream, Bytes),
}

/// What both sides share.
#[derive(Debug)]
struct Link {
    handed: Mutex<Vec<Handed>>,
    waker: Arc<Waker>,
    certificates: Option<Certificates>,
    proxies: ProxySettings,
    /// Whether connections may bring media of voice rooms.
    media: bool,
    /// Connections that are the gateway's.
    connections: AtomicUsize,
    /// Those of them that may still have something to send.
    unfinished: AtomicUsize,
    bounds: Bounds,
    slots: Arc<Slots>,
    stopping: watch::Sender<bool>,
    metrics: GatewayMetrics,
}

/// Threads that encrypt and decrypt.
const THREADS: usize = 2;
/// Milliseconds that the last bytes get to leave when the server stops.
const FINISH_MS: u64 = 1_000;

impl Gateway {
    /// Makes a gateway that has no threads yet.
    pub fn new(
        waker: Arc<Waker>,
        settings: &Settings,
        certificates: Option<Certificates>,
        metrics: GatewayMetrics,
    ) -> Self {
        let limits = &settings.limits;
        let link = Link {
            handed: Mutex::default(),
            waker,
            certificates,
            proxies: settings.proxies.clone(),
            media: settings.media.on,
            connections: AtomicUsize::new(0),
            unfinished: AtomicUsize::new(0),
            bounds: Bounds::new(limits),
            slots: Slots::new(limits.handshakes_max),
            stopping: watch::Sender::new(false),
            metrics,
        };
        Self {
            link: Arc::new(link),
            runtime: None,
        }
    }

    /// Bounds what begins from now on.
    pub fn set_limits(&self, limits: &Limits) {
        self.link.bounds.set(limits);
        self.link.slots.set_max(limits.handshakes_max);
    }

    /// Returns whether connections from the network begin here.
    pub fn greets(&self) -> bool {
        self.link.certificates.is_some() || self.link.proxies.protocol
    }

    /// Takes a connection from the network on which nothing was read; returns whether there is room
    /// for it.
    pub fn greet(&mut self, socket: mio::net::TcpStream, peer: Peer) -> bool {
        if self.link.proxies.protocol && !peer.proxy {
            self.link.metrics.refused(Refusal::Untrusted);
            return true;
        }
        self.start(socket, |link, held, socket| {
            begin::begin(link, held, socket, peer)
        })
    }

    /// Takes a connection that speaks HTTP/2, whose first bytes have been read; returns whether
    /// there is room for it.
    pub fn serve_http2(&mut self, socket: mio::net::TcpStream, peer: Peer, first: &[u8]) -> bool {
        let first = Bytes::copy_from_slice(first);
        self.start(socket, |link, held, socket| {
            http2::serve(link, held, Rewound::new(first, socket), peer)
        })
    }

    /// Takes the connections that the event loop should serve.
    pub fn take_handed(&self) -> Vec<Handed> {
        std::mem::take(&mut *lock(&self.link.handed))
    }

    /// Asks clients to come back elsewhere with what they have not yet sent.
    pub fn stop(&self) {
        self.link.stopping.send_replace(true);
    }

    /// Waits a moment for the last answers to leave, and ends the threads.
    pub fn finish(&mut self) {
        let Some(runtime) = self.runtime.take() else {
            return;
        };
        let until = Instant::now() + Duration::from_millis(FINISH_MS);
        while self.link.unfinished.load(Ordering::Acquire) > 0 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
        runtime.shutdown_background();
    }

    fn start<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        socket: mio::net::TcpStream,
        serve: impl FnOnce(Arc<Link>, Held, TcpStream) -> F,
    ) -> bool {
        let Some(held) = Held::take(&self.link) else {
            return false;
        };
        let runtime = match &mut self.runtime {
            Some(runtime) => runtime,
            none => match start_threads(&self.link) {
                Ok(runtime) => none.insert(runtime),
                Err(error) => {
                    tracing::error!(%error, "the gateway's threads did not start");
                    return false;
                }
            },
        };
        let _inside = runtime.enter();
        match TcpStream::from_std(socket.into()) {
            Ok(socket) => {
                runtime.spawn(serve(Arc::clone(&self.link), held, socket));
            }
            Err(error) => tracing::warn!(%error, "a connection could not be polled"),
        }
        true
    }
}

fn start_threads(link: &Link) -> io::Result<Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("floe-gateway")
        .enable_all()
        .build()?;
    if let Some(certificates) = &link.certificates {
        runtime.spawn(certificates.clone().watch());
    }
    Ok(runtime)
}

impl Link {
    fn hand(&self, handed: Handed) -> io::Result<()> {
        lock(&self.handed).push(handed);
        self.waker.wake()
    }

    /// Opens a connection to the event loop in the name of `peer`.
    fn connect(&self, peer: Peer) -> io::Result<UnixStream> {
        let (near, far) = std::os::unix::net::UnixStream::pair()?;
        near.set_nonblocking(true)?;
        far.set_nonblocking(true)?;
        let near = UnixStream::from_std(near)?;
        self.hand(Handed::Local(mio::net::UnixStream::from_std(far), peer))?;
        Ok(near)
    }

    /// Waits for the server to stop.
    async fn stopped(&self) {
        // The sender lives as long as the link.
        let _ = self.stopping.subscribe().wait_for(|stops| *stops).await;
    }
}

/// One of the connections that the gateway may have.
#[derive(Debug)]
struct Held {
    link: Arc<Link>,
    finished: bool,
}

impl Held {
    fn take(link: &Arc<Link>) -> Option<Self> {
        let before = link.connections.fetch_add(1, Ordering::AcqRel);
        link.unfinished.fetch_add(1, Ordering::AcqRel);
        link.metrics.connections(before + 1);
        let held = Self {
            link: Arc::clone(link),
            finished: false,
        };
        (before < link.bounds.connections_max()).then_some(held)
    }

    /// Says that everything has been sent, and that a stop need not wait for the connection.
    fn finish(&mut self) {
        if !std::mem::replace(&mut self.finished, true) {
            self.link.unfinished.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.finish();
        let before = self.link.connections.fetch_sub(1, Ordering::AcqRel);
        self.link.metrics.connections(before - 1);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
