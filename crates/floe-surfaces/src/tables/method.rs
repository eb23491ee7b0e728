//! What is asked of a room with tables.

use floe_proto::Code;
use floe_proto::table::{Call, Params, TableError, check_name};

use super::catalog::{MethodInfo, Shape};
use super::fields::{Fields, invalid, need};
use super::{
    BUFFERED_BYTES_MAX, ENTRIES_MAX, ID_BYTES_MAX, INCARNATION_BYTES_MAX, INTERVAL_MS,
    INTERVAL_MS_DEFAULT, KEY_BYTES_MAX, SQL_CHARS_MAX, SQL_PARAMS_MAX, TABLES_MAX, USER_BYTES_MAX,
    mutation,
};

/// One method with its payload.
#[derive(Debug, Clone, PartialEq)]
pub enum Method {
    /// Change tables. Whose call it is, and what the client calls it, is for the host to add.
    Mutate(Call),
    /// Run one statement that only reads.
    ExecuteSql(Query),
    /// All tasks; none where there is no such table yet.
    ListTasks,
    /// The tables and their columns.
    GetSchema,
    /// Reads and writes of the last 30 days, and what the room holds.
    GetUsage,
    /// The last 50 mutations.
    GetAuditLog,
    /// How far the replica is.
    GetSyncStatus,
    /// Copy everything to the replica anew.
    ForceSyncAll,
    /// Tell of something from now on.
    Subscribe(Watch),
    /// Tell of it no longer.
    Unsubscribe(Unwatch),
    /// The cursors of all users.
    GetCursors,
    /// The presence of all users.
    GetPresence,
    /// Values of the memory.
    GetMemory(MemoryPlace),
    /// Show where this user is.
    SetCursor {
        /// Who the client says it is; refused where it is somebody else.
        user_id: Option<Box<str>>,
        /// JSON.
        position: Box<str>,
    },
    /// Show how this user is.
    SetPresence {
        /// Who the client says it is; refused where it is somebody else.
        user_id: Option<Box<str>>,
        /// JSON.
        status: Box<str>,
    },
    /// Set a value of the memory.
    SetMemory {
        /// Its key.
        key: Box<str>,
        /// JSON.
        value: Box<str>,
        /// Milliseconds until it goes by itself.
        ttl_ms: Option<u64>,
        /// The version that must be there; 0 for none.
        if_version: Option<u64>,
    },
    /// Remove a value of the memory.
    DeleteMemory {
        /// Its key.
        key: Box<str>,
        /// The version that must be there.
        if_version: Option<u64>,
    },
    /// Buffer a value.
    UpdateDebounced {
        /// Its key.
        key: Box<str>,
        /// JSON.
        value: Box<str>,
        /// Milliseconds until it is written.
        interval_ms: u64,
    },
    /// Add to a buffered number.
    IncrementDebounced {
        /// Its key.
        key: Box<str>,
        /// How much.
        by: i64,
        /// Milliseconds until it is written.
        interval_ms: u64,
    },
    /// The newest value of a key, written or not.
    GetDebounced {
        /// Its key.
        key: Box<str>,
    },
    /// Write what is buffered.
    FlushDebounced {
        /// Only this key's.
        key: Option<Box<str>>,
    },
}

/// A question in SQL.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// One statement.
    pub sql: Box<str>,
    /// Its values.
    pub params: Params,
    /// Where it is asked.
    pub source: Source,
    /// What the rows must show at least.
    pub min_seq: Option<u64>,
}

/// Where a question is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Source {
    /// In the room, which shows all that was acknowledged before.
    #[default]
    Room,
    /// In the replica, which shows what it has so far; in the room where the replica cannot be asked, or
    /// does not have what must be shown.
    Replica,
}

impl Source {
    /// Returns its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Room => "room",
            Self::Replica => "replica",
        }
    }
}

/// What a connection wants to be told of.
#[derive(Debug, Clone, PartialEq)]
pub enum Watch {
    /// Row changes of tables.
    Tables {
        /// Their names.
        tables: Vec<Box<str>>,
        /// What the client has seen of them, if it says so.
        resume: Option<Resume>,
    },
    /// The rows of a query.
    Query {
        /// What the client calls it; JSON, as it was written.
        id: Box<str>,
        /// What is asked, in the room.
        query: Query,
    },
    /// The memory under a prefix.
    Memory {
        /// Empty for all of it.
        prefix: Box<str>,
    },
}

