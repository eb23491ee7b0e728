//! What was found out about credentials, for a while.

use std::collections::{HashMap, VecDeque};

use floe_proto::Millis;

/// The digest of what was shown.
pub type Shown = [u8; 32];

/// A bounded number of things that hold until their time; the oldest make place for new ones.
///
/// Nothing in it shows credentials: it is searched by their digest.
#[derive(Debug)]
pub struct Recall<T> {
    known: HashMap<Shown, (u64, Millis, T)>,
    /// In the order they came; what came again is here again, under another number.
    order: VecDeque<(u64, Shown)>,
    number: u64,
    most: usize,
}

impl<T> Recall<T> {
    /// Remembers up to `most` things.
    pub fn new(most: usize) -> Self {
        Self {
            known: HashMap::new(),
            order: VecDeque::new(),
            number: 0,
            most: most.max(1),
        }
    }

    /// Returns what is known and holds at `now`, and until when it does.
    pub fn get(&self, shown: &Shown, now: Millis) -> Option<(&T, Millis)> {
        let (_, until, thing) = self.known.get(shown)?;
        (now < *until).then_some((thing, *until))
    }

    /// Remembers something until its time.
    pub fn put(&mut self, shown: Shown, until: Millis, thing: T) {
        self.number += 1;
        self.known.insert(shown, (self.number, until, thing));
        self.order.push_back((self.number, shown));
        // Something that came again twice as often as there is place must not keep the order long.
        while self.known.len() > self.most || self.order.len() > 2 * self.most {
            let Some((number, oldest)) = self.order.pop_front() else {
                return;
            };
            if self
                .known
                .get(&oldest)
                .is_some_and(|(at, ..)| *at == number)
            {
                self.known.remove(&oldest);
            }
        }
    }

    /// Forgets all but what `stays`.
    pub fn retain(&mut self, stays: impl Fn(&T) -> bool) {
        self.known.retain(|_, (_, _, thing)| stays(thing));
        let known = &self.known;
        self.order.retain(|(number, shown)| {
            let found = known.get(shown);
            found.is_some_and(|(at, ..)| at == number)
        });
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.known.clear();
        self.order.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn things_hold_until_their_time_and_the_oldest_make_place() {
        let mut recall = Recall::new(2);
        for number in 0..3 {
            recall.put([number; 32], Millis(10), number);
        }
        let now = Millis(9);
        let known = [0, 1, 2].map(|number| recall.get(&[number; 32], now).is_some());
        assert_eq!(known, [false, true, true]);
        assert_eq!(recall.get(&[2; 32], now), Some((&2, Millis(10))));
        assert_eq!(recall.get(&[2; 32], Millis(10)), None);
    }

    #[test]
    fn what_does_not_stay_makes_place_for_others() {
        let mut recall = Recall::new(3);
        for number in [0, 1, 2, 0] {
            recall.put([number; 32], Millis(10), number);
        }
        recall.retain(|number| *number != 1);
        recall.put([3; 32], Millis(10), 3);
        let known = [0, 1, 2, 3].map(|number| recall.get(&[number; 32], Millis(9)).is_some());
        assert_eq!(known, [true, false, true, true]);
        assert_eq!(recall.order.len(), 3);
    }

    proptest! {
        #[test]
        fn it_is_bounded_and_knows_what_came_last(
            shown in proptest::collection::vec(0_u8..6, 1..100),
            most in 1_usize..5,
        ) {
            let mut recall = Recall::new(most);
            for (at, one) in shown.iter().enumerate() {
                recall.put([*one; 32], Millis(1), at);
                prop_assert_eq!(recall.get(&[*one; 32], Millis(0)), Some((&at, Millis(1))));
                prop_assert!(recall.known.len() <= most && recall.order.len() <= 2 * most);
            }
        }
    }
}
