//! A data folder of which one file holds hostile bytes: it opens or is refused, and never panics.
#![no_main]

use std::sync::{Arc, OnceLock};

use floe_core::{ContentType, Create, Lifetime};
use floe_log::sim::SimDisk;
use floe_log::{Disk as _, Fold, FoldError, Folded, Log, Options, Payload, RecordView, verify};
use floe_proto::{Millis, RoomId};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|change: (u8, u16, bool, &[u8])| {
    let (which, at, whole, bytes) = change;
    static DISK: OnceLock<SimDisk> = OnceLock::new();
    let disk = DISK.get_or_init(sound_folder).copy();
    let names = disk.list().expect("a simulated disk lists its files");
    let name = &names[usize::from(which) % names.len()];
    let mut contents = disk.contents(name).unwrap_or_default();
    if whole {
        contents = bytes.to_vec();
    } else {
        let at = usize::from(at).min(contents.len());
        let end = (at + bytes.len()).min(contents.len());
        contents.splice(at..end, bytes.iter().copied());
    }
    disk.set_contents(name, contents);
    let _ = verify(&disk, &mut |_, _| {});
    if let Ok((log, _)) = Log::open(disk, options(), Arc::new(CoreFold)) {
        let rooms: Vec<_> = log.rooms().map(|(_, room)| room).collect();
        for room in rooms {
            let _ = log.state(room);
            if let Some(end) = log.end(room) {
                let _ = log.read(room, 0, end, 1 << 20);
            }
        }
    }
});

/// Folds as the server does.
#[derive(Debug)]
struct CoreFold;

impl Fold for CoreFold {
    fn fold(
        &self,
        room: RoomId,
        state: Option<&[u8]>,
        records: &mut dyn Iterator<Item = RecordView<'_>>,
    ) -> Result<Folded, FoldError> {
        let records = records.map(|record| (record.time, record.meta, record.units));
        let folding = floe_core::fold(room, state, records).ok_or_else(|| FoldError {
            room,
            reason: "its records do not decode".into(),
        })?;
        Ok(Folded {
            state: folding.state,
            wake_at: folding.deadline,
            keep_from: folding.start,
        })
    }
}

fn options() -> Options {
    Options {
        wal_segment_bytes: 4 << 10,
        wal_bytes_max: 1 << 20,
        hash_key: Some([7; 16]),
        ..Options::default()
    }
}

/// A folder with a few rooms, some of them in segments.
fn sound_folder() -> SimDisk {
    let disk = SimDisk::new();
    let options = Options {
        flush_bytes: 2 << 10,
        ..options()
    };
    let (mut log, _) =
        Log::open(disk.clone(), options, Arc::new(CoreFold)).expect("an empty disk opens");
    let create = Create::new(ContentType::new("text/plain"), Lifetime::Unlimited);
    for number in 0..8_u64 {
        let name = format!("log{number}");
        let mut meta = Vec::new();
        create.record(name.as_bytes(), Millis(1)).encode(&mut meta);
        let payload = Payload {
            bytes: &[b'x'; 600],
            lens: &[],
        };
        let hash = log.hash("default", name.as_bytes());
        log.create(hash, Millis(1), &meta, payload)
            .expect("there is space");
        while let Some(job) = log.take_commit() {
            log.finish_commit(job.run()).expect("a sound disk");
        }
        while let Some(work) = log.take_work() {
            log.finish_work(work.run()).expect("a sound disk");
        }
    }
    log.close().expect("a sound disk");
    disk
}
