//! The server itself, on a folder of its own.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;

use floe_server::{MediaSettings, Server, Settings, StartError, Stopper};
use tempfile::TempDir;

/// A running server, stopped when dropped.
pub struct RealServer {
    address: SocketAddr,
    settings: Settings,
    folder: TempDir,
    running: Option<(Stopper, JoinHandle<Result<(), StartError>>)>,
}

impl RealServer {
    #[allow(dead_code, reason = "each test file uses some of it")]
    pub fn start() -> Self {
        Self::with(|_| {})
    }

    /// Starts a server with other settings.
    #[allow(dead_code, reason = "each test file uses some of it")]
    pub fn with(set: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings {
            listen: "127.0.0.1:0".parse().unwrap(),
            data: folder.path().to_owned(),
            media: MediaSettings::off(),
            ..Settings::default()
        };
        // Room for many servers at once.
        settings.log.wal_segment_bytes = 1 << 20;
        set(&mut settings);
        let mut server = Self {
            address: settings.listen,
            settings,
            folder,
            running: None,
        };
        server.run();
        server
    }

    #[allow(dead_code, reason = "each test file uses some of it")]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    #[allow(dead_code, reason = "each test file uses some of it")]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes a channel and returns its identity.
    #[allow(dead_code, reason = "each test file uses some of it")]
    pub fn new_channel(&self) -> String {
        let body = r#"{"name":"test","namespace":"test"}"#;
        let mut socket = TcpStream::connect(self.address).unwrap();
        let request = format!(
            "POST /v1/channels HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        let id = body["metadata"]["channelId"].as_str();
        id.unwrap().to_owned()
    }

    /// Stops; nobody listens until [`run`](Self::run).
    pub fn stop(&mut self) {
        if let Some((stopper, thread)) = self.running.take() {
            stopper.stop().unwrap();
            thread.join().unwrap().unwrap();
        }
    }

    /// Runs after a stop.
    pub fn run(&mut self) {
        assert!(self.folder.path().exists());
        let server = Server::open(&self.settings).unwrap();
        self.address = server.address();
        self.settings.listen = self.address;
        let stopper = server.stopper();
        self.running = Some((stopper, std::thread::spawn(move || server.run())));
    }
}

impl Drop for RealServer {
    fn drop(&mut self) {
        self.stop();
    }
}
