//! Files that are gone, damaged, too new, or of another log: what is opened is never wrong.

use floe_proto::table::{Mutation, Place, Value};
use floe_proto::{Millis, RoomId};
use floe_views::tables::{RoomFile, Snapshot, TableFileError, TableFolder, TableOptions};

use crate::common::{ROOM, Room};
use crate::rebuild::dump;

const NOTES: &str = r#"{"name":"notes","columns":[{"name":"text","type":"TEXT"}]}"#;

/// A room with ten notes, of which the first three are in a snapshot; one of each is deleted.
fn room() -> Room {
    let mut room = Room::new();
    room.create(NOTES);
    for number in 0..10 {
        let rows = format!(r#"[{{"text":"note {number}"}}]"#);
        room.insert("notes", &rows).unwrap();
        if number == 2 || number == 9 {
            let delete = Mutation::Delete {
                table: "notes".into(),
                place: Place::Key(vec![Value::Integer(number + 1)]),
            };
            room.call(vec![delete]).unwrap();
        }
        if number == 2 {
            let made = Snapshot::make(&room.folder, ROOM, || true).unwrap();
            made.unwrap().keep().unwrap();
        }
    }
    room
}

/// Messages of the log in the snapshot, and in all.
const SNAPSHOT: u64 = 5;
const TAIL: u64 = 13;

fn open(folder: &TableFolder, tail: u64) -> RoomFile {
    RoomFile::open(folder, ROOM, tail, &TableOptions::default()).unwrap()
}

/// Catches a file up from the log, and returns what it says.
fn caught_up(mut file: RoomFile, folder: &TableFolder, log: &[u8]) -> String {
    file.apply(1, log).unwrap();
    assert_eq!(file.applied(), TAIL);
    drop(file);
    dump(folder, ROOM)
}

/// Runs a test on the room's files after they were closed, or not.
fn after(is_closed: bool, spoil: impl FnOnce(&TableFolder), applied: u64) {
    let Room {
        folder,
        log,
        file,
        _temporary,
        ..
    } = room();
    if is_closed {
        file.close().unwrap();
    } else {
        drop(file);
    }
    let wanted = dump(&folder, ROOM);
    spoil(&folder);
    let file = open(&folder, TAIL);
    assert_eq!(file.applied(), applied);
    assert_eq!(caught_up(file, &folder, &log.bytes), wanted);
}

fn remove(folder: &TableFolder, what: &str) {
    let path = folder.file(ROOM).with_extension(what);
    std::fs::remove_file(path).unwrap();
}

/// Writes over bytes of the file.
fn damage(folder: &TableFolder, at: usize, by: &[u8]) {
    let path = folder.file(ROOM);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[at..at + by.len()].copy_from_slice(by);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_file_is_opened_as_it_was_left() {
    after(true, |_| (), TAIL);
    after(false, |_| (), TAIL);
}

#[test]
fn a_file_at_rest_goes_on_where_it_was() {
    let mut room = room();
    for round in 1..=3 {
        let other = TableFolder::new(room.folder.file(ROOM).with_extension("other"));
        let stand_in = RoomFile::open(&other, ROOM, 0, &room.options).unwrap();
        let mut file = std::mem::replace(&mut room.file, stand_in);
        let schema = file.schema();
        file.count_reads(room.now, 1);
        let resting = file.rest().unwrap();
        let tail = room.log.len() as u64;
        room.file = RoomFile::reopen(&room.folder, ROOM, tail, resting, &room.options).unwrap();
        assert_eq!((room.file.applied(), room.file.schema()), (tail, schema));
        room.insert("notes", &format!(r#"[{{"text":"round {round}"}}]"#))
            .unwrap();
        // Numbers go on where they were.
        assert_eq!(room.messages(tail + 1)[0]["key"], (10 + round).to_string());
    }
    assert_eq!(room.reader().usage().unwrap()[0].reads, 3);
}

#[test]
fn a_file_that_changed_while_it_rested_is_opened_as_any_other() {
    // Gone, empty, and ahead of the log.
    type Spoil = fn(&TableFolder);
    let ways: [(Spoil, u64); 3] = [
        (|folder| remove(folder, "sqlite"), TAIL),
        (
            |folder| std::fs::write(folder.file(ROOM), "").unwrap(),
            TAIL,
        ),
        (|_| (), TAIL - 1),
    ];
    for (spoil, tail) in ways {
        let Room {
            folder,
            log,
            file,
            options,
            _temporary,
            ..
        } = room();
        let wanted = dump(&folder, ROOM);
        let resting = file.rest().unwrap();
        spoil(&folder);
        let file = RoomFile::reopen(&folder, ROOM, tail, resting, &options).unwrap();
        assert_eq!(file.applied(), SNAPSHOT);
        assert_eq!(caught_up(file, &folder, &log.bytes), wanted);
    }
}

#[test]
fn a_file_that_is_gone_is_made_from_the_snapshot_or_from_the_first_message() {
    after(true, |folder| remove(folder, "sqlite"), SNAPSHOT);
    after(false, |folder| remove(folder, "sqlite"), SNAPSHOT);
    after(true, |folder| folder.remove(ROOM).unwrap(), 0);
}

#[test]
fn a_damaged_file_or_snapshot_is_not_used() {
    after(true, |folder| damage(folder, 0, b"no database"), SNAPSHOT);
    after(true, |folder| damage(folder, 40, &[255; 40]), SNAPSHOT);
    after(
        true,
        |folder| std::fs::write(folder.file(ROOM), "").unwrap(),
        SNAPSHOT,
    );
    let hurt_snapshot = |folder: &TableFolder| {
        remove(folder, "sqlite");
        let path = folder.file(ROOM).with_extension("snapshot");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[4096..].fill(7);
        std::fs::write(path, bytes).unwrap();
    };
    after(true, hurt_snapshot, 0);
}

#[test]
fn pages_that_do_not_fit_together_are_found_where_the_file_was_not_closed() {
    let spoil = |folder: &TableFolder| {
        let pages = std::fs::metadata(folder.file(ROOM)).unwrap().len() / 4096;
        for page in 1..pages as usize {
            damage(folder, page * 4096, &[9; 200]);
        }
        let _ = std::fs::remove_file(folder.file(ROOM).with_extension("clean"));
    };
    after(true, spoil, SNAPSHOT);
}

#[test]
fn a_file_that_a_loss_of_power_may_have_hurt_is_not_used() {
    let spoil = |folder: &TableFolder| {
        let db = rusqlite::Connection::open(folder.file(ROOM)).unwrap();
        db.execute(
            "UPDATE _floe_state SET value = 'before' WHERE name = 'boot'",
            [],
        )
        .unwrap();
    };
    after(false, spoil, SNAPSHOT);
    // What was closed is on the disk, whenever that was.
    after(true, spoil, TAIL);
}

#[test]
fn the_mark_of_a_closed_file_goes_before_anything_is_written() {
    let Room { folder, file, .. } = &mut room();
    let mark = folder.file(ROOM).with_extension("clean");
    let other = open(folder, TAIL);
    std::mem::replace(file, other).close().unwrap();
    assert!(mark.exists());
    let mut again = open(folder, TAIL);
    assert!(mark.exists());
    again.begin().unwrap();
    assert!(!mark.exists());
    again.rollback();
}

#[test]
fn a_file_of_another_log_is_not_used() {
    let Room {
        folder,
        log,
        file,
        _temporary,
        ..
    } = room();
    file.close().unwrap();
    let ahead = open(&folder, TAIL - 1);
    assert_eq!(ahead.applied(), SNAPSHOT);
    drop(ahead);
    assert_eq!(open(&folder, SNAPSHOT - 1).applied(), 0);
    let mut file = open(&folder, TAIL);
    file.apply(1, &log.bytes).unwrap();
    file.close().unwrap();
    // Another room's file in its place is not taken for this one's.
    let other = RoomId(8);
    std::fs::copy(folder.file(ROOM), folder.file(other)).unwrap();
    let clean = |room: RoomId| folder.file(room).with_extension("clean");
    std::fs::copy(clean(ROOM), clean(other)).unwrap();
    let options = TableOptions::default();
    let file = RoomFile::open(&folder, other, TAIL, &options).unwrap();
    assert_eq!(file.applied(), 0);
}

#[test]
fn messages_are_applied_once_and_without_a_gap() {
    let Room {
        folder,
        log,
        mut file,
        _temporary,
        ..
    } = room();
    let before = dump(&folder, ROOM);
    file.apply(1, &log.bytes).unwrap();
    assert_eq!(dump(&folder, ROOM), before);
    let gap = file.apply(TAIL + 2, b"{},").unwrap_err();
    assert!(
        matches!(gap, TableFileError::Gap { expected, found } if (expected, found) == (TAIL + 1, TAIL + 2))
    );
    for strange in ["nothing,", "{},", r#"{"type":"notes","key":"1"},"#, "[1],"] {
        let error = file.apply(TAIL + 1, strange.as_bytes()).unwrap_err();
        assert!(
            matches!(error, TableFileError::NotChange { seq, .. } if seq == TAIL + 1),
            "{strange}: {error:?}"
        );
    }
    // A change of a row that is not there: the file is another than the log says.
    let twice = &log.bytes[log.bytes.len() - *log.lens.last().unwrap() as usize..];
    assert!(file.apply(TAIL + 1, twice).unwrap_err().is_corrupt());
    assert_eq!(file.applied(), TAIL);
    assert_eq!(dump(&folder, ROOM), before);
}

#[test]
fn a_backup_has_the_rooms_tables_and_nothing_else() {
    let mut room = room();
    room.create(r#"{"name":"people","columns":[{"name":"id","type":"TEXT","primaryKey":true},{"name":"mail","type":"TEXT","unique":true},{"name":"in","type":"BOOLEAN","default":true}]}"#);
    room.insert(
        "people",
        r#"[{"id":"ann","mail":"a"},{"id":"bob","in":false}]"#,
    )
    .unwrap();
    let to = room.folder.file(ROOM).with_file_name("backup.sqlite");
    assert_eq!(room.reader().backup(&to).unwrap(), TAIL + 3);
    let again = room.reader().backup(&to).unwrap_err();
    assert!(matches!(again, TableFileError::Io(_)));
    let db = rusqlite::Connection::open(&to).unwrap();
    let one = |sql: &str| -> String { db.query_row(sql, [], |row| row.get(0)).unwrap() };
    assert_eq!(
        one("SELECT group_concat(name) FROM (SELECT name FROM sqlite_schema ORDER BY 1)"),
        "notes,people,people.mail"
    );
    assert_eq!(
        one("SELECT group_concat(_rowid_) FROM notes"),
        "1,2,4,5,6,7,8,9"
    );
    assert_eq!(
        one("SELECT group_concat(id || \"in\") FROM people"),
        "ann1,bob0"
    );
    assert_eq!(one("PRAGMA integrity_check"), "ok");
    assert_eq!(one("PRAGMA journal_mode"), "delete");
}

#[test]
fn the_schema_is_told_as_sqlite_tells_it() {
    let mut room = Room::new();
    room.create(r#"{"name":"t","columns":[{"name":"b","type":"TEXT","primaryKey":true},{"name":"a","type":"JSON","primaryKey":true,"notNull":true,"default":"{\"it\":\"'s\"}"},{"name":"c","type":"REAL","default":2}]}"#);
    let json = String::from_utf8(room.reader().schema_info().unwrap()).unwrap();
    assert_eq!(
        json,
        r#"{"t":[{"cid":0,"name":"b","type":"TEXT","notnull":0,"dflt_value":null,"pk":1},{"cid":1,"name":"a","type":"JSON","notnull":1,"dflt_value":"'{\"it\":\"''s\"}'","pk":2},{"cid":2,"name":"c","type":"REAL","notnull":0,"dflt_value":"2e0","pk":0}]}"#
    );
    let (tables, applied) = room.reader().schema().unwrap();
    assert_eq!((tables, applied), (room.file.schema(), 1));
}

#[test]
fn usage_is_counted_by_day_and_forgotten_after_thirty() {
    let mut room = Room::new();
    room.create(NOTES);
    let day = 24 * 60 * 60 * 1_000;
    let first = Millis(room.now.0 / day * day);
    for (days, reads) in [(0, 3), (1, 0), (29, 5)] {
        room.now = first.plus(days * day);
        room.file.count_reads(room.now, reads);
        room.insert("notes", r#"[{"text":"a"},{"text":"b"}]"#)
            .unwrap();
    }
    let usage = room.reader().usage().unwrap();
    let found: Vec<_> = usage
        .iter()
        .map(|one| ((one.day.0 - first.0) / day, one.reads, one.writes))
        .collect();
    assert_eq!(found, [(29, 5, 2), (1, 0, 2), (0, 3, 2)]);
    room.now = first.plus(31 * day);
    room.insert("notes", r#"[{"text":"a"}]"#).unwrap();
    let usage = room.reader().usage().unwrap();
    let found: Vec<_> = usage
        .iter()
        .map(|one| (one.day.0 - first.0) / day)
        .collect();
    assert_eq!(found, [31, 29]);
}
