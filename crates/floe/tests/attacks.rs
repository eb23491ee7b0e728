//! Attacks on the binary, each with a client beside it that only wants to be served: it must be, and
//! the server's memory must stay where it is.
//!
//! What each cost is printed: `cargo test -p floe --test attacks -- --nocapture`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long each attack lasts.
const ATTACK: Duration = Duration::from_secs(2);
/// What somebody else's request may take meanwhile, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn requests_that_arrive_a_byte_at_a_time() {
    let server = Server::start(&["--http-request-timeout-ms=700"]);
    let cost = server.under(|address, until| {
        let mut sockets = connect_all(address, 300);
        let head = b"POST /v1/stream/log HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\nX: ";
        let mut at = 0;
        // What still comes after the answer is read for a moment more.
        let gone = until + Duration::from_secs(8);
        while Instant::now() < until || (!sockets.is_empty() && Instant::now() < gone) {
            let byte = [head.get(at).copied().unwrap_or(b'y')];
            at += 1;
            sockets.retain_mut(|socket| socket.write_all(&byte).is_ok());
            thread::sleep(Duration::from_millis(20));
        }
        assert!(sockets.is_empty(), "{} outlived their time", sockets.len());
    });
    cost.report("slow requests from 300 connections", 40);
}

#[test]
fn connections_that_say_nothing() {
    let server = Server::start(&["--http-connections-max=400"]);
    let cost = server.under(|address, until| {
        let mut opened = 0;
        let mut held = Vec::new();
        while Instant::now() < until {
            if let Ok(socket) = TcpStream::connect(address) {
                opened += 1;
                held.push(socket);
            }
            // Half of them stay, the others leave at once.
            if held.len() > 300 {
                held.drain(..150);
            }
        }
        assert!(opened > 500, "{opened}");
    });
    cost.report(
        "connections opened and dropped as fast as one thread can",
        40,
    );
}

#[test]
fn heads_without_an_end() {
    let server = Server::start(&[]);
    let cost = server.under(|address, until| {
        let junk = vec![b'h'; 64 << 10];
        while Instant::now() < until {
            for mut socket in connect_all(address, 50) {
                let _ = socket.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: ");
                let _ = socket.write_all(&junk);
            }
        }
    });
    cost.report("heads of 64 KiB and no end", 40);
}

#[test]
fn bodies_without_an_end() {
    let server = Server::start(&["--received-bytes-max=16777216"]);
    let cost = server.under(|address, until| {
        let piece = vec![b'b'; 1 << 20];
        let mut sockets = connect_all(address, 100);
        for socket in &mut sockets {
            let _ = socket.write_all(
                b"POST /v1/stream/log HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n\
                  Content-Length: 8000000\r\n\r\n",
            );
        }
        while Instant::now() < until {
            // 700 MB, if all of it were kept.
            for socket in sockets.iter_mut() {
                let _ = socket.write(&piece);
            }
            thread::sleep(Duration::from_millis(100));
        }
    });
    // The bound, what a read brings at once, and the allocator's share.
    cost.report("100 uploads of 8 MB that never end, 16 MiB allowed", 80);
}

#[test]
fn frames_as_fast_as_they_go() {
    let server = Server::start(&[]);
    let cost = server.under(|address, until| {
        let mut frames = Vec::new();
        for payload in [
            &br#"{"type":"ping"}"#[..],
            b"{",
            br#"{"type":"join","room":"x"}"#,
        ] {
            frames.extend(masked(0x81, payload));
        }
        let frames = frames.repeat(500);
        let mut sockets = websockets(address, 20, "");
        while Instant::now() < until {
            // Answers are never read: whoever floods is not listened to any more.
            for socket in &mut sockets {
                let _ = socket.write(&frames);
            }
        }
    });
    cost.report("frames from 20 WebSockets that read no answer", 60);
}

