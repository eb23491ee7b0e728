use super::*;
use crate::replica::suite::{self, Subject};
use crate::replica::{Mode, RoomKind};

struct Files {
    folder: tempfile::TempDir,
    target: Embedded,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let target = Embedded::new(EmbeddedFolder::new(folder.path().join("replica")));
        Self { folder, target }
    }

    fn lines(&self, namespace: &str, sql: &str) -> Vec<String> {
        let path = self.target.folder.file(namespace);
        if !path.exists() {
            return Vec::new();
        }
        let db = rusqlite::Connection::open(&path).unwrap();
        let mut statement = db.prepare(sql).unwrap();
        let lines = statement.query_map([], |row| row.get(0)).unwrap();
        lines.map(Result::unwrap).collect()
    }
}

impl Subject for Files {
    fn target(&mut self) -> &mut dyn ReplicaTarget {
        &mut self.target
    }

    fn reopen(&mut self) {
        self.target = Embedded::new(EmbeddedFolder::new(self.folder.path().join("replica")));
        self.target.open().unwrap();
    }

    fn dump(&mut self, namespace: &str) -> Vec<String> {
        let mut rows = self.lines(
            namespace,
            "SELECT r.name || ' ' || t.name || ' ' || d.key || ' ' || d.seq || ' ' || d.row
             FROM _rows d JOIN _tables t ON t.no = d.tbl JOIN _rooms r ON r.no = t.room
             ORDER BY r.name, t.name, d.key",
        );
        rows.extend(self.lines(
            namespace,
            "SELECT r.name || ' ' || e.seq || ' ' || e.kind || ' ' || e.author || ' '
               || coalesce(e.content, '-')
             FROM _events e JOIN _rooms r ON r.no = e.room ORDER BY r.name, e.seq",
        ));
        rows
    }

    fn tables(&mut self, namespace: &str) -> Vec<String> {
        self.lines(
            namespace,
            "SELECT r.name || ' ' || t.name || ' ' || t.definition
             FROM _tables t JOIN _rooms r ON r.no = t.room ORDER BY r.name, t.name",
        )
    }
}

const ROOM: RoomRef<'static> = RoomRef {
    namespace: "default",
    room: RoomId(1),
    name: "a",
};

const ROW: &[u8] = br#"{"type":"t","key":"1","value":{"id":1},"headers":{"operation":"insert","txid":"1","timestamp":"2026-01-02T03:04:05.678Z"}},"#;

fn batch(first_seq: u64) -> Batch<'static> {
    Batch {
        room: ROOM,
        kind: RoomKind::Tables,
        ruled: false,
        start: 1,
        first_seq,
        messages: ROW,
        mode: Mode::Add,
    }
}

#[test]
fn it_does_what_every_target_must_do() {
    suite::run(&mut Files::new());
}

#[test]
fn nothing_is_made_before_there_is_something_to_keep() {
    let mut files = Files::new();
    files.target.open().unwrap();
    assert_eq!(files.target.applied(&[ROOM]).unwrap(), [None]);
    files.target.set_watermark(7).unwrap();
    assert_eq!(files.target.watermark().unwrap(), 0);
    assert!(!files.folder.path().join("replica").exists());
}

#[test]
fn the_watermark_is_of_all_files_and_ends_with_the_next_batch() {
    let mut files = Files::new();
    files.target.apply(&[batch(1)]).unwrap();
    files.target.set_watermark(7).unwrap();
    files.reopen();
    assert_eq!(files.target.watermark().unwrap(), 7);
    files.target.apply(&[batch(2)]).unwrap();
    assert_eq!(files.target.watermark().unwrap(), 0);
    files.target.set_watermark(9).unwrap();
    files.target.folder.remove("default").unwrap();
    files.reopen();
    assert_eq!(files.target.watermark().unwrap(), 0);
}

#[test]
fn a_file_that_went_or_is_damaged_is_made_anew() {
    let mut files = Files::new();
    files.target.apply(&[batch(1)]).unwrap();
    files.target.check().unwrap();
    files.target.folder.remove("default").unwrap();
    assert!(matches!(files.target.check(), Err(ReplicaError::Lost)));
    assert!(matches!(
        files.target.apply(&[batch(2)]),
        Err(ReplicaError::Gap { expected: 1, .. })
    ));
    files.target.apply(&[batch(1)]).unwrap();
    files.reopen();
    std::fs::write(files.target.folder.file("default"), vec![7; 8192]).unwrap();
    let _ = std::fs::remove_file(files.folder.path().join("replica/default.sqlite-wal"));
    assert!(matches!(
        files.target.apply(&[batch(2)]),
        Err(ReplicaError::Lost)
    ));
    files.target.apply(&[batch(1)]).unwrap();
    assert_eq!(files.dump("default"), [r#"a t 1 1 {"id":1}"#]);
}

#[test]
fn a_database_of_somebody_else_is_left_alone() {
    let mut files = Files::new();
    std::fs::create_dir_all(files.folder.path().join("replica")).unwrap();
    let path = files.target.folder.file("default");
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch("PRAGMA application_id = 5; CREATE TABLE theirs (a)")
        .unwrap();
    drop(db);
    let outcome = files.target.apply(&[batch(1)]);
    assert!(
        matches!(outcome, Err(ReplicaError::Foreign(_))),
        "{outcome:?}"
    );
    let db = rusqlite::Connection::open(&path).unwrap();
    assert!(db.prepare("SELECT a FROM theirs").is_ok());
}

#[test]
fn few_files_are_open_however_many_namespaces_there_are() {
    let mut files = Files::new();
    for round in 1..=2 {
        for at in 0..FILES_MAX as u64 + 5 {
            let namespace = format!("n{at}");
            let room = RoomRef {
                namespace: &namespace,
                room: RoomId(at),
                name: "a",
            };
            files
                .target
                .apply(&[Batch {
                    room,
                    ..batch(round)
                }])
                .unwrap();
        }
        assert_eq!(files.target.open.len(), FILES_MAX);
    }
    assert_eq!(files.dump("n0"), [r#"a t 1 2 {"id":1}"#]);
}
