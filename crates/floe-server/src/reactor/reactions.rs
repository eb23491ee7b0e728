//! Counts of reactions for the readers of channels: asked of the view, told when they come.

use floe_log::Disk;
use floe_proto::ChannelId;

use super::Reactor;
use super::conn::Place;
use crate::shard::{Failure, Ticket};
use crate::views::{Answer, Ask, Wait};

/// The generation that questions for reactions have instead of a connection's.
const GENERATION: u32 = Place::GENERATION_MAX;
/// The place that they have; no connection has both.
const AT: usize = Place::CONNECTIONS_MAX - 1;

impl<D: Disk> Reactor<D> {
    /// Has the reactions to a message counted: an event `seq` of its channel, which everyone may know
    /// of, gave one, took one back or deleted one. Readers of the channel are woken once there is
    /// something new in [`ReactionCounts::since`](crate::reaction_counts::ReactionCounts::since).
    ///
    /// Whoever tells readers of the channel's events calls it for each such event, as often as it
    /// likes; a channel that nobody watches costs nothing.
    pub(in crate::reactor) fn count_reactions(
        &mut self,
        channel: ChannelId,
        target: u64,
        seq: u64,
    ) {
        self.reaction_counts.note(channel, target, seq);
        self.ask_for_reactions();
    }

    fn ask_for_reactions(&mut self) {
        while let Some(question) = self.reaction_counts.poll_question() {
            let place = Place {
                at: AT,
                generation: GENERATION,
                command: question.number,
            };
            let ask = Ask::Reactions {
                channel: question.channel,
                seq: question.target,
            };
            let wait = Wait::Seq {
                channel: question.channel,
                seq: question.at_least,
                timeout_ms: self.limits.query_wait_ms,
            };
            let mark = self.shard.next_view_mark();
            let uptime_ms = self.clock.uptime_ms;
            let asked = self.views.ask(place.ticket(), ask, wait, mark, uptime_ms);
            if asked.is_err() {
                // The view has too much to do; the next reaction asks again.
                self.reaction_counts.answered(question.number, None);
            }
        }
    }

    /// Takes an answer of the view that is about reactions; hands back any other.
    pub(super) fn take_reactions(
        &mut self,
        ticket: Ticket,
        answer: Result<Answer, Failure>,
    ) -> Option<Result<Answer, Failure>> {
        let Place {
            at,
            generation,
            command,
        } = Place::of(ticket);
        if (at, generation) != (AT, GENERATION) {
            return Some(answer);
        }
        let reactions = match answer {
            Ok(Answer::Reactions(reactions)) => reactions,
            Ok(_) | Err(_) => None,
        };
        let changed = self.reaction_counts.answered(command, reactions);
        self.ask_for_reactions();
        let now = self.clock.wall;
        if let Some(channel) = changed
            && let Ok(Some(slot)) = self.shard.find_channel(now, channel)
        {
            self.shard.wake_readers(slot, now);
        }
        None
    }
}
