//! What replicas count.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::replica::SyncStatus;

/// Metrics of the replicas.
#[derive(Debug, Clone)]
pub(super) struct ReplicaMetrics {
    messages: Counter,
    failures: Counter,
    batch_seconds: Histogram,
    delay_seconds: Histogram,
    available: Gauge,
    queue: Gauge,
    lag_seconds: Gauge<f64, AtomicU64>,
}

impl ReplicaMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            messages: Counter::default(),
            failures: Counter::default(),
            batch_seconds: Histogram::new(exponential_buckets(0.000_5, 2.0, 14)),
            delay_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
            available: Gauge::default(),
            queue: Gauge::default(),
            lag_seconds: Gauge::default(),
        };
        registry.register(
            "replica_messages",
            "Messages of rooms applied to replicas",
            metrics.messages.clone(),
        );
        registry.register(
            "replica_failures",
            "Times that a replica could not be read or written, or had lost something",
            metrics.failures.clone(),
        );
        registry.register_with_unit(
            "replica_batch",
            "Time of one batch of a replica",
            Unit::Seconds,
            metrics.batch_seconds.clone(),
        );
        registry.register_with_unit(
            "replica_delay",
            "Time from the first message of a room that a replica does not have until it has it",
            Unit::Seconds,
            metrics.delay_seconds.clone(),
        );
        registry.register(
            "replica_available",
            "Whether the replica can be reached",
            metrics.available.clone(),
        );
        registry.register(
            "replica_queue",
            "Rooms of which the replica lacks something",
            metrics.queue.clone(),
        );
        registry.register_with_unit(
            "replica_lag",
            "How long the oldest message has waited that the replica does not have",
            Unit::Seconds,
            metrics.lag_seconds.clone(),
        );
        metrics
    }

    /// Notes a batch that is in a replica.
    pub(super) fn applied(&self, messages: u64, seconds: f64) {
        self.messages.inc_by(messages);
        self.batch_seconds.observe(seconds);
    }

    /// Notes how long a room waited.
    pub(super) fn delay(&self, ms: u64) {
        self.delay_seconds.observe(ms as f64 / 1_000.0);
    }

    /// Counts a failure.
    pub(super) fn failed(&self) {
        self.failures.inc();
    }

    /// Takes over how the replica is.
    pub(super) fn show(&self, status: &SyncStatus) {
        self.available.set(status.replica_available.into());
        self.queue.set(status.queue_depth as i64);
        self.lag_seconds.set(status.lag_ms as f64 / 1_000.0);
    }
}
