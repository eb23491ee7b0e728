//! Whether somebody speaks.

use std::time::{Duration, Instant};

/// Tells speech from silence by the levels of packets (RFC 6464).
#[derive(Debug, Clone, Copy, Default)]
pub struct Speech {
    /// When there was a voice last.
    voice_at: Option<Instant>,
    /// When it was said that there is.
    told_at: Option<Instant>,
}

/// What is louder is a voice, in dBov.
pub const VOICE: i8 = -50;
/// How long a pause within speech is.
const PAUSE: Duration = Duration::from_millis(500);
/// How often it is said of who goes on.
const AGAIN: Duration = Duration::from_secs(2);

impl Speech {
    /// Takes note of a packet, and returns what is to be told: that they speak, or stop.
    pub fn hear(&mut self, level: i8, now: Instant) -> Option<bool> {
        if level > VOICE {
            self.voice_at = Some(now);
        }
        let past = |then: Option<Instant>, bound| {
            then.is_none_or(|then| now.saturating_duration_since(then) >= bound)
        };
        let speaks = !past(self.voice_at, PAUSE);
        if speaks && past(self.told_at, AGAIN) {
            self.told_at = Some(now);
            return Some(true);
        }
        if !speaks && self.told_at.take().is_some() {
            return Some(false);
        }
        None
    }

    /// Takes note that nothing is heard of them any more; nobody needs to be told.
    pub const fn hush(&mut self) {
        self.voice_at = None;
        self.told_at = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speech_is_told_at_once_again_while_it_lasts_and_when_it_ends() {
        let start = Instant::now();
        let mut speech = Speech::default();
        let told: Vec<_> = (0..200_u64)
            .filter_map(|packet| {
                let level = if (10..120).contains(&packet) {
                    -30
                } else {
                    -90
                };
                let told = speech.hear(level, start + Duration::from_millis(packet * 20));
                told.map(|speaks| (packet * 20, speaks))
            })
            .collect();
        // The last voice is at 2 380 ms.
        assert_eq!(told, [(200, true), (2_200, true), (2_880, false)]);
    }
}
