//! What is counted of settings that are read again.

use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// How often settings were read again, and since when they are what they are.
#[derive(Debug, Clone)]
pub struct ConfigMetrics {
    good: Counter,
    bad: Counter,
    loaded_seconds: Gauge<f64, AtomicU64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

impl ConfigMetrics {
    /// Registers everything; the settings of the start are as of now.
    pub fn register(registry: &mut Registry) -> Self {
        let reloads = Family::<OutcomeLabel, Counter>::default();
        registry.register(
            "config_reloads",
            "Times that the settings were read again, by outcome",
            reloads.clone(),
        );
        let loaded_seconds = Gauge::default();
        registry.register_with_unit(
            "config_loaded_timestamp",
            "Unix time of the last start or reload with good settings",
            Unit::Seconds,
            loaded_seconds.clone(),
        );
        let of = |outcome| reloads.get_or_create(&OutcomeLabel { outcome }).clone();
        let metrics = Self {
            good: of("good"),
            bad: of("bad"),
            loaded_seconds,
        };
        metrics.loaded(SystemTime::now());
        metrics
    }

    /// Counts good settings.
    pub fn reloaded(&self, now: SystemTime) {
        self.good.inc();
        self.loaded(now);
    }

    /// Counts wrong settings.
    pub fn failed(&self) {
        self.bad.inc();
    }

    fn loaded(&self, now: SystemTime) {
        let since = now.duration_since(SystemTime::UNIX_EPOCH);
        self.loaded_seconds
            .set(since.map_or(0.0, |since| since.as_secs_f64()));
    }
}
