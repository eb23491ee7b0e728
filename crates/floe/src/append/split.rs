//! What of stdin makes one append.

use anyhow::{Context, ensure};
use serde_json::value::RawValue;

/// How stdin is cut into messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// Not at all: bytes, in appends as large as they may be.
    Bytes,
    /// Not at all: one JSON text, however large.
    Whole,
    /// After each line end, which stays in the message.
    Lines,
    /// At line ends, each line a JSON string.
    LinesAsStrings,
    /// At line ends, each line a JSON value.
    JsonLines,
}

/// Collects stdin and hands out what is to be appended.
#[derive(Debug)]
pub struct Splitter {
    split: Split,
    batch_bytes: usize,
    buffer: Vec<u8>,
    /// Number of the last line that was taken, for messages to people.
    line: u64,
}

impl Splitter {
    pub fn new(split: Split, batch_bytes: usize) -> Self {
        Self {
            split,
            batch_bytes,
            buffer: Vec::new(),
            line: 0,
        }
    }

    /// Takes in what was read.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the body of the next append; `is_end` says that nothing more will come.
    pub fn poll_body(&mut self, is_end: bool) -> anyhow::Result<Option<Vec<u8>>> {
        if self.buffer.is_empty() {
            return Ok(None);
        }
        match self.split {
            Split::Bytes if is_end || self.buffer.len() >= self.batch_bytes => {
                Ok(Some(self.take(self.batch_bytes)))
            }
            Split::Whole if is_end => Ok(Some(self.take(usize::MAX))),
            Split::Bytes | Split::Whole => Ok(None),
            Split::Lines => Ok(self.take_lines(is_end)),
            Split::LinesAsStrings | Split::JsonLines => self.take_values(is_end),
        }
    }

    fn take(&mut self, bytes: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(bytes.min(self.buffer.len()));
        std::mem::replace(&mut self.buffer, rest)
    }

    /// Takes whole lines, as many as fit one append, at least one.
    fn take_lines(&mut self, is_end: bool) -> Option<Vec<u8>> {
        let mut end = 0;
        while let Some(line) = self.buffer[end..].iter().position(|byte| *byte == b'\n') {
            if end > 0 && end + line + 1 > self.batch_bytes {
                return Some(self.take(end));
            }
            end += line + 1;
        }
        match (end, is_end) {
            (0, false) => None,
            (_, true) => Some(self.take(usize::MAX)),
            (_, false) => Some(self.take(end)),
        }
    }

    fn take_values(&mut self, is_end: bool) -> anyhow::Result<Option<Vec<u8>>> {
        let Some(lines) = self.take_lines(is_end) else {
            return Ok(None);
        };
        let mut body = vec![b'['];
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            self.line += 1;
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            self.put_value(&mut body, line)
                .with_context(|| format!("line {} of stdin", self.line))?;
        }
        // Only empty lines: nothing to append yet, but perhaps in what follows.
        if body.len() == 1 {
            return self.poll_body(is_end);
        }
        body.push(b']');
        Ok(Some(body))
    }

    fn put_value(&self, body: &mut Vec<u8>, line: &[u8]) -> anyhow::Result<()> {
        let text = std::str::from_utf8(line).context("not UTF-8")?;
        let is_strings = self.split == Split::LinesAsStrings;
        if text.trim().is_empty() && !is_strings {
            return Ok(());
        }
        if body.len() > 1 {
            body.push(b',');
        }
        if is_strings {
            serde_json::to_writer(body, text)?;
        } else {
            let value: &RawValue = serde_json::from_str(text).context("not a JSON value")?;
            ensure!(!value.get().is_empty(), "not a JSON value");
            body.extend_from_slice(value.get().as_bytes());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_go_out_in_pieces_as_large_as_they_may_be() {
        assert_eq!(
            bodies(Split::Bytes, 4, &["abc", "defgh", "i"]),
            ["abcd", "efgh", "i"]
        );
        assert_eq!(bodies(Split::Whole, 4, &["[1,", "2,3]"]), ["[1,2,3]"]);
    }

    #[test]
    fn lines_go_out_as_soon_as_they_are_whole() {
        assert_eq!(
            bodies(Split::Lines, 8, &["a\nb\nc", "d\n", "lonely"]),
            ["a\nb\n", "cd\n", "lonely"]
        );
        assert_eq!(
            bodies(Split::Lines, 4, &["a\nb\nc\nlonger than that\n"]),
            ["a\nb\n", "c\n", "longer than that\n"]
        );
    }

    #[test]
    fn json_lines_become_one_array_with_each_value_as_it_was() {
        assert_eq!(
            bodies(
                Split::JsonLines,
                100,
                &["{\"a\": 1.0}\r\n\n[1, 2]\n", "\n\n", "3"]
            ),
            ["[{\"a\": 1.0},[1, 2]]", "[3]"]
        );
        assert_eq!(
            bodies(Split::LinesAsStrings, 100, &["a \"b\"\n\nc"]),
            ["[\"a \\\"b\\\"\",\"\"]", "[\"c\"]"]
        );
    }

    #[test]
    fn a_broken_value_is_named_by_its_line() {
        let mut splitter = Splitter::new(Split::JsonLines, 100);
        splitter.feed(b"1\n{]\n");
        let error = splitter.poll_body(true).unwrap_err();
        assert_eq!(error.to_string(), "line 2 of stdin");
    }

    fn bodies(split: Split, batch_bytes: usize, reads: &[&str]) -> Vec<String> {
        let (mut splitter, mut bodies) = (Splitter::new(split, batch_bytes), Vec::new());
        for (read, is_end) in reads.iter().map(|read| (*read, false)).chain([("", true)]) {
            splitter.feed(read.as_bytes());
            while let Some(body) = splitter.poll_body(is_end).unwrap() {
                bodies.push(String::from_utf8(body).unwrap());
            }
        }
        bodies
    }
}
