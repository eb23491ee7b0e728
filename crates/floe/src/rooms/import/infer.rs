//! The table that rows seem to be of.

use std::collections::HashSet;

use anyhow::{Context, bail};
use floe_client::rooms::{Column, ColumnType, Row, Table};
use serde_json::Value;

use super::source::{Data, Record};
use crate::rooms::cell::{boolean, number, whole};

/// Rows that are looked at.
pub const ROWS_MAX: usize = 1_000;
/// Bytes of rows that are looked at, about.
pub const BYTES_MAX: u64 = 8 << 20;

/// Makes the table of some rows; `header` names the columns of cells, `key` those of the primary key.
///
/// A column is INTEGER, REAL or BOOLEAN if all of its values are, and REAL if they are numbers. Of JSON it
/// is JSON where all are arrays or objects, BLOB where all are `{"$base64": …}`, and ANY where they
/// are of several kinds; of cells all else is TEXT. Without `key` a column `id` is the key, if it is INTEGER
/// or TEXT and has another value in each row.
///
/// # Errors
/// When a column has a name that no column can have, or the key is none.
pub fn table(
    name: &str,
    header: Option<&[String]>,
    records: &[Record],
    key: &[String],
    null: &str,
) -> anyhow::Result<Table> {
    let mut guesses = Guesses::default();
    for column in header.unwrap_or_default() {
        guesses.place(column);
    }
    for record in records {
        match &record.data {
            Data::Cells(cells) => {
                for (at, cell) in cells.iter().enumerate() {
                    if cell != null.as_bytes() {
                        let text = String::from_utf8_lossy(cell);
                        guesses.see(at, kind_of_cell(&text), &text);
                    }
                }
            }
            Data::Object(object) => {
                // What is no row is found out when it is inserted. The one knows the order of the
                // members, the other their kinds.
                let row = serde_json::from_str::<Row>(object);
                let members = serde_json::from_str::<serde_json::Map<String, Value>>(object);
                if let (Ok(row), Ok(members)) = (row, members) {
                    for (column, _) in &row.0 {
                        let at = guesses.place(column);
                        if let Some(value) = members.get(&**column).filter(|value| !value.is_null())
                        {
                            guesses.see(at, kind_of_json(value), &value.to_string());
                        }
                    }
                }
            }
        }
    }
    guesses.table(name, header.is_some(), records.len(), key)
}

#[derive(Default)]
struct Guesses {
    columns: Vec<Guess>,
}

struct Guess {
    name: String,
    kind: Option<ColumnType>,
    /// Values that it has, if it may be the key.
    values: Option<HashSet<String>>,
}

impl Guesses {
    /// Returns the place of a column, which is added where it is new.
    fn place(&mut self, name: &str) -> usize {
        let mut columns = self.columns.iter();
        if let Some(at) = columns.position(|column| column.name.eq_ignore_ascii_case(name)) {
            return at;
        }
        self.columns.push(Guess {
            name: name.to_owned(),
            kind: None,
            values: name.eq_ignore_ascii_case("id").then(HashSet::new),
        });
        self.columns.len() - 1
    }

    fn see(&mut self, at: usize, kind: ColumnType, text: &str) {
        let Some(column) = self.columns.get_mut(at) else {
            return;
        };
        column.kind = Some(match column.kind {
            None => kind,
            Some(known) if known == kind => kind,
            Some(ColumnType::Integer | ColumnType::Real)
                if matches!(kind, ColumnType::Integer | ColumnType::Real) =>
            {
                ColumnType::Real
            }
            Some(_) => ColumnType::Any,
        });
        if let Some(values) = &mut column.values
            && !values.insert(text.to_owned())
        {
            column.values = None;
        }
    }

    fn table(self, name: &str, cells: bool, rows: usize, key: &[String]) -> anyhow::Result<Table> {
        if self.columns.is_empty() {
            bail!("there is no row to make a table from");
        }
        for wanted in key {
            let mut columns = self.columns.iter();
            if !columns.any(|column| column.name.eq_ignore_ascii_case(wanted)) {
                bail!("--key names `{wanted}`, which is no column of the file");
            }
        }
        let column = |guess: Guess| -> anyhow::Result<Column> {
            let kind = match (guess.kind, cells) {
                (Some(ColumnType::Any) | None, true) => ColumnType::Text,
                (None, false) => ColumnType::Any,
                (Some(kind), _) => kind,
            };
            let can_be_key = matches!(kind, ColumnType::Integer | ColumnType::Text);
            let is_id =
                can_be_key && rows > 0 && guess.values.is_some_and(|values| values.len() == rows);
            let is_named = key
                .iter()
                .any(|name| name.eq_ignore_ascii_case(&guess.name));
            floe_proto::table::check_name(&guess.name)
                .context("--create needs other names of columns in the file")?;
            Ok(Column {
                name: guess.name.into(),
                kind,
                primary_key: is_named || (key.is_empty() && is_id),
                not_null: false,
                unique: false,
                default: None,
            })
        };
        let columns: anyhow::Result<_> = self.columns.into_iter().map(column).collect();
        Ok(Table {
            name: name.into(),
            columns: columns?,
        })
    }
}

