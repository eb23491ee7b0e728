//! Flush: the memtable's records become a segment, each room's side by side.

use std::sync::Arc;

use floe_proto::{Millis, RoomId};
use hashbrown::HashMap;

use crate::disk::{Disk, DiskFile};
use crate::error::{ReadError, WorkError};
use crate::fold::{Fold, Folded};
use crate::frame::Kind;
use crate::hash::FixedState;
use crate::index::Run;
use crate::lsn::Lsn;
use crate::manifest::Home;
use crate::memtable::{MemRoom, Memtable, RoomFrames};
use crate::publish::publish;
use crate::rooms::Death;
use crate::segment::{LensWriter, ROW_LEN, Row, Segment, SegmentWriter, Window};
use crate::segments::find;

/// Writes a memtable to a new segment.
pub(crate) struct FlushJob<D: Disk> {
    pub(crate) disk: D,
    pub(crate) fold: Arc<dyn Fold>,
    pub(crate) home: Arc<Home<D::Lock>>,
    pub(crate) memtable: Arc<Memtable>,
    /// Where states from before the memtable are.
    pub(crate) segments: Vec<Arc<Segment<D::File>>>,
    /// Number of the new segment.
    pub(crate) number: u32,
    /// Where replay starts once the segment is live.
    pub(crate) replay: Lsn,
    pub(crate) durable: Lsn,
    pub(crate) next_room: u64,
    /// Rows that are of no use any more, to be weighed.
    pub(crate) deaths: Vec<Death>,
}

/// What a [`FlushJob`] made.
#[derive(Debug)]
pub(crate) struct Flushed<D: Disk> {
    /// `None` when nothing was left to write.
    pub(crate) segment: Option<Segment<D::File>>,
    /// One entry per row.
    pub(crate) rows: Vec<FlushedRow>,
    pub(crate) replay: Lsn,
    /// Bytes found dead, by segment.
    pub(crate) dead: Dead,
}

/// What became of one room.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FlushedRow {
    pub(crate) room: RoomId,
    pub(crate) wake_at: Option<Millis>,
    pub(crate) tombstone: bool,
}

impl<D: Disk> FlushJob<D> {
    pub(crate) fn run(self) -> Result<Flushed<D>, WorkError> {
        let mut dead = self.weigh()?;
        let mut writer = SegmentWriter::create(&self.disk, self.number)?;
        writer.newest = self.memtable.newest;
        let rows = match self.write(&mut writer, &mut dead) {
            Ok(rows) => rows,
            Err(error) => {
                writer.abandon();
                return Err(error);
            }
        };
        let segment = publish(&self.disk, &self.home, writer, |manifest, live| {
            manifest.segments.extend(live);
            manifest.next_room = manifest.next_room.max(self.next_room);
            manifest.replay = self.replay;
            manifest.durable = manifest.durable.max(self.durable);
        })?;
        Ok(Flushed {
            segment,
            rows,
            replay: self.replay,
            dead,
        })
    }

    fn write(
        &self,
        writer: &mut SegmentWriter<D>,
        dead: &mut Dead,
    ) -> Result<Vec<FlushedRow>, WorkError> {
        let mut slots: Vec<u32> = (0..self.memtable.rooms().len() as u32).collect();
        slots.sort_unstable_by_key(|&slot| self.memtable.rooms()[slot as usize].room);
        let mut rows = Vec::with_capacity(slots.len());
        let mut scratch = Scratch {
            befores: self.befores(),
            lens: LensWriter::default(),
            dead,
        };
        for slot in slots {
            let room = &self.memtable.rooms()[slot as usize];
            let frames = self.memtable.room(slot, &[]);
            let Some(row) = self.write_room(writer, room, frames, &mut scratch)? else {
                continue;
            };
            writer.push_row(&row);
            rows.push(FlushedRow {
                room: row.room,
                wake_at: row.wake_at,
                tombstone: row.tombstone,
            });
        }
        Ok(rows)
    }

    /// Writes a room's block; `None` for a room that came and went within the memtable.
    fn write_room(
        &self,
        writer: &mut SegmentWriter<D>,
        room: &MemRoom,
        frames: RoomFrames<'_>,
        scratch: &mut Scratch<'_, D::File>,
    ) -> Result<Option<Row>, WorkError> {
        let (first_frame, last_frame) = (frames.frame(0), frames.frame(frames.len() - 1));
        let created = first_frame.header.kind == Kind::Create;
        let (first, end) = frames.range();
        let mut row = Row {
            room: room.room,
            name: floe_proto::NameHash(0),
            at: writer.at(),
            state_len: 0,
            lens_len: 0,
            payload_len: 0,
            first,
            end,
            wake_at: None,
            keep_from: 0,
            tombstone: false,
            messages: false,
            object_at: None,
        };
        if last_frame.header.kind == Kind::Delete {
            if created {
                return Ok(None);
            }
            row.name = last_frame.name().expect("a delete names its room");
            row.tombstone = true;
            row.first = end;
            return Ok(Some(row));
        }
        let Scratch {
            befores,
            lens,
            dead,
        } = scratch;
        let before = match room.previous {
            Some(run) => Some(befores.get(run)?),
            None => None,
        };
        row.name = match (first_frame.name(), &before) {
            (Some(name), _) => name,
            (None, Some((before, _))) => before.name,
            (None, None) => unreachable!("a room starts with the record that creates it"),
        };
        let state = before.map(|(_, state)| state);
        let folded = self.fold.fold(room.room, state, &mut frames.views())?;
        if let (Some(run), Some((before, _))) = (room.previous, &before) {
            dead.add(run.segment, before.state_len.into());
            self.weigh_dropped(before, run, folded.keep_from, dead)?;
        }
        self.write_block(writer, &mut row, &folded, frames, lens)?;
        Ok(Some(row))
    }