/// What a client has seen of a room before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// Place of the last message; what comes after it is wanted.
    pub after: u64,
    /// Which room of that name it was, as far as the client knows.
    pub incarnation: Option<Box<str>>,
}

/// What a connection does not want to be told of any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unwatch {
    /// Row changes of tables.
    Tables(Vec<Box<str>>),
    /// The rows of a query, by what the client calls it.
    Query(Box<str>),
    /// The memory under a prefix.
    Memory(Box<str>),
}

/// Which values of the memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemoryPlace {
    /// The one of a key.
    Key(Box<str>),
    /// Those under a prefix.
    Prefix {
        /// Empty for all.
        prefix: Box<str>,
        /// Only of keys that sort after this one.
        after: Option<Box<str>>,
        /// How many.
        limit: usize,
    },
}

impl Method {
    /// Reads the payload of a method.
    ///
    /// # Errors
    /// Names the field and what is wrong with it.
    pub(super) fn read(info: &MethodInfo, payload: Option<&str>) -> Result<Self, TableError> {
        let fields = Fields::read(payload.unwrap_or("{}"), "`payload`")?;
        Self::of_members(info, &fields, |_| false)
    }

    /// Reads a method whose payload is the members of an object, among which others may stand.
    pub(super) fn of_members(
        info: &MethodInfo,
        fields: &Fields<'_>,
        others: impl Fn(&str) -> bool,
    ) -> Result<Self, TableError> {
        let known = |name: &str| info.params.iter().any(|param| param.name == name);
        fields.only(info.name, |name| known(name) || others(name))?;
        for param in info.params {
            // Any JSON can be null.
            let there = if param.shape == Shape::Json {
                fields.raw(param.name)
            } else {
                fields.json(param.name)
            };
            if param.required && there.is_none() {
                return need(None, param.name);
            }
        }
        Self::of(info, fields)
    }

    fn of(info: &MethodInfo, fields: &Fields<'_>) -> Result<Self, TableError> {
        if info.answer.is_mutation() {
            return mutation::call(info, fields).map(Self::Mutate);
        }
        Ok(match info.name {
            "executeSQL" => Self::ExecuteSql(Query::read(fields)?),
            "listTasks" => Self::ListTasks,
            "getSchema" => Self::GetSchema,
            "getUsage" => Self::GetUsage,
            "getAuditLog" => Self::GetAuditLog,
            "getSyncStatus" => Self::GetSyncStatus,
            "forceSyncAll" => Self::ForceSyncAll,
            "subscribe" => Self::Subscribe(Watch::Tables {
                tables: tables(fields)?,
                resume: resume(fields)?,
            }),
            "unsubscribe" => Self::Unsubscribe(Unwatch::Tables(tables(fields)?)),
            "subscribeQuery" => Self::Subscribe(Watch::Query {
                id: id(fields, "queryId")?,
                query: Query::read(fields)?,
            }),
            "unsubscribeQuery" => Self::Unsubscribe(Unwatch::Query(id(fields, "queryId")?)),
            "subscribeMemory" => Self::Subscribe(Watch::Memory {
                prefix: prefix(fields)?,
            }),
            "unsubscribeMemory" => Self::Unsubscribe(Unwatch::Memory(prefix(fields)?)),
            "getCursors" => Self::GetCursors,
            "getPresence" => Self::GetPresence,
            "getMemory" => Self::GetMemory(MemoryPlace::read(fields)?),
            "setCursor" => Self::SetCursor {
                user_id: user(fields)?,
                position: json(fields, "position")?,
            },
            "setPresence" => Self::SetPresence {
                user_id: user(fields)?,
                status: json(fields, "status")?,
            },
            "setMemory" => Self::SetMemory {
                key: key(fields)?,
                value: json(fields, "value")?,
                ttl_ms: match fields.whole("ttl")? {
                    Some(0) => return Err(invalid("`ttl` is not 1 or more milliseconds")),
                    ttl_ms => ttl_ms,
                },
                if_version: fields.whole("ifVersion")?,
            },
            "deleteMemory" => Self::DeleteMemory {
                key: key(fields)?,
                if_version: fields.whole("ifVersion")?,
            },
            "updateDebounced" => Self::UpdateDebounced {
                key: key(fields)?,
                value: buffered(fields)?,
                interval_ms: interval(fields)?,
            },
            "incrementDebounced" => Self::IncrementDebounced {
                key: key(fields)?,
                by: fields.integer("by")?.unwrap_or(1),
                interval_ms: interval(fields)?,
            },
            "getDebounced" => Self::GetDebounced { key: key(fields)? },
            "flushDebounced" => Self::FlushDebounced {
                key: match fields.json("key") {
                    Some(_) => Some(key(fields)?),
                    None => None,
                },
            },
            name => {
                let message = format!("`{name}` is no method");
                return Err(TableError::new(Code::UnknownAction, message));
            }
        })
    }
}

