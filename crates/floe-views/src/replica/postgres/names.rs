//! What things are called in PostgreSQL.

use std::borrow::Cow;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// Bytes of the longest name that PostgreSQL does not cut off.
const NAME_BYTES_MAX: usize = 63;
/// Bytes of the longest row key that stands in the primary key as it is.
const KEY_BYTES_MAX: usize = 256;
/// What a key begins with that stands for a longer one.
const HASHED: &str = "sha256:";

/// Returns the name of a namespace's schema; no two namespaces have the same.
///
/// A name that is too long is cut, and its hash put behind a `~`, which no namespace has in its name.
pub fn schema_of(namespace: &str) -> String {
    let plain = format!("floe_{namespace}");
    if plain.len() <= NAME_BYTES_MAX {
        return plain;
    }
    let hash = hash(namespace);
    let start: String = plain.chars().take(30).collect();
    let end: String = hash
        .chars()
        .take(NAME_BYTES_MAX - start.len() - 1)
        .collect();
    format!("{start}~{end}")
}

/// Quotes a name.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns what stands for a row's key in the primary key, whose columns must be short.
pub fn key_id(key: &str) -> Cow<'_, str> {
    if key.len() <= KEY_BYTES_MAX && !key.starts_with(HASHED) && !key.contains('\0') {
        return Cow::Borrowed(key);
    }
    Cow::Owned(format!("{HASHED}{}", hash(key)))
}

/// Returns a text as PostgreSQL can keep it: without NUL, which becomes the replacement character.
pub fn clean(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Returns JSON as PostgreSQL can keep it; `None` where it is none.
pub fn clean_json(json: &str) -> Option<Cow<'_, str>> {
    // All that could be wrong with what this program wrote is behind an escape.
    if !json.contains("\\u") {
        return Some(Cow::Borrowed(json));
    }
    let mut value: serde_json::Value = serde_json::from_str(json).ok()?;
    clean_value(&mut value);
    Some(Cow::Owned(value.to_string()))
}

fn clean_value(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) => {
            if let Cow::Owned(clean) = clean(text) {
                *text = clean;
            }
        }
        serde_json::Value::Array(values) => values.iter_mut().for_each(clean_value),
        serde_json::Value::Object(members) => {
            let all = std::mem::take(members);
            for (name, mut value) in all {
                clean_value(&mut value);
                members.insert(clean(&name).into_owned(), value);
            }
        }
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
    }
}

fn hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_namespaces_have_the_same_schema() {
        let long = "n".repeat(64);
        let twin = format!("{}m", &long[..63]);
        let schemas = [&long, &twin, "n", "N"].map(schema_of);
        for (at, schema) in schemas.iter().enumerate() {
            assert!(schema.len() <= NAME_BYTES_MAX, "{schema}");
            assert!(!schemas[..at].contains(schema), "{schema}");
        }
        assert_eq!(schema_of("default"), "floe_default");
        assert!(schema_of(&long).contains('~'));
    }

    #[test]
    fn keys_that_are_long_or_look_hashed_are_hashed() {
        assert_eq!(key_id("7"), "7");
        let long = "k".repeat(KEY_BYTES_MAX + 1);
        let hashed = key_id(&long);
        assert!(hashed.starts_with(HASHED) && hashed.len() < KEY_BYTES_MAX);
        assert_ne!(key_id(&hashed), hashed);
        assert_ne!(key_id("a\0"), key_id("a\u{fffd}"));
    }

    #[test]
    fn nul_becomes_the_replacement_character() {
        let json = r#"{"a":"\\u0000","b":"x\u0000"}"#;
        let clean = clean_json(json).unwrap();
        assert_eq!(clean, "{\"a\":\"\\\\u0000\",\"b\":\"x\u{fffd}\"}");
        assert_eq!(clean_json(r#"{"a":"\ud800"}"#), None);
    }
}
