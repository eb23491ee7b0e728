//! Messages that say who sent them, in what order and when.
//!
//! A record is `~`, the writer as 4 hexadecimal digits, its sequence number as 12 and the moment
//! of sending as 16, in nanoseconds of the generator's clock; the rest of the message is filler
//! without `~`. It survives every framing that a server puts around it except base64.

/// One record found in what a reader received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    /// Number of the writer.
    pub(crate) writer: u16,
    /// Number of the message among those of its writer, from zero.
    pub(crate) sequence: u64,
    /// When it was sent.
    pub(crate) sent_ns: u64,
}

impl Record {
    /// Bytes of a record without filler.
    pub(crate) const LEN: usize = 33;

    /// Appends the record and filler up to `message_bytes`.
    pub(crate) fn put(self, out: &mut Vec<u8>, message_bytes: usize) {
        out.push(MARK);
        put_hex(out, u64::from(self.writer), 4);
        put_hex(out, self.sequence, 12);
        put_hex(out, self.sent_ns, 16);
        let filler = message_bytes.saturating_sub(Self::LEN);
        out.resize(out.len() + filler, FILLER);
    }

    fn parse(digits: &[u8]) -> Option<Self> {
        Some(Self {
            writer: parse_hex(digits.get(..4)?)? as u16,
            sequence: parse_hex(digits.get(4..16)?)?,
            sent_ns: parse_hex(digits.get(16..32)?)?,
        })
    }
}

/// Finds records in a body that arrives in pieces.
#[derive(Debug, Default)]
pub(crate) struct RecordScanner {
    /// Start of a record whose end has not arrived.
    part: Vec<u8>,
}

impl RecordScanner {
    /// Hands every record that `bytes` completes to `found`; `None` is one that does not decode.
    pub(crate) fn scan(&mut self, mut bytes: &[u8], mut found: impl FnMut(Option<Record>)) {
        if !self.part.is_empty() {
            let missing = (Record::LEN - self.part.len()).min(bytes.len());
            self.part.extend_from_slice(&bytes[..missing]);
            bytes = &bytes[missing..];
            if self.part.len() < Record::LEN {
                return;
            }
            found(Record::parse(&self.part[1..]));
            self.part.clear();
        }
        while let Some(at) = memchr::memchr(MARK, bytes) {
            let rest = &bytes[at..];
            if rest.len() < Record::LEN {
                self.part.extend_from_slice(rest);
                return;
            }
            found(Record::parse(&rest[1..Record::LEN]));
            bytes = &rest[Record::LEN..];
        }
    }

    /// Forgets a record whose end will not arrive.
    pub(crate) fn reset(&mut self) {
        self.part.clear();
    }
}

const MARK: u8 = b'~';
pub(crate) const FILLER: u8 = b'x';

fn put_hex(out: &mut Vec<u8>, value: u64, digits: u32) {
    for digit in (0..digits).rev() {
        let nibble = (value >> (4 * digit)) & 0xf;
        out.push(b"0123456789abcdef"[nibble as usize]);
    }
}

fn parse_hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |value, byte| {
        let nibble = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(nibble))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_broken_record_is_reported_and_the_next_one_found() {
        let mut bytes = vec![MARK];
        bytes.extend_from_slice(&[b'?'; 32]);
        RECORD.put(&mut bytes, 40);
        assert_eq!(scan_in_reads_of(bytes.len(), &bytes), [None, Some(RECORD)]);
    }

    proptest! {
        #[test]
        fn records_are_found_however_reads_split_them(
            read_bytes in 1usize..200,
            message_bytes in 0usize..120,
            sequences in prop::collection::vec(0u64..1 << 48, 1..6),
        ) {
            let records: Vec<_> = sequences
                .into_iter()
                .map(|sequence| Record { sequence, ..RECORD })
                .collect();
            let mut bytes = b"event: data\ndata:[\"".to_vec();
            for record in &records {
                record.put(&mut bytes, message_bytes);
                bytes.extend_from_slice(b"\",\"");
            }
            let expected: Vec<_> = records.into_iter().map(Some).collect();
            prop_assert_eq!(scan_in_reads_of(read_bytes, &bytes), expected);
        }
    }

    const RECORD: Record = Record {
        writer: 0x0a1,
        sequence: 7,
        sent_ns: 123_456_789,
    };

    fn scan_in_reads_of(read_bytes: usize, bytes: &[u8]) -> Vec<Option<Record>> {
        let (mut scanner, mut records) = (RecordScanner::default(), Vec::new());
        for read in bytes.chunks(read_bytes) {
            scanner.scan(read, |record| records.push(record));
        }
        records
    }
}