fn kind_of_cell(text: &str) -> ColumnType {
    if whole(text).is_some() {
        ColumnType::Integer
    } else if number(text).is_some() && !is_long_whole(text) {
        ColumnType::Real
    } else if boolean(text).is_some() {
        ColumnType::Boolean
    } else {
        ColumnType::Text
    }
}

/// Returns whether a number has more digits than a whole number of 64 bits: more likely it is a name than
/// a quantity.
fn is_long_whole(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'-')
}

fn kind_of_json(value: &Value) -> ColumnType {
    match value {
        Value::Bool(_) => ColumnType::Boolean,
        Value::Number(number) if number.is_i64() => ColumnType::Integer,
        Value::Number(_) => ColumnType::Real,
        Value::String(_) => ColumnType::Text,
        Value::Object(members) if members.len() == 1 && members.contains_key("$base64") => {
            ColumnType::Blob
        }
        Value::Array(_) | Value::Object(_) => ColumnType::Json,
        Value::Null => ColumnType::Any,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use csv::ByteRecord;

    #[test]
    fn cells_are_what_all_of_them_look_like() {
        let header = ["id", "n", "r", "ok", "zip", "big", "mixed", "none"].map(str::to_owned);
        let rows = [
            [
                "1",
                "-7",
                "1",
                "true",
                "01234",
                "12345678901234567890",
                "1",
                "",
            ],
            ["2", "", "2.5", "false", "98765", "1", "x", ""],
        ];
        let table = of_cells(&header, &rows, &[]).unwrap();
        assert_eq!(
            kinds(&table),
            "id INTEGER KEY, n INTEGER, r REAL, ok BOOLEAN, zip TEXT, big TEXT, mixed TEXT, none TEXT"
        );
    }

    #[test]
    fn an_id_that_is_missing_or_there_twice_is_no_key() {
        let header = ["id".to_owned(), "a".to_owned()];
        for rows in [[["1", "x"], ["1", "y"]], [["1", "x"], ["", "y"]]] {
            let table = of_cells(&header, &rows, &[]).unwrap();
            assert_eq!(kinds(&table), "id INTEGER, a TEXT");
        }
        let rows = [["1", "x"], ["1", "y"]];
        let key = ["ID".to_owned(), "a".to_owned()];
        let table = of_cells(&header, &rows, &key).unwrap();
        assert_eq!(kinds(&table), "id INTEGER KEY, a TEXT KEY");
        assert!(of_cells(&header, &rows, &["b".to_owned()]).is_err());
        assert!(of_cells(&["a b".to_owned(), "_x".to_owned()], &rows, &[]).is_err());
    }

    #[test]
    fn members_are_what_json_says() {
        let objects = [
            r#"{"id":"a","n":1,"t":true,"j":[1],"b":{"$base64":"AA=="},"m":1}"#,
            r#"{"id":"b","n":1.5,"t":false,"j":{"x":1},"b":null,"m":"x","late":1}"#,
            "{not a row}",
        ];
        let records: Vec<_> = objects
            .into_iter()
            .map(|object| Record {
                line: 1,
                data: Data::Object(object.to_owned()),
            })
            .collect();
        let made = table("t", None, &records[..2], &[], "").unwrap();
        let expected = "id TEXT KEY, n REAL, t BOOLEAN, j JSON, b BLOB, m ANY, late INTEGER";
        assert_eq!(kinds(&made), expected);
        assert!(table("t", None, &records[2..], &[], "").is_err());
    }

    fn of_cells<const N: usize>(
        header: &[String],
        rows: &[[&str; N]],
        key: &[String],
    ) -> anyhow::Result<Table> {
        let records: Vec<_> = rows
            .iter()
            .map(|cells| Record {
                line: 1,
                data: Data::Cells(ByteRecord::from(cells.to_vec())),
            })
            .collect();
        table("t", Some(header), &records, key, "")
    }

    fn kinds(table: &Table) -> String {
        let columns = table.columns.iter().map(|column| {
            let kind = serde_json::to_value(column.kind).unwrap();
            let key = if column.primary_key { " KEY" } else { "" };
            format!("{} {}{key}", column.name, kind.as_str().unwrap())
        });
        columns.collect::<Vec<_>>().join(", ")
    }
}
