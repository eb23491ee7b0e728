//! Coming to be: new rooms and forks.

use floe_proto::community::{Change, WaddleId};
use floe_proto::{Code, Millis, RoomId};

use crate::access::RoomAccess;
use crate::channel::NewChannel;
use crate::content::ContentType;
use crate::lifetime::Lifetime;
use crate::record::{CreateRecord, Record};
use crate::room::Room;

/// What a room should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    /// Content type; `None` takes the source's, or [`ContentType::DEFAULT`] where there is none.
    pub content_type: Option<ContentType>,
    /// When it ends by itself; `None` takes the source's value, else unlimited.
    pub lifetime: Option<Lifetime>,
    /// Whether it is created closed.
    pub closed: bool,
    /// What it is a fork of, resolved against the source.
    pub fork: Option<Fork>,
    /// What makes it a channel.
    pub channel: Option<Box<NewChannel>>,
    /// The user who makes it and owns it; one who has no name makes rooms that nobody owns.
    pub owner: Option<Box<str>>,
    /// What makes it a waddle's room: its first changes, which say what it is.
    pub community: Option<Box<[Change]>>,
    /// The waddle that it is a channel or voice room of.
    pub waddle: Option<WaddleId>,
}

/// A resolved fork: what the new room inherits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fork {
    /// The room forked.
    pub source: RoomId,
    /// Units inherited.
    pub at: u64,
    /// Where inherited units are read: each room up to its unit, oldest first.
    pub lineage: Vec<(RoomId, u64)>,
}

impl Create {
    /// Describes an open room that inherits nothing.
    #[must_use]
    pub const fn new(content_type: ContentType, lifetime: Lifetime) -> Self {
        Self {
            content_type: Some(content_type),
            lifetime: Some(lifetime),
            closed: false,
            fork: None,
            channel: None,
            owner: None,
            community: None,
            waddle: None,
        }
    }

    /// Returns the record that makes the room called `name` at `now`.
    #[must_use]
    pub fn record<'a>(&'a self, name: &'a [u8], now: Millis) -> Record<'a> {
        Record::Create(CreateRecord {
            name,
            content_type: self
                .content_type
                .as_ref()
                .map_or(ContentType::DEFAULT, ContentType::as_str),
            lifetime: self.lifetime.unwrap_or_default(),
            closed: self.closed,
            created_at: now,
            lineage: self
                .fork
                .as_ref()
                .map(|fork| fork.lineage.clone())
                .unwrap_or_default(),
            channel: self.channel.clone(),
            access: self
                .owner
                .as_deref()
                .map(|owner| Box::new(RoomAccess::owned_by(owner))),
            community: self.community.clone(),
            waddle: self.waddle.clone(),
        })
    }
}

impl Room {
    /// Decides whether this room is what a create asks for, so that creating it again succeeds.
    ///
    /// `source` is the room that the request forks, if it forks one, and `at` the unit it names.
    ///
    /// # Errors
    /// [`CreateError::Exists`] if anything differs, or either is a channel: those are made once.
    pub fn decide_create(
        &self,
        create: &Create,
        source: Option<(RoomId, Option<u64>)>,
    ) -> Result<(), CreateError> {
        let same_type = match &create.content_type {
            Some(wanted) => self.content_type().matches(wanted.as_str()),
            None => source.is_some() || self.content_type().matches(ContentType::DEFAULT),
        };
        let same_lifetime = match create.lifetime {
            Some(wanted) => wanted == self.lifetime(),
            None => source.is_some() || self.lifetime() == Lifetime::Unlimited,
        };
        let same_source = match (source, self.source()) {
            (None, None) => true,
            (Some((wanted, at)), Some((source, until))) => {
                wanted == source && at.is_none_or(|at| at == until)
            }
            (None, Some(_)) | (Some(_), None) => false,
        };
        if same_type
            && same_lifetime
            && same_source
            && create.closed == self.staged().closed
            && create.channel.is_none()
            && self.channel().is_none()
            && !self.is_deleted()
        {
            Ok(())
        } else {
            Err(CreateError::Exists)
        }
    }

    /// Decides where a fork of this room would begin.
    ///
    /// `at` is the unit to fork at, the tail if `None`; `beyond` counts units after it.
    ///
    /// # Errors
    /// See [`ForkError`].
    pub fn decide_fork(
        &self,
        content_type: Option<&ContentType>,
        at: Option<u64>,
        beyond: u64,
    ) -> Result<Fork, ForkError> {
        if self.channel().is_some() {
            return Err(ForkError::Channel);
        }
        if self.is_deleted() {
            return Err(ForkError::SourceDeleted);
        }
        if content_type.is_some_and(|wanted| !self.content_type().matches(wanted.as_str())) {
            return Err(ForkError::ContentType);
        }
        let tail = self.staged().tail;
        let at = at
            .unwrap_or(tail)
            .checked_add(beyond)
            .filter(|at| *at <= tail);
        let at = at.ok_or(ForkError::BeyondTail { tail })?;
        if at < self.start() {
            return Err(ForkError::BeforeStart {
                start: self.start(),
            });
        }
        if self.lineage().len() >= LINEAGE_MAX {
            return Err(ForkError::TooDeep);
        }
        let mut lineage: Vec<_> = self
            .lineage()
            .iter()
            .copied()
            .take_while(|(_, until)| *until < at)
            .collect();
        if let Some((room, _)) = self.lineage().get(lineage.len()) {
            lineage.push((*room, at));
        }
        // The source comes last even if it adds nothing, so that the fork knows what it holds.
        if lineage.last().is_none_or(|(room, _)| *room != self.id()) {
            lineage.push((self.id(), at));
        }
        Ok(Fork {
            source: self.id(),
            at,
            lineage,
        })
    }
}

/// Forks of forks of forks that one room may be.
const LINEAGE_MAX: usize = 64;

/// Why a room was not created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CreateError {
    /// Another name or the same configuration succeeds.
    #[error("the name is taken by a stream of another configuration")]
    Exists,
}

/// Why a fork was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForkError {
    /// The source lives on only for the forks it has.
    #[error("the source is deleted")]
    SourceDeleted,
    /// A fork has its source's content type.
    #[error("the content type is not the source's")]
    ContentType,
    /// The source has not grown that far.
    #[error("the fork lies beyond the source's tail {tail}")]
    BeyondTail {
        /// Units the source has.
        tail: u64,
    },
    /// The source no longer keeps what would be inherited.
    #[error("the fork lies before the oldest unit {start} that the source keeps")]
    BeforeStart {
        /// First unit the source keeps.
        start: u64,
    },
    /// Too many forks of forks.
    #[error("the source is a fork {LINEAGE_MAX} deep already")]
    TooDeep,
    /// Channels have no forks.
    #[error("a channel cannot be forked")]
    Channel,
}

impl ForkError {
    /// Returns the code on the wire.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::SourceDeleted => Code::Exists,
            Self::ContentType => Code::ContentTypeMismatch,
            Self::BeyondTail { .. } | Self::Channel => Code::InvalidFork,
            Self::BeforeStart { .. } => Code::OffsetExpired,
            Self::TooDeep => Code::LimitReached,
        }
    }
}
