//! An issuer of signed tokens, and a place where keys or answers are to be had.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A key that signs tokens.
pub struct TokenKey {
    kid: &'static str,
    pair: Ed25519KeyPair,
}

impl TokenKey {
    pub fn new(kid: &'static str) -> Self {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(made.as_ref()).unwrap();
        Self { kid, pair }
    }

    /// The public half, as issuers publish it.
    pub fn jwk(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref());
        json!({"kty": "OKP", "crv": "Ed25519", "kid": self.kid, "x": x})
    }

    /// Signs claims; those of the issuer and of time are there without being named.
    pub fn sign(&self, more: &Value) -> String {
        let mut claims = json!({"iss": ISSUER, "exp": unix_seconds() + 60, "sub": "tess"});
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let header = json!({"alg": "EdDSA", "kid": self.kid});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// Signs a token that allows something in `acme`.
    pub fn grant(&self, rooms: &Value) -> String {
        self.sign(&json!({"floe": {"namespace": "acme", "rooms": rooms}}))
    }
}

pub const ISSUER: &str = "https://id.example.com/";

pub fn unix_seconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs()
}

/// Answers every request the same, until it is told otherwise.
pub struct Place {
    port: u16,
    state: Arc<State>,
}

struct State {
    answer: Mutex<(u16, String)>,
    slow: Mutex<Duration>,
    asked: AtomicUsize,
    requests: Mutex<Vec<String>>,
}

impl Place {
    pub fn answering(status: u16, body: &Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            answer: Mutex::new((status, body.to_string())),
            slow: Mutex::default(),
            asked: AtomicUsize::new(0),
            requests: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || serve(socket, &state));
            }
        });
        Self { port, state }
    }

    /// Publishes keys.
    pub fn publishing(keys: &[&TokenKey]) -> Self {
        Self::answering(200, &key_set(keys))
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/x", self.port)
    }

    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    pub fn publish(&self, keys: &[&TokenKey]) {
        self.answer(200, &key_set(keys));
    }

    pub fn answer(&self, status: u16, body: &Value) {
        *self.state.answer.lock().unwrap() = (status, body.to_string());
    }

    /// Takes its time from now on.
    pub fn take(&self, time: Duration) {
        *self.state.slow.lock().unwrap() = time;
    }

    pub fn asked(&self) -> usize {
        self.state.asked.load(Ordering::SeqCst)
    }

    /// The requests that came, each with its head and body.
    pub fn requests(&self) -> Vec<String> {
        self.state.requests.lock().unwrap().clone()
    }
}

fn key_set(keys: &[&TokenKey]) -> Value {
    let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
    json!({ "keys": keys })
}

fn serve(mut socket: TcpStream, state: &State) {
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&received).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let len = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                let is_len = name.eq_ignore_ascii_case("content-length");
                is_len.then(|| value.parse::<usize>().unwrap())
            });
            if body.len() >= len.unwrap_or(0) {
                state.requests.lock().unwrap().push(text);
                break;
            }
        }
        match socket.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(len) => received.extend_from_slice(&buffer[..len]),
        }
    }
    state.asked.fetch_add(1, Ordering::SeqCst);
    let slow = *state.slow.lock().unwrap();
    std::thread::sleep(slow);
    let (status, body) = state.answer.lock().unwrap().clone();
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    // A server that has given up reads no answer.
    let _ = socket.write_all(head.as_bytes());
    let _ = socket.write_all(body.as_bytes());
}
