//! A server in a process of its own, which can be killed.

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use floe_server::{MediaSettings, Server, Settings};
use tempfile::TempDir;

use super::{Connection, PATIENCE, Request, Response};

/// A server that ends like one whose machine has no power: in the middle of anything.
pub struct ChildServer {
    process: Child,
    address: String,
    folder: TempDir,
}

/// Names the data folder to a process that shall be a server.
const FOLDER: &str = "FLOE_TEST_FOLDER";
/// Name of the file that the server's address is written to.
const ADDRESS: &str = "address";

impl ChildServer {
    /// Starts a server on a folder of its own.
    pub fn start() -> Self {
        Self::on(tempfile::tempdir().unwrap())
    }

    fn on(folder: TempDir) -> Self {
        let file = folder.path().join(ADDRESS);
        let _ = std::fs::remove_file(&file);
        let program = std::env::current_exe().unwrap();
        let process = Command::new(program)
            .args(["--exact", "harness::child::serves", "--ignored"])
            .env(FOLDER, folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let until = Instant::now() + PATIENCE;
        let address = loop {
            match std::fs::read_to_string(&file) {
                Ok(address) if address.ends_with('\n') => break address.trim().to_owned(),
                _ => assert!(Instant::now() < until, "the server did not start"),
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        Self {
            process,
            address,
            folder,
        }
    }

    /// Kills the process and starts another on its folder.
    pub fn kill_and_restart(mut self) -> Self {
        self.kill();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        Self::on(folder)
    }

    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn connect(&self) -> Connection {
        Connection::new(std::net::TcpStream::connect(&self.address).unwrap())
    }

    #[track_caller]
    pub fn expect(&self, status: u16, request: Request) -> Response {
        self.connect().ask(&request).expect(status)
    }
}

impl Drop for ChildServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What the process of a [`ChildServer`] runs.
#[test]
#[ignore = "a server for other tests, which kill it"]
fn serves() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    // Its parent's end of the pipe closes when the parent ends, however it does.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let folder = Path::new(&folder);
    let mut settings = Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        data: folder.join("data"),
        media: MediaSettings::off(),
        ..Settings::default()
    };
    settings.log.wal_segment_bytes = 1 << 20;
    let server = Server::open(&settings).unwrap();
    std::fs::write(folder.join(ADDRESS), format!("{}\n", server.address())).unwrap();
    server.run().unwrap();
}
