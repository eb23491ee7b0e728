//! Mutations, as a client writes them.

use std::borrow::Cow;

use floe_proto::Code;
use floe_proto::table::{
    Alteration, Call, Column, Mutation, OnConflict, Place, Precondition, Row, Table, TableError,
    Value, check_name,
};
use serde::Deserialize;

use super::catalog::{Answer, MethodInfo};
use super::fields::{Fields, invalid, need};
use super::method::table;
use super::{BATCH_ROWS_MAX, COLUMNS_MAX, MUTATIONS_MAX, STEPS_MAX, TITLE_CHARS_MAX};

/// Reads the payload of a mutation.
pub(super) fn call(info: &MethodInfo, fields: &Fields<'_>) -> Result<Call, TableError> {
    if info.answer == Answer::Transaction {
        return transaction(fields);
    }
    Ok(Call {
        mutations: vec![mutation(info, fields)?],
        ..Call::default()
    })
}

fn mutation(info: &MethodInfo, fields: &Fields<'_>) -> Result<Mutation, TableError> {
    Ok(match info.name {
        "createTask" => Mutation::CreateTask {
            title: title(fields)?,
        },
        "completeTask" => Mutation::CompleteTask { id: task(fields)? },
        "deleteTask" => Mutation::DeleteTask { id: task(fields)? },
        "createTable" => Mutation::CreateTable(Table {
            name: table(fields, "name")?,
            columns: columns(fields)?,
        }),
        "alterTable" => Mutation::AlterTable {
            table: table(fields, "name")?,
            steps: steps(fields)?,
        },
        "deleteTable" => Mutation::DropTable {
            table: table(fields, "name")?,
        },
        "insertRow" => Mutation::Insert {
            table: table(fields, "table")?,
            rows: vec![row(fields, "values", true)?],
            on_conflict: on_conflict(fields)?,
            each: false,
        },
        "batchInsert" => Mutation::Insert {
            table: table(fields, "table")?,
            rows: rows(fields)?,
            on_conflict: on_conflict(fields)?,
            each: fields.boolean("partial")?.unwrap_or(false),
        },
        "updateRow" => Mutation::Update {
            table: table(fields, "table")?,
            place: place(fields)?,
            values: row(fields, "values", false)?,
        },
        "deleteRow" => Mutation::Delete {
            table: table(fields, "table")?,
            place: place(fields)?,
        },
        name => return Err(unknown(name)),
    })
}

/// Reads a transaction: methods that change rows, of tables that are there.
fn transaction(fields: &Fields<'_>) -> Result<Call, TableError> {
    let listed = fields.list("mutations", MUTATIONS_MAX)?;
    if listed.is_empty() {
        return Err(invalid("`mutations` is empty"));
    }
    let mutations = listed.iter().enumerate().map(|(at, json)| {
        one_of_transaction(json).map_err(|error| placed(error, format_args!("mutations[{at}]")))
    });
    let mutations = mutations.collect::<Result<_, _>>()?;
    let listed = fields.list("preconditions", MUTATIONS_MAX)?;
    let preconditions = listed.iter().enumerate().map(|(at, json)| {
        precondition(json).map_err(|error| placed(error, format_args!("preconditions[{at}]")))
    });
    Ok(Call {
        mutations,
        preconditions: preconditions.collect::<Result<_, _>>()?,
        ..Call::default()
    })
}

fn one_of_transaction(json: &str) -> Result<Mutation, TableError> {
    let fields = Fields::read(json, "a mutation")?;
    fields.only("a mutation", |name| matches!(name, "method" | "payload"))?;
    let name = need(fields.text("method", usize::MAX)?, "method")?;
    let info = MethodInfo::named(&name)
        .filter(|info| matches!(info.answer, Answer::Task | Answer::Row | Answer::Rows));
    let info = info.ok_or_else(|| unknown(&name))?;
    let payload = Fields::read(need(fields.json("payload"), "payload")?, "`payload`")?;
    payload.only(info.name, |name| {
        info.params.iter().any(|param| param.name == name)
    })?;
    mutation(info, &payload)
}

fn precondition(json: &str) -> Result<Precondition, TableError> {
    let fields = Fields::read(json, "a precondition")?;
    fields.only("a precondition", |name| {
        matches!(name, "table" | "key" | "version")
    })?;
    let key = need(fields.json("key"), "key")?;
    if key.starts_with('{') {
        return Err(invalid("`key` is neither a value nor an array of values"));
    }
    Ok(Precondition {
        table: table(&fields, "table")?,
        key: key_values(&fields, key)?,
        version: need(fields.whole("version")?, "version")?,
    })
}

/// Says where in a list the mistake is.
fn placed(mut error: TableError, place: std::fmt::Arguments<'_>) -> TableError {
    error.message = format!("{place}: {}", error.message);
    error
}

fn unknown(name: &str) -> TableError {
    let shown: String = name.chars().take(NAME_SHOWN_CHARS).collect();
    TableError::new(
        Code::InvalidRequest,
        format!("`{shown}` is no method that changes rows or tasks"),
    )
}

const NAME_SHOWN_CHARS: usize = 40;

fn title(fields: &Fields<'_>) -> Result<Box<str>, TableError> {
    let title = need(fields.text("title", usize::MAX)?, "title")?;
    let title = title.trim();
    if title.is_empty() || title.chars().nth(TITLE_CHARS_MAX).is_some() {
        return Err(invalid(format!(
            "`title` has not 1 to {TITLE_CHARS_MAX} characters"
        )));
    }
    Ok(title.into())
}

fn task(fields: &Fields<'_>) -> Result<i64, TableError> {
    match need(fields.integer("id")?, "id")? {
        id @ 1.. => Ok(id),
        _ => Err(invalid("`id` is not 1 or more")),
    }
}

