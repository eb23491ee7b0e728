//! The thread that has the sockets of all participants.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token, Waker};

use super::participant::Participant;
use crate::load::meter::new_histogram;

/// The thread of a run's media; it ends with the run.
pub(crate) struct Media {
    commands: Commands,
    connected: Arc<AtomicUsize>,
}

/// The way to the thread.
#[derive(Clone)]
pub(crate) struct Commands {
    sender: Sender<Command>,
    waker: Arc<Waker>,
}

enum Command {
    /// Takes on a participant.
    Add(Box<Participant>),
    /// Has those who speak begin.
    Speak,
    /// Counts from here on.
    Measure,
    /// Ends, and says what was counted.
    Finish(Sender<Tally>),
}

/// What was counted.
#[derive(Debug)]
pub(super) struct Tally {
    began: Instant,
    is_measuring: bool,
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) bytes: u64,
    pub(super) lost: u64,
    pub(super) duplicates: u64,
    pub(super) out_of_order: u64,
    /// Streams on which something came.
    pub(super) streams: u64,
    /// From send to receive, of what was checked.
    pub(super) latency_ns: Histogram<u64>,
    /// From the first byte of a participant to its connection for media.
    pub(super) handshake_ns: Histogram<u64>,
    /// How late the generator itself was at worst.
    pub(super) late_ns_max: u64,
    pub(super) errors: BTreeMap<String, u64>,
}

impl Media {
    /// Starts the thread, whose speakers will say `payload_bytes` at a time.
    pub(super) fn start(payload_bytes: usize) -> io::Result<Self> {
        let poll = Poll::new()?;
        let (sender, receiver) = mpsc::channel();
        let commands = Commands {
            sender,
            waker: Arc::new(Waker::new(poll.registry(), WAKE)?),
        };
        let connected = Arc::new(AtomicUsize::new(0));
        let mut floor = Floor {
            poll,
            commands: receiver,
            participants: Vec::new(),
            due: BinaryHeap::new(),
            speakers: BinaryHeap::new(),
            payload_bytes,
            connected: Arc::clone(&connected),
            buffer: vec![0; BUFFER_BYTES],
            tally: Tally::new(),
        };
        thread::Builder::new()
            .name("media".to_owned())
            .spawn(move || floor.run())?;
        Ok(Self {
            commands,
            connected,
        })
    }

    /// The way to it.
    pub(super) fn orders(&self) -> Commands {
        self.commands.clone()
    }

    /// Returns how many participants are connected.
    pub(super) fn connected(&self) -> usize {
        self.connected.load(Ordering::Relaxed)
    }

    /// Has those who speak begin.
    pub(super) fn speak(&self) {
        self.commands.send(Command::Speak);
    }

    /// Counts from here on.
    pub(super) fn measure(&self) {
        self.commands.send(Command::Measure);
    }

    /// Ends it, and returns what was counted.
    pub(super) fn finish(&self) -> io::Result<Tally> {
        let (sender, tally) = mpsc::channel();
        self.commands.send(Command::Finish(sender));
        tally
            .recv_timeout(FINISH_LIMIT)
            .map_err(|_| io::Error::other("the thread for media has failed"))
    }
}

impl Commands {
    /// Takes on a participant.
    pub(crate) fn add(&self, participant: Participant) {
        self.send(Command::Add(Box::new(participant)));
    }

    fn send(&self, command: Command) {
        // A thread that is gone shows when the run ends.
        if self.sender.send(command).is_ok() {
            let _ = self.waker.wake();
        }
    }
}

/// What the thread has.
struct Floor {
    poll: Poll,
    commands: Receiver<Command>,
    participants: Vec<Option<Participant>>,
    /// When participants want to be woken.
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    /// When those who speak say the next.
    speakers: BinaryHeap<Reverse<(Instant, usize)>>,
    payload_bytes: usize,
    connected: Arc<AtomicUsize>,
    buffer: Vec<u8>,
    tally: Tally,
}

impl Floor {
    fn run(&mut self) {
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            loop {
                match self.commands.try_recv() {
                    Ok(Command::Finish(asked)) => return self.finish(&asked),
                    Ok(command) => self.obey(command),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
            match self.poll.poll(&mut events, Some(self.until_next())) {
                Err(error) if error.kind() != ErrorKind::Interrupted => {
                    return self.tally.note_error(&format!("poll: {}", error.kind()));
                }
                Ok(()) | Err(_) => {}
            }
            for event in &events {
                if let Token(at) = event.token()
                    && event.token() != WAKE
                {
                    let mut buffer = std::mem::take(&mut self.buffer);
                    self.with(at, |one, tally| one.receive(&mut buffer, tally));
                    self.buffer = buffer;
                }
            }
            self.wake_due();
            self.speak_due();
        }
    }

    fn until_next(&self) -> Duration {
        let next = [self.due.peek(), self.speakers.peek()];
        let next = next.into_iter().flatten().map(|Reverse((at, _))| *at).min();
        next.map_or(IDLE, |at| at.saturating_duration_since(Instant::now()))
            .min(IDLE)
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Add(participant) => self.add(*participant),
            Command::Speak => {
                let speakers = self.participants.iter().enumerate();
                let speakers = speakers.filter(|(_, one)| {
                    let mut one = one.iter();
                    one.any(|one| one.who.speaks)
                });
                let speakers: Vec<_> = speakers.map(|(at, _)| at).collect();
                // Nobody begins to speak in step with all others.
                let step = INTERVAL / u32::try_from(speakers.len().max(1)).unwrap_or(u32::MAX);
                let mut begins = Instant::now();
                for at in speakers {
                    self.speakers.push(Reverse((begins, at)));
                    begins += step;
                }
            }
            Command::Measure => {
                self.tally.begin();
                let all = self.participants.iter_mut().flatten();
                all.for_each(Participant::begin);
            }
            Command::Finish(_) => {}
        }
    }

