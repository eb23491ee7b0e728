//! Recordings of voice rooms: one Ogg file a participant, and who spoke when.
//!
//! Nothing is decoded. The forwarder hands out each packet of a recorded room ([`Recorded`]); a
//! [`Track`] makes the bytes of a file of those of one participant, and [`Spoken`] gathers who spoke
//! when. What a crash left of a file is found by [`Whole`].

mod ogg;
mod opus;
mod spoken;
mod tap;
mod track;

pub use ogg::{PAGE_BYTES_MAX, PAGE_HEADER, Whole};
pub use spoken::{Spoke, Spoken};
pub use tap::Recorded;
pub(crate) use tap::Tap;
pub use track::{Packet, Track};

#[cfg(test)]
mod tests;
