//! Space comes back, wake times are kept, and looking changes nothing.

use std::sync::Arc;

use floe_proto::{Millis, RoomId};

use super::model::{Concat, bytes_of};
use crate::sim::SimDisk;
use crate::{Disk, Log, OpenError, Options, Part, Payload, ReadError, View};

fn options() -> Options {
    Options {
        wal_segment_bytes: 64 << 10,
        flush_bytes: 64 << 10,
        segment_bytes_max: 256 << 10,
        hash_key: Some([7; 16]),
        ..Options::default()
    }
}

fn open(disk: &SimDisk) -> Log<SimDisk> {
    Log::open(disk.clone(), options(), Arc::new(Concat))
        .unwrap()
        .0
}

fn settle(log: &mut Log<SimDisk>) {
    loop {
        if let Some(job) = log.take_commit() {
            log.finish_commit(job.run()).unwrap();
        }
        let Some(work) = log.take_work() else { break };
        let done = work.run();
        log.finish_work(done).unwrap();
    }
}

fn flush(log: &mut Log<SimDisk>) {
    log.request_flush();
    settle(log);
}

fn create(log: &mut Log<SimDisk>, name: &[u8]) -> RoomId {
    let name = log.hash("tenant", name);
    log.create(name, Millis(1), b"new", Payload::NONE)
        .unwrap()
        .0
}

fn append(log: &mut Log<SimDisk>, room: RoomId, bytes: &[u8]) {
    log.append(room, Millis(2), b"", Payload { bytes, lens: &[] })
        .unwrap();
}

fn keep(log: &mut Log<SimDisk>, room: RoomId, from: u64) {
    let mut meta = vec![b'K'];
    meta.extend_from_slice(&from.to_le_bytes());
    log.append(room, Millis(3), &meta, Payload::NONE).unwrap();
}

#[test]
fn deleted_rooms_give_their_space_back() {
    for restart in [false, true] {
        let disk = SimDisk::new();
        let mut log = open(&disk);
        let rooms: Vec<RoomId> = (0..10u8).map(|name| create(&mut log, &[name])).collect();
        for round in 0..100 {
            append(&mut log, rooms[round % 10], &[7; 10_000]);
            settle(&mut log);
        }
        flush(&mut log);
        assert!(log.stats().segment_bytes > 1_000_000);
        for name in 0..9u8 {
            let hash = log.hash("tenant", &[name]);
            log.delete(rooms[name as usize], hash, Millis(3)).unwrap();
        }
        if restart {
            settle(&mut log);
            drop(log);
            log = open(&disk);
        }
        flush(&mut log);
        assert!(log.stats().segment_bytes < 350_000, "{:?}", log.stats());
        let segments = disk
            .list()
            .unwrap()
            .into_iter()
            .filter(|name| name.starts_with("seg-"));
        let bytes: usize = segments
            .map(|name| disk.contents(&name).unwrap().len())
            .sum();
        assert_eq!(bytes as u64, log.stats().segment_bytes);
        let chunk = log.read(rooms[9], 0, u64::MAX, 1 << 20).unwrap();
        assert!(bytes_of(&chunk.parts) == [7; 100_000]);
    }
}

#[test]
fn rooms_that_come_and_go_leave_no_trace_in_the_end() {
    let disk = SimDisk::new();
    let mut log = open(&disk);
    let stays = create(&mut log, b"stays");
    append(&mut log, stays, &[7; 300_000]);
    flush(&mut log);
    for round in 0..40u64 {
        let room = create(&mut log, &round.to_le_bytes());
        append(&mut log, room, &[8; 5_000]);
        flush(&mut log);
        let name = log.hash("tenant", &round.to_le_bytes());
        log.delete(room, name, Millis(3)).unwrap();
        flush(&mut log);
    }
    let tombstones: u32 = log
        .segments()
        .iter()
        .map(|segment| segment.tombstones)
        .sum();
    assert!(tombstones < 8, "{:?}", log.segments());
    assert!(log.stats().segment_bytes < 350_000, "{:?}", log.stats());
}

#[test]
fn units_that_need_not_be_kept_give_their_space_back() {
    for restart in [false, true] {
        let disk = SimDisk::new();
        let mut log = open(&disk);
        let room = create(&mut log, b"room");
        for _ in 0..200 {
            append(&mut log, room, &[7; 10_000]);
            settle(&mut log);
            let end = log.end(room).unwrap();
            keep(&mut log, room, end.saturating_sub(50_000));
        }
        if restart {
            settle(&mut log);
            drop(log);
            log = open(&disk);
        }
        flush(&mut log);
        assert!(log.stats().segment_bytes < 600_000, "{:?}", log.stats());
        let first = log.room(room).unwrap().first;
        assert!(first > 1_000_000 && first <= 1_950_000, "{first}");
        let error = log.read(room, 0, u64::MAX, 100).unwrap_err();
        assert!(matches!(error, ReadError::Gone { first: gone } if gone == first));
        let chunk = log.read(room, 1_950_000, u64::MAX, 1 << 20).unwrap();
        assert!(bytes_of(&chunk.parts) == [7; 50_000]);
    }
}

