//! Files of every released format are read, and the newest one is written to the byte.

use std::path::PathBuf;
use std::sync::Arc;

use floe_proto::Millis;

use super::model::{Concat, bytes_of, read_through};
use crate::sim::{SimDisk, SimStore};
use crate::{ColdOptions, Disk, Log, ObjectStore, Options, Payload, Recovery};

fn open(disk: &SimDisk) -> (Log<SimDisk>, Recovery) {
    let options = Options {
        wal_segment_bytes: 4 << 10,
        hash_key: Some(*b"a key of 16 byte"),
        ..Options::default()
    };
    Log::open(disk.clone(), options, Arc::new(Concat)).unwrap()
}

fn settle(log: &mut Log<SimDisk>) {
    log.request_flush();
    if let Some(job) = log.take_commit() {
        log.finish_commit(job.run()).unwrap();
    }
    while let Some(work) = log.take_work() {
        let done = work.run();
        log.finish_work(done).unwrap();
    }
}

/// Moves all segments to a store.
fn cool(log: &mut Log<SimDisk>, store: &SimStore) {
    let options = ColdOptions {
        hot_bytes_max: 0,
        age_min_ms: 0,
        segment_bytes_min: 0,
        ..ColdOptions::default()
    };
    log.use_store(Arc::new(store.clone()), options);
    while let Some(work) = log.take_cold_work(Millis(7)) {
        let done = work.run();
        log.finish_work(done).unwrap();
    }
    settle(log);
}

/// A room of bytes, one of messages, one that is deleted; in a cold segment, in a segment, and then
/// in the log.
fn example() -> (SimDisk, SimStore) {
    let store = SimStore::new(0);
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk);
    let names = ["bytes", "messages", "gone"].map(|name| log.hash("tenant", name.as_bytes()));
    let rooms = names.map(|name| {
        log.create(name, Millis(1), b"new", Payload::NONE)
            .unwrap()
            .0
    });
    let payload = Payload {
        bytes: b"hello ",
        lens: &[],
    };
    log.append(rooms[0], Millis(2), b"", payload).unwrap();
    let messages: Vec<u8> = (10..80)
        .flat_map(|n| format!("{n},").into_bytes())
        .collect();
    let payload = Payload {
        bytes: &messages,
        lens: &[3; 70],
    };
    log.append(rooms[1], Millis(3), b"m", payload).unwrap();
    settle(&mut log);
    cool(&mut log, &store);
    log.delete(rooms[2], names[2], Millis(4)).unwrap();
    settle(&mut log);
    let payload = Payload {
        bytes: b"world",
        lens: &[],
    };
    log.append(rooms[0], Millis(5), b"", payload).unwrap();
    let payload = Payload {
        bytes: b"80,81,",
        lens: &[3, 3],
    };
    log.append(rooms[1], Millis(6), b"n", payload).unwrap();
    if let Some(job) = log.take_commit() {
        log.finish_commit(job.run()).unwrap();
    }
    log.close().unwrap();
    (disk, store)
}

fn folder(version: &str) -> PathBuf {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    golden.join(version)
}

#[test]
fn the_encoder_writes_these_bytes() {
    let (disk, store) = example();
    assert_eq!(store.keys(), [OBJECT]);
    let mut object = vec![0; store.bytes() as usize];
    store.read(OBJECT, 0, &mut object).unwrap();
    disk.set_contents("object", object);
    let names = disk.list().unwrap();
    if std::env::var_os("FLOE_GOLDEN_WRITE").is_some() {
        std::fs::create_dir_all(folder("v2")).unwrap();
        for name in &names {
            std::fs::write(folder("v2").join(name), disk.contents(name).unwrap()).unwrap();
        }
    }
    let mut found: Vec<String> = std::fs::read_dir(folder("v2"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    assert_eq!(found, names);
    for name in names {
        let golden = std::fs::read(folder("v2").join(&name)).unwrap();
        assert!(disk.contents(&name).unwrap() == golden, "{name} differs");
    }
}

/// Key of the only object of the second format's folder.
const OBJECT: &str = "df6af69261e1a5a0e5cf4f8121034fc7/00000001-36d60a57cab41baa/0000";

#[test]
fn every_format_is_read() {
    for version in ["v1", "v2"] {
        is_read(version);
    }
}

fn is_read(version: &str) {
    let disk = SimDisk::new();
    for entry in std::fs::read_dir(folder(version)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        disk.set_contents(name, std::fs::read(&path).unwrap());
    }
    let (mut log, recovery) = open(&disk);
    if let Some(object) = disk.contents("object") {
        let store = SimStore::new(0);
        store.put(OBJECT, &object).unwrap();
        log.use_store(Arc::new(store), ColdOptions::default());
    }
    assert_eq!((recovery.records, recovery.cut), (2, None));
    assert_eq!(log.find(log.hash("tenant", b"gone")), None);
    let room = log.find(log.hash("tenant", b"bytes")).unwrap();
    let chunk = read_through(&mut log, room, 0, u64::MAX, 1000).unwrap();
    assert_eq!(bytes_of(&chunk.parts), b"hello world");
    assert_eq!(log.state(room).unwrap().state[8..], b"new"[..]);
    let room = log.find(log.hash("tenant", b"messages")).unwrap();
    let chunk = read_through(&mut log, room, 66, u64::MAX, 1000).unwrap();
    assert_eq!(bytes_of(&chunk.parts), b"76,77,78,79,80,81,");
    assert_eq!(log.state(room).unwrap().state[8..], b"newmn"[..]);
}
