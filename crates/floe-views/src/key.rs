//! Row numbers: a channel's number and, below it, the event's.

/// Bits of an event's number.
const SEQ_BITS: u32 = 37;

/// Largest number of an event that a row can have; at a million events a second it is reached
/// after 38 hours in one channel.
pub const SEQ_MAX: u64 = (1 << SEQ_BITS) - 1;

/// Largest number of a channel that a row can have.
pub const CHANNEL_MAX: i64 = (1 << (63 - SEQ_BITS)) - 1;

/// Returns the row of an event; numbers beyond the bounds have that of the bound.
pub fn row(channel: i64, seq: u64) -> i64 {
    channel.clamp(0, CHANNEL_MAX) << SEQ_BITS | seq.min(SEQ_MAX) as i64
}

/// Returns the channel of a row.
pub const fn channel(row: i64) -> i64 {
    row >> SEQ_BITS
}

/// Returns the number of a row's event.
pub const fn seq(row: i64) -> u64 {
    row as u64 & SEQ_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_name_their_event_and_lie_in_order() {
        for (number, event) in [(1, 1), (1, SEQ_MAX), (2, 0), (CHANNEL_MAX, SEQ_MAX)] {
            assert_eq!(channel(row(number, event)), number);
            assert_eq!(seq(row(number, event)), event);
        }
        assert!(row(1, SEQ_MAX) < row(2, 0));
        assert!(row(CHANNEL_MAX, SEQ_MAX) > 0);
        assert_eq!(row(1, u64::MAX), row(1, SEQ_MAX));
    }
}
