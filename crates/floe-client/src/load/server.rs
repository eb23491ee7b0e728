//! A server that the generator starts, waits for and stops.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A running server with a data folder of its own; dropping it stops it and removes the folder.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    folder: PathBuf,
}

impl ServerProcess {
    /// Starts `command` and waits until `address` accepts connections.
    ///
    /// The command is split at white space, without a shell; `{dir}` in it stands for a new folder
    /// below the system's folder for temporary files.
    pub fn start(command: &str, address: SocketAddr) -> Result<Self, ServerError> {
        if TcpStream::connect(address).is_ok() {
            return Err(ServerError::Taken { address });
        }
        let folder = new_folder().map_err(ServerError::Start)?;
        let folder_text = folder.to_string_lossy();
        let mut words = command
            .split_whitespace()
            .map(|word| word.replace("{dir}", &folder_text));
        let program = words.next().ok_or(ServerError::Empty)?;
        let child = Command::new(program)
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(ServerError::Start)?;
        let mut server = Self { child, folder };
        server.wait_for(address)?;
        Ok(server)
    }

    /// The process to measure.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_for(&mut self, address: SocketAddr) -> Result<(), ServerError> {
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect(address).is_err() {
            if let Some(status) = self.child.try_wait().map_err(ServerError::Start)? {
                return Err(ServerError::Ended { status });
            }
            if Instant::now() > deadline {
                return Err(ServerError::Silent { address });
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        use rustix::process::{Pid, Signal, kill_process};
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            // A failure means that it has ended by itself.
            let _ = kill_process(pid, Signal::TERM);
        }
        let deadline = Instant::now() + STOP_LIMIT;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
            thread::sleep(Duration::from_millis(5));
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The command has no words.
    #[error("the server command is empty")]
    Empty,
    /// Something else listens there, and would be measured instead.
    #[error("{address} is already taken")]
    Taken {
        /// Where the server was to listen.
        address: SocketAddr,
    },
    /// The system refused to start it.
    #[error("cannot start the server")]
    Start(#[source] io::Error),
    /// It ended before it listened.
    #[error("the server ended at once: {status}")]
    Ended {
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// It runs, but does not listen.
    #[error("the server does not listen on {address}")]
    Silent {
        /// Where it was to listen.
        address: SocketAddr,
    },
}

const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(10);

fn new_folder() -> io::Result<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("floe-bench-{}-{number}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
