//! Where recordings are kept on the disk, and under which names.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use floe_proto::{Millis, RoomId};
use serde_json::{Value, json};

/// The folder of all recordings.
#[derive(Debug, Clone)]
pub struct Root(PathBuf);

/// The folder of one recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    pub room: RoomId,
    /// What the recording is called.
    pub recording: Box<str>,
    path: PathBuf,
}

/// What is known of a recording from its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// The room's full name.
    pub room_name: Vec<u8>,
    pub started_at: Millis,
    /// The files that were begun, and whose they are.
    pub files: Vec<(Box<str>, Box<str>)>,
}

/// What a folder says once its recording has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub ended_at: Millis,
    /// Whether its files have moved to the store.
    pub is_stored: bool,
    /// What others see, without who spoke when.
    pub shown: Value,
}

/// How the name ends of a file that is being written.
pub const NEW: &str = ".new";
const BEGUN: &str = "begun.jsonl";
const INDEX: &str = "index.json";
const SPOKE: &str = "spoke.json";
/// Characters of a recording's name.
const NAME_CHARS_MAX: usize = 64;

impl Root {
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where that is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Returns the folder of a recording; `None` for a name that none could have.
    pub fn folder(&self, room: RoomId, recording: &str) -> Option<Folder> {
        let is_sound = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let fits = (1..=NAME_CHARS_MAX).contains(&recording.len());
        (fits && recording.chars().all(is_sound)).then(|| Folder {
            room,
            recording: recording.into(),
            path: self.0.join(room.0.to_string()).join(recording),
        })
    }

    /// Returns the folders of all recordings of a room.
    pub fn of_room(&self, room: RoomId) -> io::Result<Vec<Folder>> {
        let names = names_in(&self.0.join(room.0.to_string()))?;
        let folders = names.iter().filter_map(|name| self.folder(room, name));
        Ok(folders.collect())
    }

    /// Returns the folders of all recordings.
    pub fn all(&self) -> io::Result<Vec<Folder>> {
        let mut all = Vec::new();
        for name in names_in(&self.0)? {
            if let Ok(room) = name.parse() {
                all.extend(self.of_room(RoomId(room))?);
            }
        }
        Ok(all)
    }
}

impl Folder {
    /// Makes the folder of a recording that begins.
    pub fn begin(&self, room_name: &[u8], started_at: Millis) -> io::Result<()> {
        fs::create_dir_all(&self.path)?;
        let room_name: String = room_name.iter().map(|byte| format!("{byte:02x}")).collect();
        self.note(&json!({ "roomName": room_name, "startedMs": started_at.0 }))?;
        self.sync()?;
        let above = self.path.ancestors().skip(1).take(2);
        for folder in above {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    /// Takes note of a file that is begun.
    pub fn note_file(&self, name: &str, user: &str) -> io::Result<()> {
        self.note(&json!({ "file": name, "userId": user }))
    }

    fn note(&self, line: &Value) -> io::Result<()> {
        let mut options = File::options();
        let mut file = options.create(true).append(true).open(self.file(BEGUN))?;
        file.write_all(format!("{line}\n").as_bytes())?;
        file.sync_all()
    }

    /// Reads what was noted at its start and since.
    pub fn begun(&self) -> io::Result<Begun> {
        let text = fs::read_to_string(self.file(BEGUN))?;
        // What was noted last may not be whole.
        let mut lines = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let first: Value = lines.next().unwrap_or_default();
        let room_name = first["roomName"].as_str().and_then(unhex);
        let (Some(room_name), Some(started)) = (room_name, first["startedMs"].as_u64()) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let file = |line: Value| {
            let said = |name| line[name].as_str().map(Into::into);
            Some((said("file")?, said("userId")?))
        };
        Ok(Begun {
            room_name,
            started_at: Millis(started),
            files: lines.filter_map(file).collect(),
        })
    }

    /// Ends a recording: from now on the folder says what it holds.
    pub fn end(&self, kept: &Kept, spoke: &Value) -> io::Result<()> {
        self.write(SPOKE, spoke.to_string().as_bytes())?;
        self.keep(kept)
    }

    /// Says what the folder of a recording that has ended holds.
    pub fn keep(&self, kept: &Kept) -> io::Result<()> {
        let index = json!({
            "endedMs": kept.ended_at.0,
            "isStored": kept.is_stored,
            "index": kept.shown,
        });
        self.write(INDEX, index.to_string().as_bytes())
    }

    /// Reads what the folder holds; `None` while the recording goes on.
    pub fn kept(&self) -> io::Result<Option<Kept>> {
        let text = match fs::read(self.file(INDEX)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let mut read: Value = serde_json::from_slice(&text)?;
        let shown = read["index"].take();
        let (Some(ended), true) = (read["endedMs"].as_u64(), shown.is_object()) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        Ok(Some(Kept {
            ended_at: Millis(ended),
            is_stored: read["isStored"] == true,
            shown,
        }))
    }

    /// Reads who spoke when.
    pub fn spoke(&self) -> io::Result<Value> {
        match fs::read(self.file(SPOKE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(json!([])),
            text => Ok(serde_json::from_slice(&text?)?),
        }
    }

    /// Whether there is such a folder.
    pub fn is_there(&self) -> bool {
        self.path.is_dir()
    }

    /// Where a file of it is.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Has the names of its files survive a loss of power.
    pub fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    /// Removes all of it.
    pub fn remove(&self) -> io::Result<()> {
        // Without its index it is of a recording that was never finished, whatever comes between.
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        if let Some(room) = self.path.parent() {
            // The last of its room.
            let _ = fs::remove_dir(room);
        }
        Ok(())
    }

    /// What its objects are called in a store.
    pub fn key(&self, file: &str, part: u64) -> String {
        format!(
            "recordings/{}/{}/{file}/{part:05}",
            self.room.0, self.recording
        )
    }

    /// Writes a small file whole, or not at all.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let (path, new) = (self.file(name), self.file(&format!("{name}{NEW}")));
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        self.sync()
    }
}

/// Returns what the file of the participant who came as the `number`th is called.
pub fn file_name(number: usize, user: &str) -> String {
    let hash = digest(&SHA256, user.as_bytes());
    let hash: String = hash
        .as_ref()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{number}-{hash}.ogg")
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    let byte = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    digits.map(byte).collect()
}

fn names_in(path: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().into_string().ok());
    }
    names.sort();
    Ok(names)
}
