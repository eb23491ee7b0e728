//! What happened, split where it is known to be durable.

use std::collections::VecDeque;

use super::model::{Model, Op};

/// Everything that was staged, in order.
///
/// A shard has one log, so what survives a crash is a beginning of what was staged. How much of it
/// must survive is known from what clients were told.
#[derive(Debug, Default)]
pub struct Truth {
    /// What must survive.
    base: Model,
    /// All of it.
    staged: Model,
    /// What happened between the two, oldest first.
    pending: VecDeque<Op>,
    count: u64,
}

impl Truth {
    /// Returns how things are once everything is durable.
    pub fn staged(&self) -> &Model {
        &self.staged
    }

    /// Returns how much has happened.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns how much of it must survive.
    pub fn floor(&self) -> u64 {
        self.count - self.pending.len() as u64
    }

    /// Adds something that happens; returns its number.
    pub fn add(&mut self, op: Op) -> u64 {
        self.staged.apply(&op);
        self.pending.push_back(op);
        self.count += 1;
        self.count
    }

    /// Notes that all up to a number is durable, because somebody was told so.
    pub fn require(&mut self, count: u64) {
        while self.floor() < count {
            let op = self.pending.pop_front().expect("what is required happened");
            self.base.apply(&op);
        }
    }

    /// Finds the least that explains what a crash left, and goes on from there.
    ///
    /// # Errors
    /// What each possible past and the present differ in.
    pub fn adopt(
        &mut self,
        matches: impl Fn(&Model) -> Result<(), String>,
    ) -> Result<u64, Vec<String>> {
        let mut differences = Vec::new();
        let mut model = self.base.clone();
        let mut count = self.floor();
        let mut rest = std::mem::take(&mut self.pending);
        loop {
            match matches(&model) {
                Ok(()) => break,
                Err(difference) => differences.push(format!("after {count}: {difference}")),
            }
            let Some(op) = rest.pop_front() else {
                return Err(differences);
            };
            model.apply(&op);
            count += 1;
        }
        self.count = count;
        self.base = model.clone();
        self.staged = model;
        Ok(count)
    }
}
