//! Which streams a browser sends.

use std::time::{Duration, Instant};

use str0m::media::{Mid, Rid};

use crate::bucket::Bucket;

/// The streams of one connection, by SSRC: who may begin, and what came of each.
///
/// Whoever knows an address that is believed can write any SSRC in a packet from there, and the machine that
/// speaks WebRTC looks for its medium before it looks whether it can be decrypted. So only so many new
/// ones are let through, and none takes the place of one that goes on.
#[derive(Debug)]
pub struct Streams {
    known: Vec<Stream>,
    known_max: usize,
    news: Bucket,
    /// New ones ever let through.
    begun: u32,
}

/// By which medium, and in which form, a stream comes.
pub type Place = (Mid, Option<Rid>);

/// What came in, in an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Packets that came, were sent again or are missing.
    pub expected: u64,
    /// Of those, how many are missing.
    pub lost: u64,
    /// Streams of which something came.
    pub live: u64,
}

impl Tally {
    /// Returns which part is missing, where there was something to miss.
    pub fn part_lost(&self) -> Option<f32> {
        (self.expected > 0).then(|| self.lost.min(self.expected) as f32 / self.expected as f32)
    }
}

#[derive(Debug)]
struct Stream {
    ssrc: u32,
    seen_at: Instant,
    /// What is known since a packet of it was decrypted.
    proved: Option<Proved>,
}

#[derive(Debug)]
struct Proved {
    place: Place,
    heard_at: Instant,
    /// The highest number by now, and at the begin of the interval.
    highest: u64,
    base: u64,
    received: u64,
}

/// New streams within a moment, beyond which they have to wait.
const BURST: f64 = 48.0;
/// New streams a second, from then on.
const PER_SECOND: f64 = 0.2;
/// New streams of one connection ever: each is remembered where it is decrypted. More take another
/// connection.
const BEGUN_MAX: u32 = 4_096;
/// Who sends so lately goes on.
const GOES_ON: Duration = Duration::from_millis(500);

impl Streams {
    /// Makes room for so many at once.
    pub const fn new(known_max: usize) -> Self {
        Self {
            known: Vec::new(),
            known_max,
            news: Bucket::new(PER_SECOND, BURST),
            begun: 0,
        }
    }

    /// Whether a packet may come in. `place` says what it claims to be, where it is not the repair of
    /// another; it is asked for new streams alone.
    pub fn admit(
        &mut self,
        ssrc: u32,
        now: Instant,
        place: impl FnOnce() -> Option<Place>,
    ) -> bool {
        if let Some(known) = self.known.iter_mut().find(|one| one.ssrc == ssrc) {
            known.seen_at = now;
            return true;
        }
        let place = place();
        let goes_on = |one: &Stream| {
            one.proved.as_ref().is_some_and(|proved| {
                Some(proved.place) == place
                    && now.saturating_duration_since(proved.heard_at) < GOES_ON
            })
        };
        if self.known.iter().any(goes_on) || self.begun >= BEGUN_MAX || !self.news.take(1.0, now) {
            return false;
        }
        self.begun += 1;
        if self.known.len() >= self.known_max {
            self.forget_one();
        }
        self.known.push(Stream {
            ssrc,
            seen_at: now,
            proved: None,
        });
        true
    }

    /// Takes note of a packet that was decrypted.
    pub fn hear(&mut self, ssrc: u32, place: Place, sequence: u64, now: Instant) {
        let Some(stream) = self.known.iter_mut().find(|one| one.ssrc == ssrc) else {
            return;
        };
        let proved = stream.proved.get_or_insert(Proved {
            place,
            heard_at: now,
            highest: sequence,
            base: sequence.saturating_sub(1),
            received: 0,
        });
        proved.place = place;
        proved.heard_at = now;
        proved.highest = proved.highest.max(sequence);
        proved.received += 1;
    }

    /// Whether nothing newer came of a stream than a packet that came just now.
    pub fn is_newest(&self, ssrc: u32, sequence: u64) -> bool {
        let stream = self.known.iter().find(|one| one.ssrc == ssrc);
        let proved = stream.and_then(|one| one.proved.as_ref());
        proved.is_none_or(|proved| sequence >= proved.highest)
    }

    /// Returns what came since this was asked last.
    pub fn tally(&mut self) -> Tally {
        let mut tally = Tally::default();
        for proved in self.known.iter_mut().filter_map(|one| one.proved.as_mut()) {
            let expected = proved.highest - proved.base;
            tally.expected += expected;
            tally.lost += expected.saturating_sub(proved.received);
            tally.live += u64::from(proved.received > 0);
            proved.base = proved.highest;
            proved.received = 0;
        }
        tally
    }

    /// Forgets the one that nothing came of for longest; those that nothing was proved of first.
    fn forget_one(&mut self) {
        let known = self.known.iter().enumerate();
        let oldest = known.min_by_key(|(_, one)| (one.proved.is_some(), one.seen_at));
        if let Some((at, _)) = oldest {
            self.known.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> Option<Place> {
        Some((name.into(), None))
    }

    #[test]
    fn invented_streams_cost_neither_memory_nor_those_that_go_on() {
        let start = Instant::now();
        let mut streams = Streams::new(8);
        assert!(streams.admit(1, start, || place("a")));
        streams.hear(1, ("a".into(), None), 1, start);
        let admitted = (100..100_000)
            .filter(|ssrc| streams.admit(*ssrc, start, || place("b")))
            .count();
        assert_eq!(admitted, 47);
        assert_eq!(streams.known.len(), 8);
        assert!(streams.admit(1, start, || unreachable!("it is known")));
    }

    #[test]
    fn none_takes_the_place_of_one_that_goes_on() {
        let start = Instant::now();
        let mut streams = Streams::new(8);
        assert!(streams.admit(1, start, || place("a")));
        streams.hear(1, ("a".into(), None), 1, start);
        assert!(!streams.admit(2, start, || place("a")));
        assert!(streams.admit(3, start, || None), "perhaps a repair");
        assert!(streams.admit(4, start, || Some(("a".into(), Some("h".into())))));
        assert!(streams.admit(2, start + GOES_ON, || place("a")));
    }

    #[test]
    fn what_is_missing_between_numbers_is_lost() {
        let start = Instant::now();
        let mut streams = Streams::new(8);
        let mut hear = |numbers: &[u64]| {
            for number in numbers {
                assert!(streams.admit(1, start, || None));
                streams.hear(1, ("a".into(), None), *number, start);
            }
            streams.tally()
        };
        let tally = |expected, lost, live| Tally {
            expected,
            lost,
            live,
        };
        assert_eq!(hear(&[100, 101, 104, 103]), tally(5, 1, 1));
        assert_eq!(hear(&[105, 106]), tally(2, 0, 1));
        assert_eq!(hear(&[102, 107]), tally(1, 0, 1), "too late");
        assert_eq!(hear(&[]), tally(0, 0, 0));
        assert!(streams.is_newest(1, 107) && !streams.is_newest(1, 106));
    }
}
