//! Rows for people: a table on a terminal.

use std::io::{self, Write};

use floe_client::rooms::{ColumnInfo, Row, Value};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Prints rows as aligned columns under their names; numbers stand to the right.
pub fn table(out: &mut impl Write, columns: &[ColumnInfo], rows: &[Row]) -> io::Result<()> {
    let mut widths: Vec<usize> = columns
        .iter()
        .map(|column| cell(&column.name).width())
        .collect();
    let mut lines = Vec::with_capacity(rows.len());
    for row in rows {
        let cells: Vec<_> = columns.iter().map(|column| shown(row, column)).collect();
        for (width, (text, _)) in widths.iter_mut().zip(&cells) {
            *width = (*width).max(text.width());
        }
        lines.push(cells);
    }
    let names: Vec<_> = columns
        .iter()
        .map(|column| (cell(&column.name), false))
        .collect();
    line(out, &names, &widths)?;
    let rules: Vec<_> = widths
        .iter()
        .map(|width| ("-".repeat(*width), false))
        .collect();
    line(out, &rules, &widths)?;
    for cells in &lines {
        line(out, cells, &widths)?;
    }
    Ok(())
}

/// Returns a value as it is shown, and whether it stands to the right.
fn shown(row: &Row, column: &ColumnInfo) -> (String, bool) {
    match row.get(&column.name) {
        None | Some(Value::Null) => ("NULL".to_owned(), false),
        Some(number @ (Value::Integer(_) | Value::Real(_))) => {
            (super::cell::text_of(number, "").into_owned(), true)
        }
        Some(text @ (Value::Text(_) | Value::Blob(_))) => {
            (cell(&super::cell::text_of(text, "")), false)
        }
    }
}

/// Returns a text as one line that a terminal only shows: what would move its cursor is escaped.
fn cell(text: &str) -> String {
    let mut shown = String::with_capacity(text.len().min(CELL_CHARS_MAX));
    for (at, char) in text.chars().enumerate() {
        if at == CELL_CHARS_MAX {
            shown.push('…');
            break;
        }
        match char.is_control() || char.width().is_none() || is_direction(char) {
            true => shown.extend(char.escape_debug()),
            false => shown.push(char),
        }
    }
    shown
}

/// Returns whether a character turns around what stands beside it.
const fn is_direction(char: char) -> bool {
    matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn line(out: &mut impl Write, cells: &[(String, bool)], widths: &[usize]) -> io::Result<()> {
    let mut line = String::new();
    for (at, ((text, right), width)) in cells.iter().zip(widths).enumerate() {
        if at > 0 {
            line.push_str("  ");
        }
        let padding = " ".repeat(width.saturating_sub(text.width()));
        match right {
            true => line.extend([padding.as_str(), text]),
            false => line.extend([text, padding.as_str()]),
        }
    }
    writeln!(out, "{}", line.trim_end())
}

/// Characters of a value that a table shows; `--json` and `--csv` show all of them.
const CELL_CHARS_MAX: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let rows: Vec<Row> = serde_json::from_str(
            r#"[{"id":1,"title":"buy milk","n":1.5},{"id":12,"title":null,"n":20},
                {"id":3,"title":"牛\u001b[2J\n","n":{"$base64":"AP8="}}]"#,
        )
        .unwrap();
        let columns: Vec<_> = ["id", "title", "n"]
            .map(|name| ColumnInfo {
                name: name.to_owned(),
                kind: None,
            })
            .into();
        let mut out = Vec::new();
        table(&mut out, &columns, &rows).unwrap();
        let expected = "\
id  title          n
--  -------------  ----
 1  buy milk        1.5
12  NULL             20
 3  牛\\u{1b}[2J\\n  AP8=
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_long_value_is_cut() {
        assert_eq!(cell(&"x".repeat(1000)).chars().count(), CELL_CHARS_MAX + 1);
    }
}
