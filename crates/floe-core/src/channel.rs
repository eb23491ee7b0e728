//! Channels: JSON rooms whose messages are events that the server stamps.
//!
//! Message `u` of the room's log is the event with the sequence number `u + 1`. What a room knows
//! beyond that, because it is a channel, is here: who owns it, which events were deleted, which
//! idempotency keys were seen, and how much is kept.

mod change;
mod event;
mod hidden;
mod keys;
mod retention;
#[cfg(test)]
mod tests;

use std::fmt;

use floe_proto::codec::{Put, Reader};
use floe_proto::{ChannelId, ChannelMeta, Millis, Retention};

use crate::record::{DataRecord, bit, decode_flag};
use crate::room::{Room, Size};

pub use change::{ChannelChange, ChannelError};
pub use event::{Appended, EventAppend, EventDecision, EventError, Target};
pub use hidden::HIDDEN_RANGES_MAX;
pub use keys::{KEYS_KEPT_MS, KEYS_MAX, KEYS_MIN, KeyHash};
pub use retention::RETAIN_INTERVAL_MS;

use hidden::Hidden;
use keys::Keys;
pub(crate) use retention::Marks;

/// What makes a new room a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChannel {
    /// Its identity; the room's name says it, too.
    pub id: ChannelId,
    /// What people call it; 1 to 100 characters, not unique.
    pub name: Box<str>,
    /// The namespace that owns it.
    pub owner: Box<str>,
    /// What its tokens are signed with.
    pub secret: Secret,
    /// How it behaves.
    pub settings: ChannelSettings,
}

/// What the tokens of a channel are signed with. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Takes the text of a secret.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Returns the text, which is the key of the signature.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// How a channel behaves; its owner may change it at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChannelSettings {
    /// How much it keeps.
    pub retention: Retention,
    /// What becomes of readers that fall behind its keyed state.
    pub slow: SlowPolicy,
}

/// What becomes of a reader that has fallen behind the kept changes of presence and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SlowPolicy {
    /// Its connection is closed; it may come back and resume.
    #[default]
    Disconnect,
    /// It is sent a new snapshot.
    Conflate,
}

/// What a room knows because it is a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    id: ChannelId,
    name: Box<str>,
    owner: Box<str>,
    secret: Secret,
    created_at: Millis,
    settings: ChannelSettings,
    end: Option<SoftEnd>,
    keys: Keys,
    hidden: Hidden,
    marks: Marks,
}

/// When a channel was deleted, and when it goes for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SoftEnd {
    deleted_at: Millis,
    purge_at: Millis,
}

impl Channel {
    pub(crate) fn new(new: &NewChannel, created_at: Millis) -> Self {
        Self {
            id: new.id,
            name: new.name.clone(),
            owner: new.owner.clone(),
            secret: new.secret.clone(),
            created_at,
            settings: new.settings,
            end: None,
            keys: Keys::default(),
            hidden: Hidden::default(),
            marks: Marks::new(created_at),
        }
    }

    /// Its identity.
    #[must_use]
    pub const fn id(&self) -> ChannelId {
        self.id
    }

    /// What people call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace that owns it.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// What its tokens are signed with; for no one but who checks and makes them.
    #[must_use]
    pub fn secret(&self) -> &str {
        self.secret.as_str()
    }

    /// When it was created.
    #[must_use]
    pub const fn created_at(&self) -> Millis {
        self.created_at
    }

    /// When it was deleted; it is purged a grace time later.
    #[must_use]
    pub fn deleted_at(&self) -> Option<Millis> {
        self.end.map(|end| end.deleted_at)
    }

    /// How it behaves.
    #[must_use]
    pub const fn settings(&self) -> ChannelSettings {
        self.settings
    }

    /// Takes in what was appended to the room's log, from unit `first` on.
    pub(crate) fn apply_data(
        &mut self,
        data: &DataRecord<'_>,
        first: u64,
        size: Size,
        now: Millis,
    ) {
        if size.units == 0 {
            return;
        }
        if let Some(key) = data.key {
            self.keys.insert(key, first, size.units, now);
        }
        if data.annotates {
            self.hidden.annotate(first, size.units);
        }
        if let Some(unit) = data.hides {
            self.hidden.hide(unit, first);
        }
        self.apply_size(size, now);
    }

    pub(crate) fn apply_size(&mut self, size: Size, now: Millis) {
        self.marks.take(size, now, self.settings.retention);
    }

    pub(crate) fn apply_change(&mut self, change: &ChannelChange) {
        match change {
            ChannelChange::Settings(settings) => {
                self.marks.mark();
                self.settings = *settings;
            }
            ChannelChange::Secret(secret) => self.secret = secret.clone(),
            ChannelChange::Deleted {
                deleted_at,
                purge_at,
            } => {
                self.end = Some(SoftEnd {
                    deleted_at: *deleted_at,
                    purge_at: *purge_at,
                });
            }
        }
    }

    pub(crate) fn apply_retain(&mut self, start: u64, now: Millis) {
        self.hidden.forget_before(start);
        self.marks.forget_before(start, now);
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        encode_identity(self.id, &self.name, &self.owner, &self.secret, out);
        self.settings.encode(out);
        out.put_u8(u8::from(self.end.is_some()));
        if let Some(end) = self.end {
            out.put_u64(end.deleted_at.0);
            out.put_u64(end.purge_at.0);
        }
        self.keys.encode(out);
        self.hidden.encode(out);
        self.marks.encode(out);
    }

