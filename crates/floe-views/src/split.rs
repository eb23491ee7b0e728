//! Where one event ends and the next begins.

/// Events as they lie in the log, one by one: the JSON of each.
#[derive(Debug, Clone)]
pub struct Split<'a>(pub &'a [u8]);

impl<'a> Iterator for Split<'a> {
    /// `None` where the bytes are something else; nothing follows then.
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let Some(end) = object_len(self.0).filter(|end| self.0.get(*end) == Some(&b',')) else {
            self.0 = &[];
            return Some(None);
        };
        let (event, rest) = self.0.split_at(end);
        self.0 = &rest[1..];
        Some(Some(event))
    }
}

/// Returns how many bytes the JSON object at the beginning has; `None` when there is none.
fn object_len(bytes: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at += text_len(&bytes[at..])? - 1,
            b'{' => depth += 1,
            b'}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ if depth == 0 => return None,
            _ => {}
        }
        at += 1;
    }
    None
}

/// Returns how many bytes the JSON string at the beginning has, its quotes included.
fn text_len(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(text: &str) -> Vec<Option<&str>> {
        Split(text.as_bytes())
            .map(|event| event.map(|event| std::str::from_utf8(event).unwrap()))
            .collect()
    }

    #[test]
    fn events_end_at_their_brace() {
        assert_eq!(split(""), []);
        assert_eq!(split(r#"{"a":1},{},"#), [Some(r#"{"a":1}"#), Some("{}")]);
        assert_eq!(
            split(r#"{"a":"},{\"","b":{"c":"\\"}},{"d":2},"#),
            [Some(r#"{"a":"},{\"","b":{"c":"\\"}}"#), Some(r#"{"d":2}"#)]
        );
    }

    #[test]
    fn anything_else_ends_it() {
        for text in [
            "{", "{}", "{}{},", "[],", "},", r#"{"a,"#, r#"{"a\"#, " {},", "7,", "\"{\",",
        ] {
            assert_eq!(split(text), [None], "{text}");
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_end_it(bytes: Vec<u8>) {
            let split = Split(&bytes);
            prop_assert!(split.count() <= bytes.len());
        }
    }
}
