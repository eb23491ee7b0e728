//! A table as the statements about its rows see it.

use std::fmt::Write as _;

use floe_proto::table::{ColumnType, Row, Table, Value};

use super::value::{key_text, value_of};

/// A table, how its rows are named, and parts of the SQL about them.
///
/// Names are letters, digits and `_`, so a name in quotes is always the name and nothing else.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Number of the table: the seq of the message that made it. It never changes.
    pub number: i64,
    /// What the table looks like.
    pub table: Table,
    /// How its rows are named.
    pub key: Key,
    /// `"a","b"`, with `_rowid_` before them where that is the key.
    pub columns: String,
    /// `"a"=? AND "b"=?`, of the key.
    pub at_key: String,
    /// `"a","b"`, of the key.
    pub order: String,
}

/// How the rows of a table are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// By a number in this column, which is given out where an insert leaves it out.
    Number(usize),
    /// By the values of these columns.
    Columns(Vec<usize>),
    /// By a number that is no column.
    Rowid,
}

/// A row and its key, as they are in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The values of the key.
    pub key: Vec<Value>,
    /// The row.
    pub row: Row,
}

impl Layout {
    /// Makes the layout of a table.
    pub fn new(number: i64, table: Table) -> Self {
        let key = key_of(&table);
        let quoted = |at: &usize| table.columns.get(*at).map(|column| quote(&column.name));
        let names: Vec<String> = match &key {
            Key::Number(at) => quoted(at).into_iter().collect(),
            Key::Columns(columns) => columns.iter().filter_map(quoted).collect(),
            Key::Rowid => vec![ROWID.to_owned()],
        };
        let mut columns = String::new();
        if key == Key::Rowid {
            columns.push_str(ROWID);
        }
        for column in &table.columns {
            let comma = if columns.is_empty() { "" } else { "," };
            let _ = write!(columns, "{comma}\"{}\"", column.name);
        }
        let at_key: Vec<_> = names.iter().map(|name| format!("{name}=?")).collect();
        Self {
            number,
            at_key: at_key.join(" AND "),
            order: names.join(","),
            columns,
            key,
            table,
        }
    }

    /// Returns the table's name.
    pub fn name(&self) -> &str {
        &self.table.name
    }

    /// Returns the place of a column; names that differ in case alone are one.
    pub fn place(&self, column: &str) -> Option<usize> {
        let mut columns = self.table.columns.iter();
        columns.position(|known| known.name.eq_ignore_ascii_case(column))
    }

    /// Returns the places of the columns of the key; none where it is no column.
    pub fn key_places(&self) -> Vec<usize> {
        match &self.key {
            Key::Number(at) => vec![*at],
            Key::Columns(columns) => columns.clone(),
            Key::Rowid => Vec::new(),
        }
    }

    /// How many values name a row.
    pub fn key_len(&self) -> usize {
        match &self.key {
            Key::Number(_) | Key::Rowid => 1,
            Key::Columns(columns) => columns.len(),
        }
    }

    /// Reads a row that [`columns`](Self::columns) were asked of.
    pub fn read(&self, row: &rusqlite::Row<'_>) -> rusqlite::Result<Found> {
        let rowid = usize::from(self.key == Key::Rowid);
        let mut values = Vec::with_capacity(self.table.columns.len());
        for (at, column) in self.table.columns.iter().enumerate() {
            values.push((column.name.clone(), value_of(row.get_ref(at + rowid)?)));
        }
        let values = Row(values);
        let key = if rowid == 1 {
            vec![Value::Integer(row.get(0)?)]
        } else {
            self.key_of(&values)
        };
        Ok(Found { key, row: values })
    }

    /// Returns the key of a row whose values stand in the order of the columns.
    pub fn key_of(&self, row: &Row) -> Vec<Value> {
        let places = self.key_places();
        let values = places.iter().filter_map(|at| row.0.get(*at));
        values.map(|(_, value)| value.clone()).collect()
    }
}

impl Found {
    /// Returns the key as text.
    pub fn key_text(&self) -> Box<str> {
        key_text(&self.key.iter().collect::<Vec<_>>())
    }

    /// Returns the key's number, where it is one.
    pub fn number(&self) -> Option<i64> {
        match self.key.first() {
            Some(Value::Integer(number)) => Some(*number),
            _ => None,
        }
    }
}

/// The name of a row's number, which no column can have.
pub const ROWID: &str = "_rowid_";

/// Returns a name in quotes.
pub fn quote(name: &str) -> String {
    format!("\"{name}\"")
}

fn key_of(table: &Table) -> Key {
    let columns = table.columns.iter().enumerate();
    let key: Vec<usize> = columns
        .filter_map(|(at, column)| column.primary_key.then_some(at))
        .collect();
    match key.as_slice() {
        [] => Key::Rowid,
        [at] if is_integer(table, *at) => Key::Number(*at),
        _ => Key::Columns(key),
    }
}

fn is_integer(table: &Table, at: usize) -> bool {
    let column = table.columns.get(at);
    column.is_some_and(|column| column.kind == ColumnType::Integer)
}
