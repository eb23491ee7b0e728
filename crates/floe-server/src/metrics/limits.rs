//! Metrics of limits.

use floe_surfaces::limits::{CountKind, RateKind, Scope};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// What was refused, and how much is remembered for that. Nobody is named.
#[derive(Debug, Clone)]
pub(super) struct LimitMetrics {
    refused: Family<Refused, Counter>,
    keys: Family<Keys, Gauge>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    scope: &'static str,
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Keys {
    scope: &'static str,
}

impl LimitMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let refused = Family::<Refused, Counter>::default();
        let help = "What limits and quotas refused, by scope and kind";
        registry.register("limited", help, refused.clone());
        for scope in Scope::ALL.map(Scope::as_str) {
            for kind in RateKind::ALL.map(RateKind::as_str) {
                drop(refused.get_or_create(&Refused { scope, kind }));
            }
            for kind in CountKind::ALL.map(CountKind::as_str) {
                drop(refused.get_or_create(&Refused { scope, kind }));
            }
        }
        let keys = Family::<Keys, Gauge>::default();
        let help = "Addresses, users, namespaces and rooms that limits remember";
        registry.register("limit_keys", help, keys.clone());
        Self { refused, keys }
    }

    pub(super) fn refused(&self, scope: Scope, kind: &'static str) {
        self.refused_so_many(scope, kind, 1);
    }

    pub(super) fn refused_so_many(&self, scope: Scope, kind: &'static str, count: u64) {
        let scope = scope.as_str();
        let counter = self.refused.get_or_create(&Refused { scope, kind });
        counter.inc_by(count);
    }

    pub(super) fn keys(&self, sizes: [(Scope, usize); 4]) {
        for (scope, size) in sizes {
            let scope = scope.as_str();
            self.keys.get_or_create(&Keys { scope }).set(size as i64);
        }
    }
}
