//! The cold tier: payloads of old segments in an object store.
//!
//! A segment whose time has come is copied to the store part by part, read back, and only then
//! removed; what stays is a file with everything but the payload. Reads that need the payload say
//! which blocks they want; the host has them fetched into a cache of files, and reads again.
//!
//! The log reads no clock: the host says what time it is with
//! [`Log::take_cold_work`](crate::Log::take_cold_work).

mod backoff;
mod cache;
mod cool;
mod fetch;
mod object;
mod state;
mod store;
mod sweep;

pub use fetch::{ColdWant, FetchError, FetchId};
pub use state::{ColdOptions, ColdStats};
pub use store::{ObjectStore, StoreError};

pub(crate) use cache::{Cache, is_cache_file};
pub(crate) use cool::{CoolDone, CoolJob};
pub(crate) use fetch::{FetchDone, FetchJob};
pub(crate) use object::{ObjectReader, Remote, verify_object};
pub(crate) use state::Cold;
pub(crate) use sweep::{SweepDone, SweepJob};
