//! Reading an existing log back.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::disk::{Disk, DiskFile};
use crate::error::OpenError;
use crate::frame::{Frame, HEADER_LEN, Kind};
use crate::load;
use crate::lsn::Lsn;
use crate::manifest::Manifest;
use crate::memtable::FrameRef;
use crate::open::{Access, Cut, Recovery, Start};
use crate::options::Options;
use crate::replay::{self, End, Sink, corrupt};
use crate::rooms::Rooms;
use crate::wal::{self, Wal, WalSegment};

/// Reads an existing log back.
pub(crate) fn recover<D: Disk>(
    disk: &D,
    manifest: Manifest,
    options: &Options,
    access: Access,
) -> Result<Start<D>, OpenError> {
    let mut rooms = Rooms::new(manifest.next_room);
    let segments = load::load_segments(disk, &manifest.segments, &mut rooms)?;
    let mut replayed = Replayed { rooms, records: 0 };
    let (live, end) = replay_all(disk, manifest.replay, &mut replayed, access)?;
    let Replayed { rooms, records } = replayed;
    let cut = check_end(disk, end, manifest.durable)?;
    let last = live.back().expect("replay reads one segment at least");
    if u64::from(end.at()) + HEADER_LEN as u64 > u64::from(last.bytes) {
        return Err(corrupt(
            end.segment(),
            end.at().into(),
            "the file is cut short",
        ));
    }
    let (mut retired, mut next_number) = (Vec::new(), 0);
    let mut next_segment = manifest.next_segment;
    if access == Access::Write {
        if let Some(cut) = &cut {
            // What is left would otherwise follow upon a record yet to come.
            wipe(&*last.file, cut)?;
        }
        // A killed process leaves writes that only the system's cache has.
        for segment in &live {
            segment.file.sync_data()?;
        }
        // So it may be with the manifest's name, and files that only an older one needs go next.
        disk.sync_dir()?;
        let traces = cut.as_ref().is_some_and(|cut| cut.later_files);
        let spare_bytes = (!traces).then_some(options.wal_segment_bytes);
        (retired, next_number) = sort_out(disk, manifest.replay, &live, spare_bytes)?;
        next_segment = load::remove_orphans(disk, &manifest)?;
    }
    Ok(Start {
        recovery: Recovery {
            records,
            bytes: rooms.active.bytes,
            cut,
        },
        wal: Wal::resume(live, retired, end.at(), next_number),
        segments,
        next_segment,
        rooms,
        manifest,
    })
}

type Retired<D> = Vec<WalSegment<<D as Disk>::File>>;
type Live<D> = VecDeque<WalSegment<<D as Disk>::File>>;

/// Reads all segments from `start` on; returns them and where the log ends.
fn replay_all<D: Disk>(
    disk: &D,
    start: Lsn,
    rooms: &mut Replayed,
    access: Access,
) -> Result<(Live<D>, Lsn), OpenError> {
    let mut live = VecDeque::new();
    let mut next = start;
    loop {
        let segment = open_segment(disk, next.segment(), access)?;
        let number = segment.number;
        let end = replay::read_segment(&*segment.file, number, next.at(), rooms)?;
        live.push_back(segment);
        match end {
            End::Stopped { at } => return Ok((live, Lsn::new(number, at))),
            End::Sealed { next } if next <= number => {
                return Err(corrupt(number, 0, "its seal names an older segment"));
            }
            End::Sealed { next: follower } => next = Lsn::new(follower, 0),
        }
    }
}

fn open_segment<D: Disk>(
    disk: &D,
    number: u32,
    access: Access,
) -> Result<WalSegment<D::File>, OpenError> {
    let name = wal::file_name(number);
    let file = match access {
        Access::Write => disk.open(&name),
        Access::Read => disk.open_read(&name),
    };
    let file = file.map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            corrupt(number, 0, "the file is missing")
        } else {
            OpenError::Io(error)
        }
    })?;
    let bytes = u32::try_from(file.len()?)
        .map_err(|_| corrupt(number, u64::from(u32::MAX), "the file is too long"))?;
    Ok(WalSegment {
        number,
        bytes,
        file: Arc::new(file),
    })
}

/// Tells the torn end of a log from damage in its middle.
fn check_end<D: Disk>(disk: &D, end: Lsn, durable: Lsn) -> Result<Option<Cut>, OpenError> {
    let remains = replay::find_remains(disk, end)?;
    if remains.durable.max(durable) > end {
        return Err(corrupt(
            end.segment(),
            end.at().into(),
            "a durable record is damaged",
        ));
    }
    let found = remains.bytes > 0 || remains.later;
    Ok(found.then(|| Cut {
        file: wal::file_name(end.segment()),
        at: end.at().into(),
        bytes: remains.bytes,
        later_files: remains.later,
    }))
}

/// Writes zeros over the remains behind the end.
fn wipe<F: DiskFile>(file: &F, cut: &Cut) -> io::Result<()> {
    let zeros = vec![0; cut.bytes.min(1 << 20) as usize];
    let mut at = cut.at;
    let end = cut.at + cut.bytes;
    while at < end {
        let len = (end - at).min(zeros.len() as u64);
        file.write_all_at(&zeros[..len as usize], at)?;
        at += len;
    }
    Ok(())
}

/// Finds segments to recycle and removes files that nothing leads to.
///
/// A spare that was never used is as good as a retired segment if it has `spare_bytes`, and so was
/// made to its end; removing it would take longer than all the rest of a start.
fn sort_out<D: Disk>(
    disk: &D,
    replay: Lsn,
    live: &Live<D>,
    spare_bytes: Option<u32>,
) -> Result<(Retired<D>, u32), OpenError> {
    let mut retired = Vec::new();
    let mut last = 0;
    for name in disk.list()? {
        let Some(number) = wal::file_number(&name) else {
            continue;
        };
        last = last.max(number);
        if live.iter().any(|segment| segment.number == number) {
            continue;
        }
        let segment = open_segment(disk, number, Access::Write)?;
        if number < replay.segment() || Some(segment.bytes) == spare_bytes {
            // A kill may have come between filling it and syncing it.
            segment.file.sync_data()?;
            retired.push(segment);
        } else {
            disk.remove(&name)?;
        }
    }
    Ok((retired, last + 1))
}

/// Rooms as far as they have been read back.
struct Replayed {
    rooms: Rooms,
    records: u64,
}

impl Sink for Replayed {
    fn frame(&mut self, frame: Frame<'_>, at: u32) -> Result<(), &'static str> {
        let header = &frame.header;
        let known = self.rooms.index.room(header.room);
        match (header.kind, known) {
            (Kind::Create, None) if header.room.0 >= self.rooms.next_room && header.first == 0 => {}
            (Kind::Create, _) => return Err("it creates a room that is there"),
            (_, None) => return Err("its room is unknown"),
            (_, Some(room)) if room.end != header.first => {
                return Err("it does not follow upon its room's last record");
            }
            (_, Some(_)) => {}
        }
        let at = FrameRef {
            chunk: self.rooms.active.next_chunk(),
            at,
        };
        self.rooms.note(header, frame.name(), at);
        self.records += 1;
        Ok(())
    }

    fn window(&mut self, window: Bytes) {
        self.rooms.active.push_chunk(window);
    }
}
