//! Recordings that have ended: who asks for them, where they are, and when they go.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use floe_log::ObjectStore;
use floe_proto::{Code, Millis, RoomId};
use serde_json::{Value, json};

use super::folder::{Folder, Kept, Root};
use super::store::{self, MoveError};
use super::writing::is_full;
use crate::shard::Failure;

/// The folders of recordings, and the store that files move to, if there is one.
#[derive(Debug, Clone)]
pub struct Shelf {
    pub root: Root,
    pub store: Option<Arc<dyn ObjectStore>>,
    /// Held by each copy of a file from the store that is being sent.
    pub copies: Arc<()>,
}

/// What is asked of the recordings of a room.
#[derive(Debug)]
pub enum Question {
    /// Which there are.
    List {
        /// Whose.
        room: RoomId,
    },
    /// What one holds.
    Index {
        /// Whose.
        room: RoomId,
        /// Which.
        recording: Box<str>,
    },
    /// One of its files.
    File {
        /// Whose.
        room: RoomId,
        /// Which.
        recording: Box<str>,
        /// Which file.
        file: Box<str>,
        /// The first byte, and the one after the last, as far as anybody cares.
        range: Option<(u64, Option<u64>)>,
    },
    /// That it be no more.
    Delete {
        /// Whose.
        room: RoomId,
        /// Which.
        recording: Box<str>,
    },
}

/// What came of a question.
#[derive(Debug)]
pub enum Answer {
    /// This.
    Json(Value),
    /// A file.
    File(Lent),
    /// It was done.
    Done,
}

/// A part of a file, to be sent.
#[derive(Debug)]
pub struct Lent {
    /// The file.
    pub file: File,
    /// The first byte in it.
    pub at: u64,
    /// How many bytes.
    pub len: u64,
    /// The first byte in the recording's file.
    pub from: u64,
    /// Bytes of that.
    pub total: u64,
    /// What is to be kept until all is sent.
    pub held: Option<Arc<()>>,
}

/// A file that is in the store.
#[derive(Debug)]
pub struct Stored {
    folder: Folder,
    name: Box<str>,
    from: u64,
    len: u64,
    total: u64,
}

/// What was found of a file.
#[derive(Debug)]
pub enum Found {
    /// It is here.
    Here(Lent),
    /// It must be fetched.
    Stored(Stored),
}

/// Recordings of one room that are listed, the newest of them.
const LISTED_MAX: usize = 1_000;
/// Files that are fetched from the store and not sent yet.
const COPIES_MAX: usize = 8;

impl Shelf {
    /// Lists the recordings of a room, newest first.
    pub fn list(&self, room: RoomId) -> Result<Value, Failure> {
        let mut found: Vec<(Millis, Value)> = Vec::new();
        for folder in self.root.of_room(room).map_err(failed)? {
            // One that ends or goes this very moment is listed as it was, or not.
            match look_at(&folder) {
                Ok(shown) => found.push(shown),
                Err(error) => tracing::debug!(%error, "a recording is not listed"),
            }
        }
        found.sort_by_key(|(started_at, _)| std::cmp::Reverse(*started_at));
        let shown = found.into_iter().take(LISTED_MAX).map(|(_, shown)| shown);
        Ok(json!({ "recordings": shown.collect::<Value>() }))
    }

    /// Tells what a recording holds, and who spoke when.
    pub fn index(&self, room: RoomId, recording: &str) -> Result<Value, Failure> {
        let folder = self.folder(room, recording)?;
        let (_, mut shown) = look_at(&folder).map_err(failed)?;
        shown["spoke"] = folder.spoke().map_err(failed)?;
        Ok(shown)
    }

    /// Finds a file of a recording.
    pub fn file(
        &self,
        room: RoomId,
        recording: &str,
        name: &str,
        range: Option<(u64, Option<u64>)>,
    ) -> Result<Found, Failure> {
        let folder = self.folder(room, recording)?;
        let missing = || Failure::new(Code::NotFound, "the recording has no such file");
        let kept = folder.kept().map_err(failed)?.ok_or_else(missing)?;
        let (name, total) = files_of(&kept)
            .find(|(listed, _)| *listed == name)
            .ok_or_else(missing)?;
        let (from, len) = part_of(range, total);
        if !kept.is_stored {
            match File::open(folder.file(name)) {
                Ok(file) => {
                    return Ok(Found::Here(Lent {
                        file,
                        at: from,
                        len,
                        from,
                        total,
                        held: None,
                    }));
                }
                // It has moved since.
                Err(error) if error.kind() == io::ErrorKind::NotFound && self.store.is_some() => {}
                Err(error) => return Err(failed(error)),
            }
        }
        let name = name.into();
        Ok(Found::Stored(Stored {
            folder,
            name,
            from,
            len,
            total,
        }))
    }

    /// Fetches a file from the store.
    pub fn fetch(&self, wanted: &Stored) -> Result<Lent, Failure> {
        let store = self.store()?;
        // The shelf's own, and that of each thread that has one.
        if Arc::strong_count(&self.copies) > COPIES_MAX + Self::HOLDERS {
            let message = "too many recordings are being fetched from the store; try again";
            return Err(Failure::new(Code::Overloaded, message));
        }
        let Stored {
            folder,
            name,
            from,
            len,
            total,
        } = wanted;
        let mut file = self.scratch().map_err(failed)?;
        store::fetch(store, folder, name, *from, *len, &mut file).map_err(unmoved)?;
        Ok(Lent {
            file,
            at: 0,
            len: *len,
            from: *from,
            total: *total,
            held: Some(Arc::clone(&self.copies)),
        })
    }

