//! A streams server in one file, with faults on request: what the tests of this crate talk to.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// What goes wrong next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "each test file uses some of it")]
pub enum Fault {
    /// The request is served, but the connection closes instead of the answer.
    LoseAnswer,
    /// The request is answered 503 and not served.
    Overloaded,
    /// An SSE answer ends after its next event.
    EndEvents,
    /// A live reader skips the next message.
    SkipMessage,
}

/// A server on a port of its own, until the process ends.
#[derive(Clone)]
pub struct SmallServer {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

impl SmallServer {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            shared: Arc::default(),
        };
        let accepting = server.clone();
        thread::spawn(move || {
            for socket in listener.incoming() {
                let server = accepting.clone();
                thread::spawn(move || server.serve(&socket.unwrap()));
            }
        });
        server
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets `fault` happen at the next occasion, after those asked for before.
    #[allow(dead_code, reason = "each test file uses some of it")]
    pub fn inject(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }

    fn serve(&self, socket: &TcpStream) -> Option<()> {
        socket.set_nodelay(true).ok()?;
        let mut reader = BufReader::new(socket);
        loop {
            let request = Request::read(&mut reader)?;
            if self.state().take_fault(Fault::Overloaded) {
                let body = r#"{"code":"OVERLOADED","message":"busy"}"#;
                answer(socket, 503, "", body.as_bytes())?;
                continue;
            }
            match request.method.as_str() {
                "GET" if request.query("live") == Some("sse") => {
                    self.serve_events(socket, &request)?;
                }
                _ => self.serve_one(socket, &request)?,
            }
        }
    }

    fn serve_one(&self, socket: &TcpStream, request: &Request) -> Option<()> {
        let (status, headers, body) = match request.method.as_str() {
            "PUT" => self.put(request),
            "POST" => self.post(request),
            "DELETE" => match self.state().streams.remove(&request.path) {
                Some(_) => (204, String::new(), Vec::new()),
                None => missing(),
            },
            _ => self.get(request),
        };
        self.shared.changed.notify_all();
        if request.method == "POST" && self.state().take_fault(Fault::LoseAnswer) {
            return None;
        }
        match request.method.as_str() {
            "HEAD" => answer(socket, status, &headers, b""),
            _ => answer(socket, status, &headers, &body),
        }
    }

    fn put(&self, request: &Request) -> Answer {
        let mut state = self.state();
        let content_type = request.header("content-type");
        let status = match state.streams.get(&request.path) {
            None => 201,
            Some(stream) if stream.content_type == content_type => 200,
            Some(_) => return refuse(409, "EXISTS", ""),
        };
        let stream = state.streams.entry(request.path.clone()).or_default();
        stream.content_type = content_type;
        if !request.body.is_empty() {
            stream.messages.push(request.body.clone());
        }
        (status, stream.headers(), Vec::new())
    }

    fn post(&self, request: &Request) -> Answer {
        let mut state = self.state();
        let Some(stream) = state.streams.get_mut(&request.path) else {
            return missing();
        };
        let producer = request.header("producer-id");
        if !producer.is_empty() {
            let number = |name| request.header(name).parse::<u64>().unwrap();
            let (epoch, sequence) = (number("producer-epoch"), number("producer-seq"));
            let last = stream.producers.get(&producer).copied();
            match last {
                Some((known, _)) if epoch < known => {
                    return refuse(
                        403,
                        "PRODUCER_FENCED",
                        &format!("producer-epoch: {known}\r\n"),
                    );
                }
                Some((known, last)) if epoch == known && sequence <= last => {
                    return (204, stream.headers(), Vec::new());
                }
                Some((known, last)) if epoch == known && sequence != last + 1 => {
                    let expected = format!("producer-expected-seq: {}\r\n", last + 1);
                    return refuse(409, "PRODUCER_GAP", &expected);
                }
                Some(_) | None => {}
            }
            if stream.is_closed {
                return refuse(409, "CLOSED", &stream.headers());
            }
            stream.producers.insert(producer.clone(), (epoch, sequence));
        } else if stream.is_closed && !request.body.is_empty() {
            return refuse(409, "CLOSED", &stream.headers());
        }
        if !request.body.is_empty() {
            stream.messages.push(request.body.clone());
        }
        stream.is_closed |= request.header("stream-closed") == "true";
        let status = if producer.is_empty() { 204 } else { 200 };
        (status, stream.headers(), Vec::new())
    }

    fn get(&self, request: &Request) -> Answer {
        let mut state = self.state();
        loop {
            let Some(stream) = state.streams.get(&request.path) else {
                return missing();
            };
            let from = stream.place(request.query("offset"));
            let is_poll = request.query("live") == Some("long-poll");
            if !is_poll || from < stream.messages.len() || stream.is_closed {
                let body = stream.body(from, stream.messages.len());
                let status = if is_poll && body.is_empty() { 204 } else { 200 };
                return (
                    status,
                    stream.headers() + "stream-up-to-date: true\r\n",
                    body,
                );
            }
            state = self.shared.changed.wait(state).unwrap();
        }
    }

