//! Metrics of voice rooms.

use floe_proto::Code;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::shard::VoiceTotals;

/// Who takes part in voice rooms, and who was refused. Nobody is named.
#[derive(Debug, Clone)]
pub(super) struct VoiceMetrics {
    rooms: Gauge,
    participants: Gauge,
    sessions: Counter,
    refused: Family<Refused, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    code: &'static str,
}

impl VoiceMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let (rooms, participants) = (Gauge::default(), Gauge::default());
        registry.register("voice_rooms", "Voice rooms with a session", rooms.clone());
        let help = "Participants of voice rooms";
        registry.register("voice_participants", help, participants.clone());
        let sessions = Counter::default();
        let help = "Sessions of voice rooms that began";
        registry.register("voice_sessions", help, sessions.clone());
        let refused = Family::<Refused, Counter>::default();
        let help = "Joins that voice rooms refused, by code";
        registry.register("voice_joins_refused", help, refused.clone());
        for code in [Code::LimitReached, Code::Forbidden] {
            let code = code.as_str();
            drop(refused.get_or_create(&Refused { code }));
        }
        Self {
            rooms,
            participants,
            sessions,
            refused,
        }
    }

    pub(super) fn show(&self, totals: VoiceTotals) {
        self.rooms.set(totals.rooms as i64);
        self.participants.set(totals.participants as i64);
    }

    pub(super) fn session(&self) {
        self.sessions.inc();
    }

    pub(super) fn refused(&self, code: Code) {
        let code = code.as_str();
        self.refused.get_or_create(&Refused { code }).inc();
    }
}
