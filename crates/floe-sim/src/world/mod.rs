//! One simulated life of a server: clients, time, disk, crashes, and a checker that sees it all.

mod ask;
mod cold;
mod crash;
mod look;
mod rest;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use floe_log::sim::{Rng, SimDisk, SimStore};
use floe_log::{ColdOptions, Options};
use floe_proto::Millis;
use floe_server::Limits;
use floe_server::shard::{Failure, Shard};

use crate::command::Command;
use crate::disk::StepDisk;
use crate::draw::Draw;
use crate::jobs::{Done, Job};
use crate::trace::Trace;
use crate::truth::Truth;
use ask::Asked;
use look::{Pass, Reader};

/// What went wrong.
pub type Violation = String;

/// A simulated server and everybody around it.
#[derive(Debug)]
pub struct World {
    rng: Rng,
    draw: Draw,
    now: u64,
    disk: StepDisk,
    shard: Option<Shard<StepDisk>>,
    options: Options,
    limits: Arc<Limits>,
    /// Where old segments move, in half of all worlds.
    cold: Option<ColdOptions>,
    store: SimStore,
    jobs: Vec<Job>,
    truth: Truth,
    asked: BTreeMap<u64, Asked>,
    answered: u64,
    readers: BTreeMap<u64, Reader>,
    passes: VecDeque<Pass>,
    next_ticket: u64,
    next_uid: u64,
    /// Requests that a crash left without an answer.
    unanswered: Vec<Command>,
    /// Readers that a crash cut off.
    strays: Vec<Reader>,
    /// What each registry has shown.
    registries: BTreeMap<&'static str, Vec<u8>>,
    /// Whether the disk was told to fail.
    faulty: bool,
    /// Whether space may be too short for some record.
    tight: bool,
    /// Steps until background work is asked for again, after it found no space.
    work_rests: u32,
    /// What happened.
    pub trace: Trace,
    /// How often each thing happened.
    pub counts: BTreeMap<&'static str, u64>,
}

/// Why a life of the server ended.
enum End {
    /// As the world wished.
    Crash,
    /// Something is wrong.
    Violation(Violation),
}

impl End {
    /// Returns what is wrong where nothing was told to fail.
    fn into_violation(self) -> Violation {
        match self {
            Self::Crash => "the disk failed though nobody told it to".into(),
            Self::Violation(violation) => violation,
        }
    }
}

impl From<Violation> for End {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

impl World {
    /// Makes the world of a seed.
    pub fn new(seed: u64, verbose: bool) -> Self {
        let mut rng = Rng::new(seed);
        let options = draw_options(&mut rng);
        let limits = Arc::new(draw_limits(&mut rng));
        let cold = rng.chance(1, 2).then(|| draw_cold(&mut rng));
        let store = SimStore::new(rng.next_u64());
        let mut trace = Trace::new(verbose);
        trace.note(format!("seed {seed}: {options:?}"));
        Self {
            tight: options.wal_bytes_max < 1 << 20 || options.unflushed_bytes_max < 1 << 20,
            rng,
            draw: Draw::default(),
            now: 1_800_000_000_000,
            disk: StepDisk {
                sim: SimDisk::new(),
                lies: false,
            },
            shard: None,
            options,
            limits,
            cold,
            store,
            jobs: Vec::new(),
            truth: Truth::default(),
            asked: BTreeMap::new(),
            answered: 0,
            readers: BTreeMap::new(),
            passes: VecDeque::new(),
            next_ticket: 1,
            next_uid: 1,
            unanswered: Vec::new(),
            strays: Vec::new(),
            registries: BTreeMap::new(),
            faulty: false,
            work_rests: 0,
            trace,
            counts: BTreeMap::new(),
        }
    }

    /// Makes the disk say that it has synced what it has not.
    pub fn let_disk_lie(&mut self) {
        self.disk.lies = true;
    }

    /// Lives for some steps, and then makes sure that everything is as it should be.
    ///
    /// # Errors
    /// The first thing that is not.
    pub fn run(&mut self, steps: u64) -> Result<(), Violation> {
        self.start()?;
        for _ in 0..steps {
            match self.step() {
                Ok(()) => {}
                Err(End::Crash) => self.crash()?,
                Err(End::Violation(violation)) => return Err(violation),
            }
        }
        self.rest_for_good().map_err(End::into_violation)?;
        let disk = self.disk.sim.trace();
        self.trace.mix(&disk.to_le_bytes());
        Ok(())
    }

    fn step(&mut self) -> Result<(), End> {
        if self.disk.sim.is_dead() && self.rng.chance(1, 3) {
            return Err(End::Crash);
        }
        self.now += self.rng.below(40);
        self.work_rests = self.work_rests.saturating_sub(1);
        match self.rng.below(1000) {
            0..330 => self.ask()?,
            330..430 => self.read()?,
            430..440 => self.leave(),
            440..470 => self.keep_value()?,
            470..600 => self.take_commit(),
            600..640 => self.take_work(),
            640..940 => self.work()?,
            940..960 => self.tick(),
            960..964 => self.wait_long(),
            964..966 => self.change_store(),
            966..976 => self.change_space(),
            976..986 => self.doom(),
            986..992 => self.rest()?,
            992..995 => self.restart()?,
            _ => return Err(End::Crash),
        }
        self.hear(false)
    }

