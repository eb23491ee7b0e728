//! Buckets by key, as many as memory allows.

use std::collections::BTreeMap;

use floe_proto::Millis;

use super::{Bucket, Rate};

/// `R` buckets for each key, and `C` counts of what is open.
///
/// A key whose buckets are full and whose counts are zero is as good as none, and is forgotten. At
/// the bound, whoever is nearest to that goes first, among some that are looked at: who takes much
/// keeps their place, so that a flood of new keys frees nobody. A key in use by somebody never
/// goes; if there is nothing but those, the new ones share one place.
#[derive(Debug)]
pub struct Table<K, const R: usize, const C: usize> {
    places: BTreeMap<K, u32>,
    entries: Vec<Entry<K, R, C>>,
    free: Vec<u32>,
    keys_max: usize,
    /// Where the next look for one to forget begins.
    hand: usize,
}

/// A place in a [`Table`]. It is the key's for as long as it is held; see [`Table::hold`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat(u32);

#[derive(Debug)]
struct Entry<K, const R: usize, const C: usize> {
    /// `None` for a place that is free, and for the one that is shared.
    key: Option<K>,
    /// Those who hold the seat.
    held: u32,
    counts: [u32; C],
    buckets: [Bucket; R],
}

/// Places looked at for one to forget.
const LOOKS: usize = 64;

impl<K: Ord + Clone, const R: usize, const C: usize> Table<K, R, C> {
    /// Makes a table that remembers as many keys, and not fewer than one.
    #[must_use]
    pub fn new(keys_max: usize) -> Self {
        Self {
            places: BTreeMap::new(),
            entries: vec![Entry::new(None)],
            free: Vec::new(),
            keys_max: keys_max.clamp(1, u32::MAX as usize - 1),
            hand: 0,
        }
    }

    /// Keys that are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Returns whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Remembers as many keys from now on; those in use beyond that stay until they are not.
    pub fn set_keys_max(&mut self, keys_max: usize) {
        self.keys_max = keys_max.clamp(1, u32::MAX as usize - 1);
    }

    /// Returns the seat of a key, if it is remembered.
    pub fn find<Q>(&self, key: &Q) -> Option<Seat>
    where
        K: std::borrow::Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.places.get(key).copied().map(Seat)
    }

    /// Returns the seat of a key, which is remembered from now on.
    ///
    /// `rates` are those of the buckets, where there are any, to tell who is nearest to full.
    pub fn enter(&mut self, key: &K, rates: &[Option<Rate>; R], now: Millis) -> Seat {
        if let Some(place) = self.places.get(key) {
            return Seat(*place);
        }
        if self.places.len() >= self.keys_max && !self.forget_one(rates, now) {
            return SHARED;
        }
        let entry = Entry::new(Some(key.clone()));
        let place = match self.free.pop() {
            Some(place) => {
                self.entries[place as usize] = entry;
                place
            }
            None => {
                self.entries.push(entry);
                (self.entries.len() - 1) as u32
            }
        };
        self.places.insert(key.clone(), place);
        Seat(place)
    }

    /// Keeps a seat for its key until it is [released](Self::release) as often.
    pub fn hold(&mut self, seat: Seat) {
        self.entries[seat.0 as usize].held += 1;
    }

    /// Lets go of a seat.
    pub fn release(&mut self, seat: Seat) {
        let entry = &mut self.entries[seat.0 as usize];
        entry.held = entry.held.saturating_sub(1);
    }

    /// Returns a bucket of a seat.
    #[must_use]
    pub fn bucket(&self, seat: Seat, rate: usize) -> &Bucket {
        &self.entries[seat.0 as usize].buckets[rate]
    }

    /// Returns a bucket of a seat, to take from.
    pub fn bucket_mut(&mut self, seat: Seat, rate: usize) -> &mut Bucket {
        &mut self.entries[seat.0 as usize].buckets[rate]
    }

    /// Returns a count of a seat.
    #[must_use]
    pub fn count(&self, seat: Seat, count: usize) -> u32 {
        self.entries[seat.0 as usize].counts[count]
    }

    /// Raises a count of a seat.
    pub fn add(&mut self, seat: Seat, count: usize, by: u32) {
        let count = &mut self.entries[seat.0 as usize].counts[count];
        *count = count.saturating_add(by);
    }

    /// Lowers a count of a seat.
    pub fn lower(&mut self, seat: Seat, count: usize, by: u32) {
        let count = &mut self.entries[seat.0 as usize].counts[count];
        *count = count.saturating_sub(by);
    }

    /// Looks at the next few places, and forgets those that are as good as none.
    pub fn sweep(&mut self, rates: &[Option<Rate>; R], now: Millis) {
        for _ in 0..LOOKS.min(self.entries.len()) {
            let place = self.next_place();
            let entry = &self.entries[place];
            if entry.key.is_some() && entry.is_unused() && entry.full_in_ms(rates, now) == 0 {
                self.forget(place);
            }
        }
    }

    /// Returns the keys and their seats, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, Seat)> {
        self.places.iter().map(|(key, place)| (key, Seat(*place)))
    }

    /// Forgets who is nearest to full among the next few; `false` if all of them are in use.
    fn forget_one(&mut self, rates: &[Option<Rate>; R], now: Millis) -> bool {
        let mut fullest: Option<(u64, usize)> = None;
        for _ in 0..LOOKS.min(self.entries.len()) {
            let place = self.next_place();
            let entry = &self.entries[place];
            if entry.key.is_none() || !entry.is_unused() {
                continue;
            }
            let full_in_ms = entry.full_in_ms(rates, now);
            if fullest.is_none_or(|(least, _)| full_in_ms < least) {
                fullest = Some((full_in_ms, place));
            }
            if full_in_ms == 0 {
                break;
            }
        }
        if let Some((_, place)) = fullest {
            self.forget(place);
        }
        fullest.is_some()
    }

    fn forget(&mut self, place: usize) {
        if let Some(key) = self.entries[place].key.take() {
            self.places.remove(&key);
            self.free.push(place as u32);
        }
    }

    fn next_place(&mut self) -> usize {
        self.hand = (self.hand + 1) % self.entries.len();
        self.hand
    }
}

