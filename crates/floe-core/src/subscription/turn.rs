//! What one call of `handle` works with.

use std::collections::BTreeSet;
use std::sync::Arc;

use floe_proto::Millis;

use super::effect::{Effect, Reply};
use super::limits::Limits;

/// One turn: its time, its randomness, and what comes of it.
pub(super) struct Turn<'a> {
    pub now: Millis,
    pub random: &'a mut dyn FnMut() -> u128,
    pub limits: Limits,
    /// Effects that must wait for what this turn persists.
    pub effects: Vec<Effect>,
    /// Subscriptions to settle at the end.
    pub touched: BTreeSet<Arc<str>>,
}

impl<'a> Turn<'a> {
    pub fn new(now: Millis, random: &'a mut dyn FnMut() -> u128, limits: Limits) -> Self {
        Self {
            now,
            random,
            limits,
            effects: Vec::new(),
            touched: BTreeSet::new(),
        }
    }

    pub fn reply(&mut self, ticket: u64, reply: Reply) {
        self.effects.push(Effect::Reply { ticket, reply });
    }
}
