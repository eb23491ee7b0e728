//! Reactions of messages that somebody watches, counted by the view.
//!
//! Whoever tells the readers of a channel of a reaction event [notes](ReactionCounts::note) it here. The
//! view is asked once it has that event, for many reactions to one message as for one: at most one
//! question is under way for a message, and at most one more is owed. What it counted is held with a
//! [revision](Counted::revision) that only grows, so that each reader pulls what it has not seen
//! ([`ReactionCounts::since`]), as it does everything else, however far it is behind.
//!
//! This decides; the reactor asks the view ([`ReactionCounts::poll_question`]), hands in what it says
//! ([`ReactionCounts::answered`]), and wakes the readers of the channel that this returns.

use std::collections::{BTreeMap, HashMap, VecDeque};

use floe_proto::{ChannelId, Reactions};

/// Messages whose reactions are held; the one that was counted longest ago makes way. A reader that had
/// not seen it yet learns of it with the next reaction, or when it lists messages.
pub const TARGETS_MAX: usize = 10_000;

/// Questions under way at once; more wait their turn.
const QUESTIONS_MAX: usize = 32;

/// What the view counted for one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The message.
    pub target: u64,
    /// Grows with every count, of this message and of others.
    pub revision: u64,
    /// The newest event of the channel that the counts take into account.
    pub at: u64,
    reactions: Reactions,
}

impl Counted {
    /// Returns each reaction and how many give it, in the order of the first.
    pub fn counts(&self) -> impl Iterator<Item = (&str, u32)> {
        let counts = self.reactions.counts.iter();
        counts.map(|count| (&*count.reaction, count.count))
    }

    /// Returns the reactions that a user gives; `None` where it is not known who gives them all,
    /// because there are more than [`Reactions::AUTHORS_MAX`].
    pub fn by(&self, user: &str) -> Option<impl Iterator<Item = &str>> {
        let counts = self
            .reactions
            .are_all_named
            .then_some(&self.reactions.counts)?;
        let given = counts.iter().filter(move |count| {
            let found = count
                .authors
                .binary_search_by(|author| (**author).cmp(user));
            found.is_ok()
        });
        Some(given.map(|count| &*count.reaction))
    }
}

/// A question for the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// What its answer is handed in under.
    pub number: u16,
    /// The channel.
    pub channel: ChannelId,
    /// The message.
    pub target: u64,
    /// The event that the view must have reached.
    pub at_least: u64,
}

/// The reactions of messages that somebody watches.
#[derive(Debug, Default)]
pub struct ReactionCounts {
    targets: HashMap<(ChannelId, u64), Target>,
    /// Messages that were counted, by channel and revision.
    counted: BTreeMap<(ChannelId, u64), u64>,
    /// The same, by revision alone.
    oldest: BTreeMap<u64, (ChannelId, u64)>,
    /// Messages to ask for, each once.
    queue: VecDeque<(ChannelId, u64)>,
    /// Questions under way, by number.
    under_way: BTreeMap<u16, (ChannelId, u64)>,
    revision: u64,
    next_number: u16,
}

#[derive(Debug, Default)]
struct Target {
    /// The newest event that is to be taken into account.
    wanted: u64,
    /// Whether it is in the queue, or a question for it is under way.
    is_asked: bool,
    counted: Option<Counted>,
}

impl ReactionCounts {
    /// Notes that an event `seq` of a channel, which everyone may know of, changed the reactions to a
    /// message: one was given, taken back or deleted. It may be noted any number of times.
    pub fn note(&mut self, channel: ChannelId, target: u64, seq: u64) {
        let key = (channel, target);
        if !self.targets.contains_key(&key) && !self.make_space() {
            return;
        }
        let entry = self.targets.entry(key).or_default();
        let known = entry.counted.as_ref().map_or(0, |counted| counted.at);
        if seq <= entry.wanted || seq <= known {
            return;
        }
        entry.wanted = seq;
        if !entry.is_asked {
            entry.is_asked = true;
            self.queue.push_back(key);
        }
    }

