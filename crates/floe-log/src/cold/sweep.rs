//! Removing objects that nothing names any more.

use std::sync::Arc;

use crate::disk::Disk;
use crate::manifest::{Home, ObjectId};

use super::{Remote, StoreError};

/// Lists the log's objects and removes those that the manifest does not name.
///
/// Objects are made by upkeep alone, of which one piece runs at a time, so none is on its way. Each
/// try to store a segment has a name of its own, so a removal that a store carries out late cannot
/// meet an object that has been stored again.
pub(crate) struct SweepJob<D: Disk> {
    pub(crate) home: Arc<Home<D::Lock>>,
    pub(crate) remote: Arc<Remote>,
    /// Segments whose objects are of no use any more; without any, all objects are looked at.
    pub(crate) doomed: Vec<(u32, ObjectId)>,
}

/// What a [`SweepJob`] did.
#[derive(Debug)]
pub(crate) struct SweepDone {
    pub(crate) removed: u64,
    pub(crate) doomed: Vec<(u32, ObjectId)>,
    pub(crate) result: Result<(), StoreError>,
}

impl<D: Disk> SweepJob<D> {
    pub(crate) fn run(self) -> SweepDone {
        let mut removed = 0;
        let result = self.sweep(&mut removed);
        SweepDone {
            removed,
            doomed: self.doomed,
            result,
        }
    }

    fn sweep(&self, removed: &mut u64) -> Result<(), StoreError> {
        let Remote { store, log } = &*self.remote;
        let mut keys = Vec::new();
        if self.doomed.is_empty() {
            keys = store.list(&format!("{log}/"))?;
        }
        for &(number, object) in &self.doomed {
            keys.extend(store.list(&format!("{log}/{number:08x}-{:016x}/", object.0))?);
        }
        for key in keys {
            // What has another form was not made by a log.
            let Some((number, object)) = self.remote.parse_key(&key) else {
                continue;
            };
            let manifest = self.home.manifest();
            let mut live = manifest.segments.iter();
            let named = live.any(|id| id.number == number && id.object == Some(object));
            drop(manifest);
            if !named {
                store.remove(&key)?;
                *removed += 1;
            }
        }
        Ok(())
    }
}
