//! How far users have read: for each user of a namespace one value, the newest event they have read of
//! each channel.

use std::borrow::Cow;

use floe_core::{ContentType, Create, Lifetime, Record};
use floe_log::{Disk, Payload};
use floe_proto::codec::{Put, Reader};
use floe_proto::{ChannelId, Code, Millis, Namespace};

use super::{Failure, Reply, Shard, Ticket};

/// Channels of which one user's mark is kept; the one that was moved longest ago makes way.
pub const READS_MAX: usize = 500;

/// Bytes of a user's name, of whom marks are kept.
pub const READER_BYTES_MAX: usize = 128;

/// What the path of a user's marks begins with, behind which no client comes.
const READS: &[u8] = b"__ds/reads/";

/// What the value begins with: the version of its form.
const VERSION: u8 = 1;

/// How far a user has read, once that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marked {
    /// The channel.
    pub channel: ChannelId,
    /// The newest event that the user has read, which may be one that was marked before.
    pub seq: u64,
    /// Whether this command has moved the mark.
    pub moved: bool,
}

/// The marks of one user, in the order in which they were moved.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Reads(Vec<(ChannelId, u64)>);

impl Reads {
    /// Moves a mark forward; returns where it was, or is, if it lies there or further already.
    fn mark(&mut self, channel: ChannelId, seq: u64) -> Result<(), u64> {
        if let Some(at) = self.0.iter().position(|(known, _)| *known == channel) {
            let (_, known) = self.0.remove(at);
            if known >= seq {
                self.0.insert(at, (channel, known));
                return Err(known);
            }
        }
        if self.0.len() >= READS_MAX {
            self.0.remove(0);
        }
        self.0.push((channel, seq));
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        for (channel, seq) in &self.0 {
            out.extend_from_slice(&channel.0);
            out.put_varint(*seq);
        }
        out
    }

    /// Reads a value; one that a newer version wrote is as if nothing were marked.
    fn decode(value: &[u8]) -> Self {
        let mut reads = Self::default();
        let Some((&VERSION, rest)) = value.split_first() else {
            return reads;
        };
        let mut reader = Reader::new(rest);
        while let Some(channel) = reader.take(6).and_then(|id| id.try_into().ok()) {
            let Some(seq) = reader.varint() else { break };
            reads.0.push((ChannelId(channel), seq));
        }
        reads
    }
}

impl<D: Disk> Shard<D> {
    /// Notes that a user has read a channel up to an event; replies [`Reply::Marked`] once that is
    /// durable.
    ///
    /// Marks only go forward: one that lies behind what was read already changes nothing.
    pub fn mark_read(
        &mut self,
        now: Millis,
        ticket: Ticket,
        namespace: &Namespace,
        user: &str,
        channel: ChannelId,
        seq: u64,
    ) {
        let outcome = self.stage_mark(now, ticket, namespace, user, channel, seq);
        if let Err(failure) = outcome {
            self.refuse(ticket, failure);
        }
    }

    /// Returns how far a user has read, for each channel that is marked, the one moved last at the
    /// end. It may tell of what is not durable yet.
    ///
    /// # Errors
    /// When the room cannot be read.
    pub fn reads_of(
        &mut self,
        now: Millis,
        namespace: &Namespace,
        user: &str,
    ) -> Result<Vec<(ChannelId, u64)>, Failure> {
        let value = self.value(now, &room_of(namespace, user))?;
        Ok(value.map_or_else(Vec::new, |value| Reads::decode(&value).0))
    }

    /// Tells what [`reads_of`](Self::reads_of) returns, as [`Reply::Reads`], once it is durable.
    pub fn tell_reads(&mut self, now: Millis, ticket: Ticket, namespace: &Namespace, user: &str) {
        let found = self.reads_of(now, namespace, user).and_then(|reads| {
            let slot = self.find(now, &room_of(namespace, user))?;
            Ok((slot, reads))
        });
        match found {
            Ok((slot, reads)) => self.answer(slot, ticket, Reply::Reads(reads)),
            Err(failure) => self.refuse(ticket, failure),
        }
    }

