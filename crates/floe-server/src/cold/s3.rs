//! Cold data in a bucket of an S3-compatible store.
//!
//! `ureq` asks and waits: the threads of the cold tier may, so no runtime is needed. Nothing of a
//! request is ever part of a message.

use std::fmt;
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use floe_log::{ObjectStore, StoreError};
use http::Uri;
use ureq::http::Response;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Body};

use super::sign::{Secrets, Unsigned};
use super::{ColdError, variable};

/// A bucket, and how all of its keys begin.
pub(super) struct S3Store {
    /// Scheme and host, with the port unless it is the scheme's own.
    scheme: &'static str,
    host: String,
    region: String,
    bucket: String,
    /// Empty, or with `/` at its end.
    prefix: String,
    secrets: Secrets,
    agent: Agent,
}

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one request may take: a part of 16 MiB at half a megabyte a second.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(40);
/// Bytes of an answer that says what failed, or lists a thousand keys.
const TEXT_BYTES_MAX: u64 = 4 << 20;
/// Pages of a listing, of a thousand keys each.
const PAGES_MAX: usize = 100_000;

impl Secrets {
    /// Reads the usual environment variables.
    pub fn from_environment() -> Option<Self> {
        Some(Self {
            key: variable(&["AWS_ACCESS_KEY_ID"])?,
            secret: variable(&["AWS_SECRET_ACCESS_KEY"])?,
            token: variable(&["AWS_SESSION_TOKEN"]),
        })
    }
}

