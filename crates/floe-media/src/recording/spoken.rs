//! Who spoke when.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::audio::VOICE;

/// Gathers from the levels of packets who spoke when.
///
/// It never knows of more than so many times: where there are more, the shortest pauses are left out.
#[derive(Debug)]
pub struct Spoken {
    times_max: usize,
    /// What is no pause yet.
    pause: Duration,
    /// The newest of each.
    open: BTreeMap<Arc<str>, (Duration, Duration)>,
    done: Vec<Spoke>,
}

/// Somebody spoke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoke {
    /// Who.
    pub user: Arc<str>,
    /// From when, since the recording began.
    pub from: Duration,
    /// Until when.
    pub to: Duration,
}

/// What is no pause at first.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a packet is heard, about.
const PACKET: Duration = Duration::from_millis(20);

impl Spoken {
    /// Begins with nobody; `times_max` is at least 2.
    #[must_use]
    pub fn new(times_max: usize) -> Self {
        Self {
            times_max: times_max.max(2),
            pause: PAUSE,
            open: BTreeMap::new(),
            done: Vec::new(),
        }
    }

    /// Takes note of a packet of somebody, of a level in dBov (RFC 6464).
    pub fn hear(&mut self, user: &Arc<str>, level: i8, at: Duration) {
        if level <= VOICE {
            return;
        }
        let end = at + PACKET;
        if let Some((from, to)) = self.open.get_mut(user) {
            if at <= *to + self.pause {
                *to = end.max(*to);
                return;
            }
            let (from, to) = (std::mem::replace(from, at), std::mem::replace(to, end));
            let user = Arc::clone(user);
            self.done.push(Spoke { user, from, to });
        } else if self.open.len() < self.times_max / 2 {
            self.open.insert(Arc::clone(user), (at, end));
        }
        while self.done.len() + self.open.len() > self.times_max {
            self.coarsen();
        }
    }

    /// Returns who spoke when, in the order in which they began.
    #[must_use]
    pub fn finish(mut self) -> Vec<Spoke> {
        let open = std::mem::take(&mut self.open);
        self.done.extend(
            open.into_iter()
                .map(|(user, (from, to))| Spoke { user, from, to }),
        );
        let key = |spoke: &Spoke| (spoke.from, Arc::clone(&spoke.user));
        self.done.sort_by_cached_key(key);
        self.done
    }

    /// Leaves out pauses that are shorter than twice what was left out before.
    fn coarsen(&mut self) {
        self.pause = self.pause.saturating_mul(2);
        let mut newest: BTreeMap<Arc<str>, (Duration, Duration)> = BTreeMap::new();
        let mut done = Vec::new();
        for Spoke { user, from, to } in std::mem::take(&mut self.done) {
            match newest.get_mut(&user) {
                Some(before) if from <= before.1 + self.pause => before.1 = to,
                Some(before) => {
                    let (from, to) = std::mem::replace(before, (from, to));
                    done.push(Spoke { user, from, to });
                }
                None => {
                    newest.insert(user, (from, to));
                }
            }
        }
        for (user, (from, to)) in newest {
            match self.open.get_mut(&user) {
                Some(open) if open.0 <= to + self.pause => open.0 = from,
                Some(_) | None => done.push(Spoke { user, from, to }),
            }
        }
        done.sort_by_key(|spoke| spoke.from);
        self.done = done;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_pause_ends_a_time_and_silence_is_none() {
        let ann: Arc<str> = "ann".into();
        let bob: Arc<str> = "bob".into();
        let mut spoken = Spoken::new(100);
        for at in (0..3_000).step_by(20) {
            spoken.hear(&ann, if at < 2_000 { -30 } else { -80 }, ms(at));
            if at >= 1_000 {
                spoken.hear(&bob, -20, ms(at));
            }
        }
        spoken.hear(&ann, -30, ms(10_000));
        let spoke = |user: &Arc<str>, from, to| Spoke {
            user: Arc::clone(user),
            from: ms(from),
            to: ms(to),
        };
        assert_eq!(
            spoken.finish(),
            [
                spoke(&ann, 0, 2_000),
                spoke(&bob, 1_000, 3_000),
                spoke(&ann, 10_000, 10_020)
            ]
        );
    }

    proptest! {
        /// However often people speak, all of it lies within a bounded number of times.
        #[test]
        fn what_was_said_is_within_the_times(
            words in proptest::collection::vec((0_usize..4, 0_u64..20_000), 0..200)
        ) {
            let users: Vec<Arc<str>> = ["a", "b", "c", "d"].map(Into::into).into();
            let mut spoken = Spoken::new(12);
            let mut now = 0;
            let mut said = Vec::new();
            for (user, later) in words {
                now += later;
                spoken.hear(&users[user], -10, ms(now));
                said.push((user, ms(now)));
            }
            let times = spoken.finish();
            prop_assert!(times.len() <= 12);
            for (user, at) in said {
                let mut theirs = times.iter().filter(|time| time.user == users[user]);
                prop_assert!(theirs.any(|time| time.from <= at && at < time.to));
            }
            for user in &users {
                let theirs: Vec<_> = times.iter().filter(|time| time.user == *user).collect();
                prop_assert!(theirs.windows(2).all(|two| two[0].to < two[1].from));
            }
        }
    }
}
