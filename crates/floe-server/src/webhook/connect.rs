//! Connections to webhook receivers, to allowed addresses only.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use floe_surfaces::subscriptions::WebhookUrl;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::sender::Limits;
use crate::tls::Roots;

/// A connection, encrypted or not.
pub(crate) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Makes connections.
pub(crate) struct Connector {
    names: Names,
    /// Whether every address is allowed, since the operator has chosen them.
    trusting: bool,
    timeout: Duration,
    extra_roots: Vec<Vec<u8>>,
    /// Reading the system's certificates takes milliseconds, so only a first `https` does it.
    tls: OnceLock<TlsConnector>,
}

/// Who knows the addresses of a name.
pub(super) enum Names {
    /// The operating system.
    System,
    /// A test, which has this one for every name.
    #[cfg(test)]
    Fixed(IpAddr),
}

impl Connector {
    pub fn new(limits: &Limits) -> Self {
        Self::with_names(limits, Names::System)
    }

    pub(super) fn with_names(limits: &Limits, names: Names) -> Self {
        Self {
            names,
            trusting: false,
            timeout: limits.connect_timeout,
            extra_roots: limits.extra_roots.clone(),
            tls: OnceLock::new(),
        }
    }

    /// Connects to whatever address it is given, since the operator has chosen them, and believes
    /// certificates of `roots` besides those that the system knows.
    pub fn trusting(timeout: Duration, roots: Roots) -> Self {
        Self {
            names: Names::System,
            trusting: true,
            timeout,
            extra_roots: roots.into_der(),
            tls: OnceLock::new(),
        }
    }

    /// Connects to one of the host's addresses that the address admits.
    pub async fn connect(&self, url: &WebhookUrl) -> Result<Box<dyn Connection>, ConnectError> {
        let stream = self.connect_plain(url).await?;
        if !url.secure {
            return Ok(Box::new(stream));
        }
        let name = ServerName::try_from(url.host.to_string());
        let name = name.map_err(|_| ConnectError::NoName)?;
        let tls = self.tls()?.connect(name, stream).await;
        Ok(Box::new(tls.map_err(ConnectError::Connect)?))
    }

    async fn connect_plain(&self, url: &WebhookUrl) -> Result<TcpStream, ConnectError> {
        let found = self.resolve(url).await.map_err(ConnectError::Resolve)?;
        let mut failed = ConnectError::NoAddress;
        // The very addresses that were checked are connected to; the name is not asked again.
        let admits = |address: &SocketAddr| self.trusting || url.admits(address.ip());
        let admitted = found.into_iter().filter(admits);
        for address in admitted.take(ADDRESSES_MAX) {
            match tokio::time::timeout(self.timeout, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failed = ConnectError::Connect(error),
                Err(_) => failed = ConnectError::Connect(io::ErrorKind::TimedOut.into()),
            }
        }
        Err(failed)
    }

    async fn resolve(&self, url: &WebhookUrl) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = url.host.parse::<IpAddr>() {
            return Ok(vec![(address, url.port).into()]);
        }
        match self.names {
            Names::System => {
                let found = tokio::net::lookup_host((&*url.host, url.port)).await?;
                Ok(found.collect())
            }
            #[cfg(test)]
            Names::Fixed(address) => Ok(vec![(address, url.port).into()]),
        }
    }

    fn tls(&self) -> Result<&TlsConnector, ConnectError> {
        if let Some(tls) = self.tls.get() {
            return Ok(tls);
        }
        let made = self.make_tls().map_err(ConnectError::Tls)?;
        Ok(self.tls.get_or_init(|| made))
    }

    fn make_tls(&self) -> Result<TlsConnector, rustls::Error> {
        let mut roots = RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        for error in &system.errors {
            tracing::warn!(%error, "a system certificate cannot be read");
        }
        roots.add_parsable_certificates(system.certs);
        for root in &self.extra_roots {
            roots.add(CertificateDer::from(root.clone()))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("trusting", &self.trusting)
            .field("extra_roots", &self.extra_roots.len())
            .finish_non_exhaustive()
    }
}

/// Addresses of a name that are tried.
const ADDRESSES_MAX: usize = 4;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("the name does not resolve: {0}")]
    Resolve(#[source] io::Error),
    #[error("the name has no address that is allowed")]
    NoAddress,
    #[error("the host is no name for a certificate")]
    NoName,
    #[error("no connection: {0}")]
    Connect(#[source] io::Error),
    #[error("encryption cannot be set up: {0}")]
    Tls(#[source] rustls::Error),
}
