//! Commits and background work on their way.

use std::thread::JoinHandle;

use floe_log::sim::Rng;
use floe_log::{CommitDone, CommitJob, Work, WorkDone};

use crate::disk::{StepDisk, Turnstile};

/// A piece of work for a thread that may block.
#[derive(Debug)]
pub enum Todo {
    /// A commit.
    Commit(CommitJob<StepDisk>),
    /// Background work on the log.
    Work(Work<StepDisk>),
}

/// What came of it.
#[derive(Debug)]
pub enum Done {
    /// A commit.
    Commit(CommitDone),
    /// Background work on the log.
    Work(WorkDone<StepDisk>),
}

/// One piece of work, somewhere between taken and finished.
#[derive(Debug)]
pub struct Job {
    name: &'static str,
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting(Todo),
    Running(Turnstile, JoinHandle<Done>),
    Ended(Done),
    /// Only while the state changes.
    Moving,
}

impl Job {
    /// Takes a commit.
    pub fn commit(job: CommitJob<StepDisk>) -> Self {
        Self {
            name: "commit",
            state: State::Waiting(Todo::Commit(job)),
        }
    }

    /// Takes background work.
    pub fn work(work: Work<StepDisk>) -> Self {
        Self {
            name: work.name(),
            state: State::Waiting(Todo::Work(work)),
        }
    }

    /// Returns a word for what it does.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns whether it has begun and not ended.
    pub fn is_running(&self) -> bool {
        matches!(self.state, State::Running(..))
    }

    /// Goes on for some disk operations; hands back what came of it if it has ended before.
    pub fn step(&mut self, rng: &mut Rng) -> Option<Done> {
        self.state = match std::mem::replace(&mut self.state, State::Moving) {
            State::Ended(done) => return Some(done),
            State::Waiting(todo) if rng.chance(1, 3) => State::Ended(todo.run()),
            State::Waiting(todo) => {
                let turnstile = Turnstile::default();
                let thread = std::thread::spawn({
                    let turnstile = turnstile.clone();
                    move || {
                        turnstile.enter();
                        let _leave = Leave(&turnstile);
                        todo.run()
                    }
                });
                go_on(turnstile, thread, rng)
            }
            State::Running(turnstile, thread) => go_on(turnstile, thread, rng),
            State::Moving => unreachable!("a job is moved by one caller"),
        };
        None
    }

    /// Goes on to the end.
    pub fn finish(mut self) -> Done {
        let mut rng = Rng::new(0);
        loop {
            if let Some(done) = self.step(&mut rng) {
                return done;
            }
        }
    }
}

/// The process died: what has not reached the disk never will.
impl Drop for Job {
    fn drop(&mut self) {
        if let State::Running(turnstile, thread) = std::mem::replace(&mut self.state, State::Moving)
        {
            turnstile.cancel();
            // A job that panics on the way down has nothing to tell that its disk has not told it.
            let _ = thread.join();
        }
    }
}

fn go_on(turnstile: Turnstile, thread: JoinHandle<Done>, rng: &mut Rng) -> State {
    let turns = [1, 1, 2, 5, 1000][rng.below(5) as usize];
    if !turnstile.grant(turns) {
        return State::Running(turnstile, thread);
    }
    match thread.join() {
        Ok(done) => State::Ended(done),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Says that a thread is done, however it ends.
struct Leave<'a>(&'a Turnstile);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Todo {
    fn run(self) -> Done {
        match self {
            Self::Commit(job) => Done::Commit(job.run()),
            Self::Work(work) => Done::Work(work.run()),
        }
    }
}