#[test]
fn small_frames_that_become_large() {
    let server = Server::start(&["--live-compression=true", "--live-message-bytes-max=65536"]);
    let cost = server.under(|address, until| {
        // A stored block of zeros, over and over: deflate's cheapest way to grow a thousandfold.
        let bomb = bomb(8 << 20);
        assert!(bomb.len() < 16 << 10, "{}", bomb.len());
        let frame = masked(0xc1, &bomb);
        let mut closed = 0;
        while Instant::now() < until {
            let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
            for mut socket in websockets(address, 10, offer) {
                socket.write_all(&frame).unwrap();
                let mut answer = Vec::new();
                let _ = socket.read_to_end(&mut answer);
                // 1009: too large.
                closed += usize::from(answer.windows(2).any(|pair| pair == [0x03, 0xf1]));
            }
        }
        assert!(closed > 0, "each is refused for what comes out of it");
    });
    cost.report("compressed messages of 8 KB that hold 8 MB", 40);
}

#[test]
fn sockets_of_other_pages() {
    let server = Server::start(&["--origins=https://good.example"]);
    let cost = server.under(|address, until| {
        let mut refused = 0;
        while Instant::now() < until {
            let request = upgrade("Origin: https://evil.example\r\n");
            assert!(ask(address, &request).starts_with("HTTP/1.1 403 "));
            refused += 1;
        }
        assert!(ask(address, &upgrade("Origin: https://good.example\r\n")).contains(" 101 "));
        assert!(refused > 10, "{refused}");
    });
    cost.report("WebSockets asked for by pages of another origin", 40);
}

#[test]
fn guesses_of_keys_and_names() {
    let server = Server::start(&["--api-keys=*:admin:the-right-one"]);
    let cost = server.under(|address, until| {
        let mut number = 0_u64;
        let mut socket = TcpStream::connect(address).unwrap();
        while Instant::now() < until {
            number = number
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let id = format!("{:012x}", number >> 16);
            for (path, field) in [
                (format!("/v1/channels/{id}"), String::new()),
                (
                    format!("/v1/channels/{id}/events"),
                    format!("Authorization: ApiKey {id}\r\n"),
                ),
                (
                    format!("/v1/stream/{id}"),
                    format!("Authorization: Bearer e.{id}.x\r\n"),
                ),
                (format!("/n/ns{id}/v1/stream/a"), String::new()),
                (
                    format!("/v1/stream/__channel__/{id}?token={id}"),
                    String::new(),
                ),
            ] {
                let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n{field}\r\n");
                socket.write_all(request.as_bytes()).unwrap();
                let (status, body) = answer(&mut socket);
                assert_eq!(status, 401, "{path}: {body}");
            }
        }
    });
    cost.report("guessed ids, keys, tokens and namespaces", 40);
}

/// What an attack did to others.
struct Cost {
    latencies: Vec<Duration>,
    calm: Vec<Duration>,
    memory_before: u64,
    memory_most: u64,
}

impl Cost {
    /// Prints it, and checks that it is bearable.
    #[track_caller]
    fn report(mut self, attack: &str, memory_mb_max: u64) {
        let quantile = |times: &mut Vec<Duration>, part: f64| {
            times.sort();
            times[((times.len() - 1) as f64 * part) as usize]
        };
        let (calm, calm_p99) = (
            quantile(&mut self.calm, 0.5),
            quantile(&mut self.calm, 0.99),
        );
        let p50 = quantile(&mut self.latencies, 0.5);
        let p99 = quantile(&mut self.latencies, 0.99);
        let grown = self.memory_most.saturating_sub(self.memory_before) >> 20;
        println!(
            "{attack}: an append of somebody else takes {p50:?}, p99 {p99:?} (before {calm:?}, \
             {calm_p99:?}); memory grows by {grown} MB from {} MB",
            self.memory_before >> 20
        );
        assert!(p99 < PATIENCE, "{p99:?}");
        assert!(grown <= memory_mb_max, "{grown} MB");
    }
}