    fn stage_mark(
        &mut self,
        now: Millis,
        ticket: Ticket,
        namespace: &Namespace,
        user: &str,
        channel: ChannelId,
        seq: u64,
    ) -> Result<(), Failure> {
        if !(1..=READER_BYTES_MAX).contains(&user.len()) {
            let message = "marks are kept of users of 1 to 128 bytes";
            return Err(Failure::new(Code::InvalidRequest, message));
        }
        let name = room_of(namespace, user);
        let slot = self.find(now, &name)?;
        let value = slot.and_then(|slot| self.slots[slot.0 as usize].room.value());
        let mut reads = value.map(Reads::decode).unwrap_or_default();
        if let Err(known) = reads.mark(channel, seq) {
            let marked = Marked {
                channel,
                seq: known,
                moved: false,
            };
            self.answer(slot, ticket, Reply::Marked(marked));
            return Ok(());
        }
        let slot = match slot {
            Some(slot) => slot,
            None => {
                if self.log.len() >= self.limits.streams_max {
                    let message = "the server has streams.max streams";
                    return Err(Failure::new(Code::LimitReached, message));
                }
                let create = Create::new(ContentType::default(), Lifetime::Unlimited);
                self.stage_create(now, &name, &create, false, Payload::NONE)?
            }
        };
        let value = reads.encode();
        let lsn = self.stage(slot, &Record::Value(&value), Payload::NONE, now)?;
        let marked = Marked {
            channel,
            seq,
            moved: true,
        };
        self.queue(lsn, slot, Some((ticket, Reply::Marked(marked))));
        Ok(())
    }
}

fn room_of<'a>(namespace: &Namespace, user: &str) -> Cow<'a, [u8]> {
    let path = [READS, user.as_bytes()].concat();
    Cow::Owned(namespace.qualify(&path).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn channel(number: u16) -> ChannelId {
        let [high, low] = number.to_be_bytes();
        ChannelId([0, 0, 0, 0, high, low])
    }

    #[test]
    fn the_mark_moved_longest_ago_makes_way() {
        let mut reads = Reads::default();
        for number in 0..READS_MAX as u16 {
            assert_eq!(reads.mark(channel(number), 5), Ok(()));
        }
        assert_eq!(reads.mark(channel(0), 5), Err(5));
        assert_eq!(reads.mark(channel(0), 6), Ok(()));
        assert_eq!(reads.mark(channel(9_999), 1), Ok(()));
        assert_eq!(reads.0.len(), READS_MAX);
        // The second has gone: the first was moved since.
        assert_eq!(reads.0.first(), Some(&(channel(2), 5)));
        assert_eq!(reads.0.last(), Some(&(channel(9_999), 1)));
    }

    #[test]
    fn values_of_another_form_mark_nothing() {
        assert_eq!(Reads::decode(b""), Reads::default());
        assert_eq!(Reads::decode(&[2, 1, 1, 1, 1, 1, 1, 7]), Reads::default());
    }

    proptest! {
        #[test]
        fn marks_only_go_forward_and_outlive_their_value(
            steps in proptest::collection::vec((0..6_u16, 1..200_u64), 0..60),
        ) {
            let mut reads = Reads::default();
            let mut model = std::collections::BTreeMap::new();
            for (number, seq) in steps {
                let known = model.entry(number).or_insert(0_u64);
                let expected = if *known >= seq { Err(*known) } else { Ok(()) };
                *known = seq.max(*known);
                prop_assert_eq!(reads.mark(channel(number), seq), expected);
                reads = Reads::decode(&reads.encode());
            }
            let mut all = reads.0;
            all.sort_unstable();
            let expected: Vec<_> = model.into_iter().map(|(number, seq)| (channel(number), seq)).collect();
            prop_assert_eq!(all, expected);
        }

        #[test]
        fn hostile_values_never_panic(value: Vec<u8>) {
            let _ = Reads::decode(&value);
        }
    }
}
