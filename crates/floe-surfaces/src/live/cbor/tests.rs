use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn from_json(json: &str) -> Vec<u8> {
    let mut out = Vec::new();
    one_from_json(json.as_bytes(), &mut out);
    out
}

fn json_of(cbor: &[u8]) -> Result<String, CborError> {
    let mut out = Vec::new();
    to_json(cbor, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

/// What another implementation reads.
fn other_reads(cbor: &[u8]) -> ciborium::Value {
    ciborium::from_reader(cbor).unwrap()
}

/// JSON values without whole doubles, which come back as whole numbers.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f32>()
            .prop_filter("no JSON number", |n| n.fract() != 0.0)
            .prop_map(|n| Value::from(f64::from(n))),
        any::<f64>()
            .prop_filter("no JSON number", |n| n.fract() != 0.0)
            .prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 30, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..30).prop_map(Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..30)
                .prop_map(|map| map.into_iter().collect::<Value>()),
        ]
    })
}

proptest! {
    #[test]
    fn another_implementation_reads_what_this_one_writes(value in value()) {
        let cbor = from_json(&value.to_string());
        prop_assert_eq!(
            other_reads(&cbor),
            ciborium::Value::serialized(&value).unwrap()
        );
        prop_assert_eq!(json_of(&cbor), Ok(value.to_string()));
    }

    #[test]
    fn this_one_reads_what_another_implementation_writes(value in value()) {
        let mut cbor = Vec::new();
        ciborium::into_writer(&value, &mut cbor).unwrap();
        prop_assert_eq!(json_of(&cbor), Ok(value.to_string()));
    }

    #[test]
    fn hostile_cbor_never_panics_and_what_is_read_is_json(
        cbor in proptest::collection::vec(
            prop_oneof![any::<u8>(), Just(0x9f), Just(0xbf), Just(0xff), Just(0x61), Just(0x7f)],
            0..60,
        ),
    ) {
        let mut out = Vec::new();
        if to_json(&cbor, &mut out).is_ok() {
            prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&out).is_ok());
        }
    }

    #[test]
    fn hostile_json_never_panics_and_makes_one_item(
        json in r#"[\[\]{}"\\:, u0-9dDcCe.+-]{0,40}"#,
        bytes in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        for json in [json.as_bytes(), &bytes] {
            let mut out = Vec::new();
            one_from_json(json, &mut out);
            prop_assert!(!out.is_empty());
            if serde_json::from_slice::<&serde_json::value::RawValue>(json).is_ok() {
                other_reads(&out);
            }
        }
    }
}

