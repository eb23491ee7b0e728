//! What the tables of rooms count.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Metrics of rooms with tables.
#[derive(Debug, Clone)]
pub struct TableMetrics {
    open: Gauge,
    queued: Gauge,
    asking: Gauge,
    live_queries: Gauge,
    calls: Counter,
    refused: Counter,
    batches: Counter,
    batch_seconds: Histogram,
    rebuilds: Counter,
    failures: Counter,
    snapshots: Counter,
    snapshot_failures: Counter,
    queries: Counter,
    query_failures: Counter,
    query_seconds: Histogram,
}

impl TableMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let mut gauge = |name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let open = gauge(
            "tables_open_files",
            "Files of rooms with tables that are open",
        );
        let queued = gauge(
            "tables_queued_calls",
            "Calls to tables that have not been run",
        );
        let live_queries = gauge(
            "tables_live_queries",
            "Different live queries that somebody follows",
        );
        let asking = gauge(
            "tables_open_queries",
            "Questions to tables under way or waiting",
        );
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let calls = counter("tables_calls", "Calls to tables");
        let refused = counter("tables_call_errors", "Calls to tables that failed");
        let batches = counter("tables_batches", "Batches of calls that were run");
        let rebuilds = counter(
            "tables_rebuilds",
            "Files of tables that were damaged or ahead of the log and are made anew",
        );
        let failures = counter("tables_file_errors", "Times that a file of tables failed");
        let snapshots = counter("tables_snapshots", "Snapshots of tables");
        let snapshot_failures = counter(
            "tables_snapshot_errors",
            "Snapshots of tables that could not be made",
        );
        let queries = counter("tables_queries", "Questions to tables");
        let query_failures = counter("tables_query_errors", "Questions to tables that failed");
        let batch_seconds = Histogram::new(exponential_buckets(0.000_05, 2.0, 16));
        registry.register_with_unit(
            "tables_batch",
            "Time of one batch of calls in a file of tables",
            Unit::Seconds,
            batch_seconds.clone(),
        );
        let query_seconds = Histogram::new(exponential_buckets(0.000_05, 2.0, 18));
        registry.register_with_unit(
            "tables_query",
            "Time of one question to tables",
            Unit::Seconds,
            query_seconds.clone(),
        );
        Self {
            open,
            queued,
            asking,
            live_queries,
            calls,
            refused,
            batches,
            batch_seconds,
            rebuilds,
            failures,
            snapshots,
            snapshot_failures,
            queries,
            query_failures,
            query_seconds,
        }
    }

    /// Counts a call that is answered.
    pub fn called(&self, failed: bool) {
        self.calls.inc();
        self.refused.inc_by(failed.into());
    }

    /// Notes a batch that was run.
    pub fn ran(&self, seconds: f64) {
        self.batches.inc();
        self.batch_seconds.observe(seconds);
    }

    /// Counts a file that is made anew.
    pub fn rebuilt(&self) {
        self.rebuilds.inc();
    }

    /// Counts a failure of a file.
    pub fn failed(&self) {
        self.failures.inc();
    }

    /// Counts a snapshot.
    pub fn saved(&self, made: bool) {
        if made {
            self.snapshots.inc();
        } else {
            self.snapshot_failures.inc();
        }
    }

    /// Notes a question that is answered.
    pub fn asked(&self, seconds: f64, failed: bool) {
        self.queries.inc();
        self.query_failures.inc_by(failed.into());
        self.query_seconds.observe(seconds);
    }

    /// Notes how many different live queries there are.
    pub fn follow(&self, live_queries: usize) {
        self.live_queries.set(live_queries as i64);
    }

    /// Notes how many files are open, calls wait and questions are under way.
    pub fn show(&self, open: usize, queued: usize, asking: usize) {
        self.open.set(open as i64);
        self.queued.set(queued as i64);
        self.asking.set(asking as i64);
    }
}
