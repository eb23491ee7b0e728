//! Who of a voice room hears whom.

use crate::loudest::Loudest;

/// The participants of one room.
#[derive(Debug)]
pub struct Room {
    /// Their places among all peers, in the order in which they came.
    pub members: Vec<usize>,
    /// Who is heard.
    pub loudest: Loudest,
    /// Whether there are more pictures than somebody has slots.
    pub is_crowded: bool,
}

impl Room {
    /// Makes an empty room in which so many are heard at once.
    pub fn new(audio_slots: usize) -> Self {
        Self {
            members: Vec::new(),
            loudest: Loudest::new(audio_slots),
            is_crowded: false,
        }
    }
}
