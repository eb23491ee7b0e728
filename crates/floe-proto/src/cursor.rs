//! The `Stream-Cursor` of live answers.

use crate::Millis;

/// Start of the first cursor interval: 2024-10-09T00:00:00Z.
pub const CURSOR_EPOCH_MS: u64 = 1_728_432_000_000;
/// Length of one cursor interval.
pub const CURSOR_INTERVAL_MS: u64 = 20_000;

/// Returns the cursor of a live answer given at `now` to a client that sent `client`.
///
/// The cursor counts intervals, so that caches collapse the requests of one interval. A client
/// that is level with or ahead of the interval would be answered from the cache for ever; it is
/// sent 1 to 3600 seconds ahead instead, by how much `random` says (protocol, section 8.1).
#[must_use]
pub fn live_cursor(now: Millis, client: Option<u64>, random: u64) -> u64 {
    let interval = now.0.saturating_sub(CURSOR_EPOCH_MS) / CURSOR_INTERVAL_MS;
    match client {
        Some(seen) if seen >= interval => {
            let jitter_s = 1 + random % 3600;
            seen.saturating_add((jitter_s * 1000).div_ceil(CURSOR_INTERVAL_MS))
        }
        Some(_) | None => interval,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(CURSOR_EPOCH_MS + 10 * CURSOR_INTERVAL_MS + 5);

    #[test]
    fn a_client_behind_gets_the_interval() {
        assert_eq!(live_cursor(NOW, None, 7), 10);
        assert_eq!(live_cursor(NOW, Some(9), 7), 10);
    }

    #[test]
    fn a_client_level_or_ahead_always_moves_on() {
        for seen in [10, 11, 5000] {
            for random in [0, 19, 3599, u64::MAX] {
                let next = live_cursor(NOW, Some(seen), random);
                assert!(next > seen && next <= seen + 180, "{seen} {random} {next}");
            }
        }
        assert_eq!(live_cursor(NOW, Some(u64::MAX), 1), u64::MAX);
    }
}
