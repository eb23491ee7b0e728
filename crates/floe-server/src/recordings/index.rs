//! What is known of a recording once it has ended.

use std::sync::Arc;
use std::time::Duration;

use floe_media::recording::Spoke;
use floe_proto::Millis;
use serde_json::{Value, json};

/// What a recording holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// What it is called.
    pub recording: Arc<str>,
    pub started_at: Millis,
    pub ended_at: Millis,
    pub why: Why,
    pub files: Vec<File>,
    /// Packets that are in no file: too many came at once, or they were malformed or late.
    pub dropped: u64,
    /// Whether there were users who are in no file, since there were too many.
    pub left_out: bool,
}

/// What one participant said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub user: Arc<str>,
    /// What it is called.
    pub name: Box<str>,
    pub bytes: u64,
    pub duration_ms: u64,
}

/// Why a recording ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Somebody said so, or nobody was there any more.
    Stopped,
    /// It was as long as one may be.
    TooLong,
    /// The disk has no space to spare.
    DiskFull,
    /// The disk failed.
    Failed,
    /// The server ended meanwhile, and not well.
    Interrupted,
}

impl Why {
    /// All reasons there are.
    pub const ALL: [Self; 5] = [
        Self::Stopped,
        Self::TooLong,
        Self::DiskFull,
        Self::Failed,
        Self::Interrupted,
    ];

    /// Returns the word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::TooLong => "too_long",
            Self::DiskFull => "disk_full",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

impl Index {
    /// Returns it as others see it, without who spoke when.
    pub fn shown(&self) -> Value {
        let files = self.files.iter().map(|file| {
            json!({
                "userId": *file.user,
                "file": file.name,
                "bytes": file.bytes,
                "durationMs": file.duration_ms,
            })
        });
        json!({
            "recordingId": *self.recording,
            "startedAt": self.started_at.rfc3339(),
            "endedAt": self.ended_at.rfc3339(),
            "reason": self.why.as_str(),
            "files": files.collect::<Value>(),
            "droppedPackets": self.dropped,
            "usersLeftOut": self.left_out,
        })
    }
}

/// Returns who spoke when as others see it, in milliseconds since the recording began.
pub fn shown_times(times: &[Spoke]) -> Value {
    let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let shown = times.iter().map(
        |Spoke { user, from, to }| json!({ "userId": **user, "from": ms(*from), "to": ms(*to) }),
    );
    shown.collect()
}
