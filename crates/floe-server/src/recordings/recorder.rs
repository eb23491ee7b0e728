//! The thread that writes recordings.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use floe_media::recording::Recorded;
use floe_proto::RoomId;

use super::RecordingSettings;
use super::folder::{Kept, Root};
use super::host::{Mailbox, News};
use super::inbox::{Command, Inbox};
use super::index::{Index, Why, shown_times};
use super::shelf::now;
use super::writing::{Writing, of_error};
use crate::metrics::RecordingMetrics;

/// Writes the recordings that are under way.
#[derive(Debug)]
pub struct Recorder {
    pub settings: RecordingSettings,
    pub root: Root,
    pub inbox: Arc<Inbox>,
    pub mailbox: Arc<Mailbox>,
    pub metrics: RecordingMetrics,
    pub rooms: BTreeMap<RoomId, Writing>,
    /// The full names of their rooms.
    pub names: BTreeMap<RoomId, Box<[u8]>>,
}

/// How long packets wait until there are enough of them.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long it sleeps while there is nothing to record.
const IDLE: Duration = Duration::from_secs(60);
/// How long the media may take to hand over the last of a recording.
const LINGER: Duration = Duration::from_secs(1);
/// How often it is looked at how long recordings are, and how much space there is.
const LOOK: Duration = Duration::from_secs(1);

impl Recorder {
    /// Runs until it is told to stop.
    pub fn run(mut self) {
        let mut looked = Instant::now();
        loop {
            let patience = match self.rooms.is_empty() {
                true => IDLE,
                false => PATIENCE,
            };
            let (commands, dropped) = self.inbox.take(patience);
            for (recording, packets) in dropped {
                self.metrics.dropped(packets);
                let mut rooms = self.rooms.values_mut();
                if let Some(writing) = rooms.find(|one| *one.recording() == recording) {
                    writing.miss(packets);
                }
            }
            for command in commands {
                match command {
                    Command::Begin {
                        room,
                        name,
                        recording,
                    } => self.begin(room, name, recording),
                    Command::Packet(packet) => self.hear(packet),
                    Command::Linger { room, recording } => {
                        let writing = self.rooms.get_mut(&room);
                        if let Some(writing) = writing.filter(|one| *one.recording() == recording) {
                            writing.end_by(Instant::now() + LINGER);
                        }
                    }
                    Command::End { room, recording } => {
                        let writing = self.rooms.get(&room);
                        // Another may have begun meanwhile.
                        if writing.is_some_and(|one| *one.recording() == recording) {
                            self.end(room, Why::Stopped);
                        }
                    }
                    Command::Stop => return self.end_all(Why::Stopped),
                }
            }
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                self.look();
            }
        }
    }

    fn begin(&mut self, room: RoomId, name: Box<[u8]>, recording: Arc<str>) {
        self.end(room, Why::Stopped);
        let (started_at, began) = (now(), Instant::now());
        let refused = match self.root.folder(room, &recording) {
            None => Why::Failed,
            Some(_) if !self.has_space() => Why::DiskFull,
            Some(folder) => {
                let recording = Arc::clone(&recording);
                match Writing::begin(folder, recording, &name, started_at, began) {
                    Ok(writing) => {
                        self.rooms.insert(room, writing);
                        self.names.insert(room, name);
                        return self.metrics.under_way(self.rooms.len());
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a recording did not begin");
                        of_error(&error)
                    }
                }
            }
        };
        let index = Index {
            recording,
            started_at,
            ended_at: started_at,
            why: refused,
            files: Vec::new(),
            dropped: 0,
            left_out: false,
        };
        self.metrics.ended(refused);
        self.mailbox.put(News::ended(room, name, &index, &[]));
    }

    fn hear(&mut self, packet: Recorded) {
        let room = packet.seat.room;
        let Some(writing) = self.rooms.get_mut(&room) else {
            return;
        };
        if *writing.recording() != packet.recording {
            return;
        }
        let before = writing.bytes();
        let heard = writing.hear(packet);
        self.metrics.written(writing.bytes() - before);
        if let Err(error) = heard {
            tracing::warn!(%error, "a recording ends");
            self.end(room, of_error(&error));
        }
    }

    /// Ends the recording of a room, if there is one.
    fn end(&mut self, room: RoomId, why: Why) {
        let (Some(writing), Some(name)) = (self.rooms.remove(&room), self.names.remove(&room))
        else {
            return;
        };
        let (folder, index, times) = writing.end(why, now(), Instant::now());
        let kept = Kept {
            ended_at: index.ended_at,
            is_stored: false,
            shown: index.shown(),
        };
        if let Err(error) = folder.end(&kept, &shown_times(&times)) {
            // The next start ends it.
            tracing::warn!(%error, "what a recording holds could not be written");
        }
        self.metrics.under_way(self.rooms.len());
        self.metrics.ended(index.why);
        self.mailbox.put(News::ended(room, name, &index, &times));
    }

    fn end_all(&mut self, why: Why) {
        while let Some((&room, _)) = self.rooms.first_key_value() {
            self.end(room, why);
        }
    }

    /// Ends what is too long, and everything where there is no space.
    fn look(&mut self) {
        let (now, length_max) = (Instant::now(), self.settings.length_max());
        let rooms = self.rooms.iter();
        let long: Vec<RoomId> = rooms
            .filter(|(_, writing)| writing.length(now) >= length_max)
            .map(|(room, _)| *room)
            .collect();
        for room in long {
            self.end(room, Why::TooLong);
        }
        let rooms = self.rooms.iter();
        let over: Vec<RoomId> = rooms
            .filter(|(_, writing)| writing.is_over(now))
            .map(|(room, _)| *room)
            .collect();
        for room in over {
            self.end(room, Why::Stopped);
        }
        if !self.rooms.is_empty() && !self.has_space() {
            self.end_all(Why::DiskFull);
        }
    }

    /// Whether the disk has so much left that others are not hurt.
    fn has_space(&self) -> bool {
        let path = self.root.path();
        match rustix::fs::statvfs(path) {
            Ok(space) => {
                let free = space.f_bavail.saturating_mul(space.f_frsize);
                free >= self.settings.free_bytes_min
            }
            Err(error) => {
                tracing::warn!(%error, "how much space there is for recordings is not known");
                false
            }
        }
    }
}
