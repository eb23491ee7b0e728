//! Floe's log engine: durable records of many rooms in one write-ahead log.
//!
//! Appends of all rooms gather in one buffer; a [`CommitJob`] writes and syncs it; everything
//! staged until then is durable at once. Background [`Work`] gathers each room's records into
//! segments where they lie side by side. The log knows rooms, units and bytes; what a record
//! means is known to the host's [`Fold`] alone.
//!
//! It is not a database: there are no transactions across records, no queries, and one thread
//! owns a [`Log`]. It starts no thread, reads no clock, and reads the disk only for what is no
//! longer in memory.
//!
//! ```
//! use std::sync::Arc;
//! use floe_log::{DirDisk, Fold, FoldError, Folded, Log, Options, Part, Payload, RecordView};
//! use floe_proto::{Millis, RoomId};
//!
//! /// A state that counts records.
//! struct Count;
//!
//! impl Fold for Count {
//!     fn fold(
//!         &self,
//!         _: RoomId,
//!         state: Option<&[u8]>,
//!         records: &mut dyn Iterator<Item = RecordView<'_>>,
//!     ) -> Result<Folded, FoldError> {
//!         let before = state.map_or(0, |state| state[0]);
//!         let state = vec![before + records.count() as u8];
//!         Ok(Folded { state, ..Folded::default() })
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path();
//! let (mut log, _) = Log::open(DirDisk::new(path)?, Options::default(), Arc::new(Count))?;
//! let name = log.hash("tenant", b"greetings");
//! let (room, _) = log.create(name, Millis(1), b"", Payload::NONE)?;
//! let payload = Payload { bytes: b"hello", lens: &[] };
//! let end = log.append(room, Millis(2), b"", payload)?;
//!
//! // A host runs the job on another thread, and stages more meanwhile.
//! let job = log.take_commit().expect("two records are staged");
//! let durable = log.finish_commit(job.run())?;
//! assert!(durable >= end);
//!
//! let chunk = log.read(room, 0, u64::MAX, 1024)?;
//! assert!(matches!(&chunk.parts[..], [Part::Memory(bytes)] if bytes == "hello"));
//! assert_eq!(log.state(room)?.state, [2]);
//! log.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Contract
//! - A record is durable once [`Log::durable`] has reached the position that staging returned,
//!   and not before. Nothing may be acknowledged or shown earlier.
//! - An error of [`Log::finish_commit`] or [`Log::finish_work`] ends the process. A failed sync
//!   is never tried again.
//! - An error of staging changes nothing.
//! - Bytes read from a file have been checked once in this process, or are not returned.
//! - A start reads the tables of all segments and the write-ahead log since the last flush: about
//!   [`Options::flush_bytes`], four times that where rooms have little each, and
//!   [`Options::wal_bytes_max`] at most.
//! - Space of deleted rooms comes back with the flush after, and the merge that it makes worth
//!   it. A host that has been idle for a while calls [`Log::request_flush`].

mod cold;
mod commit;
mod dir;
mod disk;
mod error;
mod flush;
mod fold;
mod frame;
mod hash;
mod index;
mod install;
mod load;
mod log;
mod lsn;
mod manifest;
mod memtable;
mod merge;
mod open;
mod options;
mod pages;
mod plan;
mod prepare;
mod publish;
mod read;
mod reading;
mod recover;
mod replay;
mod rooms;
mod segment;
mod segments;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod stage;
mod stats;
mod trash;
mod verify;
mod view;
mod wake;
mod wal;
mod work;

pub use cold::{ColdOptions, ColdStats, ColdWant, FetchError, FetchId, ObjectStore, StoreError};
pub use commit::{CommitDone, CommitJob};
pub use dir::DirDisk;
pub use disk::{Disk, DiskFile};
pub use error::{Corrupt, OpenError, ReadError, StageError, WorkError};
pub use fold::{Fold, FoldError, Folded, RecordView};
pub use log::Log;
pub use lsn::Lsn;
pub use open::{Cut, Recovery};
pub use options::Options;
pub use read::{Chunk, Part};
pub use stage::Payload;
pub use stats::{Memory, RoomInfo, SegmentInfo, Stats};
pub use verify::{Verified, verify};
pub use view::View;
pub use work::{Progress, Work, WorkDone};

#[cfg(test)]
mod tests;
