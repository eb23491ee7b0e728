//! A log, its rooms, and the replica that follows them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use floe_core::{Append, ContentType, Create, Lifetime};
use floe_log::{DirDisk, Options, Payload};
use mio::Poll;
use rusqlite::{Connection, OpenFlags};

use super::*;
use crate::settings::Limits;
use crate::shard::{NewRoom, Ticket};

const NOW: Millis = Millis(1_000_000);
const PATIENCE: Duration = Duration::from_secs(60);

struct World {
    folder: tempfile::TempDir,
    shard: Shard<DirDisk>,
    host: ReplicaHost<<DirDisk as Disk>::File>,
    poll: Poll,
    started: Instant,
}

impl World {
    fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap())
    }

    fn at(folder: tempfile::TempDir) -> Self {
        Self::keeping(folder, &ReplicaSettings::Embedded)
    }

    fn keeping(folder: tempfile::TempDir, settings: &ReplicaSettings) -> Self {
        let disk = DirDisk::new(folder.path().join("log")).unwrap();
        let limits = Arc::new(Limits::default());
        let (mut shard, _) = Shard::open(disk, Options::default(), limits).unwrap();
        let poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), mio::Token(0)).unwrap());
        let host = ReplicaHost::start(
            settings,
            &EmbeddedFolder::new(folder.path().join("replica")),
            &waker,
            Metrics::new(),
        )
        .unwrap();
        shard.note_for_replicas(host.wanted());
        Self {
            folder,
            shard,
            host,
            poll,
            started: Instant::now(),
        }
    }

    fn commit(&mut self) {
        while let Some(job) = self.shard.take_commit() {
            self.shard.finish_commit(job.run()).unwrap();
        }
        while self.shard.poll_reply().is_some() {}
    }

    fn create(&mut self, name: &[u8]) {
        let new = NewRoom {
            create: Create::new(ContentType::new("application/json"), Lifetime::Unlimited),
            fork: None,
            json: true,
            payload: Payload::NONE,
        };
        self.shard.create(NOW, Ticket(1), name, new);
        self.commit();
    }

    fn append(&mut self, name: &[u8], messages: &[String]) {
        let lens: Vec<_> = messages.iter().map(|one| one.len() as u32).collect();
        let bytes = messages.concat();
        let append = Append {
            units: messages.len() as u64,
            ..Append::default()
        };
        let payload = Payload {
            bytes: bytes.as_bytes(),
            lens: &lens,
        };
        self.shard.append(NOW, Ticket(1), name, &append, payload);
        self.commit();
    }

    fn turn(&mut self) {
        let uptime_ms = self.started.elapsed().as_millis() as u64;
        let limits = Arc::default();
        self.host.turn(&mut self.shard, &limits, NOW, uptime_ms);
        let mut events = mio::Events::with_capacity(8);
        let wait = Some(Duration::from_millis(1));
        self.poll.poll(&mut events, wait).unwrap();
    }

    /// Takes turns until the replica has everything.
    fn settle(&mut self) {
        self.until(|world| {
            let status = world.status();
            status.replica_available && !status.settling && status.queue_depth == 0
        });
    }

    fn until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        let started = Instant::now();
        loop {
            self.turn();
            if done(self) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{:?}", self.status());
        }
    }

    fn status(&self) -> SyncStatus {
        let uptime_ms = self.started.elapsed().as_millis() as u64;
        self.host.status(NOW, uptime_ms)
    }

    /// Ends as a server does that is told to, or as one that is killed.
    fn end(mut self, cleanly: bool) -> tempfile::TempDir {
        if cleanly {
            self.host.stop(&mut self.shard);
        } else {
            drop(self.host);
        }
        drop(self.shard);
        self.folder
    }

    fn rows(&self, namespace: &str) -> Vec<String> {
        let path = self.folder.path().join("replica");
        let path = path.join(format!("{namespace}.sqlite"));
        let Ok(db) = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY) else {
            return Vec::new();
        };
        let sql = "SELECT r.name || ' ' || d.key || ' ' || d.seq || ' ' || r.applied
             FROM _rows d JOIN _tables t ON t.no = d.tbl JOIN _rooms r ON r.no = t.room
             ORDER BY r.name, d.key";
        // It may be there and be empty yet.
        let Ok(mut statement) = db.prepare(sql) else {
            return Vec::new();
        };
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }
}

fn insert(key: usize) -> String {
    format!(
        r#"{{"type":"t","key":"{key:05}","value":{{"id":{key}}},"headers":{{"operation":"insert","txid":"1","timestamp":"2026-01-02T03:04:05.678Z"}}}},"#
    )
}

fn inserts(keys: std::ops::Range<usize>) -> Vec<String> {
    keys.map(insert).collect()
}

const A: &[u8] = b"__room__/a";
const B: &[u8] = b"__room__/b";
const OTHER: &[u8] = b"\0other\0__room__/a";
const PLAIN: &[u8] = b"plain";

