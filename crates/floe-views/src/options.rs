//! What a view keeps, and its bounds.

/// What a view keeps, and the bounds of its questions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Whether words can be searched for.
    pub words: bool,
    /// Whether parts of words can be searched for across channels; costs about seven times as much
    /// as words do.
    pub trigrams: bool,
    /// Memory for pages of the file that the projector keeps; each reader keeps a quarter of it.
    pub cache_bytes: u64,
    /// How long a question may take.
    pub query_timeout_ms: u64,
    /// Most items of a page, however many are asked for.
    pub page_items_max: u32,
    /// Bytes of content after which a page ends.
    pub page_bytes_max: usize,
    /// Places of an index that one page looks at; a row in passing counts as 2, one elsewhere as 8.
    /// Where they are not enough, the page is short and says where to go on.
    pub scan_max: u32,
    /// Newest matches of which the best are chosen at a time.
    pub candidates_max: u32,
    /// Longest text to look for, in bytes.
    pub text_bytes_max: usize,
    /// Rows that one batch removes for retention and purges, so that no batch takes long.
    pub trim_rows_max: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            words: true,
            trigrams: false,
            cache_bytes: 64 << 20,
            query_timeout_ms: 5_000,
            page_items_max: 1_000,
            page_bytes_max: 4 << 20,
            scan_max: 12_000,
            candidates_max: 300,
            text_bytes_max: 1_000,
            trim_rows_max: 5_000,
        }
    }
}
