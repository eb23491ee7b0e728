//! A server, and the connections to it.

use http::Uri;
use rustls::pki_types::ServerName;

use crate::retry::RetryPolicy;
use crate::stream::Stream;
use crate::transport::Transport;

/// A server of streams; clones share its connections.
#[derive(Debug, Clone)]
pub struct Client {
    transport: Transport,
    /// URL of the streams' root, without a slash at its end.
    root: String,
}

impl Client {
    /// Makes a client for `http[s]://host[:port][/root]`; the root defaults to `/v1/stream`.
    ///
    /// Nothing is sent yet.
    pub fn new(url: &str) -> Result<Self, UrlError> {
        let uri = parse(url)?;
        let root = match uri.path() {
            "/" | "" => format!("{}/v1/stream", url.trim_end_matches('/')),
            _ => url.trim_end_matches('/').to_owned(),
        };
        Ok(Self {
            transport: Transport::new(RetryPolicy::default()),
            root,
        })
    }

    /// Replaces the retry policy for everything that is made from this client from now on.
    #[must_use]
    pub fn with_retry_policy(mut self, policy: RetryPolicy) -> Self {
        self.transport = self.transport.with_policy(policy);
        self
    }

    /// Returns the stream at `path` below the root; nothing is sent yet.
    ///
    /// Bytes that a URL cannot hold are escaped; a slash stays a slash.
    #[must_use]
    pub fn stream(&self, path: &str) -> Stream {
        let url = format!("{}/{}", self.root, escape(path.trim_start_matches('/')));
        Stream::new(self.transport.clone(), url)
    }
}

impl Stream {
    /// Makes a handle for a stream by its whole URL, with connections of its own.
    pub fn at(url: &str) -> Result<Self, UrlError> {
        parse(url)?;
        let transport = Transport::new(RetryPolicy::default());
        Ok(Self::new(transport, url.to_owned()))
    }
}

/// Why a URL cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// Another scheme.
    #[error(
        "the URL must start with http:// or https://; for live rooms also with ws:// or wss://"
    )]
    Scheme,
    /// It is not a URL, or has a query.
    #[error("not a URL: {url}")]
    Malformed {
        /// What was given.
        url: String,
    },
}

/// Checks a URL.
pub(crate) fn check(url: &str) -> Result<(), UrlError> {
    parse(url).map(drop)
}

fn parse(url: &str) -> Result<Uri, UrlError> {
    let malformed = || UrlError::Malformed {
        url: url.to_owned(),
    };
    let uri: Uri = url.parse().map_err(|_| malformed())?;
    match uri.scheme_str() {
        Some("http" | "https") => {}
        Some(_) | None => return Err(UrlError::Scheme),
    }
    if uri.host().is_none_or(str::is_empty) || uri.query().is_some() || url.contains('#') {
        return Err(malformed());
    }
    Ok(uri)
}

/// Where live rooms are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// Host and port to connect to.
    pub(crate) connect: String,
    /// The value of `Host`.
    pub(crate) host: String,
    /// Whose certificate is wanted, where TLS is spoken.
    pub(crate) secure: Option<ServerName<'static>>,
}

/// Returns where to connect for a URL without a path.
pub(crate) fn address(url: &str) -> Result<Address, UrlError> {
    // A WebSocket begins as a request of HTTP.
    let (scheme, rest) = url.split_once("://").ok_or(UrlError::Scheme)?;
    let uri = match scheme {
        "ws" => parse(&format!("http://{rest}"))?,
        "wss" => parse(&format!("https://{rest}"))?,
        _ => parse(url)?,
    };
    let malformed = || UrlError::Malformed {
        url: url.to_owned(),
    };
    let authority = uri.authority().filter(|_| matches!(uri.path(), "/" | ""));
    let authority = authority.ok_or_else(malformed)?;
    let is_secure = uri.scheme_str() == Some("https");
    let port = authority.port_u16();
    let port = port.unwrap_or(if is_secure { 443 } else { 80 });
    let secure = match is_secure {
        true => Some(server_name(authority.host()).ok_or_else(malformed)?),
        false => None,
    };
    Ok(Address {
        connect: format!("{}:{port}", authority.host()),
        host: authority.as_str().to_owned(),
        secure,
    })
}

/// Returns what a certificate must name for a host as it stands in a URL.
pub(crate) fn server_name(host: &str) -> Option<ServerName<'static>> {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    ServerName::try_from(bare.unwrap_or(host).to_owned()).ok()
}

pub(crate) fn escape(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                escaped.push(char::from(byte));
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_lies_below_the_root() {
        let client = Client::new("http://127.0.0.1:4437/").unwrap();
        assert_eq!(
            client.stream("/a b/ü").url(),
            "http://127.0.0.1:4437/v1/stream/a%20b/%C3%BC"
        );
        let client = Client::new("http://host/base").unwrap();
        assert_eq!(client.stream("x").url(), "http://host/base/x");
    }

    #[test]
    fn an_address_has_a_port_and_says_whether_it_speaks_tls() {
        for (url, connect, host, name) in [
            (
                "http://127.0.0.1:4437/",
                "127.0.0.1:4437",
                "127.0.0.1:4437",
                None,
            ),
            (
                "ws://127.0.0.1:4437",
                "127.0.0.1:4437",
                "127.0.0.1:4437",
                None,
            ),
            ("http://a.example", "a.example:80", "a.example", None),
            ("http://[::1]:1", "[::1]:1", "[::1]:1", None),
            (
                "https://a.example/",
                "a.example:443",
                "a.example",
                Some("a.example"),
            ),
            (
                "wss://a.example:1",
                "a.example:1",
                "a.example:1",
                Some("a.example"),
            ),
            ("wss://[::1]:1", "[::1]:1", "[::1]:1", Some("::1")),
        ] {
            let found = address(url).unwrap();
            assert_eq!((&*found.connect, &*found.host), (connect, host), "{url}");
            let name = name.map(|name| ServerName::try_from(name).unwrap());
            assert_eq!(found.secure, name, "{url}");
        }
        for url in ["http://a/b", "wss://a/b", "wss://", "https://a?b"] {
            let malformed = matches!(address(url), Err(UrlError::Malformed { .. }));
            assert!(malformed, "{url}");
        }
    }

    #[test]
    fn other_schemes_and_queries_are_refused() {
        assert_eq!(Client::new("ftp://a").unwrap_err(), UrlError::Scheme);
        assert_eq!(Client::new("ws://a").unwrap_err(), UrlError::Scheme);
        assert_eq!(address("ftp://a"), Err(UrlError::Scheme));
        assert_eq!(address("a:1"), Err(UrlError::Scheme));
        assert_eq!(Client::new("host:80").unwrap_err(), UrlError::Scheme);
        for url in ["http://", "http://a/?b", "http://a b", "http://a/#c"] {
            let error = Stream::at(url).unwrap_err();
            assert_eq!(error, UrlError::Malformed { url: url.into() });
        }
    }
}
