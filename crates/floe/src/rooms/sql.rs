//! `floe sql`: one question to the tables of a room.

use std::io::{self, Read, Write};

use anyhow::{Context, bail};
use clap::Args;
use floe_client::rooms::{Found, Row};
use serde_json::Value;

use super::cell::text_of;
use super::{RoomArguments, print};

/// Ask the tables of a room in SQL: one statement that only reads.
///
/// The rows show all that was acknowledged before, and are printed as a table. Longer answers than the
/// server gives end early, which is said on stderr.
#[derive(Debug, Args)]
pub struct SqlArguments {
    #[command(flatten)]
    room: RoomArguments,
    /// The statement, such as 'SELECT * FROM tasks WHERE id > ?'; - reads it from stdin.
    statement: String,
    /// A value for the next `?`, or with `:name=VALUE` one for `:name`; may be repeated. What is JSON is
    /// read as that, so that 7 is a number and '"7"' is text; anything else is text.
    #[arg(long = "param", value_name = "VALUE", allow_hyphen_values = true)]
    params: Vec<String>,
    /// Print the rows as an array of JSON objects.
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print the rows as CSV; NULL is an empty cell, bytes are base64.
    #[arg(long)]
    csv: bool,
}

/// Asks and prints.
pub async fn run(arguments: &SqlArguments) -> anyhow::Result<()> {
    let statement = match arguments.statement.as_str() {
        "-" => read_statement(io::stdin().lock())?,
        statement => statement.to_owned(),
    };
    let params = params(&arguments.params)?;
    let room = arguments.room.first_contact()?;
    let found = room.execute_sql(&statement, &params).await?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    if arguments.json {
        writeln!(out, "{}", found.data.get())?;
    } else if arguments.csv {
        csv(&mut out, &found)?;
    } else {
        print::table(&mut out, &found.columns, &found.rows()?)?;
    }
    out.flush()?;
    if found.truncated {
        eprintln!("floe: there are more rows, which a limit of the server kept back");
    }
    Ok(())
}

fn csv(out: &mut impl Write, found: &Found) -> anyhow::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(found.columns.iter().map(|column| column.name.as_str()))?;
    let rows: Vec<Row> = found.rows()?;
    for row in &rows {
        let values = found.columns.iter().map(|column| row.get(&column.name));
        let cells: Vec<_> = values
            .map(|value| value.map_or_else(Default::default, |value| text_of(value, "")))
            .collect();
        writer.write_record(cells.iter().map(|cell| cell.as_bytes()))?;
    }
    writer.flush()?;
    Ok(())
}

fn read_statement(input: impl Read) -> anyhow::Result<String> {
    let mut statement = String::new();
    input
        .take(STATEMENT_BYTES_MAX + 1)
        .read_to_string(&mut statement)
        .context("cannot read stdin")?;
    if statement.len() as u64 > STATEMENT_BYTES_MAX {
        bail!("the statement is longer than {STATEMENT_BYTES_MAX} bytes");
    }
    Ok(statement)
}

/// Returns an array of values, or an object where they have names.
fn params(given: &[String]) -> anyhow::Result<Value> {
    let mut named = serde_json::Map::new();
    let mut placed = Vec::new();
    for param in given {
        match name_and_value(param) {
            Some((name, value)) => {
                if named.insert(name.to_owned(), value_of(value)).is_some() {
                    bail!("--param has `{name}` twice");
                }
            }
            None => placed.push(value_of(param)),
        }
    }
    match (placed.is_empty(), named.is_empty()) {
        (_, true) => Ok(Value::Array(placed)),
        (true, false) => Ok(Value::Object(named)),
        (false, false) => bail!("--param has values with names and others without"),
    }
}

/// Takes `:name=VALUE` apart; what is JSON or has no name before its `=` is a value.
fn name_and_value(param: &str) -> Option<(&str, &str)> {
    let (name, value) = param.strip_prefix([':', '@', '$'])?.split_once('=')?;
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (!name.is_empty() && name.bytes().all(is_word)).then_some((name, value))
}

fn value_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

/// More than a server takes: it counts 10 000 characters.
const STATEMENT_BYTES_MAX: u64 = 40_000;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_json_or_text_with_or_without_names() {
        for (given, expected) in [
            (
                &["7", "007", "\"7\"", "null", "a=b"][..],
                json!([7, "007", "7", null, "a=b"]),
            ),
            (
                &[":a=1", "@b=x=y", "$c="],
                json!({"a": 1, "b": "x=y", "c": ""}),
            ),
            (&[], json!([])),
            (&[":=1", ":a b=1"], json!([":=1", ":a b=1"])),
        ] {
            let given: Vec<_> = given.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(params(&given).unwrap(), expected);
        }
        for mixed in [["1", ":a=1"], [":a=1", ":a=2"]] {
            assert!(params(&mixed.map(str::to_owned)).is_err());
        }
    }

    #[test]
    fn a_statement_has_an_end() {
        assert_eq!(read_statement(&b"SELECT 1"[..]).unwrap(), "SELECT 1");
        assert!(read_statement(io::repeat(b'x')).is_err());
    }

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        let found: Found = serde_json::from_value(json!({
            "data": [{"a": "x,\"y\"", "b": null}, {"a": 1.0, "b": {"$base64": "AP8="}}],
            "columns": [{"name": "a"}, {"name": "b", "type": "BLOB"}],
        }))
        .unwrap();
        let mut out = Vec::new();
        csv(&mut out, &found).unwrap();
        let expected = "a,b\n\"x,\"\"y\"\"\",\n1.0,AP8=\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
