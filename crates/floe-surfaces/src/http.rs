//! What all HTTP surfaces share: routes, the head of an answer, errors, CORS.

use std::borrow::Cow;

use floe_proto::{Code, Namespace, ParseNamespaceError, Retry};

use crate::limits::Pace;

/// Method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// HEAD
    Head,
    /// PUT
    Put,
    /// POST
    Post,
    /// PATCH
    Patch,
    /// DELETE
    Delete,
    /// OPTIONS
    Options,
    /// Any other.
    Other,
}

impl Method {
    /// Reads a method as written in a request line.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "PUT" => Self::Put,
            "POST" => Self::Post,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            _ => Self::Other,
        }
    }
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route<'a> {
    /// A stream, by its percent-decoded path; not empty.
    Stream(Cow<'a, [u8]>),
    /// A reserved route of the streams protocol: the raw path after `__ds/`.
    Reserved(&'a str),
    /// `/healthz`, also `/health`
    Health,
    /// `/v1/health`: what is given up under load.
    Load,
    /// `/metrics`
    Metrics,
    /// `/`
    Root,
    /// `/room`
    Room,
    /// `/chat`
    Chat,
    /// `/board`
    Board,
    /// `/voice`
    Voice,
    /// `/voice.js`: the module of that page.
    VoiceModule,
    /// None of these. Paths of [`channels`](crate::channels::owns) are not read here.
    Unknown,
}

/// Takes the namespace off a path that names one: `/n/acme/v1/…` is `/v1/…` in `acme`.
///
/// # Errors
/// A namespace that cannot be one.
pub fn split_namespace(path: &str) -> Result<(Option<Namespace>, &str), ParseNamespaceError> {
    let Some(rest) = path.strip_prefix("/n/") else {
        return Ok((None, path));
    };
    let end = rest.find('/').unwrap_or(rest.len());
    let (name, path) = rest.split_at(end);
    let path = if path.is_empty() { "/" } else { path };
    Ok((Some(name.parse()?), path))
}

/// Path under which streams are found.
pub const STREAM_ROOT: &str = "/v1/stream/";

impl<'a> Route<'a> {
    /// Reads the path of a request target, without its query.
    #[must_use]
    pub fn parse(path: &'a str) -> Self {
        if let Some(name) = path.strip_prefix(STREAM_ROOT) {
            return match name.strip_prefix("__ds") {
                Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                    Self::Reserved(rest.trim_start_matches('/'))
                }
                Some(_) | None => decode(name).map_or(Self::Unknown, Self::Stream),
            };
        }
        match path {
            "/healthz" | "/health" => Self::Health,
            "/v1/health" => Self::Load,
            "/metrics" => Self::Metrics,
            "/" => Self::Root,
            "/room" => Self::Room,
            "/board" => Self::Board,
            "/chat" => Self::Chat,
            "/voice" => Self::Voice,
            "/voice.js" => Self::VoiceModule,
            _ => Self::Unknown,
        }
    }
}

/// Percent-decodes a stream path; `None` when it is empty or a percent sign stands alone.
#[must_use]
pub fn decode(text: &str) -> Option<Cow<'_, [u8]>> {
    if text.is_empty() {
        return None;
    }
    if !text.contains('%') {
        return Some(Cow::Borrowed(text.as_bytes()));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            decoded.push(
                u8::from_str_radix(digits, 16)
                    .ok()
                    .filter(|_| !digits.starts_with('+'))?,
            );
            rest = &after[2..];
        } else {
            decoded.push(*first);
            rest = after;
        }
    }
    Some(Cow::Owned(decoded))
}

/// Why a request was not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The code on the wire.
    pub code: Code,
    /// What is wrong, for a person.
    pub message: Cow<'static, str>,
}

impl Reject {
    pub(crate) fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidRequest, message)
    }
}

/// Which pages a browser lets read an answer (CORS).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cors<'a> {
    /// All may, and the request came from none: nothing need be said.
    Unasked,
    /// All may.
    Anyone,
    /// Those of this origin may: a list has it, and the request came from there.
    Listed(&'a str),
    /// There is a list, and the request came from no page of it. Caches learn that another answer
    /// is for others.
    Unlisted,
}

impl Cors<'_> {
    /// Makes an answer that may be kept for others say what holds for them, whoever asked.
    #[must_use]
    pub const fn said(self) -> Self {
        match self {
            Self::Unasked => Self::Anyone,
            Self::Anyone | Self::Listed(_) | Self::Unlisted => self,
        }
    }

    fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Unasked => {}
            Self::Anyone => {
                out.extend_from_slice(b"Access-Control-Allow-Origin: *\r\n");
                out.extend_from_slice(EXPOSED);
            }
            Self::Listed(origin) => {
                out.extend_from_slice(b"Access-Control-Allow-Origin: ");
                write_foreign(out, origin);
                out.extend_from_slice(b"\r\n");
                out.extend_from_slice(EXPOSED);
                out.extend_from_slice(VARIES);
            }
            Self::Unlisted => out.extend_from_slice(VARIES),
        }
    }
}

