//! What the event loop and the thread for media tell each other.

use std::collections::{BTreeMap, VecDeque};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use floe_core::voice::{MediaError, MediaInput, MediaOutput, Quality, SeatId, Track};
use floe_media::Counters;
use mio::Waker;

/// Both ends share it.
#[derive(Debug)]
pub struct Link {
    inputs: Mutex<VecDeque<MediaInput>>,
    outbox: Mutex<Outbox>,
    /// Whether the loop has something to take.
    said: AtomicBool,
    /// Connections that bring media, and what was read of them.
    handed: Mutex<Vec<Handed>>,
    totals: Mutex<MediaTotals>,
    /// Answers that the loop has not taken.
    unheard: AtomicUsize,
    stopping: AtomicBool,
    ended: AtomicBool,
    thread: Waker,
    event_loop: Arc<Waker>,
}

/// A connection that brings media, and what was read of it.
pub type Handed = (TcpStream, Vec<u8>);

/// What the thread has done, and how it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct MediaTotals {
    /// What was forwarded.
    pub forwarded: Counters,
    /// Datagrams that the system did not take in time.
    pub unsent: u64,
    /// Frames that receivers over TCP did not take in time.
    pub unsent_tcp: u64,
    /// Connections over TCP.
    pub tcp_connections: u64,
    /// Microseconds in which the thread did not sleep.
    pub busy_us: u64,
}

/// What the thread has to say. What is true until something else is, is kept in its newest form alone,
/// so that it is bounded by the seats of all rooms, and answers by what was asked.
#[derive(Debug, Default)]
struct Outbox {
    answers: VecDeque<MediaOutput>,
    tracks: BTreeMap<SeatId, Box<[Track]>>,
    speaking: BTreeMap<SeatId, bool>,
    quality: BTreeMap<SeatId, Quality>,
}

/// What browsers ask for, and answers to it, that wait at once; above, they are told to come back.
const ASKED_MAX: usize = 4_096;
/// Connections that wait for the thread; above, they are closed.
const HANDED_MAX: usize = 256;
/// All that waits for the thread at once. Who comes and goes is not asked, but told, and it matters more.
const TOLD_MAX: usize = 16 * ASKED_MAX;

impl Link {
    /// Makes one over which nothing was said.
    pub fn new(thread: Waker, event_loop: Arc<Waker>) -> Self {
        Self {
            inputs: Mutex::default(),
            outbox: Mutex::default(),
            said: AtomicBool::new(false),
            handed: Mutex::default(),
            totals: Mutex::default(),
            unheard: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            thread,
            event_loop,
        }
    }

    /// Tells the thread something.
    ///
    /// # Errors
    /// When it is gone, or far behind.
    pub fn tell(&self, input: MediaInput) -> Result<(), MediaError> {
        if self.ended.load(Ordering::Acquire) {
            return Err(MediaError::Unavailable);
        }
        let (waiting, most) = match input {
            MediaInput::Signal { .. } | MediaInput::Watch { .. } => {
                (self.unheard.load(Ordering::Acquire), ASKED_MAX)
            }
            MediaInput::Joined { .. }
            | MediaInput::Changed { .. }
            | MediaInput::Away(_)
            | MediaInput::Returned(_)
            | MediaInput::Left(_)
            | MediaInput::Record { .. }
            | MediaInput::Timeout => (0, TOLD_MAX),
        };
        let mut inputs = lock(&self.inputs);
        if inputs.len() + waiting >= most {
            return Err(MediaError::Busy);
        }
        inputs.push_back(input);
        if inputs.len() == 1 {
            self.wake_thread();
        }
        Ok(())
    }

    /// Hands a connection over that brings media; without room for it, it is closed.
    pub fn hand(&self, handed: Handed) {
        if self.has_ended() {
            return;
        }
        let mut all = lock(&self.handed);
        if all.len() < HANDED_MAX {
            all.push(handed);
            if all.len() == 1 {
                self.wake_thread();
            }
        }
    }

    /// Takes the connections that were handed over.
    pub fn take_handed(&self) -> Vec<Handed> {
        std::mem::take(&mut *lock(&self.handed))
    }

    /// Says what has been done by now.
    pub fn count(&self, totals: MediaTotals) {
        *lock(&self.totals) = totals;
    }

    /// Returns what had been done lately.
    pub fn totals(&self) -> MediaTotals {
        *lock(&self.totals)
    }

    /// Takes all that the loop told.
    pub fn take_inputs(&self) -> VecDeque<MediaInput> {
        std::mem::take(&mut *lock(&self.inputs))
    }

