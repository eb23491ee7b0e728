//! What a table looks like over all rooms that have it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use floe_proto::table::{ColumnType, Table, check_name};

use crate::tables::gate::sql_type;

/// The function that makes bytes of their base64.
pub const BYTES: &str = "_floe_bytes";

/// A table of all rooms.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    pub name: Box<str>,
    columns: Vec<Joined>,
}

/// A column of all rooms.
#[derive(Debug, Clone, PartialEq)]
struct Joined {
    /// What rooms call it: the same, but for large and small letters.
    names: Vec<Box<str>>,
    kind: ColumnType,
}

/// Returns the condition that a room `r` is asked.
pub const fn rooms(named: bool) -> &'static str {
    if named {
        "r.no IN (SELECT no FROM temp._wanted)"
    } else {
        "r.kind = 0"
    }
}

/// Returns the bytes whose base64 a text is.
pub fn bytes(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

impl Shape {
    /// Takes the table of one more room; columns above `columns_max` are left out.
    pub fn with(shape: Option<Self>, definition: &str, columns_max: usize) -> Option<Self> {
        let Ok(table) = serde_json::from_str::<Table>(definition) else {
            return shape;
        };
        if check_name(&table.name).is_err() {
            return shape;
        }
        let mut shape = shape.unwrap_or_else(|| Self {
            name: table.name.clone(),
            columns: Vec::new(),
        });
        for column in table.columns {
            if check_name(&column.name).is_err() {
                continue;
            }
            let fits = shape.columns.len() < columns_max;
            let known = shape.columns.iter_mut().find(|known| {
                let mut names = known.names.iter();
                names.any(|name| name.eq_ignore_ascii_case(&column.name))
            });
            match known {
                Some(known) => {
                    if sql_type(known.kind) != sql_type(column.kind) {
                        known.kind = ColumnType::Any;
                    }
                    if !known.names.contains(&column.name) {
                        known.names.push(column.name);
                    }
                }
                None if fits => shape.columns.push(Joined {
                    names: vec![column.name],
                    kind: column.kind,
                }),
                None => {}
            }
        }
        Some(shape)
    }

    /// Returns the SQL that makes an empty table of this shape.
    pub fn empty_table(&self) -> String {
        let columns: String = self
            .columns
            .iter()
            .map(|column| format!(", \"{}\" {}", column.name(), sql_type(column.kind)))
            .collect();
        format!("CREATE TABLE \"{}\" (\"_room\" TEXT{columns})", self.name)
    }

    /// Returns the SQL that makes an empty table like a room's.
    pub fn empty_table_of_room(&self) -> String {
        let columns = self
            .columns
            .iter()
            .map(|column| format!("\"{}\" {}", column.name(), sql_type(column.kind)));
        let columns: Vec<_> = columns.collect();
        format!("CREATE TABLE \"{}\" ({})", self.name, columns.join(", "))
    }

    /// Returns the SQL that makes a view like a room's table, whose number is `no`.
    pub fn view_of_room(&self, no: i64) -> String {
        let columns = self
            .columns
            .iter()
            .map(|column| format!("{} AS \"{}\"", column.value(), column.name()));
        let columns: Vec<_> = columns.collect();
        format!(
            "CREATE TEMP VIEW \"{}\" AS SELECT {} FROM main._rows d WHERE d.tbl = {no}",
            self.name,
            columns.join(", ")
        )
    }

    /// Returns the SQL that makes the view.
    pub fn view(&self, named: bool) -> String {
        let columns: String = self
            .columns
            .iter()
            .map(|column| format!(", {} AS \"{}\"", column.value(), column.name()))
            .collect();
        format!(
            "CREATE TEMP VIEW \"{name}\" AS SELECT r.name AS \"_room\"{columns}
             FROM main._tables t JOIN main._rooms r ON r.no = t.room
             JOIN main._rows d ON d.tbl = t.no
             WHERE t.name = '{name}' AND {rooms}",
            name = self.name,
            rooms = rooms(named),
        )
    }
}

impl Joined {
    fn name(&self) -> &str {
        self.names.first().map_or("", |name| &**name)
    }

    /// Returns the SQL of its value, which is of its type and is compared as a column of it is.
    fn value(&self) -> String {
        let values = self.names.iter().map(|name| self.value_of(name));
        let values: Vec<String> = values.collect();
        let value = match &values[..] {
            [one] => one.clone(),
            several => format!("coalesce({})", several.join(", ")),
        };
        if self.kind == ColumnType::Any {
            return value;
        }
        format!("CAST({value} AS {})", sql_type(self.kind))
    }

    fn value_of(&self, name: &str) -> String {
        let plain = format!("d.row ->> '$.\"{name}\"'");
        let bytes = format!("{BYTES}(d.row ->> '$.\"{name}\".\"$base64\"')");
        match self.kind {
            ColumnType::Blob => bytes,
            ColumnType::Any => format!(
                "CASE json_type(d.row, '$.\"{name}\"') WHEN 'object' THEN {bytes} ELSE {plain} END"
            ),
            ColumnType::Integer
            | ColumnType::Real
            | ColumnType::Text
            | ColumnType::Boolean
            | ColumnType::Json => plain,
        }
    }
}
