//! The bytes of a WebSocket: whole, and in pieces of any length, which must say the same.
//!
//! The first byte chooses role, compression and how long the pieces are.
#![no_main]

use floe_surfaces::http::Method;
use floe_surfaces::ws::{Decoder, Item, Offer, Role, WsError, handshake, write_frame};
use libfuzzer_sys::fuzz_target;

const MESSAGE_BYTES_MAX: u32 = 1 << 16;

fuzz_target!(|data: &[u8]| {
    let Some((choice, bytes)) = data.split_first() else {
        return;
    };
    let role = if choice & 1 == 0 {
        Role::Server
    } else {
        Role::Client
    };
    let compressed = choice & 2 != 0;
    let (items, error) = read(role, compressed, bytes, bytes.len().max(1));
    let (pieces, pieces_error) = read(role, compressed, bytes, 1 + usize::from(choice >> 2));
    assert_eq!(items, pieces);
    if error.is_some() {
        assert_eq!(error, pieces_error);
    }
});

/// Reads the bytes in pieces and returns what was in them, as frames of ours.
fn read(
    role: Role,
    compressed: bool,
    bytes: &[u8],
    piece_len: usize,
) -> (Vec<u8>, Option<WsError>) {
    let mut items = Vec::new();
    let mut decoder = Decoder::new(role, MESSAGE_BYTES_MAX).with_deflate(agreed(compressed));
    for piece in bytes.chunks(piece_len) {
        let mut piece = piece.to_vec();
        let mut at = 0;
        loop {
            let step = match decoder.next(&mut piece[at..]) {
                Ok(step) => step,
                Err(error) => return (items, Some(error)),
            };
            at += step.used;
            let Some(item) = step.item else {
                break;
            };
            keep(&mut items, &item);
        }
        assert_eq!(at, piece.len(), "all input is taken");
        assert!(decoder.memory() <= 4 * MESSAGE_BYTES_MAX as usize);
    }
    (items, None)
}

fn keep(items: &mut Vec<u8>, item: &Item<'_>) {
    use floe_surfaces::ws::Opcode::{Binary, Close, Ping, Pong, Text};
    match item {
        Item::Text(text) => {
            assert!(text.len() <= MESSAGE_BYTES_MAX as usize);
            write_frame(items, Text, text.as_bytes());
        }
        Item::Binary(bytes) => {
            assert!(bytes.len() <= MESSAGE_BYTES_MAX as usize);
            write_frame(items, Binary, bytes);
        }
        Item::Ping(bytes) => write_frame(items, Ping, bytes),
        Item::Pong(bytes) => write_frame(items, Pong, bytes),
        Item::Close(close) => {
            let (code, reason) = close.unwrap_or_default();
            write_frame(items, Close, &code.to_be_bytes());
            write_frame(items, Text, reason.as_bytes());
        }
    }
}

/// What a handshake agrees on with a client that wants compression.
fn agreed(compressed: bool) -> Option<floe_surfaces::ws::Deflate> {
    let fields = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
    ];
    let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
    let offer = Offer {
        deflate: compressed,
        ..Offer::default()
    };
    handshake(Method::Get, fields, &offer).ok()?.deflate
}
