//! A server, and the connections to it.

use http::Uri;

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
    /// Another scheme; live rooms speak plain HTTP alone.
    #[error("the URL must start with http:// or https://, and with http:// for live rooms")]
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

/// Returns where to connect for a URL without a path, and the value of `Host`.
pub(crate) fn address(url: &str) -> Result<(String, String), UrlError> {
    let uri = parse(url)?;
    if uri.scheme_str() != Some("http") {
        return Err(UrlError::Scheme);
    }
    let authority = uri.authority().filter(|_| matches!(uri.path(), "/" | ""));
    let authority = authority.ok_or_else(|| UrlError::Malformed {
        url: url.to_owned(),
    })?;
    let port = authority.port_u16().unwrap_or(80);
    Ok((
        format!("{}:{port}", authority.host()),
        authority.as_str().to_owned(),
    ))
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
    fn an_address_has_a_port() {
        for (url, expected) in [
            (
                "http://127.0.0.1:4437/",
                ("127.0.0.1:4437", "127.0.0.1:4437"),
            ),
            (
                "http://floe.example.com",
                ("floe.example.com:80", "floe.example.com"),
            ),
            ("http://[::1]:1", ("[::1]:1", "[::1]:1")),
        ] {
            let expected = (expected.0.to_owned(), expected.1.to_owned());
            assert_eq!(address(url), Ok(expected));
        }
        assert!(address("http://a/b").is_err());
    }

    #[test]
    fn other_schemes_and_queries_are_refused() {
        assert_eq!(Client::new("ftp://a").unwrap_err(), UrlError::Scheme);
        assert_eq!(address("https://a"), Err(UrlError::Scheme));
        assert_eq!(Client::new("host:80").unwrap_err(), UrlError::Scheme);
        for url in ["http://", "http://a/?b", "http://a b", "http://a/#c"] {
            let error = Stream::at(url).unwrap_err();
            assert_eq!(error, UrlError::Malformed { url: url.into() });
        }
    }
}
