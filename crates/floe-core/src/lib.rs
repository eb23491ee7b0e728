//! Floe's rooms as state machines: what a room decides, without I/O, clock, randomness or threads.
//!
//! A [`Room`] is asked (`decide_*`) whether a request may happen; the answer is a [`Record`] for
//! the host to put into the log, or a refusal. Once the log has taken the record, the host hands it
//! to [`Room::apply`], which is the only way that a room ever changes: a running server, recovery
//! and the log's background fold all go through it, so they cannot disagree. Once the record is
//! durable, [`Room::show`] moves what readers may see.
//!
//! ```
//! use floe_core::{Append, ContentType, Create, Lifetime, Record, Room, Size};
//! use floe_proto::{Millis, RoomId};
//!
//! let now = Millis(1_000);
//! let create = Create::new(ContentType::new("text/plain"), Lifetime::Unlimited);
//! let record = create.record(b"logs/today", now);
//! let mut room = Room::create(RoomId(1), &record, Size::NONE, now).expect("a create record makes a room");
//!
//! let append = Append { content_type: Some("text/plain"), units: 5, ..Append::default() };
//! let decision = room.decide_append(&append)?;
//! if let Some(record) = &decision.record {
//!     // The host appends the record and its five bytes to the log here.
//!     room.apply(record, Size { units: 5, bytes: 5 }, now);
//! }
//! assert_eq!((room.staged().tail, room.visible().tail), (5, 0));
//! room.show(room.staged()); // the log says it is durable
//! assert_eq!(room.visible().tail, 5);
//! # Ok::<(), floe_core::AppendError>(())
//! ```

pub mod access;
mod append;
pub mod buffer;
pub mod channel;
pub mod community;
mod content;
mod create;
pub mod directory;
mod fold;
mod kept;
mod lifetime;
pub mod live;
pub mod load;
pub mod rate;
mod record;
mod room;
pub mod shards;
pub mod subscription;
pub mod voice;

pub use append::{Append, AppendError, Decision, Producer};
pub use content::ContentType;
pub use create::{Create, CreateError, Fork, ForkError};
pub use fold::{Folding, fold};
pub use lifetime::Lifetime;
pub use record::{CreateRecord, DataRecord, Record};
pub use room::{Edge, Holder, ReadError, Room, Size, Span, Start};

#[cfg(test)]
mod tests;
