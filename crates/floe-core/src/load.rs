//! What a server gives up first when it has more to do than it can.
//!
//! [`Load`] is told once a second how full memory is and how late the event loop, and says at which
//! [`Level`] the server is. A level gives up what is missed least: those who are not there yet, then
//! what is only nice to know, and only then messages. Memory counts at once, since there is no way
//! back from its end; lateness only once it lasts, since a moment of it is nothing to anybody. Both
//! must stay below where the level began, for a while, before it is left, one level at a time.

use floe_proto::Millis;

/// How much a server gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Level {
    /// Nothing.
    #[default]
    Normal,
    /// New live readers are refused; those there are stay.
    NoJoins,
    /// Presence is told seldom, too, and who types not at all.
    Thinned,
    /// Messages are refused, too.
    NoMessages,
}

impl Level {
    /// All of them, the least first.
    pub const ALL: [Self; 4] = [Self::Normal, Self::NoJoins, Self::Thinned, Self::NoMessages];

    /// Returns the level as a number, 0 to 3.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Normal => 0,
            Self::NoJoins => 1,
            Self::Thinned => 2,
            Self::NoMessages => 3,
        }
    }

    /// Returns the level's name, as people read it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::NoJoins => "no_joins",
            Self::Thinned => "thinned",
            Self::NoMessages => "no_messages",
        }
    }

    /// Returns whether new live readers are refused.
    #[must_use]
    pub fn refuses_joins(self) -> bool {
        self >= Self::NoJoins
    }

    /// Returns whether presence is told seldom and who types not at all.
    #[must_use]
    pub fn is_thinned(self) -> bool {
        self >= Self::Thinned
    }

    /// Returns whether messages are refused.
    #[must_use]
    pub fn refuses_messages(self) -> bool {
        self >= Self::NoMessages
    }

    const fn above(self) -> Self {
        match self {
            Self::Normal => Self::NoJoins,
            Self::NoJoins => Self::Thinned,
            Self::Thinned | Self::NoMessages => Self::NoMessages,
        }
    }

    const fn below(self) -> Self {
        match self {
            Self::Normal | Self::NoJoins => Self::Normal,
            Self::Thinned => Self::NoJoins,
            Self::NoMessages => Self::Thinned,
        }
    }
}

/// What a server bears; 0 is no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoadLimits {
    /// Resident bytes of the process at which messages are refused. Joins are refused at nine
    /// tenths, presence is thinned at nineteen twentieths.
    pub memory_bytes_max: u64,
    /// Milliseconds that the event loop may be late before joins are refused. Presence is thinned at
    /// twice, messages are refused at four times as many.
    pub late_ms_max: u64,
}

/// How a server was in the last while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoadSample {
    /// Resident bytes of the process.
    pub resident_bytes: u64,
    /// Milliseconds that something may have waited for the event loop, at worst.
    pub late_ms: u64,
}

/// Decides on the level.
#[derive(Debug, Clone, Default)]
pub struct Load {
    limits: LoadLimits,
    level: Level,
    /// Samples in a row that were late enough for the next level.
    late: u32,
    /// Since when it has been calm enough for the level below.
    calm_since: Option<Millis>,
}

/// Samples in a row that must be late before the level rises.
const LATE_SAMPLES: u32 = 3;
/// Milliseconds of calm before the level falls by one.
const CALM_MS: u64 = 5_000;
/// Thousandths of a level's beginning below which it is calm, of memory and of lateness.
const CALM_MEMORY: u64 = 950;
const CALM_LATE: u64 = 500;

