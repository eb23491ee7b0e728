//! What subscriptions are bounded by.

/// Bounds of one namespace's subscriptions.
///
/// At each bound the request is refused with [`Refusal::LimitReached`](super::Refusal::LimitReached)
/// or [`Refusal::TooLong`](super::Refusal::TooLong), unless the field says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Subscriptions at once.
    pub subscriptions_max: usize,
    /// Streams linked to one subscription, named or matched.
    ///
    /// A matched stream beyond it is not linked; the subscription counts it as refused.
    pub links_max: usize,
    /// Matched streams that are kept linked while nothing in them is pending.
    ///
    /// Beyond it the least recently used are dropped from the list. Nothing is lost: the next append
    /// links the stream again at the position before it.
    pub idle_links_max: usize,
    /// Bytes of a subscription's id.
    pub id_bytes_max: usize,
    /// Bytes of a stream path or pattern.
    pub path_bytes_max: usize,
    /// Bytes of a webhook address, and of the base of callback addresses.
    pub url_bytes_max: usize,
    /// Bytes of a description.
    pub description_bytes_max: usize,
    /// Bytes of a worker's name.
    pub worker_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            subscriptions_max: 1_000,
            links_max: 1_000,
            idle_links_max: 256,
            id_bytes_max: 256,
            path_bytes_max: 1_024,
            url_bytes_max: 2_048,
            description_bytes_max: 1_024,
            worker_bytes_max: 256,
        }
    }
}

/// Shortest lease.
pub(super) const LEASE_MS_MIN: u64 = 1_000;
/// Longest lease.
pub(super) const LEASE_MS_MAX: u64 = 600_000;
/// Lease of a subscription that names none.
pub(super) const LEASE_MS_DEFAULT: u64 = 30_000;
/// Delay before the first retry of a webhook; it doubles with each failure.
pub(super) const RETRY_MS_MIN: u64 = 1_000;
/// Longest delay between two tries, before jitter.
pub(super) const RETRY_MS_MAX: u64 = 60_000;
/// How far jitter moves a delay, either way.
pub(super) const JITTER_PERCENT: u64 = 20;
