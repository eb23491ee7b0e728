//! Snapshots beside a writer, and what a kill at each moment of one leaves.

use std::path::Path;

use floe_proto::RoomId;
use floe_proto::table::{Mutation, Place, Value};
use floe_views::tables::{Messages, RoomFile, Snapshot, TableFileError, TableFolder, TableOptions};

use crate::common::{ROOM, Room};
use crate::rebuild::dump;

const NOTES: &str = r#"{"name":"notes","columns":[{"name":"text","type":"TEXT"},{"name":"mark","type":"INTEGER","unique":true}]}"#;
/// Rows of one call.
const ROWS: u64 = 100;

fn snapshot(folder: &TableFolder) -> u64 {
    let made = Snapshot::make(folder, ROOM, || true).unwrap().unwrap();
    let applied = made.applied();
    made.keep().unwrap();
    applied
}

impl Room {
    /// Inserts rows that take about a page each.
    fn fill(&mut self) {
        let first = self.log.len();
        let rows = (0..ROWS).map(|at| {
            let text = format!("{at:04000}");
            format!(r#"{{"text":"{text}","mark":{}}}"#, first as u64 + at)
        });
        let rows: Vec<_> = rows.collect();
        self.insert("notes", &format!("[{}]", rows.join(",")))
            .unwrap();
    }

    fn delete(&mut self, row: i64) {
        let place = Place::Key(vec![Value::Integer(row)]);
        let table = "notes".into();
        self.call(vec![Mutation::Delete { table, place }]).unwrap();
    }
}

/// A folder as it was when the process was killed, and the log that there was then.
struct Image {
    _temporary: tempfile::TempDir,
    folder: TableFolder,
    log: Messages,
    /// Messages that its snapshot has.
    snapshot: u64,
}

impl Image {
    fn of(room: &Room, snapshot: u64) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let from = room.folder.file(ROOM);
        copy_files(from.parent().unwrap(), temporary.path());
        Self {
            folder: TableFolder::new(temporary.path()),
            _temporary: temporary,
            log: Messages {
                bytes: room.log.bytes.clone(),
                lens: room.log.lens.clone(),
            },
            snapshot,
        }
    }

    fn path(&self, what: &str) -> std::path::PathBuf {
        self.folder.file(ROOM).with_extension(what)
    }

    fn names(&self, part: &str) -> Vec<String> {
        let folder = self.folder.file(ROOM);
        let entries = std::fs::read_dir(folder.parent().unwrap()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.contains(part)).collect()
    }

    /// Takes the room's file away.
    fn lose_file(&self) {
        for what in ["sqlite", "sqlite-wal", "sqlite-shm", "clean"] {
            let _ = std::fs::remove_file(self.path(what));
        }
    }

    /// Opens what is there, which has `applied` messages, and catches up; it says what the log says.
    fn is_whole_from(&self, applied: u64) {
        let tail = self.log.len() as u64;
        let options = TableOptions::default();
        let mut file = RoomFile::open(&self.folder, ROOM, tail, &options).unwrap();
        assert_eq!(file.applied(), applied);
        file.apply(1, &self.log.bytes).unwrap();
        file.close().unwrap();
        assert!(dump(&self.folder, ROOM) == rebuilt(&self.log));
    }
}

