//! Whose a datagram is.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use str0m::net::Protocol;

/// Where a datagram came from.
pub type Remote = (Protocol, SocketAddr);

/// Addresses from which one browser may send at once; the oldest is forgotten.
const REMOTES_MAX: usize = 8;

/// For how long an address is of the one who proved to have it, and of nobody else. Browsers prove it again
/// every few seconds, at most six (RFC 7675).
const HOLD: Duration = Duration::from_secs(10);

/// Finds peers by the address that they send from, and by the ufrag that STUN messages name.
///
/// An address is believed only once a message from it has proved that its sender knows the peer's
/// secret. Who writes an address that somebody else has as theirs proves nothing by it.
#[derive(Debug, Default)]
pub struct Demux {
    by_remote: HashMap<Remote, Holder>,
    by_ufrag: HashMap<Box<str>, usize>,
    remotes: HashMap<usize, Vec<Remote>>,
}

#[derive(Debug, Clone, Copy)]
struct Holder {
    peer: usize,
    proved_at: Instant,
}

impl Demux {
    /// Returns who sends from an address.
    pub fn peer_at(&self, remote: Remote) -> Option<usize> {
        self.by_remote.get(&remote).map(|holder| holder.peer)
    }

    /// Whether an address is, by now, of somebody else.
    pub fn is_taken(&self, remote: Remote, peer: usize, now: Instant) -> bool {
        self.by_remote.get(&remote).is_some_and(|holder| {
            holder.peer != peer && now.saturating_duration_since(holder.proved_at) < HOLD
        })
    }

    /// Returns who is meant by a ufrag.
    pub fn peer_named(&self, ufrag: &str) -> Option<usize> {
        self.by_ufrag.get(ufrag).copied()
    }

    /// Takes note of what a peer is called.
    pub fn name(&mut self, ufrag: &str, peer: usize) {
        self.by_ufrag.insert(ufrag.into(), peer);
    }

    /// Takes note that a peer is not called so any more.
    pub fn forget_name(&mut self, ufrag: &str) {
        self.by_ufrag.remove(ufrag);
    }

    /// Takes note that a peer has proved to send from an address.
    pub fn believe(&mut self, remote: Remote, peer: usize, now: Instant) {
        let holder = Holder {
            peer,
            proved_at: now,
        };
        let before = self.by_remote.insert(remote, holder);
        let before = before.map(|holder| holder.peer);
        if before == Some(peer) {
            return;
        }
        if let Some(before) = before
            && let Some(remotes) = self.remotes.get_mut(&before)
        {
            remotes.retain(|one| *one != remote);
        }
        let remotes = self.remotes.entry(peer).or_default();
        if remotes.len() == REMOTES_MAX {
            let oldest = remotes.remove(0);
            self.by_remote.remove(&oldest);
        }
        remotes.push(remote);
    }

    /// Forgets all addresses of a peer.
    pub fn forget(&mut self, peer: usize) {
        for remote in self.remotes.remove(&peer).unwrap_or_default() {
            self.by_remote.remove(&remote);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(port: u16) -> Remote {
        (Protocol::Udp, ([127, 0, 0, 1], port).into())
    }

    #[test]
    fn a_peer_is_found_by_the_newest_of_its_addresses_alone() {
        let now = Instant::now();
        let mut demux = Demux::default();
        for port in 1..=10 {
            demux.believe(remote(port), 3, now);
        }
        assert_eq!(demux.peer_at(remote(2)), None);
        assert_eq!(demux.peer_at(remote(3)), Some(3));
        demux.forget(3);
        assert_eq!(demux.peer_at(remote(10)), None);
    }

    #[test]
    fn an_address_that_another_proves_to_have_is_theirs_once_it_is_free() {
        let start = Instant::now();
        let mut demux = Demux::default();
        demux.believe(remote(1), 3, start);
        assert!(!demux.is_taken(remote(1), 3, start));
        assert!(demux.is_taken(remote(1), 4, start));
        let later = start + HOLD;
        assert!(!demux.is_taken(remote(1), 4, later));
        demux.believe(remote(1), 4, later);
        demux.forget(3);
        assert_eq!(demux.peer_at(remote(1)), Some(4));
    }
}
