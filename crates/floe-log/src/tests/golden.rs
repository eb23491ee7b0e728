//! Files of every released format are read, and the newest one is written to the byte.

use std::path::PathBuf;
use std::sync::Arc;

use floe_proto::Millis;

use super::model::{Concat, bytes_of};
use crate::sim::SimDisk;
use crate::{Disk, Log, Options, Payload, Recovery};

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

/// A room of bytes, one of messages, one that is deleted; in a segment, and then in the log.
fn example() -> SimDisk {
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
    disk
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

#[test]
fn the_encoder_writes_these_bytes() {
    let disk = example();
    let names = disk.list().unwrap();
    if std::env::var_os("FLOE_GOLDEN_WRITE").is_some() {
        std::fs::create_dir_all(folder()).unwrap();
        for name in &names {
            std::fs::write(folder().join(name), disk.contents(name).unwrap()).unwrap();
        }
    }
    let mut found: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    assert_eq!(found, names);
    for name in names {
        let golden = std::fs::read(folder().join(&name)).unwrap();
        assert!(disk.contents(&name).unwrap() == golden, "{name} differs");
    }
}

#[test]
fn the_first_format_is_read() {
    let disk = SimDisk::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        disk.set_contents(name, std::fs::read(&path).unwrap());
    }
    let (log, recovery) = open(&disk);
    assert_eq!((recovery.records, recovery.cut), (2, None));
    assert_eq!(log.find(log.hash("tenant", b"gone")), None);
    let room = log.find(log.hash("tenant", b"bytes")).unwrap();
    let chunk = log.read(room, 0, u64::MAX, 1000).unwrap();
    assert_eq!(bytes_of(&chunk.parts), b"hello world");
    assert_eq!(log.state(room).unwrap().state[8..], b"new"[..]);
    let room = log.find(log.hash("tenant", b"messages")).unwrap();
    let chunk = log.read(room, 66, u64::MAX, 1000).unwrap();
    assert_eq!(bytes_of(&chunk.parts), b"76,77,78,79,80,81,");
    assert_eq!(log.state(room).unwrap().state[8..], b"newmn"[..]);
}
