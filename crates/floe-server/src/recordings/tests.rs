//! Recordings on a real disk, without media.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use floe_core::voice::SeatId;
use floe_media::recording::Recorded;
use floe_proto::{Code, RoomId};
use mio::{Poll, Token, Waker};
use serde_json::{Value, json};

use super::*;
use crate::cold::{ColdPlace, ColdSettings, open_store};
use crate::metrics::Metrics;
use crate::shard::{Failure, Ticket};

const ROOM: RoomId = RoomId(7);
const NAME: &[u8] = b"__voice__/00112233aabb";
/// However slow the machine is.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whatever space the machine has is enough.
fn settings() -> RecordingSettings {
    RecordingSettings {
        free_bytes_min: 0,
        ..RecordingSettings::default()
    }
}

/// Recordings of one data folder, as an event loop has them.
struct Host {
    recordings: Recordings,
    _poll: Poll,
    news: Vec<News>,
    tickets: u64,
}

impl Host {
    fn start(data: &Path) -> Self {
        Self::with(settings(), data, None)
    }

    fn with(settings: RecordingSettings, data: &Path, cold: Option<PathBuf>) -> Self {
        let poll = Poll::new().unwrap();
        let waker = Waker::new(poll.registry(), Token(0)).unwrap();
        let cold = ColdSettings {
            place: cold.map(ColdPlace::Folder),
            ..ColdSettings::default()
        };
        let store = open_store(&cold).unwrap();
        let metrics = Metrics::new().recordings();
        let recordings = Recordings::start(settings, data, store, &waker.into(), metrics).unwrap();
        Self {
            recordings,
            _poll: poll,
            news: Vec::new(),
            tickets: 0,
        }
    }