/// What a host knows about the answer besides its content.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// Value of the `Date` field.
    pub date: &'a str,
    /// Which pages may read the answer.
    pub cors: Cors<'a>,
    /// Whether the connection ends with this answer.
    pub close: bool,
    /// Whether the request was a HEAD, which is answered without a body.
    pub head: bool,
    /// How fast whoever asked may go on.
    pub pace: Pace,
}

impl Envelope<'_> {
    /// Returns it for an answer that says which pages may read it, whoever asked.
    #[must_use]
    pub const fn said(self) -> Self {
        Self {
            cors: self.cors.said(),
            ..self
        }
    }

    /// Returns the value of `Retry-After` of a failure, if it has one.
    #[must_use]
    pub fn retry_after(&self, code: Code) -> Option<u64> {
        let later = code.retry() == Retry::Later && matches!(code.http_status(), 429 | 503 | 507);
        later.then_some(u64::from(self.pace.retry_after_s).max(1))
    }
}

/// Writes the head of one answer, field by field.
#[derive(Debug)]
pub struct Answer<'a> {
    out: &'a mut Vec<u8>,
    head_only: bool,
}

impl<'a> Answer<'a> {
    /// Starts an answer with `status` and the fields that every answer has.
    pub fn start(out: &'a mut Vec<u8>, envelope: &Envelope<'_>, status: u16) -> Self {
        out.extend_from_slice(status_line(status).as_bytes());
        out.extend_from_slice(b"Date: ");
        out.extend_from_slice(envelope.date.as_bytes());
        out.extend_from_slice(ALWAYS);
        envelope.cors.write(out);
        if envelope.close {
            out.extend_from_slice(b"Connection: close\r\n");
        }
        envelope.pace.write(out);
        Self {
            out,
            head_only: envelope.head,
        }
    }

    /// Adds a field. `value` holds no control characters; see [`Answer::foreign`] for one that may.
    pub fn field(self, name: &str, value: &[u8]) -> Self {
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b": ");
        self.out.extend_from_slice(value);
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// Adds a field whose value came from outside, without the bytes that would end it.
    pub fn foreign(self, name: &str, value: &str) -> Self {
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b": ");
        write_foreign(self.out, value);
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// Adds a field with a number.
    pub fn number(self, name: &str, value: u64) -> Self {
        let mut digits = [0; 20];
        let at = decimal(value, &mut digits);
        self.field(name, &digits[at..])
    }

    /// Adds a field if there is a value.
    pub fn maybe(self, name: &str, value: Option<&[u8]>) -> Self {
        match value {
            Some(value) => self.field(name, value),
            None => self,
        }
    }

    /// Ends the head of an answer without a body.
    pub fn no_body(self, status_forbids_length: bool) {
        let this = if status_forbids_length {
            self
        } else {
            self.number("Content-Length", 0)
        };
        this.out.extend_from_slice(b"\r\n");
    }

    /// Ends the head; `len` bytes of body follow.
    pub fn body_follows(self, len: u64) {
        self.number("Content-Length", len)
            .out
            .extend_from_slice(b"\r\n");
    }

    /// Ends the head; a body in chunks follows.
    pub fn chunks_follow(self) {
        self.out
            .extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
    }

    /// Ends the head and adds the body, unless the request was a HEAD.
    pub fn body(self, body: &[u8]) {
        let head_only = self.head_only;
        let this = self.number("Content-Length", body.len() as u64);
        this.out.extend_from_slice(b"\r\n");
        if !head_only {
            this.out.extend_from_slice(body);
        }
    }
}

/// Writes the answer to a request that failed.
pub fn error(out: &mut Vec<u8>, envelope: &Envelope<'_>, code: Code, message: &str) {
    error_with(out, envelope, code, message, |answer| answer);
}

/// Writes the answer to a request that failed, with fields of its own.
pub fn error_with<'a>(
    out: &'a mut Vec<u8>,
    envelope: &Envelope<'_>,
    code: Code,
    message: &str,
    fields: impl FnOnce(Answer<'a>) -> Answer<'a>,
) {
    let mut body = Vec::with_capacity(64 + message.len());
    body.extend_from_slice(b"{\"code\":\"");
    body.extend_from_slice(code.as_str().as_bytes());
    body.extend_from_slice(b"\",\"message\":");
    // A string always serializes.
    let _ = serde_json::to_writer(&mut body, message);
    body.push(b'}');
    let answer = Answer::start(out, envelope, code.http_status())
        .field("Content-Type", b"application/json")
        .field("Cache-Control", b"no-store");
    let answer = match envelope.retry_after(code) {
        Some(seconds) => answer.number("Retry-After", seconds),
        None => answer,
    };
    fields(answer).body(&body);
}

