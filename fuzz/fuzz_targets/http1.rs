//! The reader of HTTP/1.1 heads and chunked bodies.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The reader is no part of the server's interface, so its file is compiled in.
#[path = "../../crates/floe-server/src/reactor/http1.rs"]
#[allow(dead_code, reason = "the server uses more of it")]
mod http1;

use http1::{BodyLen, ChunkScan, FIELDS_MAX};

const HEAD_BYTES_MAX: usize = 1 << 10;
const BODY_BYTES_MAX: usize = 1 << 12;

fuzz_target!(|data: &[u8]| {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    if let Ok(Some(framing)) = http1::parse(&mut request, data, HEAD_BYTES_MAX) {
        assert!(framing.head_len <= HEAD_BYTES_MAX && framing.head_len <= data.len());
        if framing.body == BodyLen::Chunked {
            scan(&data[framing.head_len..]);
        }
    }
    scan(data);
});

/// However a body arrives, it is the same body.
fn scan(encoded: &[u8]) {
    let mut whole = ChunkScan::default();
    let at_once = whole.scan(encoded, BODY_BYTES_MAX);
    let mut piecewise = ChunkScan::default();
    let mut outcome = Ok(None);
    for end in 0..=encoded.len() {
        outcome = piecewise.scan(&encoded[..end], BODY_BYTES_MAX);
        if outcome != Ok(None) {
            break;
        }
    }
    match (at_once, outcome) {
        (Ok(at_once), Ok(outcome)) => assert_eq!(at_once, outcome),
        // What was refused at once may be refused sooner, for the same or another reason.
        (at_once, outcome) => assert!(at_once.is_err() && outcome.is_err()),
    }
    if let Ok(Some(len)) = at_once {
        assert!(len <= encoded.len() && whole.content <= BODY_BYTES_MAX);
        let body = http1::unchunk(&encoded[..len], whole.content);
        assert_eq!(body.len(), whole.content);
    }
}
