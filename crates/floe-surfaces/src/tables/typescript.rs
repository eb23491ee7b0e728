//! A TypeScript client of one room: its tables as types, the methods, and a runtime without
//! dependencies.

use std::fmt::Write as _;

use floe_proto::table::{Column, ColumnType, Table};

use super::METHODS;
use super::catalog::{Answer, MethodInfo, Shape};
use super::room::TableRoom;

/// Everything that does not depend on the tables.
const RUNTIME: &str = include_str!("runtime.ts");

/// Writes the client of a room with these tables.
#[must_use]
pub fn write_typescript(room: &TableRoom, tables: &[Table]) -> String {
    let mut out = format!(
        "// A client of the room \"{room}\", made by Floe from its tables. Do not edit; download it anew.\n\
         \n\
         /** The room that this client was made for. */\n\
         export const ROOM = \"{room}\"\n\n"
    );
    let names = type_names(tables);
    for (table, name) in tables.iter().zip(&names) {
        write_table(&mut out, table, name);
    }
    out.push_str("/** The tables of the room. */\nexport interface Tables {\n");
    for (table, name) in tables.iter().zip(&names) {
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "  {}: {{ row: {name}Row; insert: {name}Insert; update: {name}Update; key: {name}Key }}",
            table.name
        );
    }
    out.push_str("}\n\n/** What can be asked of the room: payload and answer of each method. */\n");
    out.push_str("export interface Methods {\n");
    for info in METHODS {
        write_method(&mut out, info);
    }
    out.push_str("}\n\n");
    out.push_str(RUNTIME);
    out
}

/// Makes a name for the types of each table: words joined without `_`, with a number where two tables
/// would have the same.
fn type_names(tables: &[Table]) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(tables.len());
    for table in tables {
        let mut name = String::new();
        for word in table.name.split('_') {
            let mut chars = word.chars();
            name.extend(chars.next().map(|first| first.to_ascii_uppercase()));
            name.push_str(chars.as_str());
        }
        let is_taken = |name: &String, names: &[String]| {
            names.iter().any(|known| known.eq_ignore_ascii_case(name))
        };
        let base = name.clone();
        let mut number = 2;
        while is_taken(&name, &names) {
            // A word never ends in what is between it and the number.
            name = format!("{base}_{number}");
            number += 1;
        }
        names.push(name);
    }
    names
}

fn write_table(out: &mut String, table: &Table, name: &str) {
    let keys: Vec<&Column> = table.columns.iter().filter(|it| it.primary_key).collect();
    let may_be_null = |column: &Column| !column.not_null && !column.primary_key;
    // An insert that leaves it out is given the next number.
    let is_number = |column: &Column| {
        keys.len() == 1 && column.primary_key && column.kind == ColumnType::Integer
    };
    let _ = writeln!(
        out,
        "/** A row of `{}`. */\nexport interface {name}Row {{",
        table.name
    );
    for column in &table.columns {
        let null = if may_be_null(column) { " | null" } else { "" };
        let _ = writeln!(out, "  {}: {}{null}", column.name, read_type(column.kind));
    }
    let _ = writeln!(
        out,
        "}}\n\n/** What is inserted into `{}`. */\nexport interface {name}Insert {{",
        table.name
    );
    for column in &table.columns {
        let null = if may_be_null(column) { " | null" } else { "" };
        let is_optional = !null.is_empty() || column.default.is_some() || is_number(column);
        let _ = writeln!(
            out,
            "  {}{}: {}{null}",
            column.name,
            if is_optional { "?" } else { "" },
            write_type(column.kind),
        );
    }
    let _ = writeln!(
        out,
        "}}\n\n/** What can be changed of a row of `{}`. */\n\
         export type {name}Update = Partial<{name}Insert>\n",
        table.name
    );
    let key = match keys.as_slice() {
        [] => "number".to_owned(),
        [one] => format!("{name}Row[\"{}\"]", one.name),
        several => {
            let parts: Vec<_> = several
                .iter()
                .map(|column| format!("{name}Row[\"{}\"]", column.name))
                .collect();
            format!("[{}]", parts.join(", "))
        }
    };
    let _ = writeln!(
        out,
        "/** What names a row of `{}`. */\nexport type {name}Key = {key}\n",
        table.name
    );
}

/// The type of a column's values as they are read.
const fn read_type(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Integer | ColumnType::Real => "number",
        ColumnType::Text | ColumnType::Json => "string",
        ColumnType::Blob => "Bytes",
        ColumnType::Boolean => "0 | 1",
        ColumnType::Any => "Value",
    }
}

/// The type of a column's values as they are written, without `null`.
const fn write_type(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Integer | ColumnType::Real => "number",
        ColumnType::Text => "string",
        ColumnType::Blob => "Bytes",
        ColumnType::Boolean => "boolean | 0 | 1",
        ColumnType::Json => "string | readonly Json[] | { readonly [name: string]: Json }",
        ColumnType::Any => "Value | boolean",
    }
}

fn write_method(out: &mut String, info: &MethodInfo) {
    let _ = writeln!(out, "  /** {} */", info.about);
    let _ = write!(out, "  {}: {{ payload: {{", info.name);
    for (at, param) in info.params.iter().enumerate() {
        let _ = write!(
            out,
            "{} {}{}: {}",
            if at > 0 { ";" } else { "" },
            param.name,
            if param.required { "" } else { "?" },
            shape_type(param.shape),
        );
    }
    let space = if info.params.is_empty() { "" } else { " " };
    let _ = writeln!(out, "{space}}}; answer: {} }}", answer_type(info.answer));
}

fn shape_type(shape: Shape) -> String {
    match shape {
        Shape::Text | Shape::Table => "string".into(),
        Shape::Tables => "readonly string[]".into(),
        Shape::Integer => "number".into(),
        Shape::Boolean => "boolean".into(),
        Shape::Json => "Json".into(),
        Shape::Row => "Values".into(),
        Shape::Rows => "readonly Values[]".into(),
        Shape::Key => "Key".into(),
        Shape::Columns => "readonly NewColumn[]".into(),
        Shape::Steps => "readonly Step[]".into(),
        Shape::SqlParams => "SqlParams".into(),
        Shape::Mutations => "readonly Mutation[]".into(),
        Shape::Preconditions => "readonly Precondition[]".into(),
        Shape::OneOf(words) => {
            let words: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
            words.join(" | ")
        }
    }
}

const fn answer_type(answer: Answer) -> &'static str {
    match answer {
        Answer::Task => "MutationAnswer<Task>",
        Answer::Row | Answer::Rows | Answer::Schema => "MutationAnswer<Mutated>",
        Answer::Transaction => "MutationAnswer<{ results: Mutated[] }>",
        Answer::Query | Answer::LiveQuery => "QueryAnswer",
        Answer::Success => "SuccessAnswer",
    }
}
