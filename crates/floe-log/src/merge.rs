//! Merge: several segments become one, without what is of no use any more.

use std::sync::Arc;

use floe_proto::RoomId;
use hashbrown::HashSet;

use crate::cold::{FetchError, ObjectReader, Remote, StoreError};
use crate::disk::{Disk, DiskFile};
use crate::error::{ReadError, WorkError};
use crate::hash::FixedState;
use crate::manifest::Home;
use crate::publish::publish;
use crate::segment::{LensWriter, ROW_LEN, Row, Segment, SegmentWriter, Window, lens};

/// Rows that can be read one after another in the time that it takes to search for one.
const SEARCH_ROWS: u64 = 256;

/// Merges segments whose data is adjacent in age.
pub(crate) struct MergeJob<D: Disk> {
    pub(crate) disk: D,
    pub(crate) home: Arc<Home<D::Lock>>,
    /// Oldest data first.
    pub(crate) inputs: Vec<Arc<Segment<D::File>>>,
    /// Segments with younger data; they may say that rooms are gone.
    pub(crate) younger: Vec<Arc<Segment<D::File>>>,
    /// Segments with older data; while one has rows of a room that is gone, it must be said.
    pub(crate) older: Vec<Arc<Segment<D::File>>>,
    /// Number of the new segment.
    pub(crate) number: u32,
    /// Where the payload of cold inputs is.
    pub(crate) remote: Option<Arc<Remote>>,
}

/// What a [`MergeJob`] made.
#[derive(Debug)]
pub(crate) struct Merged<D: Disk> {
    /// `None` when nothing was left.
    pub(crate) segment: Option<Segment<D::File>>,
    pub(crate) inputs: Vec<u32>,
    /// The room of each row; `None` for a tombstone.
    pub(crate) rows: Vec<Option<RoomId>>,
}

impl<D: Disk> MergeJob<D> {
    pub(crate) fn run(self) -> Result<Merged<D>, WorkError> {
        let mut writer = SegmentWriter::create(&self.disk, self.number)?;
        let newest = self.inputs.iter().map(|input| input.id.newest).max();
        writer.newest = newest.unwrap_or(writer.newest);
        let rows = match self.write(&mut writer) {
            Ok(rows) => rows,
            Err(error) => {
                writer.abandon();
                return Err(error);
            }
        };
        let inputs: Vec<u32> = self.inputs.iter().map(|input| input.number()).collect();
        let segment = publish(&self.disk, &self.home, writer, |manifest, live| {
            let all = &mut manifest.segments;
            let first = all.iter().position(|segment| segment.number == inputs[0]);
            let first = first.expect("what is merged is live");
            all.splice(first..first + inputs.len(), live);
        })?;
        Ok(Merged {
            segment,
            inputs,
            rows,
        })
    }

    fn write(&self, writer: &mut SegmentWriter<D>) -> Result<Vec<Option<RoomId>>, WorkError> {
        let gone = self.find_gone()?;
        let mut older = self.older_rooms()?;
        let mut cursors = Vec::new();
        for input in &self.inputs {
            let mut cursor = Cursor::new(input)?;
            let remote = self.remote.as_deref().filter(|_| input.origin.is_some());
            cursor.payload = remote.map(|remote| ObjectReader::new(remote, input));
            cursors.push(cursor);
        }
        let (mut rows, mut parts) = (Vec::new(), Vec::new());
        let mut lens = LensWriter::default();
        while let Some(room) = cursors.iter().filter_map(Cursor::room).min() {
            parts.clear();
            for (at, cursor) in cursors.iter_mut().enumerate() {
                if cursor.room() == Some(room) {
                    parts.push((at, cursor.next()?));
                }
            }
            let youngest = parts[parts.len() - 1].1;
            if youngest.tombstone && contains(&mut older, room)? {
                writer.push_row(&Row {
                    at: writer.at(),
                    ..youngest
                });
                rows.push(None);
            }
            if !youngest.tombstone && !gone.contains(&room) {
                let row = write_room(writer, &mut cursors, &parts, &mut lens)?;
                writer.push_row(&row);
                rows.push(Some(room));
            }
        }
        Ok(rows)
    }

