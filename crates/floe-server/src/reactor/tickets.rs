//! Tickets: each opens one connection as whoever drew it, so that no lasting credential need stand
//! in the address of a WebSocket or an event stream.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use floe_proto::{Code, Millis};
use floe_surfaces::access::KeyRing;

use super::caller::Opened;
use crate::shard::Failure;

/// Tickets that were drawn and neither shown nor ended, in memory only.
#[derive(Debug, Default)]
pub struct Tickets {
    /// By the digest of their text, so that the time of a look-up tells nothing of it.
    drawn: HashMap<[u8; 32], Arc<Opened>>,
    /// Who has how many.
    counts: HashMap<Box<str>, usize>,
    /// When each ends, in the order that they were drawn in.
    ends: VecDeque<(Millis, [u8; 32], Box<str>)>,
}

/// Milliseconds that a ticket is good for.
pub const LIFE_MS: u64 = 30_000;
/// Tickets at once. Above: 429 `LIMIT_REACHED`.
const DRAWN_MAX: usize = 100_000;
/// Tickets of one caller at once, so that nobody takes those of others. Above: 429
/// `LIMIT_REACHED`.
const CALLER_MAX: usize = 10_000;

impl Tickets {
    /// Notes a ticket; returns when it ends.
    ///
    /// # Errors
    /// When there are too many.
    pub fn draw(
        &mut self,
        now: Millis,
        text: &str,
        opened: Arc<Opened>,
    ) -> Result<Millis, Failure> {
        self.forget_ended(now);
        let caller = opened.session.caller();
        let who: Box<str> = format!("{:?} {:?}", caller.source, caller.user).into();
        let count = self.counts.get(&who).copied().unwrap_or_default();
        if count >= CALLER_MAX || self.ends.len() >= DRAWN_MAX {
            let message = "too many tickets were drawn and have not ended yet";
            return Err(Failure::new(Code::LimitReached, message));
        }
        self.counts.insert(who.clone(), count + 1);
        let digest = KeyRing::digest(text);
        let ends_at = now.plus(LIFE_MS);
        self.drawn.insert(digest, opened);
        self.ends.push_back((ends_at, digest, who));
        Ok(ends_at)
    }

    /// Takes a ticket: nobody can take it again.
    pub fn take(&mut self, now: Millis, text: &str) -> Option<Arc<Opened>> {
        self.forget_ended(now);
        self.drawn.remove(&KeyRing::digest(text))
    }

    fn forget_ended(&mut self, now: Millis) {
        while self.ends.front().is_some_and(|(at, ..)| *at <= now) {
            if let Some((_, digest, who)) = self.ends.pop_front() {
                self.drawn.remove(&digest);
                if let Some(count) = self.counts.get_mut(&who) {
                    *count -= 1;
                    if *count == 0 {
                        self.counts.remove(&who);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_000_000);

    #[test]
    fn a_ticket_is_good_once_and_for_a_while() {
        let mut tickets = Tickets::default();
        let opened = || Arc::new(Opened::for_tests());
        let ends_at = tickets.draw(NOW, "one", opened()).unwrap();
        assert_eq!(ends_at, NOW.plus(LIFE_MS));
        tickets.draw(NOW, "two", opened()).unwrap();
        assert!(tickets.take(NOW, "nonesuch").is_none());
        assert!(tickets.take(NOW, "one").is_some());
        assert!(tickets.take(NOW, "one").is_none());
        assert!(tickets.take(ends_at, "two").is_none());
        assert!(tickets.counts.is_empty() && tickets.drawn.is_empty());
    }

    #[test]
    fn nobody_draws_more_than_their_share() {
        let mut tickets = Tickets::default();
        let opened = Arc::new(Opened::for_tests());
        for at in 0..CALLER_MAX {
            let drawn = tickets.draw(NOW, &at.to_string(), Arc::clone(&opened));
            drawn.unwrap();
        }
        let refused = tickets.draw(NOW, "more", Arc::clone(&opened)).unwrap_err();
        assert_eq!(refused.code, Code::LimitReached);
        assert!(tickets.draw(NOW.plus(LIFE_MS), "later", opened).is_ok());
    }
}