    pub(crate) fn decode(reader: &mut Reader<'_>, created_at: Millis) -> Option<Self> {
        let new = NewChannel::decode(reader)?;
        let end = if decode_flag(reader)? {
            Some(SoftEnd {
                deleted_at: Millis(reader.u64()?),
                purge_at: Millis(reader.u64()?),
            })
        } else {
            None
        };
        Some(Self {
            id: new.id,
            name: new.name,
            owner: new.owner,
            secret: new.secret,
            created_at,
            settings: new.settings,
            end,
            keys: Keys::decode(reader)?,
            hidden: Hidden::decode(reader)?,
            marks: Marks::decode(reader)?,
        })
    }
}

impl NewChannel {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        encode_identity(self.id, &self.name, &self.owner, &self.secret, out);
        self.settings.encode(out);
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            id: ChannelId(reader.take(6)?.try_into().ok()?),
            name: reader.str()?.into(),
            owner: reader.str()?.into(),
            secret: Secret::new(reader.str()?),
            settings: ChannelSettings::decode(reader)?,
        })
    }
}

fn encode_identity(id: ChannelId, name: &str, owner: &str, secret: &Secret, out: &mut Vec<u8>) {
    out.extend_from_slice(&id.0);
    out.put_bytes(name.as_bytes());
    out.put_bytes(owner.as_bytes());
    out.put_bytes(secret.as_str().as_bytes());
}

const SETTINGS_MAX_AGE: u8 = 1;
const SETTINGS_MAX_EVENTS: u8 = 2;
const SETTINGS_MAX_BYTES: u8 = 4;
const SETTINGS_CONFLATE: u8 = 8;

impl ChannelSettings {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let Retention {
            max_age_ms,
            max_events,
            max_bytes,
        } = self.retention;
        out.put_u8(
            bit(SETTINGS_MAX_AGE, max_age_ms.is_some())
                | bit(SETTINGS_MAX_EVENTS, max_events.is_some())
                | bit(SETTINGS_MAX_BYTES, max_bytes.is_some())
                | bit(SETTINGS_CONFLATE, self.slow == SlowPolicy::Conflate),
        );
        for bound in [max_age_ms, max_events, max_bytes].into_iter().flatten() {
            out.put_varint(bound);
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let bits = reader.u8()?;
        let known = SETTINGS_MAX_AGE | SETTINGS_MAX_EVENTS | SETTINGS_MAX_BYTES | SETTINGS_CONFLATE;
        if bits & !known != 0 {
            return None;
        }
        let mut field = |bit| -> Option<Option<u64>> {
            Some(if bits & bit == 0 {
                None
            } else {
                Some(reader.varint()?)
            })
        };
        Some(Self {
            retention: Retention {
                max_age_ms: field(SETTINGS_MAX_AGE)?,
                max_events: field(SETTINGS_MAX_EVENTS)?,
                max_bytes: field(SETTINGS_MAX_BYTES)?,
            },
            slow: if bits & SETTINGS_CONFLATE == 0 {
                SlowPolicy::Disconnect
            } else {
                SlowPolicy::Conflate
            },
        })
    }
}

impl Room {
    /// What everyone who may see the channel may know of it, as far as it is durable.
    #[must_use]
    pub fn channel_meta(&self) -> Option<ChannelMeta> {
        let channel = self.channel()?;
        Some(ChannelMeta {
            id: channel.id,
            name: channel.name.clone(),
            owner: channel.owner.clone(),
            created_at: channel.created_at,
            deleted_at: channel.deleted_at(),
            head: self.visible().tail,
            start: self.start() + 1,
            retention: channel.settings.retention,
        })
    }

    /// When the channel goes for good, once it was deleted.
    #[must_use]
    pub fn purge_at(&self) -> Option<Millis> {
        Some(self.channel()?.end?.purge_at)
    }

    /// Whether the room was deleted, be it that it lives on for its forks or until it is purged.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.is_deleted() || self.channel().is_some_and(|channel| channel.end.is_some())
    }

    /// Whether the event at a unit was deleted, or has gone with all that was kept too long.
    ///
    /// A reader asks for each event, and for the target of each edit and reaction: what was said
    /// of a message goes with it.
    #[must_use]
    pub fn hides(&self, unit: u64) -> bool {
        let hides = |channel: &Channel| unit < self.start() || channel.hidden.contains(unit);
        self.channel().is_some_and(hides)
    }

    /// Whether any event from unit `from` up to `to` was deleted.
    #[must_use]
    pub fn hidden_in(&self, from: u64, to: u64) -> bool {
        self.channel()
            .is_some_and(|channel| channel.hidden.intersects(from, to))
    }

    /// Whether any event from unit `from` up to `to` may have to be kept from a reader: it was
    /// deleted itself, or is an edit of or a reaction to what was.
    ///
    /// Where this is false, the log's bytes may be sent as they are.
    #[must_use]
    pub fn redacts(&self, from: u64, to: u64) -> bool {
        self.channel()
            .is_some_and(|channel| channel.hidden.redacts(from, to, self.start()))
    }
}
