//! A recording that is under way.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use floe_media::recording::{Packet, Recorded, Spoke, Spoken, Track};
use floe_proto::Millis;

use super::folder::{Folder, NEW, file_name};
use super::index::{self, Index, Why};

/// A recording that is under way, and its files.
#[derive(Debug)]
pub struct Writing {
    folder: Folder,
    recording: Arc<str>,
    started_at: Millis,
    began: Instant,
    /// When it ends in any case.
    ends_by: Option<Instant>,
    users: BTreeMap<Arc<str>, Voice>,
    spoken: Spoken,
    /// Packets that are in no file for want of room.
    dropped: u64,
    /// Whether there were more users than files.
    left_out: bool,
    bytes: u64,
}

/// What one participant says.
#[derive(Debug)]
struct Voice {
    name: Box<str>,
    track: Track,
    /// There is one once something is to be written.
    file: Option<File>,
    bytes: u64,
}

/// Users of one recording; of more nothing is recorded.
const USERS_MAX: usize = 256;
/// Times in the index of one recording at which somebody spoke; with more, short pauses are left out.
const TIMES_MAX: usize = 2_000;
/// A level in dBov that stands for one who does not say how loud they are.
const LOUD: i8 = 0;

impl Writing {
    /// Begins a recording.
    pub fn begin(
        folder: Folder,
        recording: Arc<str>,
        room_name: &[u8],
        started_at: Millis,
        began: Instant,
    ) -> io::Result<Self> {
        folder.begin(room_name, started_at)?;
        Ok(Self {
            folder,
            recording,
            started_at,
            began,
            ends_by: None,
            users: BTreeMap::new(),
            spoken: Spoken::new(TIMES_MAX),
            dropped: 0,
            left_out: false,
            bytes: 0,
        })
    }

    /// What it is called.
    pub const fn recording(&self) -> &Arc<str> {
        &self.recording
    }

    /// How long it has been going on.
    pub fn length(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }

    /// Has it end then, in any case.
    pub const fn end_by(&mut self, at: Instant) {
        self.ends_by = Some(at);
    }

    /// Whether it is time to end.
    pub fn is_over(&self, now: Instant) -> bool {
        self.ends_by.is_some_and(|at| at <= now)
    }

    /// Bytes written so far.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes a packet.
    pub fn hear(&mut self, packet: Recorded) -> io::Result<()> {
        let at = self.length(packet.at);
        let level = packet.level.unwrap_or(LOUD);
        self.spoken.hear(&packet.user, level, at);
        if !self.users.contains_key(&packet.user) && !self.welcome(&packet.user) {
            self.dropped += 1;
            return Ok(());
        }
        let Some(voice) = self.users.get_mut(&packet.user) else {
            return Ok(());
        };
        voice.track.hear(Packet {
            stream: packet.stream,
            time: packet.time,
            at,
            payload: packet.payload,
        });
        self.bytes += voice.write(&self.folder, &packet.user, at)?;
        Ok(())
    }

    /// Takes note of packets that never came here.
    pub const fn miss(&mut self, packets: u64) {
        self.dropped += packets;
    }

    /// Ends it, and returns what it holds and who spoke when.
    pub fn end(self, why: Why, ended_at: Millis, now: Instant) -> (Folder, Index, Vec<Spoke>) {
        let at = self.length(now);
        let mut dropped = self.dropped;
        let mut why = why;
        let mut files = Vec::new();
        for (user, mut voice) in self.users {
            if let Err(error) = voice.finish(&self.folder, &user, at) {
                tracing::warn!(%error, "a file of a recording could not be ended");
                if why == Why::Stopped {
                    why = of_error(&error);
                }
            }
            dropped += voice.track.dropped();
            if voice.bytes > 0 {
                files.push(index::File {
                    user,
                    name: voice.name,
                    bytes: voice.bytes,
                    duration_ms: voice.track.duration_ms(),
                });
            }
        }
        let index = Index {
            recording: self.recording,
            started_at: self.started_at,
            ended_at,
            why,
            files,
            dropped,
            left_out: self.left_out,
        };
        (self.folder, index, self.spoken.finish())
    }

    /// Makes room for another user's voice.
    fn welcome(&mut self, user: &Arc<str>) -> bool {
        let number = self.users.len();
        if number == USERS_MAX {
            self.left_out = true;
            return false;
        }
        let name = file_name(number + 1, user);
        let started = self.started_at.rfc3339();
        let comments = [
            ("ARTIST", &**user),
            ("TITLE", &*self.recording),
            ("DATE", &*started),
        ];
        // Serial numbers need only differ within what somebody might put together.
        let serial = u32::try_from(number + 1).unwrap_or_default();
        let voice = Voice {
            name: name.into(),
            track: Track::new(serial, &comments),
            file: None,
            bytes: 0,
        };
        self.users.insert(Arc::clone(user), voice);
        true
    }
}

impl Voice {
    /// Writes what is ready, and returns how many bytes that was.
    fn write(&mut self, folder: &Folder, user: &str, at: Duration) -> io::Result<u64> {
        let before = self.bytes;
        while let Some(page) = self.track.poll_page(at) {
            let file = match &mut self.file {
                Some(file) => file,
                none => {
                    folder.note_file(&self.name, user)?;
                    let path = folder.file(&format!("{}{NEW}", self.name));
                    none.insert(File::create(path)?)
                }
            };
            if let Err(error) = file.write_all(&page) {
                // What is there ends with a whole page.
                let _ = file.set_len(self.bytes);
                return Err(error);
            }
            self.bytes += page.len() as u64;
        }
        Ok(self.bytes - before)
    }

    /// Writes what is left, and gives the file its name.
    fn finish(&mut self, folder: &Folder, user: &str, at: Duration) -> io::Result<()> {
        self.track.finish();
        let written = self.write(folder, user, at);
        if let Some(file) = self.file.take() {
            file.sync_all()?;
            let new = folder.file(&format!("{}{NEW}", self.name));
            fs::rename(new, folder.file(&self.name))?;
        }
        written.map(drop)
    }
}

/// Returns why a recording ends that met an error.
pub fn of_error(error: &io::Error) -> Why {
    match is_full(error) {
        true => Why::DiskFull,
        false => Why::Failed,
    }
}

/// Whether there is no space left.
pub fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
