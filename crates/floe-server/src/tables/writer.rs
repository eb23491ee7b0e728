//! The thread that writes the files of rooms.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use floe_log::DiskFile;
use floe_proto::table::{Applied, TableError};
use floe_proto::{Code, Millis, RoomId};
use floe_views::tables::{Messages, Resting, RoomFile, TableFileError, TableFolder, TableOptions};

use super::bounds::TableSettings;
use super::saver::Copying;
use super::{Done, Mailbox, Queued, Refused};
use crate::shard::Fetched;

/// What the writer is to do.
#[derive(Debug)]
pub(super) enum Task<F> {
    /// Open the file of a room whose log has so many messages, or make one.
    Open(RoomId, u64),
    /// Look whether a room's file is whole, and open it again: questions could not be answered.
    Check(RoomId, u64),
    /// Apply messages of the log from this one on.
    CatchUp(RoomId, u64, Fetched<F>),
    /// Run calls in a transaction.
    Run(RoomId, Vec<Queued>, Batching),
    /// Commit the transaction: the log has its messages.
    Commit(RoomId),
    /// Undo the transaction: the log has not taken its messages.
    Rollback(RoomId),
    /// Close a room's file so that it outlives a loss of power, which waits for the disk; so many
    /// questions were answered since the last batch.
    Close(RoomId, Millis, u64),
    /// Close a room's file in the same way, but without waiting: it is good as long as the system
    /// runs.
    Drop(RoomId, Millis, u64),
    /// Remove a room's file and its snapshot.
    Remove(RoomId),
}

/// How a batch is run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batching {
    /// Its time.
    pub now: Millis,
    /// Questions that were answered since the last batch.
    pub asked: u64,
    /// Messages after which no call is added.
    pub rows_max: usize,
    /// Bytes of messages after which no call is added.
    pub bytes_max: usize,
}

/// What came of a batch.
#[derive(Debug)]
pub(super) struct Ran {
    pub done: Vec<(Queued, Result<Applied, TableError>)>,
    /// Calls for which the batch had no room.
    pub left: Vec<Queued>,
    /// The messages, each followed by a comma.
    pub bytes: Vec<u8>,
    /// How long each is. Where there are none the transaction is over.
    pub lens: Vec<u32>,
    pub seconds: f64,
    /// Questions that were counted in it.
    pub asked: u64,
}

/// The writer's side of the thread.
pub(super) struct Writer {
    folder: TableFolder,
    options: TableOptions,
    mailbox: Arc<Mailbox>,
    copying: Arc<Copying>,
    files: BTreeMap<RoomId, RoomFile>,
    /// What is known of files that made way for others.
    resting: BTreeMap<RoomId, Resting>,
}

/// Files that made way for others, of which is known what they hold.
const RESTING_MAX: usize = 4_096;

impl Writer {
    pub fn new(settings: &TableSettings, mailbox: Arc<Mailbox>, copying: Arc<Copying>) -> Self {
        Self {
            folder: settings.folder.clone(),
            options: settings.bounds.room.clone(),
            mailbox,
            copying,
            files: BTreeMap::new(),
            resting: BTreeMap::new(),
        }
    }

    /// Runs until the event loop lets go of the queue; then it closes all files.
    pub fn run<F: DiskFile>(mut self, tasks: &Receiver<Task<F>>) {
        match self.folder.clean() {
            Ok(0) => {}
            Ok(files) => tracing::info!(files, "files of tables that were half made are removed"),
            Err(error) => tracing::warn!(%error, "files of tables that were half made stay"),
        }
        match self.folder.contents() {
            Ok(contents) => {
                let rooms = contents.rooms.into_iter().collect();
                self.mailbox.put(Done::Found(rooms));
            }
            Err(error) => tracing::warn!(%error, "the folder of tables could not be read"),
        }
        while let Ok(task) = tasks.recv() {
            self.work(task);
        }
        for (room, mut file) in self.files {
            // What was run and not appended never happened.
            file.rollback();
            close(room, file);
        }
    }

    fn work<F: DiskFile>(&mut self, task: Task<F>) {
        match task {
            Task::Open(room, tail) => {
                let opened = self.open(room, tail);
                self.mailbox.put(Done::Opened(room, opened));
            }
            Task::Check(room, tail) => {
                let opened = self.check(room, tail);
                self.mailbox.put(Done::Opened(room, opened));
            }
            Task::CatchUp(room, first_seq, handed) => {
                let applied = self.catch_up(room, first_seq, &handed);
                self.mailbox.put(Done::CaughtUp(room, applied));
            }
            Task::Run(room, calls, batching) => self.run_calls(room, calls, batching),
            Task::Commit(room) => self.commit(room),
            Task::Rollback(room) => {
                if let Some(file) = self.files.get_mut(&room) {
                    file.rollback();
                }
            }
            Task::Close(room, now, asked) => {
                if let Some(mut file) = self.files.remove(&room) {
                    file.count_reads(now, asked);
                    close(room, file);
                }
            }
            Task::Drop(room, now, asked) => {
                if let Some(mut file) = self.files.remove(&room) {
                    file.count_reads(now, asked);
                    self.rest(room, file);
                }
            }
            Task::Remove(room) => {
                self.files.remove(&room);
                self.resting.remove(&room);
                self.copying.forget(room);
                if let Err(error) = self.folder.remove(room) {
                    tracing::warn!(room = room.0, %error, "tables of a room that is gone stay");
                }
            }
        }
    }