    /// Returns what to ask the view next; `None` while nothing is to be asked, or enough is under way.
    pub fn poll_question(&mut self) -> Option<Question> {
        if self.under_way.len() >= QUESTIONS_MAX {
            return None;
        }
        let key = self.queue.pop_front()?;
        let at_least = self.targets.get(&key)?.wanted;
        while self.under_way.contains_key(&self.next_number) {
            self.next_number = self.next_number.wrapping_add(1);
        }
        let number = self.next_number;
        self.next_number = number.wrapping_add(1);
        self.under_way.insert(number, key);
        Some(Question {
            number,
            channel: key.0,
            target: key.1,
            at_least,
        })
    }

    /// Takes what the view said to a question; `None` where it had no answer, and is asked again with
    /// the next reaction to the message. Returns the channel whose readers are to be woken.
    pub fn answered(&mut self, number: u16, reactions: Option<Reactions>) -> Option<ChannelId> {
        let key = self.under_way.remove(&number)?;
        let target = self.targets.get_mut(&key)?;
        target.is_asked = false;
        let Some(mut reactions) = reactions else {
            if target.counted.is_none() {
                self.targets.remove(&key);
            } else {
                target.wanted = 0;
            }
            return None;
        };
        for count in &mut reactions.counts {
            count.authors.sort_unstable();
        }
        self.revision += 1;
        let counted = Counted {
            target: key.1,
            revision: self.revision,
            at: reactions.applied,
            reactions,
        };
        if target.wanted > counted.at {
            target.is_asked = true;
            self.queue.push_back(key);
        }
        if let Some(before) = target.counted.replace(counted) {
            self.counted.remove(&(key.0, before.revision));
            self.oldest.remove(&before.revision);
        }
        self.counted.insert((key.0, self.revision), key.1);
        self.oldest.insert(self.revision, key);
        Some(key.0)
    }

    /// Returns what was counted of a channel after a revision, oldest first.
    pub fn since(&self, channel: ChannelId, revision: u64) -> impl Iterator<Item = &Counted> {
        let range = (channel, revision.saturating_add(1))..=(channel, u64::MAX);
        let found = self.counted.range(range);
        found.filter_map(move |(_, target)| self.newest(channel, *target))
    }

    /// Returns what was counted for a message last, if it is held.
    pub fn newest(&self, channel: ChannelId, target: u64) -> Option<&Counted> {
        self.targets.get(&(channel, target))?.counted.as_ref()
    }

    /// Returns the revision of the newest count of all; a reader that begins now has seen it.
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// Makes space for one more message; returns `false` where all that is held is still asked for.
    fn make_space(&mut self) -> bool {
        if self.targets.len() < TARGETS_MAX {
            return true;
        }
        let idle = self
            .oldest
            .iter()
            .find(|(_, key)| {
                self.targets
                    .get(*key)
                    .is_some_and(|target| !target.is_asked)
            })
            .map(|(revision, key)| (*revision, *key));
        let Some((revision, key)) = idle else {
            return false;
        };
        self.oldest.remove(&revision);
        self.counted.remove(&(key.0, revision));
        self.targets.remove(&key);
        true
    }
}

#[cfg(test)]
mod tests {
    use floe_proto::ReactionCount;
    use proptest::prelude::*;

    use super::*;

    const CHANNEL: ChannelId = ChannelId([1; 6]);

    fn reactions(applied: u64, authors: &[&str]) -> Reactions {
        Reactions {
            applied,
            counts: vec![ReactionCount {
                reaction: "+1".into(),
                count: authors.len() as u32,
                authors: authors.iter().map(|author| (*author).into()).collect(),
            }],
            are_all_named: true,
        }
    }

