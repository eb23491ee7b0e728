//! Metrics of recordings of voice rooms.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::recordings::Why;

/// How recordings go. Nobody is named.
#[derive(Debug, Clone)]
pub struct RecordingMetrics {
    under_way: Gauge,
    ended: Family<Ended, Counter>,
    bytes: Counter,
    dropped: Counter,
    moved: Counter,
    pruned: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    reason: &'static str,
}

impl RecordingMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let under_way = Gauge::default();
        let help = "Recordings of voice rooms under way";
        registry.register("media_recordings", help, under_way.clone());
        let ended = Family::<Ended, Counter>::default();
        let help = "Recordings of voice rooms that ended, by reason";
        registry.register("media_recordings_ended", help, ended.clone());
        for why in Why::ALL {
            let reason = why.as_str();
            drop(ended.get_or_create(&Ended { reason }));
        }
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        Self {
            under_way,
            ended,
            bytes: counter(
                "media_recording_bytes",
                "Bytes written to files of recordings",
            ),
            dropped: counter(
                "media_recording_packets_dropped",
                "Packets that came faster than they could be recorded",
            ),
            moved: counter(
                "media_recordings_moved",
                "Recordings whose files moved to the store of cold data",
            ),
            pruned: counter(
                "media_recordings_pruned",
                "Recordings that were deleted for their age",
            ),
        }
    }

    /// Shows how many are under way.
    pub fn under_way(&self, recordings: usize) {
        self.under_way.set(recordings as i64);
    }

    /// Counts one that ended.
    pub fn ended(&self, why: Why) {
        let reason = why.as_str();
        self.ended.get_or_create(&Ended { reason }).inc();
    }

    /// Counts bytes that were written.
    pub fn written(&self, bytes: u64) {
        self.bytes.inc_by(bytes);
    }

    /// Counts packets that there was no room for.
    pub fn dropped(&self, packets: u64) {
        self.dropped.inc_by(packets);
    }

    /// Counts one whose files moved, if they did.
    pub fn moved(&self, moved: bool) {
        self.moved.inc_by(u64::from(moved));
    }

    /// Counts those that were deleted for their age.
    pub fn pruned(&self, recordings: usize) {
        self.pruned.inc_by(recordings as u64);
    }
}
