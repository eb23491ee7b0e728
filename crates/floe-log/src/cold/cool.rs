//! Cooling: a segment's payload moves to the store.

use std::sync::Arc;

use crate::disk::{Disk, DiskFile};
use crate::error::WorkError;
use crate::manifest::{Home, ObjectId};
use crate::segment::{Segment, stub_name, write_stub};

use super::{Remote, StoreError};

/// Moves one segment.
pub(crate) struct CoolJob<D: Disk> {
    pub(crate) disk: D,
    pub(crate) home: Arc<Home<D::Lock>>,
    pub(crate) remote: Arc<Remote>,
    pub(crate) segment: Arc<Segment<D::File>>,
    pub(crate) object: ObjectId,
    pub(crate) part_bytes: u32,
}

/// What became of a [`CoolJob`].
#[derive(Debug)]
pub(crate) struct CoolDone<D: Disk> {
    pub(crate) number: u32,
    pub(crate) object: ObjectId,
    /// Bytes that were sent, whether or not it succeeded.
    pub(crate) bytes: u64,
    /// The segment as it is now.
    pub(crate) result: Result<Segment<D::File>, WorkError>,
}

impl<D: Disk> CoolJob<D> {
    pub(crate) fn run(self) -> CoolDone<D> {
        let mut bytes = 0;
        let result = self.cool(&mut bytes);
        let unchanged = |error: &WorkError| error.is_full() || error.store().is_some();
        if result.as_ref().is_err_and(unchanged) {
            // A file that stays is removed by the next start.
            let _ = self.disk.remove(&stub_name(self.segment.number()));
        }
        CoolDone {
            number: self.segment.number(),
            object: self.object,
            bytes,
            result,
        }
    }

    fn cool(&self, sent: &mut u64) -> Result<Segment<D::File>, WorkError> {
        // Before anything is sent: want of space shows here.
        let id = write_stub(&self.disk, &self.segment, self.object, self.part_bytes)?;
        self.disk.sync_dir()?;
        self.send(sent)?;
        let segment = Segment::open(&self.disk, id)?;
        self.home.update(&self.disk, |manifest| {
            let mut all = manifest.segments.iter_mut();
            let live = all.find(|segment| segment.number == id.number);
            *live.expect("nobody else replaces a segment that is being cooled") = id;
        })?;
        Ok(segment)
    }

    /// Stores all parts and reads each of them back.
    fn send(&self, sent: &mut u64) -> Result<(), WorkError> {
        let segment = &self.segment;
        let mut part = 0;
        let mut at = 0;
        let (mut bytes, mut back) = (Vec::new(), Vec::new());
        while at < segment.id.bytes {
            let len = (segment.id.bytes - at).min(self.part_bytes.into());
            // Nothing damaged is sent, as if it were what was written.
            if at < segment.covered() {
                segment.verify(at, len.min(segment.covered() - at))?;
            }
            bytes.resize(len as usize, 0);
            segment.file.read_exact_at(&mut bytes, at)?;
            let key = self.remote.key(segment.number(), self.object, part);
            self.remote.store.put(&key, &bytes)?;
            *sent += len;
            back.clear();
            back.resize(len as usize, 0);
            self.remote.store.read(&key, 0, &mut back)?;
            if back != bytes {
                let what = "an object is not what was sent".to_owned();
                return Err(StoreError::Unavailable(what).into());
            }
            at += len;
            part += 1;
        }
        Ok(())
    }
}
