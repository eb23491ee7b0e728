//! Rows in the format of a file.

use std::io::Write;

use anyhow::Context;
use floe_client::rooms::{Row, SchemaColumn, Value};
use serde::Serialize;

use super::pages::ROWID;
use crate::rooms::cell::text_of;

/// Writes tables, one after the other.
pub enum Writer<'a, W: Write> {
    Csv {
        out: Box<csv::Writer<&'a mut W>>,
        columns: Vec<String>,
        null: &'a str,
    },
    Json {
        out: &'a mut W,
        is_one: bool,
        /// Tables and rows of the table that were written.
        tables: u64,
        rows: u64,
    },
    Ndjson {
        out: &'a mut W,
        is_one: bool,
        table: String,
    },
}

#[derive(Serialize)]
struct Named<'a> {
    table: &'a str,
    row: &'a Row,
}

impl<'a, W: Write> Writer<'a, W> {
    /// One table; `null` is the cell of what has no value.
    pub fn csv(out: &'a mut W, null: &'a str) -> Self {
        Self::Csv {
            out: Box::new(csv::Writer::from_writer(out)),
            columns: Vec::new(),
            null,
        }
    }

    pub const fn json(out: &'a mut W, is_one: bool) -> Self {
        Self::Json {
            out,
            is_one,
            tables: 0,
            rows: 0,
        }
    }

    pub const fn ndjson(out: &'a mut W, is_one: bool) -> Self {
        Self::Ndjson {
            out,
            is_one,
            table: String::new(),
        }
    }

    /// The rows of a table follow.
    pub fn begin(&mut self, name: &str, schema: &[SchemaColumn]) -> anyhow::Result<()> {
        match self {
            Self::Csv { out, columns, .. } => {
                *columns = schema.iter().map(|column| column.name.clone()).collect();
                out.write_record(columns.iter())?;
            }
            Self::Json {
                out,
                is_one,
                tables,
                rows,
            } => {
                if !*is_one {
                    out.write_all(if *tables == 0 { b"{" } else { b",\n" })?;
                    serde_json::to_writer(&mut **out, name)?;
                    out.write_all(b":")?;
                }
                out.write_all(b"[")?;
                *tables += 1;
                *rows = 0;
            }
            Self::Ndjson { table, .. } => name.clone_into(table),
        }
        Ok(())
    }

    pub fn row(&mut self, mut row: Row) -> anyhow::Result<()> {
        row.0.retain(|(name, _)| &**name != ROWID);
        match self {
            Self::Csv { out, columns, null } => {
                for column in columns {
                    let value = row.get(column).unwrap_or(&Value::Null);
                    out.write_field(text_of(value, null).as_bytes())?;
                }
                out.write_record(None::<&[u8]>)?;
            }
            Self::Json { out, rows, .. } => {
                out.write_all(if *rows == 0 { b"\n" } else { b",\n" })?;
                serde_json::to_writer(&mut **out, &row)?;
                *rows += 1;
            }
            Self::Ndjson { out, is_one, table } => {
                match is_one {
                    true => serde_json::to_writer(&mut **out, &row)?,
                    false => serde_json::to_writer(&mut **out, &Named { table, row: &row })?,
                }
                out.write_all(b"\n")?;
            }
        }
        Ok(())
    }

    /// The table ends.
    pub fn end(&mut self) -> anyhow::Result<()> {
        if let Self::Json { out, rows, .. } = self {
            out.write_all(if *rows == 0 { b"]" } else { b"\n]" })?;
        }
        Ok(())
    }

    /// There are no more tables.
    pub fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Csv { mut out, .. } => out.flush().context("cannot write"),
            Self::Json {
                out,
                is_one,
                tables,
                ..
            } => {
                let end: &[u8] = match (is_one, tables) {
                    (true, _) => b"\n",
                    (false, 0) => b"{}\n",
                    (false, _) => b"}\n",
                };
                Ok(out.write_all(end)?)
            }
            Self::Ndjson { .. } => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_all_rows() {
        let csv = written(|out| Writer::csv(out, ""), 1);
        assert_eq!(csv, "id,a\n1,\"x,\"\"y\"\"\"\n2,\n");
        let null = written(|out| Writer::csv(out, "\\N"), 1);
        assert_eq!(null, "id,a\n1,\"x,\"\"y\"\"\"\n2,\\N\n");
        let rows = "[\n{\"id\":1,\"a\":\"x,\\\"y\\\"\"},\n{\"id\":2,\"a\":null}\n]";
        let json = written(|out| Writer::json(out, true), 1);
        assert_eq!(json, format!("{rows}\n"));
        let json = written(|out| Writer::json(out, false), 2);
        assert_eq!(json, format!("{{\"t0\":{rows},\n\"t1\":{rows}}}\n"));
        assert_eq!(written(|out| Writer::json(out, false), 0), "{}\n");
        let lines = written(|out| Writer::ndjson(out, true), 1);
        assert_eq!(
            lines,
            "{\"id\":1,\"a\":\"x,\\\"y\\\"\"}\n{\"id\":2,\"a\":null}\n"
        );
        let lines = written(|out| Writer::ndjson(out, false), 1);
        assert!(lines.starts_with("{\"table\":\"t0\",\"row\":{\"id\":1,"));
    }

    fn written(writer: impl FnOnce(&mut Vec<u8>) -> Writer<'_, Vec<u8>>, tables: u64) -> String {
        let columns: Vec<SchemaColumn> = serde_json::from_str(
            r#"[{"name":"id","type":"INTEGER","notnull":0,"pk":0},
                {"name":"a","type":"TEXT","notnull":0,"pk":0}]"#,
        )
        .unwrap();
        let rows: Vec<Row> = serde_json::from_str(
            r#"[{"_rowid_":7,"id":1,"a":"x,\"y\""},{"_rowid_":8,"id":2,"a":null}]"#,
        )
        .unwrap();
        let mut out = Vec::new();
        let mut writer = writer(&mut out);
        for table in 0..tables {
            writer.begin(&format!("t{table}"), &columns).unwrap();
            for row in &rows {
                writer.row(row.clone()).unwrap();
            }
            writer.end().unwrap();
        }
        writer.finish().unwrap();
        String::from_utf8(out).unwrap()
    }
}
