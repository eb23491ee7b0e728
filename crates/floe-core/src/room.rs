//! One room: all of its state and none of its I/O.

use std::collections::{BTreeMap, BTreeSet};

use floe_proto::codec::{Put, Reader};
use floe_proto::community::WaddleId;
use floe_proto::{Code, Millis, Retention, RoomId};

use crate::access::RoomAccess;
use crate::append::Producer;
use crate::channel::Channel;
use crate::community::Community;
use crate::content::ContentType;
use crate::kept::Kept;
use crate::lifetime::Lifetime;
use crate::record::{self, DataRecord, Record, bit};

/// One room, as the single writer of its log sees it.
///
/// It has two edges: [`staged`](Self::staged), which counts all that was handed to the log and
/// decides what may come next, and [`visible`](Self::visible), which counts what is durable and is
/// all that a reader may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    id: RoomId,
    staged: Edge,
    visible: Edge,
    /// Units dropped by retention; reads begin here.
    start: u64,
    /// Last read or write, which a sliding lifetime counts from.
    touched: Millis,
    /// The newest touch that is in the log.
    touched_durable: Millis,
    created_at: Millis,
    lifetime: Lifetime,
    content_type: ContentType,
    is_json: bool,
    deleted: bool,
    name: Box<[u8]>,
    extra: Option<Box<Extra>>,
}

/// What most rooms do not have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Extra {
    producers: BTreeMap<Box<str>, (u64, u64)>,
    closed_by: Option<(Box<str>, u64, u64)>,
    stream_seq: Option<Box<[u8]>>,
    forks: BTreeSet<RoomId>,
    lineage: Vec<(RoomId, u64)>,
    value: Option<Box<[u8]>>,
    channel: Option<Box<Channel>>,
    access: Option<Box<Rules>>,
    kept: Option<Box<Kept>>,
    community: Option<Box<Community>>,
    waddle: Option<WaddleId>,
}

/// The room's own rules, and how often they have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rules {
    version: u64,
    access: RoomAccess,
}

/// How much data a record brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// Units: messages in a JSON room, bytes in any other.
    pub units: u64,
    /// Bytes in the log.
    pub bytes: u64,
}

impl Size {
    /// A record without data.
    pub const NONE: Self = Self { units: 0, bytes: 0 };
}

/// How far a room reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Edge {
    /// Units before the tail.
    pub tail: u64,
    /// Whether nothing will ever follow.
    pub closed: bool,
}

/// Where a read begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The oldest unit that is kept.
    Oldest,
    /// The tail: only what comes after.
    Now,
    /// This unit.
    At(u64),
}

/// A resolved read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First unit to return.
    pub from: u64,
    /// The visible edge.
    pub edge: Edge,
}

/// The room in whose log a unit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// The room.
    pub room: RoomId,
    /// The unit that its own log begins with: unit `u` is the log's unit `u - base`.
    pub base: u64,
    /// The first unit that must be read elsewhere.
    pub until: u64,
}

impl Room {
    /// Makes a room from its create record, with initial data of this size.
    ///
    /// Returns `None` when the record is of another kind.
    #[must_use]
    pub fn create(id: RoomId, record: &Record<'_>, size: Size, now: Millis) -> Option<Self> {
        let Record::Create(create) = record else {
            return None;
        };
        let inherited = create.lineage.last().map_or(0, |(_, until)| *until);
        let content_type = ContentType::new(create.content_type);
        let channel = create.channel.as_ref().map(|new| {
            let mut channel = Channel::new(new, create.created_at);
            channel.apply_size(size, now);
            Box::new(channel)
        });
        let access = create.access.as_deref().map(|access| {
            Box::new(Rules {
                version: 1,
                access: access.clone(),
            })
        });
        let community = create.community.as_deref();
        let community = community
            .and_then(|changes| Community::new(changes, create.created_at))
            .map(Box::new);
        let is_plain = channel.is_none()
            && access.is_none()
            && community.is_none()
            && create.waddle.is_none()
            && create.lineage.is_empty();
        let extra = (!is_plain).then(|| {
            Box::new(Extra {
                lineage: create.lineage.clone(),
                channel,
                access,
                community,
                waddle: create.waddle.clone(),
                ..Extra::default()
            })
        });
        Some(Self {
            id,
            staged: Edge {
                tail: inherited + size.units,
                closed: create.closed,
            },
            visible: Edge::default(),
            start: 0,
            touched: now,
            touched_durable: now,
            created_at: create.created_at,
            lifetime: create.lifetime,
            is_json: content_type.is_json(),
            content_type,
            deleted: false,
            name: create.name.into(),
            extra,
        })
    }

