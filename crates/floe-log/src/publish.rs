//! The end of a flush and of a merge: the new segment becomes live.

use crate::disk::Disk;
use crate::error::WorkError;
use crate::manifest::{Home, Manifest, SegmentId};
use crate::segment::{self, Segment, SegmentWriter};

/// Ends a segment and changes the manifest, which gets the segment unless it has no rows.
///
/// Everything is durable on return. When space ran out nothing has changed, and the file is gone.
pub(crate) fn publish<D: Disk>(
    disk: &D,
    home: &Home<D::Lock>,
    writer: SegmentWriter<D>,
    change: impl FnOnce(&mut Manifest, Option<SegmentId>),
) -> Result<Option<Segment<D::File>>, WorkError> {
    let number = writer.number();
    let result = finish(disk, home, writer, change);
    if result.as_ref().is_err_and(WorkError::is_full) {
        // A file that stays is removed by the next start.
        let _ = disk.remove(&segment::file_name(number));
    }
    result
}

fn finish<D: Disk>(
    disk: &D,
    home: &Home<D::Lock>,
    writer: SegmentWriter<D>,
    change: impl FnOnce(&mut Manifest, Option<SegmentId>),
) -> Result<Option<Segment<D::File>>, WorkError> {
    let number = writer.number();
    let mut live = None;
    let mut segment = None;
    if writer.row_count() == 0 {
        writer.abandon();
    } else {
        let id = writer.finish()?;
        disk.sync_dir()?;
        live = Some(id);
        segment = Some(Segment::open(disk, id)?);
    }
    home.update(disk, |manifest| {
        manifest.next_segment = manifest.next_segment.max(number + 1);
        change(manifest, live);
    })?;
    Ok(segment)
}
