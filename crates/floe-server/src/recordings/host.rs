//! The recordings as the event loop sees them.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use floe_log::ObjectStore;
use floe_media::recording::{Recorded, Spoke};
use floe_proto::{Code, RoomId};
use mio::Waker;
use serde_json::Value;

use super::folder::{Folder, Root};
use super::inbox::{Command, Inbox};
use super::index::{Index, shown_times};
use super::mend::mend;
use super::recorder::Recorder;
use super::shelf::{Answer, Found, Question, Shelf, Stored};
use super::{RecordingSettings, index};
use crate::metrics::RecordingMetrics;
use crate::shard::{Failure, Ticket};

/// The threads of recordings.
#[derive(Debug)]
pub struct Recordings {
    settings: RecordingSettings,
    inbox: Arc<Inbox>,
    mailbox: Arc<Mailbox>,
    jobs: Option<Sender<Job>>,
    /// Rooms that are recorded, and what their recordings are called.
    under_way: BTreeMap<RoomId, Arc<str>>,
    /// Questions that nobody has answered yet.
    asking: usize,
    threads: Vec<JoinHandle<()>>,
}

/// Where the media thread hands over what is said in recorded rooms.
#[derive(Debug, Clone)]
pub struct Tap {
    inbox: Arc<Inbox>,
}

/// What came of recordings.
#[derive(Debug)]
pub enum News {
    /// One has ended.
    Ended {
        /// Of which room.
        room: RoomId,
        /// The room's full name.
        name: Box<[u8]>,
        /// What the recording is called.
        recording: Arc<str>,
        /// What it holds, and who spoke when.
        index: Value,
    },
    /// A question is answered.
    Answered {
        /// Who asked.
        ticket: Ticket,
        /// What came of it.
        answer: Result<Answer, Failure>,
    },
}

/// Where the threads leave their news.
#[derive(Debug)]
pub struct Mailbox {
    news: Mutex<Vec<News>>,
    waker: Arc<Waker>,
}

/// What the shelf's threads are to do.
#[derive(Debug)]
enum Job {
    Answer(Ticket, Question),
    /// Move to the store what is not there yet.
    Move,
}

/// What the thread is to do that waits for the store.
#[derive(Debug)]
enum StoreJob {
    Fetch(Ticket, Stored),
    Delete(Ticket, RoomId, Box<str>),
    Move,
    Prune(u64),
}

/// Questions that wait; above, they are refused.
const ASKING_MAX: usize = 256;
/// How often is looked for what is too old, and for what was not moved.
const UPKEEP: Duration = Duration::from_secs(60);

impl Recordings {
    /// Starts the threads; they wake the event loop through `waker` when there is news.
    ///
    /// # Errors
    /// The operating system's.
    pub fn start(
        settings: RecordingSettings,
        data: &Path,
        store: Option<Arc<dyn ObjectStore>>,
        waker: &Arc<Waker>,
        metrics: RecordingMetrics,
    ) -> io::Result<Self> {
        let root = Root::new(data.join("recordings"));
        std::fs::create_dir_all(root.path())?;
        let inbox = Arc::new(Inbox::default());
        let mailbox = Arc::new(Mailbox {
            news: Mutex::default(),
            waker: Arc::clone(waker),
        });
        let mut left = root.all()?;
        left.retain(|folder| !matches!(folder.kept(), Ok(Some(_))));
        let recorder = Recorder {
            settings,
            root: root.clone(),
            inbox: Arc::clone(&inbox),
            mailbox: Arc::clone(&mailbox),
            metrics: metrics.clone(),
            rooms: BTreeMap::new(),
            names: BTreeMap::new(),
        };
        let (jobs, asked) = channel();
        let (store_jobs, stored) = channel();
        let shelf = Shelf {
            root,
            store,
            copies: Arc::new(()),
        };
        let keeper = Keeper {
            shelf: shelf.clone(),
            keep_ms: settings.keep_ms(),
            mailbox: Arc::clone(&mailbox),
            store_jobs,
            metrics: metrics.clone(),
        };
        let mover = Mover {
            shelf,
            mailbox: Arc::clone(&mailbox),
            metrics,
        };
        let threads = vec![
            spawn("floe-recorder", move || recorder.run())?,
            spawn("floe-recordings", move || keeper.run(left, &asked))?,
            spawn("floe-rec-store", move || mover.run(&stored))?,
        ];
        Ok(Self {
            settings,
            inbox,
            mailbox,
            jobs: Some(jobs),
            under_way: BTreeMap::new(),
            asking: 0,
            threads,
        })
    }

