//! One unbroken stream of pictures made of parts of many.

use std::time::Instant;

use crate::renumber::Renumber;
use crate::video::vp8::{Ids, PictureIds};

/// Puts the layers of changing pictures one behind another, each change at a keyframe.
///
/// Until the layer that is wanted brings a keyframe, the one before goes on. A receiver sees one
/// stream without a gap that was not there.
#[derive(Debug, Clone)]
pub struct Splice {
    wanted: Option<usize>,
    /// What goes out: which layer, and by which stream it came.
    current: Option<(usize, u32)>,
    /// Parts so far.
    parts: u64,
    renumber: Renumber,
    ids: PictureIds,
}

/// A packet of one layer of the picture that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Which layer.
    pub layer: usize,
    /// The stream.
    pub ssrc: u32,
    /// The number there.
    pub sequence: u64,
    /// The time there.
    pub time: u32,
    /// Whether a picture begins with it that needs none before.
    pub begins_keyframe: bool,
    /// The numbers that VP8 has for it.
    pub ids: Ids,
}

/// Where a packet belongs in the stream that goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Its number.
    pub sequence: u64,
    /// Its time.
    pub time: u32,
    /// The numbers that VP8 has for it.
    pub ids: Ids,
}

/// Ticks of pictures in a second.
const PICTURE_RATE: u32 = 90_000;

impl Splice {
    /// Begins a stream.
    pub const fn new() -> Self {
        Self {
            wanted: None,
            current: None,
            parts: 0,
            renumber: Renumber::new(PICTURE_RATE),
            ids: PictureIds::new(),
        }
    }

    /// Takes note that another picture is shown from now on, or none.
    pub const fn change(&mut self) {
        self.wanted = None;
        self.current = None;
    }

    /// Says which layer is to go out.
    pub const fn want(&mut self, layer: Option<usize>) {
        self.wanted = layer;
    }

    /// Returns the layer that goes out by now.
    pub fn shown(&self) -> Option<usize> {
        self.current.map(|(layer, _)| layer)
    }

    /// Returns how many numbers no packet had.
    pub fn gaps(&self) -> u64 {
        self.renumber.gaps()
    }

    /// Whether a keyframe of a layer is waited for.
    pub fn waits_for(&self, layer: usize) -> bool {
        self.wanted == Some(layer) && self.shown() != Some(layer)
    }

    /// Returns where a packet goes; `None` where it does not: it is of another layer, or from before
    /// its layer was taken up.
    pub fn place(&mut self, piece: &Piece, now: Instant) -> Option<Placed> {
        let stream = (piece.layer, piece.ssrc);
        if self.current != Some(stream) {
            let is_next = match self.wanted {
                Some(wanted) => wanted == piece.layer,
                // Nothing else is wanted than what there is, by another stream.
                None => self.shown() == Some(piece.layer),
            };
            if !is_next || !piece.begins_keyframe {
                return None;
            }
            self.current = Some(stream);
            self.parts += 1;
        }
        let (sequence, time) = self
            .renumber
            .next(self.parts, piece.sequence, piece.time, now)?;
        Some(Placed {
            sequence,
            time,
            ids: self.ids.next(self.parts, sequence, piece.ids),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn piece(layer: usize, sequence: u64, begins_keyframe: bool) -> Piece {
        let ids = Ids {
            picture: Some((sequence % 1_000) as u16),
            base: None,
        };
        Piece {
            layer,
            ssrc: layer as u32 + 10,
            sequence,
            time: (sequence * 3_000) as u32,
            begins_keyframe,
            ids,
        }
    }

    fn numbers(placed: Option<Placed>) -> Option<(u64, Option<u16>)> {
        placed.map(|placed| (placed.sequence, placed.ids.picture))
    }

    #[test]
    fn a_layer_is_left_only_at_a_keyframe_of_the_next() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut splice = Splice::new();
        assert_eq!(splice.place(&piece(0, 5, true), at(0)), None, "not wanted");
        splice.want(Some(0));
        assert!(splice.waits_for(0));
        assert_eq!(splice.place(&piece(0, 6, false), at(0)), None);
        assert_eq!(
            numbers(splice.place(&piece(0, 7, true), at(0))),
            Some((1, Some(7)))
        );
        assert!(!splice.waits_for(0));
        splice.want(Some(1));
        assert_eq!(splice.place(&piece(1, 800, false), at(20)), None);
        assert_eq!(
            numbers(splice.place(&piece(0, 9, false), at(33))),
            Some((3, Some(9))),
            "the one before goes on, with its gaps"
        );
        let first = splice.place(&piece(1, 803, true), at(66)).unwrap();
        assert_eq!(numbers(Some(first)), Some((4, Some(10))));
        assert_eq!(splice.shown(), Some(1));
        assert_eq!(splice.place(&piece(0, 8, false), at(67)), None, "too late");
        assert_eq!(
            splice.place(&piece(1, 802, false), at(67)),
            None,
            "from before"
        );
        let next = splice.place(&piece(1, 804, false), at(99)).unwrap();
        assert_eq!(numbers(Some(next)), Some((5, Some(11))));
        assert_eq!(next.time, first.time + 3_000);
    }

    #[test]
    fn another_picture_begins_with_a_keyframe_and_goes_on_from_the_one_before() {
        let now = Instant::now();
        let mut splice = Splice::new();
        splice.want(Some(0));
        splice.place(&piece(0, 7, true), now).unwrap();
        splice.change();
        assert_eq!(splice.place(&piece(0, 8, false), now), None);
        splice.want(Some(0));
        assert_eq!(
            numbers(splice.place(&piece(0, 700, true), now)),
            Some((2, Some(8)))
        );
    }

    #[test]
    fn a_layer_that_comes_by_another_stream_begins_with_a_keyframe() {
        let now = Instant::now();
        let mut splice = Splice::new();
        splice.want(Some(0));
        splice.place(&piece(0, 7, true), now).unwrap();
        let other = |sequence, begins_keyframe| Piece {
            ssrc: 99,
            ..piece(0, sequence, begins_keyframe)
        };
        assert_eq!(splice.place(&other(50, false), now), None);
        assert_eq!(
            numbers(splice.place(&other(51, true), now)),
            Some((2, Some(8)))
        );
    }
}
