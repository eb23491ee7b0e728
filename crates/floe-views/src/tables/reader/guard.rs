//! What SQL of people may do: SQLite asks, for each thing that a statement wants.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use super::functions::is_allowed;

/// Says to SQLite what a statement may do, and notes what it reads.
#[derive(Debug)]
pub struct Guard(Arc<Mutex<Asked>>);

/// While it is there, statements are of people.
#[derive(Debug)]
pub struct Guarded(Arc<Mutex<Asked>>);

#[derive(Debug, Default)]
struct Asked {
    is_on: bool,
    /// Whether the tables are views, which read what nobody else may.
    are_views: bool,
    /// The room's tables, in small letters, and as they are called.
    known: Vec<(String, Box<str>)>,
    /// Those that were read, by their place in `known`.
    read: BTreeSet<usize>,
    /// What was refused first.
    refused: Option<String>,
}

/// Functions of SQLite that stand like tables, and read nothing but what they are given.
const TABLE_FUNCTIONS: [&str; 4] = [
    "json_each",
    "json_tree",
    "pragma_table_info",
    "pragma_table_xinfo",
];
/// What is no table of a room although it stands like one.
const MODULES: [&str; 11] = [
    "dbstat",
    "bytecode",
    "tables_used",
    "fts3tokenize",
    "fts3",
    "fts4",
    "fts4aux",
    "fts5",
    "fts5vocab",
    "rtree",
    "rtree_i32",
];

impl Guard {
    /// Watches all that a connection prepares from now on.
    pub fn watch(db: &mut Connection) -> rusqlite::Result<Self> {
        let asked = Arc::new(Mutex::new(Asked::default()));
        let asks = Arc::clone(&asked);
        db.authorizer(Some(move |context: AuthContext<'_>| {
            lock(&asks).decide(context)
        }))?;
        Ok(Self(asked))
    }

    /// Notes what tables there are, and forgets what was read.
    pub fn know(&self, names: Vec<Box<str>>) {
        let mut asked = lock(&self.0);
        asked.known = names
            .into_iter()
            .map(|name| (name.to_ascii_lowercase(), name))
            .collect();
        asked.are_views = false;
        asked.read.clear();
        asked.refused = None;
    }

    /// Notes which views there are, that alone may read what has a hidden name.
    ///
    /// A statement may call a part of itself like a view, and SQLite does not tell the two apart: that
    /// it names no hidden table itself must be known before.
    pub fn know_views(&self, names: Vec<Box<str>>) {
        self.know(names);
        lock(&self.0).are_views = true;
    }

    /// Begins a statement of people.
    pub fn on(&self) -> Guarded {
        lock(&self.0).is_on = true;
        Guarded(Arc::clone(&self.0))
    }

    /// Returns the tables that the statement reads.
    pub fn read(&self) -> Vec<Box<str>> {
        let asked = lock(&self.0);
        let read = asked.read.iter().filter_map(|at| asked.known.get(*at));
        read.map(|(_, name)| name.clone()).collect()
    }

    /// Returns what was refused first, if anything was.
    pub fn refusal(&self) -> Option<String> {
        lock(&self.0).refused.clone()
    }

    /// Says what was refused.
    pub fn why(&self) -> String {
        let refused = self.refusal();
        refused.unwrap_or_else(|| "the SQL may only read the room's tables".to_owned())
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        lock(&self.0).is_on = false;
    }
}

impl Asked {
    fn decide(&mut self, context: AuthContext<'_>) -> Authorization {
        if !self.is_on {
            return Authorization::Allow;
        }
        let action = context.action;
        if matches!(action, AuthAction::Select | AuthAction::Recursive) {
            return Authorization::Allow;
        }
        if let AuthAction::Read {
            table_name,
            column_name,
        } = action
        {
            // Of what no column is read, SQLite asks when it has forgotten that a view reads it.
            let is_views_own =
                self.is_of_view(context.accessor) || (self.are_views && column_name.is_empty());
            if table_name.starts_with('_') && is_views_own {
                return Authorization::Allow;
            }
            return self.decide_read(table_name, column_name);
        }
        if let AuthAction::Function { function_name } = action {
            let is_hidden = function_name.starts_with('_') && self.is_of_view(context.accessor);
            if is_hidden || is_allowed(function_name) {
                return Authorization::Allow;
            }
            // As if there were none: what SQLite has beside is no matter of people.
            return self.refuse(format!("no such function: {function_name}"));
        }
        if let AuthAction::Pragma {
            pragma_name,
            pragma_value,
        } = action
        {
            return self.decide_pragma(pragma_name, pragma_value);
        }
        self.refuse("the SQL may only read the room's tables".to_owned())
    }

    fn is_of_view(&self, accessor: Option<&str>) -> bool {
        let small = accessor.map(str::to_ascii_lowercase);
        let mut known = self.known.iter();
        self.are_views && small.is_some_and(|small| known.any(|(name, _)| *name == small))
    }

    fn decide_read(&mut self, table: &str, column: &str) -> Authorization {
        let small = table.to_ascii_lowercase();
        if let Some(at) = self.known.iter().position(|(known, _)| *known == small) {
            self.read.insert(at);
            return Authorization::Allow;
        }
        if TABLE_FUNCTIONS.contains(&&*small) {
            return Authorization::Allow;
        }
        // What no column is read of may also be a part of the statement itself, a `WITH`.
        let may_be_own = column.is_empty()
            && !small.starts_with('_')
            && !small.starts_with("sqlite_")
            && !small.starts_with("pragma_")
            && !MODULES.contains(&&*small);
        if may_be_own {
            return Authorization::Allow;
        }
        self.refuse(format!("no such table: {table}"))
    }

    fn decide_pragma(&mut self, name: &str, value: Option<&str>) -> Authorization {
        let is_known =
            name.eq_ignore_ascii_case("table_info") || name.eq_ignore_ascii_case("table_xinfo");
        if !is_known {
            return self.refuse(format!("the pragma `{name}` cannot be used here"));
        }
        let small = value.unwrap_or_default().to_ascii_lowercase();
        if self.known.iter().any(|(known, _)| *known == small) {
            return Authorization::Allow;
        }
        // As of a table that is not there: no rows.
        Authorization::Ignore
    }

    fn refuse(&mut self, why: String) -> Authorization {
        self.refused.get_or_insert(why);
        Authorization::Deny
    }
}

fn lock(asked: &Mutex<Asked>) -> MutexGuard<'_, Asked> {
    asked.lock().unwrap_or_else(PoisonError::into_inner)
}
