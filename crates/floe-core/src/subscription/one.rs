//! One subscription, and what its streams do to it.

use std::sync::Arc;

use floe_proto::{Millis, Offset};

use super::config::Config;
use super::effect::{LinkView, StreamState, View};
use super::link::{Link, Links, TailKnown};
use super::refusal::Refusal;
use super::turn::Turn;
use super::wake::{State, Wake};

/// One subscription.
#[derive(Debug, Clone)]
pub(super) struct Subscription {
    pub id: Arc<str>,
    pub config: Config,
    pub created_at: Millis,
    /// Part of every token of this subscription, and of no other that ever had its id.
    pub secret: u128,
    /// Number of the newest wake.
    pub generation: u64,
    /// Webhook requests that failed in a row.
    pub failures: u32,
    /// Whether all streams that existed at its creation were looked up.
    pub backfilled: bool,
    pub links: Links,
    pub wake: Option<Wake>,
    /// Whether the durable state is older than this.
    pub dirty: bool,
    /// The deadline that the timers know.
    pub scheduled: Option<Millis>,
}

impl Subscription {
    pub fn new(id: Arc<str>, config: Config, now: Millis, secret: u128) -> Self {
        let mut links = Links::default();
        for path in &config.streams {
            links.insert(path, Link::asked());
        }
        Self {
            id,
            config,
            created_at: now,
            secret,
            generation: 0,
            failures: 0,
            backfilled: false,
            links,
            wake: None,
            dirty: false,
            scheduled: None,
        }
    }

    /// A stream's tail moved, or it was created, which is a move from 0.
    pub fn advance(&mut self, turn: &mut Turn<'_>, path: &str, from: u64, tail: u64) {
        match self.links.get_mut(path) {
            Some(link) => self.dirty |= link.advance(from, tail),
            None if self.config.covers(path) => {
                let link = Link::new(false, from, tail);
                let linked = self.links.insert_matched(path, link, &turn.limits);
                // An idle link is not worth a write: its next append makes the same one again.
                self.dirty |= linked && link.is_pending();
            }
            None => {}
        }
        self.start_wake(turn);
    }

    /// The host looked a stream up.
    pub fn found(&mut self, turn: &Turn<'_>, path: &str, tail: Option<u64>, is_wake_stream: bool) {
        let Some(link) = self.links.get_mut(path) else {
            if let Some(tail) = tail
                && self.config.covers(path)
                && !is_wake_stream
            {
                let link = Link::new(false, tail, tail);
                self.links.insert_old(path, link, &turn.limits);
            }
            return;
        };
        match (tail, link.tail_known) {
            // What was seen since the question was asked is newer than the answer.
            (_, TailKnown::Now) => {}
            (None, TailKnown::Never | TailKnown::Once) => self.forget_stream(path),
            (Some(tail), TailKnown::Never | TailKnown::Once) => {
                self.dirty |= link.advance(tail, tail);
            }
        }
    }

    /// A stream is gone. A link by name stays, for a stream created there later.
    pub fn forget_stream(&mut self, path: &str) {
        if let Some(wake) = &mut self.wake {
            wake.snapshot.remove(path);
        }
        match self.links.get_mut(path) {
            Some(link) if link.explicit => *link = Link::new(true, 0, 0),
            Some(_) => self.links.remove(path),
            None => return,
        }
        self.dirty = true;
    }

    /// Links streams by name; returns those whose tails the host must look up.
    pub fn add_streams(
        &mut self,
        turn: &Turn<'_>,
        paths: impl Iterator<Item = Box<str>>,
    ) -> Result<Vec<Box<str>>, Refusal> {
        let (known, new): (Vec<_>, Vec<_>) = paths.partition(|path| self.links.get(path).is_some());
        for path in &known {
            if let Some(link) = self.links.get_mut(path) {
                self.dirty |= !link.explicit;
                link.explicit = true;
            }
        }
        if !self.links.make_room(new.len(), &turn.limits) {
            return Err(Refusal::LimitReached {
                what: "streams per subscription",
                max: turn.limits.links_max,
            });
        }
        for path in &new {
            self.links.insert(path, Link::asked());
            self.dirty = true;
        }
        Ok(new)
    }

    /// Unlinks a stream by name; it stays linked while the pattern covers it.
    pub fn remove_stream(&mut self, path: &str) {
        let covered = self.config.covers(path);
        match self.links.get_mut(path) {
            Some(link) if link.explicit && covered => link.explicit = false,
            Some(link) if link.explicit => self.links.remove(path),
            Some(_) | None => return,
        }
        self.dirty = true;
    }

    /// A covered stream turned out to be a wake stream, which is only ever linked by name.
    pub fn unlink_wake_stream(&mut self, path: &str) {
        if self.links.get(path).is_some_and(|link| !link.explicit) {
            self.links.remove(path);
            self.dirty = true;
        }
    }
}

/// What clients are shown.
impl Subscription {
    pub fn view(&self) -> View {
        let retry = self.wake.as_ref().and_then(|wake| match wake.state {
            State::Retrying { at } => Some(at),
            State::Unclaimed
            | State::Claimed { .. }
            | State::Sending { .. }
            | State::Delivered { .. } => None,
        });
        View {
            id: self.id.clone(),
            target: self.config.target.clone(),
            pattern: self
                .config
                .pattern
                .as_ref()
                .map(|pattern| pattern.as_str().into()),
            streams: self.links.iter().map(link_view).collect(),
            lease_ms: self.config.lease_ms,
            description: self.config.description.clone(),
            created_at: self.created_at,
            generation: self.generation,
            failed: self.failures > 0,
            next_attempt_at: retry,
            links_refused: self.links.refused,
        }
    }

    pub fn stream_states(&self) -> Vec<StreamState> {
        let state = |(path, link): (&str, &Link)| StreamState {
            link: link_view((path, link)),
            tail: Offset(link.tail),
        };
        self.links.iter().map(state).collect()
    }
}

fn link_view((path, link): (&str, &Link)) -> LinkView {
    LinkView {
        path: path.into(),
        explicit: link.explicit,
        acked: Offset(link.acked),
    }
}