    fn shard(&mut self) -> &mut Shard<StepDisk> {
        self.shard.as_mut().expect("the server runs")
    }

    fn now(&self) -> Millis {
        Millis(self.now)
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    fn take_commit(&mut self) {
        if let Some(job) = self.shard().take_commit() {
            self.trace
                .note(format!("take a commit of {} bytes", job.bytes()));
            self.jobs.push(Job::commit(job));
        }
    }

    fn take_work(&mut self) {
        if self.work_rests > 0 {
            return;
        }
        if let Some(work) = self.shard().take_work() {
            self.trace.note(format!("take work: {}", work.name()));
            self.jobs.push(Job::work(work));
        }
        self.take_cold_work();
    }

    /// Lets one of the jobs go on.
    fn work(&mut self) -> Result<(), End> {
        if self.jobs.is_empty() {
            return Ok(());
        }
        let at = self.rng.below(self.jobs.len() as u64) as usize;
        let name = self.jobs[at].name();
        let done = self.jobs[at].step(&mut self.rng);
        let ops = self.disk.sim.ops();
        self.trace
            .note(format!("{name} goes on to operation {ops}"));
        if let Some(done) = done {
            drop(self.jobs.remove(at));
            self.finish(name, done)?;
        }
        Ok(())
    }

    /// Hands back what came of a job; an error is a disk that failed.
    fn finish(&mut self, name: &'static str, done: Done) -> Result<(), End> {
        self.trace.note(format!("{name} is done"));
        self.count(name);
        let result = match done {
            Done::Commit(done) => self.shard().finish_commit(done),
            Done::Work(done) => self.shard().finish_work(done).map(|progress| {
                if progress == floe_log::Progress::Full {
                    self.work_rests = 20;
                }
            }),
        };
        result.map_err(|error| self.blame(&format!("{name} failed: {error}")))
    }

    /// Decides whether a failure of the disk was to be expected.
    fn blame(&mut self, what: &str) -> End {
        self.trace.note(what.to_owned());
        if self.faulty {
            End::Crash
        } else {
            End::Violation(format!("{what}, though the disk is well"))
        }
    }

    fn tick(&mut self) {
        let now = self.now();
        self.shard().tick(now);
        self.trace.note("tick".into());
    }

    fn wait_long(&mut self) {
        let seconds = [1, 6, 40, 700][self.rng.below(4) as usize];
        self.now += seconds * 1000;
        self.trace.note(format!("{seconds} seconds pass"));
    }

    fn change_space(&mut self) {
        let free = match self.rng.below(3) {
            0 => Some(self.rng.below(40_000)),
            _ => None,
        };
        let bytes = self.disk.sim.bytes();
        self.disk.sim.set_bytes_max(free.map(|free| bytes + free));
        self.tight |= free.is_some();
        self.trace.note(format!("free space is {free:?}"));
    }

    /// Tells the disk to fail soon.
    fn doom(&mut self) {
        let ops = 1 + self.rng.below(60);
        self.faulty = true;
        if self.rng.chance(1, 4) {
            self.disk.sim.fail_sync_after(ops);
            self.trace
                .note(format!("a sync will fail after {ops} operations"));
        } else {
            self.disk.sim.die_after(ops);
            self.trace
                .note(format!("power will fail after {ops} operations"));
        }
    }

    fn ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket
    }
}

/// Returns whether a command failed because space or the disk did.
fn is_disk_failure(failure: &Failure) -> bool {
    matches!(
        failure.code.as_str(),
        "DISK_FULL" | "OVERLOADED" | "INTERNAL"
    )
}

fn draw_options(rng: &mut Rng) -> Options {
    let mut pick = |of: &[u64]| of[rng.below(of.len() as u64) as usize];
    Options {
        wal_segment_bytes: pick(&[8 << 10, 16 << 10, 64 << 10]) as u32,
        wal_bytes_max: pick(&[100 << 10, 1 << 20, 1 << 30]),
        flush_bytes: pick(&[1 << 10, 8 << 10, 40 << 10]),
        unflushed_bytes_max: pick(&[60 << 10, 1 << 20]),
        record_bytes_max: 1 << 20,
        segment_bytes_max: pick(&[8 << 10, 100 << 10]),
        hash_key: Some([7; 16]),
    }
}

fn draw_cold(rng: &mut Rng) -> ColdOptions {
    let mut pick = |of: &[u64]| of[rng.below(of.len() as u64) as usize];
    ColdOptions {
        hot_bytes_max: pick(&[0, 0, 20 << 10]),
        age_min_ms: pick(&[0, 5_000]),
        segment_bytes_min: pick(&[0, 10 << 10]),
        cache_bytes_max: 0,
        part_bytes: 64 << 10,
        block_bytes: 64 << 10,
        fetches_max: 10,
    }
}

fn draw_limits(rng: &mut Rng) -> Limits {
    let mut pick = |of: &[usize]| of[rng.below(of.len() as u64) as usize];
    Limits {
        stream_producers_max: pick(&[2, 10_000]),
        rooms_loaded_max: pick(&[2, 100_000]),
        room_idle_timeout_ms: pick(&[1_000, 60_000]) as u64,
        ..Limits::default()
    }
}
