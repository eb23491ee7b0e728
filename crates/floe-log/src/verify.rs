//! Checking every checksum of a folder, without changing it.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use floe_proto::RoomId;

use crate::cold::{FetchError, ObjectStore, Remote, verify_object};
use crate::disk::{Disk, DiskFile};
use crate::error::{Corrupt, OpenError, ReadError};
use crate::fold::{Fold, FoldError, Folded, RecordView};
use crate::frame::Frame;
use crate::manifest::{MANIFEST, Manifest};
use crate::replay::{self, End, Sink};
use crate::segment::{Row, Segment, Window, lens};
use crate::view::View;
use crate::wal;

/// What a check of a whole folder found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// Bytes that were checked.
    pub bytes: u64,
    /// Cold segments whose objects were read.
    pub objects_checked: usize,
    /// Cold segments of which only what is in the folder was checked.
    pub objects_unchecked: usize,
    /// All damage that was found; empty when everything is as it was written.
    pub damage: Vec<Corrupt>,
}

/// Checks all checksums, and that what they cover fits together; those of cold segments' objects
/// only if the store that holds them is given.
///
/// `progress` is called with the bytes checked and the bytes to check, every megabyte or so.
///
/// # Errors
/// When the disk fails, or there is no log. Damage is no error; it is listed.
pub fn verify<D: Disk>(
    disk: &D,
    store: Option<Arc<dyn ObjectStore>>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Verified, OpenError> {
    let mut check = Check {
        progress,
        total: total_bytes(disk)?,
        verified: Verified::default(),
    };
    let Some(manifest) = check.note(Manifest::read(disk))?.flatten() else {
        return match check.verified.damage.is_empty() {
            true => Err(OpenError::NoLog),
            false => Ok(check.verified),
        };
    };
    let remote = store.map(|store| Remote::new(store, &manifest.hash_key));
    for &id in &manifest.segments {
        if let Some(segment) = check.note(Segment::open(disk, id).map_err(OpenError::from))? {
            check.segment(&segment)?;
            check.object(&segment, remote.as_ref())?;
        }
    }
    let wal = check.wal(disk, &manifest);
    check.note(wal)?;
    // What is whole may still not fit together.
    if check.verified.damage.is_empty() {
        let opened = View::open(disk.clone(), Arc::new(NoFold));
        check.note(opened)?;
    }
    let Check {
        verified, total, ..
    } = check;
    progress(total, total);
    Ok(verified)
}

struct Check<'a> {
    progress: &'a mut dyn FnMut(u64, u64),
    total: u64,
    verified: Verified,
}

impl Check<'_> {
    /// Lists damage; other errors go on.
    fn note<T>(&mut self, result: Result<T, OpenError>) -> Result<Option<T>, OpenError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(OpenError::Corrupt(corrupt)) => {
                self.verified.damage.push(corrupt);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn add(&mut self, bytes: u64) {
        self.verified.bytes += bytes;
        (self.progress)(self.verified.bytes, self.total.max(self.verified.bytes));
    }

    fn segment<F: DiskFile>(&mut self, segment: &Segment<F>) -> Result<(), OpenError> {
        let mut buffer = Vec::new();
        let before = self.verified.damage.len();
        for chunk in 0..segment.chunks() {
            let result = segment.verify_chunk(chunk, &mut buffer);
            self.note(result.map_err(OpenError::from))?;
            self.add(buffer.len() as u64);
        }
        if self.verified.damage.len() == before {
            let result = check_rows(segment);
            self.note(result.map_err(OpenError::from))?;
        }
        Ok(())
    }

    /// Checks what a cold segment has in the store.
    fn object<F: DiskFile>(
        &mut self,
        segment: &Segment<F>,
        remote: Option<&Remote>,
    ) -> Result<(), OpenError> {
        let Some(origin) = segment.origin else {
            return Ok(());
        };
        let Some(remote) = remote else {
            self.verified.objects_unchecked += 1;
            return Ok(());
        };
        self.total += origin.covered;
        self.verified.objects_checked += 1;
        match verify_object(remote, segment, &mut |bytes| self.add(bytes)) {
            Ok(()) => Ok(()),
            Err(FetchError::Corrupt(corrupt)) => {
                self.verified.damage.push(corrupt);
                Ok(())
            }
            Err(FetchError::Missing) => {
                let missing = segment.damaged(0, "its object is missing in the store");
                self.note(Err::<(), _>(missing.into())).map(drop)
            }
            Err(FetchError::Io(error)) => Err(error.into()),
            Err(error @ FetchError::Unavailable(_)) => Err(io::Error::other(error).into()),
        }
    }

    fn wal<D: Disk>(&mut self, disk: &D, manifest: &Manifest) -> Result<(), OpenError> {
        let mut next = manifest.replay;
        loop {
            let number = next.segment();
            let file = disk.open_read(&wal::file_name(number)).map_err(|error| {
                if error.kind() == io::ErrorKind::NotFound {
                    replay::corrupt(number, 0, "the file is missing")
                } else {
                    OpenError::Io(error)
                }
            })?;
            let end = replay::read_segment(&file, number, next.at(), &mut Nothing)?;
            self.add(file.len()?);
            match end {
                End::Sealed { next: follower } if follower > number => {
                    next = crate::Lsn::new(follower, 0);
                }
                // How the log ends, and whether it may end there, a start finds out.
                End::Sealed { .. } | End::Stopped { .. } => return Ok(()),
            }
        }
    }
}

/// Checks that rows follow upon one another and tables of lengths fit the payload.
fn check_rows<F: DiskFile>(segment: &Segment<F>) -> Result<(), ReadError> {
    let mut last = None;
    let mut rows = Window::new(segment);
    for number in 0..segment.row_count() {
        let row = rows.row(number)?;
        if last >= Some(row.room) {
            return Err(segment.damaged(row.at, "rows are out of order"));
        }
        last = Some(row.room);
        if row.messages {
            check_lens(segment, &row)?;
        }
    }
    Ok(())
}

fn check_lens<F: DiskFile>(segment: &Segment<F>, row: &Row) -> Result<(), ReadError> {
    let table = segment.read(row.lens_at(), row.lens_len as usize)?;
    let total = lens::all(row.units(), &table)
        .and_then(|mut lens| lens.try_fold(0u64, |total, len| total.checked_add(len?)));
    match total == Some(row.payload_len) {
        true => Ok(()),
        false => Err(segment.damaged(row.lens_at(), "lengths do not make up the payload")),
    }
}

/// How the names begin of files that are checked.
const FILES: [&str; 3] = ["cold-", "seg-", "wal-"];

fn total_bytes<D: Disk>(disk: &D) -> io::Result<u64> {
    let mut total = 0;
    for name in disk.list()? {
        if name == MANIFEST || FILES.iter().any(|kind| name.starts_with(kind)) {
            total += disk.open_read(&name)?.len()?;
        }
    }
    Ok(total)
}

/// Takes frames and forgets them.
struct Nothing;

impl Sink for Nothing {
    fn frame(&mut self, _: Frame<'_>, _: u32) -> Result<(), &'static str> {
        Ok(())
    }

    fn window(&mut self, _: Bytes) {}
}

/// A fold that is never asked.
struct NoFold;

impl Fold for NoFold {
    fn fold(
        &self,
        room: RoomId,
        _: Option<&[u8]>,
        _: &mut dyn Iterator<Item = RecordView<'_>>,
    ) -> Result<Folded, FoldError> {
        let reason = "a check folds nothing".to_owned();
        Err(FoldError { room, reason })
    }
}
