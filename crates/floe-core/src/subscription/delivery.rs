//! Wakes: how they begin, go out and end.

use std::collections::BTreeMap;

use floe_proto::Millis;

use super::config::Target;
use super::effect::{Effect, Notification, StreamState, WakeEvent};
use super::input::Outcome;
use super::one::Subscription;
use super::turn::Turn;
use super::wake::{State, Wake, retry_delay_ms, write_token};

impl Subscription {
    /// Begins a wake if work is pending and none is in flight; returns whether it did.
    pub fn start_wake(&mut self, turn: &mut Turn<'_>) -> bool {
        let started = self.new_wake(turn, State::Unclaimed);
        if started {
            match &self.config.target {
                Target::Webhook { .. } => self.send(turn),
                Target::PullWake { .. } => self.announce(turn),
            }
        }
        started
    }

    pub fn new_wake(&mut self, turn: &mut Turn<'_>, state: State) -> bool {
        if self.wake.is_some() || self.links.pending().next().is_none() {
            return false;
        }
        self.generation += 1;
        self.wake = Some(Wake {
            id: (turn.random)(),
            token: (turn.random)(),
            snapshot: Default::default(),
            state,
        });
        self.dirty = true;
        true
    }

    /// Puts the event of an unclaimed wake on the wake stream.
    pub fn announce(&self, turn: &mut Turn<'_>) {
        let Some(wake) = &self.wake else { return };
        let pending = self.links.pending().next();
        if let (State::Unclaimed, Some(stream), Some((path, _))) =
            (&wake.state, self.config.target.wake_stream(), pending)
        {
            turn.effects.push(Effect::AppendWake {
                stream: stream.into(),
                event: WakeEvent {
                    subscription_id: self.id.clone(),
                    stream: path.into(),
                    generation: self.generation,
                    at: turn.now,
                },
            });
        }
    }

    fn send(&mut self, turn: &mut Turn<'_>) {
        let streams = self.stream_states();
        let Target::Webhook { url, base } = &self.config.target else {
            return;
        };
        let Some(wake) = &mut self.wake else { return };
        wake.snapshot = snapshot(&streams);
        wake.state = State::Sending {
            until: turn.now.plus(self.config.lease_ms),
        };
        self.dirty = true;
        turn.effects.push(Effect::SendWebhook(Notification {
            url: url.clone(),
            base: base.clone(),
            subscription_id: self.id.clone(),
            wake_id: wake.wire_id(),
            generation: self.generation,
            token: write_token(self.generation, self.secret, wake.token),
            streams,
            timeout_ms: self.config.lease_ms,
        }));
    }

    /// Ends the wake; returns whether another began.
    pub fn finish(&mut self, turn: &mut Turn<'_>) -> bool {
        self.wake = None;
        self.failures = 0;
        self.dirty = true;
        self.links.trim(&turn.limits);
        self.start_wake(turn)
    }

    /// The wake's deadline has passed.
    pub fn expire(&mut self, turn: &mut Turn<'_>) {
        let Some(wake) = &self.wake else { return };
        if wake.deadline().is_none_or(|at| at > turn.now) {
            return;
        }
        self.dirty = true;
        match wake.state {
            State::Retrying { .. } if self.links.pending().next().is_some() => self.send(turn),
            State::Retrying { .. } => self.wake = None,
            // The answer is overdue: another generation, so that it comes too late, after a delay.
            State::Sending { .. } => {
                self.wake = None;
                let at = self.retry_at(turn);
                self.new_wake(turn, State::Retrying { at });
            }
            State::Claimed { .. } | State::Delivered { .. } => {
                self.wake = None;
                self.start_wake(turn);
            }
            State::Unclaimed => {}
        }
    }

    fn retry_at(&mut self, turn: &mut Turn<'_>) -> Millis {
        self.failures = self.failures.saturating_add(1);
        turn.now
            .plus(retry_delay_ms(self.failures, (turn.random)()))
    }

    /// A webhook's answer came; one to an older wake counts for nothing.
    pub fn answered(
        &mut self,
        turn: &mut Turn<'_>,
        wake_id: &str,
        generation: u64,
        outcome: Outcome,
    ) {
        let Some(wake) = &mut self.wake else { return };
        if generation != self.generation || *wake.wire_id() != *wake_id {
            return;
        }
        let sending = match wake.state {
            State::Sending { until } => Some(until),
            State::Delivered { .. } => None,
            State::Unclaimed | State::Claimed { .. } | State::Retrying { .. } => return,
        };
        match (outcome, sending) {
            (Outcome::Done, _) => {
                for (path, tail) in std::mem::take(&mut wake.snapshot) {
                    self.acknowledge(&path, tail);
                }
                self.finish(turn);
            }
            (Outcome::Accepted, Some(until)) => {
                wake.state = State::Delivered { until };
                self.failures = 0;
                self.dirty = true;
            }
            (Outcome::Failed, Some(_)) => {
                let at = self.retry_at(turn);
                self.set_state(State::Retrying { at });
            }
            // A callback has already shown that the request was taken.
            (Outcome::Accepted | Outcome::Failed, None) => {}
        }
    }

    pub fn set_state(&mut self, state: State) {
        if let Some(wake) = &mut self.wake {
            wake.state = state;
            self.dirty = true;
        }
    }

    /// Gives holders of before a restart a whole lease, so that heartbeats need no write.
    pub fn renew_lease(&mut self, now: Millis) {
        let fresh = now.plus(self.config.lease_ms);
        if let Some(wake) = &mut self.wake
            && let State::Claimed { until, .. } | State::Delivered { until } = &mut wake.state
        {
            *until = fresh.max(*until);
        }
    }
}

/// Tails of what is pending.
pub(super) fn snapshot(streams: &[StreamState]) -> BTreeMap<Box<str>, u64> {
    let pending = streams.iter().filter(|stream| stream.has_pending());
    pending
        .map(|stream| (stream.link.path.clone(), stream.tail.0))
        .collect()
}
