//! Numbers of pictures that go on over a change of source (RFC 7741).

use str0m::rtp::{Vp8Descriptor, Vp8Patch};

/// The numbers that VP8 gives to a picture, where it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ids {
    /// The number of the picture, of 7 or 15 bits.
    pub picture: Option<u16>,
    /// The number of the last picture of the base layer.
    pub base: Option<u8>,
}

/// Gives the pictures of changing sources the numbers of one stream.
#[derive(Debug, Clone, Copy)]
pub struct PictureIds {
    part: Option<u64>,
    /// What is added to those of the part.
    picture_shift: u16,
    base_shift: u8,
    /// Those of the newest packet, and its number.
    newest: Option<(u64, Ids)>,
}

const PICTURE_MASK: u16 = 0x7FFF;
const SHORT_PICTURE_MASK: u16 = 0x7F;

impl PictureIds {
    /// Begins a stream.
    pub const fn new() -> Self {
        Self {
            part: None,
            picture_shift: 0,
            base_shift: 0,
            newest: None,
        }
    }

    /// Returns the numbers that a picture has here. `part` is another one whenever the source is, and
    /// `sequence` is the packet's number here.
    pub fn next(&mut self, part: u64, sequence: u64, ids: Ids) -> Ids {
        if self.part != Some(part) {
            self.part = Some(part);
            let newest = self.newest.map(|(_, ids)| ids).unwrap_or_default();
            self.picture_shift = shift(newest.picture, ids.picture);
            self.base_shift = match (newest.base, ids.base) {
                (Some(newest), Some(first)) => newest.wrapping_add(1).wrapping_sub(first),
                _ => 0,
            };
        }
        let here = Ids {
            picture: ids
                .picture
                .map(|id| id.wrapping_add(self.picture_shift) & PICTURE_MASK),
            base: ids.base.map(|id| id.wrapping_add(self.base_shift)),
        };
        match &mut self.newest {
            Some((newest, _)) if *newest > sequence => {}
            // What has no number does not say how they go on.
            Some((newest, kept)) => {
                *newest = sequence;
                kept.picture = here.picture.or(kept.picture);
                kept.base = here.base.or(kept.base);
            }
            None => self.newest = Some((sequence, here)),
        }
        here
    }
}

/// Returns what is to be added for the first number of a part to follow the newest one.
fn shift(newest: Option<u16>, first: Option<u16>) -> u16 {
    match (newest, first) {
        (Some(newest), Some(first)) => newest.wrapping_add(1).wrapping_sub(first) & PICTURE_MASK,
        _ => 0,
    }
}

impl Ids {
    /// Reads the numbers of a packet.
    pub const fn of(descriptor: &Vp8Descriptor) -> Self {
        Self {
            picture: descriptor.picture_id(),
            base: descriptor.tl0_pic_idx(),
        }
    }

    /// Returns what writes these numbers in the place of a packet's own.
    pub fn patch(self, descriptor: &Vp8Descriptor) -> Option<Vp8Patch> {
        let with = |picture: Option<u16>| {
            let mut patch = descriptor.patch();
            if let Some(picture) = picture {
                patch = patch.picture_id(picture);
            }
            if let Some(base) = self.base {
                patch = patch.tl0_pic_idx(base);
            }
            patch.build().ok()
        };
        // The short form of a number is the lower bits of the long one.
        with(self.picture).or_else(|| with(self.picture.map(|id| id & SHORT_PICTURE_MASK)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ids(picture: u16, base: u8) -> Ids {
        Ids {
            picture: Some(picture),
            base: Some(base),
        }
    }

    #[test]
    fn numbers_go_on_over_a_change_of_source_and_wrap() {
        let mut stream = PictureIds::new();
        assert_eq!(stream.next(1, 1, ids(32_766, 254)), ids(32_766, 254));
        assert_eq!(stream.next(1, 3, ids(0, 0)), ids(0, 0));
        assert_eq!(
            stream.next(1, 2, ids(32_767, 255)),
            ids(32_767, 255),
            "one that comes late"
        );
        assert_eq!(stream.next(2, 4, ids(500, 7)), ids(1, 1));
        assert_eq!(stream.next(2, 5, ids(501, 7)), ids(2, 1));
        assert_eq!(stream.next(3, 6, ids(9, 255)), ids(3, 2));
        assert_eq!(stream.next(3, 7, ids(10, 0)), ids(4, 3));
    }

    #[test]
    fn a_source_without_numbers_does_not_lose_them() {
        let mut stream = PictureIds::new();
        stream.next(1, 1, ids(5, 6));
        assert_eq!(stream.next(2, 2, Ids::default()), Ids::default());
        assert_eq!(stream.next(3, 3, ids(100, 100)), ids(6, 7));
    }

    #[test]
    fn a_packet_is_patched_in_the_width_that_it_has() {
        let long = [0x90, 0xE0, 0x80, 0x01, 0x02, 0x20, 0x01];
        let short = [0x90, 0xE0, 0x01, 0x02, 0x20, 0x01];
        for payload in [&long[..], &short[..]] {
            let descriptor = Vp8Descriptor::parse(payload).unwrap();
            assert_eq!(Ids::of(&descriptor), ids(1, 2));
            assert!(ids(0x1234, 9).patch(&descriptor).is_some());
        }
        let none = Vp8Descriptor::parse(&[0x10, 0x00]).unwrap();
        assert!(Ids::of(&none).patch(&none).is_some());
    }
}
