//! What a room's log says, byte by byte: the `meta` of every log record.
//!
//! The first byte is the kind; kinds and fields are only ever appended. The layout is written out
//! in `docs/FORMAT.md`.

use floe_proto::codec::{Put, Reader};
use floe_proto::community::{Change, WaddleId, decode_changes, encode_changes};
use floe_proto::{Millis, Retention, RoomId};

use crate::access::RoomAccess;
use crate::append::Producer;
use crate::channel::{ChannelChange, KeyHash, NewChannel};
use crate::kept::{decode_retention, encode_retention};
use crate::lifetime::Lifetime;

/// One durable thing that happened in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record<'a> {
    /// The room came to be; its first data may be the record's payload.
    Create(CreateRecord<'a>),
    /// Data was appended, the room was closed, or both at once.
    Data(DataRecord<'a>),
    /// The room was deleted while forks still read it.
    SoftDelete,
    /// Another room began as a fork of this one.
    ForkAdded(RoomId),
    /// A fork of this room is gone.
    ForkRemoved(RoomId),
    /// A read renewed the room's time to live.
    Touched,
    /// The room's value was replaced; the newest counts.
    Value(&'a [u8]),
    /// The channel was changed or deleted.
    Channel(ChannelChange),
    /// Everything before a unit is kept no more.
    Retain {
        /// The first unit that is kept.
        start: u64,
    },
    /// The room has these rules of its own from now on.
    Access(Box<RoomAccess>),
    /// The stream keeps so much from now on.
    Keep(Retention),
}

/// How a room came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateRecord<'a> {
    /// Name within the namespace.
    pub name: &'a [u8],
    /// Content type as written.
    pub content_type: &'a str,
    /// When it ends by itself.
    pub lifetime: Lifetime,
    /// Whether it was created closed.
    pub closed: bool,
    /// When it was created.
    pub created_at: Millis,
    /// Where inherited data is read: each room up to its unit, oldest first; the last is the source.
    pub lineage: Vec<(RoomId, u64)>,
    /// What makes it a channel.
    pub channel: Option<Box<NewChannel>>,
    /// The rules of its own that it begins with.
    pub access: Option<Box<RoomAccess>>,
    /// What makes it a waddle's room: its first changes.
    pub community: Option<Box<[Change]>>,
    /// The waddle that it is a room of.
    pub waddle: Option<WaddleId>,
}

/// An append, a close, or both at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DataRecord<'a> {
    /// The idempotent producer that sent it.
    pub producer: Option<Producer<'a>>,
    /// The writer's `Stream-Seq`.
    pub stream_seq: Option<&'a [u8]>,
    /// Whether the room is closed from here on.
    pub close: bool,
    /// The idempotency key of the events.
    pub key: Option<KeyHash>,
    /// The unit of the event that the one here deletes.
    pub hides: Option<u64>,
    /// Whether the event is an edit of or a reaction to another.
    pub annotates: bool,
    /// What changes in the waddle, which the messages say too
    /// ([`encode_changes`](floe_proto::community::encode_changes)).
    pub changes: Option<&'a [u8]>,
}

const CREATE: u8 = 1;
const DATA: u8 = 2;
const SOFT_DELETE: u8 = 3;
const FORK_ADDED: u8 = 4;
const FORK_REMOVED: u8 = 5;
const TOUCHED: u8 = 6;
const VALUE: u8 = 7;
const CHANNEL: u8 = 8;
const RETAIN: u8 = 9;
const ACCESS: u8 = 10;
const KEEP: u8 = 11;

const CREATE_CLOSED: u8 = 1;
const CREATE_CHANNEL: u8 = 2;
const CREATE_ACCESS: u8 = 4;
const CREATE_COMMUNITY: u8 = 8;
const CREATE_WADDLE: u8 = 16;
const CREATE_BITS: u8 = 31;

const DATA_PRODUCER: u8 = 1;
const DATA_STREAM_SEQ: u8 = 2;
const DATA_CLOSE: u8 = 4;
const DATA_KEY: u8 = 8;
const DATA_HIDES: u8 = 16;
const DATA_ANNOTATES: u8 = 32;
const DATA_CHANGES: u8 = 64;
const DATA_BITS: u8 = 127;

