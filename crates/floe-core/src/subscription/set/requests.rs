//! What clients ask for.

use std::sync::Arc;

use super::Subscriptions;
use crate::subscription::config::{Config, Put, check_path, check_paths, check_text};
use crate::subscription::effect::{Effect, Reply};
use crate::subscription::input::Request;
use crate::subscription::one::Subscription;
use crate::subscription::refusal::Refusal;
use crate::subscription::turn::Turn;

impl Subscriptions {
    pub(super) fn handle_request(
        &mut self,
        turn: &mut Turn<'_>,
        ticket: u64,
        id: &Arc<str>,
        request: Request,
    ) {
        let reply = match request {
            Request::Put(put) => self.put(turn, ticket, id, put),
            Request::Delete => Ok(Some(self.delete(turn, id))),
            Request::AddStreams(streams) => self.add_streams(turn, ticket, id, &streams),
            Request::Get
            | Request::RemoveStream(_)
            | Request::Claim { .. }
            | Request::Ack(_)
            | Request::Release(_)
            | Request::Callback(_) => self.ask(turn, id, request).map(Some),
        };
        let reply = reply.unwrap_or_else(|refusal| Some(Reply::Refused(refusal)));
        if let Some(reply) = reply {
            turn.reply(ticket, reply);
        }
    }

    /// Requests that concern one subscription and are answered at once.
    fn ask(
        &mut self,
        turn: &mut Turn<'_>,
        id: &Arc<str>,
        request: Request,
    ) -> Result<Reply, Refusal> {
        let one = self.all.get_mut(id).ok_or(Refusal::NotFound)?;
        turn.touched.insert(id.clone());
        match request {
            Request::RemoveStream(path) => {
                one.remove_stream(&check_path(&path, &turn.limits)?);
                Ok(Reply::StreamRemoved)
            }
            Request::Claim { worker } => one.claim(turn, worker).map(Reply::Claimed),
            Request::Ack(ack) => {
                let next_wake = one.ack(turn, &ack, "pull-wake")?;
                Ok(Reply::Acked { next_wake })
            }
            Request::Callback(ack) => {
                let next_wake = one.ack(turn, &ack, "webhook")?;
                Ok(Reply::Acked { next_wake })
            }
            Request::Release(ack) => one.release(turn, &ack).map(|()| Reply::Released),
            Request::Get | Request::Put(_) | Request::Delete | Request::AddStreams(_) => {
                Ok(Reply::Found(one.view()))
            }
        }
    }

    fn put(
        &mut self,
        turn: &mut Turn<'_>,
        ticket: u64,
        id: &Arc<str>,
        put: Put,
    ) -> Result<Option<Reply>, Refusal> {
        check_text("the subscription's id", id, self.limits.id_bytes_max)?;
        let config = Config::check(put, &self.limits)?;
        if let Some(known) = self.all.get_mut(id) {
            if !known.config.is_same(&config) {
                return Err(Refusal::Exists);
            }
            // The same client may have come by another address; callbacks go where it came last.
            // One that is still being made is not yet durable.
            known.dirty |= known.config.target != config.target || !known.backfilled;
            known.config.target = config.target;
            turn.touched.insert(id.clone());
            return Ok(Some(Reply::Confirmed(known.view())));
        }
        if self.all.len() >= self.limits.subscriptions_max {
            return Err(Refusal::LimitReached {
                what: "subscriptions",
                max: self.limits.subscriptions_max,
            });
        }
        let streams = config.streams.iter().cloned().collect();
        if let Some(wake_stream) = config.target.wake_stream() {
            self.unlink_wake_stream(turn, wake_stream);
        }
        self.insert(Subscription::new(
            id.clone(),
            config,
            turn.now,
            (turn.random)(),
        ));
        self.begin_backfill(turn, id, streams, Some(ticket), true);
        Ok(None)
    }

    fn unlink_wake_stream(&mut self, turn: &mut Turn<'_>, path: &str) {
        let linked: Vec<_> = self.index.linked(path).cloned().collect();
        for id in linked {
            self.with(turn, &id, |one, _| one.unlink_wake_stream(path));
        }
    }

    fn delete(&mut self, turn: &mut Turn<'_>, id: &Arc<str>) -> Reply {
        let Some(mut one) = self.all.remove(id) else {
            return Reply::Deleted;
        };
        one.links.take_changes();
        self.index.remove(&one);
        if let Some(at) = one.scheduled {
            self.timers.remove(&(at, id.clone()));
        }
        self.backfills.retain(|_, waiting| {
            if waiting.id == *id
                && let Some(ticket) = waiting.ticket
            {
                turn.reply(ticket, Reply::Refused(Refusal::NotFound));
            }
            waiting.id != *id
        });
        turn.effects.insert(0, Effect::Forget { id: id.clone() });
        Reply::Deleted
    }

    fn add_streams(
        &mut self,
        turn: &mut Turn<'_>,
        ticket: u64,
        id: &Arc<str>,
        streams: &[Box<str>],
    ) -> Result<Option<Reply>, Refusal> {
        let one = self.all.get_mut(id).ok_or(Refusal::NotFound)?;
        let paths = check_paths(streams, &self.limits)?;
        turn.touched.insert(id.clone());
        let new = one.add_streams(turn, paths.into_iter())?;
        if new.is_empty() {
            return Ok(Some(Reply::StreamsAdded));
        }
        self.begin_backfill(turn, id, new, Some(ticket), false);
        Ok(None)
    }
}