fn columns(fields: &Fields<'_>) -> Result<Vec<Column>, TableError> {
    let listed = fields.list("columns", COLUMNS_MAX)?;
    if listed.is_empty() {
        return Err(invalid("`columns` is empty"));
    }
    let columns = listed.iter().enumerate().map(|(at, json)| {
        column(json).map_err(|error| placed(error, format_args!("columns[{at}]")))
    });
    let columns: Vec<Column> = columns.collect::<Result<_, _>>()?;
    for (at, column) in columns.iter().enumerate() {
        let mut before = columns.iter().take(at);
        if before.any(|other| other.name.eq_ignore_ascii_case(&column.name)) {
            return Err(TableError {
                column: Some(column.name.clone()),
                ..invalid(format!("the column `{}` is there twice", column.name))
            });
        }
    }
    Ok(columns)
}

fn column(json: &str) -> Result<Column, TableError> {
    let column: Column = serde_json::from_str(json)
        .map_err(|error| invalid(format!("cannot be read: {}", reason(&error))))?;
    check_name(&column.name)?;
    Ok(column)
}

/// One step of `alterTable`; which one its only member says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum Step<'a> {
    AddColumn(Column),
    #[serde(borrow)]
    DropColumn(Cow<'a, str>),
    #[serde(borrow)]
    RenameColumn(Renamed<'a>),
    #[serde(borrow)]
    RenameTable(Cow<'a, str>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Renamed<'a> {
    #[serde(borrow)]
    from: Cow<'a, str>,
    #[serde(borrow)]
    to: Cow<'a, str>,
}

fn steps(fields: &Fields<'_>) -> Result<Vec<Alteration>, TableError> {
    let listed = fields.list("steps", STEPS_MAX)?;
    if listed.is_empty() {
        return Err(invalid("`steps` is empty"));
    }
    let steps = listed.iter().enumerate();
    let steps = steps
        .map(|(at, json)| step(json).map_err(|error| placed(error, format_args!("steps[{at}]"))));
    steps.collect()
}

fn step(json: &str) -> Result<Alteration, TableError> {
    let step = serde_json::from_str(json)
        .map_err(|error| invalid(format!("cannot be read: {}", reason(&error))))?;
    let named = |name: Cow<'_, str>| -> Result<Box<str>, TableError> {
        check_name(&name)?;
        Ok(name.into())
    };
    Ok(match step {
        Step::AddColumn(column) => {
            check_name(&column.name)?;
            Alteration::AddColumn(column)
        }
        Step::DropColumn(name) => Alteration::DropColumn(named(name)?),
        Step::RenameColumn(Renamed { from, to }) => Alteration::RenameColumn {
            from: named(from)?,
            to: named(to)?,
        },
        Step::RenameTable(name) => Alteration::RenameTable(named(name)?),
    })
}

/// What is wrong with some JSON, without where: it is small, and not where the client thinks.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let reason = text.split(" at line ").next();
    reason.unwrap_or_default().to_owned()
}

/// Reads values by column; a row that is inserted may have none, a change may not.
fn row(fields: &Fields<'_>, name: &str, may_be_empty: bool) -> Result<Row, TableError> {
    let row: Row = fields.read_as(name)?;
    if row.0.is_empty() && !may_be_empty {
        return Err(invalid(format!("`{name}` is empty")));
    }
    check_row(&row, name)?;
    Ok(row)
}

fn check_row(row: &Row, name: &str) -> Result<(), TableError> {
    for (column, _) in &row.0 {
        check_name(column).map_err(|error| TableError {
            column: Some(column.clone()),
            ..invalid(format!("`{name}`: {error}"))
        })?;
    }
    Ok(())
}

fn rows(fields: &Fields<'_>) -> Result<Vec<Row>, TableError> {
    let listed = fields.list("rows", BATCH_ROWS_MAX)?;
    if listed.is_empty() {
        return Err(invalid("`rows` is empty"));
    }
    let rows = listed.iter().enumerate().map(|(at, json)| {
        let read = || {
            let row: Row = serde_json::from_str(json)
                .map_err(|error| invalid(format!("cannot be read: {}", reason(&error))))?;
            check_row(&row, "a row")?;
            Ok(row)
        };
        read().map_err(|error| TableError {
            row: Some(at),
            ..placed(error, format_args!("rows[{at}]"))
        })
    });
    rows.collect()
}

fn on_conflict(fields: &Fields<'_>) -> Result<OnConflict, TableError> {
    match fields.text("onConflict", usize::MAX)?.as_deref() {
        None | Some("fail") => Ok(OnConflict::Fail),
        Some("update") => Ok(OnConflict::Update),
        Some(_) => Err(invalid("`onConflict` is neither fail nor update")),
    }
}

fn place(fields: &Fields<'_>) -> Result<Place, TableError> {
    match (fields.json("key"), fields.json("where")) {
        (Some(key), None) if key.starts_with('{') => row(fields, "key", false).map(Place::Named),
        (Some(key), None) => key_values(fields, key).map(Place::Key),
        (None, Some(_)) => row(fields, "where", false).map(Place::Where),
        (None, None) | (Some(_), Some(_)) => {
            Err(invalid("exactly one of `key` and `where` must be there"))
        }
    }
}

/// Reads a key of one column, or an array for one of several.
fn key_values(fields: &Fields<'_>, key: &str) -> Result<Vec<Value>, TableError> {
    if !key.starts_with('[') {
        return fields.read_as("key").map(|value| vec![value]);
    }
    let values: Vec<Value> = fields.read_as("key")?;
    if values.is_empty() || values.len() > COLUMNS_MAX {
        return Err(invalid(format!("`key` has not 1 to {COLUMNS_MAX} values")));
    }
    Ok(values)
}
