//! Segments of the write-ahead log: made ahead of need, filled, recycled.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use crate::disk::{Disk, is_full};
use crate::error::StageError;
use crate::frame::HEADER_LEN;
use crate::lsn::Lsn;
use crate::manifest::Home;
use crate::options::Options;
use crate::prepare::{PrepareDone, PrepareJob, fill};

/// Bytes of a new log's first segment, so that a server starts at once.
const FIRST_BYTES: u32 = 1 << 20;
/// Each new segment may be this many times as large as the one before it.
const GROWTH: u32 = 4;
/// Bytes of a segment that staging makes itself, because none was ready.
const URGENT_BYTES: u32 = 4 << 20;

/// The files of the write-ahead log.
#[derive(Debug)]
pub(crate) struct Wal<D: Disk> {
    /// Segments that replay would read, oldest first; the last one is being filled.
    live: VecDeque<WalSegment<D::File>>,
    /// Made and durable, not yet used.
    spare: Option<WalSegment<D::File>>,
    /// Nothing in them is needed any more.
    retired: Vec<WalSegment<D::File>>,
    /// Where the next frame goes in the last live segment.
    at: u32,
    next_number: u32,
    /// Bytes of a spare that is being made.
    preparing_bytes: Option<u32>,
}

/// One file of the write-ahead log.
#[derive(Debug)]
pub(crate) struct WalSegment<F> {
    pub(crate) number: u32,
    pub(crate) bytes: u32,
    pub(crate) file: Arc<F>,
}

impl<D: Disk> Wal<D> {
    /// Makes the first segment of a new log.
    pub(crate) fn create(disk: &D, options: &Options) -> io::Result<Self> {
        let bytes = FIRST_BYTES.min(options.wal_segment_bytes);
        let segment = WalSegment {
            number: 1,
            bytes,
            file: Arc::new(fill(disk, 1, bytes)?),
        };
        Ok(Self::resume(VecDeque::from([segment]), Vec::new(), 0, 2))
    }

    /// Goes on with segments found on disk; `at` is where the next frame goes in the last.
    pub(crate) fn resume(
        live: VecDeque<WalSegment<D::File>>,
        retired: Vec<WalSegment<D::File>>,
        at: u32,
        next_number: u32,
    ) -> Self {
        assert!(!live.is_empty(), "a log has a segment to write to");
        Self {
            live,
            spare: None,
            retired,
            at,
            next_number,
            preparing_bytes: None,
        }
    }

    /// Where the next frame goes.
    pub(crate) fn position(&self) -> Lsn {
        Lsn::new(self.current().number, self.at)
    }

    pub(crate) fn current(&self) -> &WalSegment<D::File> {
        self.live.back().expect("a log has a segment to write to")
    }

    /// Returns whether a frame of `len` bytes fits, with room for a seal behind it.
    pub(crate) fn fits(&self, len: usize) -> bool {
        self.at as usize + len + HEADER_LEN <= self.current().bytes as usize
    }

    /// Moves past a frame that has been staged.
    pub(crate) fn advance(&mut self, len: usize) {
        self.at += len as u32;
    }

    /// Finds a segment that a frame of `len` bytes fits in, making one if none is ready.
    pub(crate) fn next_segment(
        &mut self,
        disk: &D,
        options: &Options,
        len: usize,
    ) -> Result<WalSegment<D::File>, StageError> {
        let needed = (len + HEADER_LEN) as u32;
        if let Some(spare) = self.spare.take() {
            if spare.bytes >= needed {
                return Ok(spare);
            }
            self.retired.push(spare);
        }
        if let Some(at) = self.retired.iter().position(|old| old.bytes >= needed) {
            let recycled = Some(self.retired.swap_remove(at));
            let number = self.take_number();
            let job = PrepareJob {
                disk: disk.clone(),
                _home: None,
                number,
                bytes: needed,
                recycled,
            };
            return job.make().map_err(StageError::Io);
        }
        let bytes = needed
            .max(URGENT_BYTES.min(options.wal_segment_bytes))
            .next_multiple_of(4096);
        if !self.may_grow(options, bytes) {
            return Err(StageError::Full);
        }
        let number = self.take_number();
        match fill(disk, number, bytes) {
            Ok(file) => Ok(WalSegment {
                number,
                bytes,
                file: Arc::new(file),
            }),
            Err(error) if is_full(&error) => Err(StageError::Full),
            Err(error) => Err(StageError::Io(error)),
        }
    }

