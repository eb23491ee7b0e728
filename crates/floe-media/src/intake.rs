//! What one connection takes in.

use std::time::{Duration, Instant};

use floe_core::voice::Quality;
use str0m::media::{Mid, Rid};
use str0m::stats::{MediaEgressStats, MediaIngressStats};

use crate::bucket::Bucket;
use crate::config::Config;
use crate::counters::Counters;
use crate::quality::{Grading, Measure};
use crate::streams::{Streams, Tally};

/// What came on a connection, how well, and how much more may come.
#[derive(Debug)]
pub struct Intake {
    /// The streams that come.
    pub streams: Streams,
    /// Of those, how many came in the last interval.
    pub live: u64,
    /// How unevenly they come, in seconds: the worst.
    pub jitter: f64,
    /// How long the way there and back is.
    pub round_trip: Option<Duration>,
    /// What may come of sound and pictures, in bits.
    rate: Bucket,
    addresses: Bucket,
    addresses_ever: u32,
    /// When something was agreed on last.
    began_at: Instant,
    /// When something came last.
    came_at: Option<Instant>,
    /// When it was last seen to be connected.
    connected_at: Option<Instant>,
    /// When it was last seen to be lost.
    lost_at: Option<Instant>,
    grading: Grading,
    /// What str0m counted by now, of each stream that goes out.
    sent: Vec<Sent>,
    /// What it counted of each stream that comes.
    asked: Vec<Asked>,
    /// What was lost of the packets that went out since it was judged.
    lost_out: Tally,
    is_measured: bool,
}

#[derive(Debug)]
struct Sent {
    place: (Mid, Option<Rid>),
    /// The highest number that the browser has reported.
    numbers: u64,
    lost: u64,
    nacks: u64,
    plis: u64,
}

#[derive(Debug)]
struct Asked {
    place: (Mid, Option<Rid>),
    nacks: u64,
    plis: u64,
}

/// New addresses of one browser within a moment, beyond which they have to wait.
const ADDRESSES_BURST: f64 = 32.0;
/// New addresses a second, from then on.
const ADDRESSES_PER_SECOND: f64 = 0.2;
/// New addresses of one connection ever: each is remembered until ICE restarts.
const ADDRESSES_EVER_MAX: u32 = 1_024;
/// What comes of one who is heard comes several times a second; when nothing came for so long, the
/// connection is lost.
const LOST: Duration = Duration::from_secs(5);
/// Who sends nothing of their own proves every 4 to 6 seconds that they are there (RFC 7675).
const LOST_SILENT: Duration = Duration::from_millis(7_500);
/// For so long after it came back, what was missed meanwhile is still told, and not judged.
const FORGIVEN: Duration = Duration::from_secs(8);
/// What stays lost for so long, or never was there, gives back what it has.
const STAYS: Duration = Duration::from_secs(30);

impl Intake {
    /// Begins.
    pub fn new(config: &Config, now: Instant) -> Self {
        let bits = config.bitrate_max as f64;
        Self {
            streams: Streams::new(config.streams_max),
            jitter: 0.0,
            round_trip: None,
            rate: Bucket::new(bits, bits),
            addresses: Bucket::new(ADDRESSES_PER_SECOND, ADDRESSES_BURST),
            addresses_ever: 0,
            began_at: now,
            came_at: None,
            connected_at: None,
            lost_at: None,
            live: 0,
            grading: Grading::default(),
            sent: Vec::new(),
            asked: Vec::new(),
            lost_out: Tally::default(),
            is_measured: false,
        }
    }

    /// Takes note that something came.
    pub const fn came(&mut self, now: Instant) {
        self.came_at = Some(now);
    }

    /// Whether one more address may be proved.
    pub fn admits_address(&mut self, now: Instant) -> bool {
        let may = self.addresses_ever < ADDRESSES_EVER_MAX && self.addresses.take(1.0, now);
        self.addresses_ever += u32::from(may);
        may
    }

    /// Whether a packet of so many bytes is within the bit rate.
    pub fn admits_bytes(&mut self, bytes: usize, now: Instant) -> bool {
        self.rate.take(bytes as f64 * 8.0, now)
    }

    /// Takes note of what str0m counted of a stream that goes out, in which there are so many gaps: the
    /// browser misses them, and its way is not to blame.
    pub fn take_sent(&mut self, stats: &MediaEgressStats, gaps: u64, counters: &mut Counters) {
        let place = (stats.mid, stats.rid);
        let at = match self.sent.iter().position(|one| one.place == place) {
            Some(at) => at,
            None => {
                self.sent.push(Sent {
                    place,
                    numbers: 0,
                    lost: 0,
                    nacks: 0,
                    plis: 0,
                });
                self.sent.len() - 1
            }
        };
        let sent = &mut self.sent[at];
        // A report is as old as it is, and of all packets up to its number.
        let report = stats.remote.as_ref();
        let missed = report.map_or(0, |remote| remote.packets_lost);
        let lost = missed.saturating_sub(gaps).max(sent.lost);
        let numbers = report.map_or(0, |remote| *remote.maximum_sequence_number);
        if sent.numbers > 0 {
            self.lost_out.lost += lost - sent.lost;
            self.lost_out.expected += numbers.saturating_sub(sent.numbers);
        }
        counters.lost_out += lost - sent.lost;
        counters.nacks_in += stats.nacks.saturating_sub(sent.nacks);
        counters.plis_in += (stats.plis + stats.firs).saturating_sub(sent.plis);
        *sent = Sent {
            place,
            numbers: numbers.max(sent.numbers),
            lost,
            nacks: stats.nacks,
            plis: stats.plis + stats.firs,
        };
        if let Some(taken) = stats.rtt {
            self.round_trip = Some(self.round_trip.map_or(taken, |other| other.min(taken)));
        }
    }

