//! The server but for its loop: a shard, its jobs and the disk below it.

use std::sync::Arc;

use floe_log::sim::{Rng, SimDisk};
use floe_log::{Options, Progress};
use floe_proto::Millis;
use floe_server::Limits;
use floe_server::shard::{Failure, Shard};

use super::End;
use super::model::{Bounds, PURGE_AFTER_MS};
use crate::disk::StepDisk;
use crate::jobs::{Done, Job};
use crate::trace::Trace;
use crate::world::Violation;

/// A shard that may crash.
#[derive(Debug)]
pub struct Host {
    /// The disk.
    pub disk: StepDisk,
    /// How the log is laid out.
    pub options: Options,
    limits: Arc<Limits>,
    shard: Option<Shard<StepDisk>>,
    jobs: Vec<Job>,
    /// Whether the disk was told to fail.
    pub is_faulty: bool,
    /// Whether space may be too short for some record.
    pub is_tight: bool,
    /// Times that background work is not asked for again, after it found no space.
    work_rests: u32,
}

impl Host {
    /// Draws a server that was never started.
    pub fn new(bounds: &Bounds, rng: &mut Rng) -> Self {
        let mut pick = |of: &[u64]| of[rng.below(of.len() as u64) as usize];
        let options = Options {
            wal_segment_bytes: pick(&[8 << 10, 16 << 10, 64 << 10]) as u32,
            wal_bytes_max: pick(&[100 << 10, 1 << 20, 1 << 30]),
            flush_bytes: pick(&[1 << 10, 8 << 10, 40 << 10]),
            unflushed_bytes_max: pick(&[60 << 10, 1 << 20]),
            record_bytes_max: 1 << 20,
            segment_bytes_max: pick(&[8 << 10, 100 << 10]),
            hash_key: Some([7; 16]),
        };
        let limits = Limits {
            rooms_loaded_max: pick(&[2, 100_000]) as usize,
            room_idle_timeout_ms: pick(&[1_000, 60_000]),
            channel_purge_after_ms: PURGE_AFTER_MS,
            waddle_members_max: bounds.members,
            waddle_bans_max: bounds.bans,
            waddle_rooms_max: bounds.rooms,
            ..Limits::default()
        };
        Self {
            is_tight: options.wal_bytes_max < 1 << 20 || options.unflushed_bytes_max < 1 << 20,
            disk: StepDisk {
                sim: SimDisk::new(),
                lies: false,
            },
            options,
            limits: Arc::new(limits),
            shard: None,
            jobs: Vec::new(),
            is_faulty: false,
            work_rests: 0,
        }
    }

    /// Returns the shard.
    pub fn shard(&mut self) -> &mut Shard<StepDisk> {
        self.shard.as_mut().expect("the server runs")
    }

    /// Takes what is to be committed.
    pub fn take_commit(&mut self, trace: &mut Trace) {
        if let Some(job) = self.shard().take_commit() {
            trace.note(format!("take a commit of {} bytes", job.bytes()));
            self.jobs.push(Job::commit(job));
        }
    }

    /// Takes background work.
    pub fn take_work(&mut self, trace: &mut Trace) {
        if self.work_rests > 0 {
            self.work_rests -= 1;
            return;
        }
        if let Some(work) = self.shard().take_work() {
            trace.note(format!("take work: {}", work.name()));
            self.jobs.push(Job::work(work));
        }
    }