    /// Whether anything may be recorded.
    pub const fn is_on(&self) -> bool {
        self.settings.at_once_max > 0
    }

    /// Whether something is being recorded, or was and is not told of yet.
    pub fn are_under_way(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Returns where the media thread hands over packets.
    pub fn tap(&self) -> Tap {
        Tap {
            inbox: Arc::clone(&self.inbox),
        }
    }

    /// Begins a recording of a room, which is called so.
    ///
    /// # Errors
    /// When there are too many.
    pub fn begin(
        &mut self,
        room: RoomId,
        name: &[u8],
        recording: &Arc<str>,
    ) -> Result<(), Failure> {
        self.check_begin(room)?;
        self.under_way.insert(room, Arc::clone(recording));
        self.inbox.push(Command::Begin {
            room,
            name: name.into(),
            recording: Arc::clone(recording),
        });
        Ok(())
    }

    /// Has a recording end, in a moment: the media thread may yet have something of it, and says so
    /// itself when it has not.
    pub fn end(&self, room: RoomId, recording: &Arc<str>) {
        self.inbox.push(Command::Linger {
            room,
            recording: Arc::clone(recording),
        });
    }

    /// Checks whether a recording of a room may begin.
    ///
    /// # Errors
    /// When there are too many.
    pub fn check_begin(&self, room: RoomId) -> Result<(), Failure> {
        let is_new = !self.under_way.contains_key(&room);
        if is_new && self.under_way.len() >= self.settings.at_once_max {
            let message = "media.recordings_max recordings are under way";
            return Err(Failure::new(Code::LimitReached, message));
        }
        Ok(())
    }

    /// Asks something; the answer comes as [`News`].
    ///
    /// # Errors
    /// When too much was asked already.
    pub fn ask(&mut self, ticket: Ticket, question: Question) -> Result<(), Failure> {
        if self.asking >= ASKING_MAX {
            let message = "too many questions about recordings wait for their answers";
            return Err(Failure::new(Code::Overloaded, message));
        }
        let jobs = self.jobs.as_ref();
        let asked = jobs.is_some_and(|jobs| jobs.send(Job::Answer(ticket, question)).is_ok());
        if !asked {
            return Err(Failure::new(Code::Stopping, "the server stops"));
        }
        self.asking += 1;
        Ok(())
    }

    /// Takes what came of recordings since the last call.
    pub fn take_news(&mut self) -> Vec<News> {
        let news = self.mailbox.news.lock();
        let news = std::mem::take(&mut *news.unwrap_or_else(PoisonError::into_inner));
        for one in &news {
            match one {
                News::Ended {
                    room, recording, ..
                } => {
                    if self.under_way.get(room) == Some(recording) {
                        self.under_way.remove(room);
                    }
                    if let Some(jobs) = &self.jobs {
                        let _ = jobs.send(Job::Move);
                    }
                }
                News::Answered { .. } => self.asking -= 1,
            }
        }
        news
    }

    /// Ends what is recorded, and waits for it to be written; for a store it waits a moment only.
    pub fn stop(&mut self) {
        const PATIENCE: Duration = Duration::from_secs(1);
        self.inbox.push(Command::Stop);
        self.jobs = None;
        let mut threads = self.threads.drain(..);
        if let Some(recorder) = threads.next() {
            let _ = recorder.join();
        }
        let until = Instant::now() + PATIENCE;
        for thread in threads {
            while Instant::now() < until && !thread.is_finished() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

impl Tap {
    /// Hands over a packet; `false` where there is no room for it.
    pub fn hear(&self, packet: Recorded) -> bool {
        self.inbox.push(Command::Packet(packet))
    }

    /// Ends a recording of a room, if it is under way.
    pub fn end(&self, room: RoomId, recording: Arc<str>) {
        self.inbox.push(Command::End { room, recording });
    }
}

impl News {
    /// Tells of a recording that it has ended.
    pub(super) fn ended(room: RoomId, name: Box<[u8]>, index: &Index, times: &[Spoke]) -> Self {
        let mut shown = index.shown();
        shown["spoke"] = shown_times(times);
        Self::Ended {
            room,
            name,
            recording: Arc::clone(&index.recording),
            index: shown,
        }
    }
}

impl Mailbox {
    /// Leaves news.
    pub(super) fn put(&self, news: News) {
        let all = self.news.lock();
        all.unwrap_or_else(PoisonError::into_inner).push(news);
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "the event loop could not be woken");
        }
    }
}

/// Answers what the disk knows, and looks after what is there.
#[derive(Debug)]
struct Keeper {
    shelf: Shelf,
    keep_ms: Option<u64>,
    mailbox: Arc<Mailbox>,
    store_jobs: Sender<StoreJob>,
    metrics: RecordingMetrics,
}

impl Keeper {
    fn run(self, left: Vec<Folder>, jobs: &Receiver<Job>) {
        for folder in left {
            self.mend(&folder);
        }
        self.keep_up();
        let mut kept_up = Instant::now();
        loop {
            match jobs.recv_timeout(UPKEEP) {
                Ok(Job::Answer(ticket, question)) => self.answer(ticket, question),
                Ok(Job::Move) => self.pass(StoreJob::Move),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if kept_up.elapsed() >= UPKEEP {
                kept_up = Instant::now();
                self.keep_up();
            }
        }
    }

    /// Ends what a crash left.
    fn mend(&self, folder: &Folder) {
        let name = folder.begun().map(|begun| begun.room_name);
        match (mend(folder), name) {
            (Ok(Some(index)), Ok(name)) => {
                self.metrics.ended(index::Why::Interrupted);
                let news = News::ended(folder.room, name.into(), &index, &[]);
                self.mailbox.put(news);
            }
            (Ok(_), _) => {}
            (Err(error), _) => {
                tracing::warn!(%error, "a recording that was cut off is left as it is")
            }
        }
    }

    fn keep_up(&self) {
        self.pass(StoreJob::Move);
        if let Some(keep_ms) = self.keep_ms {
            self.pass(StoreJob::Prune(keep_ms));
        }
    }

    fn answer(&self, ticket: Ticket, question: Question) {
        let answer = match question {
            Question::List { room } => self.shelf.list(room).map(Answer::Json),
            Question::Index { room, recording } => {
                self.shelf.index(room, &recording).map(Answer::Json)
            }
            Question::File {
                room,
                recording,
                file,
                range,
            } => match self.shelf.file(room, &recording, &file, range) {
                Ok(Found::Here(lent)) => Ok(Answer::File(lent)),
                Ok(Found::Stored(stored)) => return self.pass(StoreJob::Fetch(ticket, stored)),
                Err(failure) => Err(failure),
            },
            Question::Delete { room, recording } => {
                return self.pass(StoreJob::Delete(ticket, room, recording));
            }
        };
        self.mailbox.put(News::Answered { ticket, answer });
    }

    fn pass(&self, job: StoreJob) {
        if self.store_jobs.send(job).is_err() {
            tracing::error!("the thread for stored recordings has ended");
        }
    }
}

/// Does what may take as long as a store does.
#[derive(Debug)]
struct Mover {
    shelf: Shelf,
    mailbox: Arc<Mailbox>,
    metrics: RecordingMetrics,
}

impl Mover {
    fn run(self, jobs: &Receiver<StoreJob>) {
        let mut moves = false;
        loop {
            // Whoever asks goes first.
            let job = match moves {
                true => match jobs.try_recv() {
                    Ok(job) => job,
                    Err(_) => {
                        moves = self.move_one();
                        continue;
                    }
                },
                false => match jobs.recv() {
                    Ok(job) => job,
                    Err(_) => return,
                },
            };
            match job {
                StoreJob::Move => moves = true,
                StoreJob::Prune(keep_ms) => match self.shelf.prune(keep_ms) {
                    Ok(pruned) => self.metrics.pruned(pruned),
                    Err(failure) => {
                        let code = failure.code.as_str();
                        tracing::warn!(code, "old recordings could not be deleted");
                    }
                },
                StoreJob::Fetch(ticket, stored) => {
                    let answer = self.shelf.fetch(&stored).map(Answer::File);
                    self.mailbox.put(News::Answered { ticket, answer });
                }
                StoreJob::Delete(ticket, room, recording) => {
                    let deleted = self.shelf.delete(room, &recording);
                    let answer = deleted.map(|()| Answer::Done);
                    self.mailbox.put(News::Answered { ticket, answer });
                }
            }
        }
    }

    /// Moves a recording to the store; returns whether there may be more.
    fn move_one(&self) -> bool {
        match self.shelf.move_one() {
            Ok(moved) => {
                self.metrics.moved(moved);
                moved
            }
            Err(failure) => {
                let code = failure.code.as_str();
                tracing::warn!(code, "a recording could not be moved to the store");
                false
            }
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.into()).spawn(run)
}
