//! Which segments to merge.

use crate::segments::Live;

/// What the choice depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) bytes: u64,
    pub(crate) dead_bytes: u64,
    /// Whether it is to be left alone.
    pub(crate) pinned: bool,
}

impl Size {
    pub(crate) fn of<F>(live: &Live<F>) -> Self {
        Self {
            bytes: live.segment.id.bytes,
            dead_bytes: live.dead_bytes,
            pinned: live.segment.origin.is_some(),
        }
    }
}

/// Segments of like size that make a merge worth it.
const GROUP: usize = 6;

/// Chooses adjacent segments to merge, given all of them with the oldest data first.
///
/// A segment of which half is dead is written anew; else the youngest ones are merged, and with them
/// each older one that is not larger than all of those together, so each byte is written a
/// logarithmic number of times.
pub(crate) fn choose(sizes: &[Size], segment_bytes_max: u64) -> Option<std::ops::Range<usize>> {
    if let Some(at) = sizes
        .iter()
        .position(|size| !size.pinned && size.dead_bytes * 2 > size.bytes)
    {
        return Some(at..at + 1);
    }
    let mut total = 0;
    let mut first = sizes.len();
    while first > 0 {
        let bytes = sizes[first - 1].bytes;
        let large = total > 0 && bytes > total;
        let pinned = sizes[first - 1].pinned;
        if pinned || large || bytes >= segment_bytes_max || total + bytes > segment_bytes_max * 2 {
            break;
        }
        total += bytes;
        first -= 1;
    }
    (sizes.len() - first >= GROUP).then_some(first..sizes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(bytes: &[u64]) -> Vec<Size> {
        let size = |&bytes| Size {
            bytes,
            dead_bytes: 0,
            pinned: false,
        };
        bytes.iter().map(size).collect()
    }

    #[test]
    fn small_young_segments_are_merged_and_large_old_ones_are_left() {
        let young = |older: &[u64], count| [older, &vec![10; count]].concat();
        assert_eq!(choose(&sizes(&young(&[], 5)), 1000), None);
        assert_eq!(choose(&sizes(&young(&[], 6)), 1000), Some(0..6));
        assert_eq!(choose(&sizes(&young(&[500], 6)), 1000), Some(1..7));
        assert_eq!(choose(&sizes(&young(&[60], 6)), 1000), Some(0..7));
        assert_eq!(choose(&sizes(&young(&[1000, 600, 500], 4)), 1000), None);
        assert_eq!(choose(&[], 1000), None);
    }

    #[test]
    fn a_pinned_segment_is_left_alone() {
        let mut all = sizes(&[10; GROUP + 1]);
        all[0].pinned = true;
        assert_eq!(choose(&all, 1000), Some(1..GROUP + 1));
        all[0].dead_bytes = 10;
        all[2].pinned = true;
        assert_eq!(choose(&all, 1000), None);
    }

    #[test]
    fn a_segment_that_is_mostly_dead_is_written_anew() {
        let mut all = sizes(&[1000, 5000, 10]);
        all[1].dead_bytes = 2501;
        assert_eq!(choose(&all, 1000), Some(1..2));
    }
}
