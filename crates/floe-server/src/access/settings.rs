//! Whom a server believes besides its API keys.

use std::fmt;

use floe_surfaces::access::jwt::{Issuer, IssuerError, Issuers};
use floe_surfaces::subscriptions::{UrlError, WebhookUrl};

use super::no_issuers;
use crate::tls::Roots;

/// Whose signed tokens are believed, and who is asked about everyone else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessSettings {
    /// Issuers of signed tokens.
    pub issuers: Vec<IssuerSettings>,
    /// Somebody else who is asked.
    pub webhook: Option<AccessWebhookSettings>,
}

/// An issuer of signed tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerSettings {
    /// What of its tokens is believed, with the keys that do not change.
    pub issuer: Issuer,
    /// Where the others are.
    pub jwks: Option<JwksSettings>,
}

/// Where an issuer publishes its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwksSettings {
    /// Address of the JSON Web Key Set.
    pub url: String,
    /// Seconds after which it is fetched again; 600.
    pub refresh_seconds: u64,
    /// Seconds that keys are believed which cannot be fetched again; 24 h. Later: none of them.
    pub keep_seconds: u64,
    /// Whose certificates are believed there besides those that the system knows.
    pub roots: Roots,
}

impl JwksSettings {
    /// Fetches the keys at `url` as often as is usual.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            refresh_seconds: 600,
            keep_seconds: 24 * 60 * 60,
            roots: Roots::default(),
        }
    }
}

/// Somebody who is asked about credentials that nothing else knows. Its `Debug` form does not show
/// the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessWebhookSettings {
    /// Address that is asked.
    pub url: String,
    /// What is sent along as `Authorization: Bearer …`, so that it knows who asks.
    pub secret: Option<String>,
    /// Milliseconds for an answer; 2 000. Later: 503 `ACCESS_UNAVAILABLE`.
    pub timeout_ms: u64,
    /// Seconds that a yes is remembered at most; 60.
    pub cache_seconds: u64,
    /// Answers that are remembered; 10 000. Above: the oldest are forgotten.
    pub cache_entries_max: usize,
    /// Whether it is also asked about those who show nothing, by their address.
    pub anonymous: bool,
    /// Whose certificates are believed there besides those that the system knows.
    pub roots: Roots,
}

impl AccessWebhookSettings {
    /// Asks at `url`, with all else as is usual.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            secret: None,
            timeout_ms: 2_000,
            cache_seconds: 60,
            cache_entries_max: 10_000,
            anonymous: false,
            roots: Roots::default(),
        }
    }
}

impl fmt::Debug for AccessWebhookSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessWebhookSettings")
            .field("url", &self.url)
            .field("secret", &self.secret.is_some())
            .field("timeout_ms", &self.timeout_ms)
            .field("cache_seconds", &self.cache_seconds)
            .field("cache_entries_max", &self.cache_entries_max)
            .field("anonymous", &self.anonymous)
            .field("roots", &self.roots)
            .finish()
    }
}

impl AccessSettings {
    /// Returns the issuers, those whose keys are to be fetched without them.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub fn issuers(&self) -> Result<Issuers, AccessError> {
        let mut issuers = no_issuers();
        for settings in &self.issuers {
            let mut issuer = settings.issuer.clone();
            let name = || settings.issuer.issuer.clone();
            if let Some(jwks) = &settings.jwks {
                issuer.fetched = true;
                WebhookUrl::parse_trusted(&jwks.url)
                    .map_err(|source| AccessError::KeysUrl(name(), source))?;
                if jwks.refresh_seconds == 0 || jwks.keep_seconds < jwks.refresh_seconds {
                    return Err(AccessError::Times(name()));
                }
            }
            issuers
                .insert(issuer)
                .map_err(|source| AccessError::Issuer(name(), source))?;
        }
        if let Some(webhook) = &self.webhook {
            WebhookUrl::parse_trusted(&webhook.url).map_err(AccessError::WebhookUrl)?;
            let header = format!("Bearer {}", webhook.secret.as_deref().unwrap_or_default());
            if http::HeaderValue::try_from(header).is_err() {
                return Err(AccessError::Secret);
            }
        }
        Ok(issuers)
    }
}

impl AccessError {
    /// Returns the name of the table that is wrong.
    pub(crate) const fn table(&self) -> &'static str {
        match self {
            Self::Issuer(..) | Self::KeysUrl(..) | Self::Times(_) => "jwt",
            Self::WebhookUrl(_) | Self::Secret => "access_webhook",
        }
    }
}

/// Why the settings of access make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// An issuer cannot be believed.
    #[error("the issuer {0}: {1}")]
    Issuer(Box<str>, #[source] IssuerError),
    /// Its keys cannot be fetched from there.
    #[error("the address of the keys of the issuer {0} is no plain http or https address")]
    KeysUrl(Box<str>, #[source] UrlError),
    /// Its keys would be too old before they are fetched again.
    #[error("the keys of the issuer {0} are kept at least as long as until they are refreshed")]
    Times(Box<str>),
    /// Nobody can be asked there.
    #[error("the address of the authorisation webhook is no plain http or https address")]
    WebhookUrl(#[source] UrlError),
    /// The secret cannot stand in a header.
    #[error("the secret of the authorisation webhook cannot stand in a header")]
    Secret,
}
