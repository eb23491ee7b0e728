//! Appending events: who may say what about what.

use floe_proto::{Code, EventKind, Offset, Rights};

use crate::channel::{Channel, HIDDEN_RANGES_MAX, KeyHash};
use crate::record::{DataRecord, Record};
use crate::room::{Edge, Room};

/// A request to append events.
#[derive(Debug, Clone, Copy)]
pub struct EventAppend<'a> {
    /// How many; more than one only of messages.
    pub count: u64,
    /// What they say happened.
    pub kind: EventKind,
    /// Who causes them.
    pub author_id: &'a str,
    /// What the author may do here.
    pub rights: Rights,
    /// The author's idempotency key for all of them.
    pub key: Option<KeyHash>,
    /// What they are about, as the host has read it from the log; `None` where no such event is,
    /// and for messages.
    ///
    /// The host asks [`Room::first_outcome`] and [`Room::check_target`] before it reads.
    pub target: Option<Target<'a>>,
    /// What messages answer, as the host has read it from the log after [`Room::check_target`];
    /// none for what is no message.
    pub replies: &'a [Target<'a>],
}

/// The event that another is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// Its sequence number.
    pub seq: u64,
    /// Who caused it.
    pub author_id: &'a str,
    /// What it says happened.
    pub kind: EventKind,
}

/// What comes of an append of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventDecision {
    /// What to write; `None` for a repeated key, which changes nothing.
    pub record: Option<Record<'static>>,
    /// The events, now or when the key was used first.
    pub appended: Appended,
    /// Tail and closed state once it is written.
    pub edge: Edge,
}

/// A run of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Sequence number of the first.
    pub first_seq: u64,
    /// How many there are.
    pub count: u64,
}

impl Room {
    /// Decides an append of events against all that has been staged.
    ///
    /// Checks in this order: deleted channel, rights, repeated key, closed channel, count, target.
    /// A repeated key answers with what came of its first use, whatever is asked for now.
    ///
    /// # Errors
    /// See [`EventError`]; nothing is changed.
    pub fn decide_event(&self, append: &EventAppend<'_>) -> Result<EventDecision, EventError> {
        let channel = self.channel().ok_or(EventError::NoChannel)?;
        if self.is_gone() {
            return Err(EventError::Gone);
        }
        if !append.rights.intersects(rights_for(append.kind)) {
            return Err(EventError::Forbidden);
        }
        let edge = self.staged();
        if let Some(appended) = append.key.and_then(|key| self.first_outcome(key)) {
            return Ok(EventDecision {
                record: None,
                appended,
                edge,
            });
        }
        if edge.closed {
            return Err(EventError::Closed { head: edge.tail });
        }
        let is_about = append.kind != EventKind::Message;
        if append.count == 0 || (is_about && append.count > 1) {
            return Err(EventError::Count);
        }
        if is_about {
            self.check_about(channel, append)?;
        } else {
            for answered in append.replies {
                self.check_message(channel, *answered)?;
            }
        }
        let tail = edge.tail.checked_add(append.count);
        let tail = tail.filter(|tail| *tail <= Offset::MAX.0);
        Ok(EventDecision {
            record: Some(Record::Data(DataRecord {
                key: append.key,
                hides: hidden_by(append),
                annotates: matches!(
                    append.kind,
                    EventKind::Edit | EventKind::Reaction | EventKind::Pin
                ),
                ..DataRecord::default()
            })),
            appended: Appended {
                first_seq: edge.tail + 1,
                count: append.count,
            },
            edge: Edge {
                tail: tail.ok_or(EventError::Full)?,
                closed: false,
            },
        })
    }

    /// Returns what came of the append that used a key first, if the channel remembers it.
    #[must_use]
    pub fn first_outcome(&self, key: KeyHash) -> Option<Appended> {
        let outcome = self.channel()?.keys.find(key)?;
        Some(Appended {
            first_seq: outcome.first + 1,
            count: outcome.units,
        })
    }

    /// Checks whether the event that another is to be about can be read, before the host reads it.
    ///
    /// # Errors
    /// [`EventError::NoTarget`] or [`EventError::TargetExpired`].
    pub fn check_target(&self, seq: u64) -> Result<(), EventError> {
        if seq == 0 || seq > self.visible().tail {
            return Err(EventError::NoTarget);
        }
        if seq <= self.start() {
            return Err(EventError::TargetExpired {
                oldest: self.start() + 1,
            });
        }
        Ok(())
    }

