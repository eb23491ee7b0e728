//! A receiver of webhooks.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

use super::PATIENCE;

/// Listens for webhooks, and answers each as it is told.
pub struct Receiver {
    port: u16,
    webhooks: mpsc::Receiver<Webhook>,
}

/// One webhook, which waits for its answer.
pub struct Webhook {
    socket: TcpStream,
    pub signature: String,
    pub raw: Vec<u8>,
    pub body: Value,
}

impl Receiver {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, webhooks) = mpsc::channel();
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let Some(webhook) = Webhook::read(socket) else {
                    continue;
                };
                if sender.send(webhook).is_err() {
                    return;
                }
            }
        });
        Self { port, webhooks }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    /// Waits for the next webhook.
    #[track_caller]
    pub fn next(&self) -> Webhook {
        self.webhooks.recv_timeout(PATIENCE).expect("a webhook")
    }

    /// Checks that none comes for a moment.
    #[track_caller]
    pub fn is_quiet(&self) -> bool {
        self.webhooks
            .recv_timeout(Duration::from_millis(300))
            .is_err()
    }
}

impl Webhook {
    fn read(mut socket: TcpStream) -> Option<Self> {
        socket.set_read_timeout(Some(PATIENCE)).ok()?;
        let mut received = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let text = String::from_utf8_lossy(&received).into_owned();
            if let Some((head, _)) = text.split_once("\r\n\r\n") {
                let field = |name: &str| {
                    head.lines().find_map(|line| {
                        let (field, value) = line.split_once(':')?;
                        field
                            .eq_ignore_ascii_case(name)
                            .then(|| value.trim().to_owned())
                    })
                };
                let len: usize = field("content-length")?.parse().ok()?;
                if received.len() == head.len() + 4 + len {
                    let raw = received.split_off(head.len() + 4);
                    return Some(Self {
                        socket,
                        signature: field("webhook-signature")?,
                        body: serde_json::from_slice(&raw).ok()?,
                        raw,
                    });
                }
            }
            let len = socket.read(&mut buffer).ok()?;
            if len == 0 {
                return None;
            }
            received.extend_from_slice(&buffer[..len]);
        }
    }

    /// Answers.
    pub fn answer(mut self, status: u16, body: &str) {
        let len = body.len();
        let answer = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len}\r\n\
             Connection: close\r\n\r\n{body}"
        );
        // A server that has stopped meanwhile reads no answer.
        let _ = self.socket.write_all(answer.as_bytes());
    }
}