    /// Goes over to the segment that follows.
    pub(crate) fn roll(&mut self, segment: WalSegment<D::File>) {
        self.live.push_back(segment);
        self.at = 0;
    }

    /// Starts to make a spare segment where one will be needed.
    pub(crate) fn take_prepare(
        &mut self,
        disk: &D,
        home: &Arc<Home<D::Lock>>,
        options: &Options,
    ) -> Option<PrepareJob<D>> {
        let current = self.current();
        // A spare is made once the current segment is a quarter full: early enough at full speed,
        // and an idle log keeps no space that it may never need.
        let early = u64::from(self.at) * 4 < u64::from(current.bytes);
        if early || self.spare.is_some() || self.preparing_bytes.is_some() {
            return None;
        }
        let bytes = current
            .bytes
            .saturating_mul(GROWTH)
            .min(options.wal_segment_bytes);
        let fitting = self.retired.iter().position(|old| old.bytes >= bytes);
        let recycled = fitting.map(|at| self.retired.swap_remove(at));
        if recycled.is_none() && !self.may_grow(options, bytes) {
            return None;
        }
        self.preparing_bytes = Some(recycled.as_ref().map_or(bytes, |old| old.bytes));
        Some(PrepareJob {
            disk: disk.clone(),
            _home: Some(home.clone()),
            number: self.take_number(),
            bytes,
            recycled,
        })
    }

    /// Takes over what a job made.
    ///
    /// # Errors
    /// The job's. After one that says that space ran out the next job may succeed.
    pub(crate) fn finish_prepare(&mut self, done: PrepareDone<D>) -> io::Result<()> {
        self.preparing_bytes = None;
        let segment = done.result?;
        if self.spare.is_none() && segment.number > self.current().number {
            self.spare = Some(segment);
        } else {
            self.retired.push(segment);
        }
        Ok(())
    }

    /// Gives up segments that lie before both positions.
    pub(crate) fn retire(&mut self, replay: Lsn, durable: Lsn) {
        // A job may still be writing to a segment that is not durable yet.
        let keep = replay.segment().min(durable.segment());
        while self.live.len() > 1 && self.live[0].number < keep {
            self.retired.extend(self.live.pop_front());
        }
    }

    /// Hands out retired segments that will not be used again, to be removed.
    pub(crate) fn take_surplus(&mut self, options: &Options) -> Vec<String> {
        let mut kept = 0;
        let mut surplus = Vec::new();
        self.retired.retain(|segment| {
            let keep = segment.bytes >= options.wal_segment_bytes && kept < 2;
            if keep {
                kept += 1;
            } else {
                surplus.push(file_name(segment.number));
            }
            keep
        });
        surplus
    }

    /// Bytes of all segments.
    pub(crate) fn bytes(&self) -> u64 {
        let files = self.live.iter().chain(&self.spare).chain(&self.retired);
        let making = u64::from(self.preparing_bytes.unwrap_or(0));
        files.map(|segment| u64::from(segment.bytes)).sum::<u64>() + making
    }

    /// Returns whether a flush is due, so that segments can be given up before space runs out.
    pub(crate) fn is_long(&self, options: &Options) -> bool {
        self.live.len() > 1 && self.live_bytes() * 2 > options.wal_bytes_max
    }

    /// Bytes of segments that replay would read.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.live
            .iter()
            .map(|segment| u64::from(segment.bytes))
            .sum()
    }

    fn may_grow(&self, options: &Options, bytes: u32) -> bool {
        self.bytes() + u64::from(bytes) <= options.wal_bytes_max
    }

    fn take_number(&mut self) -> u32 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }
}

/// Name of a write-ahead segment's file.
pub(crate) fn file_name(number: u32) -> String {
    format!("wal-{number:08x}")
}

/// Reads a number back from a name.
pub(crate) fn file_number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("wal-")?;
    let number = u32::from_str_radix(digits, 16).ok()?;
    (file_name(number) == name).then_some(number)
}
