//! The client's end of a WebSocket of the live protocol, as light as a generator needs it.

use floe_surfaces::ws::{Decoder, Item, Opcode, Role, WsError, write_masked};

use super::role::Shared;
use super::target::Target;

/// Reads what the server sends on one connection.
#[derive(Debug)]
pub(crate) struct WebSocket {
    decoder: Decoder,
}

impl WebSocket {
    pub(crate) const fn new() -> Self {
        Self {
            decoder: Decoder::new(Role::Client, MESSAGE_BYTES_MAX),
        }
    }

    /// Hands every text message that `bytes` completes to `heard`, and answers pings into `out`.
    ///
    /// # Errors
    /// The server broke the protocol, or has said goodbye.
    pub(crate) fn read(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        shared: &mut Shared,
        mut heard: impl FnMut(&mut Shared, &str),
    ) -> Result<(), Ended> {
        // The decoder unmasks in place, so it wants bytes that it may change.
        let mut input = std::mem::take(&mut shared.scratch);
        input.clear();
        input.extend_from_slice(bytes);
        let mut at = 0;
        let result = loop {
            let step = match self.decoder.next(&mut input[at..]) {
                Ok(step) => step,
                Err(error) => break Err(Ended::Broken(error)),
            };
            at += step.used;
            match step.item {
                None => break Ok(()),
                Some(Item::Text(text)) => heard(shared, text),
                Some(Item::Ping(payload)) => {
                    write_masked(out, Opcode::Pong, payload, new_key());
                }
                Some(Item::Close(reason)) => {
                    break Err(Ended::Closed(reason.map_or(NO_CODE, |(code, _)| code)));
                }
                Some(Item::Binary(_) | Item::Pong(_)) => {}
            }
        };
        shared.scratch = input;
        result
    }
}

/// Why a WebSocket is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Ended {
    /// The server broke the rules.
    #[error("WebSocket broken: {0}")]
    Broken(WsError),
    /// The server closed it with this code.
    #[error("WebSocket closed with {0}")]
    Closed(u16),
}

/// Appends the request that asks for a WebSocket of the live protocol.
pub(crate) fn put_handshake(out: &mut Vec<u8>, target: &Target) {
    put_handshake_to(
        out,
        target,
        "/v1/live",
        "Sec-WebSocket-Protocol: floe.v1.json\r\n",
    );
}

/// Appends the request that asks for a WebSocket at `path`, with the header lines `more`.
pub(crate) fn put_handshake_to(out: &mut Vec<u8>, target: &Target, path: &str, more: &str) {
    for part in ["GET ", path, " HTTP/1.1\r\n", &target.fields] {
        out.extend_from_slice(part.as_bytes());
    }
    // The key is there against caches, of which a generator has none in its way.
    out.extend_from_slice(
        b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
          Sec-WebSocket-Key: Zmxvd2luZyBpY2UgZmxvZQ==\r\n",
    );
    out.extend_from_slice(more.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends one text message.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    write_masked(out, Opcode::Text, text, new_key());
}

/// Appends the word that this side is done.
pub(crate) fn put_close(out: &mut Vec<u8>) {
    write_masked(out, Opcode::Close, &1000_u16.to_be_bytes(), new_key());
}

/// Returns the number after `name` in a frame, looking from its end.
pub(crate) fn number_in(frame: &str, name: &[u8]) -> Option<u64> {
    let bytes = frame.as_bytes();
    let at = memchr::memmem::rfind(bytes, name)? + name.len();
    let digits = &bytes[at..];
    let len = digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    std::str::from_utf8(&digits[..len]).ok()?.parse().ok()
}

/// Returns the text after `name` in a frame that the server composed.
pub(crate) fn text_in<'a>(frame: &'a str, name: &str) -> Option<&'a str> {
    let start = frame.find(name)? + name.len();
    let len = frame[start..].find('"')?;
    Some(&frame[start..start + len])
}

fn new_key() -> [u8; 4] {
    fastrand::u32(..).to_ne_bytes()
}

/// More than the server puts into one frame.
const MESSAGE_BYTES_MAX: u32 = 16 << 20;
/// What a close frame without a code means.
const NO_CODE: u16 = 1005;

#[cfg(test)]
mod tests {
    use super::*;
    use floe_surfaces::ws::{write_close, write_frame};

    #[test]
    fn messages_come_out_whole_and_pings_are_answered() {
        let mut wire = Vec::new();
        write_frame(&mut wire, Opcode::Text, b"one");
        write_frame(&mut wire, Opcode::Ping, b"?");
        write_frame(&mut wire, Opcode::Text, b"two");
        write_close(&mut wire, 4029, "STOPPING");
        for read_bytes in 1..wire.len() {
            let (mut socket, mut out, mut texts) = (WebSocket::new(), Vec::new(), Vec::new());
            let mut shared = Shared::new(Target::parse("http://127.0.0.1:1", "r").unwrap());
            let end = wire.chunks(read_bytes).find_map(|read| {
                socket
                    .read(read, &mut out, &mut shared, |_, text| {
                        texts.push(text.to_owned())
                    })
                    .err()
            });
            assert_eq!(end, Some(Ended::Closed(4029)));
            assert_eq!(texts, ["one", "two"]);
            assert_eq!(out.len(), 2 + 4 + 1);
        }
    }

    #[test]
    fn numbers_and_texts_are_found_in_frames() {
        let frame = r#"{"type":"events","events":[{"next":3}],"next":43}"#;
        assert_eq!(number_in(frame, b"\"next\":"), Some(43));
        assert_eq!(number_in(frame, b"\"seq\":"), None);
        assert_eq!(text_in(frame, "\"type\":\""), Some("events"));
    }
}
