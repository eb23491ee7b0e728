//! A timing wheel: thousands of timers, each set, cancelled and found due in constant time.

use floe_proto::Millis;

/// Timers of all rooms of a shard, each with what it is for.
///
/// Time counts in ticks of [`Wheel::TICK_MS`]; a timer is due at the first tick at or after its
/// moment, never before. Each level has 64 slots, of which each spans a whole lap of the level
/// below; a timer lies in the lowest level whose lap it shares with the present, and moves down as
/// its moment draws near. Timers of one tick come out in the order in which they were set or moved.
#[derive(Debug, Clone)]
pub struct Wheel<T> {
    /// The last tick that was advanced to.
    tick: u64,
    /// Which slots of each level hold timers.
    occupied: [u64; LEVELS],
    /// First timer of each slot.
    heads: [[u32; SLOTS]; LEVELS],
    nodes: Vec<Node<T>>,
    free: u32,
    len: usize,
}

/// Names a timer that was set, to cancel it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimerId {
    node: u32,
    generation: u32,
}

#[derive(Debug, Clone)]
struct Node<T> {
    value: Option<T>,
    /// The tick at which it is due.
    tick: u64,
    level: u8,
    slot: u8,
    /// Changes with each use of the place, so that an old name does not cancel a new timer.
    generation: u32,
    /// Neighbours in the ring of the slot; `next` of a free place is the next free one.
    previous: u32,
    next: u32,
}

const SLOT_BITS: usize = 6;
const SLOTS: usize = 1 << SLOT_BITS;
/// Enough for every tick that there is.
const LEVELS: usize = 11;
const NONE: u32 = u32::MAX;
/// Places that are kept though no timer is set.
const NODES_KEPT: usize = 1024;

impl<T> Wheel<T> {
    /// Milliseconds of a tick: how much later than its moment a timer may be found due.
    pub const TICK_MS: u64 = 16;

    /// Makes a wheel without timers; no timer is due before `now`.
    #[must_use]
    pub const fn new(now: Millis) -> Self {
        Self {
            tick: now.0 / Self::TICK_MS,
            occupied: [0; LEVELS],
            heads: [[NONE; SLOTS]; LEVELS],
            nodes: Vec::new(),
            free: NONE,
            len: 0,
        }
    }

    /// Timers that are set.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether no timer is set.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Sets a timer; one of the past is due at the next tick.
    pub fn insert(&mut self, at: Millis, value: T) -> TimerId {
        let tick = at.0.div_ceil(Self::TICK_MS).max(self.tick + 1);
        let node = self.take_place(value, tick);
        self.link(node);
        self.len += 1;
        TimerId {
            node,
            generation: self.nodes[node as usize].generation,
        }
    }

    /// Takes a timer back; `None` if it was due or cancelled before.
    pub fn cancel(&mut self, id: TimerId) -> Option<T> {
        let node = self.nodes.get(id.node as usize)?;
        if node.generation != id.generation || node.value.is_none() {
            return None;
        }
        self.unlink(id.node);
        self.give_place(id.node)
    }

    /// Moves to `now` and appends what is due to `due`, earliest first.
    pub fn advance(&mut self, now: Millis, due: &mut Vec<T>) {
        let target = now.0 / Self::TICK_MS;
        while let Some((level, slot, tick)) = self.next_slot().filter(|next| next.2 <= target) {
            self.tick = tick;
            self.empty_slot(level, slot, due);
        }
        self.tick = self.tick.max(target);
        if self.len == 0 && self.nodes.len() > NODES_KEPT {
            self.nodes = Vec::new();
            self.free = NONE;
        }
    }

    /// Returns when to advance next; nothing is due before.
    ///
    /// It may be earlier than the first timer, by less than the time that is left to it.
    #[must_use]
    pub fn next_due(&self) -> Option<Millis> {
        let (_, _, tick) = self.next_slot()?;
        Some(Millis(tick.saturating_mul(Self::TICK_MS)))
    }

