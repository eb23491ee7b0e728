//! Offsets and percent-encoded names.
#![no_main]

use floe_proto::Offset;
use floe_surfaces::http::decode;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(offset) = text.parse::<Offset>() {
        assert!(offset <= Offset::MAX);
        let wire = offset.to_string();
        assert_eq!(wire.parse(), Ok(offset));
        assert!(text.ends_with(&wire));
    }
    if let Some(name) = decode(text) {
        assert!(!name.is_empty() && name.len() <= text.len());
    }
});
