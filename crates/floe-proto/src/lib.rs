//! Wire types, codes, limits and cursors shared by every part of Floe.
//!
//! This crate does no I/O, reads no clock and draws no random number, so it builds for any
//! target a host may have.

mod channel;
mod code;
pub mod codec;
pub mod community;
mod cursor;
mod event;
mod ids;
mod namespace;
mod query;
mod rights;
pub mod table;
mod time;
pub mod token;
mod voice;

pub use channel::{ChannelId, ChannelMeta, ParseChannelIdError, Retention};
pub use code::{Code, Retry};
pub use cursor::{CURSOR_EPOCH_MS, CURSOR_INTERVAL_MS, live_cursor};
pub use event::{
    DATA_DEPTH_MAX, DataError, Event, EventKind, MENTION_BYTES_MAX, MENTIONS_MAX, check_data,
    mentions,
};
pub use ids::{NameHash, Offset, ParseOffsetError, RoomId};
pub use namespace::{Namespace, ParseNamespaceError};
pub use query::{
    Among, ChannelQuery, EventQuery, Page, Pin, ReactionCount, Reactions, Scope, Search,
    SearchMode, StoredEvent, Unread, UnreadQuery,
};
pub use rights::Rights;
pub use time::Millis;
pub use voice::VoiceId;
