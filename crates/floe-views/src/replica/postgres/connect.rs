//! Connections to PostgreSQL.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, NoTls, TlsConnect, TlsStream};
use tokio_postgres::{Client, Config, Socket};

use super::failed;
use crate::replica::ReplicaError;

/// How long the server may take for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the server may take for a statement, in milliseconds.
pub const STATEMENT_MS: u64 = 20_000;

/// Certificates of one file.
const ROOTS_MAX: usize = 100;

/// What is set for each connection. What a loss of power takes away comes again from the log.
const SESSION: &str = "SET statement_timeout = 20000; SET lock_timeout = 5000;
     SET idle_in_transaction_session_timeout = 60000; SET synchronous_commit = off;
     SET standard_conforming_strings = on; SET client_min_messages = warning;
     SET search_path = pg_catalog";

/// Returns whether the text is a URL that can be connected to.
#[must_use]
pub fn is_postgres_url(url: &str) -> bool {
    Place::read(url).is_some()
}

/// Where a database is, and how it is reached.
pub struct Place {
    pub config: Config,
    /// Whether the connection is encrypted.
    encrypted: bool,
    /// A file of certificates that are believed besides those that the system knows.
    roots: Option<PathBuf>,
}

impl Place {
    /// Reads a URL.
    ///
    /// Encrypted means that it is known whose certificate it is, and that it is the host's; less than
    /// that is not offered. So `require` is as good as `verify-full`, and there is nothing between
    /// them and `disable`.
    pub fn read(url: &str) -> Option<Self> {
        let (start, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut encrypted, mut roots, mut others) = (false, None, Vec::new());
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=')? {
                ("sslmode", "disable") => encrypted = false,
                ("sslmode", "require" | "verify-full") => encrypted = true,
                ("sslmode", _) => return None,
                ("sslrootcert", path) => roots = Some(PathBuf::from(decode(path)?)),
                _ => others.push(parameter),
            }
        }
        if roots.is_some() && !encrypted {
            return None;
        }
        let mut config: Config = format!("{start}?{}", others.join("&")).parse().ok()?;
        if config.get_hosts().is_empty() {
            return None;
        }
        config
            .ssl_mode(if encrypted {
                SslMode::Require
            } else {
                SslMode::Disable
            })
            .application_name("floe")
            .connect_timeout(CONNECT_TIMEOUT)
            .keepalives_idle(Duration::from_secs(30))
            .tcp_user_timeout(Duration::from_millis(STATEMENT_MS));
        Some(Self {
            config,
            encrypted,
            roots,
        })
    }

    /// Makes what encrypts; `None` where nothing is to be encrypted.
    pub fn tls(&self) -> Result<Option<Tls>, ReplicaError> {
        if !self.encrypted {
            return Ok(None);
        }
        Tls::new(self.roots.as_deref()).map(Some)
    }
}

/// Returns a text of a URL as it was meant.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let byte = if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
        } else {
            byte
        };
        bytes.push(byte);
    }
    String::from_utf8(bytes).ok()
}

/// Connects, and sets up the session.
pub async fn connect(config: &Config, tls: Option<Tls>) -> Result<Client, ReplicaError> {
    let client = if let Some(tls) = tls {
        let (client, connection) = config.connect(tls).await.map_err(failed)?;
        tokio::spawn(connection);
        client
    } else {
        let (client, connection) = config.connect(NoTls).await.map_err(failed)?;
        tokio::spawn(connection);
        client
    };
    client.batch_execute(SESSION).await.map_err(failed)?;
    Ok(client)
}

/// Shakes hands with rustls, and believes the certificates that the system believes, and those of a file.
#[derive(Clone)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    fn new(file: Option<&Path>) -> Result<Self, ReplicaError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(file) = file {
            add_roots(&mut roots, file).map_err(|why| {
                let why = format!("sslrootcert: {}: {why}", file.display());
                ReplicaError::Unavailable(why)
            })?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| ReplicaError::Unavailable(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

/// Believes the certificates of a file.
fn add_roots(roots: &mut RootCertStore, file: &Path) -> Result<(), String> {
    let pem = std::fs::read(file).map_err(|error| error.to_string())?;
    let mut found = 0;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        let added = roots.add(certificate);
        added.map_err(|error| format!("certificate {}: {error}", found + 1))?;
        found += 1;
        if found > ROOTS_MAX {
            return Err(format!(
                "there are more than {ROOTS_MAX} certificates in it"
            ));
        }
    }
    match found {
        0 => Err("there is no certificate in it".to_owned()),
        _ => Ok(()),
    }
}

impl MakeTlsConnect<Socket> for Tls {
    type Stream = Encrypted;
    type TlsConnect = Handshake;
    type Error = io::Error;

    fn make_tls_connect(&mut self, domain: &str) -> io::Result<Handshake> {
        let name = ServerName::try_from(domain.to_owned()).map_err(io::Error::other)?;
        Ok(Handshake {
            config: Arc::clone(&self.0),
            name,
        })
    }
}

/// A handshake that is to come.
pub struct Handshake {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl TlsConnect<Socket> for Handshake {
    type Stream = Encrypted;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        let connector = tokio_rustls::TlsConnector::from(self.config);
        Box::pin(async move { Ok(Encrypted(connector.connect(self.name, socket).await?)) })
    }
}

/// A connection that is encrypted.
pub struct Encrypted(tokio_rustls::client::TlsStream<Socket>);

impl TlsStream for Encrypted {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encrypted_is_said_and_means_that_the_certificate_is_known() {
        let read =
            |query: &str| Place::read(&format!("postgres://a:b@db.example.com/rooms{query}"));
        for (query, encrypted) in [
            ("", false),
            ("?sslmode=disable", false),
            ("?sslmode=require", true),
            ("?sslmode=verify-full", true),
            ("?options=-c%20jit%3Doff&sslmode=verify-full", true),
        ] {
            let place = read(query).unwrap();
            assert_eq!(place.encrypted, encrypted, "{query}");
            let mode = place.config.get_ssl_mode();
            assert_eq!(mode == SslMode::Require, encrypted, "{query}");
        }
        let place = read("?sslmode=verify-full&sslrootcert=/etc/my%20ca.pem").unwrap();
        assert_eq!(place.roots, Some("/etc/my ca.pem".into()));
        for bad in [
            "?sslmode=prefer",
            "?sslmode=allow",
            "?sslmode=verify-ca",
            "?sslmode=",
            "?sslmode",
            "?sslrootcert=/etc/ca.pem",
            "?sslmode=disable&sslrootcert=/etc/ca.pem",
            "?sslmode=require&sslrootcert=%f",
        ] {
            assert!(read(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn what_is_to_be_believed_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let url = format!(
            "postgres://a:geheim@h/d?sslmode=require&sslrootcert={}",
            file.display()
        );
        let why = || {
            let made = Place::read(&url).unwrap().tls();
            let error = made.err().unwrap().to_string();
            assert!(
                !error.contains("geheim") && error.contains("ca.pem"),
                "{error}"
            );
            error
        };
        assert!(why().contains("sslrootcert"));
        std::fs::write(&file, "nothing").unwrap();
        assert!(why().contains("no certificate"));
        let bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        std::fs::write(&file, bad).unwrap();
        assert!(why().contains("certificate 1"));
    }
}