struct Server {
    child: Child,
    address: SocketAddr,
    key: String,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start(settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_floe"))
            .args([
                "serve",
                "--listen=127.0.0.1:0",
                "--log-format=json",
                "--data",
            ])
            .arg(folder.path())
            .args(settings)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let address = loop {
            let mut line = String::new();
            assert!(
                log.read_line(&mut line).unwrap() > 0,
                "the server did not start"
            );
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            if let Some(address) = line["address"].as_str() {
                break address.parse().unwrap();
            }
        };
        let keys = settings
            .iter()
            .find_map(|flag| flag.strip_prefix("--api-keys=*:admin:"));
        Self {
            child,
            address,
            key: keys.unwrap_or_default().to_owned(),
            _folder: folder,
        }
    }

    /// Attacks, while somebody else appends on a connection of their own.
    fn under(&self, attack: impl FnOnce(SocketAddr, Instant) + Send) -> Cost {
        let field = match self.key.as_str() {
            "" => String::new(),
            key => format!("Authorization: Bearer {key}\r\n"),
        };
        let mut witness = TcpStream::connect(self.address).unwrap();
        witness.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut send = |request: &str| {
            let began = Instant::now();
            witness.write_all(request.as_bytes()).unwrap();
            let (status, body) = answer(&mut witness);
            assert!(status < 300, "somebody else got {status}: {body}");
            began.elapsed()
        };
        let head = format!("Host: a\r\nContent-Type: text/plain\r\n{field}");
        send(&format!("PUT /v1/stream/theirs HTTP/1.1\r\n{head}\r\n"));
        let append =
            format!("POST /v1/stream/theirs HTTP/1.1\r\n{head}Content-Length: 5\r\n\r\nhello");
        let calm = (0..200).map(|_| send(&append)).collect();
        let memory_before = self.memory();
        let over = Arc::new(AtomicBool::new(false));
        let mut latencies = Vec::new();
        let mut memory_most = memory_before;
        thread::scope(|scope| {
            let ended = Arc::clone(&over);
            let address = self.address;
            let attacker = scope.spawn(move || {
                attack(address, Instant::now() + ATTACK);
                ended.store(true, Ordering::Relaxed);
            });
            while !over.load(Ordering::Relaxed) && !attacker.is_finished() {
                latencies.push(send(&append));
                memory_most = memory_most.max(self.memory());
                thread::sleep(Duration::from_millis(2));
            }
            attacker.join().unwrap();
        });
        latencies.push(send(&append));
        Cost {
            latencies,
            calm,
            memory_before,
            memory_most,
        }
    }

    /// Bytes of the server that are in memory.
    fn memory(&self) -> u64 {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id())).unwrap();
        let pages = statm.split(' ').nth(1).unwrap();
        pages.parse::<u64>().unwrap() * 4_096
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect_all(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let sockets = (0..count).map(|_| {
        let socket = TcpStream::connect(address).unwrap();
        socket
            .set_write_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        socket
    });
    sockets.collect()
}

fn upgrade(fields: &str) -> String {
    format!(
        "GET /v1/live HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
    )
}

fn websockets(address: SocketAddr, count: usize, fields: &str) -> Vec<TcpStream> {
    let mut sockets = connect_all(address, count);
    for socket in &mut sockets {
        socket.write_all(upgrade(fields).as_bytes()).unwrap();
        assert_eq!(head(socket).split(' ').nth(1), Some("101"));
    }
    sockets
}

/// Returns a frame as a client sends it, masked with a key of zeros.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..126 => frame.push(0x80 | len as u8),
        len => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// Compresses zeros, as permessage-deflate has it: without the four bytes at the end.
fn bomb(bytes: usize) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&vec![0; bytes]).unwrap();
    encoder.flush().unwrap();
    let mut packed = encoder.get_ref().clone();
    assert!(packed.ends_with(&[0, 0, 0xff, 0xff]));
    packed.truncate(packed.len() - 4);
    packed
}

fn ask(address: SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.write_all(request.as_bytes()).unwrap();
    head(&mut socket)
}

/// Reads the head of an answer.
fn head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Reads an answer whose length is said.
fn answer(socket: &mut TcpStream) -> (u16, String) {
    let head = head(socket);
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    socket.read_exact(&mut body).unwrap();
    (status, String::from_utf8_lossy(&body).into_owned())
}
