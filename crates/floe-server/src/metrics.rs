//! What the server counts, as Prometheus reads it.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use floe_core::buffer::BufferUsage;
use floe_core::load::Level;
use floe_log::Disk;
use floe_proto::Code;
use floe_surfaces::http::Method;
use floe_surfaces::limits::{CountKind, Scope};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

pub use self::gateway::{GatewayMetrics, Refusal};

pub use self::access::AccessFigure;
use self::access::AccessMetrics;
use self::cold::ColdMetrics;
use self::config::ConfigMetrics;
use self::limits::LimitMetrics;
use self::live::LiveMetrics;
use self::media::MediaMetrics;
pub use self::recordings::RecordingMetrics;
use self::replica::ReplicaMetrics;
use self::rooms::RoomMetrics;
pub use self::rooms::{ENDED_BY_CLIENT, ENDED_LOST};
pub use self::tables::TableMetrics;
use self::voice::VoiceMetrics;
use crate::media::MediaTotals;
use crate::memory;
use crate::replica::SyncStatus;
use crate::shard::Shard;
use crate::views::Lag;
use crate::watch::Window;

mod access;
mod cold;
mod config;
mod gateway;
mod limits;
mod live;
mod media;
mod recordings;
mod replica;
mod rooms;
mod tables;
mod voice;

/// All metrics of one server.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    requests: [Counter; METHODS.len()],
    errors: [Counter; Code::ALL.len()],
    appends: Counter,
    append_bytes: Counter,
    received_bytes: Counter,
    sent_bytes: Counter,
    deliveries: Counter,
    fanout_slices: Counter,
    commit_seconds: Histogram,
    commit_bytes: Histogram,
    connections: Gauge,
    websockets: Gauge,
    readers: Gauge,
    streams: Gauge,
    streams_loaded: Gauge,
    subscriptions: Gauge,
    webhooks: Gauge,
    recovery_seconds: Gauge<f64, AtomicU64>,
    view_events: Counter,
    view_failures: Counter,
    view_batch_seconds: Histogram,
    view_lag_events: Gauge,
    view_lag_seconds: Gauge<f64, AtomicU64>,
    memory: [Gauge; MEMORY.len()],
    log: [Gauge; LOG.len()],
    cold: ColdMetrics,
    access: AccessMetrics,
    limits: LimitMetrics,
    gateway: GatewayMetrics,
    config: ConfigMetrics,
    live: LiveMetrics,
    media: MediaMetrics,
    tables: TableMetrics,
    voice: VoiceMetrics,
    recordings: RecordingMetrics,
    replica: ReplicaMetrics,
    rooms: RoomMetrics,
    waddle_acts: Family<ActLabel, Counter>,
}

const METHODS: [(Method, &str); 8] = [
    (Method::Get, "GET"),
    (Method::Head, "HEAD"),
    (Method::Put, "PUT"),
    (Method::Post, "POST"),
    (Method::Patch, "PATCH"),
    (Method::Delete, "DELETE"),
    (Method::Options, "OPTIONS"),
    (Method::Other, "other"),
];

