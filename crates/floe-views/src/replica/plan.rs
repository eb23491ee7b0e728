//! From the messages of one room to what is to be done in a replica, the same for every target.

use std::borrow::Cow;
use std::collections::BTreeMap;

use floe_proto::table::{self, Alteration, Column, Operation, SCHEMA_TYPE, Table};
use floe_proto::{Event, EventKind, Millis};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Applied, Batch, Mode, ReplicaError, RoomKind};
use crate::split::Split;

/// What is to be done for one room, in this order.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    pub steps: Vec<Step<'a>>,
    /// Number of the newest message; what the replica had, if there is none.
    pub applied: u64,
    pub counts: Applied,
}

/// One thing to do.
#[derive(Debug)]
pub enum Step<'a> {
    /// Rows by table and key: as they are now, or gone.
    Rows(BTreeMap<(Cow<'a, str>, Cow<'a, str>), Option<RowNow<'a>>>),
    /// A table is new.
    Create(Box<Table>),
    /// A table was changed.
    Alter {
        /// Its name before.
        table: Cow<'a, str>,
        /// What it looks like now, its name included.
        now: Box<Table>,
        /// What becomes of its rows, in this order.
        reshape: Vec<Alteration>,
    },
    /// A table has another name, if it has not been told already.
    Rename {
        /// Its name before.
        from: Cow<'a, str>,
        /// Its name now.
        to: Box<str>,
    },
    /// A table is gone, with its rows.
    Drop(Cow<'a, str>),
    /// Something happened in a channel.
    Event(EventNow<'a>),
}

/// A row as it is now.
#[derive(Debug, Clone, Copy)]
pub struct RowNow<'a> {
    /// Number of the message that made it so.
    pub seq: u64,
    /// Its JSON.
    pub json: &'a str,
}

/// An event as it is kept.
#[derive(Debug)]
pub struct EventNow<'a> {
    pub seq: u64,
    pub kind: EventKind,
    pub author: Cow<'a, str>,
    pub content: Option<Cow<'a, str>>,
    pub target: Option<u64>,
    pub removed: bool,
    pub created_at: Millis,
}

/// The value of a message that alters a table.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Altered {
    name: Box<str>,
    columns: Vec<Column>,
    #[serde(default)]
    steps: Vec<Alteration>,
    #[serde(default)]
    renamed_from: Option<Box<str>>,
    #[serde(default)]
    renamed_to: Option<Box<str>>,
}

impl<'a> Plan<'a> {
    /// Reads the messages of a batch that a replica does not have yet, which has `has` of them.
    pub fn read(batch: &Batch<'a>, has: u64) -> Result<Self, ReplicaError> {
        let has = if batch.mode == Mode::Anew { 0 } else { has };
        // What retention has taken away does not come any more.
        let has = has.max(batch.start.saturating_sub(1));
        let mut plan = Self {
            applied: has,
            ..Self::default()
        };
        if !batch.messages.is_empty() && batch.first_seq > has + 1 {
            return Err(ReplicaError::Gap {
                room: batch.room.room,
                expected: has + 1,
                found: batch.first_seq,
            });
        }
        for (seq, json) in (batch.first_seq..).zip(Split(batch.messages)) {
            if seq <= has {
                plan.counts.repeated += 1;
                continue;
            }
            let step = json.and_then(|json| match batch.kind {
                RoomKind::Tables => plan.change(seq, json),
                RoomKind::Channel => plan.event(seq, json),
            });
            match step {
                Some(()) => plan.counts.messages += 1,
                None => plan.counts.unknown += 1,
            }
            plan.applied = seq;
        }
        Ok(plan)
    }

    /// Takes a message of a room with tables; `None` where it is none.
    fn change(&mut self, seq: u64, json: &'a [u8]) -> Option<()> {
        let change: table::Change<'a> = serde_json::from_slice(json).ok()?;
        if change.table == SCHEMA_TYPE {
            return self.schema(change);
        }
        let row = match change.headers.operation {
            Operation::Delete => None,
            Operation::Insert | Operation::Update => Some(RowNow {
                seq,
                json: change.value?.get(),
            }),
        };
        if !matches!(self.steps.last(), Some(Step::Rows(_))) {
            self.steps.push(Step::Rows(BTreeMap::new()));
        }
        if let Some(Step::Rows(rows)) = self.steps.last_mut() {
            rows.insert((change.table, change.key), row);
        }
        Some(())
    }

    fn schema(&mut self, change: table::Change<'a>) -> Option<()> {
        let altered = |value: Option<&RawValue>| -> Option<Altered> {
            serde_json::from_str(value?.get()).ok()
        };
        let now = altered(change.value.or(change.old_value));
        let is_new = change.headers.operation == Operation::Insert;
        let step = match (change.headers.operation, now) {
            (Operation::Delete, _) => {
                match altered(change.old_value).and_then(|old| old.renamed_to) {
                    Some(to) => Step::Rename {
                        from: change.key,
                        to,
                    },
                    None => Step::Drop(change.key),
                }
            }
            (Operation::Insert | Operation::Update, None) => return None,
            (Operation::Insert | Operation::Update, Some(now)) => {
                if is_new && now.renamed_from.is_none() {
                    Step::Create(Box::new(now.table()))
                } else {
                    let before = now.renamed_from.clone();
                    let before = before.or_else(|| Some(altered(change.old_value)?.name));
                    Step::Alter {
                        table: before.map_or(change.key, |name| Cow::Owned(name.into())),
                        reshape: now.steps.clone(),
                        now: Box::new(now.table()),
                    }
                }
            }
        };
        self.steps.push(step);
        Some(())
    }

    /// Takes an event of a channel; `None` where it is none.
    fn event(&mut self, seq: u64, json: &'a [u8]) -> Option<()> {
        let event = Event::parse(json).filter(|event| event.seq == seq)?;
        self.steps.push(Step::Event(EventNow {
            seq,
            kind: event.kind,
            author: event.author_id,
            content: event.content,
            // An event can only be about one that was there before it.
            target: event.target_seq.filter(|target| *target < seq),
            removed: event.removed,
            created_at: event.created_at,
        }));
        Some(())
    }
}

impl Altered {
    fn table(self) -> Table {
        Table {
            name: self.name,
            columns: self.columns,
        }
    }
}
