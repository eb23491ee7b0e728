//! New settings for a server that runs.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use floe_surfaces::access::{KeyError, KeyRing};
use mio::Waker;

use crate::access::{AccessError, AccessSettings};
use crate::metrics::Metrics;
use crate::quotas::Quotas;
use crate::settings::{Limits, Settings};
use crate::tls::{Certificates, TlsError};

/// Gives new settings to a running server; usable from any thread.
///
/// It takes them over between two turns of its loop, and drops no connection for that but those of
/// listeners who may not listen any more. What a
/// connection was promised when it began, such as the largest message of a WebSocket or when a
/// long-poll ends, stays until it ends.
#[derive(Debug, Clone)]
pub struct Reloader {
    slot: ReloadSlot,
    waker: Arc<Waker>,
    closed: Arc<AtomicBool>,
    certificates: Option<Certificates>,
    metrics: Metrics,
}

/// Where new settings wait for the event loop. Newer ones take the place of older ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReloadSlot(Arc<Mutex<Option<Box<Reload>>>>);

/// The settings that a running server can take over.
#[derive(Debug)]
pub(crate) struct Reload {
    pub limits: Arc<Limits>,
    pub keys: KeyRing,
    pub access: AccessSettings,
    pub origins: Vec<String>,
    pub public_url: Option<String>,
    pub quotas: Arc<Quotas>,
}

/// Why new settings were not taken over.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// Write the keys as they should be.
    #[error("api_keys: {0}")]
    Keys(#[from] KeyError),
    /// Say otherwise whose tokens are believed.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// Mend the files; the certificate from before stays.
    #[error(transparent)]
    Certificate(#[from] TlsError),
    /// The event loop could not be woken.
    #[error("cannot wake the server: {0}")]
    Wake(#[from] io::Error),
}

impl Reloader {
    pub(crate) const fn new(
        slot: ReloadSlot,
        waker: Arc<Waker>,
        closed: Arc<AtomicBool>,
        certificates: Option<Certificates>,
        metrics: Metrics,
    ) -> Self {
        Self {
            slot,
            waker,
            closed,
            certificates,
            metrics,
        }
    }

    /// Has the server take over its limits, quotas, API keys, issuers of tokens, authorisation webhook,
    /// origins and public address from `settings`, and
    /// read the files of its certificate again. The other settings are those of its start, whatever
    /// `settings` says.
    ///
    /// # Errors
    /// See [`ReloadError`]; nothing is changed then.
    pub fn reload(&self, settings: &Settings) -> Result<(), ReloadError> {
        let reload = Reload::of(settings)?;
        settings.access.issuers()?;
        if let Some(certificates) = &self.certificates {
            certificates.reload()?;
        }
        self.slot.put(reload);
        self.waker.wake()?;
        self.metrics.reloaded(SystemTime::now());
        Ok(())
    }

    /// Returns whether the server ever kept a key, so that it is open to nobody any more whatever the
    /// settings say.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Counts settings that were wrong, and so never came to [`reload`](Self::reload).
    pub fn failed(&self) {
        self.metrics.reload_failed();
    }
}

impl ReloadSlot {
    pub fn take(&self) -> Option<Box<Reload>> {
        self.lock().take()
    }

    fn put(&self, reload: Reload) {
        *self.lock() = Some(Box::new(reload));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Box<Reload>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reload {
    fn of(settings: &Settings) -> Result<Self, KeyError> {
        Ok(Self {
            limits: Arc::new(settings.limits.clone()),
            keys: KeyRing::parse(&settings.api_keys)?,
            access: settings.access.clone(),
            origins: settings.origins.clone(),
            public_url: settings.public_url.clone(),
            quotas: Arc::new(settings.quotas.clone()),
        })
    }
}