#[test]
fn the_bytes_are_those_of_the_standard() {
    for (json, cbor) in [
        ("0", &[0x00][..]),
        ("23", &[0x17]),
        ("24", &[0x18, 24]),
        ("1000", &[0x19, 0x03, 0xe8]),
        ("1000000", &[0x1a, 0, 0x0f, 0x42, 0x40]),
        ("-1", &[0x20]),
        ("-1000", &[0x39, 0x03, 0xe7]),
        (
            "-18446744073709551616",
            &[0x3b, 255, 255, 255, 255, 255, 255, 255, 255],
        ),
        ("100000.5", &[0xfa, 0x47, 0xc3, 0x50, 0x40]),
        (
            "1.1",
            &[0xfb, 0x3f, 0xf1, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a],
        ),
        ("true", &[0xf5]),
        ("false", &[0xf4]),
        ("null", &[0xf6]),
        (r#""IETF""#, &[0x64, b'I', b'E', b'T', b'F']),
        ("[]", &[0x80]),
        ("[1,[2,3]]", &[0x82, 1, 0x82, 2, 3]),
        (
            r#"{"a":1,"b":[2,3]}"#,
            &[0xa2, 0x61, b'a', 1, 0x61, b'b', 0x82, 2, 3],
        ),
    ] {
        assert_eq!(from_json(json), cbor, "{json}");
        assert_eq!(json_of(cbor), Ok(json.to_owned()));
    }
}

#[test]
fn numbers_that_are_too_large_are_doubles() {
    assert_eq!(from_json("18446744073709551616"), [0xfa, 0x5f, 0x80, 0, 0]);
    assert_eq!(from_json("-0"), [0xfa, 0x80, 0, 0, 0]);
    assert_eq!(from_json("1e2"), [0xfa, 0x42, 0xc8, 0, 0]);
}

#[test]
fn escapes_are_resolved_and_half_a_pair_is_replaced() {
    let text = |json: &str| other_reads(&from_json(json)).into_text().unwrap();
    assert_eq!(
        text(r#""\"\\\/\b\f\n\r\t\u00e4\ud83d\ude00""#),
        "\"\\/\u{8}\u{c}\n\r\tä😀"
    );
    assert_eq!(text(r#""a\ud83d\u0041""#), "a\u{fffd}A");
    assert_eq!(text(r#""\ude00\ud83d""#), "\u{fffd}\u{fffd}");
}

#[test]
fn arrays_of_messages_are_counted() {
    let array = |json: &str| {
        let mut out = Vec::new();
        array_from_json(json.as_bytes(), &mut out);
        json_of(&out).unwrap()
    };
    assert_eq!(array(""), "[]");
    assert_eq!(array(r#"1, {"a": [] } ,"x","#), r#"[1,{"a":[]},"x"]"#);
    let many = "[7],".repeat(24);
    assert_eq!(array(&many), format!("[{}]", many.trim_end_matches(',')));
}

#[test]
fn a_message_of_any_depth_can_be_read() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let cbor = from_json(&deep);
    assert_eq!(cbor.len(), 100_000);
    assert_eq!(cbor[0], 0x81);
}

#[test]
fn what_other_writers_do_is_read() {
    for (cbor, json) in [
        (&[0x42, b'h', b'i'][..], r#""aGk=""#),
        (&[0x5f, 0x41, b'h', 0x41, b'i', 0xff], r#""aGk=""#),
        (&[0x7f, 0x61, b'a', 0x61, b'b', 0xff], r#""ab""#),
        (&[0xbf, 0x61, b'a', 0x9f, 1, 0xff, 0xff], r#"{"a":[1]}"#),
        (&[0xf7], "null"),
        (&[0xf9, 0x3e, 0x00], "1.5"),
        (&[0xf9, 0x00, 0x01], "5.960464477539063e-8"),
        (
            &[0xfb, 0x42, 0x0b, 0xf0, 0x8e, 0xb0, 0, 0, 0],
            "15000000000",
        ),
        (&[0x1b, 0, 0, 0, 0, 0, 0, 0, 7], "7"),
    ] {
        assert_eq!(json_of(cbor), Ok(json.to_owned()));
    }
}

#[test]
fn what_has_no_json_form_is_refused() {
    for (cbor, what) in [
        (&[][..], "an early end"),
        (&[0x62, b'a'], "an early end"),
        (&[0x9f, 1], "an early end"),
        (
            &[0x5b, 255, 255, 255, 255, 255, 255, 255, 255],
            "an early end",
        ),
        (&[0x81], "an early end"),
        (&[1, 1], "more than one item"),
        (&[0xc0, 0x60], "a tag"),
        (&[0xa1, 1, 1], "a key that is not a text"),
        (&[0x61, 0xff], "a text that is not UTF-8"),
        (&[0xf9, 0x7c, 0x00], "a number that JSON does not have"),
        (&[0xff], "a misplaced break or indefinite length"),
        (&[0x1f], "a misplaced break or indefinite length"),
        (&[0x1c], "a reserved length"),
        (&[0xf0], "an unknown simple value"),
        (&[0xf8, 0x14], "an unknown simple value"),
        (&[0x5f, 0x61, b'a', 0xff], "a chunk of another type"),
        (&[0x81; 100], "an item that is nested too deep"),
    ] {
        assert_eq!(json_of(cbor).unwrap_err().what, what, "{cbor:x?}");
    }
}
