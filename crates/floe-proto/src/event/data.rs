//! What a message carries besides its text: a JSON object that means something to clients alone,
//! but for its `mentions`.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Arrays and objects that may lie within each other in a message's data, itself included.
pub const DATA_DEPTH_MAX: usize = 16;

/// Users that one message mentions; those beyond are not counted as mentioned.
pub const MENTIONS_MAX: usize = 50;

/// Bytes of the name of a user who is mentioned; what is longer mentions nobody.
pub const MENTION_BYTES_MAX: usize = 128;

/// Why a message cannot carry this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataError {
    /// Send an object, or nothing.
    NotAnObject,
    /// Send less, or a link to where the rest is.
    TooLong {
        /// Bytes allowed.
        bytes_max: usize,
    },
    /// Send it flatter.
    TooDeep,
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnObject => f.write_str("data is not a JSON object"),
            Self::TooLong { bytes_max } => write!(f, "data is longer than {bytes_max} bytes"),
            Self::TooDeep => write!(f, "data is nested deeper than {DATA_DEPTH_MAX}"),
        }
    }
}

impl std::error::Error for DataError {}

/// Checks what a message is to carry, as it was sent.
///
/// # Errors
/// See [`DataError`].
pub fn check_data(json: &str, bytes_max: usize) -> Result<(), DataError> {
    if json.len() > bytes_max {
        return Err(DataError::TooLong { bytes_max });
    }
    let is_json = serde_json::from_str::<&RawValue>(json).is_ok();
    if !is_json || !json.trim_start().starts_with('{') {
        return Err(DataError::NotAnObject);
    }
    let mut depth = 0_usize;
    for (byte, in_text) in Bytes::new(json) {
        match byte {
            _ if in_text => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DATA_DEPTH_MAX {
            return Err(DataError::TooDeep);
        }
    }
    Ok(())
}

/// Appends JSON without white space, but for one blank between an object and the next in a list.
///
/// So the bytes with which one event ends and another begins in the log, `},{"id":"`, are nowhere
/// within an event.
pub(super) fn write_compact(json: &str, out: &mut Vec<u8>) {
    for (byte, in_text) in Bytes::new(json) {
        if !in_text && matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            continue;
        }
        if byte == b'{' && !in_text && out.ends_with(b"},") {
            out.push(b' ');
        }
        out.push(byte);
    }
}

/// Returns the users that a message mentions, each once: those of its data's `mentions`, and those
/// whom its text names as `<@user>`.
#[must_use]
pub fn mentions<'a>(content: &'a str, data: Option<&'a str>) -> Vec<Cow<'a, str>> {
    let mut users: Vec<Cow<'a, str>> = Vec::new();
    let mut add = |user: Cow<'a, str>| {
        let fits = (1..=MENTION_BYTES_MAX).contains(&user.len());
        if fits && users.len() < MENTIONS_MAX && !users.contains(&user) {
            users.push(user);
        }
    };
    if let Some(data) = data
        && data.contains("\"mentions\"")
        && let Ok(Mentions { mentions }) = serde_json::from_str(data)
        && let Ok(Listed(listed)) = serde_json::from_str(mentions.get())
    {
        for Name(name) in listed {
            add(name);
        }
    }
    let mut rest = content;
    while let Some(at) = rest.find("<@") {
        rest = rest.get(at + 2..).unwrap_or_default();
        let end = rest.find(|c: char| c == '>' || c == '<' || c.is_whitespace());
        if let Some(end) = end
            && rest.as_bytes().get(end) == Some(&b'>')
        {
            add(Cow::Borrowed(rest.get(..end).unwrap_or_default()));
        }
    }
    users
}

#[derive(Deserialize)]
struct Mentions<'a> {
    #[serde(borrow)]
    mentions: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Listed<'a>(#[serde(borrow)] Vec<Name<'a>>);

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The bytes of JSON, each with whether it belongs to a string.
struct Bytes<'a> {
    bytes: std::slice::Iter<'a, u8>,
    in_text: bool,
    escaped: bool,
}

