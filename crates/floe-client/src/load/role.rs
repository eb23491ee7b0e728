//! What a connection does, apart from sockets: the contract between engine and workloads.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Instant;

use super::meter::{Kind, Meters};
use super::response::Head;
use super::target::Target;

/// One connection's part in a workload.
///
/// The engine calls in, the role writes requests into [`Io::out`]; they are sent when it returns.
pub(crate) trait Role {
    /// The connection is open, for the first time or again.
    fn handle_open(&mut self, io: &mut Io<'_>);
    /// All connections of the run may begin.
    fn handle_start(&mut self, io: &mut Io<'_>) {
        let _ = io;
    }
    /// The moment asked for with [`Io::wake_at`] has come; early and repeated calls happen.
    fn handle_wake(&mut self, io: &mut Io<'_>) {
        let _ = io;
    }
    /// The head of an answer has arrived.
    fn handle_head(&mut self, io: &mut Io<'_>, head: &Head<'_>);
    /// A piece of its body has arrived.
    fn handle_body(&mut self, io: &mut Io<'_>, body: &[u8]) {
        let _ = (io, body);
    }
    /// The answer is complete.
    fn handle_end(&mut self, io: &mut Io<'_>);
    /// The connection is gone; the result says whether to open it again.
    fn handle_close(&mut self, io: &mut Io<'_>) -> After;
}

/// What follows the end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// Open it again.
    Reconnect,
    /// Leave it closed.
    Stop,
}

/// What a role may touch while it handles something.
pub(crate) struct Io<'a> {
    /// Number of the connection.
    pub(crate) connection: usize,
    /// Bytes to send.
    pub(crate) out: &'a mut Vec<u8>,
    /// State of the run that all connections share.
    pub(crate) shared: &'a mut Shared,
}

impl Io<'_> {
    /// Asks for [`Role::handle_wake`] at a moment of the run's clock.
    pub(crate) fn wake_at(&mut self, at_ns: u64) {
        self.shared.wakes.push(Reverse((at_ns, self.connection)));
    }
}

/// State that all connections of one run share.
pub(crate) struct Shared {
    /// The server under load.
    pub(crate) target: Target,
    /// Whether what happens now is counted.
    pub(crate) measuring: bool,
    /// Whether roles begin new work.
    pub(crate) running: bool,
    /// Whether those who ask begin new work, too.
    pub(crate) asking: bool,
    /// Connections that can take part: open, and for live readers registered.
    pub(crate) ready: usize,
    /// Requests without an answer, live ones apart.
    pub(crate) in_flight: usize,
    /// Appends or creates that may still begin.
    pub(crate) operations_left: u64,
    /// Operations completed since the run began, measured or not.
    pub(crate) completed: u64,
    /// Messages acknowledged, by writer.
    pub(crate) written: Vec<u64>,
    /// Messages received in order by all live readers.
    pub(crate) received: u64,
    /// Clients that have caught up.
    pub(crate) healed: usize,
    /// Connections opened again after the server closed them.
    pub(crate) reconnects: u64,
    /// What preparations were told: identities of channels, by number.
    pub(crate) names: Vec<String>,
    /// What was counted.
    pub(crate) meters: Meters,
    /// What went wrong, and how often.
    pub(crate) errors: BTreeMap<String, u64>,
    /// A buffer for who needs one for a moment.
    pub(crate) scratch: Vec<u8>,
    pub(super) wakes: BinaryHeap<Reverse<(u64, usize)>>,
    started: Instant,
}

impl Shared {
    pub(crate) fn new(target: Target) -> Self {
        Self {
            target,
            measuring: false,
            running: false,
            asking: true,
            ready: 0,
            in_flight: 0,
            operations_left: u64::MAX,
            completed: 0,
            written: Vec::new(),
            received: 0,
            healed: 0,
            reconnects: 0,
            names: Vec::new(),
            meters: Meters::new(),
            errors: BTreeMap::new(),
            scratch: Vec::new(),
            wakes: BinaryHeap::new(),
            started: Instant::now(),
        }
    }

    /// Nanoseconds on the run's clock.
    pub(crate) fn now_ns(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    /// Counts what happened, if it is being measured.
    pub(crate) fn note(&mut self, kind: Kind, latency_ns: u64, messages: u64, bytes: u64) {
        if self.measuring {
            self.meters.note(kind, latency_ns, messages, bytes);
        }
    }

    /// Adds bytes to `kind`, if it is being measured.
    pub(crate) fn note_bytes(&mut self, kind: Kind, bytes: u64) {
        if self.measuring {
            self.meters.note_bytes(kind, bytes);
        }
    }

    /// Counts something that went wrong.
    pub(crate) fn note_error(&mut self, what: &str) {
        match self.errors.get_mut(what) {
            Some(count) => *count += 1,
            None => {
                self.errors.insert(what.to_owned(), 1);
            }
        }
    }

    /// Counts an answer with an unexpected status.
    pub(crate) fn note_status(&mut self, what: &str, status: u16) {
        self.note_error(&format!("{what} answered {status}"));
    }

    /// Takes one of the operations that may still begin.
    pub(crate) fn take_operation(&mut self) -> bool {
        let begin = self.running && self.operations_left > 0;
        if begin {
            self.operations_left -= 1;
            self.in_flight += 1;
        }
        begin
    }
}