    fn write_block(
        &self,
        writer: &mut SegmentWriter<D>,
        row: &mut Row,
        folded: &Folded,
        frames: RoomFrames<'_>,
        lens: &mut LensWriter,
    ) -> Result<(), WorkError> {
        row.wake_at = folded.wake_at;
        row.keep_from = folded.keep_from;
        row.state_len = folded.state.len() as u32;
        writer.write(&folded.state)?;
        lens.clear();
        row.messages = frames.iter().any(|frame| frame.header.messages);
        for frame in frames.iter() {
            if frame.header.messages {
                frame.lens().for_each(|len| lens.push(len.into()));
            } else if row.messages {
                lens.push_bytes(frame.header.units.into());
            }
            row.payload_len += u64::from(frame.header.payload_len);
            writer.write(frame.payload())?;
        }
        for part in lens.parts() {
            writer.write(part)?;
        }
        row.lens_len = lens.len() as u32;
        Ok(())
    }

    /// Ways to what rooms were before the memtable.
    fn befores(&self) -> Befores<'_, D::File> {
        let mut rooms: HashMap<u32, u64, FixedState> = HashMap::default();
        for run in self
            .memtable
            .rooms()
            .iter()
            .filter_map(|room| room.previous)
        {
            *rooms.entry(run.segment).or_default() += 1;
        }
        let segments = self.segments.iter().filter_map(|segment| {
            let rooms = rooms.get(&segment.number())?;
            Some(Before::new(segment, *rooms))
        });
        Befores {
            segments: segments.collect(),
        }
    }

    /// Finds how many bytes retention has dropped from the room's rows since the last one.
    fn weigh_dropped(
        &self,
        before: &Row,
        run: Run,
        keep_from: u64,
        dead: &mut Dead,
    ) -> Result<(), WorkError> {
        if keep_from <= before.keep_from {
            return Ok(());
        }
        let mut weigh = |segment: u32, row: &Row| {
            let already = row.bytes_before(before.keep_from);
            dead.add(segment, row.bytes_before(keep_from) - already);
        };
        weigh(run.segment, before);
        // Older rows have lost all units by now if the last row had begun to lose them.
        if before.keep_from < before.first {
            for segment in &self.segments {
                if segment.number() == run.segment {
                    break;
                }
                if let Some(row) = segment.find(before.room)? {
                    weigh(segment.number(), &row);
                }
            }
        }
        Ok(())
    }

    /// Finds how many bytes of no use there are in rows that are dead, or have lost units.
    fn weigh(&self) -> Result<Dead, WorkError> {
        let mut dead = Dead::default();
        for death in &self.deaths {
            let row = find(&self.segments, death.run).row(death.run.row)?;
            let bytes = match death.keep_from {
                None => row.bytes(),
                Some(keep_from) => row.bytes_before(keep_from),
            };
            dead.add(death.run.segment, bytes);
        }
        Ok(dead)
    }
}

/// What is used for one room after the other.
struct Scratch<'a, F> {
    befores: Befores<'a, F>,
    lens: LensWriter,
    dead: &'a mut Dead,
}

/// What rooms were before the memtable, read in ascending order of rooms.
struct Befores<'a, F> {
    segments: Vec<Before<'a, F>>,
}

struct Before<'a, F> {
    segment: u32,
    rows: Window<'a, F>,
    blocks: Window<'a, F>,
}

impl<F: DiskFile> Befores<'_, F> {
    /// Returns a room's row and state.
    fn get(&mut self, run: Run) -> Result<(Row, &[u8]), ReadError> {
        let found = self
            .segments
            .iter_mut()
            .find(|before| before.segment == run.segment);
        let before = found.expect("every segment with a room's youngest row is there");
        let row = before.rows.row(run.row)?;
        let state = before.blocks.get(row.at, row.state_len as usize)?;
        Ok((row, state))
    }
}

impl<'a, F: DiskFile> Before<'a, F> {
    /// Looks for `rooms` rooms in a segment.
    fn new(segment: &'a Segment<F>, rooms: u64) -> Self {
        let window = |bytes: u64| match bytes / rooms.max(1) < APART_BYTES {
            true => Window::new(segment),
            false => Window::sparse(segment),
        };
        Self {
            segment: segment.number(),
            rows: window(u64::from(segment.row_count()) * ROW_LEN as u64),
            blocks: window(segment.blocks_end()),
        }
    }
}

/// Bytes between two reads from which they are made one by one.
const APART_BYTES: u64 = 8 << 10;

/// Bytes found to be of no use, by segment.
#[derive(Debug, Default)]
pub(crate) struct Dead {
    segments: Vec<(u32, u64)>,
}

impl Dead {
    fn add(&mut self, segment: u32, bytes: u64) {
        match self
            .segments
            .iter_mut()
            .find(|(known, _)| *known == segment)
        {
            Some((_, total)) => *total += bytes,
            None => self.segments.push((segment, bytes)),
        }
    }

    pub(crate) fn segments(&self) -> impl Iterator<Item = (u32, u64)> {
        self.segments.iter().copied()
    }
}
