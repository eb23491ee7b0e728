//! What must hold for a row beside its place in an index.

use floe_proto::{EventQuery, Millis};

/// The filters of a question that are checked row by row.
#[derive(Debug, Clone)]
pub struct Filter<'q> {
    after_seq: u64,
    before_seq: u64,
    after_date: Option<Millis>,
    before_date: Option<Millis>,
    contains: Option<&'q str>,
    with_deleted: bool,
}

/// What a filter looks at.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'r> {
    /// Its place in its channel.
    pub seq: u64,
    /// When it was created.
    pub created_at: Millis,
    /// Whether it was deleted since.
    pub deleted: bool,
    /// Its newest content.
    pub content: &'r str,
}

impl<'q> Filter<'q> {
    /// Takes from a question what is checked row by row.
    pub fn of(query: &'q EventQuery) -> Self {
        Self {
            after_seq: query.after_seq.unwrap_or(0),
            before_seq: query.before_seq.unwrap_or(u64::MAX),
            after_date: query.after_date,
            before_date: query.before_date,
            contains: query.content_contains.as_deref(),
            with_deleted: query.with_deleted,
        }
    }

    /// Whether all filters hold.
    pub fn holds(&self, row: Candidate<'_>) -> bool {
        (self.with_deleted || !row.deleted)
            && row.seq > self.after_seq
            && row.seq < self.before_seq
            && self.after_date.is_none_or(|date| row.created_at > date)
            && self.before_date.is_none_or(|date| row.created_at < date)
            && self.contains.is_none_or(|part| row.content.contains(part))
    }
}
