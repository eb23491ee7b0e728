//! Requests as bytes.

use std::fmt::Write as _;

/// A request on its way to the wire.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    chunks: Option<usize>,
}

pub fn get(target: &str) -> Request {
    Request::new("GET", target)
}

pub fn head(target: &str) -> Request {
    Request::new("HEAD", target)
}

pub fn put(target: &str) -> Request {
    Request::new("PUT", target)
}

pub fn post(target: &str) -> Request {
    Request::new("POST", target)
}

pub fn delete(target: &str) -> Request {
    Request::new("DELETE", target)
}

pub fn patch(target: &str) -> Request {
    Request::new("PATCH", target)
}

pub fn options(target: &str) -> Request {
    Request::new("OPTIONS", target)
}

impl Request {
    /// Makes a request for a stream by its name, or for a path that begins with a slash.
    pub fn new(method: &str, target: &str) -> Self {
        let target = if target.starts_with('/') {
            target.to_owned()
        } else {
            format!("/v1/stream/{target}")
        };
        Self {
            method: method.to_owned(),
            target,
            fields: Vec::new(),
            body: Vec::new(),
            chunks: None,
        }
    }

    pub fn field(mut self, name: &str, value: impl ToString) -> Self {
        self.fields.push((name.to_owned(), value.to_string()));
        self
    }

    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    /// Adds a body of plain text.
    pub fn text(self, body: &str) -> Self {
        self.field("Content-Type", "text/plain").body(body)
    }

    /// Adds a body of JSON.
    pub fn json(self, body: &str) -> Self {
        self.field("Content-Type", "application/json").body(body)
    }

    /// Adds a body of JSON.
    pub fn value(self, body: &serde_json::Value) -> Self {
        self.json(&body.to_string())
    }

    /// Shows an API key.
    pub fn key(self, key: &str) -> Self {
        self.field("Authorization", format!("ApiKey {key}"))
    }

    /// Shows the token of a channel.
    pub fn token(self, token: &str) -> Self {
        self.field("X-Channel-Token", token)
    }

    pub fn content_type(self, value: &str) -> Self {
        self.field("Content-Type", value)
    }

    pub fn closed(self) -> Self {
        self.field("Stream-Closed", "true")
    }

    pub fn producer(self, id: &str, epoch: u64, seq: u64) -> Self {
        self.field("Producer-Id", id)
            .field("Producer-Epoch", epoch)
            .field("Producer-Seq", seq)
    }

    /// Sends the body in chunks of this size.
    pub fn chunked(mut self, bytes: usize) -> Self {
        self.chunks = Some(bytes);
        self
    }

    /// Returns the request as HTTP/1.1.
    pub fn bytes(&self) -> Vec<u8> {
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: floe.test\r\n",
            self.method, self.target
        );
        for (name, value) in &self.fields {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        let mut bytes = match self.chunks {
            Some(_) => head + "Transfer-Encoding: chunked\r\n\r\n",
            None if self.body.is_empty() && self.method != "POST" => head + "\r\n",
            None => format!("{head}Content-Length: {}\r\n\r\n", self.body.len()),
        }
        .into_bytes();
        let Some(size) = self.chunks else {
            bytes.extend_from_slice(&self.body);
            return bytes;
        };
        for chunk in self.body.chunks(size) {
            bytes.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        bytes
    }
}
