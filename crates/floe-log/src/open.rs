//! Opening a folder: what was durable is found again.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;

use crate::cold::Cold;
use crate::commit::{InFlight, Writes};
use crate::disk::Disk;
use crate::error::{Corrupt, OpenError};
use crate::fold::Fold;
use crate::install::Installs;
use crate::log::{Log, Staging};
use crate::lsn::Lsn;
use crate::manifest::{Home, MANIFEST, Manifest};
use crate::options::Options;
use crate::recover::recover;
use crate::replay::{self, Remains};
use crate::rooms::Rooms;
use crate::segments::Segments;
use crate::trash::Trash;
use crate::wake::Wakes;
use crate::wal::{self, Wal};

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
    let options = options.bounded();
    let lock = match access {
        Access::Write => Some(lock(&disk)?),
        Access::Read => None,
    };
    let start = match (Manifest::read(&disk)?, access) {
        (Some(manifest), _) => recover(&disk, manifest, &options, access)?,
        (None, Access::Write) => begin(&disk, &options)?,
        (None, Access::Read) => return Err(OpenError::NoLog),
    };
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
        merge_inputs: Vec::new(),
        cold: Cold::default(),
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
pub(crate) struct Start<D: Disk> {
    pub(crate) manifest: Manifest,
    pub(crate) rooms: Rooms,
    pub(crate) segments: Segments<D::File>,
    pub(crate) next_segment: u32,
    pub(crate) wal: Wal<D>,
    pub(crate) recovery: Recovery,
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
            None => !name.starts_with("seg-") && !name.starts_with("cold-"),
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
