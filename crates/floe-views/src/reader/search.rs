//! Events by their words.

use floe_proto::{EventQuery, Page, Scope, Search, SearchMode, StoredEvent};

use crate::QueryError;

use super::Reader;

/// Answers.
pub fn search(reader: &Reader, search: &Search) -> Result<Page<StoredEvent>, QueryError> {
    match (&search.scope, search.mode) {
        (_, SearchMode::Words) => Err(QueryError::IndexOff { index: "words" }),
        (Scope::Namespace(_), SearchMode::Substring) => {
            Err(QueryError::IndexOff { index: "trigrams" })
        }
        (Scope::Channel(_), SearchMode::Substring) => super::events::events(
            reader,
            &EventQuery {
                scope: search.scope.clone(),
                after_seq: None,
                before_seq: None,
                author_id: None,
                content_contains: Some(search.text.clone()),
                after_date: None,
                before_date: None,
                newest_first: true,
                limit: search.limit,
                page: search.page.clone(),
                with_deleted: false,
            },
        ),
    }
}
