//! Opening the segments that the manifest names.

use floe_proto::RoomId;
use hashbrown::HashMap;

use crate::cold::is_cache_file;
use crate::disk::{Disk, DiskFile};
use crate::error::{OpenError, ReadError};
use crate::hash::FixedState;
use crate::index::Run;
use crate::manifest::{Manifest, SegmentId};
use crate::rooms::{Death, Rooms};
use crate::segment::{self, Row, Segment, Window};
use crate::segments::Segments;

/// Opens the segments, oldest data first, and enters their rooms into the index.
pub(crate) fn load_segments<D: Disk>(
    disk: &D,
    ids: &[SegmentId],
    rooms: &mut Rooms,
) -> Result<Segments<D::File>, OpenError> {
    let mut segments = Segments::new();
    let mut kept = HashMap::default();
    for &id in ids {
        let segment = Segment::open(disk, id)?;
        // Most rows of a younger segment are of rooms that are there.
        let more = segment.row_count() as usize;
        rooms.index.reserve(more.saturating_sub(rooms.index.len()));
        load_rows(&segment, rooms, &mut kept)?;
        segments.push(segment);
    }
    note_dropped(rooms, &kept);
    Ok(segments)
}

fn load_rows<F: DiskFile>(
    segment: &Segment<F>,
    rooms: &mut Rooms,
    kept: &mut Kept,
) -> Result<(), ReadError> {
    let mut window = Window::new(segment);
    for number in 0..segment.row_count() {
        let row = window.row(number)?;
        let run = Run {
            segment: segment.number(),
            row: number,
        };
        load_row(&row, run, rooms)
            .ok_or_else(|| segment.damaged(row.at, "a room's rows contradict each other"))?;
        if row.keep_from > 0 {
            kept.insert(row.room, row.keep_from);
        }
    }
    Ok(())
}

/// Where retention lets rooms begin, as their youngest rows say.
type Kept = HashMap<RoomId, u64, FixedState>;

/// Lets the next flush weigh what retention has dropped.
fn note_dropped(rooms: &mut Rooms, kept: &Kept) {
    let mut dropped: Vec<_> = kept.iter().collect();
    dropped.sort_unstable();
    for (&room, &keep_from) in dropped {
        let room = rooms.index.room(room).into_iter();
        rooms
            .deaths
            .extend(room.flat_map(|room| &room.runs).map(|&run| Death {
                run,
                keep_from: Some(keep_from),
            }));
    }
}

fn load_row(row: &Row, run: Run, rooms: &mut Rooms) -> Option<()> {
    if row.tombstone {
        rooms.remove(row.name, row.room);
        return Some(());
    }
    if row.room.0 >= rooms.next_room {
        return None;
    }
    let room = rooms.index.insert(row.name, row.room);
    // Retention may have dropped units in between.
    if row.first < room.end {
        return None;
    }
    room.end = row.end;
    room.set_wake_at(row.wake_at);
    room.runs.push(run);
    Some(())
}

/// Removes segments that no manifest names, and fetched blocks; returns the number of the next new one.
pub(crate) fn remove_orphans<D: Disk>(disk: &D, manifest: &Manifest) -> Result<u32, OpenError> {
    let mut next = manifest.next_segment;
    for name in disk.list()? {
        if is_cache_file(&name) {
            disk.remove(&name)?;
            continue;
        }
        let number = segment::file_number(&name).or_else(|| segment::stub_number(&name));
        let Some(number) = number else {
            continue;
        };
        next = next.max(number + 1);
        if manifest.segments.iter().all(|id| id.file_name() != name) {
            disk.remove(&name)?;
        }
    }
    Ok(next)
}