#[test]
fn a_file_stays_while_somebody_reads_from_it() {
    let disk = SimDisk::new();
    let mut log = open(&disk);
    let room = create(&mut log, b"room");
    append(&mut log, room, &[7; 100_000]);
    flush(&mut log);
    let chunk = log.read(room, 0, u64::MAX, 1 << 20).unwrap();
    assert!(matches!(chunk.parts[..], [Part::File { .. }]));
    let name = log.hash("tenant", b"room");
    log.delete(room, name, Millis(3)).unwrap();
    flush(&mut log);
    let segments = |disk: &SimDisk| {
        let names = disk.list().unwrap().into_iter();
        names.filter(|name| name.starts_with("seg-")).count()
    };
    assert_eq!(log.stats().segment_bytes, 0);
    assert_eq!(segments(&disk), 1);
    assert!(bytes_of(&chunk.parts) == [7; 100_000]);
    drop(chunk);
    settle(&mut log);
    assert_eq!(segments(&disk), 0);
}

#[test]
fn rooms_are_due_at_their_time_and_not_before() {
    let disk = SimDisk::new();
    let mut log = open(&disk);
    let rooms = [b"a", b"b", b"c"].map(|name| create(&mut log, name));
    // The fold of these tests wants to be woken at the unit that it keeps from.
    for (room, at) in rooms.into_iter().zip([500, 300, 400]) {
        append(&mut log, room, &[7; 1000]);
        keep(&mut log, room, at);
    }
    flush(&mut log);
    assert_eq!(log.next_wake(), Some(Millis(300)));
    assert_eq!(log.due(Millis(299)), None);
    assert_eq!(log.due(Millis(300)), Some(rooms[1]));
    assert_eq!(log.due(Millis(300)), None);
    log.set_wake(rooms[2], Some(Millis(600)));
    drop(log);

    // What a host has set is gone; what the records say comes back.
    let mut log = open(&disk);
    assert_eq!(log.next_wake(), Some(Millis(300)));
    keep(&mut log, rooms[1], 450);
    flush(&mut log);
    assert_eq!(log.due(Millis(1000)), Some(rooms[2]));
    assert_eq!(log.due(Millis(1000)), Some(rooms[1]));
    let name = log.hash("tenant", b"a");
    log.delete(rooms[0], name, Millis(3)).unwrap();
    assert_eq!(log.due(Millis(1000)), None);
}

#[test]
fn one_process_has_a_folder_to_itself() {
    let disk = SimDisk::new();
    let mut log = open(&disk);
    let again = || Log::open(disk.clone(), options(), Arc::new(Concat));
    assert!(matches!(again(), Err(OpenError::Locked)));
    // A job that has not ended keeps the folder, too.
    let room = create(&mut log, b"room");
    append(&mut log, room, &[7; 100_000]);
    let job = log.take_commit().unwrap();
    log.finish_commit(job.run()).unwrap();
    let work = log.take_work().unwrap();
    log.close().unwrap();
    assert!(matches!(again(), Err(OpenError::Locked)));
    drop(work.run());
    assert!(again().is_ok());
}

#[test]
fn looking_at_a_folder_changes_nothing() {
    let disk = SimDisk::new();
    let view = View::open(disk.clone(), Arc::new(Concat));
    assert!(matches!(view, Err(OpenError::NoLog)));
    assert_eq!(disk.list().unwrap(), [""; 0]);

    let mut log = open(&disk);
    let room = create(&mut log, b"room");
    append(&mut log, room, b"hello ");
    flush(&mut log);
    append(&mut log, room, b"world");
    settle(&mut log);
    let all = |disk: &SimDisk| -> Vec<_> {
        let names = disk.list().unwrap().into_iter();
        names.map(|name| (disk.contents(&name), name)).collect()
    };
    let before = all(&disk);
    let (view, recovery) = View::open(disk.clone(), Arc::new(Concat)).unwrap();
    assert_eq!(recovery.records, 1);
    assert_eq!(view.rooms(), [(view.hash("tenant", b"room"), room)]);
    let chunk = view.read(room, 0, u64::MAX, 100).unwrap();
    assert_eq!(bytes_of(&chunk.parts), b"hello world");
    assert_eq!(view.room(room).unwrap().end, 11);
    assert_eq!(view.segments().len(), 1);
    drop(view);
    assert!(before == all(&disk));
}
