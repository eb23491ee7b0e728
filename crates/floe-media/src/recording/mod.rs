//! Recordings of voice rooms: one Ogg file a participant, and who spoke when.

mod tap;

pub use tap::Recorded;
pub(crate) use tap::Tap;
