//! What finding out who asks counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// Something about callers that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessFigure {
    /// A signed token was checked.
    Verified,
    /// A caller was known from before.
    Recalled,
    /// Keys of an issuer were asked for.
    KeysFetched,
    /// They did not come.
    KeysFailed,
    /// The webhook was asked.
    Asked,
    /// It did not answer.
    AskFailed,
}

const FIGURES: [(AccessFigure, &str, &str); 6] = [
    (
        AccessFigure::Verified,
        "access_tokens_verified",
        "Signed tokens that were checked and found good",
    ),
    (
        AccessFigure::Recalled,
        "access_recalled",
        "Callers by token or webhook that were known from before",
    ),
    (
        AccessFigure::KeysFetched,
        "access_key_fetches",
        "Fetches of the keys of issuers",
    ),
    (
        AccessFigure::KeysFailed,
        "access_key_failures",
        "Fetches of the keys of issuers that failed",
    ),
    (
        AccessFigure::Asked,
        "access_webhook_questions",
        "Questions to the authorisation webhook",
    ),
    (
        AccessFigure::AskFailed,
        "access_webhook_failures",
        "Questions that the authorisation webhook did not answer",
    ),
];

/// Metrics of callers.
#[derive(Debug, Clone)]
pub(super) struct AccessMetrics {
    counters: [Counter; FIGURES.len()],
}

impl AccessMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        Self {
            counters: FIGURES.map(|(_, name, help)| {
                let counter = Counter::default();
                registry.register(name, help, counter.clone());
                counter
            }),
        }
    }

    pub(super) fn count(&self, figure: AccessFigure) {
        for (counter, (of, ..)) in self.counters.iter().zip(FIGURES) {
            if of == figure {
                counter.inc();
            }
        }
    }
}
