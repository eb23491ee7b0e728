//! HTTP/1.1 requests in a buffer: where a head ends, how long its body is (RFC 9112).

use floe_proto::Code;

/// Header fields that one request may have.
pub const FIELDS_MAX: usize = 64;

/// How a request's body is framed, and what its head says about the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framing {
    /// Bytes of the head.
    pub head_len: usize,
    /// How the body is delimited.
    pub body: BodyLen,
    /// Whether the connection ends after the answer.
    pub close: bool,
    /// Whether the client waits for a word before it sends the body.
    pub expects_continue: bool,
    /// Whether the request names an origin.
    pub has_origin: bool,
    /// Whether the client speaks HTTP/1.0.
    pub old: bool,
}

/// How a body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLen {
    /// By a length.
    Exact(usize),
    /// By chunks.
    Chunked,
}

/// Reads a head from the start of `buffer`.
///
/// Returns `None` while it is not complete.
///
/// # Errors
/// The code and message of a head that can never be served.
pub fn parse<'b, 'h>(
    request: &mut httparse::Request<'h, 'b>,
    buffer: &'b [u8],
    head_bytes_max: usize,
) -> Result<Option<Framing>, (Code, &'static str)> {
    // What lies beyond the bound is not looked at: whoever sends long heads pays for them alone.
    let looked_at = &buffer[..buffer.len().min(head_bytes_max)];
    let head_len = match request.parse(looked_at) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) if buffer.len() < head_bytes_max => return Ok(None),
        Ok(_) => {
            return Err((
                Code::HeadTooLarge,
                "the head is larger than http.head_bytes_max",
            ));
        }
        Err(httparse::Error::TooManyHeaders) => {
            return Err((Code::HeadTooLarge, "the head has more than 64 fields"));
        }
        Err(_) => return Err((Code::InvalidRequest, "the request is not HTTP/1.1")),
    };
    let mut framing = Framing {
        head_len,
        body: BodyLen::Exact(0),
        close: request.version == Some(0),
        old: request.version == Some(0),
        expects_continue: false,
        has_origin: false,
    };
    let mut hosts = 0;
    let mut length: Option<usize> = None;
    let mut chunked = false;
    for field in request.headers.iter() {
        let value = field.value;
        match field.name.len() {
            4 if field.name.eq_ignore_ascii_case("host") => hosts += 1,
            6 if field.name.eq_ignore_ascii_case("expect") => {
                framing.expects_continue = value.eq_ignore_ascii_case(b"100-continue");
            }
            6 if field.name.eq_ignore_ascii_case("origin") => framing.has_origin = true,
            10 if field.name.eq_ignore_ascii_case("connection") => {
                if has_token(value, b"close") {
                    framing.close = true;
                } else if has_token(value, b"keep-alive") {
                    framing.close = false;
                }
            }
            14 if field.name.eq_ignore_ascii_case("content-length") => {
                let given = parse_length(value)
                    .ok_or((Code::InvalidRequest, "Content-Length is not a number"))?;
                if length.is_some_and(|length| length != given) {
                    return Err((Code::InvalidRequest, "Content-Length is given twice"));
                }
                length = Some(given);
            }
            17 if field.name.eq_ignore_ascii_case("transfer-encoding") => {
                if chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err((Code::InvalidRequest, "Transfer-Encoding is not chunked"));
                }
                chunked = true;
            }
            _ => {}
        }
    }
    // RFC 9112, section 3.2: one, and only HTTP/1.0 may have none.
    if hosts > 1 || (hosts == 0 && !framing.old) {
        return Err((Code::InvalidRequest, "a request names one Host"));
    }
    framing.body = match (length, chunked) {
        (Some(_), true) => {
            // Two framings at once are how requests are smuggled (RFC 9112, section 6.1).
            return Err((
                Code::InvalidRequest,
                "Content-Length and Transfer-Encoding exclude each other",
            ));
        }
        (_, true) if request.version == Some(0) => {
            return Err((Code::InvalidRequest, "HTTP/1.0 has no chunks"));
        }
        (None, true) => BodyLen::Chunked,
        (Some(length), false) => BodyLen::Exact(length),
        (None, false) => BodyLen::Exact(0),
    };
    Ok(Some(framing))
}

