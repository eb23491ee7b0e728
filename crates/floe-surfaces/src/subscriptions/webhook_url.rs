//! Which addresses a webhook may have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::address::is_public;

/// A webhook's address, taken apart and found allowed.
///
/// The name in it says nothing about where it leads: whoever connects asks [`admits`](Self::admits)
/// of each address that the name resolves to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookUrl {
    /// Whether the connection is encrypted.
    pub secure: bool,
    /// Name or address, without brackets, in lower case.
    pub host: Box<str>,
    /// Port, the scheme's default if none was given.
    pub port: u16,
    /// Path and query, beginning with a slash.
    pub target: Box<str>,
    /// Host and port as the `Host` field wants them.
    pub authority: Box<str>,
    /// Whether it is this machine, by the exception for development.
    pub local: bool,
}

impl WebhookUrl {
    /// Checks an address: `https` to a public host, and while developing `http` to this machine.
    ///
    /// # Errors
    /// See [`UrlError`].
    pub fn parse(text: &str, development: bool) -> Result<Self, UrlError> {
        let (url, host) = Self::take_apart(text)?;
        if url.local && !development {
            return Err(UrlError::Local);
        }
        if !url.local {
            host.check_public()?;
            if !url.secure {
                return Err(UrlError::Insecure);
            }
            if url.port != 443 && url.port < 1_024 {
                return Err(UrlError::Port { port: url.port });
            }
        }
        Ok(url)
    }

    /// Takes apart an address that the operator chose: any host, encrypted or not.
    ///
    /// # Errors
    /// See [`UrlError`].
    pub fn parse_trusted(text: &str) -> Result<Self, UrlError> {
        Self::take_apart(text).map(|(url, _)| url)
    }

    fn take_apart(text: &str) -> Result<(Self, Host), UrlError> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains(['\\', '#']) {
            return Err(UrlError::Malformed);
        }
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Malformed)?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(UrlError::Scheme),
        };
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(at);
        let (host, port) = split_authority(authority)?;
        let host = Host::parse(host)?;
        let slash = if target.starts_with('/') { "" } else { "/" };
        let url = Self {
            secure,
            host: host.text(),
            port: port.unwrap_or(if secure { 443 } else { 80 }),
            target: format!("{slash}{target}").into(),
            authority: authority.to_ascii_lowercase().into(),
            local: host.is_this_machine(),
        };
        Ok((url, host))
    }

    /// Returns whether a connection to `address`, which the host resolved to, is allowed.
    #[must_use]
    pub fn admits(&self, address: IpAddr) -> bool {
        is_public(address) || (self.local && address.is_loopback())
    }
}

/// Why a webhook address is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It cannot be read without doubt.
    #[error("webhook.url is not a plain http or https address")]
    Malformed,
    /// Another protocol.
    #[error("webhook.url must use https")]
    Scheme,
    /// Credentials belong nowhere near an address.
    #[error("webhook.url must not carry user information")]
    UserInfo,
    /// Only this machine may be called without encryption, and only while developing.
    #[error("webhook.url must use https; http is for localhost while developing")]
    Insecure,
    /// The server does not call itself outside of development.
    #[error("webhook.url must not be this machine")]
    Local,
    /// The host is not on the public internet.
    #[error("webhook.url must be a public host")]
    Private,
    /// Another service lives there.
    #[error("webhook.url must use port 443 or one from 1024 on, not {port}")]
    Port {
        /// What was given.
        port: u16,
    },
}

#[derive(Debug)]
enum Host {
    Name(String),
    Address(IpAddr),
}

