//! Metrics of what rooms remember.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use floe_core::buffer::BufferUsage;

use crate::shard::MemoryTotals;

/// What the memories and write buffers of all rooms hold, and what became of it.
#[derive(Debug, Clone)]
pub(super) struct LiveMetrics {
    entries: Gauge,
    bytes: Gauge,
    evictions: Counter,
    buffer_keys: Gauge,
    buffer_bytes: Gauge,
    buffer_updates: Counter,
    buffer_writes: Counter,
    buffer_failures: Counter,
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
        let mut gauge = |name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let buffer_keys = gauge("buffer_keys", "Keys in write buffers that are not written");
        let buffer_bytes = gauge(
            "buffer_bytes",
            "Bytes in write buffers that are not written",
        );
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        Self {
            entries,
            bytes,
            evictions,
            buffer_keys,
            buffer_bytes,
            buffer_updates: counter("buffer_updates", "Updates that write buffers took"),
            buffer_writes: counter("buffer_writes", "Values that write buffers wrote"),
            buffer_failures: counter("buffer_failures", "Values that were not taken at first"),
        }
    }

    pub(super) fn show_buffers(&self, usage: &BufferUsage) {
        self.buffer_keys.set(usage.keys as i64);
        self.buffer_bytes.set(usage.bytes as i64);
        raise(&self.buffer_updates, usage.updates);
        raise(&self.buffer_writes, usage.writes);
        raise(&self.buffer_failures, usage.failures);
    }

    pub(super) fn show(&self, memory: &MemoryTotals) {
        self.entries.set(memory.entries as i64);
        self.bytes.set(memory.bytes as i64);
        raise(&self.evictions, memory.evictions);
    }
}

/// Has a counter show what was counted elsewhere.
fn raise(counter: &Counter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}