    #[test]
    fn many_reactions_to_one_message_are_two_questions() {
        let mut counts = ReactionCounts::default();
        counts.note(CHANNEL, 1, 2);
        let first = counts.poll_question().unwrap();
        assert_eq!((first.target, first.at_least), (1, 2));
        for seq in 3..100 {
            counts.note(CHANNEL, 1, seq);
        }
        assert_eq!(counts.poll_question(), None);
        assert_eq!(
            counts.answered(first.number, Some(reactions(2, &["bob"]))),
            Some(CHANNEL)
        );
        let second = counts.poll_question().unwrap();
        assert_eq!(second.at_least, 99);
        let answer = reactions(120, &["zoe", "ann", "bob"]);
        assert_eq!(counts.answered(second.number, Some(answer)), Some(CHANNEL));
        assert_eq!(counts.poll_question(), None);
        // What is counted already needs no question, and what comes late none either.
        counts.note(CHANNEL, 1, 120);
        assert_eq!(counts.poll_question(), None);

        let seen: Vec<_> = counts.since(CHANNEL, 0).collect();
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].at, seen[0].revision), (120, counts.revision()));
        assert_eq!(seen[0].counts().collect::<Vec<_>>(), [("+1", 3)]);
        assert_eq!(seen[0].by("ann").unwrap().collect::<Vec<_>>(), ["+1"]);
        assert_eq!(seen[0].by("cy").unwrap().count(), 0);
        assert_eq!(counts.since(CHANNEL, counts.revision()).count(), 0);
        assert_eq!(counts.since(ChannelId([2; 6]), 0).count(), 0);
    }

    #[test]
    fn without_an_answer_the_next_reaction_asks_again() {
        let mut counts = ReactionCounts::default();
        counts.note(CHANNEL, 1, 2);
        let asked = counts.poll_question().unwrap();
        assert_eq!(counts.answered(asked.number, None), None);
        assert_eq!(counts.poll_question(), None);
        counts.note(CHANNEL, 1, 3);
        assert_eq!(counts.poll_question().unwrap().at_least, 3);
    }

    #[test]
    fn what_was_counted_longest_ago_makes_way() {
        let mut counts = ReactionCounts::default();
        for target in 1..=TARGETS_MAX as u64 + 5 {
            counts.note(CHANNEL, target, target + 1);
            let asked = counts.poll_question().unwrap();
            counts.answered(asked.number, Some(reactions(target + 1, &[])));
        }
        assert_eq!(counts.targets.len(), TARGETS_MAX);
        assert!(counts.newest(CHANNEL, 5).is_none());
        assert!(counts.newest(CHANNEL, 6).is_some());
        assert_eq!(counts.since(CHANNEL, 0).count(), TARGETS_MAX);
    }

    proptest! {
        #[test]
        fn every_reaction_is_counted_in_the_end(
            steps in proptest::collection::vec((0..3_u8, 1..5_u64, any::<bool>()), 1..200),
        ) {
            let mut counts = ReactionCounts::default();
            let mut head = 10;
            let mut newest = BTreeMap::new();
            let mut asked: Vec<Question> = Vec::new();
            let mut seen = 0;
            for (what, target, fails) in steps {
                if what == 0 {
                    head += 1;
                    newest.insert(target, head);
                    counts.note(CHANNEL, target, head);
                } else if what == 1 {
                    if let Some(question) = counts.poll_question() {
                        prop_assert!(asked.iter().all(|other| other.target != question.target));
                        asked.push(question);
                    }
                } else if !asked.is_empty() {
                    let question = asked.remove(0);
                    if fails {
                        counts.answered(question.number, None);
                        newest.remove(&question.target);
                    } else {
                        counts.answered(question.number, Some(reactions(head, &[])));
                    }
                }
                for counted in counts.since(CHANNEL, seen) {
                    prop_assert!(counted.revision > seen);
                }
                seen = counts.revision();
            }
            loop {
                asked.extend(counts.poll_question());
                let Some(question) = asked.pop() else { break };
                counts.answered(question.number, Some(reactions(head, &[])));
            }
            for (target, seq) in newest {
                prop_assert!(counts.newest(CHANNEL, target).unwrap().at >= seq);
            }
        }
    }
}
