//! A room's row in a segment.

use floe_proto::codec::{Put, Reader};
use floe_proto::{Millis, NameHash, RoomId};

use crate::index::NEVER;

/// Bytes of a row.
pub(crate) const ROW_LEN: usize = 88;

const TOMBSTONE: u32 = 1;
const MESSAGES: u32 = 2;
const COLD: u32 = 4;

/// What a segment holds of one room, and where.
///
/// The block at `at` is the state, then the payload, then the lengths of messages. The payload of a
/// cold segment is not there but in an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) room: RoomId,
    pub(crate) name: NameHash,
    pub(crate) at: u64,
    pub(crate) state_len: u32,
    pub(crate) lens_len: u32,
    pub(crate) payload_len: u64,
    /// The first unit here.
    pub(crate) first: u64,
    /// The unit after the last one here.
    pub(crate) end: u64,
    pub(crate) wake_at: Option<Millis>,
    pub(crate) keep_from: u64,
    /// The room is gone; there is no block.
    pub(crate) tombstone: bool,
    /// Units are messages.
    pub(crate) messages: bool,
    /// Where in its object the payload lies, if the segment is cold.
    pub(crate) object_at: Option<u32>,
}

impl Row {
    /// Where the payload lies, in the segment or in its object.
    pub(crate) fn payload_at(&self) -> u64 {
        match self.object_at {
            None => self.at + u64::from(self.state_len),
            Some(at) => at.into(),
        }
    }

    pub(crate) fn lens_at(&self) -> u64 {
        let payload_len = self.object_at.map_or(self.payload_len, |_| 0);
        self.at + u64::from(self.state_len) + payload_len
    }

    /// Bytes of block and row.
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.state_len) + self.payload_len + u64::from(self.lens_len) + ROW_LEN as u64
    }

    /// About how many bytes of payload lie before a unit.
    pub(crate) fn bytes_before(&self, unit: u64) -> u64 {
        let units = unit.clamp(self.first, self.end) - self.first;
        let share = u128::from(self.payload_len) * u128::from(units);
        u64::try_from(share / u128::from(self.units().max(1))).unwrap_or(self.payload_len)
    }

    pub(crate) fn units(&self) -> u64 {
        self.end - self.first
    }

    pub(crate) fn encode(&self) -> [u8; ROW_LEN] {
        let mut bytes = Vec::with_capacity(ROW_LEN);
        bytes.put_u64(self.room.0);
        bytes.extend_from_slice(&self.name.0.to_le_bytes());
        bytes.put_u64(self.at);
        bytes.put_u32(self.state_len);
        bytes.put_u32(self.lens_len);
        bytes.put_u64(self.payload_len);
        bytes.put_u64(self.first);
        bytes.put_u64(self.end);
        bytes.put_u64(self.wake_at.map_or(NEVER, |at| at.0));
        bytes.put_u64(self.keep_from);
        let flags = u32::from(self.tombstone) * TOMBSTONE
            + u32::from(self.messages) * MESSAGES
            + u32::from(self.object_at.is_some()) * COLD;
        bytes.put_u32(flags);
        bytes.put_u32(self.object_at.unwrap_or(0));
        bytes.try_into().expect("a row has a fixed length")
    }

    /// Reads a row; `None` when it contradicts itself or points past `blocks_end`.
    pub(crate) fn decode(bytes: &[u8; ROW_LEN], blocks_end: u64) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let room = RoomId(reader.u64()?);
        let name = u128::from_le_bytes(reader.take(16)?.try_into().ok()?);
        let row = Self {
            room,
            name: NameHash(name),
            at: reader.u64()?,
            state_len: reader.u32()?,
            lens_len: reader.u32()?,
            payload_len: reader.u64()?,
            first: reader.u64()?,
            end: reader.u64()?,
            wake_at: Some(reader.u64()?).filter(|&at| at != NEVER).map(Millis),
            keep_from: reader.u64()?,
            tombstone: false,
            messages: false,
            object_at: None,
        };
        let flags = reader.u32()?;
        let object_at = Some(reader.u32()?).filter(|_| flags & COLD != 0);
        let units = row.end.checked_sub(row.first)?;
        let len = u64::from(row.state_len) + u64::from(row.lens_len);
        let payload_len = object_at.map_or(row.payload_len, |_| 0);
        let end = row.at.checked_add(payload_len)?.checked_add(len)?;
        let messages = flags & MESSAGES != 0;
        let sound = end <= blocks_end && (messages || units == row.payload_len);
        sound.then_some(Self {
            tombstone: flags & TOMBSTONE != 0,
            messages,
            object_at,
            ..row
        })
    }
}
