//! The messages that a batch of calls leaves in the log.

use serde::{Deserialize, Serialize};

use floe_proto::table::{Alteration, Change, Column, Table};

/// Messages as they lie in the log: the JSON of each, and a comma after it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Messages {
    /// The messages.
    pub bytes: Vec<u8>,
    /// The length of each, its comma included.
    pub lens: Vec<u32>,
}

impl Messages {
    /// Returns how many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.lens.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.lens.is_empty()
    }

    /// Removes all.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.lens.clear();
    }

    pub(super) fn push(&mut self, change: &Change<'_>) {
        let start = self.bytes.len();
        // A vector takes all, and a change has nothing that JSON has not.
        let _ = serde_json::to_writer(&mut self.bytes, change);
        self.bytes.push(b',');
        let len = self.bytes.len() - start;
        self.lens.push(u32::try_from(len).unwrap_or(u32::MAX));
    }

    pub(super) fn truncate(&mut self, bytes: usize, len: usize) {
        self.bytes.truncate(bytes);
        self.lens.truncate(len);
    }
}

/// The value of a message about a table itself: the table, and how it came to be so.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Definition {
    /// Its name.
    pub name: Box<str>,
    /// Its columns.
    pub columns: Vec<Column>,
    /// What was done to it, where it was there before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Alteration>,
    /// The name that it had, where it was named anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<Box<str>>,
    /// The name that it has from now on: the message says that nothing is left under the old one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed_to: Option<Box<str>>,
}

impl Definition {
    /// Says what a table is.
    pub fn of(table: &Table) -> Self {
        Self {
            name: table.name.clone(),
            columns: table.columns.clone(),
            steps: Vec::new(),
            renamed_from: None,
            renamed_to: None,
        }
    }

    /// Returns the table.
    pub fn table(&self) -> Table {
        Table {
            name: self.name.clone(),
            columns: self.columns.clone(),
        }
    }
}