/// Writes the answer to a CORS preflight.
pub fn preflight(out: &mut Vec<u8>, envelope: &Envelope<'_>) {
    preflight_for(out, envelope, ALLOW_METHODS, ALLOW_HEADERS);
}

/// Writes the answer to a CORS preflight of a surface that takes these methods and fields. A page
/// that may not read what comes of its request is told nothing, and sends none.
pub(crate) fn preflight_for(
    out: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    methods: &[u8],
    fields: &[u8],
) {
    let envelope = envelope.said();
    let answer = Answer::start(out, &envelope, 204);
    let answer = match envelope.cors {
        Cors::Unlisted => answer,
        Cors::Unasked | Cors::Anyone | Cors::Listed(_) => answer
            .field("Access-Control-Allow-Methods", methods)
            .field("Access-Control-Allow-Headers", fields)
            .field("Access-Control-Max-Age", b"86400"),
    };
    answer.no_body(true);
}

/// Writes a value that came from outside, without the bytes that would end its field.
fn write_foreign(out: &mut Vec<u8>, value: &str) {
    out.extend(value.bytes().filter(|byte| *byte >= b' ' && *byte != 0x7f));
}

/// Writes `value` at the end of `digits` and returns where it begins.
pub(crate) fn decimal(mut value: u64, digits: &mut [u8; 20]) -> usize {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return at;
        }
    }
}

fn status_line(status: u16) -> &'static str {
    match status {
        101 => "HTTP/1.1 101 Switching Protocols\r\n",
        200 => "HTTP/1.1 200 OK\r\n",
        201 => "HTTP/1.1 201 Created\r\n",
        202 => "HTTP/1.1 202 Accepted\r\n",
        204 => "HTTP/1.1 204 No Content\r\n",
        206 => "HTTP/1.1 206 Partial Content\r\n",
        304 => "HTTP/1.1 304 Not Modified\r\n",
        400 => "HTTP/1.1 400 Bad Request\r\n",
        401 => "HTTP/1.1 401 Unauthorized\r\n",
        403 => "HTTP/1.1 403 Forbidden\r\n",
        404 => "HTTP/1.1 404 Not Found\r\n",
        405 => "HTTP/1.1 405 Method Not Allowed\r\n",
        408 => "HTTP/1.1 408 Request Timeout\r\n",
        409 => "HTTP/1.1 409 Conflict\r\n",
        410 => "HTTP/1.1 410 Gone\r\n",
        412 => "HTTP/1.1 412 Precondition Failed\r\n",
        413 => "HTTP/1.1 413 Content Too Large\r\n",
        414 => "HTTP/1.1 414 URI Too Long\r\n",
        426 => "HTTP/1.1 426 Upgrade Required\r\n",
        429 => "HTTP/1.1 429 Too Many Requests\r\n",
        431 => "HTTP/1.1 431 Request Header Fields Too Large\r\n",
        501 => "HTTP/1.1 501 Not Implemented\r\n",
        503 => "HTTP/1.1 503 Service Unavailable\r\n",
        504 => "HTTP/1.1 504 Gateway Timeout\r\n",
        507 => "HTTP/1.1 507 Insufficient Storage\r\n",
        _ => "HTTP/1.1 500 Internal Server Error\r\n",
    }
}

const ALWAYS: &[u8] =
    b"\r\nX-Content-Type-Options: nosniff\r\nCross-Origin-Resource-Policy: cross-origin\r\n";

const VARIES: &[u8] = b"Vary: Origin\r\n";

const EXPOSED: &[u8] =
    b"Access-Control-Expose-Headers: Stream-Next-Offset, Stream-Cursor, Stream-Up-To-Date, \
    Stream-Closed, Stream-TTL, Stream-Expires-At, Stream-SSE-Data-Encoding, Producer-Epoch, \
    Producer-Seq, Producer-Expected-Seq, Producer-Received-Seq, ETag, Location, Retry-After, \
    RateLimit, RateLimit-Policy\r\n";

const ALLOW_METHODS: &[u8] = b"GET, HEAD, PUT, POST, DELETE, OPTIONS";

