//! An HTTP/1.1 response parser that is fed whatever a read returned.

use std::mem::MaybeUninit;

/// Where one connection stands in the answer that it is receiving.
#[derive(Debug, Default)]
pub(crate) struct ResponseParser {
    state: State,
}

impl ResponseParser {
    /// Takes the next piece off the front of `input`; `None` asks for more bytes.
    ///
    /// What is left in `input` after `None` is the start of a head or of a chunk line: the caller
    /// keeps it and hands it in again in front of the bytes that follow.
    pub(crate) fn poll_piece<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<Piece<'a>>, ResponseError> {
        loop {
            match self.state {
                State::Head => {
                    let Some((head, state)) = parse_head(input)? else {
                        return Ok(None);
                    };
                    self.state = state;
                    return Ok(Some(Piece::Head(head)));
                }
                State::End => {
                    self.state = State::Head;
                    return Ok(Some(Piece::End));
                }
                State::Length(0) => self.state = State::End,
                State::Length(left) => {
                    return Ok(take_body(input, left).map(|body| {
                        self.state = State::Length(left - body.len() as u64);
                        Piece::Body(body)
                    }));
                }
                State::UntilClose => return Ok(take_body(input, u64::MAX).map(Piece::Body)),
                State::ChunkSize => {
                    let Some(size) = parse_chunk_size(input)? else {
                        return Ok(None);
                    };
                    self.state = match size {
                        0 => State::Trailer,
                        size => State::Chunk(size),
                    };
                }
                State::Chunk(0) => {
                    let Some(line) = take_line(input) else {
                        return Ok(None);
                    };
                    if !line.is_empty() {
                        return Err(ResponseError::Chunk);
                    }
                    self.state = State::ChunkSize;
                }
                State::Chunk(left) => {
                    return Ok(take_body(input, left).map(|body| {
                        self.state = State::Chunk(left - body.len() as u64);
                        Piece::Body(body)
                    }));
                }
                State::Trailer => match take_line(input) {
                    None => return Ok(None),
                    Some([]) => self.state = State::End,
                    Some(_) => {}
                },
            }
        }
    }

    /// Returns whether the end of the connection is a proper end of the answer.
    pub(crate) const fn may_end_here(&self) -> bool {
        matches!(self.state, State::Head | State::End | State::UntilClose)
    }
}

/// One step of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// The status line and the headers.
    Head(Head<'a>),
    /// Some of the body, with its framing taken off.
    Body(&'a [u8]),
    /// The answer is complete; the next one may follow.
    End,
}

/// What the load generator looks at in a head.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    /// Status code.
    pub(crate) status: u16,
    /// `Stream-Next-Offset`, empty if absent.
    pub(crate) next_offset: &'a [u8],
    /// `Stream-Cursor`, empty if absent.
    pub(crate) cursor: &'a [u8],
    /// `Stream-Up-To-Date: true`.
    pub(crate) up_to_date: bool,
    /// `Connection: close`.
    pub(crate) close: bool,
}

/// Why an answer cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ResponseError {
    /// The head is not HTTP/1.1.
    #[error("malformed response head: {0}")]
    Head(httparse::Error),
    /// The content length is not a number.
    #[error("malformed content length")]
    Length,
    /// The chunked framing is broken.
    #[error("malformed chunk")]
    Chunk,
}

#[derive(Debug, Default, Clone, Copy)]
enum State {
    #[default]
    Head,
    /// Bytes of the body that are still to come.
    Length(u64),
    ChunkSize,
    /// Bytes of the chunk that are still to come, then its line end.
    Chunk(u64),
    Trailer,
    UntilClose,
    End,
}

const HEADERS_MAX: usize = 48;

fn parse_head<'a>(input: &mut &'a [u8]) -> Result<Option<(Head<'a>, State)>, ResponseError> {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut response, input, &mut headers)
        .map_err(ResponseError::Head)?;
    let httparse::Status::Complete(head_len) = parsed else {
        return Ok(None);
    };
    let mut head = Head {
        status: response.code.unwrap_or_default(),
        ..Head::default()
    };
    let mut body = State::UntilClose;
    for header in response.headers.iter() {
        note_header(&mut head, &mut body, header)?;
    }
    // After a switch of protocols whatever comes is the other protocol's.
    body = match head.status {
        101 => State::UntilClose,
        100..=199 | 204 | 304 => State::End,
        _ => body,
    };
    *input = &input[head_len..];
    Ok(Some((head, body)))
}

