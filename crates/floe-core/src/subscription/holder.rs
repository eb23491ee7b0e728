//! What the holder of a wake may do.

use floe_proto::{Millis, Offset};

use super::config::check_text;
use super::delivery::snapshot;
use super::effect::{Claim, StreamState};
use super::input::Ack;
use super::link::TailKnown;
use super::one::Subscription;
use super::refusal::Refusal;
use super::turn::Turn;
use super::wake::{State, TokenCheck, Wake, check_token, write_token};

impl Subscription {
    pub fn claim(&mut self, turn: &mut Turn<'_>, worker: Box<str>) -> Result<Claim, Refusal> {
        check_text("worker", &worker, turn.limits.worker_bytes_max)?;
        self.check_type("pull-wake")?;
        if let Some(Wake {
            state: State::Claimed { worker, .. },
            ..
        }) = &self.wake
        {
            return Err(Refusal::AlreadyClaimed {
                holder: worker.clone(),
                generation: self.generation,
            });
        }
        let streams = self.stream_states();
        if !streams.iter().any(StreamState::has_pending) {
            self.dirty |= self.wake.take().is_some();
            return Err(Refusal::NoPendingWork);
        }
        self.new_wake(turn, State::Unclaimed);
        let wake = self.wake.as_mut().ok_or(Refusal::NoPendingWork)?;
        wake.snapshot = snapshot(&streams);
        wake.state = State::Claimed {
            worker,
            until: turn.now.plus(self.config.lease_ms),
        };
        self.dirty = true;
        Ok(Claim {
            wake_id: wake.wire_id(),
            generation: self.generation,
            token: write_token(self.generation, self.secret, wake.token),
            streams,
            lease_ms: self.config.lease_ms,
        })
    }

    /// Takes acks under a claim or a callback; returns whether another wake began.
    pub fn ack(
        &mut self,
        turn: &mut Turn<'_>,
        ack: &Ack,
        of: &'static str,
    ) -> Result<bool, Refusal> {
        self.check_type(of)?;
        self.check_holder(ack)?;
        self.check_acks(ack)?;
        for (path, offset) in &ack.acks {
            self.acknowledge(path.trim_matches('/'), offset.0);
        }
        if ack.done {
            return Ok(self.finish(turn));
        }
        self.extend_lease(turn.now);
        Ok(false)
    }

    pub fn release(&mut self, turn: &mut Turn<'_>, ack: &Ack) -> Result<(), Refusal> {
        self.check_type("pull-wake")?;
        self.check_holder(ack)?;
        self.finish(turn);
        Ok(())
    }

    fn check_type(&self, wanted: &'static str) -> Result<(), Refusal> {
        match self.config.target.type_name() {
            is if is == wanted => Ok(()),
            is => Err(Refusal::WrongType { is }),
        }
    }

    /// Returns whether a bearer token is the holder's, or was some holder's before.
    pub(super) fn knows_token(&self, token: &str) -> bool {
        let own = self.wake.as_ref().map(|wake| wake.token);
        check_token(token, self.generation, self.secret, own) != TokenCheck::Wrong
    }

    fn check_holder(&self, ack: &Ack) -> Result<(), Refusal> {
        let token = self.wake.as_ref().map(|wake| wake.token);
        let fenced = Refusal::Fenced {
            generation: self.generation,
        };
        match check_token(&ack.token, self.generation, self.secret, token) {
            TokenCheck::Wrong => return Err(Refusal::Unauthorized),
            TokenCheck::Stale => return Err(fenced),
            TokenCheck::Valid => {}
        }
        let wake_id = self.wake.as_ref().map(Wake::wire_id);
        if ack.generation != self.generation || wake_id.as_deref() != Some(&ack.wake_id) {
            return Err(fenced);
        }
        Ok(())
    }

    fn check_acks(&self, ack: &Ack) -> Result<(), Refusal> {
        for (path, offset) in &ack.acks {
            match self.links.get(path.trim_matches('/')) {
                Some(link) if link.tail_known == TailKnown::Now && offset.0 > link.tail => {
                    return Err(Refusal::BeyondTail {
                        stream: path.clone(),
                        offset: *offset,
                        tail: Offset(link.tail),
                    });
                }
                // A link may have been dropped since the wake began; its ack is of no use to us.
                Some(_) | None => {}
            }
        }
        Ok(())
    }

    pub fn acknowledge(&mut self, path: &str, position: u64) {
        if let Some(link) = self.links.get_mut(path)
            && position > link.acked
        {
            link.acked = position;
            link.tail = link.tail.max(position);
            self.dirty = true;
        }
    }

    fn extend_lease(&mut self, now: Millis) {
        let lease = now.plus(self.config.lease_ms);
        let Some(wake) = &mut self.wake else { return };
        match &mut wake.state {
            State::Claimed { until, .. } | State::Delivered { until } => *until = lease,
            State::Sending { .. } | State::Retrying { .. } => {
                self.failures = 0;
                self.set_state(State::Delivered { until: lease });
            }
            State::Unclaimed => {}
        }
    }
}
