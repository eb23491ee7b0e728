//! One call under way: what it does to the file, and the messages that say so.

use std::borrow::Cow;
use std::sync::Arc;

use floe_proto::table::{
    Applied, Call, Change, Headers, Mutated, Mutation, Operation, Precondition, SCHEMA_TYPE,
    TableError,
};
use floe_proto::{Code, Millis};
use rusqlite::Connection;
use serde_json::value::RawValue;

use super::catalog::Catalog;
use super::constraint::unexpected;
use super::layout::Layout;
use super::messages::Definition;
use super::{Messages, TableOptions, versions};

/// A call, in a savepoint that its caller has set.
#[derive(Debug)]
pub struct Work<'w> {
    pub db: &'w Connection,
    pub catalog: &'w mut Catalog,
    pub options: &'w TableOptions,
    pub out: &'w mut Messages,
    /// Seq of the next message.
    pub seq: u64,
    pub now: Millis,
    pub txid: Cow<'w, str>,
    pub user: Option<&'w str>,
    /// Where the messages of this call begin.
    pub start: usize,
    /// Rows that it may still touch.
    pub rows_left: usize,
    /// Messages about rows so far.
    pub writes: u64,
    pub schema_changed: bool,
}

impl Work<'_> {
    /// Does all of a call.
    pub fn perform(&mut self, call: &Call) -> Result<Applied, TableError> {
        let first_seq = self.seq;
        if call.mutations.len() > self.options.call_mutations_max {
            return Err(too_many("mutations", self.options.call_mutations_max));
        }
        for precondition in &call.preconditions {
            self.check(precondition)?;
        }
        let mutations = call.mutations.iter();
        let results = mutations.map(|mutation| self.mutate(mutation));
        Ok(Applied {
            results: results.collect::<Result<_, _>>()?,
            first_seq,
            count: self.seq - first_seq,
            schema_changed: self.schema_changed,
        })
    }

    fn mutate(&mut self, mutation: &Mutation) -> Result<Mutated, TableError> {
        match mutation {
            Mutation::CreateTable(table) => self.create_table(table),
            Mutation::AlterTable { table, steps } => self.alter_table(table, steps),
            Mutation::DropTable { table } => self.drop_table(table),
            Mutation::Insert {
                table,
                rows,
                on_conflict,
                each,
            } => self.insert(table, rows, *on_conflict, *each),
            Mutation::Update {
                table,
                place,
                values,
            } => self.update(table, place, values),
            Mutation::Delete { table, place } => self.delete(table, place),
            Mutation::Flush(values) => self.flush(values),
            Mutation::CreateTask { title } => self.create_task(title),
            Mutation::CompleteTask { id } => self.complete_task(*id),
            Mutation::DeleteTask { id } => self.delete_task(*id),
        }
    }

    fn check(&mut self, precondition: &Precondition) -> Result<(), TableError> {
        let layout = self.catalog.need(&precondition.table)?;
        let found = self.find(&layout, &precondition.key)?;
        let version = match &found {
            Some(found) => versions::of(self.db, layout.number, &found.key_text())
                .map_err(|error| unexpected(&error))?,
            None => 0,
        };
        if version == precondition.version {
            return Ok(());
        }
        let message = match (version, precondition.version) {
            (_, 0) => format!(
                "a row of `{}` is there with version {version}",
                layout.name()
            ),
            (0, wanted) => format!(
                "a row of `{}` with version {wanted} is not there",
                layout.name()
            ),
            (found, wanted) => format!(
                "a row of `{}` has version {found}, and {wanted} is asked for",
                layout.name()
            ),
        };
        let mut error = TableError::new(Code::PreconditionFailed, message);
        error.table = Some(layout.name().into());
        Err(error)
    }

    /// Takes a row from what the call may touch.
    pub fn count_row(&mut self) -> Result<(), TableError> {
        self.rows_left = self
            .rows_left
            .checked_sub(1)
            .ok_or_else(|| too_many("rows", self.options.call_rows_max))?;
        Ok(())
    }

    /// Writes the message about a row, and the row's version.
    pub fn tell_row(
        &mut self,
        layout: &Arc<Layout>,
        operation: Operation,
        key: &str,
        value: Option<&RawValue>,
        old_value: Option<&RawValue>,
    ) -> Result<(), TableError> {
        if key.len() > self.options.key_bytes_max {
            let limit = self.options.key_bytes_max;
            return Err(too_large(
                layout,
                &format!("a key has more than {limit} bytes"),
            ));
        }
        let seq = match operation {
            Operation::Insert | Operation::Update => Some(self.seq),
            Operation::Delete => None,
        };
        versions::set(self.db, layout.number, key, seq).map_err(|error| unexpected(&error))?;
        self.tell(layout.name(), operation, key, value, old_value);
        self.writes += 1;
        let bytes = self.out.bytes.len() - self.start;
        if bytes > self.options.call_bytes_max {
            let limit = self.options.call_bytes_max;
            let what = format!("the call changes more than {limit} bytes");
            return Err(too_large(layout, &what));
        }
        Ok(())
    }

    /// Writes the message about a table.
    pub fn tell_table(
        &mut self,
        operation: Operation,
        name: &str,
        value: Option<&Definition>,
        old_value: Option<&Definition>,
    ) {
        let raw = |definition: Option<&Definition>| {
            definition.map(|one| serde_json::value::to_raw_value(one).unwrap_or_default())
        };
        let (value, old_value) = (raw(value), raw(old_value));
        self.schema_changed = true;
        self.tell(
            SCHEMA_TYPE,
            operation,
            name,
            value.as_deref(),
            old_value.as_deref(),
        );
    }

    fn tell(
        &mut self,
        table: &str,
        operation: Operation,
        key: &str,
        value: Option<&RawValue>,
        old_value: Option<&RawValue>,
    ) {
        self.out.push(&Change {
            table: Cow::Borrowed(table),
            key: Cow::Borrowed(key),
            value,
            old_value,
            headers: Headers {
                operation,
                txid: Cow::Borrowed(&self.txid),
                timestamp: self.now,
                user: self.user.map(Cow::Borrowed),
            },
        });
        self.seq += 1;
    }
}

/// Says that a call does more than one may.
pub fn too_many(what: &str, limit: usize) -> TableError {
    TableError::new(
        Code::BodyTooLarge,
        format!("the call has more than {limit} {what}"),
    )
}

/// Says that something about a table is too large.
pub fn too_large(layout: &Layout, what: &str) -> TableError {
    let mut error = TableError::new(Code::BodyTooLarge, what);
    error.table = Some(layout.name().into());
    error
}
