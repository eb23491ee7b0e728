//! The lengths of a room's messages, beside the payload and never in it.
//!
//! Lengths are varints in groups of [`GROUP`]. Every group but the first has an anchor that says
//! how many bytes of payload lie before it and where its varints start, so that a message is found
//! by its number, or by its place, with two short reads.

use floe_proto::codec::{Put, Reader};

/// Messages in a group.
const GROUP: u64 = 64;
/// Bytes of an anchor.
const ANCHOR_LEN: u64 = 12;

/// Gathers lengths.
#[derive(Debug, Default)]
pub(crate) struct LensWriter {
    anchors: Vec<u8>,
    varints: Vec<u8>,
    count: u64,
    payload_len: u64,
}

impl LensWriter {
    pub(crate) fn push(&mut self, len: u64) {
        if self.count > 0 && self.count.is_multiple_of(GROUP) {
            self.anchors.put_u64(self.payload_len);
            self.anchors.put_u32(self.varints.len() as u32);
        }
        self.varints.put_varint(len);
        self.count += 1;
        self.payload_len += len;
    }

    /// Adds units that are bytes, each of which is like a message of one byte.
    pub(crate) fn push_bytes(&mut self, count: u64) {
        (0..count).for_each(|_| self.push(1));
    }

    pub(crate) fn clear(&mut self) {
        self.anchors.clear();
        self.varints.clear();
        self.count = 0;
        self.payload_len = 0;
    }

    /// Returns the two parts of the table, in order.
    pub(crate) fn parts(&self) -> [&[u8]; 2] {
        [&self.anchors, &self.varints]
    }

    pub(crate) fn len(&self) -> usize {
        self.anchors.len() + self.varints.len()
    }
}

/// A table of lengths that is read piece by piece.
///
/// `read` gets bytes of the table by position and length; `E` is its error. A table that does not
/// decode is `None`.
pub(crate) struct Lens<R> {
    read: R,
    count: u64,
    table_len: u64,
}

/// Reads all `count` lengths of a whole table; `None` when it is too short, an item `None` when it
/// does not decode.
pub(crate) fn all(count: u64, table: &[u8]) -> Option<impl Iterator<Item = Option<u64>>> {
    let anchors_len = usize::try_from(anchors_len(count)).ok()?;
    let mut reader = Reader::new(table.get(anchors_len..)?);
    Some((0..count).map_while(move |_| Some(reader.varint())))
}

/// Bytes of anchors before the varints.
fn anchors_len(count: u64) -> u64 {
    count.saturating_sub(1) / GROUP * ANCHOR_LEN
}

/// A place between two messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Messages before it.
    pub(crate) message: u64,
    /// Payload bytes before it.
    pub(crate) at: u64,
}

impl<R, E> Lens<R>
where
    R: Fn(u64, usize) -> Result<Vec<u8>, E>,
{
    /// Opens a table of `count` lengths that takes `table_len` bytes.
    pub(crate) fn new(count: u64, table_len: u64, read: R) -> Option<Self> {
        let lens = Self {
            read,
            count,
            table_len,
        };
        // Each length takes a byte at least, which bounds the count of a damaged row.
        (anchors_len(count).checked_add(count)? <= table_len).then_some(lens)
    }

    /// Finds where a message starts.
    pub(crate) fn place(&self, message: u64) -> Result<Option<Place>, E> {
        let group = message.min(self.count.saturating_sub(1)) / GROUP;
        self.walk(group, |place, _| place.message < message)
    }

    /// Finds the last place, at `to` or before, that has at most `bytes_max` payload bytes between
    /// `from` and itself.
    pub(crate) fn fit(&self, from: Place, to: u64, bytes_max: u64) -> Result<Option<Place>, E> {
        let limit = from.at.saturating_add(bytes_max);
        // The last group that starts within the limit holds the place.
        let (mut low, mut high) = (from.message / GROUP, to.saturating_sub(1) / GROUP);
        while low < high {
            let middle = (low + high).div_ceil(2);
            match self.anchor(middle)? {
                Some((start, _)) if start.at <= limit => low = middle,
                Some(_) => high = middle - 1,
                None => return Ok(None),
            }
        }
        let place = self.walk(low, |place, len| {
            place.message < to && place.at.saturating_add(len) <= limit
        })?;
        // Within the first group the walk starts before `from`, where all is within the limit.
        Ok(place.map(|place| {
            if place.message < from.message {
                from
            } else {
                place
            }
        }))
    }

    /// Walks through a group while `go_on` says so of the place and the length that follows.
    fn walk(&self, group: u64, go_on: impl Fn(Place, u64) -> bool) -> Result<Option<Place>, E> {
        let Some((mut place, varints_at)) = self.anchor(group)? else {
            return Ok(None);
        };
        let in_group = GROUP.min(self.count - place.message);
        let at = anchors_len(self.count) + varints_at;
        let Some(left) = self.table_len.checked_sub(at) else {
            return Ok(None);
        };
        let bytes = (self.read)(at, left.min(in_group * 10) as usize)?;
        let mut reader = Reader::new(&bytes);
        for _ in 0..in_group {
            let Some(len) = reader.varint() else {
                return Ok(None);
            };
            if !go_on(place, len) {
                break;
            }
            let Some(next) = place.at.checked_add(len) else {
                return Ok(None);
            };
            place = Place {
                message: place.message + 1,
                at: next,
            };
        }
        Ok(Some(place))
    }

    /// Returns where a group starts, and where its varints do.
    fn anchor(&self, group: u64) -> Result<Option<(Place, u64)>, E> {
        let message = group * GROUP;
        if group == 0 {
            return Ok(Some((Place { message, at: 0 }, 0)));
        }
        let bytes = (self.read)((group - 1) * ANCHOR_LEN, ANCHOR_LEN as usize)?;
        let mut reader = Reader::new(&bytes);
        let (Some(at), Some(varints_at)) = (reader.u64(), reader.u32()) else {
            return Ok(None);
        };
        Ok(Some((Place { message, at }, u64::from(varints_at))))
    }
}
