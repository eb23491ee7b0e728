//! What the cold tier counts.

use std::sync::atomic::AtomicU64;

use floe_log::ColdStats;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// Metrics of the cold tier.
#[derive(Debug, Clone)]
pub(super) struct ColdMetrics {
    seconds: Family<WorkLabel, Counter<f64, AtomicU64>>,
    counters: [Counter; COUNTERS.len()],
    gauges: [Gauge; GAUGES.len()],
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WorkLabel {
    work: &'static str,
}

type Figure = fn(&ColdStats) -> u64;

const COUNTERS: [(&str, &str, Figure); 8] = [
    ("cold_uploads", "Segments moved to the store", |s| s.cooled),
    ("cold_uploaded_bytes", "Bytes sent to the store", |s| {
        s.sent_bytes
    }),
    ("cold_fetches", "Fetches from the store", |s| s.fetched),
    ("cold_fetched_bytes", "Bytes fetched from the store", |s| {
        s.fetched_bytes
    }),
    ("cold_removed", "Objects removed from the store", |s| {
        s.removed
    }),
    (
        "cold_failures",
        "Uploads, fetches and removals that the store failed",
        |s| s.failures,
    ),
    (
        "cold_cache_hits",
        "Reads of cold data that the cache had",
        |s| s.hits,
    ),
    (
        "cold_cache_misses",
        "Reads of cold data that waited for the store",
        |s| s.misses,
    ),
];

const GAUGES: [(&str, &str, Figure); 4] = [
    ("cold_segments", "Segments in the store", |s| {
        s.segments as u64
    }),
    ("cold_object_bytes", "Bytes of segments in the store", |s| {
        s.object_bytes
    }),
    (
        "cold_lag_bytes",
        "Bytes of segments on the disk that should have moved by now",
        |s| s.lag_bytes,
    ),
    (
        "cold_cache_bytes",
        "Bytes of fetched blocks on the disk",
        |s| s.cache_bytes,
    ),
];

impl ColdMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let seconds = Family::<WorkLabel, Counter<f64, AtomicU64>>::default();
        registry.register_with_unit(
            "cold_work",
            "Time of work with the store by kind",
            Unit::Seconds,
            seconds.clone(),
        );
        Self {
            seconds,
            counters: COUNTERS.map(|(name, help, _)| {
                let counter = Counter::default();
                registry.register(name, help, counter.clone());
                counter
            }),
            gauges: GAUGES.map(|(name, help, _)| {
                let gauge = Gauge::default();
                registry.register(name, help, gauge.clone());
                gauge
            }),
        }
    }

    /// Notes a piece of work.
    pub(super) fn work(&self, work: &'static str, seconds: f64) {
        self.seconds
            .get_or_create(&WorkLabel { work })
            .inc_by(seconds);
    }

    /// Takes over what the log has counted.
    pub(super) fn show(&self, stats: &ColdStats) {
        for (counter, (_, _, figure)) in self.counters.iter().zip(COUNTERS) {
            counter.inc_by(figure(stats).saturating_sub(counter.get()));
        }
        for (gauge, (_, _, figure)) in self.gauges.iter().zip(GAUGES) {
            gauge.set(figure(stats) as i64);
        }
    }
}
