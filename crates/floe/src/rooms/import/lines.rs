//! Which line a byte of a file stands in.

use std::collections::VecDeque;

/// Ends of lines that were read, and the lines that were asked for.
///
/// It keeps no more than the ends between the last byte that was asked for and the last that was read.
#[derive(Debug, Default)]
pub struct Lines {
    /// Bytes that were read.
    read: u64,
    /// Line feeds: where they are, and whether a carriage return stands before.
    ends: VecDeque<(u64, bool)>,
    /// Line feeds before `ends`.
    passed: u64,
    after_return: bool,
}

impl Lines {
    /// More bytes were read.
    pub fn read(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' {
                self.ends.push_back((self.read, self.after_return));
            }
            self.after_return = *byte == b'\r';
            self.read += 1;
        }
    }

    /// Returns the line, from 1, that begins at the byte `at` or, where there are only line ends, behind them.
    /// What is asked for next does not lie before.
    pub fn of(&mut self, at: u64) -> u64 {
        let mut begin = at;
        while let Some((end, after_return)) = self.ends.front().copied() {
            if end < begin {
                // It ended something that lies before.
            } else if end == begin || (after_return && end == begin + 1) {
                begin = end + 1;
            } else {
                break;
            }
            self.ends.pop_front();
            self.passed += 1;
        }
        self.passed + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_over_empty_ones_and_returns() {
        for (text, at, line) in [
            ("a\nb\n", 0, 1),
            ("a\nb\n", 2, 2),
            ("a\r\nb\r\n", 2, 2),
            ("a\r\n\r\n\r\nb", 2, 4),
            ("\n\na", 0, 3),
            ("a\n\"x\ny\"\nb", 8, 4),
            ("a\nb", 2, 2),
        ] {
            let mut lines = Lines::default();
            lines.read(text.as_bytes());
            assert_eq!(lines.of(at), line, "{text:?} at {at}");
        }
    }
}