    /// Applies a record that the log has taken at `now`, with data of this size.
    ///
    /// This is the only way a room changes. A create record changes nothing.
    pub fn apply(&mut self, record: &Record<'_>, size: Size, now: Millis) {
        let first = self.staged.tail;
        self.staged.tail += size.units;
        match record {
            Record::Create(_) => {}
            Record::Data(data) => {
                self.apply_data(data, now);
                if let Some(channel) = self.channel_mut() {
                    channel.apply_data(data, first, size, now);
                }
                if let Some(kept) = self.kept_mut() {
                    kept.apply_size(size, now);
                }
                if let Some(changes) = data.changes
                    && let Some(community) = self.community_mut()
                {
                    community.apply_bytes(changes);
                }
            }
            Record::SoftDelete => self.deleted = true,
            Record::ForkAdded(room) => {
                self.extra_mut().forks.insert(*room);
            }
            Record::ForkRemoved(room) => {
                self.extra_mut().forks.remove(room);
            }
            Record::Touched => self.apply_touch(now),
            Record::Value(value) => self.extra_mut().value = Some((*value).into()),
            Record::Channel(change) => {
                if let Some(channel) = self.channel_mut() {
                    channel.apply_change(change);
                }
            }
            Record::Retain { start } => self.apply_retain(*start, now),
            Record::Access(access) => {
                let rules = Rules {
                    version: self.access_version() + 1,
                    access: (**access).clone(),
                };
                self.extra_mut().access = Some(Box::new(rules));
            }
            Record::Keep(retention) => self.apply_keep(*retention, now),
        }
    }

    fn apply_data(&mut self, data: &DataRecord<'_>, now: Millis) {
        self.apply_touch(now);
        if let Some(producer) = data.producer {
            let producers = &mut self.extra_mut().producers;
            let state = (producer.epoch, producer.seq);
            match producers.get_mut(producer.id) {
                Some(known) => *known = state,
                None => drop(producers.insert(producer.id.into(), state)),
            }
        }
        if let Some(seq) = data.stream_seq {
            self.extra_mut().stream_seq = Some(seq.into());
        }
        if data.close {
            self.staged.closed = true;
            if let Some(Producer { id, epoch, seq }) = data.producer {
                self.extra_mut().closed_by = Some((id.into(), epoch, seq));
            }
        }
    }

    fn apply_retain(&mut self, start: u64, now: Millis) {
        self.start = self.start.max(start.min(self.staged.tail));
        let start = self.start;
        if let Some(channel) = self.channel_mut() {
            channel.apply_retain(start, now);
        }
        if let Some(kept) = self.kept_mut() {
            kept.apply_retain(start, now);
        }
    }

    fn apply_keep(&mut self, retention: Retention, now: Millis) {
        let (start, tail) = (self.start, self.staged.tail);
        match self.kept_mut() {
            Some(kept) => kept.change(retention),
            None => {
                let kept = Kept::new(retention, start, tail, now);
                self.extra_mut().kept = Some(Box::new(kept));
            }
        }
    }

    fn apply_touch(&mut self, now: Millis) {
        self.touched = self.touched.max(now);
        self.touched_durable = self.touched_durable.max(now);
    }

    /// Moves the visible edge to what has become durable. It never goes back.
    pub fn show(&mut self, edge: Edge) {
        self.visible.tail = self.visible.tail.max(edge.tail);
        self.visible.closed |= edge.closed;
    }

