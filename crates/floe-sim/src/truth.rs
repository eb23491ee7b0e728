//! What was asked for, what must have survived, and what may have.

use std::collections::{BTreeMap, VecDeque};

use crate::model::{Model, Op, Stream};

/// Everything that was staged, in order, split where it is known to be durable.
///
/// A shard has one log, so what survives a crash is a beginning of what was staged. How much of it
/// must survive is known from what clients were told and shown.
#[derive(Debug, Default)]
pub struct Truth {
    /// What must survive.
    base: Model,
    /// All of it.
    staged: Model,
    /// The changes between the two, oldest first.
    pending: VecDeque<Op>,
    /// Changes so far.
    count: u64,
    /// For each name the number of changes when it was last changed by somebody's wish.
    changed: BTreeMap<String, u64>,
    /// When streams ended by somebody's wish, in numbers of changes.
    ended: BTreeMap<u64, u64>,
}

impl Truth {
    /// Returns what there is once everything is durable.
    pub fn staged(&self) -> &Model {
        &self.staged
    }

    /// Returns the number of changes so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns how many changes must survive.
    pub fn floor(&self) -> u64 {
        self.count - self.pending.len() as u64
    }

    /// Returns the last change to a name that was somebody's wish.
    pub fn changed(&self, name: &str) -> u64 {
        self.changed.get(name).copied().unwrap_or(0)
    }

    /// Returns the change that ended a stream, if it was somebody's wish.
    pub fn ended(&self, uid: u64) -> Option<u64> {
        self.ended.get(&uid).copied()
    }

    /// Returns a stream, even if it is gone.
    pub fn stream(&self, uid: u64) -> &Stream {
        let there = self.staged.streams.get(&uid);
        there.unwrap_or_else(|| &self.staged.graves[&uid])
    }

    /// Adds a change that somebody asked for; returns its number.
    pub fn wish(&mut self, op: Op) -> u64 {
        for name in self.stage(&op) {
            self.changed.insert(name, self.count);
        }
        if let Op::Delete { uid } = op {
            self.ended.insert(uid, self.count);
        }
        self.pending.push_back(op);
        self.count
    }

    /// Adds a change that time brought; a crash may undo it, and it will come again.
    pub fn fate(&mut self, op: Op) {
        for name in self.stage(&op) {
            self.changed.remove(&name);
        }
        self.pending.push_back(op);
    }

    fn stage(&mut self, op: &Op) -> Vec<String> {
        self.count += 1;
        self.staged.apply(op, self.count)
    }

    /// Notes that the first `count` changes are durable, because somebody was told or shown so.
    pub fn require(&mut self, count: u64) {
        while self.floor() < count {
            let op = self.pending.pop_front().expect("what is required happened");
            // Popping has moved the floor past this very change.
            let at = self.floor();
            self.base.apply(&op, at);
        }
        self.base.graves.clear();
    }

    /// Finds the least that was staged and explains what a crash left, and goes on from there.
    ///
    /// # Errors
    /// What each possible past and the present differ in.
    pub fn adopt(
        &mut self,
        matches: impl Fn(&Model) -> Result<(), String>,
    ) -> Result<u64, Vec<String>> {
        let mut model = self.base.clone();
        let mut count = self.floor();
        let mut differences = Vec::new();
        let mut rest = std::mem::take(&mut self.pending);
        loop {
            match matches(&model) {
                Ok(()) => break,
                Err(difference) => differences.push(format!("after {count} changes: {difference}")),
            }
            let Some(op) = rest.pop_front() else {
                return Err(differences);
            };
            count += 1;
            model.apply(&op, count);
        }
        // Nobody can see whether a restart knows of a read.
        for op in &rest {
            if let Op::Touch { uid, now, .. } = op
                && let Some(stream) = model.streams.get_mut(uid)
            {
                stream.touched = stream.touched.max(*now);
            }
        }
        model.graves.clear();
        self.base = model.clone();
        self.staged = model;
        self.changed.clear();
        self.ended.clear();
        Ok(count)
    }
}
