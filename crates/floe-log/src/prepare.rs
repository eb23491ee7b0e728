//! Making segments of the write-ahead log, ahead of need.

use std::io;
use std::sync::Arc;

use crate::disk::{Disk, DiskFile};
use crate::manifest::Home;
use crate::wal::{WalSegment, file_name};

/// Zeros are written and synced in steps of this, so that commits can pass between them.
const FILL_BYTES: usize = 1 << 20;

/// Makes a spare write-ahead segment.
#[derive(Debug)]
pub(crate) struct PrepareJob<D: Disk> {
    pub(crate) disk: D,
    /// Nothing where the log itself waits for the segment.
    pub(crate) _home: Option<Arc<Home<D::Lock>>>,
    pub(crate) number: u32,
    pub(crate) bytes: u32,
    pub(crate) recycled: Option<WalSegment<D::File>>,
}

/// What became of a [`PrepareJob`].
#[derive(Debug)]
pub(crate) struct PrepareDone<D: Disk> {
    pub(crate) result: io::Result<WalSegment<D::File>>,
}

impl<D: Disk> PrepareJob<D> {
    pub(crate) fn run(self) -> PrepareDone<D> {
        PrepareDone {
            result: self.make(),
        }
    }

    pub(crate) fn make(self) -> io::Result<WalSegment<D::File>> {
        let (file, bytes) = match self.recycled {
            // What the file holds is left there: its frames name other positions than their own.
            Some(old) => {
                let (from, to) = (file_name(old.number), file_name(self.number));
                self.disk.rename(&from, &to)?;
                self.disk.sync_dir()?;
                (old.file, old.bytes)
            }
            None => {
                let file = fill(&self.disk, self.number, self.bytes)?;
                (Arc::new(file), self.bytes)
            }
        };
        Ok(WalSegment {
            number: self.number,
            bytes,
            file,
        })
    }
}

/// Makes a file of zeros; durable on return, and gone again when it fails.
///
/// Space that was written once is overwritten without a change of the file system's own tables,
/// which makes a commit's sync a third cheaper than on a growing file.
pub(crate) fn fill<D: Disk>(disk: &D, number: u32, bytes: u32) -> io::Result<D::File> {
    let name = file_name(number);
    let write = || {
        let file = disk.create(&name)?;
        let zeros = vec![0; FILL_BYTES.min(bytes as usize)];
        let mut at = 0;
        while at < bytes as usize {
            let len = zeros.len().min(bytes as usize - at);
            file.write_all_at(&zeros[..len], at as u64)?;
            file.sync_data()?;
            at += len;
        }
        disk.sync_dir()?;
        Ok(file)
    };
    write().inspect_err(|_| {
        // The space matters more than a second error.
        let _ = disk.remove(&name);
    })
}