impl<'a> Record<'a> {
    /// Appends the record's bytes to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Create(create) => {
                out.put_u8(CREATE);
                create.encode(out);
            }
            Self::Data(data) => {
                out.put_u8(DATA);
                data.encode(out);
            }
            Self::SoftDelete => out.put_u8(SOFT_DELETE),
            Self::ForkAdded(room) => {
                out.put_u8(FORK_ADDED);
                out.put_varint(room.0);
            }
            Self::ForkRemoved(room) => {
                out.put_u8(FORK_REMOVED);
                out.put_varint(room.0);
            }
            Self::Touched => out.put_u8(TOUCHED),
            Self::Value(value) => {
                out.put_u8(VALUE);
                out.put_bytes(value);
            }
            Self::Channel(change) => {
                out.put_u8(CHANNEL);
                change.encode(out);
            }
            Self::Retain { start } => {
                out.put_u8(RETAIN);
                out.put_varint(*start);
            }
            Self::Access(access) => {
                out.put_u8(ACCESS);
                access.encode(out);
            }
            Self::Keep(retention) => {
                out.put_u8(KEEP);
                encode_retention(*retention, out);
            }
        }
    }

    /// Reads a record; `None` when the bytes are not one.
    #[must_use]
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let record = match reader.u8()? {
            CREATE => Self::Create(CreateRecord::decode(&mut reader)?),
            DATA => Self::Data(DataRecord::decode(&mut reader)?),
            SOFT_DELETE => Self::SoftDelete,
            FORK_ADDED => Self::ForkAdded(RoomId(reader.varint()?)),
            FORK_REMOVED => Self::ForkRemoved(RoomId(reader.varint()?)),
            TOUCHED => Self::Touched,
            VALUE => Self::Value(reader.bytes()?),
            CHANNEL => Self::Channel(ChannelChange::decode(&mut reader)?),
            RETAIN => Self::Retain {
                start: reader.varint()?,
            },
            ACCESS => Self::Access(Box::new(RoomAccess::decode(&mut reader)?)),
            KEEP => Self::Keep(decode_retention(&mut reader)?),
            _ => return None,
        };
        reader.is_empty().then_some(record)
    }
}

impl<'a> CreateRecord<'a> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_bytes(self.name);
        out.put_bytes(self.content_type.as_bytes());
        encode_lifetime(self.lifetime, out);
        out.put_u8(
            bit(CREATE_CLOSED, self.closed)
                | bit(CREATE_CHANNEL, self.channel.is_some())
                | bit(CREATE_ACCESS, self.access.is_some())
                | bit(CREATE_COMMUNITY, self.community.is_some())
                | bit(CREATE_WADDLE, self.waddle.is_some()),
        );
        out.put_u64(self.created_at.0);
        encode_lineage(&self.lineage, out);
        if let Some(channel) = &self.channel {
            channel.encode(out);
        }
        if let Some(access) = &self.access {
            access.encode(out);
        }
        if let Some(changes) = &self.community {
            let mut bytes = Vec::new();
            encode_changes(changes, &mut bytes);
            out.put_bytes(&bytes);
        }
        if let Some(waddle) = &self.waddle {
            out.put_bytes(waddle.as_str().as_bytes());
        }
    }

    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        let name = reader.bytes()?;
        let content_type = reader.str()?;
        let lifetime = decode_lifetime(reader)?;
        let flags = reader.u8()?;
        if flags & !CREATE_BITS != 0 {
            return None;
        }
        Some(Self {
            name,
            content_type,
            lifetime,
            closed: flags & CREATE_CLOSED != 0,
            created_at: Millis(reader.u64()?),
            lineage: decode_lineage(reader)?,
            channel: if flags & CREATE_CHANNEL == 0 {
                None
            } else {
                Some(Box::new(NewChannel::decode(reader)?))
            },
            access: if flags & CREATE_ACCESS == 0 {
                None
            } else {
                Some(Box::new(RoomAccess::decode(reader)?))
            },
            community: if flags & CREATE_COMMUNITY == 0 {
                None
            } else {
                Some(decode_changes(reader.bytes()?)?.into())
            },
            waddle: if flags & CREATE_WADDLE == 0 {
                None
            } else {
                Some(reader.str()?.parse().ok()?)
            },
        })
    }
}