impl<K, const R: usize, const C: usize> Entry<K, R, C> {
    fn new(key: Option<K>) -> Self {
        Self {
            key,
            held: 0,
            counts: [0; C],
            buckets: [Bucket::default(); R],
        }
    }

    fn is_unused(&self) -> bool {
        self.held == 0
    }

    /// Milliseconds until all buckets are full.
    fn full_in_ms(&self, rates: &[Option<Rate>; R], now: Millis) -> u64 {
        let each = self.buckets.iter().zip(rates);
        let each = each.filter_map(|(bucket, rate)| Some(bucket.full_in_ms((*rate)?, now)));
        each.max().unwrap_or(0)
    }
}

/// The place that all share for whom there is no other.
const SHARED: Seat = Seat(0);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Small = Table<u32, 1, 1>;

    const RATES: [Option<Rate>; 1] = [Some(Rate {
        per_second: 1,
        burst: 10,
    })];

    fn take(table: &mut Small, key: u32, now: u64, count: u64) -> bool {
        let seat = table.enter(&key, &RATES, Millis(now));
        let taken = table
            .bucket_mut(seat, 0)
            .take(RATES[0].unwrap(), Millis(now), count);
        taken.is_ok()
    }

    #[test]
    fn a_flood_of_keys_frees_nobody_who_took_more() {
        let mut table = Small::new(100);
        assert!(take(&mut table, 7, 0, 10));
        for key in 1_000..100_000 {
            assert!(take(&mut table, key, 0, 1));
            assert!(table.len() <= 100);
        }
        assert!(!take(&mut table, 7, 0, 1), "the empty bucket was forgotten");
        assert!(table.entries.len() <= 101);
    }

    #[test]
    fn keys_in_use_stay_and_others_share_one_place() {
        let mut table = Small::new(3);
        for key in 0..3 {
            let seat = table.enter(&key, &RATES, Millis(0));
            table.hold(seat);
        }
        assert_eq!(table.enter(&3, &RATES, Millis(0)), SHARED);
        assert!(take(&mut table, 4, 0, 10));
        assert!(!take(&mut table, 5, 0, 1), "they share what there is");
        let seat = table.enter(&1, &RATES, Millis(0));
        table.release(seat);
        assert_eq!(table.enter(&6, &RATES, Millis(0)), seat);
        assert_eq!((table.find(&1), table.len()), (None, 3));
    }

    #[test]
    fn full_buckets_are_forgotten_and_empty_ones_are_not() {
        let mut table = Small::new(100);
        for key in 0..50 {
            assert!(take(&mut table, key, 0, u64::from(key % 2)));
        }
        table.sweep(&RATES, Millis(0));
        assert_eq!(table.len(), 25);
        table.sweep(&RATES, Millis(1_000));
        assert!(table.is_empty());
    }

    proptest! {
        #[test]
        fn a_table_with_room_is_a_bucket_for_each_key(
            steps in proptest::collection::vec((0_u32..20, 0_u64..900, 1_u64..4, any::<bool>()), 1..100),
        ) {
            let (mut table, mut now) = (Small::new(20), 0);
            let mut model = BTreeMap::<u32, Bucket>::new();
            for (key, wait, count, sweep) in steps {
                now += wait;
                if sweep {
                    table.sweep(&RATES, Millis(now));
                }
                let bucket = model.entry(key).or_default();
                let expected = bucket.take(RATES[0].unwrap(), Millis(now), count).is_ok();
                prop_assert_eq!(take(&mut table, key, now, count), expected);
            }
        }
    }
}