impl S3Store {
    pub fn new(
        endpoint: &str,
        region: String,
        bucket: String,
        prefix: &str,
        secrets: Secrets,
    ) -> Result<Self, ColdError> {
        let (scheme, host) = split_endpoint(endpoint).ok_or(ColdError::Endpoint)?;
        let mut config = Agent::config_builder()
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(REQUEST_TIMEOUT))
            .max_redirects(0)
            .http_status_as_error(false);
        if scheme == "https" {
            config = config.tls_config(tls()?);
        }
        Ok(Self {
            scheme,
            host,
            region,
            bucket,
            prefix: match prefix {
                "" => String::new(),
                prefix => format!("{prefix}/"),
            },
            secrets,
            agent: config.build().new_agent(),
        })
    }

    /// Sends a request for the key, or for the bucket where there is none.
    fn ask(
        &self,
        method: &'static str,
        key: Option<&str>,
        query: &[(&'static str, &str)],
        range: Option<&str>,
        body: &[u8],
    ) -> Result<Response<Body>, StoreError> {
        let path = match key {
            Some(key) => format!("/{}/{}{key}", self.bucket, self.prefix),
            None => format!("/{}", self.bucket),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let unsigned = Unsigned {
            method,
            host: &self.host,
            path: &path,
            query,
            body,
            region: &self.region,
            now_s: now.map_or(0, |now| now.as_secs()),
        };
        let mark = if query.is_empty() { "" } else { "?" };
        let query = unsigned.query();
        let uri = format!("{}://{}{path}{mark}{query}", self.scheme, self.host);
        let mut request = http::Request::builder().method(method).uri(uri);
        for (name, value) in unsigned.sign(&self.secrets) {
            request = request.header(name, value);
        }
        if let Some(range) = range {
            request = request.header("range", range);
        }
        let answer = match method {
            "PUT" => request.body(body).map(|request| self.agent.run(request)),
            _ => request.body(()).map(|request| self.agent.run(request)),
        };
        // A secret with a line break in it is no header field.
        let answer = answer
            .map_err(|_| StoreError::Unavailable("the credentials cannot be sent".to_owned()))?;
        asked(answer)
    }

    fn list_page(
        &self,
        prefix: &str,
        token: Option<&str>,
        keys: &mut Vec<String>,
    ) -> Result<Option<String>, StoreError> {
        let mut query = vec![("list-type", "2"), ("prefix", prefix)];
        query.extend(token.map(|token| ("continuation-token", token)));
        let mut answer = self.ask("GET", None, &query, None, b"")?;
        if answer.status() != 200 {
            return Err(refused("a listing", answer));
        }
        let text = answer.body_mut().with_config().limit(TEXT_BYTES_MAX);
        let text = asked(text.read_to_string())?;
        if !text.contains("<ListBucketResult") {
            let what = "the store's listing cannot be understood".to_owned();
            return Err(StoreError::Unavailable(what));
        }
        let listed = elements(&text, "Key");
        keys.extend(listed.filter_map(|key| Some(key.strip_prefix(&self.prefix)?.to_owned())));
        let truncated = elements(&text, "IsTruncated").next() == Some("true");
        let token = elements(&text, "NextContinuationToken").next();
        match (truncated, token) {
            (false, _) => Ok(None),
            (true, Some(token)) => Ok(Some(unescape(token))),
            (true, None) => Err(StoreError::Unavailable(
                "the store's listing breaks off".to_owned(),
            )),
        }
    }
}

impl ObjectStore for S3Store {
    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let answer = self.ask("PUT", Some(key), &[], None, bytes)?;
        match answer.status().as_u16() {
            200..=299 => Ok(()),
            _ => Err(refused("an upload", answer)),
        }
    }

    fn read(&self, key: &str, at: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        if buffer.is_empty() {
            return Ok(());
        }
        let range = format!("bytes={at}-{}", at + buffer.len() as u64 - 1);
        let answer = self.ask("GET", Some(key), &[], Some(&range), b"")?;
        match answer.status().as_u16() {
            206 => {}
            // The whole object, from a store that knows no ranges.
            200 if at == 0 => {}
            404 => return missing(answer),
            416 => return Err(StoreError::Missing),
            _ => return Err(refused("a read", answer)),
        }
        let len = answer.body().content_length();
        if len.is_some_and(|len| len < buffer.len() as u64) {
            return Err(StoreError::Missing);
        }
        let mut body = answer.into_body().into_reader();
        body.read_exact(buffer).map_err(|error| {
            StoreError::Unavailable(format!("an answer broke off: {}", error.kind()))
        })
    }

    fn remove(&self, key: &str) -> Result<(), StoreError> {
        let answer = self.ask("DELETE", Some(key), &[], None, b"")?;
        match answer.status().as_u16() {
            200..=299 | 404 => Ok(()),
            _ => Err(refused("a removal", answer)),
        }
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let prefix = format!("{}{prefix}", self.prefix);
        let mut keys = Vec::new();
        let mut token = None;
        for _ in 0..PAGES_MAX {
            token = self.list_page(&prefix, token.as_deref(), &mut keys)?;
            if token.is_none() {
                return Ok(keys);
            }
        }
        Err(StoreError::Unavailable("a listing has no end".to_owned()))
    }
}

/// Splits an endpoint into scheme and host; one with credentials or a path is none.
fn split_endpoint(endpoint: &str) -> Option<(&'static str, String)> {
    let uri: Uri = endpoint.parse().ok()?;
    let (scheme, port) = match uri.scheme_str()? {
        "http" => ("http", 80),
        "https" => ("https", 443),
        _ => return None,
    };
    let authority = uri.authority()?;
    if authority.as_str().contains('@') || !matches!(uri.path(), "" | "/") || uri.query().is_some()
    {
        return None;
    }
    let host = match authority.port_u16() {
        // Clients leave it out, and what is signed must be what is sent.
        Some(own) if own == port => authority.host(),
        Some(_) | None => authority.as_str(),
    };
    Some((scheme, host.to_owned()))
}

/// Returns what stands in the elements of that name, which hold no others.
fn elements<'a>(text: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (start, end) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = text;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(&start)?;
        let (found, after) = after.split_once(&end)?;
        rest = after;
        Some(found)
    })
}

fn unescape(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">");
    let text = text.replace("&quot;", "\"").replace("&apos;", "'");
    text.replace("&amp;", "&")
}

