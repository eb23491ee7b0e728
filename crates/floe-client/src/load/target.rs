//! Which server a run talks to, and the names of its streams there.

use std::net::{SocketAddr, ToSocketAddrs};

use rustls::pki_types::ServerName;

use crate::client::server_name;

/// A server and the path below which a run keeps its streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The URL as it was given.
    pub url: String,
    /// Where to connect.
    pub address: SocketAddr,
    /// Value of the `Host` header.
    pub host: String,
    /// Whose certificate is wanted, where TLS is spoken.
    pub(crate) secure: Option<ServerName<'static>>,
    /// What every request has: whom it asks, and who asks. Lines of a head, without the last's end.
    pub(crate) fields: String,
    /// Path of a stream without its number: the streams' root and the name of the run.
    pub path_prefix: String,
}

impl Target {
    /// Reads `http://host:port[/root]` and resolves the host; the root defaults to `/v1/stream`.
    /// `https`, `ws` and `wss` are taken, too: what a workload speaks, the workload says.
    ///
    /// `run` becomes part of every stream name, so that two runs never share a stream.
    pub fn parse(url: &str, run: &str) -> Result<Self, TargetError> {
        let (scheme, rest) = url.split_once("://").ok_or(TargetError::Scheme)?;
        let is_secure = match scheme {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => return Err(TargetError::Scheme),
        };
        let (host, root) = match rest.split_once('/') {
            Some((host, root)) => (host, root.trim_end_matches('/')),
            None => (rest, ""),
        };
        if host.is_empty() || root.contains(['?', '#']) {
            return Err(TargetError::Malformed);
        }
        let root = if root.is_empty() { "v1/stream" } else { root };
        let secure = match is_secure {
            true => Some(server_name(without_port(host)).ok_or(TargetError::Malformed)?),
            false => None,
        };
        Ok(Self {
            url: url.to_owned(),
            address: resolve(host, if is_secure { 443 } else { 80 })?,
            secure,
            host: host.to_owned(),
            fields: format!("Host: {host}"),
            path_prefix: format!("/{root}/{run}-"),
        })
    }

    /// Shows an API key or token with every request.
    #[must_use]
    pub fn with_bearer(mut self, bearer: &str) -> Self {
        self.fields = format!("Host: {}\r\nAuthorization: Bearer {bearer}", self.host);
        self
    }

    /// Appends the path of stream `number` to `out`.
    pub(crate) fn put_path(&self, out: &mut Vec<u8>, number: u64) {
        out.extend_from_slice(self.path_prefix.as_bytes());
        put_decimal(out, number);
    }
}

/// Why a URL cannot be the target of a run.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Another scheme.
    #[error("the URL must start with http://, https://, ws:// or wss://")]
    Scheme,
    /// The URL is not `http://host:port[/root]`, or no certificate can name its host.
    #[error("the URL must look like http://host:port[/root]")]
    Malformed,
    /// The host has no address.
    #[error("cannot resolve {host}")]
    Resolve {
        /// The host as it stands in the URL.
        host: String,
        /// What the resolver said.
        source: std::io::Error,
    },
}

/// Appends `number` in decimal digits.
pub(crate) fn put_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        Some(_) | None => host,
    }
}

fn resolve(host: &str, port: u16) -> Result<SocketAddr, TargetError> {
    let addresses = match without_port(host).len() < host.len() {
        true => host.to_socket_addrs(),
        false => (host, port).to_socket_addrs(),
    };
    let failed = |source| TargetError::Resolve {
        host: host.to_owned(),
        source,
    };
    addresses
        .map_err(failed)?
        .next()
        .ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_url_gets_the_protocol_root() {
        let target = Target::parse("http://127.0.0.1:4437", "b1").unwrap();
        assert_eq!(target.address, "127.0.0.1:4437".parse().unwrap());
        assert_eq!(path(&target, 120), "/v1/stream/b1-120");
    }

    #[test]
    fn a_root_in_the_url_is_kept() {
        let target = Target::parse("http://127.0.0.1:1/a/b/", "b1").unwrap();
        assert_eq!(target.host, "127.0.0.1:1");
        assert_eq!(path(&target, 0), "/a/b/b1-0");
    }

    #[test]
    fn other_schemes_and_queries_are_refused() {
        assert!(matches!(
            Target::parse("ftp://a", "b"),
            Err(TargetError::Scheme)
        ));
        assert!(matches!(
            Target::parse("http://127.0.0.1/a?b", "b"),
            Err(TargetError::Malformed)
        ));
    }

    #[test]
    fn a_url_says_whether_tls_is_spoken_and_with_whom() {
        for (url, secure, port) in [
            ("http://127.0.0.1", None, 80),
            ("ws://127.0.0.1:4437", None, 4437),
            ("https://127.0.0.1/a", Some("127.0.0.1"), 443),
            ("wss://localhost:4437", Some("localhost"), 4437),
            ("https://[::1]:4437", Some("::1"), 4437),
        ] {
            let target = Target::parse(url, "b1").unwrap();
            let name = secure.map(|name| ServerName::try_from(name).unwrap());
            assert_eq!(
                (target.secure, target.address.port()),
                (name, port),
                "{url}"
            );
        }
    }

    fn path(target: &Target, number: u64) -> String {
        let mut out = Vec::new();
        target.put_path(&mut out, number);
        String::from_utf8(out).unwrap()
    }
}