    /// Deletes a recording that has ended.
    pub fn delete(&self, room: RoomId, recording: &str) -> Result<(), Failure> {
        let folder = self.folder(room, recording)?;
        let Some(kept) = folder.kept().map_err(failed)? else {
            let message = "the recording is under way";
            return Err(Failure::new(Code::PreconditionFailed, message));
        };
        self.delete_kept(&folder, &kept)
    }

    /// Deletes what is older than `keep_ms`, and returns how many that were.
    pub fn prune(&self, keep_ms: u64) -> Result<usize, Failure> {
        let mut pruned = 0;
        let now = now();
        for folder in self.root.all().map_err(failed)? {
            let kept = folder.kept();
            if let Ok(Some(kept)) = kept
                && kept.ended_at.plus(keep_ms) <= now
            {
                self.delete_kept(&folder, &kept)?;
                pruned += 1;
            }
        }
        Ok(pruned)
    }

    /// Moves one recording to the store, if one is here that has ended; returns whether there was.
    pub fn move_one(&self) -> Result<bool, Failure> {
        let Some(store) = self.store.as_deref() else {
            return Ok(false);
        };
        for folder in self.root.all().map_err(failed)? {
            let Ok(Some(mut kept)) = folder.kept() else {
                continue;
            };
            if kept.is_stored {
                // A stop may have come between.
                remove_local(&folder, &kept);
                continue;
            }
            for (name, bytes) in files_of(&kept) {
                store::put(store, &folder, name, bytes).map_err(unmoved)?;
            }
            kept.is_stored = true;
            folder.keep(&kept).map_err(failed)?;
            remove_local(&folder, &kept);
            return Ok(true);
        }
        Ok(false)
    }

    /// How many of [`copies`](Self::copies) are held by those who ask and fetch.
    const HOLDERS: usize = 2;

    fn delete_kept(&self, folder: &Folder, kept: &Kept) -> Result<(), Failure> {
        if kept.is_stored {
            let store = self.store()?;
            for (name, bytes) in files_of(kept) {
                let removed = store::remove(store, folder, name, bytes);
                removed.map_err(|error| unmoved(error.into()))?;
            }
        } else if let Some(store) = self.store.as_deref() {
            // Some of it may have been on its way.
            for (name, bytes) in files_of(kept) {
                if let Err(error) = store::remove(store, folder, name, bytes) {
                    tracing::warn!(%error, "parts of a recording may be left in the store");
                }
            }
        }
        folder.remove().map_err(failed)
    }

    fn folder(&self, room: RoomId, recording: &str) -> Result<Folder, Failure> {
        let folder = self.root.folder(room, recording);
        folder
            .filter(Folder::is_there)
            .ok_or_else(|| Failure::new(Code::NotFound, "there is no such recording"))
    }

    fn store(&self) -> Result<&dyn ObjectStore, Failure> {
        self.store.as_deref().ok_or_else(|| {
            let message = "the recording was moved to a store and cannot be had without it";
            Failure::new(Code::ColdUnavailable, message)
        })
    }

    /// Makes a file that is gone once nobody has it open.
    fn scratch(&self) -> io::Result<File> {
        let path: PathBuf = self.root.path().join("fetched.new");
        let mut options = File::options();
        let file = options
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(&path)?;
        fs::remove_file(&path)?;
        Ok(file)
    }
}

/// Returns the wall clock.
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let ms = since.map_or(0, |since| since.as_millis());
    Millis(u64::try_from(ms).unwrap_or(u64::MAX))
}

/// Returns what others see of a recording, and when it began.
fn look_at(folder: &Folder) -> io::Result<(Millis, Value)> {
    let begun = folder.begun()?;
    let shown = match folder.kept()? {
        Some(kept) => kept.shown,
        None => json!({
            "recordingId": folder.recording,
            "startedAt": begun.started_at.rfc3339(),
            "endedAt": null,
            "files": [],
        }),
    };
    Ok((begun.started_at, shown))
}

/// Returns the files of a recording, and how many bytes they have.
fn files_of(kept: &Kept) -> impl Iterator<Item = (&str, u64)> {
    let files = kept.shown["files"].as_array().into_iter().flatten();
    files.filter_map(|file| Some((file["file"].as_str()?, file["bytes"].as_u64()?)))
}

fn remove_local(folder: &Folder, kept: &Kept) {
    for (name, _) in files_of(kept) {
        match fs::remove_file(folder.file(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "a file of a recording is in the store and still here");
            }
            Ok(()) | Err(_) => {}
        }
    }
}

/// Returns the first byte of what is sent, and how many; all of it where nobody can have the rest.
fn part_of(range: Option<(u64, Option<u64>)>, total: u64) -> (u64, u64) {
    match range {
        Some((from, to)) if from < total => {
            let end = to.map_or(total, |to| to.min(total));
            (from, end.saturating_sub(from))
        }
        Some(_) | None => (0, total),
    }
}

fn failed(error: io::Error) -> Failure {
    if error.kind() == io::ErrorKind::NotFound {
        return Failure::new(Code::NotFound, "there is no such recording");
    }
    if is_full(&error) {
        return Failure::new(Code::DiskFull, "the disk is full");
    }
    tracing::warn!(%error, "a recording cannot be read");
    Failure::new(Code::Internal, "the recording cannot be read")
}

fn unmoved(error: MoveError) -> Failure {
    match error {
        MoveError::Io(error) => failed(error),
        MoveError::Store(error) => {
            tracing::warn!(%error, "the store of recordings failed");
            Failure::new(
                Code::ColdUnavailable,
                "the store of recordings did not do what was asked; try again",
            )
        }
    }
}
