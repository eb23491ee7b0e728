//! How much of pictures reaches a participant.

use std::time::{Duration, Instant};

use str0m::bwe::{Bitrate, BweKind};

use crate::video::guess::Guess;
use crate::video::meter::Meter;

/// What is known of the network to one participant.
#[derive(Debug)]
pub struct Budget {
    /// What it takes, in bits a second, by the arrival of packets.
    estimate: Option<u64>,
    /// What it takes by what is lost, where there is no other estimate: pictures were not part of what
    /// was agreed on first.
    guess: Guess,
    /// The voices that go out.
    sound: Meter,
    shared_at: Option<Instant>,
    /// What was wished for last, in steps.
    desired: u64,
}

/// How often it is shared anew among pictures.
const SHARE_EVERY: Duration = Duration::from_millis(200);
/// What is wished for is known so exactly, in bits a second.
const DESIRED_STEP: u64 = 100_000;
/// More is never wished for, in bits a second.
const DESIRED_MAX: u64 = 20_000_000;

impl Budget {
    /// Begins with a network of which nothing is known.
    pub fn new() -> Self {
        Self {
            estimate: None,
            guess: Guess::new(),
            sound: Meter::default(),
            shared_at: None,
            desired: 0,
        }
    }

    /// Takes note of an estimate.
    pub fn hear(&mut self, kind: &BweKind) {
        // Browsers that say themselves what they take also tell the arrival of packets.
        if let BweKind::Twcc { estimate, .. } = kind {
            self.estimate = Some(estimate.as_u64());
        }
    }

    /// Takes note of which part of all that went out was lost lately.
    pub fn measure(&mut self, lost: f32, now: Instant) {
        self.guess.measure(lost, self.desired, now);
    }

    /// Takes note of a packet of a voice that went out.
    pub fn sound(&mut self, bytes: usize, now: Instant) {
        self.sound.add(bytes, now);
    }

    /// Returns what the network takes, and how much of it voices take, in bits a second.
    ///
    /// The estimate is of pictures alone: it is what voices, whose arrival is not told, leave.
    pub fn network(&self, now: Instant) -> (u64, u64) {
        match self.estimate {
            Some(estimate) => (estimate, 0),
            None => (self.guess.rate(), self.sound.rate(now)),
        }
    }

    /// Has it be shared anew with the next packet.
    pub const fn share_anew(&mut self) {
        self.shared_at = None;
    }

    /// Whether it is time to share it anew; if so, it counts as done.
    pub fn poll_share(&mut self, now: Instant) -> bool {
        let passed = |then| now.saturating_duration_since(then);
        let is_due = self
            .shared_at
            .is_none_or(|then| passed(then) >= SHARE_EVERY);
        if is_due {
            self.shared_at = Some(now);
        }
        is_due
    }

    /// Takes note of how much is wished for, and returns it where it is another than before.
    pub fn wish(&mut self, desired: u64) -> Option<Bitrate> {
        let desired = desired.next_multiple_of(DESIRED_STEP).min(DESIRED_MAX);
        let is_other = std::mem::replace(&mut self.desired, desired) != desired;
        is_other.then(|| Bitrate::bps(desired))
    }
}
