//! Numbers of counters.

use std::fmt;

/// A number as JSON has it: whole where it is written so and fits, so that counting is exact.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A whole number.
    Whole(i64),
    /// Any other finite number.
    Real(f64),
}

impl Number {
    /// Reads a JSON value; `None` if it is no number, or is too large for one.
    #[must_use]
    pub fn of_json(json: &str) -> Option<Self> {
        let json = json.trim();
        let first = json.bytes().next()?;
        if first != b'-' && !first.is_ascii_digit() {
            return None;
        }
        if let Ok(whole) = json.parse() {
            return Some(Self::Whole(whole));
        }
        Self::real(json.parse().ok()?)
    }

    /// Adds; `None` where the sum is out of range.
    #[must_use]
    pub fn plus(self, by: Self) -> Option<Self> {
        match (self, by) {
            (Self::Whole(one), Self::Whole(by)) => one.checked_add(by).map(Self::Whole),
            _ => Self::real(self.as_real() + by.as_real()),
        }
    }

    fn real(real: f64) -> Option<Self> {
        real.is_finite().then_some(Self::Real(real))
    }

    const fn as_real(self) -> f64 {
        match self {
            Self::Whole(whole) => whole as f64,
            Self::Real(real) => real,
        }
    }
}

/// Writes it as JSON.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(whole) => whole.fmt(f),
            // This form has an exponent where that is shorter.
            Self::Real(real) => write!(f, "{real:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_numbers_are_read_as_such() {
        for (json, number) in [
            ("0", Number::Whole(0)),
            ("-7", Number::Whole(-7)),
            (" 12 ", Number::Whole(12)),
            ("9223372036854775807", Number::Whole(i64::MAX)),
            (
                "9223372036854775808",
                Number::Real(9_223_372_036_854_775_808.0),
            ),
            ("1.5e3", Number::Real(1_500.0)),
        ] {
            assert_eq!(Number::of_json(json), Some(number), "{json}");
        }
        for json in [
            "", "null", "\"1\"", "[1]", "{}", "true", "NaN", "inf", "-inf", "1e999",
        ] {
            assert_eq!(Number::of_json(json), None, "{json}");
        }
    }

    #[test]
    fn sums_out_of_range_are_none() {
        assert_eq!(Number::Whole(i64::MAX).plus(Number::Whole(1)), None);
        assert_eq!(Number::Real(f64::MAX).plus(Number::Real(f64::MAX)), None);
        let sum = Number::Whole(1).plus(Number::Real(0.5));
        assert_eq!(sum, Some(Number::Real(1.5)));
    }

    proptest! {
        #[test]
        fn a_number_is_read_as_it_was_written(whole: i64, real in proptest::num::f64::NORMAL) {
            for number in [Number::Whole(whole), Number::Real(real)] {
                prop_assert_eq!(Number::of_json(&number.to_string()), Some(number));
            }
        }
    }
}
