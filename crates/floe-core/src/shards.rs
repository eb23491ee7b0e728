//! The connections of one waddle, split over shards.
//!
//! A user's connections are all in one shard, which a hash of the user picks; every server with the
//! same number of shards picks the same. A shard has a bound of its own, so that a crowd at one
//! leaves room at the others. What is said in the waddle, and who is there, knows nothing of shards.

/// How a waddle's connections are split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    shards: u16,
    connections_max: usize,
}

/// Connections of one waddle, by shard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShardCounts(Vec<usize>);

/// Why a connection was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("shard {shard} of the waddle has its {connections_max} connections")]
pub struct ShardFull {
    /// The shard, from 0.
    pub shard: u16,
    /// Connections that it may have.
    pub connections_max: usize,
}

/// Shards that a waddle may have.
pub const SHARDS_MAX: u16 = 64;

impl Split {
    /// Splits over so many shards, at least one and at most [`SHARDS_MAX`], of so many connections
    /// each.
    #[must_use]
    pub fn new(shards: usize, connections_max: usize) -> Self {
        let shards = u16::try_from(shards).unwrap_or(SHARDS_MAX);
        Self {
            shards: shards.clamp(1, SHARDS_MAX),
            connections_max,
        }
    }

    /// Returns how many shards there are.
    #[must_use]
    pub const fn shards(self) -> u16 {
        self.shards
    }

    /// Returns the shard of a user, from 0.
    #[must_use]
    pub fn shard_of(self, user: &str) -> u16 {
        let shard = hash(user.as_bytes()) % u64::from(self.shards);
        u16::try_from(shard).unwrap_or_default()
    }

    /// Returns what a shard of a waddle is called: the waddle's own name where there is one shard.
    #[must_use]
    pub fn name(self, waddle: &str, shard: u16) -> String {
        match self.shards {
            1 => waddle.to_owned(),
            _ => format!("{waddle}-shard-{shard}"),
        }
    }
}

impl ShardCounts {
    /// Takes a connection of a user in; returns its shard.
    ///
    /// # Errors
    /// The shard is full. The others may not be.
    pub fn admit(&mut self, split: Split, user: &str) -> Result<u16, ShardFull> {
        let shard = split.shard_of(user);
        let at = usize::from(shard);
        if self.0.len() <= at {
            self.0.resize(at + 1, 0);
        }
        match self.0.get_mut(at) {
            Some(count) if *count < split.connections_max => {
                *count += 1;
                Ok(shard)
            }
            Some(_) | None => Err(ShardFull {
                shard,
                connections_max: split.connections_max,
            }),
        }
    }

    /// Lets a connection go that [`admit`](Self::admit) put into a shard.
    pub fn leave(&mut self, shard: u16) {
        if let Some(count) = self.0.get_mut(usize::from(shard)) {
            *count = count.saturating_sub(1);
        }
    }

    /// Returns how many connections a shard has.
    #[must_use]
    pub fn connections(&self, shard: u16) -> usize {
        self.0.get(usize::from(shard)).copied().unwrap_or_default()
    }

    /// Returns whether there is no connection at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|count| *count == 0)
    }
}

/// FNV-1a with 64 bits, and its upper half folded in, as its lowest bits alone are of little use.
/// Servers agree on it, so it never changes.
fn hash(bytes: &[u8]) -> u64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_always_in_the_same_shard_and_users_are_spread() {
        let split = Split::new(8, 1_000);
        let mut counts = ShardCounts::default();
        for user in 0..4_000 {
            let user = format!("user-{user}");
            let shard = counts.admit(split, &user).unwrap();
            assert_eq!(shard, split.shard_of(&user));
        }
        for shard in 0..8 {
            let found = counts.connections(shard);
            assert!((400..600).contains(&found), "shard {shard}: {found}");
        }
        // Other servers, and later versions, must find the same.
        let places = ["ann", "ben", "cleo", ""].map(|user| split.shard_of(user));
        assert_eq!(places, GOLDEN);
    }

    const GOLDEN: [u16; 4] = [1, 3, 7, 1];

    #[test]
    fn a_full_shard_refuses_and_the_others_do_not() {
        let split = Split::new(2, 3);
        let (mut first, mut second) = (
            (0..).map(|at| format!("a{at}")),
            (0..).map(|at| format!("b{at}")),
        );
        let first = first.find(|user| split.shard_of(user) == 0).unwrap();
        let second = second.find(|user| split.shard_of(user) == 1).unwrap();
        let mut counts = ShardCounts::default();
        for _ in 0..3 {
            assert_eq!(counts.admit(split, &first), Ok(0));
        }
        let full = ShardFull {
            shard: 0,
            connections_max: 3,
        };
        assert_eq!(counts.admit(split, &first), Err(full));
        assert_eq!(
            full.to_string(),
            "shard 0 of the waddle has its 3 connections"
        );
        assert_eq!(counts.admit(split, &second), Ok(1));
        counts.leave(0);
        assert_eq!(counts.admit(split, &first), Ok(0));
        assert_eq!((counts.connections(0), counts.connections(1)), (3, 1));
        for _ in 0..4 {
            counts.leave(0);
        }
        counts.leave(1);
        counts.leave(9);
        assert!(counts.is_empty());
    }

    #[test]
    fn shards_have_names_of_their_own_and_there_is_always_one() {
        assert_eq!(Split::new(1, 1).name("penguins", 0), "penguins");
        assert_eq!(Split::new(4, 1).name("penguins", 3), "penguins-shard-3");
        for (asked, found) in [(0, 1), (1, 1), (64, 64), (65, 64), (1 << 40, 64)] {
            assert_eq!(Split::new(asked, 1).shards(), found);
        }
    }
}
