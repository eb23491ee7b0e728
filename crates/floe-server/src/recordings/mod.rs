//! Recordings of voice rooms: files of what each participant said, and who spoke when.
//!
//! The media thread hands over each packet of a recorded room ([`Tap`]); a thread of its own writes
//! them. Whatever waits for a disk or a store waits on threads of the recordings alone: the event loop
//! asks ([`Question`]) and hears ([`News`]) by way of [`Recordings`].
//!
//! Each recording has a folder, `recordings/<number of the room>/<recording>` in the data folder. A file
//! that is being written is called `.ogg.new`; what a crash left is ended where it is whole, at the next
//! start. `index.json` is written last, so a folder without it is of a recording that goes on.

mod folder;
mod inbox;
mod index;
mod mend;
mod recorder;
mod settings;
mod shelf;
mod store;
mod writing;

mod host;

pub use host::{News, Recordings, Tap};
pub use index::Why;
pub use settings::RecordingSettings;
pub use shelf::{Answer, Lent, Question};

#[cfg(test)]
mod tests;
