//! Channels as chats have them: messages with their current content, reactions, threads, pins, and how
//! far users have read. Under `/v1/channels/<id>/messages` and `/v1/reads`.
//!
//! A message is called by its `sequence`, the number of its event. Whoever may manage the namespace may
//! name the user in whose name something is done, as `userId`, and is then judged as that user.

mod answer;
mod request;

pub use answer::{
    Unreads, write_acted, write_marked, write_message_versions, write_messages, write_said,
    write_unreads,
};
pub use answer::{message_json, reactions_json, stored_message_json};
pub use request::{ListMessages, MessageAsk, MessageOperation, Order, ReadsAsk};

pub(super) use request::{read, read_reads};
