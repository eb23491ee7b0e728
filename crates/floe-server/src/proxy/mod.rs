//! Who is at the other end, where proxies stand between.
//!
//! A proxy can say whose connection it passes on, with a header before the first byte (the PROXY
//! protocol) or with fields of each request (`X-Forwarded-For`, `X-Forwarded-Proto`). Both can be
//! written by anyone, so they are believed only from the addresses that the operator names.

mod forwarded;
mod header;
mod networks;

use std::net::IpAddr;

pub(crate) use forwarded::forwarded;
pub(crate) use header::{HEADER_BYTES_MAX, Header, read_header};
pub use networks::{NetworkError, TrustedProxies};

/// Which proxies are believed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProxySettings {
    /// Addresses of proxies that are believed; none.
    pub trusted: TrustedProxies,
    /// Whether every connection begins with a header of the PROXY protocol, version 1 or 2, and
    /// comes from a trusted proxy; any other is closed. Off.
    pub protocol: bool,
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer {
    /// The address; never an IPv4 address in the form of IPv6.
    pub ip: IpAddr,
    /// Whether the connection is encrypted.
    pub secure: bool,
    /// Whether this is a trusted proxy, whose word on its clients is taken.
    pub proxy: bool,
}

impl Peer {
    /// Returns the peer of an unencrypted connection from `ip`.
    pub fn new(ip: IpAddr, trusted: &TrustedProxies) -> Self {
        let ip = ip.to_canonical();
        Self {
            ip,
            secure: false,
            proxy: trusted.contains(ip),
        }
    }
}
