//! What browsers are told of where the server is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::settings::PublicAddress;

/// Addresses that browsers are told of one protocol.
const TOLD_MAX: usize = 16;

/// Returns where browsers reach sockets that listen on `bound`; `public` goes before them.
pub fn announced(bound: &[SocketAddr], public: &[PublicAddress]) -> Vec<SocketAddr> {
    announce(bound, public, &machine_addresses())
}

fn announce(bound: &[SocketAddr], public: &[PublicAddress], machine: &[IpAddr]) -> Vec<SocketAddr> {
    let mut told = Vec::new();
    for address in public {
        let same = bound
            .iter()
            .find(|bound| bound.is_ipv4() == address.ip.is_ipv4());
        let port = same.or(bound.first()).map(SocketAddr::port);
        let port = address.port.or(port);
        told.extend(port.map(|port| SocketAddr::new(address.ip, port)));
    }
    if told.is_empty() {
        for address in bound {
            let ips = reached(address.ip(), machine);
            told.extend(ips.map(|ip| SocketAddr::new(ip, address.port())));
        }
    }
    let mut once: Vec<SocketAddr> = Vec::new();
    for address in told {
        if once.len() < TOLD_MAX && !once.contains(&address) {
            once.push(address);
        }
    }
    once
}

/// Returns by which of the machine's addresses a socket that listens on one is reached.
fn reached(ip: IpAddr, machine: &[IpAddr]) -> impl Iterator<Item = IpAddr> {
    let found: Vec<IpAddr> = match ip {
        _ if !ip.is_unspecified() => vec![ip],
        // It takes what comes to the older addresses, too.
        IpAddr::V6(_) => machine.to_vec(),
        IpAddr::V4(_) => machine.iter().copied().filter(IpAddr::is_ipv4).collect(),
    };
    let alone = match ip {
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    let alone = found.is_empty().then_some(alone);
    found.into_iter().chain(alone)
}

/// Returns the addresses at which other machines may reach this one.
fn machine_addresses() -> Vec<IpAddr> {
    let found = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::warn!(%error, "this machine's addresses are not known");
        Vec::new()
    });
    let ips = found.iter().map(if_addrs::Interface::ip);
    ips.filter(|ip| may_reach(*ip)).collect()
}

/// Returns whether an address means the same to others as to this machine.
const fn may_reach(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local() && !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local() && !ip.is_unspecified(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn told(bound: &[&str], public: &[&str], machine: &[&str]) -> Vec<SocketAddr> {
        let public: Vec<_> = public.iter().map(|text| text.parse().unwrap()).collect();
        let machine: Vec<_> = machine.iter().map(|text| text.parse().unwrap()).collect();
        announce(&addresses(bound), &public, &machine)
    }

    #[test]
    fn an_address_listened_on_is_told_as_it_is() {
        let bound = ["127.0.0.1:7", "[::1]:8"];
        assert_eq!(told(&bound, &[], &["10.0.0.1"]), addresses(&bound));
    }

    #[test]
    fn who_listens_everywhere_is_reached_at_the_machines_addresses_or_else_from_itself() {
        let machine = ["10.0.0.1", "2001:db8::1"];
        let all = ["10.0.0.1:7", "[2001:db8::1]:7"];
        assert_eq!(told(&["0.0.0.0:7"], &[], &machine), addresses(&all[..1]));
        assert_eq!(told(&["[::]:7"], &[], &machine), addresses(&all));
        let both = told(&["0.0.0.0:7", "[::]:7"], &[], &machine);
        assert_eq!(both, addresses(&all), "each once");
        assert_eq!(told(&["0.0.0.0:7"], &[], &[]), addresses(&["127.0.0.1:7"]));
        assert_eq!(told(&["[::]:7"], &[], &[]), addresses(&["[::1]:7"]));
    }

    #[test]
    fn public_addresses_are_told_instead_with_the_port_listened_on_or_their_own() {
        let bound = ["0.0.0.0:7", "[::]:8"];
        let public = ["203.0.113.7", "2001:db8::7", "203.0.113.7:9"];
        let expected = ["203.0.113.7:7", "[2001:db8::7]:8", "203.0.113.7:9"];
        assert_eq!(told(&bound, &public, &["10.0.0.1"]), addresses(&expected));
    }

    #[test]
    fn what_means_nothing_to_others_is_no_address_of_the_machine() {
        let kept = ["10.0.0.1", "fd00::1", "203.0.113.7"];
        let left = ["127.0.0.1", "169.254.1.1", "fe80::1", "::1"];
        assert!(kept.iter().all(|ip| may_reach(ip.parse().unwrap())));
        assert!(!left.iter().any(|ip| may_reach(ip.parse().unwrap())));
    }
}