    /// Resolves where a read begins, against the visible edge.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn decide_read(&self, start: Start) -> Result<Span, ReadError> {
        if self.is_gone() {
            return Err(ReadError::Gone);
        }
        let edge = self.visible;
        let from = match start {
            Start::Oldest => self.start,
            Start::Now => edge.tail,
            Start::At(from) if from < self.start => {
                return Err(ReadError::Expired { start: self.start });
            }
            Start::At(from) if from > edge.tail => {
                return Err(ReadError::BeyondTail { tail: edge.tail });
            }
            Start::At(from) => from,
        };
        Ok(Span { from, edge })
    }

    /// Notes a read at `now`; returns a record when the log should learn of it.
    pub fn touch(&mut self, now: Millis) -> Option<Record<'static>> {
        self.touched = self.touched.max(now);
        let interval = self.lifetime.touch_interval_ms()?;
        (now.since(self.touched_durable) >= interval).then_some(Record::Touched)
    }

    /// Returns when the room ends by itself: at the end of its lifetime, or when it is purged.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        let lifetime = self.lifetime.deadline(self.touched);
        [lifetime, self.purge_at()].into_iter().flatten().min()
    }

    /// Returns which room holds `unit`, inherited or its own.
    #[must_use]
    pub fn holder(&self, unit: u64) -> Holder {
        let mut base = 0;
        for (room, until) in self.lineage() {
            if unit < *until {
                return Holder {
                    room: *room,
                    base,
                    until: *until,
                };
            }
            base = *until;
        }
        Holder {
            room: self.id,
            base,
            until: u64::MAX,
        }
    }

    /// Returns the first unit that the room holds itself.
    #[must_use]
    pub fn own_start(&self) -> u64 {
        self.source().map_or(0, |(_, until)| until)
    }

    /// Appends the room's durable state to `out`, for [`Room::decode`].
    ///
    /// Everything staged counts; the log hands in only records that are durable.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(STATE_VERSION);
        out.put_bytes(&self.name);
        out.put_bytes(self.content_type.as_str().as_bytes());
        record::encode_lifetime(self.lifetime, out);
        out.put_u8(
            bit(STATE_CLOSED, self.staged.closed)
                | bit(STATE_DELETED, self.deleted)
                | bit(STATE_CHANNEL, self.channel().is_some())
                | bit(STATE_ACCESS, self.rules().is_some())
                | bit(STATE_KEPT, self.kept().is_some())
                | bit(STATE_COMMUNITY, self.community().is_some())
                | bit(STATE_WADDLE, self.waddle().is_some()),
        );
        out.put_varint(self.staged.tail);
        out.put_varint(self.start);
        out.put_u64(self.created_at.0);
        out.put_u64(self.touched_durable.0);
        match &self.extra {
            None => out.put_u8(0),
            Some(extra) => {
                out.put_u8(1);
                extra.encode(out);
            }
        }
        if let Some(channel) = self.channel() {
            channel.encode(out);
        }
        if let Some(rules) = self.rules() {
            out.put_varint(rules.version);
            rules.access.encode(out);
        }
        if let Some(kept) = self.kept() {
            kept.encode(out);
        }
        if let Some(community) = self.community() {
            community.encode(out);
        }
        if let Some(waddle) = self.waddle() {
            out.put_bytes(waddle.as_str().as_bytes());
        }
    }

    /// Reads a room back; `None` when the bytes are not a room's state.
    ///
    /// All of it is visible: state comes from the durable log.
    #[must_use]
    pub fn decode(id: RoomId, bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != STATE_VERSION {
            return None;
        }
        let name = reader.bytes()?.into();
        let content_type = ContentType::new(reader.str()?);
        let lifetime = record::decode_lifetime(&mut reader)?;
        let flags = reader.u8()?;
        let edge = Edge {
            tail: reader.varint()?,
            closed: flags & STATE_CLOSED != 0,
        };
        let start = reader.varint()?;
        let created_at = Millis(reader.u64()?);
        let touched = Millis(reader.u64()?);
        let extra = match record::decode_flag(&mut reader)? {
            false => None,
            true => Some(Box::new(Extra::decode(&mut reader)?)),
        };
        let channel = match flags & STATE_CHANNEL {
            0 => None,
            _ => Some(Box::new(Channel::decode(&mut reader, created_at)?)),
        };
        let access = match flags & STATE_ACCESS {
            0 => None,
            _ => Some(Box::new(Rules {
                version: reader.varint()?,
                access: RoomAccess::decode(&mut reader)?,
            })),
        };
        let kept = match flags & STATE_KEPT {
            0 => None,
            _ => Some(Box::new(Kept::decode(&mut reader)?)),
        };
        let community = match flags & STATE_COMMUNITY {
            0 => None,
            _ => Some(Box::new(Community::decode(&mut reader, created_at)?)),
        };
        let waddle = match flags & STATE_WADDLE {
            0 => None,
            _ => Some(reader.str()?.parse().ok()?),
        };
        let extra = if flags & STATE_EXTRA == 0 {
            extra
        } else {
            Some(Box::new(Extra {
                channel,
                access,
                kept,
                community,
                waddle,
                ..extra.map(|extra| *extra).unwrap_or_default()
            }))
        };
        let room = Self {
            id,
            staged: edge,
            visible: edge,
            start,
            touched,
            touched_durable: touched,
            created_at,
            lifetime,
            is_json: content_type.is_json(),
            content_type,
            deleted: flags & STATE_DELETED != 0,
            name,
            extra,
        };
        (reader.is_empty() && flags & !STATE_BITS == 0).then_some(room)
    }

    /// Number of the room.
    #[must_use]
    pub const fn id(&self) -> RoomId {
        self.id
    }

    /// Name within the namespace.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// What has been handed to the log.
    #[must_use]
    pub const fn staged(&self) -> Edge {
        self.staged
    }

    /// What is durable, and all that readers may see.
    #[must_use]
    pub const fn visible(&self) -> Edge {
        self.visible
    }

    /// First unit that is kept.
    #[must_use]
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// Content type of every unit.
    #[must_use]
    pub const fn content_type(&self) -> &ContentType {
        &self.content_type
    }

    /// Whether a unit is a JSON message; it is a byte otherwise.
    #[must_use]
    pub const fn is_json(&self) -> bool {
        self.is_json
    }

    /// When the room ends by itself.
    #[must_use]
    pub const fn lifetime(&self) -> Lifetime {
        self.lifetime
    }

    /// When the room was created.
    #[must_use]
    pub const fn created_at(&self) -> Millis {
        self.created_at
    }

    /// Whether the room was deleted and lives on only for its forks.
    #[must_use]
    pub const fn is_deleted(&self) -> bool {
        self.deleted
    }

    /// The room this one is a fork of, and the units inherited.
    #[must_use]
    pub fn source(&self) -> Option<(RoomId, u64)> {
        self.lineage().last().copied()
    }

    /// Where inherited units are: each room up to its unit, oldest first.
    #[must_use]
    pub fn lineage(&self) -> &[(RoomId, u64)] {
        self.extra.as_ref().map_or(&[], |extra| &extra.lineage)
    }

    /// Rooms that are forks of this one, in ascending order.
    pub fn forks(&self) -> impl Iterator<Item = RoomId> {
        self.extra
            .iter()
            .flat_map(|extra| extra.forks.iter().copied())
    }

    /// The room's value, if one was ever set.
    #[must_use]
    pub fn value(&self) -> Option<&[u8]> {
        self.extra.as_ref()?.value.as_deref()
    }

    /// How many producers the room knows.
    #[must_use]
    pub fn producers(&self) -> usize {
        self.extra.as_ref().map_or(0, |extra| extra.producers.len())
    }

    /// Whether the room does not know the producer.
    #[must_use]
    pub fn is_new_producer(&self, id: &str) -> bool {
        self.producer(id).is_none()
    }

    /// What the room knows because it is a channel.
    #[must_use]
    pub fn channel(&self) -> Option<&Channel> {
        self.extra.as_ref()?.channel.as_deref()
    }

    /// What the room knows because it is a waddle's.
    #[must_use]
    pub fn community(&self) -> Option<&Community> {
        self.extra.as_ref()?.community.as_deref()
    }

    fn community_mut(&mut self) -> Option<&mut Community> {
        self.extra.as_mut()?.community.as_deref_mut()
    }

    /// The waddle that the room is a channel or voice room of, in the same namespace.
    #[must_use]
    pub fn waddle(&self) -> Option<&WaddleId> {
        self.extra.as_ref()?.waddle.as_ref()
    }

    /// The room's own rules, if it has any.
    #[must_use]
    pub fn access(&self) -> Option<&RoomAccess> {
        Some(&self.rules()?.access)
    }

    /// How often the room's own rules have changed; zero while it has none.
    #[must_use]
    pub fn access_version(&self) -> u64 {
        self.rules().map_or(0, |rules| rules.version)
    }

    fn rules(&self) -> Option<&Rules> {
        self.extra.as_ref()?.access.as_deref()
    }

    pub(crate) fn kept(&self) -> Option<&Kept> {
        self.extra.as_ref()?.kept.as_deref()
    }

    fn kept_mut(&mut self) -> Option<&mut Kept> {
        self.extra.as_mut()?.kept.as_deref_mut()
    }

    fn channel_mut(&mut self) -> Option<&mut Channel> {
        self.extra.as_mut()?.channel.as_deref_mut()
    }

    pub(crate) fn producer(&self, id: &str) -> Option<(u64, u64)> {
        self.extra.as_ref()?.producers.get(id).copied()
    }

    pub(crate) fn stream_seq(&self) -> Option<&[u8]> {
        self.extra.as_ref()?.stream_seq.as_deref()
    }

    pub(crate) fn closed_by(&self, producer: &Producer<'_>) -> bool {
        let closed_by = self
            .extra
            .as_ref()
            .and_then(|extra| extra.closed_by.as_ref());
        closed_by.is_some_and(|(id, epoch, seq)| {
            (&**id, *epoch, *seq) == (producer.id, producer.epoch, producer.seq)
        })
    }

    fn extra_mut(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }
}

