//! Starting, stopping and restarting a server.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread::JoinHandle;

use floe_core::voice::Media;
use floe_server::{MediaSettings, ReloadError, Reloader, Server, Settings, StartError, Stopper};
use tempfile::TempDir;

use super::{Connection, Events, Request, Response, Tunnel, get};

/// A server on a folder of its own, stopped when dropped.
pub struct TestServer {
    address: SocketAddr,
    stopper: Stopper,
    reloader: Reloader,
    thread: Option<JoinHandle<Result<(), StartError>>>,
    settings: Settings,
    folder: Option<TempDir>,
    /// What clients go through, if not straight to the server.
    tunnel: Option<Tunnel>,
}

impl TestServer {
    /// Starts a server with the default settings.
    pub fn start() -> Self {
        Self::with(|_| {})
    }

    /// Starts a server with other settings.
    pub fn with(set: impl FnOnce(&mut Settings)) -> Self {
        Self::made(None, set)
    }

    /// Starts a server whose voice rooms have such media, until it is started again.
    pub fn carrying(media: Box<dyn Media>, set: impl FnOnce(&mut Settings)) -> Self {
        Self::made(Some(media), set)
    }

    fn made(media: Option<Box<dyn Media>>, set: impl FnOnce(&mut Settings)) -> Self {
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
        Self::run_with(settings, Some(folder), media)
    }

    fn run(settings: Settings, folder: Option<TempDir>) -> Self {
        Self::run_with(settings, folder, None)
    }

    fn run_with(
        settings: Settings,
        folder: Option<TempDir>,
        media: Option<Box<dyn Media>>,
    ) -> Self {
        let mut server = Server::open(&settings).unwrap();
        if let Some(media) = media {
            server.carry(media);
        }
        let (mut address, stopper) = (server.address(), server.stopper());
        let reloader = server.reloader();
        if address.ip().is_unspecified() {
            address.set_ip("127.0.0.1".parse().unwrap());
        }
        let thread = std::thread::spawn(move || server.run());
        Self {
            address,
            stopper,
            reloader,
            thread: Some(thread),
            settings,
            folder,
            tunnel: None,
        }
    }

    /// Lets clients go through a tunnel.
    pub fn through(mut self, tunnel: Tunnel) -> Self {
        self.tunnel = Some(tunnel);
        self
    }

    /// Gives the running server other settings than those of its start, without waiting.
    pub fn reload(&self, set: impl FnOnce(&mut Settings)) -> Result<(), ReloadError> {
        let mut settings = self.settings.clone();
        set(&mut settings);
        self.reloader.reload(&settings)
    }

    /// Asks the server to stop, without waiting.
    pub fn ask_to_stop(&self) {
        self.stopper.stop().unwrap();
    }

    /// Stops the server, which must end well.
    pub fn stop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.ask_to_stop();
            thread.join().unwrap().unwrap();
        }
    }

    /// Stops the server and starts another on the same folder.
    pub fn restart(self) -> Self {
        self.restart_with(|_| {})
    }

    /// Stops the server and starts another on the same folder, with other settings.
    pub fn restart_with(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        self.stop();
        let mut settings = self.settings.clone();
        set(&mut settings);
        Self::run(settings, self.folder.take())
    }

    /// Starts another server on what a crash at this moment would leave behind; this one goes on.
    ///
    /// Nothing may be under way, since the files are copied one after another.
    pub fn crashed(&self) -> Self {
        self.crashed_with(|_| {})
    }

    /// Starts a server like [`crashed`](Self::crashed), with other settings.
    pub fn crashed_with(&self, set: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy_folder(&self.settings.data, folder.path());
        let mut settings = self.settings.clone();
        settings.data = folder.path().to_owned();
        set(&mut settings);
        Self::run(settings, Some(folder))
    }

    /// Stops the server, changes its folder, and starts another on it.
    pub fn restart_after(mut self, change: impl FnOnce(&Path)) -> Self {
        self.stop();
        change(&self.settings.data);
        Self::run(self.settings.clone(), self.folder.take())
    }

    /// The address that clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.tunnel.as_ref().map_or(self.address, Tunnel::address)
    }

    /// The server's own address.
    pub fn own_address(&self) -> SocketAddr {
        self.address
    }

    pub fn folder(&self) -> &Path {
        &self.settings.data
    }

    /// Opens a connection.
    pub fn connect(&self) -> Connection {
        Connection::new(TcpStream::connect(self.address()).unwrap())
    }

    /// Sends a request on a connection of its own.
    #[track_caller]
    pub fn send(&self, request: Request) -> Response {
        self.connect().ask(&request)
    }

    /// Sends a request and checks the status of its answer.
    #[track_caller]
    pub fn expect(&self, status: u16, request: Request) -> Response {
        self.send(request).expect(status)
    }

    /// Begins to follow a stream from an offset.
    #[track_caller]
    pub fn follow(&self, stream: &str, from: &str) -> Events {
        let request = get(&format!("{stream}?offset={from}&live=sse"));
        self.connect().follow(&request)
    }

    /// Reads a whole stream from its start, piece by piece.
    #[track_caller]
    pub fn read_all(&self, stream: &str) -> Vec<u8> {
        let mut connection = self.connect();
        let (mut all, mut from) = (Vec::new(), "-1".to_owned());
        loop {
            let piece = connection
                .ask(&get(&format!("{stream}?offset={from}")))
                .expect(200);
            all.extend_from_slice(&piece.body);
            if piece.header("stream-up-to-date") == Some("true") {
                return all;
            }
            from = piece.next().to_owned();
        }
    }

    /// Returns the value of a metric, by its name and labels.
    #[track_caller]
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.expect(200, get("/metrics")).text();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is not in\n{text}"))
            .parse()
            .unwrap()
    }
}

/// Copies the folder of a running server: what was durable before the call is in the copy.
///
/// A file that went while it was being copied may have become another one, so all is copied again.
fn copy_folder(from: &Path, to: &Path) {
    for _ in 0..COPIES_MAX {
        match try_copy_folder(from, to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                std::fs::remove_dir_all(to).unwrap();
            }
            copied => return copied.unwrap(),
        }
    }
    panic!("files went away during each of {COPIES_MAX} copies");
}

const COPIES_MAX: usize = 100;

fn try_copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            try_copy_folder(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

impl Drop for TestServer {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        let _ = self.stopper.stop();
        let ended = thread.join();
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}
