//! The SQL side of Floe: channels and their events as tables, asked and searched.
//!
//! A [`Projector`] applies what became visible in the log to one SQLite file; [`Reader`]s answer
//! questions from it. The file holds nothing that the log does not: it can be deleted at any time
//! and made again. It never holds a channel's secret.
//!
//! This crate starts no thread, reads no clock but for the time limit of a question, and waits for
//! nothing but the file: the host runs the projector on one thread and readers on others.
//!
//! The log says what happened, the view says what is: only messages are rows. Edits replace the
//! content and are kept as versions, reactions are counted, deletions hide.

mod cursor;
mod error;
mod filter;
mod folder;
mod index;
mod key;
mod matching;
mod options;
mod projector;
mod reader;
pub mod replica;
mod schema;
mod split;
pub mod tables;
mod terms;
mod words;

pub use error::{QueryError, ViewError};
pub use folder::Folder;
pub use options::Options;
pub use projector::{Applied, Change, Projector};
pub use reader::Reader;