/// Parts of the process that memory is counted for.
const MEMORY: [&str; 3] = ["unflushed", "index", "rooms"];
/// What the log's bytes are counted as.
const LOG: [&str; 2] = ["wal", "segments"];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabel {
    method: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabel {
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActLabel {
    act: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartLabel {
    part: &'static str,
}

impl Metrics {
    /// Registers everything.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("floe");
        let requests = Family::<MethodLabel, Counter>::default();
        registry.register("requests", "Requests by method", requests.clone());
        let errors = Family::<CodeLabel, Counter>::default();
        registry.register("errors", "Failed requests by code", errors.clone());
        let memory = Family::<PartLabel, Gauge>::default();
        registry.register_with_unit("memory", "Memory by part", Unit::Bytes, memory.clone());
        let log = Family::<PartLabel, Gauge>::default();
        registry.register_with_unit(
            "disk",
            "Disk space of the log by part",
            Unit::Bytes,
            log.clone(),
        );
        let waddle_acts = Family::<ActLabel, Counter>::default();
        registry.register(
            "waddle_acts",
            "Acts in waddles by kind",
            waddle_acts.clone(),
        );
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let appends = counter("appends", "Appends handed to a room");
        let append_bytes = counter("append_payload_bytes", "Bytes of data handed to rooms");
        let received_bytes = counter("received_bytes", "Bytes received from sockets");
        let sent_bytes = counter("sent_bytes", "Bytes sent to sockets");
        let deliveries = counter("deliveries", "Events sent to live readers");
        let fanout_slices = counter(
            "fanout_slices",
            "Slices of large rooms that several threads sent to",
        );
        let view_events = counter("view_events", "Events applied to the SQL view");
        let view_failures = counter("view_failures", "Batches that the SQL view did not take");
        let mut gauge = |name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let connections = gauge("connections", "Open connections");
        let websockets = gauge("websockets", "Connections that are WebSockets");
        let readers = gauge("live_readers", "Parked long-polls and event streams");
        let streams = gauge("streams", "Streams there are");
        let streams_loaded = gauge("streams_loaded", "Streams in memory");
        let subscriptions = gauge("subscriptions", "Subscriptions there are");
        let webhooks = gauge(
            "webhooks_in_flight",
            "Webhook requests without an answer yet",
        );
        let view_lag_events = gauge("view_lag_events", "Events that the SQL view does not have");
        let view_lag_seconds = Gauge::default();
        registry.register_with_unit(
            "view_lag",
            "How long the oldest of the events that the SQL view does not have has waited",
            Unit::Seconds,
            view_lag_seconds.clone(),
        );
        let view_batch_seconds = Histogram::new(exponential_buckets(0.000_5, 2.0, 14));
        registry.register_with_unit(
            "view_batch",
            "Time of one batch of the SQL view",
            Unit::Seconds,
            view_batch_seconds.clone(),
        );
        let recovery_seconds = Gauge::default();
        registry.register_with_unit(
            "recovery",
            "Time the last start took to recover",
            Unit::Seconds,
            recovery_seconds.clone(),
        );
        let commit_seconds = Histogram::new(exponential_buckets(0.000_05, 2.0, 16));
        registry.register_with_unit(
            "commit",
            "Time of one write and sync of the log",
            Unit::Seconds,
            commit_seconds.clone(),
        );
        let commit_bytes = Histogram::new(exponential_buckets(128.0, 4.0, 10));
        registry.register(
            "commit_batch_bytes",
            "Bytes made durable by one commit",
            commit_bytes.clone(),
        );
        Self {
            requests: METHODS
                .map(|(_, method)| requests.get_or_create(&MethodLabel { method }).clone()),
            errors: Code::ALL.map(|code| {
                errors
                    .get_or_create(&CodeLabel {
                        code: code.as_str(),
                    })
                    .clone()
            }),
            memory: MEMORY.map(|part| memory.get_or_create(&PartLabel { part }).clone()),
            log: LOG.map(|part| log.get_or_create(&PartLabel { part }).clone()),
            cold: ColdMetrics::register(&mut registry),
            access: AccessMetrics::register(&mut registry),
            limits: LimitMetrics::register(&mut registry),
            gateway: GatewayMetrics::register(&mut registry),
            config: ConfigMetrics::register(&mut registry),
            live: LiveMetrics::register(&mut registry),
            media: MediaMetrics::register(&mut registry),
            voice: VoiceMetrics::register(&mut registry),
            recordings: RecordingMetrics::register(&mut registry),
            tables: TableMetrics::register(&mut registry),
            replica: ReplicaMetrics::register(&mut registry),
            rooms: RoomMetrics::register(&mut registry),
            waddle_acts,
            registry: Arc::new(registry),
            appends,
            append_bytes,
            received_bytes,
            sent_bytes,
            deliveries,
            fanout_slices,
            commit_seconds,
            commit_bytes,
            connections,
            websockets,
            readers,
            streams,
            streams_loaded,
            subscriptions,
            webhooks,
            recovery_seconds,
            view_events,
            view_failures,
            view_batch_seconds,
            view_lag_events,
            view_lag_seconds,
        }
    }

    /// Returns what the gateway counts with.
    pub fn gateway(&self) -> GatewayMetrics {
        self.gateway.clone()
    }

    /// Returns what recordings of voice rooms count with.
    pub fn recordings(&self) -> RecordingMetrics {
        self.recordings.clone()
    }

    /// Returns what rooms with tables count with.
    pub fn tables(&self) -> TableMetrics {
        self.tables.clone()
    }

    /// Counts a request.
    pub fn request(&self, method: Method) {
        self.requests[method as usize].inc();
    }

    /// Counts a failure.
    pub fn error(&self, code: Code) {
        self.errors[code as usize].inc();
    }

    /// Counts an act in a waddle.
    pub fn waddle_act(&self, act: &'static str) {
        self.waddle_acts.get_or_create(&ActLabel { act }).inc();
    }

    /// Notes what the thread for media has done, and how it is.
    pub fn media(&self, totals: &MediaTotals) {
        self.media.show(totals);
    }

    /// Counts a session of a voice room.
    pub fn voice_session(&self) {
        self.voice.session();
    }

    /// Counts a join that a voice room refused.
    pub fn voice_refused(&self, code: Code) {
        self.voice.refused(code);
    }

    /// Counts an append.
    pub fn append(&self, bytes: u64) {
        self.appends.inc();
        self.append_bytes.inc_by(bytes);
    }

    /// Counts received bytes.
    pub fn received(&self, bytes: u64) {
        self.received_bytes.inc_by(bytes);
    }

    /// Counts sent bytes.
    pub fn sent(&self, bytes: u64) {
        self.sent_bytes.inc_by(bytes);
    }

    /// Counts an event sent to a live reader.
    pub fn delivered(&self, bytes: u64) {
        self.deliveries.inc();
        self.sent_bytes.inc_by(bytes);
    }

    /// Counts readers of a large room whom several threads sent to.
    pub fn fanned_out(&self) {
        self.fanout_slices.inc();
    }

    /// Notes how long messages took until the last of a room's readers was sent them.
    pub fn message_latency(&self, seconds: f64) {
        self.rooms.message(seconds);
    }

    /// Notes how long a change of live state took until the last of a room's readers was told.
    pub fn presence_latency(&self, seconds: f64) {
        self.rooms.presence(seconds);
    }

    /// Notes how long it took to load a room.
    pub fn cold_start(&self, seconds: f64) {
        self.rooms.cold_start(seconds);
    }

    /// Counts a live reader that came back to where it was.
    pub fn resumed(&self) {
        self.rooms.resumed();
    }

    /// Counts a WebSocket that ended.
    pub fn websocket_ended(&self, reason: &'static str) {
        self.rooms.ended(reason);
    }

    /// Notes what is given up.
    pub fn load_level(&self, level: Level) {
        self.rooms.level(level);
    }

    /// Notes how the event loop was in the last while.
    pub fn loop_window(&self, window: Window) {
        self.rooms.window(window);
    }

    /// Notes how many connections follow each room.
    pub fn crowds(&self, rooms: impl Iterator<Item = usize>) {
        self.rooms
            .show(rooms, memory::resident_bytes().unwrap_or_default());
    }

    /// Notes a commit.
    pub fn commit(&self, seconds: f64, bytes: u64) {
        self.commit_seconds.observe(seconds);
        self.commit_bytes.observe(bytes as f64);
    }

    /// Notes a batch that is in the SQL view.
    pub fn viewed(&self, events: u64, seconds: f64) {
        self.view_events.inc_by(events);
        self.view_batch_seconds.observe(seconds);
    }

    /// Counts a batch that the SQL view did not take.
    pub fn view_failed(&self) {
        self.view_failures.inc();
    }

    /// Notes a batch that is in a replica.
    pub fn replicated(&self, messages: u64, seconds: f64) {
        self.replica.applied(messages, seconds);
    }

    /// Notes how long a room waited until what had moved was in a replica.
    pub fn replica_delay(&self, ms: u64) {
        self.replica.delay(ms);
    }

    /// Counts something that a replica did not take.
    pub fn replica_failed(&self) {
        self.replica.failed();
    }

    /// Notes how the replica is.
    pub fn replica_status(&self, status: &SyncStatus) {
        self.replica.show(status);
    }

    /// Notes work of the cold tier.
    pub fn cold_work(&self, work: &'static str, seconds: f64) {
        self.cold.work(work, seconds);
    }

    /// Counts something about callers.
    pub fn access(&self, figure: AccessFigure) {
        self.access.count(figure);
    }

    /// Notes what is and was in write buffers.
    pub fn buffers(&self, usage: &BufferUsage) {
        self.live.show_buffers(usage);
    }

    /// Counts what a limit or quota refused.
    pub fn limited(&self, scope: Scope, kind: &'static str) {
        self.limits.refused(scope, kind);
    }

    /// Counts what quotas of what is stored refused.
    pub fn quota_refused(&self, kind: CountKind, count: u64) {
        self.limits
            .refused_so_many(Scope::Namespace, kind.as_str(), count);
    }

    /// Notes how much limits remember.
    pub fn limit_keys(&self, sizes: [(Scope, usize); 4]) {
        self.limits.keys(sizes);
    }

    /// Notes how many connections there are.
    pub fn connections(&self, count: usize) {
        self.connections.set(count as i64);
    }

    /// Notes how many WebSockets there are.
    pub fn websockets(&self, count: usize) {
        self.websockets.set(count as i64);
    }

    /// Notes how long recovery took.
    pub fn recovered(&self, seconds: f64) {
        self.recovery_seconds.set(seconds);
    }

    /// Notes that settings were read again and are good.
    pub fn reloaded(&self, now: SystemTime) {
        self.config.reloaded(now);
    }

    /// Counts settings that were read again and are wrong.
    pub fn reload_failed(&self) {
        self.config.failed();
    }

    /// Renders everything in the text form of Prometheus.
    pub fn render<D: Disk>(
        &self,
        shard: &Shard<D>,
        readers: usize,
        (subscriptions, webhooks): (usize, usize),
        lag: Lag,
    ) -> String {
        self.view_lag_events.set(lag.events as i64);
        self.view_lag_seconds.set(lag.ms as f64 / 1_000.0);
        self.subscriptions.set(subscriptions as i64);
        self.webhooks.set(webhooks as i64);
        self.readers.set(readers as i64);
        self.streams.set(shard.rooms() as i64);
        self.streams_loaded.set(shard.loaded() as i64);
        for (gauge, bytes) in self.memory.iter().zip(shard.memory()) {
            gauge.set(bytes as i64);
        }
        for (gauge, bytes) in self.log.iter().zip(shard.disk_bytes()) {
            gauge.set(bytes as i64);
        }
        self.cold.show(&shard.cold_stats());
        self.live.show(&shard.memory_totals());
        self.voice.show(shard.voice_totals());
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_and_codes_are_counted_under_their_own_labels() {
        for (at, (method, _)) in METHODS.iter().enumerate() {
            assert_eq!(*method as usize, at);
        }
        let metrics = Metrics::new();
        metrics.request(Method::Post);
        metrics.error(Code::DiskFull);
        let mut text = String::new();
        encode(&mut text, &metrics.registry).unwrap();
        assert!(
            text.contains("floe_requests_total{method=\"POST\"} 1"),
            "{text}"
        );
        assert!(
            text.contains("floe_errors_total{code=\"DISK_FULL\"} 1"),
            "{text}"
        );
    }
}