/// Where the scan of a chunked body stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChunkScan {
    /// Bytes of the encoded body that have been looked at: whole chunks.
    pub at: usize,
    /// Bytes of content in them.
    pub content: usize,
}

/// A chunk's size line is no longer than this.
const SIZE_LINE_MAX: usize = 256;
/// Bytes of trailer fields that are read and ignored.
const TRAILER_BYTES_MAX: usize = 8 << 10;

impl ChunkScan {
    /// Scans on; returns the bytes of the encoded body once it is complete.
    ///
    /// # Errors
    /// The code and message of a body that can never be served.
    pub fn scan(
        &mut self,
        encoded: &[u8],
        content_max: usize,
    ) -> Result<Option<usize>, (Code, &'static str)> {
        loop {
            let rest = &encoded[self.at..];
            let Some((size, line_len)) = size_line(rest)? else {
                return Ok(None);
            };
            if size == 0 {
                return Ok(trailers(&rest[line_len..])?.map(|len| self.at + line_len + len));
            }
            if size > content_max - self.content {
                return Err((
                    Code::BodyTooLarge,
                    "the body is larger than http.body_bytes_max",
                ));
            }
            let whole = line_len + size + 2;
            if rest.len() < whole {
                return Ok(None);
            }
            if &rest[whole - 2..whole] != b"\r\n" {
                return Err(BAD_CHUNK);
            }
            self.at += whole;
            self.content += size;
        }
    }
}

/// Copies the content of a complete chunked body.
pub fn unchunk(encoded: &[u8], content: usize) -> Vec<u8> {
    let mut body = Vec::with_capacity(content);
    let mut rest = encoded;
    while let Ok(Some((size, line_len))) = size_line(rest) {
        if size == 0 {
            break;
        }
        body.extend_from_slice(&rest[line_len..line_len + size]);
        rest = &rest[line_len + size + 2..];
    }
    body
}

const BAD_CHUNK: (Code, &str) = (Code::InvalidRequest, "a chunk of the body is malformed");

/// Reads a chunk's size line: the size, and the length of the line.
fn size_line(bytes: &[u8]) -> Result<Option<(usize, usize)>, (Code, &'static str)> {
    let Some(end) = bytes
        .iter()
        .take(SIZE_LINE_MAX)
        .position(|byte| *byte == b'\n')
    else {
        return if bytes.len() < SIZE_LINE_MAX {
            Ok(None)
        } else {
            Err(BAD_CHUNK)
        };
    };
    let line = bytes[..end].strip_suffix(b"\r").ok_or(BAD_CHUNK)?;
    // Whoever reads a lone carriage return as the end of a line would see other chunks than we do.
    if line.contains(&b'\r') {
        return Err(BAD_CHUNK);
    }
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    let padding = digits.iter().rev().take_while(|byte| b" \t".contains(byte));
    let digits = &digits[..digits.len() - padding.count()];
    let valid = !digits.is_empty() && digits.len() <= 8 && digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits)
        .ok()
        .filter(|_| valid)
        .ok_or(BAD_CHUNK)?;
    let size = usize::from_str_radix(text, 16).map_err(|_| BAD_CHUNK)?;
    Ok(Some((size, end + 1)))
}

/// Skips trailer fields up to the empty line; returns their length.
fn trailers(bytes: &[u8]) -> Result<Option<usize>, (Code, &'static str)> {
    let mut at = 0;
    loop {
        let rest = &bytes[at..];
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            return if bytes.len() < TRAILER_BYTES_MAX {
                Ok(None)
            } else {
                Err(BAD_CHUNK)
            };
        };
        at += end + 1;
        if at > TRAILER_BYTES_MAX {
            return Err(BAD_CHUNK);
        }
        match rest[..end].strip_suffix(b"\r") {
            Some(b"") => return Ok(Some(at)),
            Some(line) if !line.contains(&b'\r') && !line.starts_with(b" ") => {}
            Some(_) | None => return Err(BAD_CHUNK),
        }
    }
}

fn parse_length(value: &[u8]) -> Option<usize> {
    let valid = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    if valid {
        std::str::from_utf8(value).ok()?.parse().ok()
    } else {
        None
    }
}

