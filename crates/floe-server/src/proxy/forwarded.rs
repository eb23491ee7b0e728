//! What a trusted proxy says about its client, in the fields of a request.

use std::net::{IpAddr, SocketAddr};

use super::{Peer, TrustedProxies};

/// Returns who is behind a trusted proxy.
///
/// Every proxy adds the address that it saw at the end of `X-Forwarded-For`, so the client is the
/// last one that is no trusted proxy itself; what stands before it is the client's own word.
/// `Forwarded` (RFC 7239) is not read: a proxy that writes one of the two fields passes the other
/// on as the client wrote it.
pub(crate) fn forwarded<'a>(
    peer: Peer,
    trusted: &TrustedProxies,
    fields: impl DoubleEndedIterator<Item = (&'a str, &'a [u8])> + Clone,
) -> Peer {
    let named = |wanted: &'static str| {
        let found = fields.clone().rev();
        let found = found.filter(move |(name, _)| name.eq_ignore_ascii_case(wanted));
        found.flat_map(|(_, value)| value.rsplit(|byte| *byte == b',').map(<[u8]>::trim_ascii))
    };
    let mut ip = peer.ip;
    for word in named("x-forwarded-for").take(HOPS_MAX) {
        // Whoever stands before a hop that cannot be read is not known.
        let Some(hop) = address(word) else {
            break;
        };
        ip = hop;
        if !trusted.contains(ip) {
            break;
        }
    }
    let secure = match named("x-forwarded-proto").next() {
        Some(scheme) => scheme.eq_ignore_ascii_case(b"https"),
        None => peer.secure,
    };
    Peer {
        ip,
        secure,
        proxy: peer.proxy,
    }
}

/// Trusted proxies in a row that are looked behind.
const HOPS_MAX: usize = 32;

/// Reads an address that may have a port.
fn address(word: &[u8]) -> Option<IpAddr> {
    let word = std::str::from_utf8(word).ok()?;
    let bare = word
        .strip_prefix('[')
        .and_then(|word| word.strip_suffix(']'))
        .unwrap_or(word);
    let ip = bare.parse::<IpAddr>().ok();
    let ip = ip.or_else(|| word.parse::<SocketAddr>().ok().map(|address| address.ip()));
    Some(ip?.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn trusted() -> TrustedProxies {
        TrustedProxies::parse("10.0.0.0/8,fd00::/8").unwrap()
    }

    fn client(fields: &[(&str, &str)]) -> Peer {
        let proxy = Peer::new("10.0.0.1".parse().unwrap(), &trusted());
        assert!(proxy.proxy);
        let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
        forwarded(proxy, &trusted(), fields)
    }

    fn ip_of(value: &str) -> String {
        client(&[("X-Forwarded-For", value)]).ip.to_string()
    }

    #[test]
    fn the_client_is_the_last_address_that_is_no_trusted_proxy() {
        for (value, ip) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1, 10.9.9.9", "192.0.2.1"),
            ("1.1.1.1, 192.0.2.1 ,10.9.9.9,fd00::2", "192.0.2.1"),
            // All are trusted: the first of them spoke.
            ("10.2.2.2, 10.3.3.3", "10.2.2.2"),
            ("192.0.2.1:4711", "192.0.2.1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            // What cannot be read ends the row.
            ("192.0.2.1, unknown, 10.4.4.4", "10.4.4.4"),
            ("", "10.0.0.1"),
            ("unknown", "10.0.0.1"),
        ] {
            assert_eq!(ip_of(value), ip, "{value}");
        }
    }

    #[test]
    fn several_fields_are_one_list() {
        let fields = [
            ("x-forwarded-for", "192.0.2.1, 192.0.2.2"),
            ("host", "floe.test"),
            ("X-FORWARDED-FOR", "10.1.1.1"),
        ];
        assert_eq!(client(&fields).ip.to_string(), "192.0.2.2");
    }

    #[test]
    fn the_last_proxy_says_whether_the_client_is_encrypted() {
        assert!(client(&[("x-forwarded-proto", "HTTPS")]).secure);
        assert!(!client(&[("x-forwarded-proto", "https, http")]).secure);
        assert!(!client(&[]).secure);
    }

    proptest! {
        #[test]
        fn no_value_panics(value: Vec<u8>) {
            let proxy = Peer::new("10.0.0.1".parse().unwrap(), &trusted());
            let fields = [("x-forwarded-for", &value[..]), ("x-forwarded-proto", &value[..])];
            let _ = forwarded(proxy, &trusted(), fields.into_iter());
        }
    }
}