    /// Opens a room's file; one that cannot be trusted is made anew.
    fn open(&mut self, room: RoomId, tail: u64) -> Result<u64, Refused> {
        // What is made anew, here or below, is not what is being copied.
        self.copying.forget(room);
        let opened = match self.resting.remove(&room) {
            Some(known) => RoomFile::reopen(&self.folder, room, tail, known, &self.options),
            None => RoomFile::open(&self.folder, room, tail, &self.options),
        };
        let opened = match opened {
            Err(error) if error.is_corrupt() => {
                self.discard(room, &error);
                RoomFile::open(&self.folder, room, tail, &self.options)
            }
            opened => opened,
        };
        let file = opened.map_err(|error| refused(&error))?;
        let applied = file.applied();
        self.files.insert(room, file);
        Ok(applied)
    }

    /// Closes a file that makes way for another, and keeps what is known of it.
    fn rest(&mut self, room: RoomId, file: RoomFile) {
        match file.rest() {
            Ok(resting) => {
                if self.resting.len() >= RESTING_MAX {
                    // Any of them: it is looked at more closely when it is opened.
                    self.resting.pop_first();
                }
                self.resting.insert(room, resting);
            }
            Err(error) => tracing::warn!(room = room.0, %error, "questions were not counted"),
        }
    }

    fn check(&mut self, room: RoomId, tail: u64) -> Result<u64, Refused> {
        let is_sound = self.files.get(&room).map(RoomFile::is_sound);
        self.files.remove(&room);
        if is_sound != Some(true) {
            self.discard(room, &TableFileError::Corrupt(None));
        }
        self.open(room, tail)
    }

    fn catch_up<F: DiskFile>(
        &mut self,
        room: RoomId,
        first_seq: u64,
        handed: &Fetched<F>,
    ) -> Result<u64, Refused> {
        let Some(file) = self.files.get_mut(&room) else {
            return Err(Refused::new(Code::ViewUnavailable, NOT_OPEN));
        };
        let bytes = handed.to_vec().map_err(TableFileError::Io);
        let applied = bytes.and_then(|bytes| file.apply(first_seq, &bytes));
        match applied {
            Ok(()) => Ok(file.applied()),
            Err(error) => Err(self.give_up(room, &error)),
        }
    }

    fn run_calls(&mut self, room: RoomId, calls: Vec<Queued>, batching: Batching) {
        let started = Instant::now();
        let Some(file) = self.files.get_mut(&room) else {
            let refused = Refused::new(Code::ViewUnavailable, NOT_OPEN);
            return self.mailbox.put(Done::Broken(room, calls, refused));
        };
        if let Err(error) = file.begin() {
            let refused = self.give_up(room, &error);
            return self.mailbox.put(Done::Broken(room, calls, refused));
        }
        file.count_reads(batching.now, batching.asked);
        let mut messages = Messages::default();
        let mut done = Vec::with_capacity(calls.len());
        let mut left = calls.into_iter();
        while messages.bytes.len() < batching.bytes_max && messages.len() < batching.rows_max {
            let Some(queued) = left.next() else {
                break;
            };
            match file.run(&queued.call, batching.now, &mut messages) {
                Err(error) if is_of_file(error.code) => {
                    // None of the calls happened.
                    file.rollback();
                    self.files.remove(&room);
                    let calls = done.into_iter().map(|(queued, _)| queued);
                    let calls = calls.chain([queued]).chain(left).collect();
                    return self.mailbox.put(Done::Broken(room, calls, error.into()));
                }
                result => done.push((queued, result)),
            }
        }
        if messages.is_empty() {
            file.rollback();
        }
        self.mailbox.put(Done::Ran(
            room,
            Ran {
                done,
                left: left.collect(),
                bytes: messages.bytes,
                lens: messages.lens,
                seconds: started.elapsed().as_secs_f64(),
                asked: batching.asked,
            },
        ));
    }

    fn commit(&mut self, room: RoomId) {
        let Some(file) = self.files.get_mut(&room) else {
            return;
        };
        match file.commit() {
            Ok(()) => self.mailbox.put(Done::Committed(room, file.applied())),
            Err(error) => {
                let refused = self.give_up(room, &error);
                self.mailbox.put(Done::Broken(room, Vec::new(), refused));
            }
        }
    }

    /// Closes a file that failed; it is removed if it is damaged.
    fn give_up(&mut self, room: RoomId, error: &TableFileError) -> Refused {
        self.files.remove(&room);
        if error.is_corrupt() {
            self.discard(room, error);
        }
        refused(error)
    }

    fn discard(&self, room: RoomId, error: &TableFileError) {
        tracing::error!(room = room.0, %error, "the tables of a room are made anew");
        self.mailbox.put(Done::Rebuilt);
        self.copying.forget(room);
        if let Err(error) = self.folder.remove(room) {
            tracing::error!(room = room.0, %error, "a damaged file could not be removed");
        }
    }
}

fn close(room: RoomId, file: RoomFile) {
    if let Err(error) = file.close() {
        // The next open looks at it more closely.
        tracing::warn!(room = room.0, %error, "the tables of a room were not closed cleanly");
    }
}

/// Says what failed.
pub(super) fn refused(error: &TableFileError) -> Refused {
    tracing::debug!(%error, "a file of tables failed");
    let code = error.code();
    let message = if code == Code::DiskFull {
        "the disk has no space for the room's tables"
    } else if code == Code::Corrupt {
        "the room's log holds something that is no change of a table"
    } else {
        NOT_OPEN
    };
    Refused::new(code, message)
}

/// Returns whether a call failed because its file did.
const fn is_of_file(code: Code) -> bool {
    matches!(
        code,
        Code::DiskFull | Code::ViewUnavailable | Code::Corrupt | Code::Internal
    )
}

const NOT_OPEN: &str = "the room's tables cannot be used for the moment";