    /// Checks what a message answers: a message that is there, and not deleted.
    fn check_message(&self, channel: &Channel, answered: Target<'_>) -> Result<(), EventError> {
        self.check_target(answered.seq)?;
        if answered.kind != EventKind::Message {
            let kind = answered.kind;
            return Err(EventError::TargetKind { kind });
        }
        if channel.hidden.contains(answered.seq - 1) {
            let seq = answered.seq;
            return Err(EventError::TargetDeleted { seq });
        }
        Ok(())
    }

    fn check_about(&self, channel: &Channel, append: &EventAppend<'_>) -> Result<(), EventError> {
        let target = append.target.ok_or(EventError::NoTarget)?;
        self.check_target(target.seq)?;
        let is_fit = match append.kind {
            EventKind::Deletion => target.kind != EventKind::Deletion,
            EventKind::Edit | EventKind::Reaction | EventKind::Pin => {
                target.kind == EventKind::Message
            }
            EventKind::Message => true,
        };
        if !is_fit {
            return Err(EventError::TargetKind { kind: target.kind });
        }
        let is_own = append.author_id == target.author_id;
        let is_bound_to_own = append.kind != EventKind::Reaction;
        if is_bound_to_own && !is_own && !append.rights.contains(Rights::DELETE_ANY) {
            return Err(EventError::Forbidden);
        }
        if channel.hidden.contains(target.seq - 1) {
            return Err(if append.kind == EventKind::Deletion {
                EventError::AlreadyDeleted { seq: target.seq }
            } else {
                EventError::TargetDeleted { seq: target.seq }
            });
        }
        if append.kind == EventKind::Deletion && !channel.hidden.has_space_for(target.seq - 1) {
            return Err(EventError::TooManyDeleted);
        }
        Ok(())
    }
}

/// Returns the rights of which one is needed, whatever the target is.
const fn rights_for(kind: EventKind) -> Rights {
    match kind {
        EventKind::Pin => Rights::DELETE_ANY,
        EventKind::Message | EventKind::Edit | EventKind::Reaction => Rights::APPEND,
        EventKind::Deletion => Rights::DELETE_OWN.with(Rights::DELETE_ANY),
    }
}

fn hidden_by(append: &EventAppend<'_>) -> Option<u64> {
    let target = append
        .target
        .filter(|_| append.kind == EventKind::Deletion)?;
    target.seq.checked_sub(1)
}

/// Why events were not appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The room is a stream and no channel.
    #[error("there is no such channel")]
    NoChannel,
    /// The channel was deleted.
    #[error("the channel is deleted")]
    Gone,
    /// The channel takes no more events.
    #[error("the channel is closed at {head}")]
    Closed {
        /// Its last event.
        head: u64,
    },
    /// The author lacks the right, or the event is somebody else's.
    #[error("the key or token does not allow this")]
    Forbidden,
    /// Append one event at least, and what is about another alone.
    #[error("events come in ones or more, and one by one where they are about another")]
    Count,
    /// Name an event that is there.
    #[error("there is no such event")]
    NoTarget,
    /// The event is kept no more.
    #[error("the event lies before {oldest}, the oldest that is kept")]
    TargetExpired {
        /// The oldest event that is kept.
        oldest: u64,
    },
    /// Edits, reactions, pins and answers are about messages, and deletions stay.
    #[error("an event of type {} cannot be the target of this", kind.as_str())]
    TargetKind {
        /// What the target is.
        kind: EventKind,
    },
    /// The event that is to be deleted is so already: the wish is fulfilled.
    #[error("event {seq} is deleted already")]
    AlreadyDeleted {
        /// The event.
        seq: u64,
    },
    /// Nothing can be said of the event any more.
    #[error("event {seq} is deleted")]
    TargetDeleted {
        /// The event.
        seq: u64,
    },
    /// Delete next to what is deleted, or have retention drop old events.
    #[error("the channel keeps {HIDDEN_RANGES_MAX} runs of deleted events already")]
    TooManyDeleted,
    /// The channel holds as many events as numbers can name.
    #[error("the channel has no sequence numbers left")]
    Full,
}

impl EventError {
    /// Returns the code on the wire.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::NoChannel | Self::NoTarget | Self::TargetDeleted { .. } => Code::NotFound,
            Self::Gone => Code::Gone,
            Self::Closed { .. } => Code::Closed,
            Self::Forbidden => Code::Forbidden,
            Self::Count | Self::TargetKind { .. } => Code::InvalidRequest,
            Self::TargetExpired { .. } => Code::OffsetExpired,
            Self::AlreadyDeleted { .. } => Code::Exists,
            Self::TooManyDeleted | Self::Full => Code::LimitReached,
        }
    }
}
