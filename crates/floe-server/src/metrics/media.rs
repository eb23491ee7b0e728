//! Metrics of the media of voice rooms.

use std::sync::atomic::AtomicU64;

use floe_media::Dropped;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::media::MediaTotals;

/// What the thread for media does, and how it is. Nobody is named.
#[derive(Debug, Clone)]
pub(super) struct MediaMetrics {
    counters: [Counter; COUNTERS.len()],
    gauges: [Gauge; GAUGES.len()],
    dropped: [Counter; Dropped::ALL.len()],
    busy: Counter<f64, AtomicU64>,
    jitter: Gauge<f64, AtomicU64>,
    round_trip: Gauge<f64, AtomicU64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

type Figure = fn(&MediaTotals) -> u64;

const COUNTERS: [(&str, &str, Figure); 18] = [
    (
        "media_datagrams_in",
        "Datagrams and frames that came",
        |t| t.forwarded.datagrams_in,
    ),
    (
        "media_datagrams_out",
        "Datagrams and frames that were to be sent",
        |t| t.forwarded.datagrams_out,
    ),
    (
        "media_datagrams_unsent",
        "Datagrams that the system did not take in time, or not at all",
        |t| t.unsent,
    ),
    (
        "media_frames_unsent",
        "Frames that receivers over TCP did not take in time",
        |t| t.unsent_tcp,
    ),
    (
        "media_packets_in",
        "Packets of sound and pictures that came",
        |t| t.forwarded.packets_in,
    ),
    (
        "media_packets_out",
        "Packets of sound and pictures handed to a receiver",
        |t| t.forwarded.packets_out,
    ),
    (
        "media_packets_withheld",
        "Packets that were for nobody: of those who are muted, not among the loudest, or not watched",
        |t| t.forwarded.packets_withheld,
    ),
    (
        "media_in_bytes",
        "Bytes of sound and pictures that came",
        |t| t.forwarded.bytes_in,
    ),
    (
        "media_out_bytes",
        "Bytes of sound and pictures handed to a receiver",
        |t| t.forwarded.bytes_out,
    ),
    (
        "media_lost_in",
        "Packets of browsers that never came, or came too late",
        |t| t.forwarded.lost_in,
    ),
    (
        "media_lost_out",
        "Packets that browsers say never came to them",
        |t| t.forwarded.lost_out,
    ),
    (
        "media_nacks_in",
        "Requests of browsers to send packets again",
        |t| t.forwarded.nacks_in,
    ),
    (
        "media_nacks_out",
        "Packets that browsers were asked to send again",
        |t| t.forwarded.nacks_out,
    ),
    (
        "media_plis_in",
        "Whole pictures that browsers asked for",
        |t| t.forwarded.plis_in,
    ),
    (
        "media_plis_out",
        "Whole pictures that browsers were asked for",
        |t| t.forwarded.plis_out,
    ),
    ("media_offers", "Offers of browsers", |t| t.forwarded.offers),
    (
        "media_offers_refused",
        "Offers of browsers that were refused",
        |t| t.forwarded.offers_refused,
    ),
    (
        "media_connections_lost",
        "Connections for media that ended because nothing came any more",
        |t| t.forwarded.connections_lost,
    ),
];

const GAUGES: [(&str, &str, Figure); 8] = [
    (
        "media_participants",
        "Participants of voice rooms, as the media know them",
        |t| t.forwarded.gauges.participants,
    ),
    (
        "media_rooms",
        "Voice rooms with a participant, as the media know them",
        |t| t.forwarded.gauges.rooms,
    ),
    (
        "media_connected",
        "Participants with a connection for media",
        |t| t.forwarded.gauges.connected,
    ),
    (
        "media_tcp_connections",
        "Connections for media over TCP",
        |t| t.tcp_connections,
    ),
    ("media_tracks_in", "Streams that come in", |t| {
        t.forwarded.gauges.tracks_in
    }),
    ("media_tracks_out", "Media by which browsers receive", |t| {
        t.forwarded.gauges.tracks_out
    }),
    (
        "media_bit_rate_in",
        "Bits of sound and pictures that come in, a second",
        |t| t.forwarded.gauges.bit_rate_in,
    ),
    (
        "media_bit_rate_out",
        "Bits of sound and pictures that go out, a second",
        |t| t.forwarded.gauges.bit_rate_out,
    ),
];

impl MediaMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let dropped = Family::<ReasonLabel, Counter>::default();
        let help = "Datagrams and packets that were dropped, by reason";
        registry.register("media_dropped", help, dropped.clone());
        let (jitter, round_trip) = (Gauge::default(), Gauge::default());
        let help = "How unevenly streams come in: the worst of all";
        registry.register_with_unit("media_jitter_max", help, Unit::Seconds, jitter.clone());
        let help = "The longest way to a browser and back";
        let name = "media_round_trip_max";
        registry.register_with_unit(name, help, Unit::Seconds, round_trip.clone());
        let busy = Counter::default();
        let help = "Time in which the thread for media did not sleep";
        registry.register_with_unit("media_busy", help, Unit::Seconds, busy.clone());
        Self {
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
            dropped: Dropped::ALL.map(|reason| {
                let reason = reason.as_str();
                dropped.get_or_create(&ReasonLabel { reason }).clone()
            }),
            busy,
            jitter,
            round_trip,
        }
    }

    /// Takes over what the thread has counted.
    pub(super) fn show(&self, totals: &MediaTotals) {
        for (counter, (_, _, figure)) in self.counters.iter().zip(COUNTERS) {
            counter.inc_by(figure(totals).saturating_sub(counter.get()));
        }
        for (gauge, (_, _, figure)) in self.gauges.iter().zip(GAUGES) {
            gauge.set(figure(totals) as i64);
        }
        for (counter, reason) in self.dropped.iter().zip(Dropped::ALL) {
            let count = totals.forwarded.dropped(reason);
            counter.inc_by(count.saturating_sub(counter.get()));
        }
        let seconds = |us: u64| us as f64 / 1_000_000.0;
        self.busy
            .inc_by((seconds(totals.busy_us) - self.busy.get()).max(0.0));
        self.jitter
            .set(seconds(totals.forwarded.gauges.jitter_max_us));
        self.round_trip
            .set(seconds(totals.forwarded.gauges.round_trip_max_us));
    }
}
