//! Pictures: of cameras, and of screens.
//!
//! A [`Picture`](picture::Picture) comes in layers; each [`PictureSlot`] of a
//! receiver shows one layer of one picture. Which picture is [chosen](choose::choose) for the room, which
//! layer is [allocated](allocate::allocate) from what the receiver's network takes.

mod allocate;
mod budget;
mod choose;
mod codec;
mod forward;
mod guess;
mod meter;
mod picture;
mod rids;
mod slot;
mod slots;
mod splice;
mod vp8;

pub use budget::Budget;
pub use codec::PictureCodec;
pub use guess::UNKNOWN as NETWORK_UNKNOWN;
pub use picture::Pictures;
pub use rids::LAYERS_MAX;
pub use slot::PictureSlot;
