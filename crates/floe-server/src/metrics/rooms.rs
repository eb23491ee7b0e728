//! Metrics of rooms that are followed, and of how the server bears it.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use floe_core::load::Level;
use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::{Registry, Unit};

use crate::watch::Window;

/// What rooms with live readers are, and how long what happens takes to reach them.
#[derive(Debug, Clone)]
pub(super) struct RoomMetrics {
    live: Gauge,
    sizes: RoomSizes,
    message_seconds: Histogram,
    presence_seconds: Histogram,
    cold_starts: Histogram,
    resumes: Counter,
    ended: Family<Ended, Counter>,
    level: Gauge,
    resident: Gauge,
    busy: Gauge<f64, AtomicU64>,
    late: Gauge<f64, AtomicU64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    reason: &'static str,
}

/// Why a WebSocket ended of which no code says it: its client said so, or it was lost.
pub const ENDED_BY_CLIENT: &str = "CLIENT";
/// See [`ENDED_BY_CLIENT`].
pub const ENDED_LOST: &str = "LOST";

impl RoomMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let live = Gauge::default();
        registry.register("rooms_live", "Rooms that somebody follows", live.clone());
        let sizes = RoomSizes::default();
        let help = "Rooms that somebody follows, by how many connections do, at this moment";
        registry.register("room_connections", help, sizes.clone());
        let mut seconds = |name: &str, help: &str, buckets: (f64, u16)| {
            let histogram = Histogram::new(exponential_buckets(buckets.0, 2.0, buckets.1));
            registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
            histogram
        };
        let message_seconds = seconds(
            "message_latency",
            "From the turn that received a message until it was sent to the last of its readers",
            (0.000_1, 18),
        );
        let presence_seconds = seconds(
            "presence_latency",
            "From a change of presence or memory until its last reader was told",
            (0.001, 14),
        );
        let cold_starts = seconds(
            "room_cold_start",
            "Time to take a room into memory that was not there",
            (0.000_01, 18),
        );
        let resumes = Counter::default();
        let help = "Live readers that came back and named the last that they saw";
        registry.register("resumes", help, resumes.clone());
        let ended = Family::<Ended, Counter>::default();
        let help = "WebSockets that ended, by the code that says why, or CLIENT or LOST";
        registry.register("websockets_ended", help, ended.clone());
        for reason in [ENDED_BY_CLIENT, ENDED_LOST] {
            drop(ended.get_or_create(&Ended { reason }));
        }
        let level = Gauge::default();
        let help =
            "What is given up: 0 nothing, 1 new live readers, 2 presence too, 3 messages too";
        registry.register("load_level", help, level.clone());
        let resident = Gauge::default();
        let help = "Memory of the process that is in use";
        registry.register_with_unit("resident", help, Unit::Bytes, resident.clone());
        let (busy, late) = (Gauge::default(), Gauge::default());
        let help = "Share of the last second in which the event loop did not sleep";
        registry.register_with_unit("loop_busy", help, Unit::Ratios, busy.clone());
        let help =
            "The longest that something may have waited for the event loop in the last second";
        registry.register_with_unit("loop_late", help, Unit::Seconds, late.clone());
        Self {
            live,
            sizes,
            message_seconds,
            presence_seconds,
            cold_starts,
            resumes,
            ended,
            level,
            resident,
            busy,
            late,
        }
    }

    pub(super) fn message(&self, seconds: f64) {
        self.message_seconds.observe(seconds);
    }

    pub(super) fn presence(&self, seconds: f64) {
        self.presence_seconds.observe(seconds);
    }

    pub(super) fn cold_start(&self, seconds: f64) {
        self.cold_starts.observe(seconds);
    }

    pub(super) fn resumed(&self) {
        self.resumes.inc();
    }

    pub(super) fn ended(&self, reason: &'static str) {
        self.ended.get_or_create(&Ended { reason }).inc();
    }

    pub(super) fn level(&self, level: Level) {
        self.level.set(level.number().into());
    }

    pub(super) fn window(&self, window: Window) {
        self.busy.set(window.busy_permille as f64 / 1_000.0);
        self.late.set(window.late.as_secs_f64());
    }

    /// Takes in how many connections follow each room.
    pub(super) fn show(&self, rooms: impl Iterator<Item = usize>, resident_bytes: u64) {
        self.live.set(self.sizes.set(rooms) as i64);
        self.resident.set(resident_bytes as i64);
    }
}

/// A distribution that is taken anew for each scrape: unlike that of things that happen, it shrinks.
#[derive(Debug, Clone, Default)]
struct RoomSizes(Arc<Mutex<Sizes>>);

#[derive(Debug, Default)]
struct Sizes {
    sum: usize,
    buckets: [u64; SIZES.len()],
}

/// Connections up to which a room is counted.
const SIZES: [f64; 10] = [
    1.0,
    2.0,
    5.0,
    10.0,
    50.0,
    100.0,
    1_000.0,
    10_000.0,
    100_000.0,
    f64::MAX,
];

impl RoomSizes {
    /// Replaces what is there; returns how many rooms there are.
    fn set(&self, rooms: impl Iterator<Item = usize>) -> u64 {
        let mut sizes = Sizes::default();
        for connections in rooms.filter(|connections| *connections > 0) {
            sizes.sum += connections;
            let counted = SIZES.iter().zip(&mut sizes.buckets);
            let mut fitting = counted.filter(|(most, _)| connections as f64 <= **most);
            if let Some((_, count)) = fitting.next() {
                *count += 1;
            }
        }
        let count = sizes.buckets.iter().sum();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = sizes;
        count
    }
}

impl TypedMetric for RoomSizes {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for RoomSizes {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let sizes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let buckets: Vec<_> = SIZES.into_iter().zip(sizes.buckets).collect();
        let count = sizes.buckets.iter().sum();
        encoder.encode_histogram::<NoLabelSet>(sizes.sum as f64, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}
