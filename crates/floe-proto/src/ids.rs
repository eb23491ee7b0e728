//! Identities and positions.

use std::fmt;
use std::str::FromStr;

/// Number of one room for as long as its log lives.
///
/// Given out once, in ascending order, and never reused: a name that is created again after a
/// delete gets another number, so old data can never show up under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomId(pub u64);

/// Keyed 128-bit hash of a room's namespace and name.
///
/// The key is private to one data folder, so nobody outside can aim at a collision. The name
/// itself is in the room's state and is compared when a room wakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameHash(pub u128);

/// Position in a room's log: how many units lie before it.
///
/// A unit is one message in a JSON room and one byte in every other. On the wire it is
/// [`Offset::WIRE_LEN`] decimal digits, so that offsets sort as bytes like they sort as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Offset(pub u64);

impl Offset {
    /// Digits of an offset on the wire.
    pub const WIRE_LEN: usize = 16;
    /// What an offset may begin with when it is read.
    ///
    /// Other servers of the protocol write two numbers, of which the first is zero, and clients
    /// and test suites are known to make up the offset of a stream's start in that form.
    const LONG_FORM: &str = "0000000000000000_";
    /// Largest offset that has a wire form.
    pub const MAX: Self = Self(9_999_999_999_999_999);

    /// Returns the wire form.
    #[must_use]
    pub const fn wire(self) -> [u8; Self::WIRE_LEN] {
        let mut digits = [b'0'; Self::WIRE_LEN];
        let mut rest = self.0;
        let mut at = Self::WIRE_LEN;
        while rest > 0 && at > 0 {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        digits
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016}", self.0)
    }
}

impl FromStr for Offset {
    type Err = ParseOffsetError;

    fn from_str(text: &str) -> Result<Self, ParseOffsetError> {
        let bytes = text
            .strip_prefix(Self::LONG_FORM)
            .unwrap_or(text)
            .as_bytes();
        if bytes.len() != Self::WIRE_LEN || !bytes.iter().all(u8::is_ascii_digit) {
            return Err(ParseOffsetError);
        }
        let value = bytes
            .iter()
            .fold(0, |n, digit| n * 10 + u64::from(digit - b'0'));
        Ok(Self(value))
    }
}

/// The text is not the wire form of an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseOffsetError;

impl fmt::Display for ParseOffsetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an offset is {} decimal digits", Offset::WIRE_LEN)
    }
}

impl std::error::Error for ParseOffsetError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_round_trip_and_sort_as_bytes() {
        let values = [0, 1, 9, 10, 255, 1 << 40, Offset::MAX.0];
        for pair in values.windows(2) {
            assert!(Offset(pair[0]).wire() < Offset(pair[1]).wire());
        }
        for value in values {
            let text = Offset(value).to_string();
            assert_eq!(text.as_bytes(), Offset(value).wire());
            assert_eq!(text.parse(), Ok(Offset(value)));
        }
    }

    #[test]
    fn the_long_form_is_read_and_never_written() {
        let long = "0000000000000000_0000000000000007";
        assert_eq!(long.parse(), Ok(Offset(7)));
        assert_eq!(
            "0000000000000001_0000000000000007".parse::<Offset>(),
            Err(ParseOffsetError)
        );
    }

    #[test]
    fn anything_but_sixteen_digits_is_refused() {
        for text in [
            "",
            "-1",
            "now",
            "1",
            "000000000000001",
            "00000000000000001",
            "000000000000000x",
        ] {
            assert_eq!(text.parse::<Offset>(), Err(ParseOffsetError), "{text}");
        }
    }
}
