//! What may be asked of the tables of a room.

use serde::{Deserialize, Serialize};

use super::{Column, Row, Table, TableError, Value};

/// Mutations that happen together or not at all.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Call {
    /// What must hold before, or nothing happens.
    pub preconditions: Vec<Precondition>,
    /// What to do, in this order; later ones see what earlier ones did.
    pub mutations: Vec<Mutation>,
    /// What the client calls it; the messages of the call carry it as their `txid`.
    pub txid: Option<Box<str>>,
    /// Who asks; the messages carry it as their `user`.
    pub user: Option<Box<str>>,
}

/// What must hold of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Precondition {
    /// The table.
    pub table: Box<str>,
    /// The row.
    pub key: Vec<Value>,
    /// The row's version: the seq of the message that made it so; 0 where it must not be there.
    pub version: u64,
}

/// One thing that is done.
#[derive(Debug, Clone, PartialEq)]
pub enum Mutation {
    /// Make a table.
    CreateTable(Table),
    /// Change a table.
    AlterTable {
        /// The table.
        table: Box<str>,
        /// How, in this order.
        steps: Vec<Alteration>,
    },
    /// Drop a table with all its rows.
    DropTable {
        /// The table.
        table: Box<str>,
    },
    /// Insert rows.
    Insert {
        /// The table.
        table: Box<str>,
        /// The rows, at least one.
        rows: Vec<Row>,
        /// What happens where one is there already.
        on_conflict: OnConflict,
        /// Whether the rows that can be inserted are, whatever becomes of the others.
        each: bool,
    },
    /// Change values of rows.
    Update {
        /// The table.
        table: Box<str>,
        /// Which rows.
        place: Place,
        /// The new values.
        values: Row,
    },
    /// Delete rows.
    Delete {
        /// The table.
        table: Box<str>,
        /// Which rows.
        place: Place,
    },
    /// Write down the newest values of the write buffer, in [`super::BUFFERED`].
    Flush(Vec<(Box<str>, Box<str>)>),
    /// Insert into [`super::TASKS`], which is made if need be.
    CreateTask {
        /// 1 to 500 characters, without white space around them.
        title: Box<str>,
    },
    /// Set the status of a task to `completed`.
    CompleteTask {
        /// The task.
        id: i64,
    },
    /// Delete a task.
    DeleteTask {
        /// The task.
        id: i64,
    },
}

/// What an insert does where its key is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnConflict {
    /// It fails.
    #[default]
    Fail,
    /// It changes the row that is there to the values that are given.
    Update,
}

/// Which rows a mutation is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Place {
    /// The one with this key, which must be there.
    Key(Vec<Value>),
    /// The one whose key has these values by the names of its columns, all of them and no other;
    /// it must be there.
    Named(Row),
    /// All whose columns have these values; there may be none.
    Where(Row),
}

/// One change of a table. In JSON it is an object with the one member that says what is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Alteration {
    /// Add a column at the end.
    AddColumn(Column),
    /// Drop a column.
    DropColumn(Box<str>),
    /// Name a column anew.
    RenameColumn {
        /// The old name.
        from: Box<str>,
        /// The new name.
        to: Box<str>,
    },
    /// Name the table anew.
    RenameTable(Box<str>),
}

/// What became of a [`Call`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Applied {
    /// For each mutation, what it did.
    pub results: Vec<Mutated>,
    /// Place of the first message, from 1.
    pub first_seq: u64,
    /// How many messages there are.
    pub count: u64,
    /// Whether a table came, changed or went.
    pub schema_changed: bool,
}

/// What one mutation did.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mutated {
    /// How many rows it inserted, changed or deleted.
    pub rows: u64,
    /// The row, where it was one: as it is now, or as it was before it was deleted.
    pub row: Option<Row>,
    /// Its key, where it was one.
    pub key: Option<Box<str>>,
    /// What could not be inserted, of an insert that takes what it can.
    pub failed: Vec<TableError>,
}
