//! Addresses by their prefix.

use std::net::IpAddr;
use std::str::FromStr;

/// The networks whose proxies are believed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustedProxies(Vec<Network>);

/// All addresses that begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    first: IpAddr,
    /// Bits that all have in common.
    prefix: u32,
}

/// Networks that one list may have, since each connection is compared with all.
const NETWORKS_MAX: usize = 256;

/// Why a list of networks cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// It is neither an address nor a network.
    #[error("`{0}` is no address and no network such as 10.0.0.0/8 or fd00::/8")]
    Malformed(String),
    /// The address has bits beyond the prefix, so one of the two is wrong.
    #[error("`{0}` has bits beyond its prefix")]
    Beyond(String),
    /// The list is too long.
    #[error("more than {NETWORKS_MAX} networks")]
    TooMany,
}

impl TrustedProxies {
    /// Reads networks and addresses, separated by commas or spaces.
    ///
    /// # Errors
    /// See [`NetworkError`].
    pub fn parse(text: &str) -> Result<Self, NetworkError> {
        let words = text.split([',', ' ', '\n']).map(str::trim);
        let networks: Result<Vec<_>, _> = words
            .filter(|word| !word.is_empty())
            .map(Network::parse)
            .collect();
        let networks = networks?;
        if networks.len() > NETWORKS_MAX {
            return Err(NetworkError::TooMany);
        }
        Ok(Self(networks))
    }

    /// Returns whether nobody is trusted.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether an address is one of them.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|network| network.contains(ip))
    }
}

impl FromStr for TrustedProxies {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        Self::parse(text)
    }
}

impl Network {
    fn parse(word: &str) -> Result<Self, NetworkError> {
        let malformed = || NetworkError::Malformed(word.to_owned());
        let (address, prefix) = match word.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (word, None),
        };
        let first: IpAddr = address.parse().map_err(|_| malformed())?;
        let bits = bits_of(first);
        let prefix = match prefix {
            None => bits,
            Some(text) if text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse().map_err(|_| malformed())?
            }
            Some(_) => return Err(malformed()),
        };
        if prefix > bits {
            return Err(malformed());
        }
        let network = Self { first, prefix };
        if number_of(first) & !network.mask() != 0 {
            return Err(NetworkError::Beyond(word.to_owned()));
        }
        Ok(network.canonical())
    }

    /// Returns an IPv4 network that is written in the form of IPv6 as what it is.
    fn canonical(self) -> Self {
        let first = self.first.to_canonical();
        if self.first.is_ipv6() && first.is_ipv4() && self.prefix >= 96 {
            let prefix = self.prefix - 96;
            return Self { first, prefix };
        }
        self
    }

    /// Returns the bits that all have in common.
    fn mask(self) -> u128 {
        let bits = bits_of(self.first);
        let all = u128::MAX >> (128 - bits);
        // A shift by all of its bits is none.
        all & !all.checked_shr(self.prefix).unwrap_or(0)
    }

    fn contains(self, ip: IpAddr) -> bool {
        self.first.is_ipv4() == ip.is_ipv4()
            && (number_of(ip) ^ number_of(self.first)) & self.mask() == 0
    }
}

const fn bits_of(ip: IpAddr) -> u32 {
    if ip.is_ipv4() { 32 } else { 128 }
}

fn number_of(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_bits().into(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn trusts(list: &str, ip: &str) -> bool {
        let trusted = TrustedProxies::parse(list).unwrap();
        trusted.contains(ip.parse().unwrap())
    }

    #[test]
    fn addresses_belong_to_the_networks_that_they_begin_like() {
        let list = "10.0.0.0/8, 192.0.2.7 2001:db8::/33,::1";
        for inside in [
            "10.0.0.0",
            "10.255.255.255",
            "192.0.2.7",
            "2001:db8:7fff::",
            "::1",
        ] {
            assert!(trusts(list, inside), "{inside}");
        }
        for outside in [
            "11.0.0.0",
            "9.255.255.255",
            "192.0.2.6",
            "2001:db8:8000::",
            "::2",
        ] {
            assert!(!trusts(list, outside), "{outside}");
        }
        assert!(trusts("0.0.0.0/0", "1.2.3.4"));
        assert!(!trusts("0.0.0.0/0", "::1"));
        assert!(trusts("::/0", "2001:db8::1"));
        assert!(!trusts("", "127.0.0.1"));
    }

    #[test]
    fn an_ipv4_address_in_the_form_of_ipv6_is_what_it_is() {
        assert!(trusts("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(trusts("::ffff:10.0.0.0/104", "10.1.2.3"));
        assert!(!trusts("::ffff:10.0.0.0/104", "11.1.2.3"));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        let malformed = [
            "10.0.0/8",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "proxy",
            "10.0.0.0/8/8",
            "/8",
            "10.0.0.0/0008",
        ];
        for word in malformed {
            let refused = Err(NetworkError::Malformed(word.to_owned()));
            assert_eq!(TrustedProxies::parse(word), refused);
        }
        for word in ["10.0.0.1/8", "2001:db8::1/64", "1.0.0.0/0"] {
            let refused = Err(NetworkError::Beyond(word.to_owned()));
            assert_eq!(TrustedProxies::parse(word), refused);
        }
        let many = vec!["10.0.0.0/8"; NETWORKS_MAX + 1].join(",");
        assert_eq!(TrustedProxies::parse(&many), Err(NetworkError::TooMany));
    }

    proptest! {
        #[test]
        fn the_first_bits_decide(first: u32, prefix in 0_u32..=32, other: u32) {
            let cut = |number: u32| {
                (0..prefix).map(|bit| number >> (31 - bit) & 1).collect::<Vec<_>>()
            };
            let first = if prefix == 0 { 0 } else { first >> (32 - prefix) << (32 - prefix) };
            let list = format!("{}/{prefix}", std::net::Ipv4Addr::from(first));
            let trusted = TrustedProxies::parse(&list).unwrap();
            let other_ip = IpAddr::from(std::net::Ipv4Addr::from(other));
            prop_assert_eq!(trusted.contains(other_ip), cut(first) == cut(other));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = TrustedProxies::parse(&text);
        }
    }
}
