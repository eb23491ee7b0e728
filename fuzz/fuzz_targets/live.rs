//! Frames of the live protocol: what a client sends, and what the log holds, in both encodings.
#![no_main]

use floe_surfaces::json::Messages;
use floe_surfaces::live::{
    Command, Format, FrameId, cbor, read_frame, write_chunk, write_error, write_events,
};
use floe_surfaces::ws::{Decoder, Item, Role};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for format in [Format::Json, Format::Cbor] {
        read(format, data);
        write(format, data);
    }
    let mut json = Vec::new();
    if cbor::to_json(data, &mut json).is_ok() {
        serde_json::from_slice::<serde::de::IgnoredAny>(&json).expect("what was read is JSON");
    }
    let mut any = Vec::new();
    cbor::one_from_json(data, &mut any);
    assert!(!any.is_empty());
});

/// A frame is read, or refused with words; what is read is the same in the other encoding.
fn read(format: Format, data: &[u8]) {
    let mut scratch = Vec::new();
    let frame = match read_frame(format, data, &mut scratch) {
        Ok(frame) => frame,
        Err(error) => {
            assert!(!error.message.is_empty());
            return answered(format, error.id, &error.message);
        }
    };
    if let Command::Append(append) = &frame.command {
        for json in [true, false] {
            let mut messages = Messages::default();
            let fits = append.body.stream_payload(json, &mut messages).is_ok();
            assert!(fits || messages.bytes.is_empty());
        }
    }
    if format == Format::Json {
        let (mut bytes, mut scratch) = (Vec::new(), Vec::new());
        cbor::one_from_json(data, &mut bytes);
        // A number that no double holds is infinite in CBOR, and then no number of JSON.
        if let Ok(again) = read_frame(Format::Cbor, &bytes, &mut scratch) {
            assert_eq!(again.id, frame.id);
        }
    }
    answered(format, frame.id, "fine");
}

/// An answer is one message, whatever the id and the words are.
fn answered(format: Format, id: Option<FrameId<'_>>, message: &str) {
    let mut out = Vec::new();
    let code = floe_proto::Code::InvalidFrame;
    write_error(&mut out, format, id.as_ref(), None, code, message);
    one_message(format, out);
}

fn write(format: Format, data: &[u8]) {
    let mut messages = Messages::default();
    if messages.split(data).is_ok() {
        let mut out = Vec::new();
        let (first, second) = messages.bytes.split_at(messages.bytes.len() / 2);
        let parts = [first, second].into_iter();
        write_events(&mut out, format, "stream/a", parts, 7);
        one_message(format, out);
    }
    for text in [true, false] {
        let mut out = Vec::new();
        let len = write_chunk(&mut out, format, "stream/a", text, data, 0);
        assert!(len <= data.len() && data.len() - len < 4);
        one_message(format, out);
    }
}

/// The bytes are one message, and that is an object.
fn one_message(format: Format, mut bytes: Vec<u8>) {
    let len = bytes.len();
    let mut decoder = Decoder::new(Role::Client, u32::MAX);
    let step = decoder.next(&mut bytes).expect("we write what can be read");
    assert_eq!(step.used, len);
    match (format, step.item) {
        (Format::Json, Some(Item::Text(text))) => {
            serde_json::from_str::<serde::de::IgnoredAny>(text).expect("JSON");
        }
        // What is nested deeper than a client's frame may be is not read back here.
        (Format::Cbor, Some(Item::Binary(bytes))) => assert_eq!(bytes[0] >> 5, 5),
        (_, other) => panic!("{other:?}"),
    }
}
