//! The threads that wait for the disk, so that the event loop need not.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use floe_log::{CommitDone, CommitJob, Disk, Work, WorkDone};
use mio::Waker;

/// Threads for commits and for background work on the log.
#[derive(Debug)]
pub struct Workers<D: Disk> {
    commits: Option<Sender<CommitJob<D>>>,
    work: Option<Sender<Work<D>>>,
    cold: Option<ColdWorkers<D>>,
    finished: Arc<Mailbox<D>>,
    threads: Vec<JoinHandle<()>>,
}

/// Something that a thread has done.
#[derive(Debug)]
pub enum Finished<D: Disk> {
    /// A commit.
    Commit {
        /// What the log wants back.
        done: CommitDone,
        /// How long it took.
        seconds: f64,
        /// Bytes it wrote.
        bytes: u64,
    },
    /// Background work.
    Work(WorkDone<D>),
    /// Work of the cold tier.
    Cold {
        /// What the log wants back.
        done: WorkDone<D>,
        /// What it was.
        name: &'static str,
        /// How long it took.
        seconds: f64,
    },
}

/// Threads that wait for a store of cold data, started with the first piece of work.
#[derive(Debug)]
struct ColdWorkers<D: Disk> {
    fetches: Sender<Work<D>>,
    upkeep: Sender<Work<D>>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Mailbox<D: Disk> {
    finished: Mutex<Vec<Finished<D>>>,
    waker: Arc<Waker>,
}

/// Threads for background work: a merge must not hold up a flush, nor either a new segment.
const WORK_THREADS: usize = 3;
/// Threads for fetches of cold data.
const FETCH_THREADS: usize = 4;
/// How long a stop waits for the store of cold data.
const COLD_PATIENCE: Duration = Duration::from_secs(1);

impl<D: Disk> Workers<D> {
    /// Starts the threads; they wake the event loop through `waker`.
    pub fn start(waker: &Arc<Waker>) -> io::Result<Self> {
        let mailbox = Arc::new(Mailbox {
            finished: Mutex::new(Vec::new()),
            waker: Arc::clone(waker),
        });
        let (commits, commit_jobs) = channel();
        let (work, work_jobs) = channel();
        let mut threads = vec![spawn("floe-commit", {
            let mailbox = Arc::clone(&mailbox);
            move || run_commits(&commit_jobs, &mailbox)
        })?];
        let work_jobs = Arc::new(Mutex::new(work_jobs));
        for _ in 0..WORK_THREADS {
            let (jobs, mailbox) = (Arc::clone(&work_jobs), Arc::clone(&mailbox));
            threads.push(spawn("floe-work", move || run_work(&jobs, &mailbox))?);
        }
        Ok(Self {
            commits: Some(commits),
            work: Some(work),
            cold: None,
            finished: mailbox,
            threads,
        })
    }

    /// Runs a commit.
    pub fn commit(&self, job: CommitJob<D>) {
        if let Some(commits) = &self.commits {
            commits
                .send(job)
                .expect("the commit thread runs as long as the workers");
        }
    }

    /// Runs background work.
    pub fn work(&self, work: Work<D>) {
        if let Some(sender) = &self.work {
            sender
                .send(work)
                .expect("the work threads run as long as the workers");
        }
    }

    /// Fetches cold data.
    pub fn fetch(&mut self, work: Work<D>) {
        self.cold()
            .fetches
            .send(work)
            .expect("the threads run as long as the workers");
    }

    /// Runs upkeep of the cold tier.
    pub fn keep_up(&mut self, work: Work<D>) {
        self.cold()
            .upkeep
            .send(work)
            .expect("the threads run as long as the workers");
    }

    fn cold(&mut self) -> &ColdWorkers<D> {
        let finished = &self.finished;
        self.cold.get_or_insert_with(|| {
            let (fetches, fetch_jobs) = channel();
            let (upkeep, upkeep_jobs) = channel();
            let fetch_jobs = Arc::new(Mutex::new(fetch_jobs));
            let mut threads: Vec<_> = (0..FETCH_THREADS)
                .filter_map(|_| spawn_cold("floe-fetch", &fetch_jobs, finished))
                .collect();
            let upkeep_jobs = Arc::new(Mutex::new(upkeep_jobs));
            threads.extend(spawn_cold("floe-cold", &upkeep_jobs, finished));
            ColdWorkers {
                fetches,
                upkeep,
                threads,
            }
        })
    }

    /// Takes what has been done since the last call, in the order in which it was finished.
    pub fn take_finished(&self) -> Vec<Finished<D>> {
        std::mem::take(
            &mut *self
                .finished
                .finished
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// Waits for all that is under way, but for a moment only for what waits for a store of cold
    /// data: that may take long, and nothing is lost if it ends with the process.
    pub fn stop(&mut self) {
        if let Some(ColdWorkers { threads, .. }) = self.cold.take() {
            let until = Instant::now() + COLD_PATIENCE;
            while Instant::now() < until && !threads.iter().all(JoinHandle::is_finished) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        self.commits = None;
        self.work = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl<D: Disk> Mailbox<D> {
    fn put(&self, finished: Finished<D>) {
        self.finished
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(finished);
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "the event loop could not be woken");
        }
    }
}

fn run_commits<D: Disk>(jobs: &Receiver<CommitJob<D>>, mailbox: &Mailbox<D>) {
    for job in jobs {
        mailbox.put(run_commit(job));
    }
}

/// Runs a commit on this thread.
pub fn run_commit<D: Disk>(job: CommitJob<D>) -> Finished<D> {
    let started = Instant::now();
    let bytes = job.bytes();
    let done = job.run();
    Finished::Commit {
        done,
        seconds: started.elapsed().as_secs_f64(),
        bytes,
    }
}

fn run_work<D: Disk>(jobs: &Mutex<Receiver<Work<D>>>, mailbox: &Mailbox<D>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(work) => mailbox.put(Finished::Work(work.run())),
            Err(_) => return,
        }
    }
}

/// Starts a thread for work of the cold tier.
fn spawn_cold<D: Disk>(
    name: &str,
    jobs: &Arc<Mutex<Receiver<Work<D>>>>,
    mailbox: &Arc<Mailbox<D>>,
) -> Option<JoinHandle<()>> {
    let (jobs, mailbox) = (Arc::clone(jobs), Arc::clone(mailbox));
    let spawned = spawn(name, move || {
        loop {
            let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(work) = job else { return };
            let (name, started) = (work.name(), Instant::now());
            let done = work.run();
            let seconds = started.elapsed().as_secs_f64();
            mailbox.put(Finished::Cold {
                done,
                name,
                seconds,
            });
        }
    });
    if let Err(error) = &spawned {
        tracing::error!(%error, "a thread for cold data was not started");
    }
    spawned.ok()
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.into()).spawn(run)
}