const ALLOW_HEADERS: &[u8] = b"Content-Type, Authorization, If-None-Match, Last-Event-ID, \
    Stream-Seq, Stream-TTL, Stream-Expires-At, Stream-Closed, Stream-Forked-From, \
    Stream-Fork-Offset, Stream-Fork-Sub-Offset, Producer-Id, Producer-Epoch, Producer-Seq";

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Envelope<'_> = Envelope {
        date: "now",
        cors: Cors::Unasked,
        close: false,
        head: false,
        pace: Pace::NONE,
    };

    #[test]
    fn every_code_has_a_status_line() {
        for code in Code::ALL {
            let status = code.http_status();
            let line = status_line(status);
            assert!(line.starts_with(&format!("HTTP/1.1 {status} ")), "{code:?}");
        }
    }

    #[test]
    fn routes() {
        let stream = |name: &'static [u8]| Route::Stream(Cow::Borrowed(name));
        assert_eq!(Route::parse("/v1/stream/a/b"), stream(b"a/b"));
        assert_eq!(Route::parse("/v1/stream/a%20b"), stream(b"a b"));
        assert_eq!(Route::parse("/v1/stream/__dsx"), stream(b"__dsx"));
        for path in ["/healthz", "/health"] {
            assert_eq!(Route::parse(path), Route::Health);
        }
        assert_eq!(
            Route::parse("/v1/stream/__ds/jwks.json"),
            Route::Reserved("jwks.json")
        );
        for path in [
            "/v1/stream/",
            "/v1/stream/%",
            "/v1/stream/%2",
            "/v1/stream/%+1",
            "/x",
            "",
        ] {
            assert_eq!(Route::parse(path), Route::Unknown, "{path}");
        }
    }

    #[test]
    fn an_error_is_json_with_its_code_and_advice() {
        let mut out = Vec::new();
        error(&mut out, &PLAIN, Code::DiskFull, "no \"space\"");
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with("HTTP/1.1 507 Insufficient Storage\r\n"),
            "{text}"
        );
        assert!(
            text.contains("Retry-After: 1\r\n") && text.contains("no-store"),
            "{text}"
        );
        assert!(
            text.ends_with("\r\n\r\n{\"code\":\"DISK_FULL\",\"message\":\"no \\\"space\\\"\"}"),
            "{text}"
        );
    }

    #[test]
    fn a_foreign_value_cannot_end_its_field() {
        let mut out = Vec::new();
        Answer::start(&mut out, &PLAIN, 200)
            .foreign("X", "a\r\nSet-Cookie: b")
            .no_body(false);
        assert!(
            String::from_utf8(out)
                .unwrap()
                .contains("X: aSet-Cookie: b\r\n")
        );
    }

    #[test]
    fn an_answer_says_which_pages_may_read_it() {
        let head = |cors| {
            let mut out = Vec::new();
            let envelope = Envelope { cors, ..PLAIN };
            Answer::start(&mut out, &envelope, 200).no_body(false);
            String::from_utf8(out).unwrap()
        };
        let allowed = |head: &str| {
            let mut lines = head.lines();
            let line = lines.find_map(|line| line.strip_prefix("Access-Control-Allow-Origin: "));
            line.map(str::to_owned)
        };
        let varies = |head: &str| head.contains("\r\nVary: Origin\r\n");
        let exposes = |head: &str| head.contains("\r\nAccess-Control-Expose-Headers: ");

        let unasked = head(Cors::Unasked);
        assert!(!unasked.contains("Access-Control") && !varies(&unasked));
        let anyone = head(Cors::Anyone);
        assert_eq!(allowed(&anyone).as_deref(), Some("*"));
        assert!(exposes(&anyone) && !varies(&anyone));
        let listed = head(Cors::Listed("https://a\r\nX: y"));
        assert_eq!(allowed(&listed).as_deref(), Some("https://aX: y"));
        assert!(exposes(&listed) && varies(&listed));
        let unlisted = head(Cors::Unlisted);
        assert!(!unlisted.contains("Access-Control") && varies(&unlisted));
        for head in [unasked, anyone, listed, unlisted] {
            assert!(!head.contains("Credentials"), "{head}");
        }
    }

    #[test]
    fn a_preflight_says_nothing_to_pages_that_may_not_read() {
        let told = |cors| {
            let mut out = Vec::new();
            preflight(&mut out, &Envelope { cors, ..PLAIN });
            String::from_utf8(out).unwrap()
        };
        assert_eq!(told(Cors::Unasked), told(Cors::Anyone));
        for cors in [Cors::Anyone, Cors::Listed("https://a")] {
            assert!(told(cors).contains("Allow-Methods: GET,"), "{cors:?}");
        }
        let unlisted = told(Cors::Unlisted);
        assert!(unlisted.starts_with("HTTP/1.1 204 "), "{unlisted}");
        assert!(!unlisted.contains("Access-Control"), "{unlisted}");
    }
}
