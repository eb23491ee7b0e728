//! Who is to be asked, and when.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

/// When peers want to be woken, and who was given something and not asked yet what comes of it.
///
/// A peer that is given ten packets in one pass is asked once for all of them.
#[derive(Debug, Default)]
pub struct Schedule {
    due: BTreeSet<(Instant, usize)>,
    given: VecDeque<(Instant, usize)>,
}

/// The part that one peer has in it.
#[derive(Debug, Default)]
pub struct Turn {
    /// When it wants to be woken.
    due: Option<Instant>,
    /// When it is looked at: no later. Who wants to be woken later than before is looked at once in vain,
    /// which costs less than to move its entry with every packet.
    looked_at: Option<Instant>,
    /// Whether it was given something and not asked yet.
    is_given: bool,
}

impl Schedule {
    /// Returns when somebody is to be woken or asked.
    pub fn next(&self) -> Option<Instant> {
        let due = self.due.first().map(|(at, _)| *at);
        let given = self.given.front().map(|(at, _)| *at);
        due.into_iter().chain(given).min()
    }

    /// Takes note that a peer was given something.
    pub fn give(&mut self, now: Instant, peer: usize, turn: &mut Turn) {
        if !std::mem::replace(&mut turn.is_given, true) {
            self.given.push_back((now, peer));
        }
    }

    /// Returns who was given something first, and when; whether they still have it says [`Turn::take`].
    pub fn next_given(&mut self) -> Option<(Instant, usize)> {
        self.given.pop_front()
    }

    /// Takes note of when a peer wants to be woken.
    pub fn wake(&mut self, at: Instant, peer: usize, turn: &mut Turn) {
        turn.due = Some(at);
        if turn.looked_at.is_some_and(|looked_at| looked_at <= at) {
            return;
        }
        if let Some(before) = turn.looked_at.replace(at) {
            self.due.remove(&(before, peer));
        }
        self.due.insert((at, peer));
    }

    /// Returns a peer to look at by `now`; whether it is to be woken says [`Turn::look`].
    pub fn next_due(&mut self, now: Instant) -> Option<usize> {
        let (_, peer) = *self.due.first().filter(|(at, _)| *at <= now)?;
        self.due.pop_first();
        Some(peer)
    }

    /// Takes out a peer that is gone.
    pub fn forget(&mut self, peer: usize, turn: &Turn) {
        if let Some(at) = turn.looked_at {
            self.due.remove(&(at, peer));
        }
    }
}

impl Turn {
    /// Returns whether it was given something, which from now on it was not.
    pub const fn take(&mut self) -> bool {
        std::mem::replace(&mut self.is_given, false)
    }

    /// Takes note that it is looked at.
    ///
    /// # Errors
    /// It is not to be woken yet: when, if at all.
    pub fn look(&mut self, now: Instant) -> Result<(), Option<Instant>> {
        self.looked_at = None;
        match self.due {
            Some(due) if due <= now => Ok(()),
            later => Err(later),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_puts_off_its_time_is_looked_at_once_and_woken_then() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let (mut schedule, mut turn) = (Schedule::default(), Turn::default());
        schedule.wake(at(10), 3, &mut turn);
        schedule.wake(at(30), 3, &mut turn);
        assert_eq!(schedule.next(), Some(at(10)));
        assert_eq!(schedule.next_due(at(9)), None);
        assert_eq!(schedule.next_due(at(10)), Some(3));
        assert_eq!(turn.look(at(10)), Err(Some(at(30))));
        schedule.wake(at(30), 3, &mut turn);
        schedule.wake(at(20), 3, &mut turn);
        assert_eq!(schedule.next_due(at(20)), Some(3));
        assert_eq!(turn.look(at(20)), Ok(()));
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn who_is_given_more_is_asked_once() {
        let now = Instant::now();
        let (mut schedule, mut turn) = (Schedule::default(), Turn::default());
        for _ in 0..10 {
            schedule.give(now, 3, &mut turn);
        }
        assert_eq!(schedule.next(), Some(now));
        assert_eq!(schedule.next_given(), Some((now, 3)));
        assert_eq!(schedule.next_given(), None);
        assert!(turn.take() && !turn.take());
    }

    #[test]
    fn who_is_gone_is_not_woken() {
        let now = Instant::now();
        let (mut schedule, mut turn) = (Schedule::default(), Turn::default());
        schedule.wake(now, 3, &mut turn);
        schedule.forget(3, &turn);
        assert_eq!(schedule.next(), None);
    }
}
