//! Why something could not be done to a table.

use crate::Code;

/// Why a call to a table was refused; nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableError {
    /// The stable code.
    pub code: Code,
    /// What is wrong, for people.
    pub message: String,
    /// The table it is about.
    pub table: Option<Box<str>>,
    /// The column it is about: of a constraint, or with a value that does not fit.
    pub column: Option<Box<str>>,
    /// The place of the row among those that were handed in, from 0.
    pub row: Option<usize>,
}

impl TableError {
    /// Makes an error that is about no table in particular.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            table: None,
            column: None,
            row: None,
        }
    }
}

impl std::fmt::Display for TableError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TableError {}
