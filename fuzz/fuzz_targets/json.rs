//! The splitter of JSON bodies: what it takes is one array again.
#![no_main]

use floe_surfaces::json::Messages;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let mut messages = Messages::default();
    if messages.split(body).is_err() {
        assert!(messages.bytes.is_empty() || messages.lens.len() <= messages.bytes.len());
        return;
    }
    let total: usize = messages.lens.iter().map(|len| *len as usize).sum();
    assert_eq!(total, messages.bytes.len());
    let mut rest = &messages.bytes[..];
    for len in &messages.lens {
        let (message, after) = rest.split_at(*len as usize);
        rest = after;
        let (comma, value) = message.split_last().expect("a message has a comma");
        assert_eq!(*comma, b',');
        let array = [b"[", value, b"]"].concat();
        let mut alone = Messages::default();
        alone.split(&array).expect("each message is one value");
        assert_eq!(alone.lens, [*len]);
        assert_eq!(alone.bytes, message);
    }
});