    /// Ways to ask whether older segments have rows of a room.
    fn older_rooms(&self) -> Result<Vec<OlderRooms<'_, D::File>>, ReadError> {
        let tombstones = self
            .inputs
            .iter()
            .map(|input| u64::from(input.tombstones()));
        let questions: u64 = tombstones.sum();
        let older = self.older.iter().filter(|_| questions > 0);
        older
            .map(|segment| OlderRooms::new(segment, questions))
            .collect()
    }

    /// Finds the rooms that younger segments say are gone.
    fn find_gone(&self) -> Result<HashSet<RoomId, FixedState>, ReadError> {
        let mut gone = HashSet::default();
        for segment in &self.younger {
            if segment.tombstones() == 0 {
                continue;
            }
            let mut rows = Window::new(segment);
            for number in 0..segment.row_count() {
                let row = rows.row(number)?;
                if row.tombstone {
                    gone.insert(row.room);
                }
            }
        }
        Ok(gone)
    }
}

/// Writes one block from all blocks of a room, oldest first.
fn write_room<D: Disk>(
    writer: &mut SegmentWriter<D>,
    cursors: &mut [Cursor<'_, D::File>],
    parts: &[(usize, Row)],
    lens: &mut LensWriter,
) -> Result<Row, WorkError> {
    let (cursor, youngest) = parts[parts.len() - 1];
    let keep_from = youngest.keep_from.min(youngest.end);
    let at = writer.at();
    if let [(_, only)] = parts
        && keep_from <= only.first
        && only.object_at.is_none()
    {
        let block_len = only.bytes() - ROW_LEN as u64;
        cursors[cursor].copy(writer, only.at, block_len)?;
        return Ok(Row { at, ..*only });
    }
    let mut row = Row {
        at,
        first: parts[0].1.first.max(keep_from),
        payload_len: 0,
        messages: parts.iter().any(|(_, row)| row.messages),
        object_at: None,
        ..youngest
    };
    cursors[cursor].copy(writer, youngest.at, youngest.state_len.into())?;
    lens.clear();
    for (cursor, part) in parts {
        if part.end <= keep_from {
            continue;
        }
        let cursor = &mut cursors[*cursor];
        let skipped = keep_from.saturating_sub(part.first);
        let mut from = skipped;
        if part.messages {
            from = cursor.push_lens(part, skipped, lens)?;
        } else if row.messages {
            lens.push_bytes(part.units() - skipped);
        }
        cursor.copy_payload(writer, part, from)?;
        row.payload_len += part.payload_len - from;
    }
    for part in lens.parts() {
        writer.write(part)?;
    }
    row.lens_len = lens.len() as u32;
    Ok(row)
}

/// The rows of one segment, in order, and their blocks.
struct Cursor<'a, F> {
    segment: &'a Segment<F>,
    rows: Window<'a, F>,
    blocks: Window<'a, F>,
    /// The payload of a cold segment.
    payload: Option<ObjectReader<'a, F>>,
    next: u32,
    row: Option<Row>,
}

impl<'a, F: DiskFile> Cursor<'a, F> {
    fn new(segment: &'a Segment<F>) -> Result<Self, ReadError> {
        let mut cursor = Self {
            segment,
            rows: Window::new(segment),
            blocks: Window::new(segment),
            payload: None,
            next: 0,
            row: None,
        };
        cursor.advance()?;
        Ok(cursor)
    }

    fn room(&self) -> Option<RoomId> {
        self.row.map(|row| row.room)
    }

    /// Returns the row that [`room`](Self::room) showed.
    fn next(&mut self) -> Result<Row, ReadError> {
        let row = self.row.take().expect("the caller has seen its room");
        self.advance()?;
        match self.room() {
            Some(next) if next <= row.room => Err(self.segment.damaged(0, "rows are out of order")),
            _ => Ok(row),
        }
    }

