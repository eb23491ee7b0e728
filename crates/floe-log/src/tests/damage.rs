//! Any byte of any file may change: the log refuses, or reports, and never shows wrong data.

use std::collections::BTreeMap;
use std::sync::Arc;

use floe_proto::Millis;

use super::model::{Concat, Model, bytes_of, draw, name_hash, stage};
use crate::sim::{Rng, SimDisk};
use crate::{Log, OpenError, Options, ReadError, Recovery, verify};

fn options() -> Options {
    Options {
        wal_segment_bytes: 16 << 10,
        flush_bytes: 150 << 10,
        segment_bytes_max: 400 << 10,
        hash_key: Some([7; 16]),
        ..Options::default()
    }
}

fn open(disk: &SimDisk) -> Result<(Log<SimDisk>, Recovery), OpenError> {
    Log::open(disk.clone(), options(), Arc::new(Concat))
}

/// A disk after a while of use, and every state that the log had after a commit.
fn used(seed: u64, close: bool) -> (SimDisk, Vec<Model>) {
    let mut rng = Rng::new(seed);
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    let mut models = vec![Model::default()];
    for tag in 0..400 {
        let mut model = models.last().unwrap().clone();
        let mut op = draw(&model, tag, &mut rng);
        stage(&mut log, &model, &mut op, Millis(tag)).unwrap();
        model.apply(&op);
        models.push(model);
        if rng.chance(1, 3) {
            let job = log.take_commit().unwrap();
            log.finish_commit(job.run()).unwrap();
        }
        while let (true, Some(work)) = (tag < 390, log.take_work()) {
            let done = work.run();
            log.finish_work(done).unwrap();
        }
    }
    let last = log.take_commit();
    if let Some(job) = last {
        log.finish_commit(job.run()).unwrap();
    }
    if close {
        log.close().unwrap();
    }
    (disk.copy(), models)
}

/// What a start made of a disk that was tampered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Refused,
    Reported,
    Cut,
    Harmless,
}

/// Opens a disk and compares all that it shows.
fn outcome(disk: &SimDisk, models: &[Model], what: &str) -> Outcome {
    let (log, recovery) = match open(disk) {
        Ok(opened) => opened,
        Err(OpenError::Corrupt(_) | OpenError::Version { .. }) => return Outcome::Refused,
        Err(error) => panic!("{what}: {error}"),
    };
    let whole = models.last().unwrap();
    if recovery.cut.is_some() {
        let matching = |model: &Model| compare(&log, model).is_ok();
        assert!(models.iter().rev().any(matching), "{what}: after a cut");
        return Outcome::Cut;
    }
    match compare(&log, whole) {
        Ok(true) => Outcome::Reported,
        Ok(false) => Outcome::Harmless,
        Err(error) => panic!("{what}: {error}"),
    }
}

/// Compares all that can be read; returns whether damage was reported.
fn compare(log: &Log<SimDisk>, model: &Model) -> Result<bool, String> {
    if log.len() != model.rooms.len() {
        return Err(format!("{} rooms", log.len()));
    }
    let mut damaged = false;
    for (&name, expected) in &model.rooms {
        let Some(room) = log.find(name_hash(log, name)) else {
            return Err(format!("room {name} is gone"));
        };
        match log.state(room) {
            Ok(folded) if folded.state[8..] == expected.metas => {}
            Err(ReadError::Corrupt(_)) => damaged = true,
            other => return Err(format!("room {name}: {other:?}")),
        }
        let mut from = expected.keep_from;
        while from < expected.units.len() as u64 {
            match log.read(room, from, u64::MAX, 1000) {
                Ok(chunk) => {
                    let units = expected.units.get(from as usize..chunk.next as usize);
                    if chunk.next <= from
                        || units.map(<[_]>::concat) != Some(bytes_of(&chunk.parts))
                    {
                        return Err(format!("room {name} from {from}: other bytes"));
                    }
                    from = chunk.next;
                }
                Err(ReadError::Corrupt(_)) => {
                    damaged = true;
                    break;
                }
                Err(error) => return Err(format!("room {name}: {error}")),
            }
        }
    }
    Ok(damaged)
}

