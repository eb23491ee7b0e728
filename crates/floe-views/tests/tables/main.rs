//! Tables of a room: calls, the log's messages, files made again, and SQL of people.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod calls;
mod common;
mod files;
mod rebuild;
mod snapshots;
mod sql;
