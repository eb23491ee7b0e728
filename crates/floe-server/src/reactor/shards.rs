//! The connections of waddles, by shard.

use std::collections::HashMap;

use floe_core::shards::{ShardCounts, Split};
use floe_log::Disk;
use floe_proto::Code;

use super::Reactor;
use crate::shard::{Failure, SlotId};

/// The connections of all waddles. A waddle of which nobody is there is not in it.
#[derive(Debug, Default)]
pub struct WaddleShards(HashMap<SlotId, ShardCounts>);

/// The place of a connection in a shard, for as long as the connection is in its waddle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardSeat {
    waddle: SlotId,
    shard: u16,
}

impl WaddleShards {
    fn admit(&mut self, waddle: SlotId, split: Split, user: &str) -> Result<ShardSeat, Failure> {
        let counts = self.0.entry(waddle).or_default();
        let admitted = counts.admit(split, user);
        if counts.is_empty() {
            self.0.remove(&waddle);
        }
        match admitted {
            Ok(shard) => Ok(ShardSeat { waddle, shard }),
            Err(full) => Err(Failure::new(Code::LimitReached, full.to_string())),
        }
    }

    fn leave(&mut self, seat: ShardSeat) {
        if let Some(counts) = self.0.get_mut(&seat.waddle) {
            counts.leave(seat.shard);
            if counts.is_empty() {
                self.0.remove(&seat.waddle);
            }
        }
    }
}

impl<D: Disk> Reactor<D> {
    fn split(&self) -> Split {
        let limits = &self.limits;
        Split::new(limits.waddle_shards, limits.waddle_shard_connections_max)
    }

    /// Takes a connection of a user into the shard of a waddle that is the user's.
    pub(super) fn take_shard_seat(
        &mut self,
        waddle: SlotId,
        user: Option<&str>,
    ) -> Result<ShardSeat, Failure> {
        let split = self.split();
        self.waddle_shards
            .admit(waddle, split, user.unwrap_or_default())
    }

    /// Lets a connection out of its shard.
    pub(super) fn leave_shard_seat(&mut self, seat: ShardSeat) {
        self.waddle_shards.leave(seat);
    }

    /// Returns what a connection's shard of a waddle is called, if the waddle has several.
    pub(super) fn shard_name(&self, waddle: &str, seat: ShardSeat) -> Option<String> {
        let split = self.split();
        (split.shards() > 1).then(|| split.name(waddle, seat.shard))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_counted_for_each_waddle_and_nothing_is_left_of_those_who_went() {
        let mut shards = WaddleShards::default();
        let split = Split::new(2, 1);
        let (one, other) = (SlotId::for_test(1), SlotId::for_test(2));
        let seat = shards.admit(one, split, "ann").unwrap();
        let full = shards.admit(one, split, "ann").unwrap_err();
        assert_eq!(full.code, Code::LimitReached);
        let elsewhere = shards.admit(other, split, "ann").unwrap();
        shards.leave(seat);
        let again = shards.admit(one, split, "ann").unwrap();
        assert_eq!(again, seat);
        shards.leave(again);
        shards.leave(elsewhere);
        assert!(shards.0.is_empty());
        let closed = shards.admit(one, Split::new(1, 0), "ann").unwrap_err();
        assert_eq!(closed.code, Code::LimitReached);
        assert!(shards.0.is_empty());
    }
}