    fn advance(&mut self) -> Result<(), ReadError> {
        if self.next < self.segment.row_count() {
            self.row = Some(self.rows.row(self.next)?);
            self.next += 1;
        }
        Ok(())
    }

    fn copy<D: Disk<File = F>>(
        &mut self,
        writer: &mut SegmentWriter<D>,
        at: u64,
        len: u64,
    ) -> Result<(), WorkError> {
        self.blocks.copy(at, len, |bytes| Ok(writer.write(bytes)?))
    }

    /// Copies a row's payload without its first `skipped` bytes, wherever it is.
    fn copy_payload<D: Disk<File = F>>(
        &mut self,
        writer: &mut SegmentWriter<D>,
        row: &Row,
        skipped: u64,
    ) -> Result<(), WorkError> {
        let (at, len) = (row.payload_at() + skipped, row.payload_len - skipped);
        if row.object_at.is_none() {
            return self.copy(writer, at, len);
        }
        let payload = self.payload.as_mut().ok_or(StoreError::Missing)?;
        payload.read(at, len, &mut |bytes| {
            Ok::<_, WorkError>(writer.write(bytes)?)
        })
    }

    /// Takes over the lengths of all messages but the first `skipped`; returns the bytes of those.
    fn push_lens(
        &mut self,
        row: &Row,
        skipped: u64,
        lens: &mut LensWriter,
    ) -> Result<u64, ReadError> {
        let damaged = || {
            let what = "a table of lengths contradicts itself";
            self.segment.damaged(row.lens_at(), what)
        };
        let table = self.blocks.get(row.lens_at(), row.lens_len as usize)?;
        let (mut bytes, mut all) = (0u64, 0u64);
        let mut count = 0;
        for len in lens::all(row.units(), table).ok_or_else(damaged)? {
            let len = len.ok_or_else(damaged)?;
            all = all.checked_add(len).ok_or_else(damaged)?;
            if count < skipped {
                bytes = all;
            } else {
                lens.push(len);
            }
            count += 1;
        }
        if all != row.payload_len || count != row.units() {
            return Err(damaged());
        }
        Ok(bytes)
    }
}

impl From<FetchError> for WorkError {
    fn from(error: FetchError) -> Self {
        match error {
            // What is damaged in a store does not end the process: it stays where it is.
            error @ (FetchError::Unavailable(_) | FetchError::Missing | FetchError::Corrupt(_)) => {
                Self::Store(error.into())
            }
            FetchError::Io(error) => Self::Io(error),
        }
    }
}

/// Whether an older segment has rows of a room; asked for rooms in ascending order.
enum OlderRooms<'a, F> {
    /// Few are asked for.
    Search(&'a Segment<F>),
    /// So many are asked for that all rows are read, one after another.
    Scan(Box<Cursor<'a, F>>),
}

impl<'a, F: DiskFile> OlderRooms<'a, F> {
    fn new(segment: &'a Segment<F>, questions: u64) -> Result<Self, ReadError> {
        if questions * SEARCH_ROWS < segment.row_count().into() {
            return Ok(Self::Search(segment));
        }
        Ok(Self::Scan(Box::new(Cursor::new(segment)?)))
    }

    fn contains(&mut self, room: RoomId) -> Result<bool, ReadError> {
        let cursor = match self {
            Self::Search(segment) => return Ok(segment.find(room)?.is_some()),
            Self::Scan(cursor) => cursor,
        };
        while cursor.room().is_some_and(|next| next < room) {
            cursor.next()?;
        }
        Ok(cursor.room() == Some(room))
    }
}

fn contains<F: DiskFile>(older: &mut [OlderRooms<'_, F>], room: RoomId) -> Result<bool, ReadError> {
    for segment in older {
        if segment.contains(room)? {
            return Ok(true);
        }
    }
    Ok(false)
}
