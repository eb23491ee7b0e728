//! The live segments, oldest data first.

use std::sync::Arc;

use crate::disk::DiskFile;
use crate::index::Run;
use crate::segment::Segment;

/// A live segment and what is known of it.
#[derive(Debug)]
pub(crate) struct Live<F> {
    pub(crate) number: u32,
    pub(crate) segment: Arc<Segment<F>>,
    /// Bytes of rooms that are gone, of old states and of dropped units.
    pub(crate) dead_bytes: u64,
    /// What it holds is in a merged segment, too; rooms are moving over to that one.
    pub(crate) replaced: bool,
}

/// The live segments, in the order of the manifest.
#[derive(Debug)]
pub(crate) struct Segments<F> {
    list: Vec<Live<F>>,
}

impl<F: DiskFile> Segments<F> {
    pub(crate) fn new() -> Self {
        Self { list: Vec::new() }
    }

    pub(crate) fn get(&self, number: u32) -> &Arc<Segment<F>> {
        let found = self.list.iter().find(|live| live.number == number);
        &found
            .expect("a segment stays as long as the index names it")
            .segment
    }

    /// Returns the segment of that number, if it is live.
    pub(crate) fn find(&self, number: u32) -> Option<&Arc<Segment<F>>> {
        let found = self.list.iter().find(|live| live.number == number);
        found.map(|live| &live.segment)
    }

    /// Puts a segment in the place of another one with the same rows; returns that one.
    pub(crate) fn swap(&mut self, segment: Segment<F>) -> Option<Arc<Segment<F>>> {
        let number = segment.number();
        let live = self.list.iter_mut().find(|live| live.number == number)?;
        Some(std::mem::replace(&mut live.segment, Arc::new(segment)))
    }

    pub(crate) fn list(&self) -> &[Live<F>] {
        &self.list
    }

    /// Returns handles on all of them, for a job.
    pub(crate) fn handles(&self) -> Vec<Arc<Segment<F>>> {
        self.list.iter().map(|live| live.segment.clone()).collect()
    }

    /// Adds the segment with the youngest data.
    pub(crate) fn push(&mut self, segment: Segment<F>) {
        self.list.push(Live::new(segment));
    }

    /// Puts a merged segment behind the last of those that it replaces.
    pub(crate) fn replace(&mut self, inputs: &[u32], merged: Option<Segment<F>>) {
        let mut last = 0;
        for (at, live) in self.list.iter_mut().enumerate() {
            if inputs.contains(&live.number) {
                live.replaced = true;
                last = at;
            }
        }
        if let Some(merged) = merged {
            self.list.insert(last + 1, Live::new(merged));
        }
    }

    /// Takes out segments that have been replaced.
    pub(crate) fn take_replaced(&mut self, inputs: &[u32]) -> Vec<Arc<Segment<F>>> {
        let gone = self
            .list
            .extract_if(.., |live| inputs.contains(&live.number));
        gone.map(|live| live.segment).collect()
    }

    /// Notes that bytes of a segment are of no use any more.
    pub(crate) fn add_dead(&mut self, number: u32, bytes: u64) {
        if let Some(live) = self.list.iter_mut().find(|live| live.number == number) {
            live.dead_bytes += bytes;
        }
    }
}

impl<F> Live<F> {
    fn new(segment: Segment<F>) -> Self {
        Self {
            number: segment.id.number,
            segment: Arc::new(segment),
            dead_bytes: 0,
            replaced: false,
        }
    }
}

/// Finds the segment of a run among handles.
pub(crate) fn find<F: DiskFile>(handles: &[Arc<Segment<F>>], run: Run) -> &Segment<F> {
    let found = handles
        .iter()
        .find(|segment| segment.number() == run.segment);
    found.expect("a job holds every segment that it was told of")
}
