//! What must hold of all that a forwarder sends.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// Sees to it that nothing is sent to who did not prove to be there.
#[derive(Debug, Default)]
pub struct Guard {
    proved: BTreeSet<SocketAddr>,
    /// Bytes that came from an address, and that went there.
    bytes: BTreeMap<SocketAddr, (usize, usize)>,
}

impl Guard {
    /// Takes note that somebody at an address shows that they know the secret.
    pub fn proves(&mut self, address: SocketAddr) {
        self.proved.insert(address);
    }

    /// Takes note of what comes from an address.
    pub fn came(&mut self, address: SocketAddr, bytes: usize) {
        self.bytes.entry(address).or_default().0 += bytes;
    }

    /// Takes note of what goes to an address.
    pub fn goes(&mut self, address: SocketAddr, bytes: usize) {
        assert!(
            self.proved.contains(&address),
            "{bytes} bytes to {address}, where nobody proved to be"
        );
        self.bytes.entry(address).or_default().1 += bytes;
    }

    /// Returns how many bytes came from an address, and how many went there.
    pub fn bytes(&self, address: SocketAddr) -> (usize, usize) {
        self.bytes.get(&address).copied().unwrap_or_default()
    }
}
