//! All rows of a table, in pages by their key.

use anyhow::{Context, bail};
use floe_client::rooms::{Room, Row, SchemaColumn, Value};

use crate::rooms::quote;

/// Reads a table from its first key to its last.
pub struct Pages<'a> {
    room: &'a Room,
    table: &'a str,
    /// The columns of the key, in its order; where there are none, rows have a number.
    key: Vec<String>,
    /// The key of the last row that was read.
    after: Option<Vec<Value>>,
    is_done: bool,
}

/// Some rows.
pub struct Page {
    pub rows: Vec<Row>,
    /// Place of the newest message that they show.
    pub seq: u64,
}

impl<'a> Pages<'a> {
    pub fn new(room: &'a Room, table: &'a str, columns: &[SchemaColumn]) -> Self {
        let mut key: Vec<_> = columns.iter().filter(|column| column.pk > 0).collect();
        key.sort_by_key(|column| column.pk);
        Self {
            room,
            table,
            key: key.into_iter().map(|column| column.name.clone()).collect(),
            after: None,
            is_done: false,
        }
    }

    /// Returns the next rows; a column that is no column of the table, [`ROWID`], may be among theirs.
    pub async fn next(&mut self) -> anyhow::Result<Option<Page>> {
        if self.is_done {
            return Ok(None);
        }
        let sql = statement(self.table, &self.key, self.after.is_some());
        let params = self.after.as_deref().unwrap_or_default();
        let found = self.room.execute_sql(&sql, params).await?;
        let rows = found.rows()?;
        match rows.last() {
            Some(last) => self.after = Some(self.key_of(last)?),
            None if found.truncated => {
                bail!("a row of `{}` is larger than the server gives", self.table)
            }
            None => {}
        }
        self.is_done = !found.truncated && rows.len() < PAGE_ROWS;
        let seq = found.seq;
        Ok(Some(Page { rows, seq }))
    }

    fn key_of(&self, row: &Row) -> anyhow::Result<Vec<Value>> {
        let value = |name: &str| {
            let value = row.get(name).cloned();
            value.with_context(|| format!("a row of `{}` has no `{name}`", self.table))
        };
        match self.key.is_empty() {
            true => Ok(vec![value(ROWID)?]),
            false => self.key.iter().map(|name| value(name)).collect(),
        }
    }
}

/// The number of a row in a table without a key. No column can have this name.
pub const ROWID: &str = "_rowid_";

fn statement(table: &str, key: &[String], is_later: bool) -> String {
    let mut names: Vec<_> = key.iter().map(|name| quote(name)).collect();
    let mut what = "*".to_owned();
    if names.is_empty() {
        names.push(ROWID.to_owned());
        what = format!("{ROWID} AS {ROWID}, *");
    }
    let order = names.join(", ");
    let after = match is_later {
        true => {
            let values = vec!["?"; names.len()].join(", ");
            format!(" WHERE ({order}) > ({values})")
        }
        false => String::new(),
    };
    let table = quote(table);
    format!("SELECT {what} FROM {table}{after} ORDER BY {order} LIMIT {PAGE_ROWS}")
}

/// Rows of a page.
const PAGE_ROWS: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_begins_behind_the_last_key() {
        let key = ["b".to_owned(), "a".to_owned()];
        assert_eq!(
            statement("t", &key, true),
            "SELECT * FROM \"t\" WHERE (\"b\", \"a\") > (?, ?) ORDER BY \"b\", \"a\" LIMIT 1000"
        );
        assert_eq!(
            statement("t", &[], false),
            "SELECT _rowid_ AS _rowid_, * FROM \"t\" ORDER BY _rowid_ LIMIT 1000"
        );
    }
}
