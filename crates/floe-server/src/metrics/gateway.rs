//! What the gateway counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Metrics of connections that begin with more than a request.
#[derive(Debug, Clone)]
pub struct GatewayMetrics {
    connections: Gauge,
    handshakes: Counter,
    seconds: Histogram,
    failures: [Counter; Refusal::ALL.len()],
}

/// Why a connection ended before its first request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It took longer than it may.
    Timeout,
    /// Others waited for their turn, and it was slow; or it was its turn too late.
    Crowded,
    /// The client went away.
    Closed,
    /// It speaks HTTP where TLS is spoken.
    Plain,
    /// What was said is no TLS that both sides understand.
    Tls,
    /// It does not begin with a header of the PROXY protocol.
    ProxyHeader,
    /// It is not from a trusted proxy.
    Untrusted,
    /// The server is stopping.
    Stopping,
}

impl Refusal {
    const ALL: [(Self, &'static str); 8] = [
        (Self::Timeout, "timeout"),
        (Self::Crowded, "crowded"),
        (Self::Closed, "closed"),
        (Self::Plain, "plain"),
        (Self::Tls, "tls"),
        (Self::ProxyHeader, "proxy_header"),
        (Self::Untrusted, "untrusted"),
        (Self::Stopping, "stopping"),
    ];
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

impl GatewayMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let connections = Gauge::default();
        registry.register(
            "gateway_connections",
            "Open connections of TLS and HTTP/2, and those that have yet to begin",
            connections.clone(),
        );
        let handshakes = Counter::default();
        registry.register(
            "tls_handshakes",
            "TLS handshakes that succeeded",
            handshakes.clone(),
        );
        let seconds = Histogram::new(exponential_buckets(0.000_5, 2.0, 15));
        registry.register_with_unit(
            "tls_handshake",
            "Time of TLS handshakes that succeeded",
            Unit::Seconds,
            seconds.clone(),
        );
        let failures = Family::<ReasonLabel, Counter>::default();
        registry.register(
            "handshake_failures",
            "Connections that ended before their first request, by reason",
            failures.clone(),
        );
        Self {
            connections,
            handshakes,
            seconds,
            failures: Refusal::ALL
                .map(|(_, reason)| failures.get_or_create(&ReasonLabel { reason }).clone()),
        }
    }

    /// Notes how many connections there are.
    pub fn connections(&self, count: usize) {
        self.connections.set(count as i64);
    }

    /// Notes a handshake that succeeded.
    pub fn handshake(&self, seconds: f64) {
        self.handshakes.inc();
        self.seconds.observe(seconds);
    }

    /// Counts a connection that ended before its first request.
    pub fn refused(&self, refusal: Refusal) {
        self.failures[refusal as usize].inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_under_their_own_reasons() {
        for (at, (refusal, _)) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal as usize, at);
        }
    }
}
