//! Row numbers: when an event came, so that the newest rows of a namespace are those with the
//! largest numbers.

use floe_proto::Millis;

/// Bits below the millisecond: rows of one millisecond that keep their exact time.
const SLOT_BITS: u32 = 12;
/// Latest time that a row number can hold; far beyond the year 9999.
const MS_MAX: u64 = 1 << 50;

/// Returns the first number for a row of channel `channel_no` at `at`, larger than `last`, which is
/// that of the channel's row before.
///
/// It may be taken by another channel: then the next one is tried. Channels start at different
/// places of a millisecond, so that this is rare.
pub fn first_row(at: Millis, channel_no: i64, last: i64) -> i64 {
    let ms = at.0.min(MS_MAX) as i64;
    let place = (channel_no as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - SLOT_BITS + 1);
    ((ms << SLOT_BITS) | place as i64).max(last + 1)
}

/// Returns the smallest number of a row at `at` or later.
pub fn row_at(at: Millis) -> i64 {
    (at.0.min(MS_MAX) as i64) << SLOT_BITS
}

/// Returns by how much the time in the number of a row lies after the time of its event: more than
/// 0 only where a clock went back, or more came in a millisecond than it has places.
pub fn behind_ms(row: i64, at: Millis) -> u64 {
    ((row >> SLOT_BITS) as u64).saturating_sub(at.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_grow_in_a_channel_and_keep_their_time() {
        let mut last = 0;
        for ms in [5_u64, 5, 7, 6, 6, 900] {
            let row = first_row(Millis(ms), 3, last);
            assert!(row > last);
            last = row;
        }
        assert_eq!(behind_ms(last, Millis(900)), 0);
        let early = first_row(Millis(850), 3, last);
        assert_eq!(behind_ms(early, Millis(850)), 50);
        assert!(early >= row_at(Millis(900)) && early < row_at(Millis(901)));
    }

    #[test]
    fn the_end_of_time_has_a_row() {
        let row = first_row(Millis(u64::MAX), i64::MAX, 0);
        assert!(row > 0);
        assert!(first_row(Millis(0), 1, row) > row);
    }
}
