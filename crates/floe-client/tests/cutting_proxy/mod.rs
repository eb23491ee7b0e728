//! A proxy that cuts connections when it is told to.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Passes connections on to a server, until the process ends.
pub struct CuttingProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// How many pieces of answers are left until one is swallowed, together with its connection;
    /// none is where this is zero.
    until_cut: AtomicUsize,
    cuts: AtomicUsize,
}

impl CuttingProxy {
    pub fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            shared: Arc::default(),
        };
        let shared = Arc::clone(&proxy.shared);
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                let Ok(upstream) = TcpStream::connect(server) else {
                    continue;
                };
                let (from, to) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
                thread::spawn(move || pass_on(from, to, None));
                let shared = Arc::clone(&shared);
                thread::spawn(move || pass_on(upstream, client, Some(&shared)));
            }
        });
        proxy
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets the next bytes of an answer get lost, and their connection with them.
    #[allow(dead_code, reason = "each test file uses some of it")]
    pub fn cut_answers(&self) {
        self.cut_answer(1);
    }

    /// Lets the bytes that are read from the server for the `number`th time from now get lost.
    #[allow(dead_code, reason = "each test file uses some of it")]
    pub fn cut_answer(&self, number: usize) {
        self.shared.until_cut.store(number, Ordering::SeqCst);
    }

    /// Connections cut so far.
    pub fn cuts(&self) -> usize {
        self.shared.cuts.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn is_cut(&self) -> bool {
        let before = self
            .until_cut
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        before == Ok(1)
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, cutting: Option<&Shared>) {
    let mut buffer = [0; 16 << 10];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        if let Some(shared) = cutting
            && shared.is_cut()
        {
            shared.cuts.fetch_add(1, Ordering::SeqCst);
            break;
        }
        if to.write_all(&buffer[..len]).is_err() {
            break;
        }
    }
    // The peer may be gone already.
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