    /// Returns the slot that time reaches next, and the tick at which it does.
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        let level = self.occupied.iter().position(|slots| *slots != 0)?;
        // A timer lies in the level where its tick first differs from the present one, which it
        // is later than; so all slots of the level lie ahead, and higher levels behind them.
        let slot = self.occupied[level].trailing_zeros() as usize;
        let shift = level * SLOT_BITS;
        let lap = self.tick.checked_shr((shift + SLOT_BITS) as u32);
        let lap = lap.unwrap_or(0).checked_shl(SLOT_BITS as u32).unwrap_or(0);
        Some((level, slot, (lap | slot as u64) << shift))
    }

    /// Takes all timers out of a slot that time has reached: those of the tick itself are due, the
    /// others move to a lower level.
    fn empty_slot(&mut self, level: usize, slot: usize, due: &mut Vec<T>) {
        let head = self.heads[level][slot];
        self.heads[level][slot] = NONE;
        self.occupied[level] &= !(1 << slot);
        let mut at = head;
        loop {
            let next = self.nodes[at as usize].next;
            if self.nodes[at as usize].tick <= self.tick {
                due.extend(self.give_place(at));
            } else {
                self.link(at);
            }
            if next == head {
                return;
            }
            at = next;
        }
    }

    fn link(&mut self, at: u32) {
        let tick = self.nodes[at as usize].tick;
        let differs = (tick ^ self.tick) | 1;
        let level = differs.ilog2() as usize / SLOT_BITS;
        let slot = (tick >> (level * SLOT_BITS)) as usize % SLOTS;
        let head = self.heads[level][slot];
        let (previous, next) = if head == NONE {
            self.heads[level][slot] = at;
            self.occupied[level] |= 1 << slot;
            (at, at)
        } else {
            (self.nodes[head as usize].previous, head)
        };
        let node = &mut self.nodes[at as usize];
        (node.level, node.slot) = (level as u8, slot as u8);
        (node.previous, node.next) = (previous, next);
        self.nodes[previous as usize].next = at;
        self.nodes[next as usize].previous = at;
    }

    fn unlink(&mut self, at: u32) {
        let Node {
            level,
            slot,
            previous,
            next,
            ..
        } = self.nodes[at as usize];
        let (level, slot) = (usize::from(level), usize::from(slot));
        self.nodes[previous as usize].next = next;
        self.nodes[next as usize].previous = previous;
        if next == at {
            self.heads[level][slot] = NONE;
            self.occupied[level] &= !(1 << slot);
        } else if self.heads[level][slot] == at {
            self.heads[level][slot] = next;
        }
    }

    fn take_place(&mut self, value: T, tick: u64) -> u32 {
        let at = self.free;
        if let Some(node) = self.nodes.get_mut(at as usize) {
            self.free = node.next;
            (node.value, node.tick) = (Some(value), tick);
            return at;
        }
        self.nodes.push(Node {
            value: Some(value),
            tick,
            level: 0,
            slot: 0,
            generation: 0,
            previous: NONE,
            next: NONE,
        });
        // A process has no memory for four thousand million timers.
        (self.nodes.len() - 1) as u32
    }

    fn give_place(&mut self, at: u32) -> Option<T> {
        let node = &mut self.nodes[at as usize];
        node.generation = node.generation.wrapping_add(1);
        node.next = self.free;
        self.free = at;
        self.len -= 1;
        node.value.take()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TICK: u64 = Wheel::<u32>::TICK_MS;

    const NOTHING: [u32; 0] = [];

    fn due(wheel: &mut Wheel<u32>, now: u64) -> Vec<u32> {
        let mut due = Vec::new();
        wheel.advance(Millis(now), &mut due);
        due
    }

    #[test]
    fn a_timer_is_due_at_its_moment_and_not_before() {
        for at in [1, TICK, 3_000, 5_000, 64 * TICK, 86_400_000, u64::MAX >> 1] {
            let mut wheel = Wheel::new(Millis(0));
            wheel.insert(Millis(at), 7);
            let tick = at.div_ceil(TICK) * TICK;
            while let Some(next) = wheel.next_due().filter(|next| next.0 < tick) {
                assert_eq!(due(&mut wheel, next.0), NOTHING);
            }
            assert_eq!(due(&mut wheel, tick - 1), NOTHING);
            assert_eq!(wheel.next_due(), Some(Millis(tick)));
            assert_eq!(due(&mut wheel, tick), [7]);
            assert_eq!((wheel.next_due(), wheel.len()), (None, 0));
        }
    }

    #[test]
    fn the_end_of_time_is_reached_in_a_few_steps() {
        let mut wheel = Wheel::new(Millis(1_700_000_000_000));
        wheel.insert(Millis(u64::MAX), 1);
        wheel.insert(Millis(0), 2);
        assert_eq!(due(&mut wheel, 1_700_000_000_000 + TICK), [2]);
        assert_eq!(due(&mut wheel, u64::MAX - TICK), NOTHING);
        assert_eq!(wheel.len(), 1);
    }

    #[test]
    fn a_name_cancels_its_own_timer_alone() {
        let mut wheel = Wheel::new(Millis(0));
        let first = wheel.insert(Millis(100), 1);
        assert_eq!(wheel.cancel(first), Some(1));
        assert_eq!(wheel.cancel(first), None);
        let second = wheel.insert(Millis(100), 2);
        assert_eq!(wheel.cancel(first), None);
        assert_eq!(due(&mut wheel, 200), [2]);
        assert_eq!(wheel.cancel(second), None);
    }

    #[test]
    fn a_crowd_leaves_no_memory_behind() {
        let mut wheel = Wheel::new(Millis(0));
        for at in 0..10_000 {
            wheel.insert(Millis(at), at as u32);
        }
        assert_eq!(due(&mut wheel, 10_000).len(), 10_000);
        assert_eq!(wheel.nodes.capacity(), 0);
        wheel.insert(Millis(0), 1);
        assert_eq!(due(&mut wheel, 20_000), [1]);
    }

    #[derive(Debug, Clone, Copy)]
    enum Op {
        Insert { after: u64 },
        Cancel { which: usize },
        Advance { by: u64 },
        Follow,
    }

    fn op() -> impl Strategy<Value = Op> {
        let after = prop_oneof![0..200_u64, 0..20_000_u64, 0..100_000_000_u64, any::<u64>()];
        let by = prop_oneof![0..200_u64, 0..20_000_u64, 0..100_000_000_u64];
        prop_oneof![
            4 => after.prop_map(|after| Op::Insert { after }),
            2 => any::<usize>().prop_map(|which| Op::Cancel { which }),
            2 => by.prop_map(|by| Op::Advance { by }),
            1 => Just(Op::Follow),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn a_wheel_agrees_with_a_sorted_list(
            start in 0..2_000_000_000_000_u64,
            ops in proptest::collection::vec(op(), 1..100),
        ) {
            let mut wheel = Wheel::new(Millis(start));
            let mut now = start;
            let mut set: Vec<(u64, u32, TimerId)> = Vec::new();
            let mut next = 0;
            for op in ops {
                match op {
                    Op::Insert { after } => {
                        let at = now.saturating_add(after);
                        let id = wheel.insert(Millis(at), next);
                        set.push((at.div_ceil(TICK).max(now / TICK + 1), next, id));
                        next += 1;
                    }
                    Op::Cancel { which } if !set.is_empty() => {
                        let (_, value, id) = set.remove(which % set.len());
                        prop_assert_eq!(wheel.cancel(id), Some(value));
                    }
                    Op::Cancel { .. } => {}
                    Op::Advance { by } => now = now.saturating_add(by),
                    Op::Follow => now = wheel.next_due().map_or(now, |next| next.0.max(now)),
                }
                let mut due = Vec::new();
                wheel.advance(Millis(now), &mut due);
                let mut expected = set.to_vec();
                expected.retain(|(tick, ..)| *tick <= now / TICK);
                expected.sort_by_key(|(tick, ..)| *tick);
                set.retain(|(tick, ..)| *tick > now / TICK);
                let tick_of = |value: &u32| {
                    expected.iter().find(|one| one.1 == *value).map(|one| one.0)
                };
                let ticks: Vec<_> = due.iter().map(tick_of).collect();
                let wanted: Vec<_> = expected.iter().map(|one| Some(one.0)).collect();
                prop_assert_eq!(ticks, wanted);
                prop_assert_eq!(wheel.len(), set.len());
                let first = set.iter().map(|(tick, ..)| *tick).min();
                let bound = wheel.next_due().map(|next| next.0);
                prop_assert_eq!(bound.is_some(), first.is_some());
                if let (Some(bound), Some(first)) = (bound, first) {
                    prop_assert!(bound <= first.saturating_mul(TICK) && bound > now / TICK * TICK);
                }
            }
        }
    }
}
