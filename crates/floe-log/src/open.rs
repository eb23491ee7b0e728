//! Opening a folder: what was durable is found again.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::commit::{InFlight, Writes};
use crate::disk::{Disk, DiskFile};
use crate::error::{Corrupt, OpenError};
use crate::fold::Fold;
use crate::frame::{Frame, HEADER_LEN, Kind};
use crate::install::Installs;
use crate::load;
use crate::log::{Log, Staging};
use crate::lsn::Lsn;
use crate::manifest::{Home, MANIFEST, Manifest};
use crate::memtable::FrameRef;
use crate::options::Options;
use crate::replay::{self, End, Remains, Sink, corrupt};
use crate::rooms::Rooms;
use crate::segments::Segments;
use crate::trash::Trash;
use crate::wake::Wakes;
use crate::wal::{self, Wal, WalSegment};

/// What opening a folder found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovery {
    /// Records read back from the write-ahead log.
    pub records: u64,
    /// Bytes of those records' frames.
    pub bytes: u64,
    /// What was cut off the end of the log: writes that power loss or a kill interrupted.
    pub cut: Option<Cut>,
}

/// The end of a log that was cut off.
///
/// Nothing in it was ever said to be durable by a record that follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The write-ahead segment's file.
    pub file: String,
    /// Where the log ends now.
    pub at: u64,
    /// Bytes with traces of records in that file.
    pub bytes: u64,
    /// Whether files that follow had such traces, too.
    pub later_files: bool,
}

impl<D: Disk> Log<D> {
    /// Opens the log in a folder, or begins one in an empty folder.
    ///
    /// Everything that the log shows on return is durable.
    ///
    /// # Errors
    /// [`OpenError`]; a folder with damage in durable data is left as it is.
    pub fn open(
        disk: D,
        options: Options,
        fold: Arc<dyn Fold>,
    ) -> Result<(Self, Recovery), OpenError> {
        open(disk, options, fold, Access::Write)
    }
}

/// What is done with a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// It is kept for this process, mended and written to.
    Write,
    /// It is looked at and left as it is.
    Read,
}

pub(crate) fn open<D: Disk>(
    disk: D,
    options: Options,
    fold: Arc<dyn Fold>,
    access: Access,
) -> Result<(Log<D>, Recovery), OpenError> {
    let lock = match access {
        Access::Write => Some(lock(&disk)?),
        Access::Read => None,
    };
    let start = match (Manifest::read(&disk)?, access) {
        (Some(manifest), _) => recover(&disk, manifest, &options, access)?,
        (None, Access::Write) => begin(&disk, &options)?,
        (None, Access::Read) => return Err(OpenError::NoLog),
    };
    let options = options.bounded();
    let mut log = Log {
        hash_key: start.manifest.hash_key,
        durable: start.wal.position(),
        home: Arc::new(Home::new(start.manifest, lock)),
        rooms: start.rooms,
        segments: start.segments,
        frozen: None,
        installs: Installs::default(),
        trash: Trash::new(),
        next_segment: start.next_segment,
        flushing: false,
        merging: false,
        settling: false,
        // Only a flush learns when rooms with unflushed records want to be looked at.
        flush_wanted: start.recovery.records > 0,
        staging: Staging {
            buffer: BytesMut::new(),
            at: start.wal.position().at(),
            writes: Writes::new(),
        },
        wakes: Wakes::default(),
        wal: start.wal,
        in_flight: InFlight::default(),
        disk,
        options,
        fold,
    };
    log.wakes.fill(&log.rooms.index);
    Ok((log, start.recovery))
}

fn lock<D: Disk>(disk: &D) -> Result<D::Lock, OpenError> {
    disk.lock().map_err(|error| {
        if error.kind() == io::ErrorKind::WouldBlock {
            OpenError::Locked
        } else {
            OpenError::Io(error)
        }
    })
}

/// What a log starts with.
struct Start<D: Disk> {
    manifest: Manifest,
    rooms: Rooms,
    segments: Segments<D::File>,
    next_segment: u32,
    wal: Wal<D>,
    recovery: Recovery,
}

/// Begins a new log.
fn begin<D: Disk>(disk: &D, options: &Options) -> Result<Start<D>, OpenError> {
    refuse_orphans(disk)?;
    let mut hash_key = [0; 16];
    match options.hash_key {
        Some(key) => hash_key = key,
        None => getrandom::fill(&mut hash_key).map_err(io::Error::from)?,
    }
    let wal = Wal::create(disk, options)?;
    let manifest = Manifest {
        hash_key,
        next_room: 1,
        next_segment: 1,
        replay: wal.position(),
        durable: wal.position(),
        segments: Vec::new(),
    };
    manifest.write(disk)?;
    Ok(Start {
        rooms: Rooms::new(manifest.next_room),
        segments: Segments::new(),
        next_segment: manifest.next_segment,
        manifest,
        wal,
        recovery: Recovery::default(),
    })
}

/// Refuses a folder that holds a log whose manifest is lost.
///
/// A first start that was interrupted leaves an empty write-ahead segment and no more.
fn refuse_orphans<D: Disk>(disk: &D) -> Result<(), OpenError> {
    for name in disk.list()? {
        let empty = match wal::file_number(&name) {
            Some(1) => replay::find_remains(disk, Lsn::new(1, 0))? == Remains::default(),
            Some(_) => false,
            None => !name.starts_with("seg-"),
        };
        if !empty {
            return Err(OpenError::Corrupt(Corrupt {
                file: MANIFEST.to_owned(),
                at: 0,
                what: "it is missing, but there is data",
            }));
        }
    }
    Ok(())
}

/// Reads an existing log back.
fn recover<D: Disk>(
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
