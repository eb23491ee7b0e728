//! The byte codec of records and states: little-endian numbers, varints, length-prefixed bytes.

/// Appends encoded values to a buffer.
pub trait Put {
    /// Appends one byte.
    fn put_u8(&mut self, value: u8);
    /// Appends four bytes, least significant first.
    fn put_u32(&mut self, value: u32);
    /// Appends eight bytes, least significant first.
    fn put_u64(&mut self, value: u64);
    /// Appends a varint: seven bits a byte, least significant first, at most ten bytes.
    fn put_varint(&mut self, value: u64);
    /// Appends the length as a varint, then the bytes.
    fn put_bytes(&mut self, value: &[u8]);
}

impl Put for Vec<u8> {
    fn put_u8(&mut self, value: u8) {
        self.push(value);
    }

    fn put_u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.push(value as u8);
    }

    fn put_bytes(&mut self, value: &[u8]) {
        self.put_varint(value.len() as u64);
        self.extend_from_slice(value);
    }
}

/// Reads what [`Put`] wrote, in the same order.
///
/// Every method returns `None` when the bytes end early or do not decode; nothing panics on bytes
/// from outside.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Returns what has not been read.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Returns whether everything has been read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Reads `len` bytes.
    pub fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    /// Reads one byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    /// Reads four bytes.
    pub fn u32(&mut self) -> Option<u32> {
        let bytes = self.take(4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }

    /// Reads eight bytes.
    pub fn u64(&mut self) -> Option<u64> {
        let bytes = self.take(8)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }

    /// Reads a varint.
    pub fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for (at, byte) in self.rest.iter().enumerate().take(10) {
            let bits = u64::from(byte & 0x7f);
            if at == 9 && bits > 1 {
                return None;
            }
            value |= bits << (7 * at);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[at + 1..];
                return Some(value);
            }
        }
        None
    }

    /// Reads length-prefixed bytes.
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.varint()?).ok()?;
        self.take(len)
    }

    /// Reads length-prefixed UTF-8.
    pub fn str(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_round_trip() {
        let mut buffer = Vec::new();
        buffer.put_u8(7);
        buffer.put_u32(u32::MAX - 1);
        buffer.put_u64(1 << 50);
        for value in [0, 127, 128, 300, u64::MAX] {
            buffer.put_varint(value);
        }
        buffer.put_bytes("grüße".as_bytes());
        let mut reader = Reader::new(&buffer);
        assert_eq!(reader.u8(), Some(7));
        assert_eq!(reader.u32(), Some(u32::MAX - 1));
        assert_eq!(reader.u64(), Some(1 << 50));
        for value in [0, 127, 128, 300, u64::MAX] {
            assert_eq!(reader.varint(), Some(value));
        }
        assert_eq!(reader.str(), Some("grüße"));
        assert!(reader.is_empty());
    }

    #[test]
    fn short_and_oversized_input_is_none() {
        assert_eq!(Reader::new(&[0x80]).varint(), None);
        assert_eq!(Reader::new(&[0xff; 11]).varint(), None);
        assert_eq!(Reader::new(&[5, 1, 2]).bytes(), None);
        assert_eq!(Reader::new(&[1, 2, 3]).u32(), None);
    }
}