/// Flips bits all over the files, and returns how often each outcome was seen.
fn flip_everywhere(close: bool, seed: u64) -> BTreeMap<(String, Outcome), u32> {
    let (disk, models) = used(seed, close);
    let mut rng = Rng::new(seed);
    let mut outcomes = BTreeMap::new();
    for name in crate::Disk::list(&disk).unwrap() {
        let len = disk.contents(&name).unwrap().len();
        let step = (len as u64 / 250).max(1);
        let mut at = 0;
        while at < len {
            let bits = 1 + rng.below(255) as u8;
            let changed = disk.copy();
            changed.flip(&name, at, bits);
            let what = format!("{name} byte {at} xor {bits:#x}");
            let mut found = outcome(&changed.copy(), &models, &what);
            if name.starts_with("seg") && found == Outcome::Harmless {
                // What nobody reads any more is checked all the same.
                let damage = verify(&changed, None, &mut |_, _| {}).unwrap().damage;
                assert!(!damage.is_empty(), "{what}");
                found = Outcome::Reported;
            }
            let kind = name[..3].to_owned();
            *outcomes.entry((kind, found)).or_insert(0) += 1;
            at += 1 + rng.below(step * 2 - 1) as usize;
        }
    }
    outcomes
}

#[test]
fn a_flipped_byte_is_never_shown_after_a_clean_end() {
    for seed in 0..3 {
        let outcomes = flip_everywhere(true, seed);
        let count = |kind: &str, outcome| outcomes.get(&(kind.to_owned(), outcome)).copied();
        // Every durable record of the log must be found, so nothing is ever cut.
        assert_eq!(count("wal", Outcome::Cut), None, "{outcomes:?}");
        assert!(count("wal", Outcome::Refused) > Some(20), "{outcomes:?}");
        // Every byte of segments and manifest is under a checksum.
        assert_eq!(count("seg", Outcome::Harmless), None, "{outcomes:?}");
        assert!(count("seg", Outcome::Reported) > Some(30), "{outcomes:?}");
        assert_eq!(count("MAN", Outcome::Harmless), None, "{outcomes:?}");
    }
}

#[test]
fn a_flipped_byte_is_never_shown_after_a_kill() {
    let (mut refused, mut cut) = (0, 0);
    for seed in 3..7 {
        for ((kind, outcome), count) in flip_everywhere(false, seed) {
            refused += if outcome == Outcome::Refused {
                count
            } else {
                0
            };
            cut += if outcome == Outcome::Cut { count } else { 0 };
            assert!(kind == "wal" || outcome != Outcome::Cut, "seed {seed}");
        }
    }
    assert!(refused > 60 && cut > 0, "{refused} {cut}");
}

#[test]
fn files_that_are_gone_cut_short_or_exchanged_are_noticed() {
    let (disk, models) = used(9, true);
    let names = crate::Disk::list(&disk).unwrap();
    let mut rng = Rng::new(9);
    let mut refused = 0;
    for name in &names {
        let contents = disk.contents(name).unwrap();
        for _ in 0..20 {
            let changed = disk.copy();
            let len = rng.below(contents.len() as u64) as usize;
            changed.set_contents(name, contents[..len].to_vec());
            let found = outcome(&changed, &models, &format!("{name} cut to {len}"));
            assert_ne!(found, Outcome::Cut, "{name}");
            refused += u32::from(found == Outcome::Refused);
        }
        let changed = disk.copy();
        crate::Disk::remove(&changed, name).unwrap();
        let found = outcome(&changed, &models, &format!("{name} is gone"));
        assert!(
            found == Outcome::Refused || name.starts_with("wal"),
            "{name}"
        );
        for other in &names {
            let changed = disk.copy();
            changed.set_contents(name, disk.contents(other).unwrap());
            outcome(&changed, &models, &format!("{name} is {other}"));
        }
    }
    assert!(refused > 40);
}

#[test]
fn a_check_finds_what_was_flipped_and_where() {
    let (disk, _) = used(11, true);
    let mut last = 0;
    let found = verify(&disk, None, &mut |done, total| {
        assert!(last <= done && done <= total);
        last = done;
    });
    assert_eq!(found.unwrap().damage, []);
    let name = crate::Disk::list(&disk)
        .unwrap()
        .into_iter()
        .find(|name| name.starts_with("seg-"))
        .unwrap();
    disk.flip(&name, 200, 1);
    let damage = verify(&disk, None, &mut |_, _| {}).unwrap().damage;
    assert_eq!(damage.len(), 1);
    assert_eq!((&damage[0].file, damage[0].at), (&name, 0));
}
