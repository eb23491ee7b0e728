//! Space runs out and comes back; a sync that fails is an error.

use std::sync::Arc;

use floe_proto::Millis;

use super::model::{Concat, Model, draw, stage};
use crate::sim::{Rng, SimDisk};
use crate::{Log, Options, Payload, Progress, StageError};

fn open(disk: &SimDisk) -> Log<SimDisk> {
    let options = Options {
        wal_segment_bytes: 16 << 10,
        flush_bytes: 32 << 10,
        hash_key: Some([7; 16]),
        ..Options::default()
    };
    Log::open(disk.clone(), options, Arc::new(Concat))
        .unwrap()
        .0
}

/// Commits and works until there is nothing to do, or no space to do it.
fn settle(log: &mut Log<SimDisk>) {
    if let Some(job) = log.take_commit() {
        log.finish_commit(job.run()).unwrap();
    }
    while let Some(work) = log.take_work() {
        let done = work.run();
        if log.finish_work(done).unwrap() == Progress::Full {
            break;
        }
    }
}

#[test]
fn a_full_disk_refuses_appends_until_space_is_back() {
    for seed in 0..100 {
        let mut rng = Rng::new(seed);
        let disk = SimDisk::new();
        let mut log = open(&disk);
        disk.set_bytes_max(Some(60_000 + rng.below(100_000)));
        let mut model = Model::default();
        let (mut refused, mut accepted) = (0, 0);
        for tag in 0..4000 {
            if refused == 20 {
                disk.set_bytes_max(None);
            }
            let mut op = draw(&model, tag, &mut rng);
            match stage(&mut log, &model, &mut op, Millis(tag)) {
                Ok(()) => {
                    model.apply(&op);
                    accepted += u32::from(refused > 20);
                }
                Err(StageError::Full) => refused += 1,
                Err(error) => panic!("seed {seed}: {error}"),
            }
            if rng.chance(1, 10) {
                settle(&mut log);
            }
            if rng.chance(1, 300) || refused == 19 {
                model.compare(&mut log, &mut rng).unwrap();
            }
            if accepted > 200 {
                break;
            }
        }
        settle(&mut log);
        assert!(refused > 0, "seed {seed}");
        drop(log);
        let mut log = open(&disk.copy());
        model.compare(&mut log, &mut rng).unwrap();
    }
}

#[test]
fn the_bound_on_the_log_holds_when_nothing_is_flushed() {
    let disk = SimDisk::new();
    let options = Options {
        wal_segment_bytes: 16 << 10,
        wal_bytes_max: 100 << 10,
        ..Options::default()
    };
    let (mut log, _) = Log::open(disk.clone(), options, Arc::new(Concat)).unwrap();
    let name = log.hash("tenant", b"room");
    let (room, _) = log.create(name, Millis(0), b"abc", Payload::NONE).unwrap();
    let payload = Payload {
        bytes: &[7; 3000],
        lens: &[],
    };
    let mut staged = 0;
    let error = loop {
        match log.append(room, Millis(0), b"abc", payload) {
            Ok(_) => staged += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StageError::Full));
    assert!(staged > 25 && log.stats().wal_bytes <= 100 << 10);
    settle(&mut log);
    log.append(room, Millis(0), b"abc", payload).unwrap();
    assert_eq!(log.end(room), Some((staged + 1) * 3000));
}

#[test]
fn memory_for_unflushed_records_is_bounded() {
    let disk = SimDisk::new();
    let options = Options {
        unflushed_bytes_max: 10_000,
        ..Options::default()
    };
    let (mut log, _) = Log::open(disk, options, Arc::new(Concat)).unwrap();
    let name = log.hash("tenant", b"room");
    let (room, _) = log.create(name, Millis(0), b"abc", Payload::NONE).unwrap();
    let payload = Payload {
        bytes: &[7; 3000],
        lens: &[],
    };
    for _ in 0..3 {
        log.append(room, Millis(0), b"abc", payload).unwrap();
    }
    let error = log.append(room, Millis(0), b"abc", payload).unwrap_err();
    assert!(matches!(error, StageError::Busy { unflushed_bytes } if unflushed_bytes > 9000));
    log.request_flush();
    settle(&mut log);
    log.append(room, Millis(0), b"abc", payload).unwrap();
}

#[test]
fn a_sync_that_fails_is_an_error_and_nothing_becomes_durable() {
    let disk = SimDisk::new();
    let mut log = open(&disk);
    let name = log.hash("tenant", b"room");
    let (_, end) = log.create(name, Millis(0), b"abc", Payload::NONE).unwrap();
    disk.fail_sync_after(0);
    let job = log.take_commit().unwrap();
    assert!(log.finish_commit(job.run()).is_err());
    assert!(log.durable() < end);
}