impl<'a> DataRecord<'a> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(
            bit(DATA_PRODUCER, self.producer.is_some())
                | bit(DATA_STREAM_SEQ, self.stream_seq.is_some())
                | bit(DATA_CLOSE, self.close)
                | bit(DATA_KEY, self.key.is_some())
                | bit(DATA_HIDES, self.hides.is_some())
                | bit(DATA_ANNOTATES, self.annotates)
                | bit(DATA_CHANGES, self.changes.is_some()),
        );
        if let Some(producer) = self.producer {
            out.put_bytes(producer.id.as_bytes());
            out.put_varint(producer.epoch);
            out.put_varint(producer.seq);
        }
        if let Some(seq) = self.stream_seq {
            out.put_bytes(seq);
        }
        if let Some(key) = self.key {
            out.put_u64(key.0);
        }
        if let Some(unit) = self.hides {
            out.put_varint(unit);
        }
        if let Some(changes) = self.changes {
            out.put_bytes(changes);
        }
    }

    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        let flags = reader.u8()?;
        if flags & !DATA_BITS != 0 {
            return None;
        }
        let producer = if flags & DATA_PRODUCER == 0 {
            None
        } else {
            Some(Producer {
                id: reader.str()?,
                epoch: reader.varint()?,
                seq: reader.varint()?,
            })
        };
        let stream_seq = if flags & DATA_STREAM_SEQ == 0 {
            None
        } else {
            Some(reader.bytes()?)
        };
        Some(Self {
            producer,
            stream_seq,
            close: flags & DATA_CLOSE != 0,
            key: if flags & DATA_KEY == 0 {
                None
            } else {
                Some(KeyHash(reader.u64()?))
            },
            hides: if flags & DATA_HIDES == 0 {
                None
            } else {
                Some(reader.varint()?)
            },
            annotates: flags & DATA_ANNOTATES != 0,
            changes: if flags & DATA_CHANGES == 0 {
                None
            } else {
                Some(reader.bytes()?)
            },
        })
    }
}

pub(crate) const fn bit(bit: u8, is_set: bool) -> u8 {
    if is_set { bit } else { 0 }
}

pub(crate) fn encode_lifetime(lifetime: Lifetime, out: &mut Vec<u8>) {
    match lifetime {
        Lifetime::Unlimited => out.put_u8(0),
        Lifetime::Ttl(seconds) => {
            out.put_u8(1);
            out.put_varint(seconds);
        }
        Lifetime::ExpiresAt(at) => {
            out.put_u8(2);
            out.put_u64(at.0);
        }
    }
}

pub(crate) fn decode_lifetime(reader: &mut Reader<'_>) -> Option<Lifetime> {
    match reader.u8()? {
        0 => Some(Lifetime::Unlimited),
        1 => Some(Lifetime::Ttl(reader.varint()?)),
        2 => Some(Lifetime::ExpiresAt(Millis(reader.u64()?))),
        _ => None,
    }
}

pub(crate) fn encode_lineage(lineage: &[(RoomId, u64)], out: &mut Vec<u8>) {
    out.put_varint(lineage.len() as u64);
    for (room, until) in lineage {
        out.put_varint(room.0);
        out.put_varint(*until);
    }
}

pub(crate) fn decode_lineage(reader: &mut Reader<'_>) -> Option<Vec<(RoomId, u64)>> {
    let count = reader.varint()?;
    let mut lineage = Vec::new();
    for _ in 0..count {
        lineage.push((RoomId(reader.varint()?), reader.varint()?));
    }
    Some(lineage)
}

