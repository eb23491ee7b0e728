//! Metrics of what rooms remember.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::shard::MemoryTotals;

/// What the memories of all rooms hold, and how many keys made way in them.
#[derive(Debug, Clone)]
pub(super) struct LiveMetrics {
    entries: Gauge,
    bytes: Gauge,
    evictions: Counter,
}

impl LiveMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let (entries, bytes, evictions) = (Gauge::default(), Gauge::default(), Counter::default());
        let help = "Keys in the memories of rooms";
        registry.register("room_memory_entries", help, entries.clone());
        let help = "Keys and values in the memories of rooms";
        registry.register_with_unit("room_memory", help, Unit::Bytes, bytes.clone());
        let help = "Keys that made way in the memories of rooms";
        registry.register("room_memory_evictions", help, evictions.clone());
        Self {
            entries,
            bytes,
            evictions,
        }
    }

    pub(super) fn show(&self, memory: &MemoryTotals) {
        self.entries.set(memory.entries as i64);
        self.bytes.set(memory.bytes as i64);
        let news = memory.evictions.saturating_sub(self.evictions.get());
        self.evictions.inc_by(news);
    }
}
