//! Certificates made on the spot, and tunnels that let any client speak TLS.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use floe_server::TlsSettings;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A certificate for `localhost` and its key, in files.
pub struct Certificate {
    folder: TempDir,
    der: Vec<u8>,
}

impl Certificate {
    pub fn new() -> Self {
        let mut made = Self {
            folder: tempfile::tempdir().unwrap(),
            der: Vec::new(),
        };
        made.renew();
        made
    }

    /// Writes another certificate over this one.
    pub fn renew(&mut self) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        self.der = made.cert.der().to_vec();
        let settings = self.settings();
        write_pem(&settings.certificate, "CERTIFICATE", &self.der);
        let key = made.signing_key.serialized_der();
        write_pem(&settings.key, "PRIVATE KEY", key);
    }

    pub fn settings(&self) -> TlsSettings {
        TlsSettings {
            certificate: self.folder.path().join("cert.pem"),
            key: self.folder.path().join("key.pem"),
        }
    }

    /// Returns what trusts this certificate alone, and offers `protocols`.
    pub fn connector(&self, protocols: &[&str]) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(self.der.clone())).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let protocols = protocols.iter().map(|name| name.as_bytes().to_vec());
        config.alpn_protocols = protocols.collect();
        TlsConnector::from(Arc::new(config))
    }
}

/// Connects to a server; an error where the handshake fails.
pub async fn connect_tls(
    address: SocketAddr,
    connector: &TlsConnector,
    first: &[u8],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    socket.write_all(first).await?;
    let name = ServerName::try_from("localhost").unwrap();
    connector.connect(name, socket).await
}

/// Takes connections and passes them on over TLS.
pub struct Tunnel {
    address: SocketAddr,
    /// The tunnel ends with it.
    _stop: oneshot::Sender<()>,
}

impl Tunnel {
    /// Starts a tunnel to a server; `first` is sent before each handshake.
    pub fn start(server: SocketAddr, connector: TlsConnector, first: Vec<u8>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = pass_on(listener, server, connector, first) => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            address,
            _stop: stop,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn pass_on(
    listener: std::net::TcpListener,
    server: SocketAddr,
    connector: TlsConnector,
    first: Vec<u8>,
) {
    let listener = TcpListener::from_std(listener).unwrap();
    loop {
        let (mut plain, _) = listener.accept().await.unwrap();
        plain.set_nodelay(true).unwrap();
        let (connector, first) = (connector.clone(), first.clone());
        tokio::spawn(async move {
            if let Ok(mut tls) = connect_tls(server, &connector, &first).await {
                let _ = tokio::io::copy_bidirectional(&mut plain, &mut tls).await;
            }
        });
    }
}

/// A private authority, which nobody's system knows.
pub struct Authority {
    certificate: rcgen::Certificate,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            certificate,
            issuer: rcgen::Issuer::new(params, key),
        }
    }

    /// Its own certificate.
    pub fn pem(&self) -> String {
        pem("CERTIFICATE", self.certificate.der())
    }

    /// Speaks TLS in front of what speaks none, with a certificate for `localhost`; returns where.
    pub fn stand_before(&self, address: SocketAddr) -> SocketAddr {
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let here = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(uncover(listener, address, Arc::new(config).into()));
        });
        here
    }
}

async fn uncover(listener: std::net::TcpListener, address: SocketAddr, acceptor: TlsAcceptor) {
    let listener = TcpListener::from_std(listener).unwrap();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            if let Ok(mut tls) = acceptor.accept(socket).await
                && let Ok(mut plain) = TcpStream::connect(address).await
            {
                let _ = tokio::io::copy_bidirectional(&mut tls, &mut plain).await;
            }
        });
    }
}

fn write_pem(file: &Path, tag: &str, der: &[u8]) {
    std::fs::write(file, pem(tag, der)).unwrap();
}

fn pem(tag: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN {tag}-----\n{text}\n-----END {tag}-----\n")
}
