//! Appends per second with a number of writers that wait for durability, and the CPU it takes.
//!
//! `cargo run --release -p floe-log --example commit -- [FOLDER]`

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use floe_log::{
    CommitDone, CommitJob, DirDisk, Fold, FoldError, Folded, Log, Lsn, Options, Payload, Progress,
    RecordView, Work, WorkDone,
};
use floe_proto::{Millis, RoomId};

const EVENT_BYTES: usize = 200;
const RUN: Duration = Duration::from_secs(4);

struct Count;

impl Fold for Count {
    fn fold(
        &self,
        _: RoomId,
        state: Option<&[u8]>,
        records: &mut dyn Iterator<Item = RecordView<'_>>,
    ) -> Result<Folded, FoldError> {
        let before = state.map_or(0, |state| {
            u64::from_le_bytes(state.try_into().expect("a state of eight bytes"))
        });
        let state = (before + records.count() as u64).to_le_bytes().to_vec();
        Ok(Folded {
            state,
            ..Folded::default()
        })
    }
}

enum Event {
    Committed(CommitDone),
    Worked(Box<WorkDone<DirDisk>>),
}

fn main() {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.unwrap_or_else(|| temporary.path().to_owned());
    let folder = folder.join(format!("floe-{}", std::process::id()));
    staging(&folder.join("staging"));
    if std::env::var_os("STAGING_ONLY").is_some() {
        return;
    }
    println!("rooms writers appends/s p50_us p99_us records/commit cpu_us/append");
    for rooms in [1, 1_000, 100_000] {
        for writers in [1, 16, 256] {
            let path = folder.join(format!("{rooms}-{writers}"));
            run(&path, rooms, writers);
            // Background work may still be writing; what it leaves goes with the folder.
            let _ = std::fs::remove_dir_all(path);
        }
    }
    let _ = std::fs::remove_dir_all(folder);
}

