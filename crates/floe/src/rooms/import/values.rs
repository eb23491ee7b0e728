//! Objects of a JSON file, cut out one by one.

use std::io::BufRead;

use anyhow::{Context, bail};

/// Cuts the objects out of an array of them, or out of objects that stand one after the other.
pub struct Values<R> {
    input: R,
    state: State,
    line: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    /// Inside of an array, before its first element.
    Opened,
    /// Inside of an array, behind an element.
    Between,
    /// No array.
    Sequence,
    End,
}

impl<R: BufRead> Values<R> {
    pub const fn new(input: R) -> Self {
        Self {
            input,
            state: State::Start,
            line: 1,
        }
    }

    /// Returns the next object as it was written, and the line that it begins in.
    ///
    /// # Errors
    /// When something else stands there; nothing can be read after that.
    pub fn next(&mut self) -> anyhow::Result<Option<(u64, String)>> {
        loop {
            let byte = self.skip_space()?;
            match (self.state, byte) {
                (State::Start, Some(b'[')) => {
                    self.input.consume(1);
                    self.state = State::Opened;
                }
                (State::Start, _) => self.state = State::Sequence,
                (State::Opened | State::Between, Some(b']')) => {
                    self.input.consume(1);
                    self.state = State::End;
                }
                (State::Opened | State::Sequence, Some(b'{')) => {
                    if self.state == State::Opened {
                        self.state = State::Between;
                    }
                    return self.object().map(Some);
                }
                (State::Between, Some(b',')) => {
                    self.input.consume(1);
                    let Some(b'{') = self.skip_space()? else {
                        bail!("line {}: a row is an object", self.line);
                    };
                    return self.object().map(Some);
                }
                (State::Sequence | State::End, None) => return Ok(None),
                (State::Opened | State::Between, None) => bail!("the array does not end"),
                (State::Opened | State::Sequence, Some(_)) => {
                    bail!("line {}: a row is an object", self.line)
                }
                (State::Between, Some(_)) => {
                    bail!("line {}: a comma is missing between two rows", self.line)
                }
                (State::End, Some(_)) => {
                    bail!("line {}: something stands behind the array", self.line)
                }
            }
        }
    }

    /// Reads from a `{` to the `}` that belongs to it; what stands between may be no JSON.
    fn object(&mut self) -> anyhow::Result<(u64, String)> {
        let (begin, mut object) = (self.line, Vec::new());
        let (mut depth, mut in_text, mut escaped) = (0_u32, false, false);
        loop {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() {
                bail!("line {begin}: the object does not end");
            }
            let mut used = 0;
            for byte in buffer {
                used += 1;
                match byte {
                    b'\n' => self.line += 1,
                    _ if escaped => {}
                    b'"' => in_text = !in_text,
                    b'{' | b'[' if !in_text => depth += 1,
                    b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
                    _ => {}
                }
                escaped = in_text && !escaped && *byte == b'\\';
                if depth == 0 {
                    break;
                }
            }
            object.extend_from_slice(&buffer[..used]);
            self.input.consume(used);
            if depth == 0 {
                let object = String::from_utf8(object)
                    .with_context(|| format!("line {begin}: not UTF-8"))?;
                return Ok((begin, object));
            }
        }
    }

    /// Returns the next byte that is no white space, and leaves it where it is.
    fn skip_space(&mut self) -> anyhow::Result<Option<u8>> {
        loop {
            let buffer = self.input.fill_buf()?;
            let Some(byte) = buffer.first().copied() else {
                return Ok(None);
            };
            match byte {
                b'\n' => self.line += 1,
                b' ' | b'\t' | b'\r' => {}
                byte => return Ok(Some(byte)),
            }
            self.input.consume(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    #[test]
    fn objects_of_an_array_and_of_lines_are_cut_out_alike() {
        let objects = [r#"{"a":"}\"]"}"#, "{\"b\":\n[{\"c\":\"\\\\\"}]}", "{}"];
        let array = format!("\n[{},\n {} , {}]\n ", objects[0], objects[1], objects[2]);
        let lines = format!("\n{}\n{}\r\n{}", objects[0], objects[1], objects[2]);
        for (text, begins) in [(&array, [2, 3, 4]), (&lines, [2, 3, 5])] {
            for size in [1, 2, 3, 7, 1000] {
                let input = BufReader::with_capacity(size, text.as_bytes());
                let found = all(Values::new(input)).unwrap();
                let expected: Vec<_> = begins.into_iter().zip(objects.map(str::to_owned)).collect();
                assert_eq!(found, expected, "{text} by {size}");
            }
        }
        for empty in ["", " \n", "[]", " [ ] "] {
            assert_eq!(all(Values::new(empty.as_bytes())).unwrap(), []);
        }
    }

    #[test]
    fn what_is_no_list_of_objects_is_refused() {
        for (text, why) in [
            ("1", "line 1: a row is an object"),
            ("[{},\n1]", "line 2: a row is an object"),
            ("[{},]", "line 1: a row is an object"),
            ("[{} {}]", "line 1: a comma is missing between two rows"),
            ("[{}", "the array does not end"),
            ("{\"a\":1", "line 1: the object does not end"),
            ("[{}] x", "line 1: something stands behind the array"),
            ("{}\n\nx", "line 3: a row is an object"),
        ] {
            let error = all(Values::new(text.as_bytes())).unwrap_err();
            assert_eq!(error.to_string(), why, "{text}");
        }
    }

    fn all(mut values: Values<impl BufRead>) -> anyhow::Result<Vec<(u64, String)>> {
        let mut all = Vec::new();
        while let Some(value) = values.next()? {
            all.push(value);
        }
        Ok(all)
    }
}
