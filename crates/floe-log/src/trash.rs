//! What is done with, until it is cleared away in the background.

use std::sync::Arc;

use crate::disk::{Disk, DiskFile};
use crate::manifest::Home;
use crate::memtable::Memtable;
use crate::segment::Segment;

/// Things that nothing needs any more.
#[derive(Debug)]
pub(crate) struct Trash<F> {
    pub(crate) segments: Vec<Arc<Segment<F>>>,
    /// A large memtable takes a while to free.
    pub(crate) memtables: Vec<Arc<Memtable>>,
}

/// Clears away what is done with.
#[derive(Debug)]
pub(crate) struct CleanJob<D: Disk> {
    disk: D,
    _home: Arc<Home<D::Lock>>,
    files: Vec<String>,
    memtables: Vec<Arc<Memtable>>,
}

impl<F: DiskFile> Trash<F> {
    pub(crate) fn new() -> Self {
        Self {
            segments: Vec::new(),
            memtables: Vec::new(),
        }
    }

    /// Takes what nobody holds any more; `files` are others to be removed.
    pub(crate) fn take<D>(
        &mut self,
        disk: &D,
        home: &Arc<Home<D::Lock>>,
        mut files: Vec<String>,
    ) -> Option<CleanJob<D>>
    where
        D: Disk<File = F>,
    {
        let unused = self.segments.extract_if(.., |segment| {
            // A reader may be sending from the file, or a job reading from the segment.
            Arc::strong_count(segment) == 1 && Arc::strong_count(&segment.file) == 1
        });
        files.extend(unused.map(|segment| segment.id.file_name()));
        let memtables = std::mem::take(&mut self.memtables);
        let idle = files.is_empty() && memtables.is_empty();
        (!idle).then(|| CleanJob {
            disk: disk.clone(),
            _home: home.clone(),
            files,
            memtables,
        })
    }
}

impl<D: Disk> CleanJob<D> {
    pub(crate) fn run(self) {
        for file in &self.files {
            // A file that stays is removed by the next start.
            let _ = self.disk.remove(file);
        }
        drop(self.memtables);
    }
}