    fn serve_events(&self, mut socket: &TcpStream, request: &Request) -> Option<()> {
        let mut state = self.state();
        let stream = state.streams.get(&request.path)?;
        let mut at = stream.place(request.query("offset"));
        let is_text = stream.content_type.starts_with("text/") || stream.is_json();
        let encoding = match is_text {
            true => "",
            false => "stream-sse-data-encoding: base64\r\n",
        };
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n";
        socket
            .write_all(format!("{head}{encoding}\r\n").as_bytes())
            .ok()?;
        let mut is_first = true;
        loop {
            let stream = state.streams.get(&request.path)?;
            let tail = stream.messages.len();
            if at < tail || stream.is_closed || is_first {
                let mut event = Vec::new();
                if at < tail {
                    put_data_event(&mut event, &stream.body(at, at + 1), is_text);
                    at += 1;
                }
                is_first = false;
                let is_end = stream.is_closed && at == tail;
                let (closed, up_to_date) = (is_end, at == tail);
                let control = format!(
                    "event: control\ndata:{{\"streamNextOffset\":\"{at:04}\",\"upToDate\":{up_to_date},\"streamClosed\":{closed}}}\n\n"
                );
                event.extend_from_slice(control.as_bytes());
                if state.take_fault(Fault::SkipMessage) {
                    at += 1;
                }
                let cut = state.take_fault(Fault::EndEvents);
                drop(state);
                write!(socket, "{:x}\r\n", event.len()).ok()?;
                socket.write_all(&event).ok()?;
                socket.write_all(b"\r\n").ok()?;
                if is_end || cut {
                    return socket.write_all(b"0\r\n\r\n").ok();
                }
                state = self.state();
                continue;
            }
            let wait = Duration::from_millis(50);
            state = self.shared.changed.wait_timeout(state, wait).unwrap().0;
        }
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    streams: HashMap<String, Stream>,
    faults: Vec<Fault>,
}

impl State {
    fn take_fault(&mut self, fault: Fault) -> bool {
        let is_next = self.faults.first() == Some(&fault);
        if is_next {
            self.faults.remove(0);
        }
        is_next
    }
}

#[derive(Default)]
struct Stream {
    content_type: String,
    messages: Vec<Vec<u8>>,
    producers: HashMap<String, (u64, u64)>,
    is_closed: bool,
}

impl Stream {
    fn is_json(&self) -> bool {
        self.content_type == "application/json"
    }

    fn headers(&self) -> String {
        let closed = if self.is_closed {
            "stream-closed: true\r\n"
        } else {
            ""
        };
        format!(
            "content-type: {}\r\nstream-next-offset: {:04}\r\n{closed}",
            self.content_type,
            self.messages.len()
        )
    }

    fn place(&self, offset: Option<&str>) -> usize {
        match offset {
            None | Some("-1") => 0,
            Some("now") => self.messages.len(),
            Some(text) => text.parse().unwrap(),
        }
    }

    fn body(&self, from: usize, to: usize) -> Vec<u8> {
        match self.is_json() {
            true => [b"[", &self.messages[from..to].join(&b","[..])[..], b"]"].concat(),
            false => self.messages[from..to].concat(),
        }
    }
}

struct Request {
    method: String,
    path: String,
    query: String,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

impl Request {
    fn read(reader: &mut impl BufRead) -> Option<Self> {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let mut words = line.split_whitespace();
        let (method, target) = (words.next()?.to_owned(), words.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut request = Self {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            headers: HashMap::new(),
            body: Vec::new(),
        };
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            request
                .headers
                .insert(name.to_lowercase(), value.to_owned());
        }
        let len = request.header("content-length").parse().unwrap_or(0);
        request.body.resize(len, 0);
        reader.read_exact(&mut request.body).ok()?;
        Some(request)
    }

    fn header(&self, name: &str) -> String {
        self.headers.get(name).cloned().unwrap_or_default()
    }

    fn query(&self, name: &str) -> Option<&str> {
        self.query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

type Answer = (u16, String, Vec<u8>);

fn missing() -> Answer {
    refuse(404, "NOT_FOUND", "")
}

fn refuse(status: u16, code: &str, headers: &str) -> Answer {
    let body = format!("{{\"code\":\"{code}\",\"message\":\"\"}}");
    (status, headers.to_owned(), body.into_bytes())
}

fn answer(mut socket: &TcpStream, status: u16, headers: &str, body: &[u8]) -> Option<()> {
    let length = match status {
        204 => String::new(),
        _ => format!("content-length: {}\r\n", body.len()),
    };
    let head = format!("HTTP/1.1 {status} X\r\n{headers}{length}\r\n");
    socket.write_all(&[head.as_bytes(), body].concat()).ok()
}

fn put_data_event(event: &mut Vec<u8>, data: &[u8], is_text: bool) {
    use base64::Engine;
    event.extend_from_slice(b"event: data\n");
    let text = match is_text {
        true => String::from_utf8(data.to_vec()).unwrap(),
        false => base64::engine::general_purpose::STANDARD.encode(data),
    };
    for line in text.split('\n') {
        event.extend_from_slice(format!("data:{line}\n").as_bytes());
    }
    event.push(b'\n');
}
