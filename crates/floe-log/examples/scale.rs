//! Many rooms: memory for each, appends at random, and the time that a start takes.
//!
//! `cargo run --release -p floe-log --example scale -- ROOMS MEGABYTES [FOLDER]`

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use floe_log::{
    DirDisk, Fold, FoldError, Folded, Log, Options, Payload, RecordView, StageError, verify,
};
use floe_proto::{Millis, RoomId};

const EVENT_BYTES: usize = 200;
/// Records staged before each commit.
const BATCH: usize = 256;
/// Microseconds of the longest turn that the log took for its own upkeep.
static LONGEST: AtomicU64 = AtomicU64::new(0);

struct Count;

impl Fold for Count {
    fn fold(
        &self,
        _: RoomId,
        state: Option<&[u8]>,
        records: &mut dyn Iterator<Item = RecordView<'_>>,
    ) -> Result<Folded, FoldError> {
        let mut state = state.unwrap_or(&[0; 40]).to_vec();
        state[0] = state[0].wrapping_add(records.count() as u8);
        Ok(Folded {
            state,
            ..Folded::default()
        })
    }
}

fn main() {
    let mut args = std::env::args().skip(1);
    let mut number = |default: u64| {
        args.next()
            .map_or(default, |n| n.parse().expect("a number"))
    };
    let (rooms, megabytes) = (number(100_000), number(1_000));
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let folder = args.next().map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| temporary.path().to_owned());

    let mut log = open(&folder);
    let before = resident_bytes();
    let start = Instant::now();
    let mut ids = Vec::new();
    for name in 0..rooms {
        let name = log.hash("bench", &name.to_le_bytes());
        ids.push(
            retry(&mut log, |log| {
                log.create(name, Millis(1), b"", Payload::NONE)
            })
            .0,
        );
        if ids.len() % BATCH == 0 {
            settle(&mut log, 1);
        }
    }
    settle(&mut log, usize::MAX);
    println!(
        "create: {:.1} us each",
        start.elapsed().as_secs_f64() * 1e6 / rooms as f64
    );

    let bytes = vec![b'x'; EVENT_BYTES];
    let payload = Payload {
        bytes: &bytes,
        lens: &[],
    };
    let appends = megabytes * 1_000_000 / EVENT_BYTES as u64;
    let mut random = 1u64;
    let start = Instant::now();
    for at in 0..appends {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let room = ids[(random >> 33) as usize % ids.len()];
        retry(&mut log, |log| {
            log.append(room, Millis(1), b"meta", payload)
        });
        if at % BATCH as u64 == 0 {
            let start = Instant::now();
            if let Some(job) = log.take_commit() {
                LONGEST.fetch_max(start.elapsed().as_micros() as u64, Ordering::Relaxed);
                log.finish_commit(job.run()).expect("the disk works");
            }
            settle(&mut log, 1);
        }
    }
    settle(&mut log, usize::MAX);
    let rate = appends as f64 / start.elapsed().as_secs_f64();
    println!(
        "append, flush and merge on one thread: {rate:.0}/s; longest turn of the log {:.2} ms",
        LONGEST.load(Ordering::Relaxed) as f64 / 1e3
    );
    log.request_flush();
    settle(&mut log, usize::MAX);
    let stats = log.stats();
    println!("{stats:?}");
    println!(
        "index: {:.0} bytes a room; resident: {:.0} bytes a room",
        stats.memory.index_bytes as f64 / rooms as f64,
        (resident_bytes() - before) as f64 / rooms as f64
    );
    log.close().expect("the disk works");

    let start = Instant::now();
    let log = open(&folder);
    println!(
        "open: {:.0} ms for {} rooms",
        start.elapsed().as_secs_f64() * 1e3,
        log.len()
    );
    let start = Instant::now();
    for at in 0..10_000 {
        log.state(ids[at * 7919 % ids.len()])
            .expect("the state is there");
    }
    println!(
        "state of a room that is not loaded: {:.1} us",
        start.elapsed().as_secs_f64() * 1e2
    );
    drop(log);
    let start = Instant::now();
    let disk = DirDisk::existing(&folder).expect("the folder is there");
    let found = verify(&disk, None, &mut |_, _| {}).expect("the disk works");
    let rate = found.bytes as f64 / 1e6 / start.elapsed().as_secs_f64();
    println!(
        "verify: {} MB, {rate:.0} MB/s, {} damaged",
        found.bytes / 1_000_000,
        found.damage.len()
    );
}

/// Stages; makes room where there is none.
fn retry<T>(
    log: &mut Log<DirDisk>,
    mut stage: impl FnMut(&mut Log<DirDisk>) -> Result<T, StageError>,
) -> T {
    loop {
        match stage(log) {
            Ok(done) => return done,
            Err(StageError::Busy { .. } | StageError::Full) => settle(log, usize::MAX),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Commits, and does some background work.
fn settle(log: &mut Log<DirDisk>, mut works: usize) {
    while let Some(job) = log.take_commit() {
        log.finish_commit(job.run()).expect("the disk works");
    }
    while works > 0
        && let Some(work) = log.take_work()
    {
        let done = work.run();
        let start = Instant::now();
        log.finish_work(done).expect("the disk works");
        LONGEST.fetch_max(start.elapsed().as_micros() as u64, Ordering::Relaxed);
        works -= 1;
    }
}

fn open(path: &Path) -> Log<DirDisk> {
    let disk = DirDisk::new(path).expect("the folder can be made");
    let (log, _) = Log::open(disk, Options::default(), Arc::new(Count)).expect("the log opens");
    log
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = status
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}
