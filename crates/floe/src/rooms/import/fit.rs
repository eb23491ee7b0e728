//! Rows of a file as the table takes them.

use csv::ByteRecord;
use floe_client::rooms::{ColumnType, Row, SchemaColumn, Value};

use super::source::{Data, Record};
use crate::rooms::cell::{kind_of, value_of};

/// Makes rows of a table from rows of a file.
#[derive(Debug)]
pub struct Fit {
    /// Columns of the cells, in their order; none of them for objects.
    columns: Vec<Target>,
    null: String,
}

#[derive(Debug)]
struct Target {
    name: Box<str>,
    kind: ColumnType,
    /// Whether a cell that is empty leaves the value out, so that the table says what it gets.
    fills_itself: bool,
    /// Whether it must have a value.
    not_null: bool,
}

impl Fit {
    /// Fits rows to `columns`; `header` names those of cells, and `null` is what a cell without a value
    /// has in it.
    ///
    /// # Errors
    /// Names what is in the header and not in the table.
    pub fn new(
        header: Option<&[String]>,
        columns: &[SchemaColumn],
        null: &str,
    ) -> Result<Self, String> {
        let target = |name: &String| {
            let mut known = columns.iter();
            let column = known
                .find(|column| column.name.eq_ignore_ascii_case(name))
                .ok_or_else(|| format!("the table has no column `{name}`, which the file has"))?;
            Ok(Target {
                name: column.name.as_str().into(),
                kind: kind_of(&column.kind),
                fills_itself: column.notnull || column.pk > 0,
                not_null: column.notnull,
            })
        };
        let columns: Result<Vec<_>, String> =
            header.unwrap_or_default().iter().map(target).collect();
        let columns = columns?;
        for (at, column) in columns.iter().enumerate() {
            let mut earlier = columns.iter().take(at);
            if earlier.any(|other| other.name == column.name) {
                return Err(format!("the file has the column `{}` twice", column.name));
            }
        }
        Ok(Self {
            columns,
            null: null.to_owned(),
        })
    }

    /// Returns a row as JSON.
    ///
    /// # Errors
    /// Says what is wrong with the row.
    pub fn row(&self, record: Record) -> Result<String, String> {
        match record.data {
            Data::Cells(cells) => {
                let row = self.row_of(&cells)?;
                serde_json::to_string(&row).map_err(|error| error.to_string())
            }
            Data::Object(object) => match serde_json::from_str::<Row>(&object) {
                Ok(_) => Ok(object),
                Err(error) => {
                    // Its lines are counted from its own start.
                    let text = error.to_string();
                    let why = text.split(" at line ").next().unwrap_or_default();
                    Err(format!("not a row: {why}"))
                }
            },
        }
    }

    fn row_of(&self, cells: &ByteRecord) -> Result<Row, String> {
        let (found, expected) = (cells.len(), self.columns.len());
        if found != expected {
            return Err(format!("{found} cells, and not {expected}"));
        }
        let mut row = Row::default();
        for (cell, column) in cells.iter().zip(&self.columns) {
            let name = &column.name;
            let text = std::str::from_utf8(cell)
                .map_err(|_| format!("column `{name}`: the cell is not UTF-8"))?;
            let value = match text == self.null {
                true if column.kind == ColumnType::Text && column.not_null && text.is_empty() => {
                    Value::Text("".into())
                }
                true if column.fills_itself => continue,
                true => Value::Null,
                false => value_of(text, column.kind).map_err(|wanted| {
                    let shown: String = text.chars().take(CELL_SHOWN_CHARS).collect();
                    format!("column `{name}`: `{shown}` is not {wanted}")
                })?,
            };
            row.0.push((name.clone(), value));
        }
        Ok(row)
    }
}

/// Characters of a cell that a message repeats.
const CELL_SHOWN_CHARS: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_becomes_what_its_column_holds() {
        let fit = Fit::new(Some(&names(&["ID", "name", "note", "ok"])), &columns(), "").unwrap();
        assert_eq!(
            row(&fit, &["7", "07", "x", "true"]).unwrap(),
            r#"{"id":7,"name":"07","note":"x","ok":1}"#
        );
        // The key is given out, text that must be there is empty, the rest has no value.
        assert_eq!(
            row(&fit, &["", "", "", ""]).unwrap(),
            r#"{"name":"","note":null,"ok":null}"#
        );
        for (cells, why) in [
            (&["7", "a", "b"][..], "3 cells, and not 4"),
            (
                &["x", "a", "b", "0"],
                "column `id`: `x` is not a whole number of 64 bits",
            ),
            (
                &["1", "a", "b", "2"],
                "column `ok`: `2` is not true, false, 1 or 0",
            ),
        ] {
            assert_eq!(row(&fit, cells).unwrap_err(), why);
        }
    }

    #[test]
    fn what_stands_for_no_value_can_be_chosen() {
        let fit = Fit::new(Some(&names(&["id", "name", "note"])), &columns(), "\\N").unwrap();
        assert_eq!(
            row(&fit, &["\\N", "", "\\N"]).unwrap(),
            r#"{"name":"","note":null}"#
        );
    }

    #[test]
    fn columns_must_be_known_and_there_once() {
        for header in [&["nope"][..], &["id", "ID"]] {
            assert!(Fit::new(Some(&names(header)), &columns(), "").is_err());
        }
    }

    #[test]
    fn an_object_is_handed_on_as_it_was_written() {
        let fit = Fit::new(None, &columns(), "").unwrap();
        let object = |text: &str| {
            fit.row(Record {
                line: 1,
                data: Data::Object(text.to_owned()),
            })
        };
        let text = r#"{"id": 1.0, "deep": [1, {"a": 2}]}"#;
        assert_eq!(object(text).unwrap(), text);
        for bad in ["{1}", r#"{"a":1,"A":2}"#, r#"{"a":{"$base64":"?"}}"#] {
            assert!(object(bad).unwrap_err().starts_with("not a row: "), "{bad}");
        }
    }

    fn row(fit: &Fit, cells: &[&str]) -> Result<String, String> {
        fit.row(Record {
            line: 1,
            data: Data::Cells(ByteRecord::from(cells.to_vec())),
        })
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn columns() -> Vec<SchemaColumn> {
        serde_json::from_str(
            r#"[{"name":"id","type":"INTEGER","notnull":0,"pk":1},
                {"name":"name","type":"TEXT","notnull":1,"pk":0},
                {"name":"note","type":"TEXT","notnull":0,"pk":0},
                {"name":"ok","type":"BOOLEAN","notnull":0,"pk":0}]"#,
        )
        .unwrap()
    }
}