    /// Lets one of the jobs go on; returns which, if it has ended.
    pub fn work(&mut self, rng: &mut Rng, trace: &mut Trace) -> Result<Option<&'static str>, End> {
        if self.jobs.is_empty() {
            return Ok(None);
        }
        let at = rng.below(self.jobs.len() as u64) as usize;
        let name = self.jobs[at].name();
        let done = self.jobs[at].step(rng);
        trace.note(format!("{name} goes on to {}", self.disk.sim.ops()));
        let Some(done) = done else {
            return Ok(None);
        };
        drop(self.jobs.remove(at));
        self.finish(name, done, trace)?;
        Ok(Some(name))
    }

    /// Ends all jobs, and commits until nothing is left.
    pub fn commit_all(&mut self, trace: &mut Trace) -> Result<(), End> {
        loop {
            self.take_commit(trace);
            let Some(job) = (!self.jobs.is_empty()).then(|| self.jobs.remove(0)) else {
                return Ok(());
            };
            self.finish(job.name(), job.finish(), trace)?;
        }
    }

    /// Does a piece of background work, if there is any for which there is space.
    pub fn work_once(&mut self, trace: &mut Trace) -> Result<bool, End> {
        self.work_rests = 0;
        let Some(work) = self.shard().take_work() else {
            return Ok(false);
        };
        let name = work.name();
        self.finish(name, Job::work(work).finish(), trace)?;
        Ok(self.work_rests == 0)
    }

    /// Hands back what came of a job.
    fn finish(&mut self, name: &'static str, done: Done, trace: &mut Trace) -> Result<(), End> {
        trace.note(format!("{name} is done"));
        let result = match done {
            Done::Commit(done) => self.shard().finish_commit(done),
            Done::Work(done) => self.shard().finish_work(done).map(|progress| {
                if progress == Progress::Full {
                    self.work_rests = 20;
                }
            }),
        };
        result.map_err(|error| self.blame(&format!("{name} failed: {error}"), trace))
    }

    /// Decides whether a failure of the disk was to be expected.
    pub fn blame(&self, what: &str, trace: &mut Trace) -> End {
        trace.note(what.to_owned());
        if self.is_faulty {
            End::Crash
        } else {
            End::Violation(format!("{what}, though the disk is well"))
        }
    }

    /// Decides what a refusal means that is not about what was asked: that there is no space, which
    /// changes nothing, or that the disk fails.
    pub fn is_excused(&self, failure: &Failure, trace: &mut Trace) -> Result<bool, End> {
        match failure.code.as_str() {
            "DISK_FULL" | "OVERLOADED" if self.is_tight => Ok(true),
            "DISK_FULL" | "OVERLOADED" | "INTERNAL" | "CORRUPT" => {
                Err(self.blame(&format!("refused: {failure:?}"), trace))
            }
            _ => Ok(false),
        }
    }

    /// Makes space, or lets it run out.
    pub fn change_space(&mut self, rng: &mut Rng, trace: &mut Trace) {
        let free = rng.chance(1, 2).then(|| rng.below(10_000));
        let bytes = self.disk.sim.bytes();
        self.disk.sim.set_bytes_max(free.map(|free| bytes + free));
        self.is_tight |= free.is_some();
        trace.note(format!("free space is {free:?}"));
    }

    /// Tells the disk to fail soon.
    pub fn doom(&mut self, rng: &mut Rng, trace: &mut Trace) {
        let ops = 1 + rng.below(60);
        self.is_faulty = true;
        if rng.chance(1, 4) {
            self.disk.sim.fail_sync_after(ops);
            trace.note(format!("a sync will fail after {ops} operations"));
        } else {
            self.disk.sim.die_after(ops);
            trace.note(format!("power will fail after {ops} operations"));
        }
    }

    /// Ends the server without a word; returns whether the disk kept its power.
    pub fn crash(&mut self, rng: &mut Rng) -> bool {
        let kill = !self.disk.sim.is_dead() && rng.chance(1, 4);
        if !kill {
            // Before the jobs notice that they are over.
            self.disk.sim = self.disk.sim.crash(rng);
        }
        self.jobs.clear();
        self.shard = None;
        self.disk.sim.set_bytes_max(None);
        self.disk.sim.fail_sync_after(u64::MAX / 2);
        self.disk.sim.die_after(u64::MAX / 2);
        self.is_faulty = false;
        self.work_rests = 0;
        kill
    }

    /// Ends the server well.
    pub fn close(&mut self) -> Result<(), Violation> {
        self.jobs.clear();
        self.disk.sim.set_bytes_max(None);
        let shard = self.shard.take().expect("the server runs");
        shard
            .close()
            .map_err(|error| format!("the log does not close: {error}"))
    }

    /// Starts the server on what is there; returns how often power failed meanwhile.
    pub fn open(&mut self, now: u64, rng: &mut Rng, trace: &mut Trace) -> Result<u64, Violation> {
        let mut crashes = 0;
        loop {
            if rng.chance(1, 4) {
                self.disk.sim.die_after(1 + rng.below(12));
            }
            let opened = Shard::open(self.disk.clone(), self.options.clone(), self.limits.clone());
            match opened {
                Ok((mut shard, recovery)) if !self.disk.sim.is_dead() => {
                    trace.note(format!("open: {recovery:?}"));
                    self.disk.sim.die_after(u64::MAX / 2);
                    shard
                        .ensure_registry(Millis(now))
                        .map_err(|failure| format!("no registry: {failure:?}"))?;
                    self.shard = Some(shard);
                    return Ok(crashes);
                }
                Ok(_) => {}
                Err(_) if self.disk.sim.is_dead() => {}
                Err(error) => return Err(format!("what is left does not open: {error}")),
            }
            trace.note("power fails during recovery".into());
            crashes += 1;
            self.disk.sim = self.disk.sim.crash(rng);
        }
    }
}
