//! A medium by which a participant receives pictures.

use floe_core::voice::{Layer, Source, Watch};
use str0m::media::{Direction, Mid, Pt};

use crate::video::codec::PictureCodec;
use crate::video::splice::Splice;

/// A picture of a participant: whose, by their place among all peers, and which.
pub type PictureId = (usize, Source);

/// A medium by which pictures of others go out.
#[derive(Debug)]
pub struct PictureSlot {
    /// Its name.
    pub mid: Mid,
    /// What it shows.
    pub shows: Option<PictureId>,
    /// What makes one stream of many.
    pub splice: Splice,
    /// What the browser takes, and what it calls it.
    takes: Vec<(PictureCodec, Pt)>,
    /// Whether the browser also sends by it.
    receives: bool,
    /// Whose picture the browser asked for, and which.
    pub asked: Option<(Box<str>, Source)>,
    /// How good a picture, at most.
    pub quality: Layer,
}

impl PictureSlot {
    /// Makes a slot that shows nothing.
    pub const fn new(mid: Mid) -> Self {
        Self {
            mid,
            shows: None,
            splice: Splice::new(),
            takes: Vec::new(),
            receives: false,
            asked: None,
            quality: Layer::High,
        }
    }

    /// Takes note of what the browser takes by now, and whether it also sends by it.
    pub fn agree(&mut self, takes: Vec<(PictureCodec, Pt)>, receives: bool) {
        self.takes = takes;
        self.receives = receives;
    }

    /// Which ways something goes by it.
    pub const fn direction(&self) -> Direction {
        match (self.shows.is_some(), self.receives) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }

    /// Takes note of what is to be shown.
    pub fn watch(&mut self, watch: Watch) {
        self.asked = watch.user.map(|user| (user, watch.source));
        self.quality = watch.quality;
    }

    /// Shows another picture from now on, or none; returns whether it is another.
    pub fn show(&mut self, picture: Option<PictureId>) -> bool {
        let is_other = self.shows != picture;
        if is_other {
            self.shows = picture;
            self.splice.change();
        }
        is_other
    }

    /// Returns what the browser calls a codec, if it takes it.
    pub fn pt(&self, codec: PictureCodec) -> Option<Pt> {
        let same = self.takes.iter().find(|(taken, _)| *taken == codec);
        let alike = || self.takes.iter().find(|(taken, _)| taken.takes(codec));
        same.or_else(alike).map(|(_, pt)| *pt)
    }
}
