//! What can be asked of a room with tables, in one table.

use crate::access::Deed;

/// One method.
#[derive(Debug, Clone, Copy)]
pub struct MethodInfo {
    /// Its name.
    pub name: &'static str,
    /// The action of a frame that asks for it without `rpc`, if there is one.
    pub action: Option<&'static str>,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// What the caller must be allowed.
    pub needs: Deed,
    /// Where.
    pub scope: Scope,
    /// What its payload has; anything else is refused.
    pub params: &'static [Param],
    /// How it is answered.
    pub answer: Answer,
    /// A payload of it, as JSON.
    pub example: &'static str,
}

/// What a right must be held in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The room.
    Room,
    /// The namespace of the room.
    Namespace,
}

/// A member of a payload.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub shape: Shape,
    /// Whether it must be there.
    pub required: bool,
    /// What it means and how large it may be.
    pub about: &'static str,
}

/// What a member of a payload holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Text.
    Text,
    /// The name of a table.
    Table,
    /// Names of tables.
    Tables,
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
    /// Any JSON.
    Json,
    /// Values by column.
    Row,
    /// An array of rows.
    Rows,
    /// The key of a row: a value, an array of them, or values by column.
    Key,
    /// The columns of a new table.
    Columns,
    /// The steps of a change of a table.
    Steps,
    /// Values of an SQL text: an array, or an object by name.
    SqlParams,
    /// Mutations of a transaction.
    Mutations,
    /// What must hold before a transaction.
    Preconditions,
    /// One of some words.
    OneOf(&'static [&'static str]),
}

/// How a method is answered. A failure of a mutation is a `mutation_error`, of a query a `query_error`,
/// of anything else an `error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// `mutation_success`, with the row as `data`.
    Task,
    /// `mutation_success`, with what became of the one row as `data`.
    Row,
    /// `mutation_success`, with what became of many rows as `data`.
    Rows,
    /// `mutation_success`, with what each mutation did as `data.results`.
    Transaction,
    /// `mutation_success`; then `schema_update` to all.
    Schema,
    /// `query_result`.
    Query,
    /// `query_subscribed`, then `query_update` whenever the rows change.
    LiveQuery,
    /// `success`.
    Success,
}

impl Answer {
    /// Returns whether the method is a mutation of tables.
    #[must_use]
    pub const fn is_mutation(self) -> bool {
        matches!(
            self,
            Self::Task | Self::Row | Self::Rows | Self::Transaction | Self::Schema
        )
    }
}

impl MethodInfo {
    /// Returns the method of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        METHODS.iter().find(|info| info.name == name)
    }

    /// Returns the method of an action other than `rpc`.
    #[must_use]
    pub fn of_action(action: &str) -> Option<&'static Self> {
        METHODS.iter().find(|info| info.action == Some(action))
    }
}