#[test]
fn rooms_with_tables_are_followed_and_nothing_else() {
    let mut world = World::new();
    world.create(PLAIN);
    world.append(PLAIN, &inserts(0..3));
    world.settle();
    assert_eq!(world.status().total_syncs, 0);
    assert!(!world.folder.path().join("replica").exists());
    for name in [A, B, OTHER] {
        world.create(name);
        world.append(name, &inserts(0..2));
    }
    world.settle();
    assert_eq!(
        world.rows("default"),
        ["a 00000 1 2", "a 00001 2 2", "b 00000 1 2", "b 00001 2 2"]
    );
    assert_eq!(world.rows("other"), ["a 00000 1 2", "a 00001 2 2"]);
    let status = world.status();
    assert!(status.is_healthy && status.total_syncs > 0, "{status:?}");
    world.shard.delete(NOW, Ticket(1), A);
    world.commit();
    world.settle();
    assert_eq!(world.rows("default").len(), 2);
    assert_eq!(world.rows("other").len(), 2);
}

#[test]
fn a_room_that_is_far_ahead_holds_up_no_other() {
    let mut world = World::new();
    world.create(A);
    for step in 0..30 {
        world.append(A, &inserts(step * 1_000..(step + 1) * 1_000));
    }
    world.create(B);
    world.append(B, &inserts(0..1));
    world.until(|world| {
        world
            .rows("default")
            .iter()
            .any(|row| row.starts_with("b "))
    });
    world.settle();
    assert_eq!(world.rows("default").len(), 30_001);
    assert_eq!(world.rows("default")[29_999], "a 29999 30000 30000");
}

#[test]
fn what_was_missed_comes_after_a_start_and_once_only() {
    let mut world = World::new();
    for name in [A, B] {
        world.create(name);
        world.append(name, &inserts(0..5));
    }
    world.settle();
    let mut world = World::at(world.end(true));
    // Nothing was missed, so nothing needs to be looked at.
    world.settle();
    assert_eq!(world.status().total_syncs, 0);
    world.append(A, &inserts(5..9));
    world.settle();
    let mut world = World::keeping(world.end(false), &ReplicaSettings::Off);
    world.append(B, &inserts(5..7));
    world.shard.delete(NOW, Ticket(1), A);
    world.commit();
    world.create(A);
    world.append(A, &inserts(100..101));
    let mut world = World::at(world.end(false));
    world.settle();
    let rows = world.rows("default");
    assert_eq!(rows.len(), 8, "{rows:?}");
    assert_eq!(rows[0], "a 00100 1 1");
    assert_eq!(rows[7], "b 00006 7 7");
}

#[test]
fn a_replica_that_was_wiped_begins_anew() {
    let mut world = World::new();
    for name in [A, B, OTHER] {
        world.create(name);
        world.append(name, &inserts(0..50));
    }
    world.settle();
    let before = world.rows("default");
    std::fs::remove_dir_all(world.folder.path().join("replica")).unwrap();
    // Nothing moves, and yet it is noticed.
    world.until(|world| world.rows("default") == before && world.rows("other").len() == 50);
    std::fs::remove_dir_all(world.folder.path().join("replica")).unwrap();
    world.append(A, &inserts(50..51));
    world.until(|world| world.rows("default").len() == 101 && world.rows("other").len() == 50);
    world.settle();
    assert!(world.status().sync_errors > 0);
}

#[test]
fn a_replica_that_cannot_be_written_is_told_of_and_catches_up() {
    let mut world = World::new();
    world.create(A);
    // Where its folder should be is a file.
    let folder = world.folder.path().join("replica");
    std::fs::write(&folder, "").unwrap();
    world.append(A, &inserts(0..10));
    world.until(|world| world.status().sync_errors > 1);
    let status = world.status();
    assert!(
        !status.replica_available && !status.is_healthy,
        "{status:?}"
    );
    assert_eq!(status.queue_depth, 1);
    world.append(A, &inserts(10..20));
    std::fs::remove_file(&folder).unwrap();
    world.settle();
    assert_eq!(world.rows("default").len(), 20);
}

#[test]
fn everything_is_sent_again_when_somebody_asks() {
    let mut world = World::new();
    for name in [A, B] {
        world.create(name);
        world.append(name, &inserts(0..20));
    }
    world.settle();
    let path = world.folder.path().join("replica/default.sqlite");
    let db = Connection::open(path).unwrap();
    db.execute_batch("UPDATE _rows SET row = '{}'; DELETE FROM _rows WHERE key > '00010'")
        .unwrap();
    drop(db);
    assert_eq!(world.host.progress(), None);
    world.host.sync_all(&world.shard, "default", 0);
    let begun = world.host.progress().unwrap();
    assert!(begun.done < begun.rooms && !begun.complete, "{begun:?}");
    world.until(|world| {
        world
            .host
            .progress()
            .is_some_and(|progress| progress.complete)
    });
    let ended = world.host.progress().unwrap();
    assert_eq!(ended.done, ended.rooms);
    assert_eq!(world.rows("default").len(), 40);
}