impl Query {
    fn read(fields: &Fields<'_>) -> Result<Self, TableError> {
        if fields.boolean("readonly")? == Some(false) {
            return Err(invalid("`readonly` is not true, and SQL here only reads"));
        }
        let source = match fields.text("source", ID_BYTES_MAX)?.as_deref() {
            None | Some("room") => Source::Room,
            Some("replica") => Source::Replica,
            Some(_) => return Err(invalid("`source` is neither room nor replica")),
        };
        Ok(Self {
            sql: sql(fields)?,
            params: params(fields)?,
            source,
            min_seq: fields.whole("minSeq")?,
        })
    }
}

impl MemoryPlace {
    fn read(fields: &Fields<'_>) -> Result<Self, TableError> {
        match (fields.json("key"), fields.json("prefix")) {
            (Some(_), None) => {
                for page in ["after", "limit"] {
                    if fields.json(page).is_some() {
                        return Err(invalid(format!("`{page}` goes with `prefix`")));
                    }
                }
                key(fields).map(Self::Key)
            }
            (None, Some(_)) => Ok(Self::Prefix {
                prefix: prefix(fields)?,
                after: fields.text("after", KEY_BYTES_MAX)?.map(Into::into),
                limit: limit(fields)?,
            }),
            (None, None) | (Some(_), Some(_)) => {
                Err(invalid("exactly one of `key` and `prefix` must be there"))
            }
        }
    }
}

/// Reads the SQL text of a question.
pub(super) fn sql(fields: &Fields<'_>) -> Result<Box<str>, TableError> {
    let sql = need(fields.text("sql", usize::MAX)?, "sql")?;
    if sql.chars().nth(SQL_CHARS_MAX).is_some() {
        return Err(invalid(format!(
            "`sql` is longer than {SQL_CHARS_MAX} characters"
        )));
    }
    if sql.trim().is_empty() {
        return Err(invalid("`sql` is empty"));
    }
    Ok(sql.into())
}

/// Reads the values of a question.
pub(super) fn params(fields: &Fields<'_>) -> Result<Params, TableError> {
    if fields.json("params").is_none() {
        return Ok(Params::default());
    }
    let params: Params = fields.read_as("params")?;
    if params.len() > SQL_PARAMS_MAX {
        return Err(invalid(format!(
            "`params` has more than {SQL_PARAMS_MAX} values"
        )));
    }
    Ok(params)
}

/// Reads the name of a table.
pub(super) fn table(fields: &Fields<'_>, name: &str) -> Result<Box<str>, TableError> {
    let table = need(fields.text(name, usize::MAX)?, name)?;
    checked_table(&table, name)
}

/// Reads the names of the tables that a subscription is about, or the one name.
fn tables(fields: &Fields<'_>) -> Result<Vec<Box<str>>, TableError> {
    match (fields.json("table"), fields.json("tables")) {
        (Some(_), None) => Ok(vec![table(fields, "table")?]),
        (None, Some(_)) => {
            let listed = fields.list("tables", TABLES_MAX)?;
            if listed.is_empty() {
                return Err(invalid("`tables` is empty"));
            }
            let names = listed.iter().map(|json| {
                let name: Option<String> = serde_json::from_str(json).ok();
                let name = name.ok_or_else(|| invalid("`tables` has an element that is no string"));
                name.and_then(|name| checked_table(&name, "tables"))
            });
            names.collect()
        }
        (None, None) | (Some(_), Some(_)) => {
            Err(invalid("exactly one of `table` and `tables` must be there"))
        }
    }
}