    fn add(&mut self, mut participant: Participant) {
        let at = self.participants.len();
        let registry = self.poll.registry();
        let registered = registry.register(&mut participant.socket, Token(at), Interest::READABLE);
        if let Err(error) = registered {
            return self.tally.note_error(&format!("socket: {}", error.kind()));
        }
        self.participants.push(Some(participant));
        self.with(at, |one, tally| one.wake(Instant::now(), tally));
    }

    fn wake_due(&mut self) {
        let now = Instant::now();
        while let Some(&Reverse((due, at))) = self.due.peek()
            && due <= now
        {
            self.due.pop();
            let Some(one) = self.participants[at].as_mut() else {
                continue;
            };
            // Only the newest entry counts, and only when nothing was put off meanwhile.
            if one.looked_at != Some(due) {
                continue;
            }
            one.looked_at = None;
            let is_due = one.due <= now;
            self.with(at, |one, tally| match is_due {
                true => one.wake(now, tally),
                false => Ok(()),
            });
        }
    }

    fn speak_due(&mut self) {
        let bytes = self.payload_bytes;
        while let Some(&Reverse((due, at))) = self.speakers.peek() {
            let now = Instant::now();
            if due > now {
                break;
            }
            self.speakers.pop();
            self.tally.note_late(now.saturating_duration_since(due));
            if self.participants[at].is_some() {
                self.speakers.push(Reverse((due + INTERVAL, at)));
                self.with(at, |one, tally| one.speak(now, bytes, tally));
            }
        }
    }

    /// Has a participant do something, and sees to what comes of it. Who fails is out.
    fn with(
        &mut self,
        at: usize,
        act: impl FnOnce(&mut Participant, &mut Tally) -> Result<(), String>,
    ) {
        let Some(one) = self.participants[at].as_mut() else {
            return;
        };
        let was_connected = one.is_connected;
        if let Err(error) = act(one, &mut self.tally) {
            self.tally.note_error(&error);
            self.participants[at] = None;
            return;
        }
        if one.is_connected && !was_connected {
            self.connected.fetch_add(1, Ordering::Relaxed);
            let took = one.who.since.elapsed().as_nanos() as u64;
            self.tally.handshake_ns.saturating_record(took);
        }
        if one.looked_at.is_none_or(|looked_at| one.due < looked_at) {
            one.looked_at = Some(one.due);
            self.due.push(Reverse((one.due, at)));
        }
    }

    fn finish(&mut self, asked: &Sender<Tally>) {
        let mut tally = std::mem::replace(&mut self.tally, Tally::new());
        for participant in self.participants.iter().flatten() {
            participant.add_to(&mut tally);
        }
        // Who asked and waits no longer wants no answer.
        let _ = asked.send(tally);
    }
}

impl Tally {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            is_measuring: false,
            sent: 0,
            received: 0,
            bytes: 0,
            lost: 0,
            duplicates: 0,
            out_of_order: 0,
            streams: 0,
            latency_ns: new_histogram(),
            handshake_ns: new_histogram(),
            late_ns_max: 0,
            errors: BTreeMap::new(),
        }
    }

    /// Returns a moment on the run's clock.
    pub(super) fn nanos(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.began).as_nanos() as u64
    }

    /// Takes note of a packet that took so long.
    pub(super) fn heard(&mut self, latency_ns: u64) {
        if self.is_measuring {
            self.latency_ns.saturating_record(latency_ns);
        }
    }

    /// Counts something that went wrong.
    pub(super) fn note_error(&mut self, what: &str) {
        *self.errors.entry(what.to_owned()).or_default() += 1;
    }

    fn note_late(&mut self, late: Duration) {
        if self.is_measuring {
            self.late_ns_max = self.late_ns_max.max(late.as_nanos() as u64);
        }
    }

    fn begin(&mut self) {
        self.is_measuring = true;
        self.sent = 0;
        self.bytes = 0;
    }
}

const WAKE: Token = Token(usize::MAX);
const EVENTS_MAX: usize = 1024;
/// More than a datagram of media has.
const BUFFER_BYTES: usize = 2048;
/// From packet to packet of one voice.
const INTERVAL: Duration = Duration::from_millis(20);
/// How long the thread sleeps at most.
const IDLE: Duration = Duration::from_millis(100);
const FINISH_LIMIT: Duration = Duration::from_secs(20);
