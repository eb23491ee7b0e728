//! How large the parts of a request may be.

/// Bounds of requests about channels. They hold for every caller, whatever it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Characters of an event's content. Above: `EVENT_TOO_LARGE`.
    pub content_chars_max: usize,
    /// Bytes of the data of a message. Above: `EVENT_TOO_LARGE`.
    pub data_bytes_max: usize,
    /// Characters of a channel's name.
    pub name_chars_max: usize,
    /// Characters of a namespace.
    pub namespace_chars_max: usize,
    /// Characters of an author's id.
    pub author_chars_max: usize,
    /// Characters of a reaction.
    pub reaction_chars_max: usize,
    /// Events of one append.
    pub batch_events_max: usize,
    /// Bytes of an idempotency key.
    pub idempotency_key_bytes_max: usize,
    /// Events, channels or members of one page.
    pub limit_max: u32,
    /// Events of one page in the kept form.
    pub limit_max_kept: u32,
    /// Entries of one page when the request does not say.
    pub limit_default: u32,
    /// Bytes of the cursor of a page.
    pub page_bytes_max: usize,
    /// Characters of what is searched for.
    pub query_chars_max: usize,
    /// Seconds that a token may live.
    pub token_seconds_max: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            content_chars_max: 10_000,
            data_bytes_max: 4_096,
            name_chars_max: 100,
            namespace_chars_max: 100,
            author_chars_max: 128,
            reaction_chars_max: 64,
            batch_events_max: 1_000,
            idempotency_key_bytes_max: 128,
            limit_max: 1_000,
            limit_max_kept: 100,
            limit_default: 50,
            page_bytes_max: 512,
            query_chars_max: 256,
            token_seconds_max: 10 * 365 * 24 * 60 * 60,
        }
    }
}
