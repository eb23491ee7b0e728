//! What must hold for a row beside its place in an index.

use floe_proto::{EventQuery, Millis};

/// The filters of a question, and nothing else of it.
#[derive(Debug, Clone, Copy)]
pub struct Filter<'q> {
    /// Only events after this one.
    pub after_seq: u64,
    /// Only events before this one.
    pub before_seq: u64,
    /// Only events of this author.
    pub author: Option<i64>,
    /// Only events after this moment.
    pub after_date: Option<Millis>,
    /// Only events before this moment.
    pub before_date: Option<Millis>,
    /// Only events with this in their content.
    pub contains: Option<&'q str>,
    /// Whether deleted events are shown.
    pub with_deleted: bool,
}

/// What a filter looks at in a row.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'r> {
    /// Who it is from.
    pub author: i64,
    /// When it was created.
    pub created_at: Millis,
    /// Whether it was deleted since.
    pub deleted: bool,
    /// Its newest content.
    pub content: &'r str,
}

impl<'q> Filter<'q> {
    /// Takes the filters of a question; the author's number is still to be found.
    pub fn of(query: &'q EventQuery) -> Self {
        Self {
            after_seq: query.after_seq.unwrap_or(0),
            before_seq: query.before_seq.unwrap_or(u64::MAX),
            author: None,
            after_date: query.after_date,
            before_date: query.before_date,
            contains: query.content_contains.as_deref(),
            with_deleted: query.with_deleted,
        }
    }

    /// Whether the filters leave anything at all.
    pub fn may_hold(&self) -> bool {
        let after = self.after_date.map_or(0, |date| date.0);
        let before = self.before_date.map_or(u64::MAX, |date| date.0);
        self.after_seq < self.before_seq && after < before
    }

    /// Whether any number is left out for its own sake.
    pub const fn bounds_seqs(&self) -> bool {
        self.after_seq > 0 || self.before_seq < u64::MAX
    }

    /// Whether a number may be in the answer.
    pub const fn holds_for_seq(&self, seq: u64) -> bool {
        seq > self.after_seq && seq < self.before_seq
    }

    /// Whether the rest of the filters hold.
    pub fn holds(&self, row: Candidate<'_>) -> bool {
        (self.with_deleted || !row.deleted)
            && self.author.is_none_or(|author| row.author == author)
            && self.after_date.is_none_or(|date| row.created_at > date)
            && self.before_date.is_none_or(|date| row.created_at < date)
            && self.contains.is_none_or(|part| row.content.contains(part))
    }
}