fn copy_files(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// What the log says.
fn rebuilt(log: &Messages) -> String {
    let temporary = tempfile::tempdir().unwrap();
    let folder = TableFolder::new(temporary.path());
    let options = TableOptions::default();
    let mut file = RoomFile::open(&folder, ROOM, 0, &options).unwrap();
    file.apply(1, &log.bytes).unwrap();
    file.close().unwrap();
    dump(&folder, ROOM)
}

/// A room with a snapshot, and what has happened since; the file has more pages than are copied at
/// once.
fn room() -> (Room, u64) {
    let mut room = Room::new();
    room.create(NOTES);
    room.fill();
    room.delete(3);
    let first = snapshot(&room.folder);
    for _ in 0..6 {
        room.fill();
        room.delete(room.log.len() as i64 - 20);
    }
    (room, first)
}

/// All moments at which a kill could come while a second snapshot is made and the room is written.
fn images() -> Vec<Image> {
    let (mut room, first) = room();
    let moment = room.log.len() as u64;
    let mut images = vec![Image::of(&room, first)];
    let folder = room.folder.clone();
    let made = Snapshot::make(&folder, ROOM, || {
        images.push(Image::of(&room, first));
        room.fill();
        true
    });
    let made = made.unwrap().unwrap();
    assert!(room.log.len() as u64 > moment);
    assert_eq!(made.applied(), moment, "of the moment at which it began");
    images.push(Image::of(&room, first));
    made.keep().unwrap();
    images.push(Image::of(&room, moment));
    images
}

#[test]
fn a_kill_at_any_moment_of_a_snapshot_loses_nothing() {
    let images = images();
    let begun = images.iter().map(|image| {
        let copy = std::fs::metadata(image.path("copy"));
        copy.map(|copy| copy.len()).ok()
    });
    let mut begun: Vec<_> = begun.collect();
    assert_eq!((begun.remove(0), begun.pop()), (None, Some(None)));
    let sizes: Vec<u64> = begun.into_iter().map(Option::unwrap).collect();
    let whole = *sizes.last().unwrap();
    assert!(
        sizes.iter().any(|size| *size < whole),
        "one is half written"
    );
    for (at, image) in images.iter().enumerate() {
        println!("image {at} of {}", images.len());
        image.is_whole_from(image.log.len() as u64);
        image.lose_file();
        image.is_whole_from(image.snapshot);
    }
}

#[test]
fn what_a_kill_left_is_removed_at_the_start_and_does_not_hinder_the_next_snapshot() {
    for image in images() {
        let tail = image.log.len() as u64;
        let options = TableOptions::default();
        let file = RoomFile::open(&image.folder, ROOM, tail, &options).unwrap();
        // Whatever lies there, the next one is whole.
        assert_eq!(snapshot(&image.folder), tail);
        drop(file);
        assert_eq!(image.names(".copy"), [""; 0]);
        image.lose_file();
        image.is_whole_from(tail);
    }
    for image in images() {
        for what in ["copy-journal", "copy-wal", "building", "building-shm"] {
            std::fs::write(image.path(what), "half").unwrap();
        }
        assert!(image.folder.clean().unwrap() >= 4);
        assert_eq!(image.names(".copy"), [""; 0]);
        assert_eq!(image.names(".building"), [""; 0]);
        image.is_whole_from(image.log.len() as u64);
    }
}

#[test]
fn a_torn_snapshot_is_not_used() {
    let (room, _) = room();
    snapshot(&room.folder);
    let image = Image::of(&room, 0);
    let whole = std::fs::read(image.path("snapshot")).unwrap();
    let pages = whole.len() / 4096;
    for kept in [0, 1, 2, pages / 2, pages - 1] {
        let image = Image::of(&room, 0);
        image.lose_file();
        std::fs::write(image.path("snapshot"), &whole[..kept * 4096]).unwrap();
        image.is_whole_from(0);
        assert_eq!(image.names(".snapshot"), [""; 0], "{kept} pages");
    }
    // Pages of which some never came to the disk.
    for hole in [1, pages / 3, pages - 1] {
        let image = Image::of(&room, 0);
        image.lose_file();
        let mut bytes = whole.clone();
        bytes[hole * 4096..(hole + 1) * 4096].fill(0);
        std::fs::write(image.path("snapshot"), bytes).unwrap();
        image.is_whole_from(0);
    }
}

#[test]
fn a_snapshot_that_is_ahead_of_the_log_or_of_another_room_is_not_used() {
    let (room, _) = room();
    let applied = snapshot(&room.folder);
    let open = |image: &Image, room: RoomId, tail: u64| {
        let options = TableOptions::default();
        let file = RoomFile::open(&image.folder, room, tail, &options).unwrap();
        file.applied()
    };
    let image = Image::of(&room, 0);
    // With the file or without it.
    assert_eq!(open(&image, ROOM, applied - 1), 0);
    assert_eq!(image.names(".snapshot"), [""; 0]);
    let image = Image::of(&room, 0);
    image.lose_file();
    assert_eq!(open(&image, ROOM, applied - 1), 0);
    let image = Image::of(&room, 0);
    let other = image.folder.file(RoomId(8)).with_extension("snapshot");
    std::fs::rename(image.path("snapshot"), other).unwrap();
    assert_eq!(open(&image, RoomId(8), applied), 0);
}

#[test]
fn a_snapshot_that_is_not_wanted_any_more_leaves_the_one_before() {
    let (room, first) = room();
    let mut asked = 0;
    let made = Snapshot::make(&room.folder, ROOM, || {
        asked += 1;
        asked < 3
    });
    assert!(made.unwrap().is_none());
    // Nobody has kept this one.
    drop(
        Snapshot::make(&room.folder, ROOM, || true)
            .unwrap()
            .unwrap(),
    );
    let image = Image::of(&room, first);
    assert_eq!(image.names(".copy"), [""; 0]);
    image.lose_file();
    image.is_whole_from(first);
}

#[test]
fn a_damaged_file_becomes_no_snapshot() {
    let (room, first) = room();
    let image = Image::of(&room, first);
    let tail = image.log.len() as u64;
    let options = TableOptions::default();
    let file = RoomFile::open(&image.folder, ROOM, tail, &options).unwrap();
    file.close().unwrap();
    let mut bytes = std::fs::read(image.path("sqlite")).unwrap();
    let page = bytes.len() / 4096 / 2;
    bytes[page * 4096..(page + 1) * 4096].fill(7);
    std::fs::write(image.path("sqlite"), bytes).unwrap();
    let error = Snapshot::make(&image.folder, ROOM, || true).unwrap_err();
    assert!(error.is_corrupt(), "{error:?}");
    image.lose_file();
    let error = Snapshot::make(&image.folder, ROOM, || true).unwrap_err();
    assert!(matches!(error, TableFileError::Sqlite(_)), "{error:?}");
    assert_eq!(image.names(".copy"), [""; 0]);
    image.is_whole_from(first);
}