impl Extra {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_varint(self.producers.len() as u64);
        for (id, (epoch, seq)) in &self.producers {
            encode_tuple(id, *epoch, *seq, out);
        }
        match &self.closed_by {
            None => out.put_u8(0),
            Some((id, epoch, seq)) => {
                out.put_u8(1);
                encode_tuple(id, *epoch, *seq, out);
            }
        }
        encode_option(self.stream_seq.as_deref(), out);
        out.put_varint(self.forks.len() as u64);
        for fork in &self.forks {
            out.put_varint(fork.0);
        }
        record::encode_lineage(&self.lineage, out);
        encode_option(self.value.as_deref(), out);
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let mut extra = Self::default();
        for _ in 0..reader.varint()? {
            let (id, epoch, seq) = decode_tuple(reader)?;
            extra.producers.insert(id, (epoch, seq));
        }
        if record::decode_flag(reader)? {
            extra.closed_by = Some(decode_tuple(reader)?);
        }
        extra.stream_seq = decode_option(reader)?;
        for _ in 0..reader.varint()? {
            extra.forks.insert(RoomId(reader.varint()?));
        }
        extra.lineage = record::decode_lineage(reader)?;
        extra.value = decode_option(reader)?;
        Some(extra)
    }
}

fn encode_tuple(id: &str, epoch: u64, seq: u64, out: &mut Vec<u8>) {
    out.put_bytes(id.as_bytes());
    out.put_varint(epoch);
    out.put_varint(seq);
}

