//! Requests, written straight into a connection's buffer.

use super::meter::Kind;
use super::record::{FILLER, Record};
use super::target::{Target, put_decimal};

/// What the messages of a run look like on the wire.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// Content type of the streams.
    pub(crate) content_type: String,
    /// Bytes of one message with its quotes or line end.
    pub(crate) message_bytes: usize,
    /// Messages in one request.
    pub(crate) batch: usize,
}

impl Shape {
    /// Bytes of one request's body.
    pub(crate) fn body_bytes(&self) -> usize {
        let framing = match self.framing() {
            Framing::Json if self.batch > 1 => self.batch + 1,
            Framing::Json | Framing::Line | Framing::Bare => 0,
        };
        self.message_bytes * self.batch + framing
    }

    /// Returns whether a message can hold a record.
    pub(crate) fn holds_record(&self) -> bool {
        self.message_bytes >= Record::LEN + self.framing_bytes()
    }

    /// Appends one request's body, each message written by `put` into the bytes it may fill.
    pub(crate) fn put_body(&self, out: &mut Vec<u8>, mut put: impl FnMut(&mut Vec<u8>, usize)) {
        let framing = self.framing();
        let fill = self.message_bytes.saturating_sub(self.framing_bytes());
        let array = self.batch > 1 && framing == Framing::Json;
        if array {
            out.push(b'[');
        }
        for at in 0..self.batch {
            if array && at > 0 {
                out.push(b',');
            }
            if framing == Framing::Json {
                out.push(b'"');
            }
            put(out, fill);
            match framing {
                Framing::Json => out.push(b'"'),
                Framing::Line => out.push(b'\n'),
                Framing::Bare => {}
            }
        }
        if array {
            out.push(b']');
        }
    }

    fn framing(&self) -> Framing {
        if self.content_type.eq_ignore_ascii_case("application/json") {
            Framing::Json
        } else if self.content_type.starts_with("text/") {
            Framing::Line
        } else {
            Framing::Bare
        }
    }

    fn framing_bytes(&self) -> usize {
        match self.framing() {
            Framing::Json => 2,
            Framing::Line => 1,
            Framing::Bare => 0,
        }
    }
}

/// How the messages of one body are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// A JSON string each, several as one array.
    Json,
    /// A line each.
    Line,
    /// Not at all.
    Bare,
}

/// Requests that append messages of one size.
pub(crate) trait Appends {
    /// Appends the request for stream or channel `number`, each message written by `put` into the
    /// bytes that it may fill.
    fn put(&self, out: &mut Vec<u8>, number: u64, put: &mut dyn FnMut(&mut Vec<u8>, usize));
    /// Messages of one request.
    fn messages(&self) -> u64;
    /// Bytes of one request's body.
    fn body_bytes(&self) -> u64;
    /// What an answered request is counted as.
    fn kind(&self) -> Kind {
        Kind::Append
    }
}

/// Appends to streams.
#[derive(Debug, Clone)]
pub(crate) struct StreamAppends {
    template: RequestTemplate,
    shape: Shape,
}

impl StreamAppends {
    pub(crate) fn new(target: &Target, shape: Shape) -> Self {
        Self {
            template: RequestTemplate::append(target, &shape),
            shape,
        }
    }
}

impl Appends for StreamAppends {
    fn put(&self, out: &mut Vec<u8>, number: u64, put: &mut dyn FnMut(&mut Vec<u8>, usize)) {
        self.template.put(out, number);
        self.shape.put_body(out, put);
    }

    fn messages(&self) -> u64 {
        self.shape.batch as u64
    }

    fn body_bytes(&self) -> u64 {
        self.shape.body_bytes() as u64
    }
}

/// Everything of a request's head but its path, formatted once.
#[derive(Debug, Clone)]
pub(crate) struct RequestTemplate {
    before: Vec<u8>,
    after: Vec<u8>,
}

impl RequestTemplate {
    /// A POST of one body of `shape`.
    pub(crate) fn append(target: &Target, shape: &Shape) -> Self {
        let headers = format!(
            "Content-Type: {}\r\nContent-Length: {}\r\n",
            shape.content_type,
            shape.body_bytes()
        );
        Self::new("POST", target, "", &headers)
    }

    /// A PUT without a body.
    pub(crate) fn create(target: &Target, content_type: &str) -> Self {
        let headers = format!("Content-Type: {content_type}\r\nContent-Length: 0\r\n");
        Self::new("PUT", target, "", &headers)
    }

    /// A DELETE.
    pub(crate) fn delete(target: &Target) -> Self {
        Self::new("DELETE", target, "", "")
    }

    /// Appends the head for stream `number`.
    pub(crate) fn put(&self, out: &mut Vec<u8>, number: u64) {
        out.extend_from_slice(&self.before);
        put_decimal(out, number);
        out.extend_from_slice(&self.after);
    }

    fn new(method: &str, target: &Target, query: &str, headers: &str) -> Self {
        let (prefix, fields) = (&target.path_prefix, &target.fields);
        Self {
            before: format!("{method} {prefix}").into_bytes(),
            after: format!("{query} HTTP/1.1\r\n{fields}\r\n{headers}\r\n").into_bytes(),
        }
    }
}

/// Appends a GET from `offset` with the rest of the query, such as `&live=sse`.
pub(crate) fn put_get(
    out: &mut Vec<u8>,
    target: &Target,
    number: u64,
    offset: &[u8],
    rest: &[&[u8]],
) {
    let mut path = Vec::new();
    target.put_path(&mut path, number);
    put_get_path(out, target, &path, offset, rest);
}

/// Appends a GET of a stream by its path, otherwise as [`put_get`].
pub(crate) fn put_get_path(
    out: &mut Vec<u8>,
    target: &Target,
    path: &[u8],
    offset: &[u8],
    rest: &[&[u8]],
) {
    out.extend_from_slice(b"GET ");
    out.extend_from_slice(path);
    out.extend_from_slice(b"?offset=");
    out.extend_from_slice(offset);
    for part in rest {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    out.extend_from_slice(target.fields.as_bytes());
    out.extend_from_slice(b"\r\n\r\n");
}

/// Appends filler of a given length.
pub(crate) fn put_filler(out: &mut Vec<u8>, bytes: usize) {
    out.resize(out.len() + bytes, FILLER);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_the_length_that_the_head_says() {
        for content_type in ["application/json", "text/plain", "application/octet-stream"] {
            for batch in [1, 2, 5] {
                let shape = Shape {
                    content_type: content_type.into(),
                    message_bytes: 40,
                    batch,
                };
                let mut body = Vec::new();
                shape.put_body(&mut body, put_filler);
                assert_eq!(body.len(), shape.body_bytes(), "{content_type} {batch}");
            }
        }
    }

    #[test]
    fn a_json_batch_is_one_array() {
        let shape = Shape {
            content_type: "application/json".into(),
            message_bytes: 4,
            batch: 2,
        };
        let mut body = Vec::new();
        shape.put_body(&mut body, put_filler);
        assert_eq!(body, b"[\"xx\",\"xx\"]");
    }

    #[test]
    fn an_append_names_stream_type_and_length() {
        let target = Target::parse("http://127.0.0.1:1", "r").unwrap();
        let shape = Shape {
            content_type: "text/plain".into(),
            message_bytes: 9,
            batch: 1,
        };
        let mut out = Vec::new();
        RequestTemplate::append(&target, &shape).put(&mut out, 12);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "POST /v1/stream/r-12 HTTP/1.1\r\nHost: 127.0.0.1:1\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\n"
        );
    }
}
