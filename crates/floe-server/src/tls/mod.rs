//! The server's certificate: read at the start, and again when its files change.

mod files;
mod roots;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

pub use files::TlsError;
pub use roots::{Roots, RootsError};

use files::{Stamp, read};

/// Where the certificate and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// PEM file of the certificate, and behind it those that lead to an authority.
    pub certificate: PathBuf,
    /// PEM file of the certificate's private key.
    pub key: PathBuf,
}

/// The certificate that the server shows, and how to have it read again; a handle.
#[derive(Debug, Clone)]
pub struct Certificates {
    config: Arc<ServerConfig>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: TlsSettings,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
    looked: Mutex<Looked>,
}

/// What was seen of the files.
#[derive(Debug)]
struct Looked {
    /// The files that were last read, whether they were good or not.
    read: Stamp,
    /// The files at the last look.
    last: Stamp,
}

/// Milliseconds between two looks at the files. A change is taken once two looks agree, since a
/// certificate and its key are seldom written at once.
const LOOK_MS: u64 = 2_000;

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn open(settings: &TlsSettings) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let stamp = Stamp::of(settings);
        let shared = Arc::new(Shared {
            settings: settings.clone(),
            current: RwLock::new(read(settings, &provider)?),
            provider: Arc::clone(&provider),
            looked: Mutex::new(Looked {
                read: stamp,
                last: stamp,
            }),
        });
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&shared) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Clients that come back need no second exchange of keys, and the server keeps nothing.
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(TlsError::Setup)?;
        Ok(Self {
            config: Arc::new(config),
            shared,
        })
    }

    /// Reads the files again. Connections there are stay as they are.
    ///
    /// # Errors
    /// See [`TlsError`]; the certificate from before stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        let stamp = Stamp::of(&self.shared.settings);
        let mut looked = lock(&self.shared.looked);
        self.shared.read_again(&mut looked, stamp)
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Looks at the files from time to time, for ever.
    pub(crate) async fn watch(self) {
        loop {
            tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
            let shared = Arc::clone(&self.shared);
            // A disk may be slow, and handshakes do not wait for it.
            let _ = tokio::task::spawn_blocking(move || shared.look()).await;
        }
    }
}

impl Shared {
    /// Looks whether the files have changed and come to rest, and reads them if so.
    fn look(&self) {
        let stamp = Stamp::of(&self.settings);
        let mut looked = lock(&self.looked);
        let at_rest = std::mem::replace(&mut looked.last, stamp) == stamp;
        if stamp == looked.read || !at_rest {
            return;
        }
        match self.read_again(&mut looked, stamp) {
            Ok(()) => tracing::info!("the TLS certificate was read again"),
            Err(error) => {
                tracing::warn!(%error, "the TLS certificate has changed for the worse; the old one stays");
            }
        }
    }

    fn read_again(&self, looked: &mut Looked, stamp: Stamp) -> Result<(), TlsError> {
        looked.read = stamp;
        looked.last = stamp;
        let key = read(&self.settings, &self.provider)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = key;
        Ok(())
    }
}

impl ResolvesServerCert for Shared {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
