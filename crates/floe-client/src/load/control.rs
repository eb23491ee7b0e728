//! Finds the resume offset in an SSE body that arrives in pieces.

/// Follows the lines of an SSE body and keeps the newest `streamNextOffset`.
#[derive(Debug, Default)]
pub(crate) struct ControlScanner {
    /// Start of a line whose end has not arrived, at most [`LINE_BYTES_MAX`] of it.
    line: Vec<u8>,
}

impl ControlScanner {
    /// Hands every offset that `bytes` completes to `found`.
    pub(crate) fn scan(&mut self, mut bytes: &[u8], mut found: impl FnMut(&[u8])) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let line = &bytes[..end];
            if self.line.is_empty() {
                line_offset(line).map(&mut found);
            } else {
                self.keep(line);
                line_offset(&self.line).map(&mut found);
                self.line.clear();
            }
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes);
    }

    /// Forgets a line whose end will not arrive.
    pub(crate) fn reset(&mut self) {
        self.line.clear();
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LINE_BYTES_MAX.saturating_sub(self.line.len());
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

/// Longer lines carry data: a control line is a small object.
const LINE_BYTES_MAX: usize = 512;
const KEY: &[u8] = b"\"streamNextOffset\":\"";

fn line_offset(line: &[u8]) -> Option<&[u8]> {
    let value = line.strip_prefix(b"data:")?;
    let value = value.strip_prefix(b" ").unwrap_or(value);
    // A data line of a JSON stream is an array, so only a control line starts with a brace.
    if !value.starts_with(b"{") {
        return None;
    }
    let start = memchr::memmem::find(value, KEY)? + KEY.len();
    let len = memchr::memchr(b'"', &value[start..])?;
    Some(&value[start..start + len])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn offsets_are_found_however_reads_split_them(read_bytes in 1usize..120) {
            let body = b"event: data\ndata:[{\"streamNextOffset\":\"no\"}]\n\nevent: control\ndata:{\"streamNextOffset\":\"a\"}\n\nevent: control\r\ndata: {\"upToDate\":true,\"streamNextOffset\":\"bc\"}\r\n\r\n";
            let (mut scanner, mut offsets) = (ControlScanner::default(), Vec::new());
            for read in body.chunks(read_bytes) {
                scanner.scan(read, |offset| offsets.push(offset.to_vec()));
            }
            prop_assert_eq!(offsets, [b"a".to_vec(), b"bc".to_vec()]);
        }
    }
}
