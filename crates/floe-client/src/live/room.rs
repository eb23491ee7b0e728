//! One room, as the application holds it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::frames::{Ack, News};
use super::session::{Level, LiveError, Order, Queued};

/// What is wanted of a room.
#[derive(Debug, Clone)]
#[must_use = "it is joined with `Live::join`"]
pub struct Join {
    pub(super) room: String,
    pub(super) after: Value,
    pub(super) fields: serde_json::Map<String, Value>,
}

impl Join {
    /// The channel with this identity; what is new alone, until something else is said.
    pub fn channel(id: &str) -> Self {
        Self::room(format!("channel/{id}"))
    }

    /// The stream at this path.
    pub fn stream(path: &str) -> Self {
        Self::room(format!("stream/{path}"))
    }

    fn room(room: String) -> Self {
        Self {
            room,
            after: "now".into(),
            fields: serde_json::Map::new(),
        }
    }

    /// All that is kept, and then what comes.
    pub fn from_start(mut self) -> Self {
        self.after = "start".into();
        self
    }

    /// What follows a cursor: the `next` that came with the last events.
    pub fn after(mut self, seq: u64) -> Self {
        self.after = seq.into();
        self
    }

    /// Only so many of the newest events that are there already.
    pub fn limit(mut self, events: u32) -> Self {
        if self.after == "now" {
            self.after = "start".into();
        }
        self.with("limit", events.into())
    }

    /// Without the room's events.
    pub fn without_events(self) -> Self {
        self.with("events", false.into())
    }

    /// In the name of a user, who is the author of what is written; whoever a token or a key names
    /// goes before. To write to a channel somebody has to be named.
    pub fn as_user(self, user: &str) -> Self {
        self.with("user", user.into())
    }

    /// With who is there, and seen by them as this user.
    pub fn as_member(self, user: &str) -> Self {
        self.as_user(user).with("presence", "member".into())
    }

    /// What others see of this member.
    pub fn data(self, data: Value) -> Self {
        self.with("data", data)
    }

    /// With who is there, unseen.
    pub fn watching(self) -> Self {
        self.with("presence", "watch".into())
    }

    /// With what the room remembers under keys that begin with `prefix`.
    pub fn memory(self, prefix: &str) -> Self {
        let wanted = match prefix {
            "" => true.into(),
            prefix => prefix.into(),
        };
        self.with("memory", wanted)
    }

    /// With a channel's token.
    pub fn token(self, token: &str) -> Self {
        self.with("token", token.into())
    }

    fn with(mut self, name: &str, value: Value) -> Self {
        self.fields.insert(name.to_owned(), value);
        self
    }
}

/// A room that was joined; dropping it leaves the room.
#[derive(Debug)]
pub struct Room {
    pub(super) orders: mpsc::UnboundedSender<Order>,
    pub(super) name: String,
    /// Tells this room from others of its name.
    pub(super) number: u64,
    pub(super) inbox: mpsc::UnboundedReceiver<Result<Queued, LiveError>>,
    pub(super) level: Arc<Level>,
}

/// A change of a room's memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct SetMemory {
    /// How long the value lives; the server's longest by default.
    pub ttl: Option<Duration>,
    /// The version that the value must have now, 0 for none.
    pub if_version: Option<u64>,
}

impl Room {
    /// The room's name, such as `channel/5ae3f09c11d2`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns what happens next, or `None` once nothing will: a stream was closed.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// The room has ended: it was deleted, a token ran out, retention overtook the cursor
    /// (`OFFSET_EXPIRED`), or the server cannot be reached any more.
    pub async fn next(&mut self) -> Result<Option<News>, LiveError> {
        let Some(queued) = self.inbox.recv().await.transpose()? else {
            return Ok(None);
        };
        if self.level.took(queued.bytes) {
            let number = self.number;
            // Where the task is gone, the inbox says so.
            let _ = self.orders.send(Order::Resume { number });
        }
        Ok(Some(queued.news))
    }

    /// Appends a message to a channel, or text to a stream, and waits until it is on disk.
    ///
    /// # Errors
    /// [`LiveError::Unreachable`] from a channel says that all tries failed and the message may
    /// have been written; from a stream, which has no keys, that it was not tried again.
    pub async fn append(&self, content: &str) -> Result<Ack, LiveError> {
        self.append_frame(json!({"content": content})).await
    }

    /// Appends a message of a JSON stream.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub async fn append_json(&self, message: &Value) -> Result<Ack, LiveError> {
        self.append_frame(json!({"data": message})).await
    }

    /// Appends several messages to a channel, all or none.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub async fn append_all(&self, contents: &[&str]) -> Result<Ack, LiveError> {
        let events: Vec<_> = contents
            .iter()
            .map(|content| json!({"content": content}))
            .collect();
        self.append_frame(json!({"events": events})).await
    }

    /// Puts a new version in the place of a message of a channel.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub async fn edit(&self, target_seq: u64, content: &str) -> Result<Ack, LiveError> {
        let frame = json!({"kind": "edit", "targetSeq": target_seq, "content": content});
        self.append_frame(frame).await
    }

    /// Deletes an event of a channel.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub async fn delete(&self, target_seq: u64) -> Result<Ack, LiveError> {
        let frame = json!({"kind": "deletion", "targetSeq": target_seq});
        self.append_frame(frame).await
    }

    /// Says something else of this member.
    ///
    /// # Errors
    /// The server refused, or the connection broke before it answered.
    pub async fn set_data(&self, data: Value) -> Result<Ack, LiveError> {
        self.request(json!({"type": "presence", "data": data}))
            .await
    }

    /// Sets a value in the room's memory.
    ///
    /// # Errors
    /// `FENCED` if the value has another version; else as [`set_data`](Self::set_data).
    pub async fn set(&self, key: &str, value: Value, how: SetMemory) -> Result<Ack, LiveError> {
        let mut frame = json!({"type": "memory", "op": "set", "key": key, "value": value});
        if let Some(ttl) = how.ttl {
            frame["ttlMs"] = (ttl.as_millis() as u64).into();
        }
        if let Some(version) = how.if_version {
            frame["ifVersion"] = version.into();
        }
        self.request(frame).await
    }

    /// Deletes a value from the room's memory.
    ///
    /// # Errors
    /// As [`set_data`](Self::set_data).
    pub async fn unset(&self, key: &str) -> Result<Ack, LiveError> {
        self.request(json!({"type": "memory", "op": "delete", "key": key}))
            .await
    }

    /// Says that this user is typing, or no longer; to be said again every few seconds.
    ///
    /// # Errors
    /// As [`set_data`](Self::set_data).
    pub async fn typing(&self, is_typing: bool) -> Result<(), LiveError> {
        let frame = json!({"type": "typing", "typing": is_typing});
        self.request(frame).await.map(drop)
    }

    async fn append_frame(&self, mut frame: Value) -> Result<Ack, LiveError> {
        frame["type"] = "append".into();
        if self.name.starts_with("channel/") {
            let key = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
            frame["idempotencyKey"] = key.into();
        }
        self.request(frame).await
    }

    async fn request(&self, mut frame: Value) -> Result<Ack, LiveError> {
        frame["room"] = self.name.as_str().into();
        let (answer, answered) = oneshot::channel();
        let order = Order::Request { frame, answer };
        self.orders.send(order).map_err(|_| LiveError::Gone)?;
        answered.await.map_err(|_| LiveError::Gone)?
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let number = self.number;
        // Where the task is gone, so is the room.
        let _ = self.orders.send(Order::Forget { number });
    }
}
