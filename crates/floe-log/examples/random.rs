//! What an append to any of many rooms costs, by thread of a host, with a state of usual size.
//!
//! `cargo run --release -p floe-log --example random -- ROOMS APPENDS`
//!
//! Nothing is synced, so that nothing but CPU is measured: that of the loop that stages, and that
//! of the background work until there is none left.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use floe_log::{
    DirDisk, Disk, DiskFile, Fold, FoldError, Folded, Log, Options, Payload, RecordView,
};
use floe_proto::{Millis, RoomId};

const EVENT_BYTES: usize = 100;
/// Appends between two commits.
const COMMIT: usize = 64;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let rooms = arguments.next().map_or(1_000_000, number);
    let appends = arguments.next().map_or(2_000_000, number);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let disk = Unsynced(DirDisk::new(folder.path()).expect("a folder"));
    let mut options = Options {
        unflushed_bytes_max: 1 << 30,
        ..Options::default()
    };
    if let Some(bytes) = arguments.next() {
        options.flush_bytes = number(bytes) as u64;
    }
    let (mut log, _) = Log::open(disk, options, Arc::new(Named)).expect("an empty folder");

    let mut clocks = Clocks::default();
    let mut ids = Vec::with_capacity(rooms);
    for number in 0..rooms {
        let name = log.hash("tenant", &number.to_le_bytes());
        let meta = meta_of(number);
        let (room, _) = log
            .create(name, Millis(1), &meta, Payload::NONE)
            .expect("there is space");
        ids.push(room);
        if number % COMMIT == 0 {
            clocks.turn(&mut log);
        }
    }
    clocks.settle(&mut log);
    clocks.print("create", rooms);

    let mut clocks = Clocks::default();
    let bytes = [b'x'; EVENT_BYTES];
    let mut random = 1u64;
    let begun = cpu();
    for number in 0..appends {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let room = ids[(random >> 33) as usize % ids.len()];
        let payload = Payload {
            bytes: &bytes,
            lens: &[],
        };
        log.append(room, Millis(number as u64), b"\x02\x00", payload)
            .expect("there is space");
        if number % COMMIT == 0 {
            clocks.turn(&mut log);
        }
    }
    clocks.all = cpu() - begun;
    clocks.print("append", appends);
    clocks.settle(&mut log);
    clocks.print("append and what is left to do", appends);
}

/// CPU by what it was spent on.
#[derive(Default)]
struct Clocks {
    flush: Duration,
    merge: Duration,
    other: Duration,
    commit: Duration,
    all: Duration,
    flushes: u32,
    merges: u32,
}

impl Clocks {
    fn turn(&mut self, log: &mut Log<Unsynced>) {
        if let Some(job) = log.take_commit() {
            let begun = cpu();
            let done = job.run();
            self.commit += cpu() - begun;
            log.finish_commit(done).expect("the disk works");
        }
        self.work(log);
    }

    fn work(&mut self, log: &mut Log<Unsynced>) -> bool {
        let Some(work) = log.take_work() else {
            return false;
        };
        let clock = match work.name() {
            "flush" => {
                self.flushes += 1;
                &mut self.flush
            }
            "merge" => {
                self.merges += 1;
                &mut self.merge
            }
            _ => &mut self.other,
        };
        let begun = cpu();
        let done = work.run();
        *clock += cpu() - begun;
        log.finish_work(done).expect("the disk works");
        true
    }

    fn settle(&mut self, log: &mut Log<Unsynced>) {
        let begun = cpu();
        self.turn(log);
        log.request_flush();
        while self.work(log) {}
        self.all += cpu() - begun;
    }

    fn print(&self, what: &str, count: usize) {
        let each = |time: Duration| time.as_secs_f64() * 1e6 / count as f64;
        let work = self.flush + self.merge + self.other + self.commit;
        println!(
            "{what}: loop {:.2}, commit {:.2}, {} flushes {:.2}, {} merges {:.2}, other {:.2} us each",
            each(self.all.saturating_sub(work)),
            each(self.commit),
            self.flushes,
            each(self.flush),
            self.merges,
            each(self.merge),
            each(self.other),
        );
    }
}

/// A fold whose states look like those of the server: texts and a few numbers.
struct Named;

impl Fold for Named {
    fn fold(
        &self,
        _: RoomId,
        state: Option<&[u8]>,
        records: &mut dyn Iterator<Item = RecordView<'_>>,
    ) -> Result<Folded, FoldError> {
        let (mut name, mut units, mut time) = (Vec::new(), 0, 0);
        if let Some(state) = state {
            units = u64::from_le_bytes(*state[8..].first_chunk().expect("eight bytes"));
            name = state[16..].to_vec();
        }
        for record in records {
            if record.meta.len() > 2 {
                name = record.meta.to_vec();
            }
            units += record.units;
            time = record.time.0;
        }
        let mut state = Vec::new();
        state.extend_from_slice(&time.to_le_bytes());
        state.extend_from_slice(&units.to_le_bytes());
        state.extend_from_slice(&name);
        Ok(Folded {
            state,
            ..Folded::default()
        })
    }
}

fn meta_of(number: usize) -> Vec<u8> {
    format!("some/name/{number:08} application/octet-stream").into_bytes()
}

/// A folder whose syncs do nothing.
#[derive(Debug, Clone)]
struct Unsynced(DirDisk);

#[derive(Debug)]
struct UnsyncedFile(File);

impl Disk for Unsynced {
    type File = UnsyncedFile;
    type Lock = <DirDisk as Disk>::Lock;

    fn lock(&self) -> io::Result<Self::Lock> {
        self.0.lock()
    }

    fn create(&self, name: &str) -> io::Result<Self::File> {
        self.0.create(name).map(UnsyncedFile)
    }

    fn open(&self, name: &str) -> io::Result<Self::File> {
        self.0.open(name).map(UnsyncedFile)
    }

    fn open_read(&self, name: &str) -> io::Result<Self::File> {
        self.0.open_read(name).map(UnsyncedFile)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for UnsyncedFile {
    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, at)
    }

    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, at)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        DiskFile::len(&self.0)
    }
}

fn number(text: String) -> usize {
    text.parse().expect("a number")
}

/// CPU time of this thread.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = stat.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or_default())
}