    /// Hands over what the loop is to hear.
    pub fn say(&self, outputs: impl Iterator<Item = MediaOutput>) {
        let mut outputs = outputs.peekable();
        if outputs.peek().is_none() {
            return;
        }
        let mut outbox = lock(&self.outbox);
        outputs.for_each(|output| outbox.put(output));
        self.unheard.store(outbox.answers.len(), Ordering::Release);
        drop(outbox);
        if !self.said.swap(true, Ordering::AcqRel)
            && let Err(error) = self.event_loop.wake()
        {
            tracing::warn!(%error, "the event loop was not woken for media");
        }
    }

    /// Takes all that the thread said: answers first.
    pub fn hear(&self) -> VecDeque<MediaOutput> {
        if !self.said.swap(false, Ordering::AcqRel) {
            return VecDeque::new();
        }
        let outbox = std::mem::take(&mut *lock(&self.outbox));
        self.unheard.store(0, Ordering::Release);
        outbox.into_all()
    }

    /// Asks the thread to end.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.wake_thread();
    }

    /// Returns whether the thread is to end.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Says that the thread has ended.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Returns whether nothing is carried any more.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    fn wake_thread(&self) {
        if let Err(error) = self.thread.wake() {
            tracing::warn!(%error, "the thread for media was not woken");
        }
    }
}

impl Outbox {
    fn put(&mut self, output: MediaOutput) {
        match output {
            MediaOutput::Signal { .. } | MediaOutput::Refused { .. } => {
                self.answers.push_back(output);
            }
            MediaOutput::Tracks { seat, tracks } => {
                self.tracks.insert(seat, tracks);
            }
            MediaOutput::Speaking { seat, speaking } => {
                self.speaking.insert(seat, speaking);
            }
            MediaOutput::Quality { seat, quality } => {
                self.quality.insert(seat, quality);
            }
        }
    }

    fn into_all(self) -> VecDeque<MediaOutput> {
        let Self {
            answers: mut all,
            tracks,
            speaking,
            quality,
        } = self;
        let tracks = tracks.into_iter();
        all.extend(tracks.map(|(seat, tracks)| MediaOutput::Tracks { seat, tracks }));
        let speaking = speaking.into_iter();
        all.extend(speaking.map(|(seat, speaking)| MediaOutput::Speaking { seat, speaking }));
        let quality = quality.into_iter();
        all.extend(quality.map(|(seat, quality)| MediaOutput::Quality { seat, quality }));
        all
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use floe_core::voice::Signal;
    use floe_proto::RoomId;
    use mio::{Poll, Token};

    fn link() -> (Link, Poll) {
        let poll = Poll::new().unwrap();
        let thread = Waker::new(poll.registry(), Token(0)).unwrap();
        let event_loop = Arc::new(Waker::new(Poll::new().unwrap().registry(), Token(0)).unwrap());
        (Link::new(thread, event_loop), poll)
    }

    const fn seat(seat: u64) -> SeatId {
        let room = RoomId(1);
        SeatId { room, seat }
    }

    fn signal() -> MediaInput {
        MediaInput::Signal {
            seat: seat(1),
            signal: Signal::Candidate(None),
        }
    }

    fn answer() -> MediaOutput {
        MediaOutput::Refused {
            seat: seat(1),
            error: MediaError::Busy,
        }
    }

    #[test]
    fn what_is_asked_is_bounded_with_its_answers_and_who_goes_is_told_all_the_same() {
        let (link, _poll) = link();
        for _ in 0..ASKED_MAX {
            link.tell(signal()).unwrap();
        }
        assert_eq!(link.tell(signal()), Err(MediaError::Busy));
        link.tell(MediaInput::Left(seat(1))).unwrap();
        assert_eq!(link.take_inputs().len(), ASKED_MAX + 1);
        link.say((0..ASKED_MAX).map(|_| answer()));
        assert_eq!(link.tell(signal()), Err(MediaError::Busy));
        assert_eq!(link.hear().len(), ASKED_MAX);
        link.tell(signal()).unwrap();
        link.end();
        assert_eq!(link.tell(signal()), Err(MediaError::Unavailable));
    }

    #[test]
    fn what_holds_until_something_else_does_is_heard_in_its_newest_form() {
        let (link, _poll) = link();
        assert!(link.hear().is_empty());
        let speaking = |number, speaking| MediaOutput::Speaking {
            seat: seat(number),
            speaking,
        };
        let said = [speaking(2, true), speaking(1, true), speaking(2, false)];
        link.say(said.into_iter().chain([answer()]));
        let heard = [answer(), speaking(1, true), speaking(2, false)];
        assert_eq!(link.hear(), heard);
        assert!(link.hear().is_empty());
    }
}
