//! Merge: several segments become one, without what is of no use any more.

use std::sync::Arc;

use floe_proto::RoomId;
use hashbrown::HashSet;

use crate::disk::{Disk, DiskFile};
use crate::error::{ReadError, WorkError};
use crate::hash::FixedState;
use crate::manifest::Home;
use crate::publish::publish;
use crate::segment::{LensWriter, Row, Segment, SegmentWriter, lens};

/// Rows read from a segment at a time.
const ROWS: u32 = 1024;
/// Bytes of payload copied at a time.
const COPY_BYTES: u64 = 1 << 20;

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
        let mut cursors = Vec::new();
        for input in &self.inputs {
            cursors.push(Cursor::new(input)?);
        }
        let mut rows = Vec::new();
        let mut lens = LensWriter::default();
        while let Some(room) = cursors.iter().filter_map(Cursor::room).min() {
            let mut parts = Vec::new();
            for cursor in &mut cursors {
                if cursor.room() == Some(room) {
                    parts.push((cursor.segment, cursor.next()?));
                }
            }
            let youngest = parts[parts.len() - 1].1;
            if youngest.tombstone && self.is_in_older(room)? {
                writer.push_row(&Row {
                    at: writer.at(),
                    ..youngest
                });
                rows.push(None);
            }
            if !youngest.tombstone && !gone.contains(&room) {
                let row = write_room(writer, &parts, &mut lens)?;
                writer.push_row(&row);
                rows.push(Some(room));
            }
        }
        Ok(rows)
    }

    fn is_in_older(&self, room: RoomId) -> Result<bool, ReadError> {
        for segment in &self.older {
            if segment.find(room)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Finds the rooms that younger segments say are gone.
    fn find_gone(&self) -> Result<HashSet<RoomId, FixedState>, ReadError> {
        let mut gone = HashSet::default();
        for segment in &self.younger {
            if segment.tombstones() == 0 {
                continue;
            }
            let mut cursor = Cursor::new(segment)?;
            while cursor.room().is_some() {
                let row = cursor.next()?;
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
    parts: &[(&Segment<D::File>, Row)],
    lens: &mut LensWriter,
) -> Result<Row, WorkError> {
    let (segment, youngest) = parts[parts.len() - 1];
    let keep_from = youngest.keep_from.min(youngest.end);
    let mut row = Row {
        at: writer.at(),
        first: parts[0].1.first.max(keep_from),
        payload_len: 0,
        messages: parts.iter().any(|(_, row)| row.messages),
        ..youngest
    };
    copy(writer, segment, youngest.at, u64::from(youngest.state_len))?;
    lens.clear();
    for (segment, part) in parts {
        if part.end <= keep_from {
            continue;
        }
        let skipped = keep_from.saturating_sub(part.first);
        let mut from = skipped;
        if part.messages {
            from = push_lens(segment, part, skipped, lens)?;
        } else if row.messages {
            lens.push_bytes(part.units() - skipped);
        }
        copy(
            writer,
            segment,
            part.payload_at() + from,
            part.payload_len - from,
        )?;
        row.payload_len += part.payload_len - from;
    }
    for part in lens.parts() {
        writer.write(part)?;
    }
    row.lens_len = lens.len() as u32;
    Ok(row)
}

/// Takes over the lengths of all messages but the first `skipped`; returns the bytes of those.
fn push_lens<F: DiskFile>(
    segment: &Segment<F>,
    row: &Row,
    skipped: u64,
    lens: &mut LensWriter,
) -> Result<u64, ReadError> {
    let damaged = || segment.damaged(row.lens_at(), "a table of lengths contradicts itself");
    let table = segment.read(row.lens_at(), row.lens_len as usize)?;
    let (mut bytes, mut all) = (0u64, 0u64);
    let mut count = 0;
    for len in lens::all(row.units(), &table).ok_or_else(damaged)? {
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

fn copy<D: Disk>(
    writer: &mut SegmentWriter<D>,
    segment: &Segment<D::File>,
    at: u64,
    len: u64,
) -> Result<(), WorkError> {
    let mut done = 0;
    while done < len {
        let now = (len - done).min(COPY_BYTES);
        writer.write(&segment.read(at + done, now as usize)?)?;
        done += now;
    }
    Ok(())
}

/// The rows of one segment, in order.
struct Cursor<'a, F> {
    segment: &'a Segment<F>,
    rows: std::vec::IntoIter<Row>,
    next: u32,
}

impl<'a, F: DiskFile> Cursor<'a, F> {
    fn new(segment: &'a Segment<F>) -> Result<Self, ReadError> {
        let mut cursor = Self {
            segment,
            rows: Vec::new().into_iter(),
            next: 0,
        };
        cursor.refill()?;
        Ok(cursor)
    }

    fn room(&self) -> Option<RoomId> {
        self.rows.as_slice().first().map(|row| row.room)
    }

    /// Returns the row that [`room`](Self::room) showed.
    fn next(&mut self) -> Result<Row, ReadError> {
        let row = self.rows.next().expect("the caller has seen its room");
        self.refill()?;
        match self.room() {
            Some(next) if next <= row.room => Err(self.segment.damaged(0, "rows are out of order")),
            _ => Ok(row),
        }
    }

    fn refill(&mut self) -> Result<(), ReadError> {
        if self.rows.as_slice().is_empty() {
            let rows = self.segment.rows(self.next, ROWS)?;
            self.next += rows.len() as u32;
            self.rows = rows.into_iter();
        }
        Ok(())
    }
}
