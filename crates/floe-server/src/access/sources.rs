//! Where keys of issuers come from, and when they are fetched.

use std::sync::Arc;

use floe_surfaces::access::jwt::KeySet;
use floe_surfaces::subscriptions::WebhookUrl;

use super::fetch::connector;
use super::settings::JwksSettings;
use crate::webhook::Connector;

/// Milliseconds between two fetches of the same keys, whoever asks for them.
pub const AGAIN_MS: u64 = 10_000;

/// The keys of one issuer: where they are, and how old those are that are here.
///
/// It decides and does nothing itself; times are of the host's clock that never goes back.
#[derive(Debug)]
pub struct Source {
    /// Whose keys they are.
    pub issuer: Box<str>,
    /// Where they are.
    pub url: WebhookUrl,
    /// What connects there.
    pub connector: Arc<Connector>,
    /// Keys that do not change, and are believed besides.
    fixed: KeySet,
    refresh_ms: u64,
    keep_ms: u64,
    /// The fetch under way.
    fetching: Option<u64>,
    /// When the last one began.
    tried_ms: Option<u64>,
    /// Whether it failed.
    failed: bool,
    /// When the keys came that are here.
    fetched_ms: Option<u64>,
}

/// What to do for somebody who needs a key that is not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Wait for the fetch that is under way.
    Wait(u64),
    /// Begin one and wait for it.
    Begin,
    /// Give up for now: the last fetch failed just now.
    Unavailable,
    /// Give up: the keys came just now, and it is not among them.
    Unknown,
}

impl Source {
    /// Knows where the keys of an issuer are; they are fetched at once.
    pub fn new(issuer: &str, url: WebhookUrl, fixed: KeySet, settings: &JwksSettings) -> Self {
        Self {
            issuer: issuer.into(),
            url,
            connector: connector(&settings.roots),
            fixed,
            refresh_ms: settings.refresh_seconds.saturating_mul(1_000),
            keep_ms: settings.keep_seconds.saturating_mul(1_000),
            fetching: None,
            tried_ms: None,
            failed: false,
            fetched_ms: None,
        }
    }

    /// Returns when the next fetch is due: before the keys are old, and often while that fails.
    pub fn due_ms(&self) -> u64 {
        match (self.fetching, self.tried_ms) {
            (Some(_), _) => u64::MAX,
            (None, None) => 0,
            (None, Some(tried)) if self.failed => tried.saturating_add(AGAIN_MS),
            (None, Some(tried)) => tried.saturating_add(self.refresh_ms),
        }
    }

    /// Says what to do for somebody who needs a key that is not here.
    pub fn want(&self, now_ms: u64) -> Want {
        if let Some(fetch) = self.fetching {
            return Want::Wait(fetch);
        }
        match self.tried_ms {
            Some(tried) if now_ms < tried.saturating_add(AGAIN_MS) && self.failed => {
                Want::Unavailable
            }
            Some(tried) if now_ms < tried.saturating_add(AGAIN_MS) => Want::Unknown,
            Some(_) | None => Want::Begin,
        }
    }

    /// Takes over how old the keys are that another one has fetched from the same place.
    pub fn go_on(mut self, before: &Self) -> Self {
        self.fetched_ms = before.fetched_ms;
        self
    }

    /// Returns whether these are the keys of an issuer, from an address.
    pub fn is_of(&self, issuer: &str, url: &WebhookUrl) -> bool {
        &*self.issuer == issuer && self.url == *url
    }

    /// Returns whether this fetch is the one under way.
    pub fn is_fetched_by(&self, fetch: u64) -> bool {
        self.fetching == Some(fetch)
    }

    /// Notes that a fetch has begun.
    pub fn begin(&mut self, fetch: u64, now_ms: u64) {
        self.fetching = Some(fetch);
        self.tried_ms = Some(now_ms);
    }

    /// Notes what came of a fetch; returns the keys to believe from now on.
    pub fn finish(&mut self, fetched: Option<KeySet>, now_ms: u64) -> Option<KeySet> {
        self.fetching = None;
        self.failed = fetched.is_none();
        let keys = fetched?;
        self.fetched_ms = Some(now_ms);
        Some(self.fixed.clone().with(&keys))
    }

    /// Returns the keys to believe once those that came are too old to be.
    pub fn expire(&mut self, now_ms: u64) -> Option<KeySet> {
        let fetched_ms = self.fetched_ms?;
        if now_ms < fetched_ms.saturating_add(self.keep_ms) {
            return None;
        }
        self.fetched_ms = None;
        Some(self.fixed.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Source {
        let url = WebhookUrl::parse_trusted("http://localhost/keys").unwrap();
        let settings = JwksSettings {
            refresh_seconds: 600,
            keep_seconds: 3_600,
            ..JwksSettings::new("")
        };
        Source::new("issuer", url, KeySet::default(), &settings)
    }

    #[test]
    fn keys_are_fetched_at_once_then_before_they_are_old() {
        let mut source = source();
        assert_eq!(source.due_ms(), 0);
        source.begin(1, 5);
        assert_eq!((source.due_ms(), source.want(6)), (u64::MAX, Want::Wait(1)));
        assert!(source.finish(Some(KeySet::default()), 7).is_some());
        assert_eq!(source.due_ms(), 600_005);
    }

    #[test]
    fn an_unknown_key_has_them_fetched_again_but_not_often() {
        let mut source = source();
        assert_eq!(source.want(0), Want::Begin);
        source.begin(1, 0);
        source.finish(Some(KeySet::default()), 5);
        assert_eq!(source.want(AGAIN_MS - 1), Want::Unknown);
        assert_eq!(source.want(AGAIN_MS), Want::Begin);
    }

    #[test]
    fn while_it_fails_it_is_tried_often_and_old_keys_hold_for_a_time() {
        let mut source = source();
        source.begin(1, 0);
        source.finish(Some(KeySet::default()), 0);
        source.begin(2, 600_000);
        assert_eq!(source.finish(None, 600_001), None);
        assert_eq!(source.due_ms(), 600_000 + AGAIN_MS);
        assert_eq!(source.want(600_001), Want::Unavailable);
        assert_eq!(source.expire(3_599_999), None);
        assert_eq!(source.expire(3_600_000), Some(KeySet::default()));
        assert_eq!(source.expire(3_600_001), None);
    }
}
