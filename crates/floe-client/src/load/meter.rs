//! What a run counts, and the histograms behind its percentiles.

use hdrhistogram::Histogram;

/// What a client did, as its user would name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// One acknowledged append request.
    Append,
    /// One created stream.
    Create,
    /// One message that reached one live reader.
    Delivery,
    /// One answered long-poll request.
    Round,
    /// First byte of one catch-up answer.
    FirstByte,
    /// One stream read from start to tail.
    Pass,
    /// One client that has caught up with what it missed.
    Heal,
    /// One answered question in SQL, or to the SQL view.
    Query,
    /// One acknowledged change of a room's tables.
    Mutation,
    /// One update that a room's write buffer has taken.
    Update,
    /// One row that was seen in the replica after its insert was acknowledged.
    ReplicaLag,
    /// One packet of a voice that reached one participant.
    Packet,
    /// One participant that is connected, from its WebSocket's first byte on.
    Handshake,
}

impl Kind {
    const ALL: [Self; 13] = [
        Self::Append,
        Self::Create,
        Self::Delivery,
        Self::Round,
        Self::FirstByte,
        Self::Pass,
        Self::Heal,
        Self::Query,
        Self::Mutation,
        Self::Update,
        Self::ReplicaLag,
        Self::Packet,
        Self::Handshake,
    ];

    /// The word in reports.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Create => "create",
            Self::Delivery => "delivery",
            Self::Round => "round",
            Self::FirstByte => "first_byte",
            Self::Pass => "pass",
            Self::Heal => "heal",
            Self::Query => "query",
            Self::Mutation => "mutation",
            Self::Update => "update",
            Self::ReplicaLag => "replica_lag",
            Self::Packet => "packet",
            Self::Handshake => "handshake",
        }
    }
}

/// Counts and latencies of one [`Kind`].
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    /// Times it happened.
    pub(crate) count: u64,
    /// Messages that it carried.
    pub(crate) messages: u64,
    /// Bytes that it carried.
    pub(crate) bytes: u64,
    /// Nanoseconds that each took.
    pub(crate) latency_ns: Histogram<u64>,
}

impl Meter {
    fn new() -> Self {
        Self {
            count: 0,
            messages: 0,
            bytes: 0,
            latency_ns: new_histogram(),
        }
    }
}

/// Makes a histogram of latencies in nanoseconds.
pub(crate) fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(LATENCY_NS_MIN, LATENCY_NS_MAX, 3)
        .expect("the bounds are constants that the histogram takes")
}

/// One [`Meter`] per [`Kind`].
#[derive(Debug, Clone)]
pub(crate) struct Meters {
    meters: Vec<Meter>,
}

impl Meters {
    pub(crate) fn new() -> Self {
        Self {
            meters: Kind::ALL.iter().map(|_| Meter::new()).collect(),
        }
    }

    /// Notes that `kind` happened once and took `latency_ns`.
    pub(crate) fn note(&mut self, kind: Kind, latency_ns: u64, messages: u64, bytes: u64) {
        let meter = &mut self.meters[kind as usize];
        meter.count += 1;
        meter.messages += messages;
        meter.bytes += bytes;
        meter.latency_ns.saturating_record(latency_ns);
    }

    /// Notes that `kind` happened `count` times, of which these latencies are known.
    pub(crate) fn add(&mut self, kind: Kind, count: u64, bytes: u64, latency_ns: &Histogram<u64>) {
        let meter = &mut self.meters[kind as usize];
        meter.count += count;
        meter.messages += count;
        meter.bytes += bytes;
        meter
            .latency_ns
            .add(latency_ns)
            .expect("both have the same bounds");
    }

    /// Adds bytes to `kind` without counting it.
    pub(crate) fn note_bytes(&mut self, kind: Kind, bytes: u64) {
        self.meters[kind as usize].bytes += bytes;
    }

    pub(crate) fn of(&self, kind: Kind) -> &Meter {
        &self.meters[kind as usize]
    }

    /// What happened at all.
    pub(crate) fn seen(&self) -> impl Iterator<Item = (Kind, &Meter)> {
        Kind::ALL
            .into_iter()
            .map(|kind| (kind, self.of(kind)))
            .filter(|(_, meter)| meter.count > 0)
    }
}

/// Shorter is recorded as this.
const LATENCY_NS_MIN: u64 = 1_000;
/// Longer is recorded as this.
const LATENCY_NS_MAX: u64 = 120_000_000_000;
