//! Tables that the server makes when they are needed: tasks, and the values of the write buffer.

use std::sync::Arc;

use floe_proto::Code;
use floe_proto::table::{
    BUFFERED, Column, ColumnType, Mutated, OnConflict, Place, Row, TASKS, Table, TableError, Value,
};

use super::layout::Layout;
use super::rows::of_table;
use super::work::Work;

/// Characters of a task's title.
const TITLE_CHARS_MAX: usize = 500;

impl Work<'_> {
    /// Writes down values of the write buffer; nothing is told of one that is there already.
    pub fn flush(&mut self, values: &[(Box<str>, Box<str>)]) -> Result<Mutated, TableError> {
        let mut mutated = Mutated::default();
        if values.is_empty() {
            return Ok(mutated);
        }
        self.check_space()?;
        let layout = self.built_in(&buffered())?;
        for (at, (key, value)) in values.iter().enumerate() {
            self.count_row()?;
            let row = Row(vec![
                ("key".into(), Value::Text(key.clone())),
                ("value".into(), Value::Text(value.clone())),
            ]);
            let seq = self.seq;
            let written = self.insert_one(&layout, &row, OnConflict::Update);
            written.map_err(|mut error| {
                error.row = Some(at);
                error
            })?;
            mutated.rows += u64::from(self.seq != seq);
        }
        Ok(mutated)
    }

    /// Inserts a task.
    pub fn create_task(&mut self, title: &str) -> Result<Mutated, TableError> {
        let title = title.trim();
        let chars = title.chars().take(TITLE_CHARS_MAX + 1).count();
        if chars == 0 || chars > TITLE_CHARS_MAX {
            let mut error = TableError::new(
                Code::InvalidRequest,
                format!("the title has 1 to {TITLE_CHARS_MAX} characters"),
            );
            error.table = Some(TASKS.into());
            error.column = Some("title".into());
            return Err(error);
        }
        self.built_in(&tasks())?;
        let row = Row(vec![
            ("title".into(), Value::Text(title.into())),
            ("status".into(), Value::Text("pending".into())),
        ]);
        self.insert(TASKS, &[row], OnConflict::Fail, false)
    }

    /// Sets the status of a task to `completed`.
    pub fn complete_task(&mut self, id: i64) -> Result<Mutated, TableError> {
        let place = self.task(id)?;
        let status = Row(vec![("status".into(), Value::Text("completed".into()))]);
        self.update(TASKS, &place, &status)
    }

    /// Deletes a task.
    pub fn delete_task(&mut self, id: i64) -> Result<Mutated, TableError> {
        let place = self.task(id)?;
        self.delete(TASKS, &place)
    }

    fn task(&mut self, id: i64) -> Result<Place, TableError> {
        let mut error = TableError::new(Code::InvalidRequest, "the id of a task is positive");
        error.table = Some(TASKS.into());
        error.column = Some("id".into());
        if id <= 0 {
            return Err(error);
        }
        let Some(layout) = self.catalog.get(TASKS) else {
            error.code = Code::NotFound;
            error.message = format!("there is no task {id}");
            return Err(error);
        };
        is_like(&layout, &tasks())?;
        Ok(Place::Key(vec![Value::Integer(id)]))
    }

    fn built_in(&mut self, table: &Table) -> Result<Arc<Layout>, TableError> {
        if self.catalog.get(&table.name).is_none() {
            self.create_table(table)?;
        }
        let layout = self.catalog.need(&table.name)?;
        is_like(&layout, table)?;
        Ok(layout)
    }
}

/// Checks that a table that somebody made has all that the built-in one has.
fn is_like(layout: &Layout, built_in: &Table) -> Result<(), TableError> {
    let has = |wanted: &Column| {
        let mut columns = layout.table.columns.iter();
        columns.any(|column| {
            column.name.eq_ignore_ascii_case(&wanted.name)
                && column.kind == wanted.kind
                && column.primary_key == wanted.primary_key
        })
    };
    if built_in.columns.iter().all(has) {
        return Ok(());
    }
    let what = "the table is another than the built-in one";
    Err(of_table(layout, Code::Exists, what))
}

/// The table of tasks.
fn tasks() -> Table {
    let mut id = column("id", ColumnType::Integer);
    id.primary_key = true;
    let mut title = column("title", ColumnType::Text);
    title.not_null = true;
    let mut status = column("status", ColumnType::Text);
    status.not_null = true;
    status.default = Some(Value::Text("pending".into()));
    Table {
        name: TASKS.into(),
        columns: vec![id, title, status],
    }
}

/// The table of the write buffer.
fn buffered() -> Table {
    let mut key = column("key", ColumnType::Text);
    key.primary_key = true;
    Table {
        name: BUFFERED.into(),
        columns: vec![key, column("value", ColumnType::Json)],
    }
}

fn column(name: &str, kind: ColumnType) -> Column {
    Column {
        name: name.into(),
        kind,
        primary_key: false,
        not_null: false,
        unique: false,
        default: None,
    }
}
