//! Time as the core sees it: a number handed in by the host.

/// Milliseconds since the Unix epoch, as read by the host.
///
/// The core never reads a clock. `Instant` cannot be made from a number and panics on some wasm
/// hosts, so time is a type of our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Millis(pub u64);

impl Millis {
    /// Returns this moment moved later by `ms` milliseconds, or the end of time.
    #[must_use]
    pub const fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Returns the milliseconds from `earlier` to this moment, zero if it lies before.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Returns this moment as RFC 3339 text in UTC, with milliseconds.
    #[must_use]
    pub fn rfc3339(self) -> String {
        let time = i64::try_from(self.0)
            .ok()
            .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
            .unwrap_or(jiff::Timestamp::MAX);
        format!("{time:.3}")
    }

    /// Reads RFC 3339 text; `None` when it is none, or lies before 1970.
    #[must_use]
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let time: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(time.as_millisecond()).ok().map(Self)
    }
}

/// The JSON of a moment: its text.
pub(crate) mod rfc3339 {
    use serde::de::{Deserialize as _, Deserializer, Error as _};
    use serde::ser::Serializer;

    use super::Millis;

    pub(crate) fn serialize<S: Serializer>(at: &Millis, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&at.rfc3339())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Millis, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Millis::parse_rfc3339(&text).ok_or_else(|| D::Error::custom("not a moment in RFC 3339"))
    }
}

/// The JSON of a moment that may not be there.
pub(crate) mod rfc3339_option {
    use serde::de::{Deserialize as _, Deserializer, Error as _};
    use serde::ser::Serializer;

    use super::Millis;

    pub(crate) fn serialize<S: Serializer>(
        at: &Option<Millis>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => serializer.serialize_str(&at.rfc3339()),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Millis>, D::Error> {
        let text = Option::<std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
        let parse = |text: std::borrow::Cow<'_, str>| {
            let at = Millis::parse_rfc3339(&text);
            at.ok_or_else(|| D::Error::custom("not a moment in RFC 3339"))
        };
        text.map(parse).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_milliseconds_and_round_trip() {
        for ms in [0, 1, 999, 1_000, 1_700_000_000_120] {
            let text = Millis(ms).rfc3339();
            assert_eq!(text.len(), 24, "{text}");
            assert_eq!(Millis::parse_rfc3339(&text), Some(Millis(ms)));
        }
        assert_eq!(Millis(0).rfc3339(), "1970-01-01T00:00:00.000Z");
        assert!(Millis(u64::MAX).rfc3339().starts_with("9999-12-"));
        assert_eq!(Millis::parse_rfc3339("1969-12-31T23:59:59Z"), None);
        assert_eq!(Millis::parse_rfc3339("yesterday"), None);
    }
}