    /// Takes note of what str0m counted of a stream that comes; its clock has so many ticks in a
    /// second.
    pub fn take_asked(&mut self, stats: &MediaIngressStats, rate: u32, counters: &mut Counters) {
        let place = (stats.mid, stats.rid);
        let before = self.asked.iter_mut().find(|one| one.place == place);
        let (nacks, plis) = (stats.nacks, stats.plis + stats.firs);
        let (nacks_before, plis_before) = match before {
            Some(one) => (
                std::mem::replace(&mut one.nacks, nacks),
                std::mem::replace(&mut one.plis, plis),
            ),
            None => {
                self.asked.push(Asked { place, nacks, plis });
                (0, 0)
            }
        };
        counters.nacks_out += nacks.saturating_sub(nacks_before);
        counters.plis_out += plis.saturating_sub(plis_before);
        self.jitter = self.jitter.max(f64::from(stats.jitter) / f64::from(rate));
    }

    /// Begins a new measure: what is told from now on is of one moment.
    pub const fn begin_measure(&mut self, round_trip: Option<Duration>) {
        self.is_measured = true;
        self.jitter = 0.0;
        self.round_trip = round_trip;
    }

    /// Takes note that something was agreed on anew: a browser that was lost may come back.
    pub const fn renew(&mut self, now: Instant) {
        self.began_at = now;
    }

    /// Judges how well media come and go.
    pub fn judge(
        &mut self,
        is_connected: bool,
        is_heard: bool,
        now: Instant,
        counters: &mut Counters,
    ) -> State {
        if is_connected {
            self.connected_at = Some(now);
        }
        let since = |then: Instant| now.saturating_duration_since(then);
        let began = since(self.began_at);
        let silent = self.came_at.map_or(began, since);
        let broken = self.connected_at.map_or(began, since);
        let lost_after = if is_heard { LOST } else { LOST_SILENT };
        if silent.max(broken).min(began) >= lost_after + STAYS {
            return State::Gone;
        }
        if self.connected_at.is_none() {
            return State::Is(Quality::None);
        }
        if silent.max(broken) >= lost_after {
            self.lost_at = Some(now);
            return State::Is(Quality::Lost);
        }
        if std::mem::take(&mut self.is_measured) {
            let tally = self.streams.tally();
            counters.lost_in += tally.lost;
            let out = std::mem::take(&mut self.lost_out);
            self.live = tally.live;
            if self.lost_at.is_some_and(|then| since(then) < FORGIVEN) {
                return State::Is(self.grading.word());
            }
            return State::Is(self.grading.judge(&Measure {
                lost_in: tally.part_lost(),
                lost_out: out.part_lost(),
                round_trip: self.round_trip,
            }));
        }
        State::Is(self.grading.word())
    }
}

/// How a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// There, and so good.
    Is(Quality),
    /// Of no use any more.
    Gone,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn judged(heard: bool, came: impl Fn(u32) -> bool, until: u32) -> Vec<(u32, State)> {
        let start = Instant::now();
        let mut intake = Intake::new(&Config::default(), start);
        let mut counters = Counters::default();
        let mut told = Vec::new();
        for second in 0..until {
            let now = start + SECOND * second;
            if came(second) {
                intake.came(now);
            }
            let state = intake.judge(came(second), heard, now, &mut counters);
            if told.last().is_none_or(|(_, last)| *last != state) {
                told.push((second, state));
            }
        }
        told
    }

    #[test]
    fn who_falls_silent_is_lost_after_five_seconds_and_gone_after_thirty_more() {
        let told = judged(true, |second| (2..20).contains(&second), 60);
        assert_eq!(
            told,
            [
                (0, State::Is(Quality::None)),
                (2, State::Is(Quality::Good)),
                (24, State::Is(Quality::Lost)),
                (54, State::Gone)
            ]
        );
    }

    #[test]
    fn who_comes_back_in_time_is_not_gone_and_who_has_nothing_to_say_may_be_silent_for_longer() {
        let told = judged(true, |second| !(10..=40).contains(&second), 60);
        assert_eq!(
            told,
            [
                (0, State::Is(Quality::Good)),
                (14, State::Is(Quality::Lost)),
                (41, State::Is(Quality::Good))
            ]
        );
        let told = judged(false, |second| second % 6 == 0, 60);
        assert_eq!(told, [(0, State::Is(Quality::Good))]);
    }

    #[test]
    fn who_never_comes_is_gone() {
        assert_eq!(
            judged(true, |_| false, 60),
            [(0, State::Is(Quality::None)), (35, State::Gone)]
        );
    }

    #[test]
    fn only_so_many_addresses_are_admitted() {
        let start = Instant::now();
        let mut intake = Intake::new(&Config::default(), start);
        let mut admitted = 0;
        for second in 0..20_000 {
            admitted += u32::from(intake.admits_address(start + SECOND * second));
        }
        assert_eq!(admitted, ADDRESSES_EVER_MAX);
    }
}