/// Checks the name of a table that the member `field` holds.
pub(super) fn checked_table(table: &str, field: &str) -> Result<Box<str>, TableError> {
    check_name(table).map_err(|error| invalid(format!("`{field}`: {error}")))?;
    Ok(table.into())
}

fn resume(fields: &Fields<'_>) -> Result<Option<Resume>, TableError> {
    let incarnation = fields.text("incarnation", INCARNATION_BYTES_MAX)?;
    let incarnation = incarnation.map(|text| text.into_owned().into_boxed_str());
    Resume::of(fields.whole("after")?, incarnation)
}

impl Resume {
    /// Puts together what a client has said.
    pub(super) fn of(
        after: Option<u64>,
        incarnation: Option<Box<str>>,
    ) -> Result<Option<Self>, TableError> {
        match (after, incarnation) {
            (Some(after), incarnation) => Ok(Some(Self { after, incarnation })),
            (None, Some(_)) => Err(invalid("`incarnation` goes with `after`")),
            (None, None) => Ok(None),
        }
    }
}

/// Reads what a client calls something: a text or a number, which is given back as it was written.
pub(super) fn id(fields: &Fields<'_>, name: &str) -> Result<Box<str>, TableError> {
    check_id(need(fields.json(name), name)?, name)
}

/// Checks that some JSON can be what a client calls something.
pub(super) fn check_id(json: &str, name: &str) -> Result<Box<str>, TableError> {
    let first = json.as_bytes().first().copied().unwrap_or_default();
    if !matches!(first, b'"' | b'-' | b'0'..=b'9') {
        return Err(invalid(format!(
            "`{name}` is neither a string nor a number"
        )));
    }
    if json.len() > ID_BYTES_MAX {
        return Err(invalid(format!(
            "`{name}` is longer than {ID_BYTES_MAX} bytes"
        )));
    }
    Ok(json.into())
}

fn key(fields: &Fields<'_>) -> Result<Box<str>, TableError> {
    fields.word("key", KEY_BYTES_MAX)
}

fn prefix(fields: &Fields<'_>) -> Result<Box<str>, TableError> {
    need(fields.text("prefix", KEY_BYTES_MAX)?, "prefix").map(Into::into)
}

fn user(fields: &Fields<'_>) -> Result<Option<Box<str>>, TableError> {
    if fields.json("userId").is_none() {
        return Ok(None);
    }
    fields.word("userId", USER_BYTES_MAX).map(Some)
}

fn json(fields: &Fields<'_>, name: &str) -> Result<Box<str>, TableError> {
    need(fields.raw(name), name).map(Into::into)
}

fn buffered(fields: &Fields<'_>) -> Result<Box<str>, TableError> {
    let value = json(fields, "value")?;
    if value.len() > BUFFERED_BYTES_MAX {
        return Err(invalid(format!(
            "`value` is longer than {BUFFERED_BYTES_MAX} bytes of JSON"
        )));
    }
    Ok(value)
}

fn interval(fields: &Fields<'_>) -> Result<u64, TableError> {
    let interval_ms = fields.whole("interval")?.unwrap_or(INTERVAL_MS_DEFAULT);
    if INTERVAL_MS.contains(&interval_ms) {
        return Ok(interval_ms);
    }
    Err(invalid(format!(
        "`interval` is not {} to {} milliseconds",
        INTERVAL_MS.start(),
        INTERVAL_MS.end()
    )))
}

fn limit(fields: &Fields<'_>) -> Result<usize, TableError> {
    let limit = fields.whole("limit")?.unwrap_or(ENTRIES_MAX);
    match usize::try_from(limit) {
        Ok(limit) if (1..=ENTRIES_MAX as usize).contains(&limit) => Ok(limit),
        Ok(_) | Err(_) => Err(invalid(format!("`limit` is not 1 to {ENTRIES_MAX}"))),
    }
}
