//! One server, from start to stop.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use floe_core::voice::Media;
use floe_log::{DirDisk, OpenError, Recovery};
use mio::Waker;

use crate::cold::{ColdError, open_store};
use crate::media::{Bound, MediaStartError};
use crate::metrics::Metrics;
use crate::reactor::Reactor;
use crate::reload::Reloader;
use crate::settings::Settings;
use crate::shard::Shard;
use crate::tls::{Certificates, TlsError};

/// A server that has recovered its data and listens.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    media_addresses: Vec<SocketAddr>,
    reactor: Box<Reactor<DirDisk>>,
    stopper: Stopper,
    certificates: Option<Certificates>,
    reloader: Reloader,
    recovery: Recovery,
    recovery_time: Duration,
}

/// Asks a running server to stop; usable from any thread.
#[derive(Debug, Clone)]
pub struct Stopper {
    stop: Arc<AtomicBool>,
    waker: Arc<Waker>,
}

impl Stopper {
    /// Asks the server to take no new work, tell its live readers to come back, finish what is
    /// under way and return from [`Server::run`].
    ///
    /// # Errors
    /// The operating system's, if the event loop could not be woken.
    pub fn stop(&self) -> io::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        self.waker.wake()
    }
}

/// Why a server did not start, or ended early.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not this machine's.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// The data folder cannot be used.
    #[error("cannot use the data folder {folder}: {source}")]
    Open {
        /// The folder.
        folder: String,
        /// Why.
        source: OpenError,
    },
    /// The store of cold data cannot be used.
    #[error("cannot use {place} for cold data: {source}")]
    Cold {
        /// The place asked for.
        place: String,
        /// Why.
        source: ColdError,
    },
    /// The certificate cannot be used.
    #[error("cannot speak TLS: {0}")]
    Tls(#[from] TlsError),
    /// An address named for media cannot be had.
    #[error(transparent)]
    Media(#[from] MediaStartError),
    /// The PROXY protocol is asked for, and nobody may speak it.
    #[error("the PROXY protocol without a trusted proxy lets nobody in: name --trusted-proxies")]
    NoProxies,
    /// The disk or the operating system failed. What was acknowledged is durable.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Server {
    /// Recovers the data folder and listens; requests are served once [`run`](Self::run) runs.
    ///
    /// # Errors
    /// See [`StartError`]. A damaged folder is left as it is.
    pub fn open(settings: &Settings) -> Result<Self, StartError> {
        raise_file_limit();
        if settings.proxies.protocol && settings.proxies.trusted.is_empty() {
            return Err(StartError::NoProxies);
        }
        let certificates = settings.tls.as_ref().map(Certificates::open).transpose()?;
        let listener = listen(settings.listen).map_err(|source| StartError::Listen {
            address: settings.listen,
            source,
        })?;
        let address = listener.local_addr()?;
        let media = Bound::of(&settings.media, address)?;
        let started = Instant::now();
        let folder = settings.data.display().to_string();
        let limits = Arc::new(settings.limits.clone());
        let disk = DirDisk::new(&settings.data)?;
        let store = open_store(&settings.cold).map_err(|source| {
            let place = settings.cold.place.as_ref();
            let place = place.map(ToString::to_string).unwrap_or_default();
            StartError::Cold { place, source }
        })?;
        let (mut shard, recovery) = Shard::open(disk, settings.log.clone(), Arc::clone(&limits))
            .map_err(|source| StartError::Open { folder, source })?;
        match store.clone() {
            Some(store) => shard.use_store(store, settings.cold.options.clone()),
            None if shard.cold_stats().segments > 0 => {
                tracing::warn!("older data was moved to a store and cannot be read without it");
            }
            None => {}
        }
        let recovery_time = started.elapsed();
        let metrics = Metrics::new();
        metrics.recovered(recovery_time.as_secs_f64());
        let stop = Arc::new(AtomicBool::new(false));
        let (mut reactor, waker) = Reactor::new(
            listener,
            shard,
            settings,
            certificates.clone(),
            metrics,
            Arc::clone(&stop),
            store,
        )?;
        let media_addresses = media.as_ref().map_or_else(Vec::new, Bound::told);
        if let Some(media) = media {
            reactor.carry_media(media, &waker)?;
        }
        let reloader = reactor.reloader(&waker, certificates.clone());
        let stopper = Stopper { stop, waker };
        Ok(Self {
            address,
            media_addresses,
            reactor: Box::new(reactor),
            stopper,
            certificates,
            reloader,
            recovery,
            recovery_time,
        })
    }

    /// Has the media of voice rooms carried by another machine than that of the settings.
    pub fn carry(&mut self, media: Box<dyn Media>) {
        self.reactor.carry(media);
    }

    /// Returns whether everyone may do everything.
    pub fn is_open(&self) -> bool {
        self.reactor.is_open()
    }

    /// Returns how many API keys the log holds that open something: whether anyone can come in
    /// whom the settings do not name.
    #[must_use]
    pub fn kept_keys(&self) -> usize {
        self.reactor.kept_keys()
    }

    /// Returns the address that is listened on.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns where browsers are told to send the sound and pictures of voice rooms, over UDP; nowhere
    /// if they are not carried.
    #[must_use]
    pub fn media_addresses(&self) -> &[SocketAddr] {
        &self.media_addresses
    }

    /// Returns what recovery found, and how long it took.
    #[must_use]
    pub const fn recovery(&self) -> (&Recovery, Duration) {
        (&self.recovery, self.recovery_time)
    }

    /// Returns a handle to have the certificate read again, if the server speaks TLS.
    #[must_use]
    pub fn certificates(&self) -> Option<Certificates> {
        self.certificates.clone()
    }

    /// Returns a handle that stops the server.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Returns a handle that gives the server new settings while it runs.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    /// Serves until a [`Stopper`] says otherwise. Everything acknowledged is durable on return.
    ///
    /// # Errors
    /// When the disk fails: the process must end, and the next start recovers.
    pub fn run(self) -> Result<(), StartError> {
        Ok(self.reactor.run()?)
    }
}

/// Listens with room for many clients that come at once, as they do after a restart.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    use rustix::net::{AddressFamily, SocketType, bind, listen, socket, sockopt};
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let socket = socket(family, SocketType::STREAM, None)?;
    // A restart must not wait for the last connections of its predecessor to be forgotten.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    Ok(TcpListener::from(socket))
}

/// Connections that may wait to be accepted; the system may allow fewer.
const BACKLOG: i32 = 16_384;

/// Raises the limit of open files as far as is allowed, since each connection is one.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}