impl Host {
    fn parse(text: &str) -> Result<Self, UrlError> {
        if let Some(text) = text.strip_prefix('[') {
            let text = text.strip_suffix(']').ok_or(UrlError::Malformed)?;
            let address = text.parse::<Ipv6Addr>().map_err(|_| UrlError::Malformed)?;
            return Ok(Self::Address(address.into()));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !name.bytes().all(allowed) || name.split('.').any(str::is_empty) {
            return Err(UrlError::Malformed);
        }
        // A name never ends in a number; some resolvers read such a host as an address in octal,
        // hexadecimal or fewer parts, so only the plain form is taken.
        let last = name.rsplit('.').next().unwrap_or_default();
        let is_number = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
        if is_number {
            let address = name.parse::<Ipv4Addr>().map_err(|_| UrlError::Malformed)?;
            return Ok(Self::Address(address.into()));
        }
        Ok(Self::Name(name))
    }

    fn is_this_machine(&self) -> bool {
        match self {
            Self::Name(name) => name == "localhost",
            Self::Address(address) => address.is_loopback(),
        }
    }

    fn check_public(&self) -> Result<(), UrlError> {
        let public = match self {
            Self::Name(name) => {
                let inside = [
                    ".localhost",
                    ".local",
                    ".internal",
                    ".intranet",
                    ".home.arpa",
                ];
                name.contains('.') && !inside.iter().any(|end| name.ends_with(end))
            }
            Self::Address(address) => is_public(*address),
        };
        public.then_some(()).ok_or(UrlError::Private)
    }

    fn text(&self) -> Box<str> {
        match self {
            Self::Name(name) => name.as_str().into(),
            Self::Address(address) => address.to_string().into(),
        }
    }
}

fn split_authority(authority: &str) -> Result<(&str, Option<u16>), UrlError> {
    if authority.contains('@') {
        return Err(UrlError::UserInfo);
    }
    if authority.ends_with(']') {
        return Ok((authority, None));
    }
    let Some(at) = authority.rfind(':') else {
        return Ok((authority, None));
    };
    let digits = &authority[at + 1..];
    let port = digits.parse().ok().filter(|port| *port > 0);
    if digits.starts_with('+') || port.is_none() {
        return Err(UrlError::Malformed);
    }
    Ok((&authority[..at], port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn public_https_is_allowed() {
        let url = WebhookUrl::parse("HTTPS://Hooks.Example.com:8443/a/b?c=d", false).unwrap();
        let expected = WebhookUrl {
            secure: true,
            host: "hooks.example.com".into(),
            port: 8_443,
            target: "/a/b?c=d".into(),
            authority: "hooks.example.com:8443".into(),
            local: false,
        };
        assert_eq!(url, expected);
        for text in [
            "https://e.com",
            "https://e.com?x",
            "https://1.1.1.1/",
            "https://[2606:4700::1]:4443",
        ] {
            assert!(WebhookUrl::parse(text, false).is_ok(), "{text}");
        }
    }

    #[test]
    fn this_machine_is_for_development() {
        for text in [
            "http://localhost:1/x",
            "http://127.0.0.1:80",
            "http://[::1]:9",
            "https://localhost",
        ] {
            assert!(WebhookUrl::parse(text, true).unwrap().local, "{text}");
            assert_eq!(
                WebhookUrl::parse(text, false),
                Err(UrlError::Local),
                "{text}"
            );
        }
    }

    #[test]
    fn the_operator_may_choose_any_host() {
        for (text, port) in [
            ("http://10.0.0.1/keys", 80),
            ("http://keys.internal:22/", 22),
            ("https://localhost/", 443),
        ] {
            let url = WebhookUrl::parse_trusted(text);
            assert_eq!(url.map(|url| url.port), Ok(port), "{text}");
        }
        for (text, why) in [
            ("file:///etc/passwd", UrlError::Scheme),
            ("https://user:secret@example.com/", UrlError::UserInfo),
        ] {
            assert_eq!(WebhookUrl::parse_trusted(text), Err(why), "{text}");
        }
    }

    #[test]
    fn everything_else_is_rejected() {
        for (text, why) in [
            ("http://10.0.0.1/hook", UrlError::Private),
            ("https://10.0.0.1/hook", UrlError::Private),
            ("https://169.254.169.254/latest", UrlError::Private),
            ("https://[fd00:ec2::254]/", UrlError::Private),
            ("https://[::ffff:127.0.0.1]/", UrlError::Private),
            ("https://100.64.1.1/", UrlError::Private),
            ("https://224.0.0.1/", UrlError::Private),
            ("https://metadata.google.internal/", UrlError::Private),
            ("https://printer.local/", UrlError::Private),
            ("https://a.localhost/", UrlError::Private),
            ("https://intranet/", UrlError::Private),
            ("http://example.com/", UrlError::Insecure),
            ("ftp://example.com/", UrlError::Scheme),
            ("file:///etc/passwd", UrlError::Scheme),
            ("https://user:secret@example.com/", UrlError::UserInfo),
            ("https://example.com@10.0.0.1/", UrlError::UserInfo),
            ("https://example.com:22/", UrlError::Port { port: 22 }),
            ("https://example.com:0/", UrlError::Malformed),
            ("https://example.com:99999/", UrlError::Malformed),
            ("https://example.com:/", UrlError::Malformed),
            ("https://2130706433/", UrlError::Malformed),
            ("https://0x7f000001/", UrlError::Malformed),
            ("https://127.1/", UrlError::Malformed),
            ("https://010.0.0.1/", UrlError::Malformed),
            ("https://[::1", UrlError::Malformed),
            ("https://[fe80::1%25eth0]/", UrlError::Malformed),
            ("https:///x", UrlError::Malformed),
            ("https://a..b/", UrlError::Malformed),
            ("https://exa mple.com/", UrlError::Malformed),
            ("https://example.com\\@10.0.0.1/", UrlError::Malformed),
            ("https://ex\u{e4}mple.com/", UrlError::Malformed),
            ("https://example.com/#x", UrlError::Malformed),
            ("https://a.b/\r\nx: y", UrlError::Malformed),
            ("example.com", UrlError::Malformed),
            ("", UrlError::Malformed),
        ] {
            assert_eq!(WebhookUrl::parse(text, true), Err(why), "{text}");
        }
    }

    #[test]
    fn a_name_admits_only_public_addresses() {
        let url = WebhookUrl::parse("https://example.com/", true).unwrap();
        let loopback = "127.0.0.1".parse().unwrap();
        assert!(url.admits("1.1.1.1".parse().unwrap()));
        assert!(!url.admits(loopback) && !url.admits("10.0.0.1".parse().unwrap()));
        let local = WebhookUrl::parse("http://localhost/", true).unwrap();
        assert!(local.admits(loopback) && !local.admits("10.0.0.1".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn any_text_is_rejected_or_harmless(text in "(https?://)?[a-z0-9.:@/\\[\\]%-]{0,40}") {
            if let Ok(url) = WebhookUrl::parse(&text, false) {
                prop_assert!(url.secure && !url.local && !url.authority.contains('@'));
                if let Ok(address) = url.host.parse() {
                    prop_assert!(is_public(address));
                }
            }
        }
    }
}
