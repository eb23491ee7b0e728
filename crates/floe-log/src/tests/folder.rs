//! The log as a host uses it, on a real folder.

use std::sync::Arc;

use floe_proto::{Millis, RoomId};

use super::model::{Concat, bytes_of};
use crate::{DirDisk, Log, Options, Payload, Recovery};

fn open(disk: &DirDisk) -> (Log<DirDisk>, Recovery) {
    Log::open(disk.clone(), Options::default(), Arc::new(Concat)).unwrap()
}

fn commit(log: &mut Log<DirDisk>) {
    while let Some(job) = log.take_commit() {
        log.finish_commit(job.run()).unwrap();
    }
}

fn read(log: &Log<DirDisk>, room: RoomId, from: u64, bytes_max: usize) -> (Vec<u8>, u64) {
    let chunk = log.read(room, from, u64::MAX, bytes_max).unwrap();
    let bytes = bytes_of(&chunk.parts);
    (bytes, chunk.next)
}

#[test]
fn records_are_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let disk = DirDisk::new(folder.path()).unwrap();
    let (mut log, recovery) = open(&disk);
    assert_eq!(recovery, Recovery::default());
    let name = log.hash("tenant", b"room");
    let (room, _) = log.create(name, Millis(1), b"a", Payload::NONE).unwrap();
    let payload = Payload {
        bytes: b"1,22,333,",
        lens: &[2, 3, 4],
    };
    let end = log.append(room, Millis(2), b"b", payload).unwrap();
    assert!(log.durable() < end);
    commit(&mut log);
    assert_eq!(log.durable(), end);
    drop(log);

    let (log, recovery) = open(&disk);
    assert_eq!((recovery.records, recovery.cut), (2, None));
    assert_eq!(log.find(name), Some(room));
    assert_eq!(log.state(room).unwrap().state[8..], b"ab"[..]);
    assert_eq!(read(&log, room, 0, 100), (b"1,22,333,".to_vec(), 3));
    assert_eq!(read(&log, room, 1, 1), (b"22,".to_vec(), 2));
    assert_eq!(read(&log, room, 1, 7), (b"22,333,".to_vec(), 3));
    assert_eq!(read(&log, room, 3, 7), (Vec::new(), 3));
}

#[test]
fn segments_follow_one_another_and_hold_frames_of_any_size() {
    let folder = tempfile::tempdir().unwrap();
    let disk = DirDisk::new(folder.path()).unwrap();
    let (mut log, _) = open(&disk);
    let name = log.hash("tenant", b"room");
    let (room, _) = log.create(name, Millis(1), b"", Payload::NONE).unwrap();
    let mut expected = Vec::new();
    for round in 0..40u8 {
        let bytes = vec![round; if round == 7 { 9 << 20 } else { 100_000 }];
        expected.extend_from_slice(&bytes);
        let payload = Payload {
            bytes: &bytes,
            lens: &[],
        };
        log.append(room, Millis(2), b"", payload).unwrap();
        if round % 3 == 0 {
            commit(&mut log);
        }
        if let Some(work) = log.take_work() {
            let done = work.run();
            log.finish_work(done).unwrap();
        }
    }
    commit(&mut log);
    drop(log);
    let (log, _) = open(&disk);
    assert_eq!(
        read(&log, room, 0, usize::MAX),
        (expected, log.end(room).unwrap())
    );
}