fn has_token(value: &[u8], token: &[u8]) -> bool {
    value
        .split(|byte| *byte == b',')
        .any(|one| one.trim_ascii().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn framing(text: &str) -> Result<Option<Framing>, Code> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut request = httparse::Request::new(&mut fields);
        parse(&mut request, text.as_bytes(), 1024).map_err(|(code, _)| code)
    }

    #[test]
    fn bodies_are_framed_by_a_length_or_by_chunks_and_never_by_both() {
        let body = |fields: &str| {
            framing(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
                .map(|framing| framing.unwrap().body)
        };
        assert_eq!(body(""), Ok(BodyLen::Exact(0)));
        assert_eq!(body("Content-Length: 12\r\n"), Ok(BodyLen::Exact(12)));
        assert_eq!(
            body("Content-Length: 12\r\ncontent-length: 12\r\n"),
            Ok(BodyLen::Exact(12))
        );
        assert_eq!(body("Transfer-Encoding: Chunked\r\n"), Ok(BodyLen::Chunked));
        for fields in [
            "Content-Length: 12\r\nContent-Length: 13\r\n",
            "Content-Length: +1\r\n",
            "Content-Length: \r\n",
            "Content-Length: 99999999999999999999999\r\n",
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        ] {
            assert_eq!(body(fields), Err(Code::InvalidRequest), "{fields}");
        }
    }

    #[test]
    fn a_head_is_bounded_whether_it_ends_or_not() {
        assert_eq!(framing("GET / HTTP/1.1\r\n"), Ok(None));
        let long = format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(2000));
        assert_eq!(framing(&long), Err(Code::HeadTooLarge));
        assert_eq!(framing(&format!("{long}\r\n\r\n")), Err(Code::HeadTooLarge));
        assert_eq!(framing("\0\0\0"), Err(Code::InvalidRequest));
    }

    #[test]
    fn a_request_names_one_host() {
        assert_eq!(framing("GET / HTTP/1.1\r\n\r\n"), Err(Code::InvalidRequest));
        assert_eq!(
            framing("GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n"),
            Err(Code::InvalidRequest)
        );
        assert!(framing("GET / HTTP/1.0\r\n\r\n").is_ok());
    }

    #[test]
    fn connections_persist_as_their_version_says() {
        let close = |text: &str| framing(text).unwrap().unwrap().close;
        assert!(!close("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(close("GET / HTTP/1.0\r\n\r\n"));
        assert!(close(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n"
        ));
        assert!(!close("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    }

    #[test]
    fn chunks_are_found_however_they_arrive() {
        let encoded = b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nT: r\r\n\r\nGET";
        let mut scan = ChunkScan::default();
        for end in 0..encoded.len() - 3 {
            assert_eq!(scan.scan(&encoded[..end], 100), Ok(None), "{end}");
        }
        let whole = scan.scan(encoded, 100).unwrap().unwrap();
        assert_eq!(&encoded[whole..], b"GET");
        assert_eq!(unchunk(&encoded[..whole], scan.content), b"hello world");
    }

    #[test]
    fn malformed_and_oversized_chunks_are_refused() {
        for encoded in [
            "x\r\n",
            "\r\n",
            "5\nhello",
            "5\r\nhelloxx",
            "123456789\r\n",
            "-1\r\n",
            " 5\r\n",
            "5\r;x\r\n",
            "0\r\n\n",
            "0\r\nX: y\n",
            "0\r\n \r\n",
        ] {
            let outcome = ChunkScan::default().scan(encoded.as_bytes(), 1 << 40);
            assert_eq!(outcome, Err(BAD_CHUNK), "{encoded}");
        }
        let large = ChunkScan::default().scan(b"B\r\n", 10).unwrap_err().0;
        assert_eq!(large, Code::BodyTooLarge);
    }

    proptest! {
        #[test]
        fn any_content_survives_any_chunking(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..50), 0..8),
        ) {
            let mut encoded = Vec::new();
            for chunk in &chunks {
                encoded.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                encoded.extend_from_slice(chunk);
                encoded.extend_from_slice(b"\r\n");
            }
            encoded.extend_from_slice(b"0\r\n\r\n");
            let mut scan = ChunkScan::default();
            prop_assert_eq!(scan.scan(&encoded, 1000), Ok(Some(encoded.len())));
            prop_assert_eq!(unchunk(&encoded, scan.content), chunks.concat());
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
            let _ = parse(&mut httparse::Request::new(&mut fields), &bytes, 1024);
            let _ = ChunkScan::default().scan(&bytes, 100);
        }
    }
}
