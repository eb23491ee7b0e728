//! What is told of a replica.

use floe_proto::Millis;

/// How a replica is, as `getSyncStatus` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SyncStatus {
    /// Whether it can be reached, and the last batch did not fail.
    pub replica_available: bool,
    /// Whether it is there, and lacks nothing for longer than [`HEALTHY_LAG_MS`].
    pub is_healthy: bool,
    /// When the last batch was in it.
    pub last_sync: Option<Millis>,
    /// Milliseconds since then.
    pub last_sync_age_ms: Option<u64>,
    /// Batches that are in it, since the start.
    pub total_syncs: u64,
    /// Times that something failed, since the start.
    pub sync_errors: u64,
    /// How long the oldest message has waited that it does not have, in milliseconds.
    pub lag_ms: u64,
    /// Rooms of which it lacks something.
    pub queue_depth: u64,
    /// Whether it is not yet known what it lacks.
    pub settling: bool,
}

/// Milliseconds behind from which a replica is not called healthy.
const HEALTHY_LAG_MS: u64 = 5_000;

/// How far a whole sync has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Rooms that were looked at, or are in the replica again.
    pub done: u64,
    /// Rooms there were when it began, those that no replica is told of included.
    pub rooms: u64,
    /// Whether it is over.
    pub complete: bool,
}

impl SyncStatus {
    /// Decides whether it is healthy by all the rest.
    #[must_use]
    pub(super) const fn judged(mut self) -> Self {
        self.is_healthy = self.replica_available && self.lag_ms <= HEALTHY_LAG_MS;
        self
    }

    /// Returns the part of what was tried that failed.
    #[must_use]
    pub fn error_rate(self) -> f64 {
        let tried = self.total_syncs + self.sync_errors;
        if tried == 0 {
            return 0.0;
        }
        self.sync_errors as f64 / tried as f64
    }

    /// Returns the members of `getSyncStatus`.
    #[must_use]
    pub fn to_json(self) -> serde_json::Value {
        serde_json::json!({
            "isHealthy": self.is_healthy,
            "lastSyncTime": self.last_sync.map(Millis::rfc3339),
            "lastSyncAge": self.last_sync_age_ms,
            "totalSyncs": self.total_syncs,
            "syncErrors": self.sync_errors,
            "errorRate": self.error_rate(),
            "replicaAvailable": self.replica_available,
            "lag": self.lag_ms,
            "queueDepth": self.queue_depth,
        })
    }
}
