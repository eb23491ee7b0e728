//! Connections to PostgreSQL.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::ServerName;
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

/// What is set for each connection. What a loss of power takes away comes again from the log.
const SESSION: &str = "SET statement_timeout = 20000; SET lock_timeout = 5000;
     SET idle_in_transaction_session_timeout = 60000; SET synchronous_commit = off;
     SET standard_conforming_strings = on; SET client_min_messages = warning;
     SET search_path = pg_catalog";

/// Returns whether the text is a URL that can be connected to.
#[must_use]
pub fn is_postgres_url(url: &str) -> bool {
    read(url).is_some()
}

/// Reads a URL; also returns whether the connection is encrypted.
pub fn read(url: &str) -> Option<(Config, bool)> {
    let mut config: Config = url.parse().ok()?;
    if config.get_hosts().is_empty() {
        return None;
    }
    // Encrypted means that it is known whose certificate it is; less than that is not offered.
    let tls = config.get_ssl_mode() == SslMode::Require;
    if !tls {
        config.ssl_mode(SslMode::Disable);
    }
    config
        .application_name("floe")
        .connect_timeout(CONNECT_TIMEOUT)
        .keepalives_idle(Duration::from_secs(30))
        .tcp_user_timeout(Duration::from_millis(STATEMENT_MS));
    Some((config, tls))
}

/// Connects, and sets up the session.
pub async fn connect(config: &Config, tls: bool) -> Result<Client, ReplicaError> {
    let client = if tls {
        let (client, connection) = config.connect(Tls::new()).await.map_err(failed)?;
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

/// Shakes hands with rustls, and believes the certificates that the system believes.
#[derive(Clone)]
struct Tls(Arc<ClientConfig>);

impl Tls {
    fn new() -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = match versions {
            Ok(builder) => builder.with_root_certificates(roots).with_no_client_auth(),
            Err(_) => ClientConfig::builder()
                .with_root_certificates(roots)
                .with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        Self(Arc::new(config))
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
struct Handshake {
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
struct Encrypted(tokio_rustls::client::TlsStream<Socket>);

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