fn note_header<'a>(
    head: &mut Head<'a>,
    body: &mut State,
    header: &httparse::Header<'a>,
) -> Result<(), ResponseError> {
    let (name, value) = (header.name, header.value);
    // The length sorts out most headers before a byte is compared.
    match name.len() {
        10 if name.eq_ignore_ascii_case("connection") => {
            head.close = value.eq_ignore_ascii_case(b"close");
        }
        13 if name.eq_ignore_ascii_case("stream-cursor") => head.cursor = value,
        14 if name.eq_ignore_ascii_case("content-length") => {
            *body = State::Length(parse_decimal(value).ok_or(ResponseError::Length)?);
        }
        17 if name.eq_ignore_ascii_case("transfer-encoding") => *body = State::ChunkSize,
        17 if name.eq_ignore_ascii_case("stream-up-to-date") => {
            head.up_to_date = value.eq_ignore_ascii_case(b"true");
        }
        18 if name.eq_ignore_ascii_case("stream-next-offset") => head.next_offset = value,
        _ => {}
    }
    Ok(())
}

fn take_body<'a>(input: &mut &'a [u8], left: u64) -> Option<&'a [u8]> {
    let len = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
    let (body, rest) = input.split_at(len);
    *input = rest;
    (!body.is_empty()).then_some(body)
}

/// Takes one line off the input, without its line end.
fn take_line<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = memchr::memchr(b'\n', input)?;
    let line = &input[..end];
    *input = &input[end + 1..];
    Some(line.strip_suffix(b"\r").unwrap_or(line))
}

fn parse_chunk_size(input: &mut &[u8]) -> Result<Option<u64>, ResponseError> {
    let Some(line) = take_line(input) else {
        return Ok(None);
    };
    let digits = line.split(|byte| *byte == b';').next().unwrap_or(line);
    let text = std::str::from_utf8(digits).map_err(|_| ResponseError::Chunk)?;
    u64::from_str_radix(text.trim(), 16)
        .map(Some)
        .map_err(|_| ResponseError::Chunk)
}

fn parse_decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_answer_without_a_body_ends_with_its_head() {
        let answer = b"HTTP/1.1 204 No Content\r\nStream-Next-Offset: 07\r\n\r\n";
        assert_eq!(
            parse_all(answer, answer.len()),
            ["head 204 07", "end", "rest "]
        );
    }

    #[test]
    fn pipelined_answers_come_out_one_by_one() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nabHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(
            parse_all(answer, answer.len()),
            ["head 200 ", "body ab", "end", "head 404 ", "end", "rest "]
        );
    }

    #[test]
    fn broken_framing_is_refused() {
        for answer in [
            &b"HTTX/1.1 200 OK\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc\r\n",
        ] {
            let (mut parser, mut input) = (ResponseParser::default(), answer);
            let failed = loop {
                match parser.poll_piece(&mut input) {
                    Ok(Some(_)) => {}
                    other => break other.is_err(),
                }
            };
            assert!(failed, "{:?}", String::from_utf8_lossy(answer));
        }
    }

    #[test]
    fn what_follows_a_switch_of_protocols_is_handed_on_as_it_is() {
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x02hi";
        assert_eq!(
            parse_all(answer, answer.len()),
            ["head 101 ", "body \u{fffd}\u{2}hi", "rest "]
        );
    }

    #[test]
    fn an_answer_without_length_ends_with_the_connection() {
        let mut parser = ResponseParser::default();
        let mut input = &b"HTTP/1.1 200 OK\r\n\r\nabc"[..];
        while parser.poll_piece(&mut input).unwrap().is_some() {}
        assert!(parser.may_end_here());
    }

    proptest! {
        #[test]
        fn chunks_come_out_whole_however_reads_split_them(read_bytes in 1usize..60) {
            let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6;x=y\r\nevent:\r\nB\r\n data\ndata:\r\n0\r\nTrailer: 1\r\n\r\n";
            let steps = parse_all(answer, read_bytes);
            let body: String = steps.iter().filter_map(|step| step.strip_prefix("body ")).collect();
            prop_assert_eq!(body, "event: data\ndata:");
            prop_assert_eq!(&steps[steps.len() - 2..], ["end", "rest "]);
        }
    }

    /// Feeds `answer` in reads of `read_bytes` and writes down what comes out.
    fn parse_all(answer: &[u8], read_bytes: usize) -> Vec<String> {
        let mut parser = ResponseParser::default();
        let (mut steps, mut carry) = (Vec::new(), Vec::new());
        for read in answer.chunks(read_bytes) {
            carry.extend_from_slice(read);
            let mut input = &carry[..];
            while let Some(piece) = parser.poll_piece(&mut input).unwrap() {
                steps.push(match piece {
                    Piece::Head(head) => {
                        let offset = String::from_utf8_lossy(head.next_offset);
                        format!("head {} {offset}", head.status)
                    }
                    Piece::Body(body) => format!("body {}", String::from_utf8_lossy(body)),
                    Piece::End => "end".into(),
                });
            }
            carry = input.to_vec();
        }
        steps.push(format!("rest {}", String::from_utf8_lossy(&carry)));
        steps
    }
}