/// Lets `writers` writers append, each one waiting until its last record is durable.
fn run(path: &std::path::Path, rooms: u64, writers: usize) {
    let mut log = open(path);
    let rooms = create(&mut log, rooms);
    let (events_in, events) = channel();
    let commits = commit_threads(&events_in, 2);
    let works = work_threads(&events_in, 3);
    let bytes = vec![b'x'; EVENT_BYTES];

    let (mut waiting, mut took) = (VecDeque::<(Lsn, Instant)>::new(), Vec::new());
    let (mut in_flight, mut count, mut commits_done) = (0, 0u64, 0u64);
    let mut idle = writers;
    let mut random = 1u64;
    let (start, cpu) = (Instant::now(), cpu());
    while start.elapsed() < RUN {
        let now = Instant::now();
        for _ in 0..idle {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let room = rooms[(random >> 33) as usize % rooms.len()];
            let payload = Payload {
                bytes: &bytes,
                lens: &[],
            };
            let end = loop {
                match log.append(room, Millis(1), b"meta", payload) {
                    Ok(end) => break end,
                    Err(_) => handle(&mut log, &events, &works, &mut in_flight),
                }
            };
            waiting.push_back((end, now));
        }
        idle = 0;
        // Two commits at most are on their way; what is staged meanwhile goes with the next.
        while in_flight < 2 {
            let Some(job) = log.take_commit() else { break };
            in_flight += 1;
            commits_done += 1;
            commits.send(job).expect("the thread lives");
        }
        if let Some(work) = log.take_work() {
            works.send(work).expect("the threads live");
        }
        handle(&mut log, &events, &works, &mut in_flight);
        while waiting
            .front()
            .is_some_and(|(end, _)| *end <= log.durable())
        {
            let (_, since) = waiting.pop_front().expect("it was there");
            took.push(since.elapsed().as_nanos() as u64);
            idle += 1;
            count += 1;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let cpu = (self::cpu() - cpu).as_secs_f64() * 1e6 / count as f64;
    took.sort_unstable();
    println!(
        "{} {writers} {:.0} {:.0} {:.0} {:.1} {cpu:.2}",
        rooms.len(),
        count as f64 / seconds,
        took[took.len() / 2] as f64 / 1e3,
        took[took.len() * 99 / 100] as f64 / 1e3,
        count as f64 / commits_done as f64,
    );
}

fn handle(
    log: &mut Log<DirDisk>,
    events: &Receiver<Event>,
    works: &Sender<Work<DirDisk>>,
    in_flight: &mut usize,
) {
    match events.recv().expect("the threads live") {
        Event::Committed(done) => {
            *in_flight -= 1;
            log.finish_commit(done).expect("the disk works");
        }
        Event::Worked(done) => {
            let progress = log.finish_work(*done).expect("the disk works");
            assert_eq!(progress, Progress::Done, "the disk is full");
            if let Some(work) = log.take_work() {
                works.send(work).expect("the threads live");
            }
        }
    }
}

/// Measures what it costs to stage, without any input or output.
fn staging(path: &std::path::Path) {
    let mut log = open(path);
    let rooms = create(&mut log, 1_000);
    let bytes = vec![b'x'; EVENT_BYTES];
    let mut rounds = Vec::new();
    for _ in 0..1_000 {
        let start = Instant::now();
        for at in 0..256 {
            let payload = Payload {
                bytes: &bytes,
                lens: &[],
            };
            log.append(rooms[at * 7919 % 1_000], Millis(1), b"meta", payload)
                .expect("there is room");
        }
        rounds.push(start.elapsed().as_nanos() as f64 / 256.0);
        // Nothing of this counts, but it keeps a segment ready.
        while let Some(job) = log.take_commit() {
            log.finish_commit(job.run()).expect("the disk works");
        }
        while let Some(work) = log.take_work() {
            let done = work.run();
            log.finish_work(done).expect("the disk works");
        }
    }
    rounds.sort_by(f64::total_cmp);
    let median = rounds[rounds.len() / 2];
    println!("staging one record of {EVENT_BYTES} bytes: {median:.0} ns");
    log.close().expect("the disk works");
    let start = Instant::now();
    let options = Options::default();
    let disk = DirDisk::new(path).expect("the folder is there");
    let (_, recovery) = Log::open(disk, options, Arc::new(Count)).expect("the log opens");
    let (took, megabytes) = (start.elapsed(), recovery.bytes as f64 / 1e6);
    println!(
        "open: {} records, {megabytes:.0} MB of log in {took:.1?}, {:.0} MB/s",
        recovery.records,
        megabytes / took.as_secs_f64()
    );
}

fn open(path: &std::path::Path) -> Log<DirDisk> {
    let disk = DirDisk::new(path).expect("the folder can be made");
    let (log, _) = Log::open(disk, Options::default(), Arc::new(Count)).expect("the log opens");
    log
}

fn create(log: &mut Log<DirDisk>, count: u64) -> Vec<RoomId> {
    let rooms = (0..count)
        .map(|name| {
            let name = log.hash("bench", &name.to_le_bytes());
            let (room, _) = log
                .create(name, Millis(1), b"", Payload::NONE)
                .expect("there is room");
            room
        })
        .collect();
    while let Some(job) = log.take_commit() {
        log.finish_commit(job.run()).expect("the disk works");
    }
    rooms
}

fn commit_threads(events: &Sender<Event>, count: usize) -> Sender<CommitJob<DirDisk>> {
    threads(events, count, |job: CommitJob<DirDisk>| {
        Event::Committed(job.run())
    })
}

fn work_threads(events: &Sender<Event>, count: usize) -> Sender<Work<DirDisk>> {
    threads(events, count, |work: Work<DirDisk>| {
        Event::Worked(Box::new(work.run()))
    })
}

fn threads<T: Send + 'static>(
    events: &Sender<Event>,
    count: usize,
    run: fn(T) -> Event,
) -> Sender<T> {
    let (jobs_in, jobs) = channel::<T>();
    let jobs = Arc::new(std::sync::Mutex::new(jobs));
    for _ in 0..count {
        let (jobs, events) = (jobs.clone(), events.clone());
        std::thread::spawn(move || {
            loop {
                let job = jobs.lock().expect("no thread panics").recv();
                let Ok(job) = job else { return };
                if events.send(run(job)).is_err() {
                    return;
                }
            }
        });
    }
    jobs_in
}

/// CPU time of the process so far.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default();
    let ticks = fields.split(' ').skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
