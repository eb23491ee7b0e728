//! JSON bodies, split into messages whose bytes stay as they were sent.

use serde_json::value::RawValue;

/// Messages in wire form, ready for the log: each one's bytes and a comma.
///
/// A read is then a range of bytes between brackets, without its last comma.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Messages {
    /// The messages, each followed by a comma.
    pub bytes: Vec<u8>,
    /// Length of each message with its comma.
    pub lens: Vec<u32>,
}

impl Messages {
    /// Replaces the content with the messages of a body.
    ///
    /// An array is one level of batching: its elements are the messages, and an empty one has none.
    /// Anything else is one message. White space inside a message is kept, around it dropped.
    ///
    /// # Errors
    /// Says what is wrong with the body and where; the content is then empty.
    pub fn split(&mut self, body: &[u8]) -> Result<(), serde_json::Error> {
        self.bytes.clear();
        self.lens.clear();
        let body = body.trim_ascii();
        if body.first() == Some(&b'[') {
            for message in serde_json::from_slice::<Vec<&RawValue>>(body)? {
                self.push(message.get().as_bytes());
            }
        } else {
            self.push(serde_json::from_slice::<&RawValue>(body)?.get().as_bytes());
        }
        Ok(())
    }

    /// Adds one message, which is valid JSON without white space around it.
    pub(crate) fn push(&mut self, message: &[u8]) {
        self.bytes.extend_from_slice(message);
        self.bytes.push(b',');
        // A body is far smaller than 4 GiB.
        self.lens
            .push(u32::try_from(message.len() + 1).unwrap_or(u32::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(body: &str) -> Option<(String, Vec<u32>)> {
        let mut messages = Messages::default();
        messages.split(body.as_bytes()).ok()?;
        Some((String::from_utf8(messages.bytes).unwrap(), messages.lens))
    }

    #[test]
    fn one_level_of_arrays_is_batching() {
        assert_eq!(
            split(r#" {"a": 1.0} "#),
            Some((r#"{"a": 1.0},"#.into(), vec![11]))
        );
        assert_eq!(
            split("[1,  [2,3], {} ]"),
            Some(("1,[2,3],{},".into(), vec![2, 6, 3]))
        );
        assert_eq!(split("[]"), Some((String::new(), vec![])));
        assert_eq!(split("[[]]"), Some(("[],".into(), vec![3])));
    }

    #[test]
    fn bytes_stay_as_sent() {
        let body = r#"{"z":1e400,"a":"\u00e4ä",  "n":123456789012345678901234567890}"#;
        assert_eq!(split(body).unwrap().0, format!("{body},"));
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for body in [
            "",
            "{",
            "[1,]",
            "1 2",
            "[1] 2",
            "nul",
            "\"\n\"",
            "[\"\\x\"]",
        ] {
            assert_eq!(split(body), None, "{body}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(split(&deep), None);
    }

    proptest! {
        #[test]
        fn any_bytes_split_or_fail_without_panic(body in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut messages = Messages::default();
            if messages.split(&body).is_ok() {
                prop_assert_eq!(messages.lens.iter().sum::<u32>() as usize, messages.bytes.len());
                let mut array = b"[".to_vec();
                array.extend_from_slice(messages.bytes.strip_suffix(b",").unwrap_or_default());
                array.push(b']');
                let read: Vec<&RawValue> = serde_json::from_slice(&array).unwrap();
                prop_assert_eq!(read.len(), messages.lens.len());
            }
        }
    }
}