    /// Waits for news of a kind.
    fn hear(&mut self, wants: impl Fn(&News) -> bool) -> News {
        let until = Instant::now() + PATIENCE;
        loop {
            self.news.extend(self.recordings.take_news());
            if let Some(at) = self.news.iter().position(&wants) {
                return self.news.remove(at);
            }
            assert!(Instant::now() < until, "there is no news");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn ended(&mut self) -> Value {
        match self.hear(|news| matches!(news, News::Ended { .. })) {
            News::Ended { index, name, .. } => {
                assert_eq!(*name, *NAME);
                index
            }
            News::Answered { .. } => unreachable!("it was not wanted"),
        }
    }

    fn ask(&mut self, question: Question) -> Result<Answer, Failure> {
        self.tickets += 1;
        let asked = Ticket(self.tickets);
        self.recordings.ask(asked, question).unwrap();
        let is_it = |news: &News| matches!(news, News::Answered { ticket, .. } if *ticket == asked);
        match self.hear(is_it) {
            News::Answered { answer, .. } => answer,
            News::Ended { .. } => unreachable!("it was not wanted"),
        }
    }

    fn json(&mut self, question: Question) -> Value {
        match self.ask(question).unwrap() {
            Answer::Json(json) => json,
            other @ (Answer::File(_) | Answer::Done) => panic!("{other:?}"),
        }
    }

    fn listed(&mut self) -> Value {
        self.json(Question::List { room: ROOM })["recordings"].take()
    }

    fn file(&mut self, name: &str, range: Option<(u64, Option<u64>)>) -> Result<Vec<u8>, Code> {
        let question = Question::File {
            room: ROOM,
            recording: "r1".into(),
            file: name.into(),
            range,
        };
        match self.ask(question) {
            Ok(Answer::File(lent)) => {
                let mut bytes = vec![0; usize::try_from(lent.len).unwrap()];
                std::os::unix::fs::FileExt::read_exact_at(&lent.file, &mut bytes, lent.at).unwrap();
                Ok(bytes)
            }
            Ok(other) => panic!("{other:?}"),
            Err(failure) => Err(failure.code),
        }
    }

    fn delete(&mut self, recording: &str) -> Result<(), Code> {
        let question = Question::Delete {
            room: ROOM,
            recording: recording.into(),
        };
        self.ask(question).map(drop).map_err(|failure| failure.code)
    }

    fn begin(&mut self, recording: &str) {
        self.recordings
            .begin(ROOM, NAME, &recording.into())
            .unwrap();
    }

    /// Has somebody speak for so many packets of 20 ms, in no time.
    fn speak(&self, recording: &str, user: &str, packets: u32) {
        let tap = self.recordings.tap();
        let now = Instant::now();
        for packet in 0..packets {
            assert!(tap.hear(Recorded {
                recording: recording.into(),
                seat: SeatId {
                    room: ROOM,
                    seat: 1
                },
                user: user.into(),
                stream: 1,
                time: packet * 960,
                level: Some(-20),
                payload: [0xF8, 0xFF, 0xFE].into(),
                at: now + Duration::from_millis(20) * packet,
            }));
        }
    }

    /// Records two who speak for two seconds each.
    fn record(&mut self, recording: &str) -> Value {
        self.begin(recording);
        self.speak(recording, "ann", 100);
        self.speak(recording, "bob", 100);
        self.recordings.tap().end(ROOM, recording.into());
        self.ended()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.recordings.stop();
    }
}

fn names(index: &Value) -> Vec<String> {
    let files = index["files"].as_array().unwrap().iter();
    files
        .map(|file| file["file"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_recording_is_written_listed_read_and_deleted() {
    let data = tempfile::tempdir().unwrap();
    let mut host = Host::start(data.path());
    assert_eq!(host.listed(), json!([]));
    host.begin("r1");
    host.speak("r1", "ann", 100);
    // It is there as soon as something was written.
    let until = Instant::now() + PATIENCE;
    while host.listed() == json!([]) {
        assert!(Instant::now() < until);
    }
    let listed = host.listed();
    assert_eq!(listed[0]["endedAt"], Value::Null, "{listed}");
    assert_eq!(host.delete("r1"), Err(Code::PreconditionFailed));
    host.speak("r1", "bob", 50);
    host.recordings.tap().end(ROOM, "r1".into());
    let index = host.ended();
    assert_eq!(index["reason"], "stopped", "{index}");
    let users: Vec<_> = index["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| &file["userId"])
        .collect();
    assert_eq!(users, ["ann", "bob"]);
    let duration_ms = index["files"][0]["durationMs"].as_u64().unwrap();
    assert!(duration_ms >= 1_993, "{duration_ms}");
    assert_eq!(index["spoke"].as_array().unwrap().len(), 2, "{index}");
    let question = Question::Index {
        room: ROOM,
        recording: "r1".into(),
    };
    assert_eq!(host.json(question), index);
    let mut listed = host.listed();
    listed[0]["spoke"] = index["spoke"].clone();
    assert_eq!(listed, json!([index]));
    let name = &names(&index)[0];
    let whole = host.file(name, None).unwrap();
    assert_eq!(
        whole.len() as u64,
        index["files"][0]["bytes"].as_u64().unwrap()
    );
    assert!(whole.starts_with(b"OggS"));
    assert_eq!(host.file(name, Some((4, Some(40)))).unwrap(), whole[4..40]);
    assert_eq!(host.file(name, Some((28, None))).unwrap(), whole[28..]);
    assert_eq!(host.file("begun.jsonl", None), Err(Code::NotFound));
    assert_eq!(host.file("../r1/index.json", None), Err(Code::NotFound));
    assert_eq!(host.delete("../r1"), Err(Code::NotFound));
    assert_eq!(host.delete("r1"), Ok(()));
    assert_eq!(host.delete("r1"), Err(Code::NotFound));
    assert_eq!(host.listed(), json!([]));
    assert!(!data.path().join("recordings/7").exists());
}

#[test]
fn what_a_crash_left_is_ended_where_it_is_whole() {
    let data = tempfile::tempdir().unwrap();
    let mut host = Host::start(data.path());
    let whole = host.record("r1");
    drop(host);
    // As if nobody had come to end it, and the last page had not got to the disk.
    let folder = data.path().join("recordings/7/r1");
    fs::remove_file(folder.join("index.json")).unwrap();
    for name in names(&whole) {
        let (path, new) = (folder.join(&name), folder.join(format!("{name}.new")));
        let bytes = fs::read(&path).unwrap();
        fs::write(&new, &bytes[..bytes.len() - 10]).unwrap();
        fs::remove_file(path).unwrap();
    }
    let mut host = Host::start(data.path());
    let index = host.ended();
    assert_eq!(index["reason"], "interrupted", "{index}");
    assert_eq!(index["startedAt"], whole["startedAt"]);
    assert_eq!(names(&index), names(&whole));
    let duration_ms = index["files"][0]["durationMs"].as_u64().unwrap();
    assert!((900..2_000).contains(&duration_ms), "{duration_ms}");
    let bytes = host.file(&names(&index)[1], None).unwrap();
    assert_eq!(
        bytes.len() as u64,
        index["files"][1]["bytes"].as_u64().unwrap()
    );
    assert_eq!(host.listed()[0]["reason"], "interrupted");
    drop(host);
    let mut host = Host::start(data.path());
    assert_eq!(host.listed()[0]["reason"], "interrupted", "and it stays so");
    assert_eq!(host.delete("r1"), Ok(()));
}

#[test]
fn a_disk_without_space_to_spare_ends_a_recording_and_begins_none() {
    let data = tempfile::tempdir().unwrap();
    let settings = RecordingSettings {
        free_bytes_min: u64::MAX,
        ..settings()
    };
    let mut host = Host::with(settings, data.path(), None);
    host.begin("r1");
    let index = host.ended();
    assert_eq!(index["reason"], "disk_full", "{index}");
    assert_eq!(host.listed(), json!([]));
}

#[test]
fn there_are_no_more_recordings_at_once_than_are_allowed_and_none_is_longer() {
    let data = tempfile::tempdir().unwrap();
    let settings = RecordingSettings {
        at_once_max: 1,
        hours_max: 0,
        ..settings()
    };
    let mut host = Host::with(settings, data.path(), None);
    host.begin("r1");
    let refused = host.recordings.begin(RoomId(8), NAME, &"r2".into());
    assert_eq!(refused.unwrap_err().code, Code::LimitReached);
    assert_eq!(host.ended()["reason"], "too_long");
    host.recordings
        .begin(RoomId(8), NAME, &"r2".into())
        .unwrap();
}

#[test]
fn what_is_old_is_deleted() {
    let data = tempfile::tempdir().unwrap();
    let mut host = Host::start(data.path());
    host.record("r1");
    host.record("r2");
    drop(host);
    let path = data.path().join("recordings/7/r1/index.json");
    let mut kept: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let day_ms = 24 * 60 * 60 * 1_000;
    kept["endedMs"] = (kept["endedMs"].as_u64().unwrap() - 31 * day_ms).into();
    fs::write(&path, kept.to_string()).unwrap();
    let mut host = Host::start(data.path());
    let until = Instant::now() + PATIENCE;
    while host.listed().as_array().unwrap().len() > 1 {
        assert!(Instant::now() < until, "it is still there");
    }
    assert_eq!(host.listed()[0]["recordingId"], "r2");
}

#[test]
fn files_move_to_the_store_and_are_served_from_there() {
    let data = tempfile::tempdir().unwrap();
    let cold = tempfile::tempdir().unwrap();
    let place = || Some(cold.path().join("cold"));
    let mut host = Host::with(settings(), data.path(), place());
    let index = host.record("r1");
    let name = &names(&index)[0];
    let here = data.path().join("recordings/7/r1").join(name);
    let there = cold.path().join("cold/recordings/7/r1").join(name);
    let until = Instant::now() + PATIENCE;
    while here.exists() {
        assert!(Instant::now() < until, "it is still here");
        std::thread::sleep(Duration::from_millis(5));
    }
    let stored = fs::read(there.join("00000")).unwrap();
    assert_eq!(host.file(name, None).unwrap(), stored);
    assert_eq!(host.file(name, Some((3, Some(30)))).unwrap(), stored[3..30]);
    drop(host);
    let mut host = Host::start(data.path());
    assert_eq!(host.file(name, None), Err(Code::ColdUnavailable));
    assert_eq!(host.delete("r1"), Err(Code::ColdUnavailable));
    drop(host);
    let mut host = Host::with(settings(), data.path(), place());
    assert_eq!(host.delete("r1"), Ok(()));
    assert!(!there.exists());
    assert_eq!(host.listed(), json!([]));
}

/// Looks with the eyes of somebody else's program, where it is installed.
#[test]
fn another_program_reads_the_files() {
    let is_there = Command::new("ffprobe").arg("-version").output();
    if is_there.is_err() {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let mut host = Host::start(data.path());
    let index = host.record("r1");
    for (name, user) in names(&index).iter().zip(["ann", "bob"]) {
        let path = data.path().join("recordings/7/r1").join(name);
        let probed = Command::new("ffprobe")
            .args([
                "-v",
                "error",
                "-of",
                "json",
                "-show_format",
                "-show_streams",
            ])
            .arg(path)
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&probed.stderr), "");
        let probed: Value = serde_json::from_slice(&probed.stdout).unwrap();
        let stream = &probed["streams"][0];
        assert_eq!(stream["codec_name"], "opus", "{probed}");
        assert_eq!(stream["tags"]["ARTIST"], user, "{probed}");
    }
}