pub(crate) fn decode_flag(reader: &mut Reader<'_>) -> Option<bool> {
    match reader.u8()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Role;
    use floe_proto::Rights;
    use proptest::prelude::*;

    fn bytes_of(record: &Record<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        record.encode(&mut out);
        out
    }

    #[test]
    fn golden_bytes_of_every_kind() {
        let create = Record::Create(CreateRecord {
            name: b"a/b",
            content_type: "text/plain",
            lifetime: Lifetime::Ttl(300),
            closed: true,
            created_at: Millis(1),
            lineage: vec![(RoomId(7), 200)],
            channel: None,
            access: None,
            community: None,
            waddle: None,
        });
        let community = Record::Create(CreateRecord {
            name: b"w",
            content_type: "a/b",
            lifetime: Lifetime::Unlimited,
            closed: false,
            created_at: Millis(1),
            lineage: Vec::new(),
            channel: None,
            access: None,
            community: Some(
                [Change::Ban {
                    user: "u".into(),
                    ban: None,
                }]
                .into(),
            ),
            waddle: "v".parse().ok(),
        });
        let owned = Record::Create(CreateRecord {
            name: b"a",
            content_type: "a/b",
            lifetime: Lifetime::Unlimited,
            closed: false,
            created_at: Millis(1),
            lineage: Vec::new(),
            channel: None,
            access: Some(Box::new(RoomAccess::owned_by("o"))),
            community: None,
            waddle: None,
        });
        let access = Record::Access(Box::new(RoomAccess {
            public: Rights::READ,
            owner: None,
            members: [("m".into(), Role::Moderator)].into(),
        }));
        let data = Record::Data(DataRecord {
            producer: Some(Producer {
                id: "p",
                epoch: 1,
                seq: 300,
            }),
            stream_seq: Some(b"09"),
            close: true,
            ..DataRecord::default()
        });
        let keep = Record::Keep(Retention {
            max_age_ms: Some(300),
            max_events: None,
            max_bytes: Some(5),
        });
        let changes = Record::Data(DataRecord {
            changes: Some(b"\x00"),
            ..DataRecord::default()
        });
        let rows: [(Record<'_>, &[u8]); 12] = [
            (
                community,
                b"\x01\x01w\x03a/b\0\x18\x01\0\0\0\0\0\0\0\0\x04\x01\x05\x01u\x01v",
            ),
            (changes, b"\x02\x40\x01\0"),
            (
                create,
                b"\x01\x03a/b\x0atext/plain\x01\xac\x02\x01\x01\0\0\0\0\0\0\0\x01\x07\xc8\x01",
            ),
            (data, b"\x02\x07\x01p\x01\xac\x02\x0209"),
            (Record::SoftDelete, b"\x03"),
            (Record::ForkAdded(RoomId(5)), b"\x04\x05"),
            (Record::ForkRemoved(RoomId(5)), b"\x05\x05"),
            (Record::Touched, b"\x06"),
            (Record::Value(b"v"), b"\x07\x01v"),
            (
                owned,
                b"\x01\x01a\x03a/b\0\x04\x01\0\0\0\0\0\0\0\0\0\x01\x01o\0",
            ),
            (access, b"\x0a\x01\0\x01\x01m\x03"),
            (keep, b"\x0b\x05\xac\x02\x05"),
        ];
        for (record, bytes) in rows {
            assert_eq!(bytes_of(&record), bytes, "{record:?}");
            assert_eq!(Record::decode(bytes), Some(record));
        }
    }

    proptest! {
        #[test]
        fn data_records_round_trip(
            id in ".{0,20}",
            epoch: u64,
            seq: u64,
            with_producer: bool,
            stream_seq in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)),
            close: bool,
            key: Option<u64>,
            hides: Option<u64>,
            annotates: bool,
            changes in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)),
        ) {
            let record = Record::Data(DataRecord {
                producer: with_producer.then_some(Producer { id: &id, epoch, seq }),
                stream_seq: stream_seq.as_deref(),
                close,
                key: key.map(KeyHash),
                hides,
                annotates,
                changes: changes.as_deref(),
            });
            let bytes = bytes_of(&record);
            prop_assert_eq!(Record::decode(&bytes), Some(record));
        }

        #[test]
        fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Record::decode(&bytes);
        }
    }
}
