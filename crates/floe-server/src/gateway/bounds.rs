//! Bounds of the gateway, which may change while it runs.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::settings::Limits;

/// Bounds of what begins; each is looked at when something does.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    connections_max: AtomicUsize,
    handshake_timeout_ms: AtomicU64,
    stall_timeout_ms: AtomicU64,
    idle_timeout_ms: AtomicU64,
}

impl Bounds {
    pub(super) fn new(limits: &Limits) -> Self {
        let bounds = Self::default();
        bounds.set(limits);
        bounds
    }

    pub(super) fn set(&self, limits: &Limits) {
        let relaxed = Ordering::Relaxed;
        self.connections_max
            .store(limits.http_connections_max, relaxed);
        self.handshake_timeout_ms
            .store(limits.handshake_timeout_ms, relaxed);
        self.stall_timeout_ms
            .store(limits.reader_stall_timeout_ms, relaxed);
        self.idle_timeout_ms
            .store(limits.http_idle_timeout_ms, relaxed);
    }

    /// Connections at once.
    pub(super) fn connections_max(&self) -> usize {
        self.connections_max.load(Ordering::Relaxed)
    }

    /// Time for a connection to begin.
    pub(super) fn handshake_timeout(&self) -> Duration {
        Duration::from_millis(self.handshake_timeout_ms.load(Ordering::Relaxed))
    }

    /// Time that a connection may be open without a request.
    pub(super) fn idle_timeout(&self) -> Duration {
        Duration::from_millis(self.idle_timeout_ms.load(Ordering::Relaxed))
    }

    /// Time that a client may leave untaken what it is sent.
    pub(super) fn stall_timeout(&self) -> Duration {
        Duration::from_millis(self.stall_timeout_ms.load(Ordering::Relaxed))
    }
}