/// Every method.
pub const METHODS: &[MethodInfo] = &[
    task(
        "createTask",
        "Adds a task; the table comes with the first one.",
        &[TITLE],
        r#"{"title":"buy milk"}"#,
    ),
    task(
        "completeTask",
        "Sets the status of a task to `completed`.",
        &[TASK],
        r#"{"id":1}"#,
    ),
    task("deleteTask", "Deletes a task.", &[TASK], r#"{"id":1}"#),
    MethodInfo {
        action: Some("listTasks"),
        ..method(
            "listTasks",
            "Returns all tasks by id.",
            Deed::Read,
            Answer::Query,
            &[],
            "{}",
        )
    },
    method(
        "createTable",
        "Makes a table.",
        Deed::Manage,
        Answer::Schema,
        &[
            need(
                "name",
                Shape::Table,
                "1 to 64 letters, digits and `_`, first a letter",
            ),
            need(
                "columns",
                Shape::Columns,
                "one or more of `{name,type,primaryKey,notNull,unique,default}`",
            ),
        ],
        r#"{"name":"notes","columns":[{"name":"id","type":"INTEGER","primaryKey":true},{"name":"text","type":"TEXT","notNull":true}]}"#,
    ),
    method(
        "alterTable",
        "Changes a table, step by step, all or nothing.",
        Deed::Manage,
        Answer::Schema,
        &[
            need("name", Shape::Table, "the table"),
            need(
                "steps",
                Shape::Steps,
                "1 to 100 of `{addColumn}`, `{dropColumn}`, `{renameColumn:{from,to}}`, `{renameTable}`",
            ),
        ],
        r#"{"name":"notes","steps":[{"addColumn":{"name":"color","type":"TEXT"}}]}"#,
    ),
    method(
        "deleteTable",
        "Drops a table with all its rows.",
        Deed::Manage,
        Answer::Schema,
        &[need("name", Shape::Table, "the table")],
        r#"{"name":"notes"}"#,
    ),
    method(
        "getSchema",
        "Returns the tables and their columns.",
        Deed::Read,
        Answer::Query,
        &[],
        "{}",
    ),
    method(
        "insertRow",
        "Inserts a row.",
        Deed::Append,
        Answer::Row,
        &[
            TABLE,
            need(
                "values",
                Shape::Row,
                "values by column; the others get their default",
            ),
            may(
                "onConflict",
                Shape::OneOf(&["fail", "update"]),
                "what happens where the key is taken; `fail` by default",
            ),
        ],
        r#"{"table":"notes","values":{"text":"hello"},"onConflict":"update"}"#,
    ),
    method(
        "updateRow",
        "Changes values of the row with a key, or of all rows with certain values.",
        Deed::Append,
        Answer::Row,
        &[
            TABLE,
            need("values", Shape::Row, "the new values by column"),
            KEY,
            WHERE,
        ],
        r#"{"table":"notes","key":1,"values":{"text":"hello!"}}"#,
    ),
    method(
        "deleteRow",
        "Deletes the row with a key, or all rows with certain values.",
        Deed::Append,
        Answer::Row,
        &[TABLE, KEY, WHERE],
        r#"{"table":"notes","where":{"text":"hello!"}}"#,
    ),
    method(
        "batchInsert",
        "Inserts rows: all or none, or with `partial` those that can be.",
        Deed::Append,
        Answer::Rows,
        &[
            TABLE,
            need("rows", Shape::Rows, "1 to 10000 rows"),
            may(
                "partial",
                Shape::Boolean,
                "insert what can be; `data.failed` says what could not",
            ),
            may(
                "onConflict",
                Shape::OneOf(&["fail", "update"]),
                "as of `insertRow`",
            ),
        ],
        r#"{"table":"notes","rows":[{"text":"a"},{"text":"b"}],"partial":true}"#,
    ),
    method(
        "transaction",
        "Does several mutations of rows, all or nothing, if the preconditions hold.",
        Deed::Append,
        Answer::Transaction,
        &[
            need(
                "mutations",
                Shape::Mutations,
                "1 to 1000 of `{method,payload}`; methods that change rows or tasks",
            ),
            may(
                "preconditions",
                Shape::Preconditions,
                "up to 1000 of `{table,key,version}`: the seq that made the row what it is, 0 where it must not be there",
            ),
        ],
        r#"{"mutations":[{"method":"updateRow","payload":{"table":"notes","key":1,"values":{"text":"b"}}},{"method":"createTask","payload":{"title":"x"}}],"preconditions":[{"table":"notes","key":1,"version":3}]}"#,
    ),
    method(
        "executeSQL",
        "Runs one statement that only reads.",
        Deed::Read,
        Answer::Query,
        &[
            SQL,
            SQL_PARAMS,
            may("readonly", Shape::Boolean, "true; nothing else is possible"),
            may(
                "source",
                Shape::OneOf(&["room", "replica"]),
                "`room` by default: all that was acknowledged before; `replica`: what is there so far, from the room where the replica cannot say; `source` of the answer tells",
            ),
            may(
                "minSeq",
                Shape::Integer,
                "what the rows must show at least, wherever they come from",
            ),
        ],
        r#"{"sql":"SELECT * FROM notes WHERE id > ?","params":[0],"readonly":true}"#,
    ),
    MethodInfo {
        action: Some("subscribe"),
        ..method(
            "subscribe",
            "Tells of row changes of tables: from now on, or of all after a message.",
            Deed::Read,
            Answer::Success,
            &[TABLE_OF, TABLES_OF, AFTER, INCARNATION],
            r#"{"table":"notes","after":41}"#,
        )
    },
    MethodInfo {
        action: Some("unsubscribe"),
        ..method(
            "unsubscribe",
            "Tells of row changes of tables no longer.",
            Deed::Read,
            Answer::Success,
            &[TABLE_OF, TABLES_OF],
            r#"{"table":"notes"}"#,
        )
    },
    MethodInfo {
        action: Some("subscribe_query"),
        ..method(
            "subscribeQuery",
            "Returns the rows of a query, then its new rows whenever they change.",
            Deed::Read,
            Answer::LiveQuery,
            &[QUERY_ID, SQL, SQL_PARAMS],
            r#"{"queryId":"q1","sql":"SELECT count(*) AS n FROM notes"}"#,
        )
    },
    MethodInfo {
        action: Some("unsubscribe_query"),
        ..method(
            "unsubscribeQuery",
            "Ends what `subscribeQuery` began.",
            Deed::Read,
            Answer::Success,
            &[QUERY_ID],
            r#"{"queryId":"q1"}"#,
        )
    },
    MethodInfo {
        action: Some("subscribe_memory"),
        ..method(
            "subscribeMemory",
            "Tells of the memory under a prefix: what is there, then what changes.",
            Deed::Read,
            Answer::Success,
            &[PREFIX],
            r#"{"prefix":"color/"}"#,
        )
    },
    MethodInfo {
        action: Some("unsubscribe_memory"),
        ..method(
            "unsubscribeMemory",
            "Ends what `subscribeMemory` began.",
            Deed::Read,
            Answer::Success,
            &[PREFIX],
            r#"{"prefix":"color/"}"#,
        )
    },
    method(
        "setCursor",
        "Shows others where this user is, for 30 seconds.",
        Deed::Append,
        Answer::Success,
        &[USER, need("position", Shape::Json, "any JSON")],
        r#"{"position":{"x":3,"y":4}}"#,
    ),
    method(
        "getCursors",
        "Returns the cursors of all users.",
        Deed::Read,
        Answer::Query,
        &[],
        "{}",
    ),
    method(
        "setPresence",
        "Shows others how this user is, for 60 seconds.",
        Deed::Attend,
        Answer::Success,
        &[USER, need("status", Shape::Json, "any JSON")],
        r#"{"status":"away"}"#,
    ),
    method(
        "getPresence",
        "Returns the presence of all users.",
        Deed::Read,
        Answer::Query,
        &[],
        "{}",
    ),
    method(
        "setMemory",
        "Sets a value that need not last.",
        Deed::Append,
        Answer::Success,
        &[
            MEMORY_KEY,
            need("value", Shape::Json, "any JSON"),
            may(
                "ttl",
                Shape::Integer,
                "milliseconds until it goes by itself, from 1 on",
            ),
            IF_VERSION,
        ],
        r#"{"key":"color/ann","value":"teal","ttl":60000,"ifVersion":0}"#,
    ),
    method(
        "getMemory",
        "Returns the value of a key, or a page of those under a prefix.",
        Deed::Read,
        Answer::Query,
        &[
            may("key", Shape::Text, "1 to 256 bytes"),
            may("prefix", Shape::Text, "up to 256 bytes; empty for all"),
            may(
                "after",
                Shape::Text,
                "with `prefix`: only keys that sort after this one",
            ),
            may(
                "limit",
                Shape::Integer,
                "with `prefix`: 1 to 1000 entries, 1000 by default",
            ),
        ],
        r#"{"prefix":"color/","after":"color/ann","limit":10}"#,
    ),
    method(
        "deleteMemory",
        "Removes a value.",
        Deed::Append,
        Answer::Success,
        &[MEMORY_KEY, IF_VERSION],
        r#"{"key":"color/ann"}"#,
    ),
    method(
        "updateDebounced",
        "Buffers a value; the newest one is written at most one interval after the first that was not.",
        Deed::Append,
        Answer::Success,
        &[
            MEMORY_KEY,
            need("value", Shape::Json, "any JSON of at most 100000 bytes"),
            INTERVAL,
        ],
        r#"{"key":"slider","value":{"at":0.5},"interval":1000}"#,
    ),
    method(
        "incrementDebounced",
        "Adds to a buffered number; no increment is lost.",
        Deed::Append,
        Answer::Success,
        &[
            MEMORY_KEY,
            may(
                "by",
                Shape::Integer,
                "how much, 1 by default; may be negative",
            ),
            INTERVAL,
        ],
        r#"{"key":"likes","by":2}"#,
    ),
    method(
        "getDebounced",
        "Returns the newest value of a key, written or not.",
        Deed::Read,
        Answer::Query,
        &[MEMORY_KEY],
        r#"{"key":"slider"}"#,
    ),
    method(
        "flushDebounced",
        "Writes the buffered value of a key, or all; answered once they are durable.",
        Deed::Append,
        Answer::Success,
        &[may("key", Shape::Text, "1 to 256 bytes; all without it")],
        r#"{"key":"slider"}"#,
    ),
    method(
        "getUsage",
        "Returns reads and writes of the last 30 days, and what the room holds.",
        Deed::Read,
        Answer::Query,
        &[],
        "{}",
    ),
    method(
        "getAuditLog",
        "Returns the last 50 mutations: who did what, and when.",
        Deed::Manage,
        Answer::Query,
        &[],
        "{}",
    ),
    MethodInfo {
        scope: Scope::Namespace,
        ..method(
            "getSyncStatus",
            "Returns how far the replica is, and how it fares.",
            Deed::Survey,
            Answer::Query,
            &[],
            "{}",
        )
    },
    MethodInfo {
        scope: Scope::Namespace,
        ..method(
            "forceSyncAll",
            "Copies all rooms to the replica anew, telling of its progress.",
            Deed::Administer,
            Answer::Success,
            &[],
            "{}",
        )
    },
];

const TITLE: Param = need(
    "title",
    Shape::Text,
    "1 to 500 characters; white space around it is dropped",
);
const TASK: Param = need("id", Shape::Integer, "the task, from 1 on");
const TABLE: Param = need("table", Shape::Table, "the table");
const TABLE_OF: Param = may("table", Shape::Table, "the table");
const TABLES_OF: Param = may(
    "tables",
    Shape::Tables,
    "instead of `table`: 1 to 1000 tables",
);
const AFTER: Param = may(
    "after",
    Shape::Integer,
    "the `seq` of the last message that was seen",
);
const INCARNATION: Param = may(
    "incarnation",
    Shape::Text,
    "the room's own when `after` was seen: another room of the name is a `reset`",
);
const KEY: Param = may(
    "key",
    Shape::Key,
    "the row: a value, an array of them or an object by column; it must be there",
);
const WHERE: Param = may(
    "where",
    Shape::Row,
    "instead of `key`: all rows whose columns have these values",
);
const SQL: Param = need("sql", Shape::Text, "up to 10000 characters");
const SQL_PARAMS: Param = may(
    "params",
    Shape::SqlParams,
    "an array for `?`, or an object for `:name`; up to 1000 values",
);
const QUERY_ID: Param = need("queryId", Shape::Text, "what the client calls the query");
const PREFIX: Param = need("prefix", Shape::Text, "up to 256 bytes; empty for all");
const MEMORY_KEY: Param = need("key", Shape::Text, "1 to 256 bytes");
const IF_VERSION: Param = may(
    "ifVersion",
    Shape::Integer,
    "only if the value there has this version; 0 for none",
);
const INTERVAL: Param = may(
    "interval",
    Shape::Integer,
    "milliseconds, 10 to 60000; 1000 by default",
);
const USER: Param = may(
    "userId",
    Shape::Text,
    "who this is, where no key or token says so; nobody else",
);

const fn need(name: &'static str, shape: Shape, about: &'static str) -> Param {
    Param {
        name,
        shape,
        required: true,
        about,
    }
}

const fn may(name: &'static str, shape: Shape, about: &'static str) -> Param {
    Param {
        required: false,
        ..need(name, shape, about)
    }
}

const fn method(
    name: &'static str,
    about: &'static str,
    needs: Deed,
    answer: Answer,
    params: &'static [Param],
    example: &'static str,
) -> MethodInfo {
    MethodInfo {
        name,
        action: None,
        about,
        needs,
        scope: Scope::Room,
        params,
        answer,
        example,
    }
}

const fn task(
    name: &'static str,
    about: &'static str,
    params: &'static [Param],
    example: &'static str,
) -> MethodInfo {
    MethodInfo {
        action: Some(name),
        ..method(name, about, Deed::Append, Answer::Task, params, example)
    }
}
