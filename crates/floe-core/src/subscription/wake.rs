//! One wake: its identity, its token, and where its delivery stands.

use std::collections::BTreeMap;

use floe_proto::Millis;

use super::limits::{JITTER_PERCENT, RETRY_MS_MAX, RETRY_MS_MIN};

/// The wake in flight. Its generation is the subscription's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wake {
    pub id: u128,
    /// The part of the token that only this wake's holder knows.
    pub token: u128,
    /// Tails of pending streams as the holder was told.
    pub snapshot: BTreeMap<Box<str>, u64>,
    pub state: State,
}

/// Where a wake's delivery stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// The wake stream has the event; nobody has claimed it.
    Unclaimed,
    /// A worker holds the lease.
    Claimed { worker: Box<str>, until: Millis },
    /// The webhook request is out.
    Sending { until: Millis },
    /// The webhook took the request and will call back.
    Delivered { until: Millis },
    /// The last try failed.
    Retrying { at: Millis },
}

impl Wake {
    pub const fn deadline(&self) -> Option<Millis> {
        match self.state {
            State::Unclaimed => None,
            State::Claimed { until, .. }
            | State::Sending { until }
            | State::Delivered { until } => Some(until),
            State::Retrying { at } => Some(at),
        }
    }

    pub fn wire_id(&self) -> Box<str> {
        format!("w_{:032x}", self.id).into()
    }
}

/// Writes a bearer token: the generation, the subscription's secret, the wake's own part.
///
/// The secret proves that the bearer once held a wake of this subscription, so that a late
/// holder can be told it was fenced, which an unknown caller is not.
pub(super) fn write_token(generation: u64, secret: u128, token: u128) -> Box<str> {
    format!("ds_{generation}_{secret:032x}_{token:032x}").into()
}

/// What a bearer token is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenCheck {
    Valid,
    /// It was valid for another generation.
    Stale,
    Wrong,
}

/// Checks a token against the subscription's secret and the current wake, if there is one.
pub(super) fn check_token(
    text: &str,
    generation: u64,
    secret: u128,
    token: Option<u128>,
) -> TokenCheck {
    let Some((its_generation, its_secret, its_token)) = read_token(text) else {
        return TokenCheck::Wrong;
    };
    // Numbers are compared whole, so the time taken says nothing about where they differ.
    if its_secret ^ secret != 0 {
        return TokenCheck::Wrong;
    }
    match token {
        Some(token) if its_generation == generation => match its_token ^ token {
            0 => TokenCheck::Valid,
            _ => TokenCheck::Wrong,
        },
        Some(_) | None => TokenCheck::Stale,
    }
}

fn read_token(text: &str) -> Option<(u64, u128, u128)> {
    let mut parts = text.strip_prefix("ds_")?.splitn(3, '_');
    let generation = parts.next()?.parse().ok()?;
    let mut hex = || {
        let digits = parts.next()?;
        let whole = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        whole.then(|| u128::from_str_radix(digits, 16).ok())?
    };
    Some((generation, hex()?, hex()?))
}

/// Returns how long to wait after `failures` failures in a row.
pub(super) fn retry_delay_ms(failures: u32, random: u128) -> u64 {
    let doublings = failures.saturating_sub(1).min(16);
    let base = (RETRY_MS_MIN << doublings).min(RETRY_MS_MAX);
    let spread = base * JITTER_PERCENT / 100;
    let jitter = (random % u128::from(2 * spread + 1)) as u64;
    base - spread + jitter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_valid_stale_or_wrong() {
        let token = write_token(7, 1, 2);
        assert_eq!(check_token(&token, 7, 1, Some(2)), TokenCheck::Valid);
        assert_eq!(check_token(&token, 8, 1, Some(3)), TokenCheck::Stale);
        assert_eq!(check_token(&token, 7, 1, None), TokenCheck::Stale);
        assert_eq!(check_token(&token, 7, 1, Some(3)), TokenCheck::Wrong);
        assert_eq!(check_token(&token, 7, 9, Some(2)), TokenCheck::Wrong);
        for text in ["", "ds_7", "ds_7_1_2", "ds_7_+1_2", "Bearer"] {
            assert_eq!(check_token(text, 7, 1, Some(2)), TokenCheck::Wrong);
        }
    }

    #[test]
    fn delays_double_from_one_second_to_sixty_with_a_fifth_of_jitter() {
        for (failures, base) in [
            (1, 1_000),
            (2, 2_000),
            (6, 32_000),
            (7, 60_000),
            (99, 60_000),
        ] {
            assert_eq!(retry_delay_ms(failures, 0), base * 8 / 10);
            assert_eq!(
                retry_delay_ms(failures, u128::from(base * 4 / 10)),
                base * 12 / 10
            );
        }
    }
}
