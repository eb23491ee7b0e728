//! What a network takes, judged by what is lost.

use std::time::{Duration, Instant};

/// Guesses what a network takes where the arrival of packets is not followed.
///
/// It goes up slowly while next to nothing is lost and more is wished for, and down at once when much
/// is; for a while it does not try again what was too much.
#[derive(Debug, Clone, Copy)]
pub struct Guess {
    rate: u64,
    /// What was too much, and when.
    too_much: Option<(u64, Instant)>,
}

/// What a network is taken for of which nothing is known, in bits a second.
pub const UNKNOWN: u64 = 600_000;
/// Less is never guessed, in bits a second.
const LEAST: u64 = 50_000;
/// What is lost of a network that takes more, at most.
const LITTLE: f32 = 0.02;
/// What is lost of one that takes less, at least.
const MUCH: f32 = 0.1;
/// How long what was too much is not tried again.
const HOLD: Duration = Duration::from_secs(30);

impl Guess {
    /// Begins with a network of which nothing is known.
    pub const fn new() -> Self {
        Self {
            rate: UNKNOWN,
            too_much: None,
        }
    }

    /// Returns what the network takes, in bits a second.
    pub const fn rate(&self) -> u64 {
        self.rate
    }

    /// Takes note of which part was lost lately, and of how much is wished for.
    pub fn measure(&mut self, lost: f32, desired: u64, now: Instant) {
        if lost > MUCH {
            self.too_much = Some((self.rate, now));
            let kept = 1.0 - f64::from(lost.min(1.0)) / 2.0;
            self.rate = ((self.rate as f64 * kept) as u64).max(LEAST);
            return;
        }
        let held = self.too_much.filter(|(_, then)| {
            let passed = now.saturating_duration_since(*then);
            passed < HOLD
        });
        let most = held.map_or(u64::MAX, |(rate, _)| rate / 10 * 9);
        if lost < LITTLE && self.rate < desired {
            self.rate = (self.rate / 100 * 115).min(most).max(self.rate);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_that_loses_nothing_is_taken_for_wider_as_far_as_is_wished() {
        let now = Instant::now();
        let mut guess = Guess::new();
        for _ in 0..20 {
            guess.measure(0.0, 2_000_000, now);
        }
        assert!((2_000_000..2_400_000).contains(&guess.rate()));
        let before = guess.rate();
        guess.measure(0.05, 9_000_000, now);
        assert_eq!(guess.rate(), before, "neither little nor much is lost");
    }

    #[test]
    fn what_was_too_much_is_not_tried_again_at_once() {
        let start = Instant::now();
        let mut guess = Guess::new();
        guess.measure(0.5, 2_000_000, start);
        assert_eq!(guess.rate(), 450_000);
        for _ in 0..20 {
            guess.measure(0.0, 2_000_000, start);
        }
        assert_eq!(guess.rate(), 540_000);
        guess.measure(0.0, 2_000_000, start + HOLD);
        assert_eq!(guess.rate(), 621_000);
        for _ in 0..50 {
            guess.measure(1.0, 0, start);
        }
        assert_eq!(guess.rate(), LEAST);
    }
}