fn decode_tuple(reader: &mut Reader<'_>) -> Option<(Box<str>, u64, u64)> {
    Some((reader.str()?.into(), reader.varint()?, reader.varint()?))
}

fn encode_option(bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    out.put_u8(u8::from(bytes.is_some()));
    if let Some(bytes) = bytes {
        out.put_bytes(bytes);
    }
}

fn decode_option(reader: &mut Reader<'_>) -> Option<Option<Box<[u8]>>> {
    Some(if record::decode_flag(reader)? {
        Some(reader.bytes()?.into())
    } else {
        None
    })
}

const STATE_VERSION: u8 = 1;

const STATE_CLOSED: u8 = 1;
const STATE_DELETED: u8 = 2;
const STATE_CHANNEL: u8 = 4;
const STATE_ACCESS: u8 = 8;
const STATE_KEPT: u8 = 16;
const STATE_COMMUNITY: u8 = 32;
const STATE_WADDLE: u8 = 64;
const STATE_BITS: u8 = 127;
/// What is kept in [`Extra`] and said by a flag.
const STATE_EXTRA: u8 = STATE_CHANNEL | STATE_ACCESS | STATE_KEPT | STATE_COMMUNITY | STATE_WADDLE;

/// Why a read was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The room was deleted and lives on only for its forks.
    #[error("the stream is deleted")]
    Gone,
    /// Read from `start` on, and know that what lies before is lost.
    #[error("the offset lies before {start}, the oldest that is kept")]
    Expired {
        /// First unit that is kept.
        start: u64,
    },
    /// Nothing has been written there.
    #[error("the offset lies beyond the tail {tail}")]
    BeyondTail {
        /// Units that are visible.
        tail: u64,
    },
}

impl ReadError {
    /// Returns the code on the wire.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Gone => Code::Gone,
            Self::Expired { .. } => Code::OffsetExpired,
            Self::BeyondTail { .. } => Code::InvalidOffset,
        }
    }
}