impl<'a> Bytes<'a> {
    fn new(json: &'a str) -> Self {
        Self {
            bytes: json.as_bytes().iter(),
            in_text: false,
            escaped: false,
        }
    }
}

impl Iterator for Bytes<'_> {
    type Item = (u8, bool);

    fn next(&mut self) -> Option<(u8, bool)> {
        let byte = *self.bytes.next()?;
        let was_in_text = self.in_text;
        if self.escaped {
            self.escaped = false;
        } else if byte == b'\\' && self.in_text {
            self.escaped = true;
        } else if byte == b'"' {
            self.in_text = !self.in_text;
        }
        Some((byte, was_in_text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn compact(json: &str) -> String {
        let mut out = Vec::new();
        write_compact(json, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn data_is_an_object_of_bounded_size_and_depth() {
        assert_eq!(check_data(r#" {"a": [1, {"b": null}]} "#, 64), Ok(()));
        for wrong in ["", "[]", "7", "null", r#""{}""#, "{", "{}{}", r#"{"a":}"#] {
            assert_eq!(
                check_data(wrong, 64),
                Err(DataError::NotAnObject),
                "{wrong}"
            );
        }
        let long = DataError::TooLong { bytes_max: 1 };
        assert_eq!(check_data("{}", 1), Err(long));
        let nested = |depth: usize| {
            let within = depth - 1;
            format!("{{\"a\":{}1{}}}", "[".repeat(within), "]".repeat(within))
        };
        assert_eq!(check_data(&nested(DATA_DEPTH_MAX), 256), Ok(()));
        let deep = nested(DATA_DEPTH_MAX + 1);
        assert_eq!(check_data(&deep, 256), Err(DataError::TooDeep));
        // Brackets of a text nest nothing.
        assert_eq!(
            check_data(&format!(r#"{{"a":"\"{}"}}"#, "[".repeat(99)), 256),
            Ok(())
        );
    }

    #[test]
    fn objects_of_a_list_never_look_like_events() {
        assert_eq!(
            compact("{ \"a\" : [ {\"id\":\"x\"} ,\n{\"id\":\"},{ \\\" y\"},{}] }"),
            r#"{"a":[{"id":"x"}, {"id":"},{ \" y"}, {}]}"#
        );
    }

    #[test]
    fn users_are_mentioned_in_the_text_and_in_the_data() {
        let data = r#"{"mentions":["bob","ann","bob",""],"x":1}"#;
        assert_eq!(
            mentions("hi <@ann>, <@é!> <@no", Some(data)),
            ["bob", "ann", "é!"]
        );
        assert_eq!(mentions("<@><@a b><@<@c>", None), ["c"]);
        for none in [
            r#"{"mentions":"bob"}"#,
            r#"{"mentions":[1]}"#,
            r#"{"m":"\"mentions\""}"#,
        ] {
            assert_eq!(mentions("", Some(none)), Vec::<String>::new(), "{none}");
        }
        let crowd: String = (0..200).map(|user| format!("<@{user}>")).collect();
        assert_eq!(mentions(&crowd, None).len(), MENTIONS_MAX);
        let long = format!("<@{}>", "x".repeat(MENTION_BYTES_MAX + 1));
        assert_eq!(mentions(&long, None), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn what_is_compact_says_the_same_and_stays(
            keys in proptest::collection::vec(".{0,6}", 0..4),
            text in ".{0,20}",
        ) {
            let list: Vec<_> = keys.iter().map(|key| serde_json::json!({"id": key})).collect();
            let value = serde_json::json!({"list": list, "text": text});
            let compacted = compact(&serde_json::to_string_pretty(&value).unwrap());
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&compacted).unwrap(), value);
            let looks_like_events = compacted.contains("},{\"id\":\"");
            prop_assert!(!looks_like_events);
            prop_assert_eq!(compact(&compacted), compacted);
        }

        #[test]
        fn hostile_texts_never_panic(text in ".{0,60}") {
            let _ = check_data(&text, 40);
            let _ = compact(&text);
            let _ = mentions(&text, Some(&text));
        }
    }
}