impl Load {
    /// Begins at [`Level::Normal`].
    #[must_use]
    pub fn new(limits: LoadLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Goes by other limits from the next sample on.
    pub const fn set_limits(&mut self, limits: LoadLimits) {
        self.limits = limits;
    }

    /// Returns the level.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }

    /// Takes a sample in; returns the level if it is another now.
    pub fn observe(&mut self, now: Millis, sample: LoadSample) -> Option<Level> {
        let before = self.level;
        if self.limits == LoadLimits::default() {
            *self = Self::default();
            return (before != self.level).then_some(self.level);
        }
        let by_memory = self.reached(|level| self.memory_at(level), sample.resident_bytes);
        let by_lateness = self.reached(|level| self.late_at(level), sample.late_ms);
        self.late = if by_lateness > self.level {
            self.late + 1
        } else {
            0
        };
        if by_memory > self.level {
            self.level = by_memory;
        } else if self.late >= LATE_SAMPLES {
            self.level = self.level.above();
            self.late = 0;
        }
        if self.level > before || !self.is_calm(sample) {
            self.calm_since = None;
        } else {
            let since = *self.calm_since.get_or_insert(now);
            if now.since(since) >= CALM_MS {
                self.level = self.level.below();
                self.calm_since = Some(now);
            }
        }
        (self.level != before).then_some(self.level)
    }

    /// Returns the highest level whose beginning `value` has reached.
    fn reached(&self, begins: impl Fn(Level) -> u64, value: u64) -> Level {
        let mut levels = Level::ALL.into_iter().rev();
        levels
            .find(|level| value >= begins(*level))
            .unwrap_or_default()
    }

    /// Returns whether a sample is well below where the level began.
    fn is_calm(&self, sample: LoadSample) -> bool {
        if self.level == Level::Normal {
            return false;
        }
        let below = |begins: u64, share: u64, value: u64| {
            u128::from(value) * 1_000 < u128::from(begins) * u128::from(share)
        };
        below(
            self.memory_at(self.level),
            CALM_MEMORY,
            sample.resident_bytes,
        ) && below(self.late_at(self.level), CALM_LATE, sample.late_ms)
    }

    /// Returns the resident bytes at which a level begins.
    const fn memory_at(&self, level: Level) -> u64 {
        let most = self.limits.memory_bytes_max;
        match level {
            Level::Normal => 0,
            _ if most == 0 => u64::MAX,
            Level::NoJoins => most / 10 * 9,
            Level::Thinned => most / 20 * 19,
            Level::NoMessages => most,
        }
    }

    /// Returns the lateness at which a level begins.
    const fn late_at(&self, level: Level) -> u64 {
        let most = self.limits.late_ms_max;
        match level {
            Level::Normal => 0,
            _ if most == 0 => u64::MAX,
            Level::NoJoins => most,
            Level::Thinned => most.saturating_mul(2),
            Level::NoMessages => most.saturating_mul(4),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: LoadLimits = LoadLimits {
        memory_bytes_max: 1_000_000,
        late_ms_max: 1_000,
    };

    /// A server whose time goes on a second with each sample.
    struct Server {
        load: Load,
        now: Millis,
    }

    impl Server {
        fn new(limits: LoadLimits) -> Self {
            Self {
                load: Load::new(limits),
                now: Millis(1_000_000),
            }
        }

        fn second(&mut self, resident_bytes: u64, late_ms: u64) -> u8 {
            self.now = self.now.plus(1_000);
            let sample = LoadSample {
                resident_bytes,
                late_ms,
            };
            let before = self.load.level();
            let changed = self.load.observe(self.now, sample);
            assert_eq!(changed.is_some(), before != self.load.level());
            self.load.level().number()
        }

        fn seconds(&mut self, count: usize, resident_bytes: u64, late_ms: u64) -> Vec<u8> {
            (0..count)
                .map(|_| self.second(resident_bytes, late_ms))
                .collect()
        }
    }

    #[test]
    fn memory_counts_at_once_and_as_far_as_it_goes() {
        for (bytes, level) in [
            (0, 0),
            (899_999, 0),
            (900_000, 1),
            (949_999, 1),
            (950_000, 2),
            (999_999, 2),
            (1_000_000, 3),
            (u64::MAX, 3),
        ] {
            assert_eq!(Server::new(LIMITS).second(bytes, 0), level, "{bytes}");
        }
    }

    #[test]
    fn a_moment_of_lateness_is_nothing_and_lasting_lateness_raises_it_step_by_step() {
        let mut server = Server::new(LIMITS);
        assert_eq!(server.seconds(2, 0, 60_000), [0, 0]);
        assert_eq!(server.second(0, 10), 0);
        assert_eq!(server.seconds(7, 0, 60_000), [0, 0, 1, 1, 1, 2, 2]);
        // Late enough for that level, and for none above.
        let mut server = Server::new(LIMITS);
        assert_eq!(server.seconds(8, 0, 1_500), [0, 0, 1, 1, 1, 1, 1, 1]);
    }

    #[test]
    fn a_level_is_left_after_calm_alone_one_by_one() {
        let mut server = Server::new(LIMITS);
        assert_eq!(server.second(1_000_000, 0), 3);
        // Just below where it began is not calm.
        assert_eq!(server.seconds(20, 960_000, 0), [3; 20]);
        // Calm enough for the highest level, and no lower one.
        assert_eq!(
            server.seconds(14, 910_000, 0),
            [3, 3, 3, 3, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2]
        );
        assert_eq!(
            server.seconds(16, 100, 0),
            [2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
        );
    }

    #[test]
    fn calm_that_is_broken_begins_anew() {
        let mut server = Server::new(LIMITS);
        assert_eq!(server.second(900_000, 0), 1);
        assert_eq!(server.seconds(5, 0, 0), [1; 5]);
        assert_eq!(server.second(0, 700), 1);
        assert_eq!(server.seconds(6, 0, 0), [1, 1, 1, 1, 1, 0]);
    }

    #[test]
    fn without_bounds_nothing_is_ever_given_up() {
        let mut server = Server::new(LoadLimits::default());
        assert_eq!(server.seconds(20, u64::MAX - 1, u64::MAX - 1), [0; 20]);
        // A bound that is taken away lets go of what it held.
        let mut server = Server::new(LIMITS);
        assert_eq!(server.second(1_000_000, 0), 3);
        server.load.set_limits(LoadLimits::default());
        assert_eq!(server.second(1_000_000, 0), 0);
    }

    #[test]
    fn the_same_samples_leave_the_same_level_as_a_plain_model() {
        // Of memory alone: the level rises to what is reached, and falls by one after five seconds
        // below 95 % of where it began.
        let begins = [0_u64, 900_000, 950_000, 1_000_000];
        let (mut server, mut level, mut calm, mut seed) = (Server::new(LIMITS), 0_usize, 0, 7_u64);
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let bytes = match seed >> 62 {
                0 => 850_000 + (seed >> 40) % 200_000,
                _ => (seed >> 40) % 860_000,
            };
            let reached = begins.iter().rposition(|begins| bytes >= *begins).unwrap();
            if reached > level {
                (level, calm) = (reached, 0);
            } else if level > 0 && bytes * 1_000 < begins[level] * 950 {
                calm += 1;
                if calm == 6 {
                    (level, calm) = (level - 1, 1);
                }
            } else {
                calm = 0;
            }
            assert_eq!(usize::from(server.second(bytes, 0)), level);
        }
    }
}