/// Tells a missing object from a missing bucket, which is a mistake of the operator and no loss.
fn missing(answer: Response<Body>) -> Result<(), StoreError> {
    match code(answer).as_deref() {
        Some("NoSuchKey") => Err(StoreError::Missing),
        Some(code) => Err(StoreError::Unavailable(format!(
            "a read was answered with {code}"
        ))),
        None => Err(StoreError::Unavailable(
            "a read was answered with 404".to_owned(),
        )),
    }
}

/// Says what a store has answered; nothing of the request is in it.
fn refused(what: &str, answer: Response<Body>) -> StoreError {
    let status = answer.status().as_u16();
    StoreError::Unavailable(match code(answer) {
        Some(code) => format!("{what} was answered with {status} {code}"),
        None => format!("{what} was answered with {status}"),
    })
}

/// Reads the word for an error out of an answer.
fn code(mut answer: Response<Body>) -> Option<String> {
    let text = answer.body_mut().with_config().limit(TEXT_BYTES_MAX);
    let text = text.read_to_string().ok()?;
    let code = elements(&text, "Code").next()?;
    let is_word = code.len() <= 64 && code.chars().all(|c| c.is_ascii_alphanumeric());
    is_word.then(|| code.to_owned())
}

/// Says why there was no answer; nothing of the request is in it.
fn asked<T>(result: Result<T, ureq::Error>) -> Result<T, StoreError> {
    result.map_err(|error| {
        StoreError::Unavailable(if let ureq::Error::Io(error) = &error {
            format!("the connection failed: {}", error.kind())
        } else if let ureq::Error::Timeout(_) = &error {
            "it took too long".to_owned()
        } else if matches!(error, ureq::Error::HostNotFound) {
            "its host is not known".to_owned()
        } else {
            "the request failed".to_owned()
        })
    })
}

fn tls() -> Result<TlsConfig, ColdError> {
    let found = rustls_native_certs::load_native_certs();
    let certificates = found.certs.iter();
    let certificates: Vec<Certificate<'static>> = certificates
        .map(|certificate| Certificate::from_der(certificate).to_owned())
        .collect();
    if certificates.is_empty() {
        return Err(ColdError::NoCertificates);
    }
    let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(crypto)
        .root_certs(RootCerts::Specific(Arc::new(certificates)))
        .build())
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Store")
            .field("host", &self.host)
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_scheme_and_host_alone() {
        for (endpoint, found) in [
            ("http://127.0.0.1:9000", Some(("http", "127.0.0.1:9000"))),
            ("https://s3.example.com/", Some(("https", "s3.example.com"))),
            (
                "https://s3.example.com:443",
                Some(("https", "s3.example.com")),
            ),
            ("ftp://s3.example.com", None),
            ("s3.example.com", None),
            ("https://key:secret@s3.example.com", None),
            ("https://s3.example.com/path", None),
            ("https://s3.example.com/?query", None),
        ] {
            let found = found.map(|(scheme, host)| (scheme, host.to_owned()));
            assert_eq!(split_endpoint(endpoint), found, "{endpoint}");
        }
    }

    #[test]
    fn elements_are_found_in_order_and_broken_ones_are_not() {
        let text = "<A><Key>one</Key><B/><Key>two&amp;</Key><Key>three</A>";
        let found: Vec<&str> = elements(text, "Key").collect();
        assert_eq!(found, ["one", "two&amp;"]);
        assert_eq!(unescape(found[1]), "two&");
        assert_eq!(unescape("&amp;lt;"), "&lt;");
    }

    #[test]
    fn a_store_never_shows_what_it_signs_with() {
        let secrets = Secrets {
            key: "the-key".into(),
            secret: "the-secret".into(),
            token: Some("the-token".into()),
        };
        let endpoint = "http://127.0.0.1:1";
        let store = S3Store::new(endpoint, "r".into(), "bucket".into(), "p", secrets).unwrap();
        let error = store.put("key", b"bytes").unwrap_err();
        for text in [
            format!("{store:?}"),
            error.to_string(),
            format!("{error:?}"),
        ] {
            for secret in ["the-key", "the-secret", "the-token"] {
                assert!(!text.contains(secret), "{text}");
            }
        }
    }
}
