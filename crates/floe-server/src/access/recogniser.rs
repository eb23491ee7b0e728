//! Finding out who asks.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context as Digest, SHA256};
use floe_core::directory::Revocation;
use floe_proto::{Millis, Namespace};
use floe_surfaces::access::jwt::{KeySet, is_token};
use floe_surfaces::access::{Access, Caller, Credentials, Denied, Source as Shower, Unrecognised};
use floe_surfaces::access::{jwt, webhook};
use floe_surfaces::subscriptions::WebhookUrl;
use mio::Waker;

use super::fetch::{self, Fetch, FetchError, Fetched, Fetcher};
use super::recall::{Recall, Shown};
use super::settings::{AccessError, AccessSettings, AccessWebhookSettings};
use super::sources::{Source, Want};
use crate::metrics::{AccessFigure, Metrics};
use crate::shard::Ticket;
use crate::webhook::Connector;

/// Finds out who asks, remembers it, and has fetched what it takes.
#[derive(Debug)]
pub struct Recogniser {
    /// Whose token it was, by the digest of the token.
    tokens: Recall<Caller>,
    /// The state of what callers are recognised by, when these were.
    epoch: u64,
    /// What was set last.
    settings: Option<AccessSettings>,
    sources: Vec<Source>,
    webhook: Option<Webhook>,
    fetcher: Fetcher,
    /// What is under way.
    errands: BTreeMap<u64, Errand>,
    /// The number of the next.
    next: u64,
    /// Requests whose errand has ended.
    ended: VecDeque<Ticket>,
    metrics: Metrics,
}

/// Something that is under way, for which requests may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrandId(u64);

#[derive(Debug)]
struct Errand {
    about: About,
    waiting: Vec<Ticket>,
}

#[derive(Debug)]
enum About {
    /// The keys of the issuer of this source.
    Keys(Box<str>),
    /// Who shows this.
    Caller(Shown),
}

/// The webhook, and what it has said.
#[derive(Debug)]
struct Webhook {
    url: WebhookUrl,
    /// What connects there.
    connector: Arc<Connector>,
    settings: AccessWebhookSettings,
    known: Recall<Caller>,
    /// Those who are not let in. Apart from the others, whom they do not push out.
    unknown: Recall<Unknown>,
    /// What it is being asked.
    asked: BTreeMap<Shown, u64>,
    /// The first question that was asked since somebody was revoked: what comes to those before may
    /// have been said before that, too.
    asked_anew: u64,
}

/// Why the webhook lets somebody not in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unknown {
    /// It said no.
    Refused,
    /// It said nothing.
    Unavailable,
}

/// Why it is not known who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miss {
    /// It is nobody who may.
    Denied(Denied),
    /// It is found out once this has ended.
    Wait(ErrandId),
    /// What knows does not answer.
    Unavailable,
}

/// What came of a turn, or of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turned {
    /// Callers are recognised by what they were.
    Same,
    /// Issuers have other keys.
    Changed,
}

/// Bytes of a key set.
const KEYS_BYTES_MAX: usize = 256 << 10;
/// Time to fetch one.
const KEYS_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer of the webhook.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Milliseconds that a no of the webhook is remembered.
const REFUSED_MS: u64 = 5_000;
/// Milliseconds after which the webhook is asked again when it did not answer.
const UNAVAILABLE_MS: u64 = 1_000;
/// How long a caller is known that nobody need ask about again.
const FOREVER: Millis = Millis(u64::MAX);

impl Recogniser {
    /// Recognises nobody yet; remembers up to `tokens_max` tokens.
    pub fn new(tokens_max: usize, waker: &Arc<Waker>, metrics: Metrics) -> Self {
        Self {
            tokens: Recall::new(tokens_max),
            epoch: 0,
            settings: None,
            sources: Vec::new(),
            webhook: None,
            fetcher: Fetcher::new(waker),
            errands: BTreeMap::new(),
            next: 0,
            ended: VecDeque::new(),
            metrics,
        }
    }

    /// Takes over settings, and hands them to what callers are recognised by. Keys that are fetched
    /// from where they were before stay; the same settings again change nothing.
    ///
    /// # Errors
    /// See [`AccessError`]; then everything stays as it was.
    pub fn set(
        &mut self,
        settings: &AccessSettings,
        access: &mut Access,
    ) -> Result<Turned, AccessError> {
        if self.settings.as_ref() == Some(settings) {
            return Ok(Turned::Same);
        }
        let mut issuers = settings.issuers()?;
        let mut sources = Vec::new();
        for one in &settings.issuers {
            let Some(jwks) = &one.jwks else { continue };
            let name = &one.issuer.issuer;
            let url = WebhookUrl::parse_trusted(&jwks.url)
                .map_err(|source| AccessError::KeysUrl(name.clone(), source))?;
            warn_if_plain(&url, "the keys of an issuer are fetched");
            let before = self.sources.iter().find(|source| source.is_of(name, &url));
            let known = access.issuers.iter().find(|issuer| issuer.issuer == *name);
            let source = Source::new(name, url.clone(), one.issuer.keys.clone(), jwks);
            sources.push(match (before, known) {
                (Some(before), Some(known)) => {
                    issuers.set_keys(name, one.issuer.keys.clone().with(&known.keys));
                    source.go_on(before)
                }
                _ => source,
            });
        }
        let webhook = settings.webhook.as_ref().map(Webhook::new).transpose()?;
        issuers.take_own(&mut access.issuers);
        access.issuers = issuers;
        access.asks = webhook.is_some();
        self.sources = sources;
        self.webhook = webhook;
        self.tokens.clear();
        self.settings = Some(settings.clone());
        Ok(Turned::Changed)
    }

    /// Remembers up to `tokens_max` tokens from now on.
    pub fn set_tokens_max(&mut self, tokens_max: usize) {
        self.tokens = Recall::new(tokens_max);
    }

    /// Finds out who shows these credentials, and until when nobody need ask again.
    ///
    /// # Errors
    /// See [`Miss`].
    pub fn recognise(
        &mut self,
        access: &Access,
        epoch: u64,
        shown: &Asker<'_>,
        now: Times,
    ) -> Result<(Caller, Millis), Miss> {
        if access.is_open() {
            return Ok((Caller::open(), FOREVER));
        }
        if self.epoch != epoch {
            self.epoch = epoch;
            self.tokens.clear();
        }
        // A token is good for what it is for: one in a link is not one in a field.
        let is_link = shown.credentials.bearer().is_none();
        let place: &[u8] = if is_link { b"share" } else { b"token" };
        let token = shown
            .token()
            .map(|token| digest(&[place, token.as_bytes()]));
        if let Some(token) = &token
            && let Some((caller, until)) = self.tokens.get(token, now.wall)
        {
            self.metrics.access(AccessFigure::Recalled);
            return Ok((caller.clone(), until));
        }
        match access.recognise(shown.credentials, now.wall) {
            Ok(caller) if caller.source == Shower::Anonymous => {
                self.ask_of_nobody(caller, shown, now)
            }
            Ok(caller) => {
                let until = caller.ends_at.unwrap_or(FOREVER);
                if let (Some(token), Shower::Token { .. }) = (token, &caller.source) {
                    self.metrics.access(AccessFigure::Verified);
                    self.tokens.put(token, until, caller.clone());
                }
                Ok((caller, until))
            }
            Err(Unrecognised::Denied(denied)) => Err(Miss::Denied(denied)),
            Err(Unrecognised::Unknown(denied)) => self.ask(shown, denied, now),
            Err(Unrecognised::KeyNotHere(issuer)) => Err(self.want_key(&issuer, now)),
        }
    }

    /// Forgets what the webhook has said of those whom a revocation covers: it is asked again.
    pub fn revoke(&mut self, revocation: &Revocation) {
        let Some(webhook) = &mut self.webhook else {
            return;
        };
        webhook.asked_anew = self.next;
        webhook.known.retain(|caller| {
            let shown = caller.as_shown();
            !shown.is_some_and(|shown| revocation.covers(&shown))
        });
    }

    /// Lets a request wait for an errand; `false` where that has ended.
    pub fn wait(&mut self, errand: ErrandId, ticket: Ticket) -> bool {
        let errand = self.errands.get_mut(&errand.0);
        errand.map(|errand| errand.waiting.push(ticket)).is_some()
    }

    /// Returns the next request whose errand has ended: it is to be served again.
    pub fn poll_ended(&mut self) -> Option<Ticket> {
        self.ended.pop_front()
    }

    /// Takes what has come back, and begins what is due.
    pub fn turn(&mut self, access: &mut Access, now: Times) -> Turned {
        let mut turned = Turned::Same;
        for fetched in self.fetcher.take() {
            if self.take(access, fetched, now) == Turned::Changed {
                turned = Turned::Changed;
            }
        }
        for at in 0..self.sources.len() {
            let source = &mut self.sources[at];
            if let Some(keys) = source.expire(now.uptime_ms) {
                tracing::error!(
                    issuer = %source.issuer,
                    "keys could not be fetched for jwks keep_seconds and are believed no more"
                );
                access.issuers.set_keys(&source.issuer, keys);
                turned = Turned::Changed;
            }
            if source.due_ms() <= now.uptime_ms {
                self.fetch_keys(at, now);
            }
        }
        turned
    }

    /// Takes one answer.
    fn take(&mut self, access: &mut Access, fetched: Fetched, now: Times) -> Turned {
        let Some(errand) = self.errands.remove(&fetched.id) else {
            return Turned::Same;
        };
        self.ended.extend(errand.waiting);
        match errand.about {
            About::Keys(issuer) => self.take_keys(access, &issuer, fetched, now),
            About::Caller(shown) => {
                self.take_answer(shown, fetched, now);
                Turned::Same
            }
        }
    }

    fn take_keys(
        &mut self,
        access: &mut Access,
        issuer: &str,
        fetched: Fetched,
        now: Times,
    ) -> Turned {
        let keys = match fetched.answer {
            Ok((200, body)) => KeySet::parse(&body).map_err(|error| error.to_string()),
            Ok((status, _)) => Err(format!("status {status}")),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = &keys {
            self.metrics.access(AccessFigure::KeysFailed);
            tracing::warn!(%issuer, error, "the keys of an issuer cannot be fetched");
        }
        let source = self
            .sources
            .iter_mut()
            .find(|source| source.is_fetched_by(fetched.id));
        let keys = source.and_then(|source| source.finish(keys.ok(), now.uptime_ms));
        let before = access.issuers.iter().find(|known| &*known.issuer == issuer);
        match (keys, before) {
            (Some(keys), Some(before)) if before.keys != keys => {
                tracing::info!(%issuer, keys = keys.len(), "the keys of an issuer have changed");
                access.issuers.set_keys(issuer, keys);
                Turned::Changed
            }
            _ => Turned::Same,
        }
    }

    /// Says what to do for somebody who needs a key that is not here.
    fn want_key(&mut self, issuer: &str, now: Times) -> Miss {
        let at = self
            .sources
            .iter()
            .position(|source| &*source.issuer == issuer);
        let unknown = Miss::Denied(jwt::TokenError::UnknownKey.denied());
        let Some(at) = at else { return unknown };
        match self.sources[at].want(now.uptime_ms) {
            Want::Wait(errand) => Miss::Wait(ErrandId(errand)),
            Want::Begin => match self.fetch_keys(at, now) {
                Some(errand) => Miss::Wait(errand),
                None => Miss::Unavailable,
            },
            Want::Unavailable => Miss::Unavailable,
            Want::Unknown => unknown,
        }
    }

    fn fetch_keys(&mut self, at: usize, now: Times) -> Option<ErrandId> {
        let source = &mut self.sources[at];
        let id = self.next;
        let fetch = Fetch {
            id,
            url: source.url.clone(),
            connector: Arc::clone(&source.connector),
            body: None,
            authorization: None,
            timeout: KEYS_TIMEOUT,
            bytes_max: KEYS_BYTES_MAX,
        };
        source.begin(id, now.uptime_ms);
        self.metrics.access(AccessFigure::KeysFetched);
        if let Err(error) = self.fetcher.send(fetch) {
            tracing::warn!(issuer = %source.issuer, %error, "keys are not fetched");
            self.metrics.access(AccessFigure::KeysFailed);
            source.finish(None, now.uptime_ms);
            return None;
        }
        let about = About::Keys(source.issuer.clone());
        Some(self.set_out(about))
    }

    fn set_out(&mut self, about: About) -> ErrandId {
        let id = self.next;
        self.next += 1;
        let waiting = Vec::new();
        self.errands.insert(id, Errand { about, waiting });
        ErrandId(id)
    }

    /// Asks about somebody who shows nothing, where that is wanted.
    fn ask_of_nobody(
        &mut self,
        nobody: Caller,
        shown: &Asker<'_>,
        now: Times,
    ) -> Result<(Caller, Millis), Miss> {
        let webhook = self.webhook.as_ref();
        if !webhook.is_some_and(|webhook| webhook.settings.anonymous) {
            return Ok((nobody, FOREVER));
        }
        match self.ask_webhook(shown, now) {
            // Whoever shows nothing and is nobody may do what nobody may.
            Err(Miss::Denied(_)) => Ok((nobody, now.wall.plus(REFUSED_MS))),
            found => found,
        }
    }

    fn ask(
        &mut self,
        shown: &Asker<'_>,
        denied: Denied,
        now: Times,
    ) -> Result<(Caller, Millis), Miss> {
        let bearer = shown.credentials.bearer().unwrap_or_default();
        if self.webhook.is_none() || bearer.is_empty() {
            return Err(Miss::Denied(denied));
        }
        self.ask_webhook(shown, now)
    }

    /// Returns what the webhook has said of a caller, or has it asked.
    fn ask_webhook(&mut self, shown: &Asker<'_>, now: Times) -> Result<(Caller, Millis), Miss> {
        let digest = shown.digest();
        let Some(webhook) = &self.webhook else {
            return Err(Miss::Unavailable);
        };
        if let Some((caller, until)) = webhook.known.get(&digest, now.wall) {
            self.metrics.access(AccessFigure::Recalled);
            return Ok((caller.clone(), until));
        }
        match webhook.unknown.get(&digest, now.wall) {
            Some((Unknown::Refused, _)) => return Err(Miss::Denied(REFUSED)),
            Some((Unknown::Unavailable, _)) => return Err(Miss::Unavailable),
            None => {}
        }
        if let Some(errand) = webhook.asked.get(&digest) {
            return Err(Miss::Wait(ErrandId(*errand)));
        }
        let secret = webhook.settings.secret.as_ref();
        let fetch = Fetch {
            id: self.next,
            url: webhook.url.clone(),
            connector: Arc::clone(&webhook.connector),
            body: Some(webhook::question(
                shown.credentials.bearer(),
                shown.named,
                Some(shown.peer),
            )),
            authorization: secret.map(|secret| format!("Bearer {secret}")),
            timeout: Duration::from_millis(webhook.settings.timeout_ms),
            bytes_max: ANSWER_BYTES_MAX,
        };
        self.metrics.access(AccessFigure::Asked);
        if let Err(error) = self.fetcher.send(fetch) {
            tracing::warn!(%error, "the authorisation webhook is not asked");
            self.metrics.access(AccessFigure::AskFailed);
            return Err(Miss::Unavailable);
        }
        let errand = self.set_out(About::Caller(digest));
        if let Some(webhook) = &mut self.webhook {
            webhook.asked.insert(digest, errand.0);
        }
        Err(Miss::Wait(errand))
    }

    fn take_answer(&mut self, shown: Shown, fetched: Fetched, now: Times) {
        let Some(webhook) = &mut self.webhook else {
            return;
        };
        if webhook.asked.remove(&shown) != Some(fetched.id) {
            // It is of a webhook that was there before.
            return;
        }
        match read_answer(fetched.answer, now.wall) {
            // Whoever waits for it asks again.
            Ok(Some(_)) if fetched.id < webhook.asked_anew => {}
            Ok(Some(caller)) => {
                let until = now
                    .wall
                    .plus(webhook.settings.cache_seconds.saturating_mul(1_000));
                let until = caller.ends_at.map_or(until, |ends_at| ends_at.min(until));
                webhook.known.put(shown, until, caller);
            }
            Ok(None) => {
                let until = now.wall.plus(REFUSED_MS);
                webhook.unknown.put(shown, until, Unknown::Refused);
            }
            Err(error) => {
                self.metrics.access(AccessFigure::AskFailed);
                tracing::warn!(error, "the authorisation webhook does not answer");
                let until = now.wall.plus(UNAVAILABLE_MS);
                webhook.unknown.put(shown, until, Unknown::Unavailable);
            }
        }
    }
}

const REFUSED: Denied = Denied::new(
    floe_proto::Code::Unauthorized,
    "the authorisation webhook does not know the API key or token",
);

/// Reads an answer of the webhook; a status that says no is one.
fn read_answer(
    answer: Result<(u16, bytes::Bytes), FetchError>,
    now: Millis,
) -> Result<Option<Caller>, String> {
    match answer {
        Ok((200, body)) => webhook::read_answer(&body, now).map_err(|error| error.to_string()),
        Ok((401 | 403, _)) => Ok(None),
        Ok((status, _)) => Err(format!("status {status}")),
        Err(error) => Err(error.to_string()),
    }
}

fn warn_if_plain(url: &WebhookUrl, what: &str) {
    if !url.secure && !url.local {
        tracing::warn!(host = %url.host, "{what} without encryption: anyone between can change them");
    }
}

impl Webhook {
    fn new(settings: &AccessWebhookSettings) -> Result<Self, AccessError> {
        let url = WebhookUrl::parse_trusted(&settings.url).map_err(AccessError::WebhookUrl)?;
        warn_if_plain(&url, "the authorisation webhook is asked");
        Ok(Self {
            url,
            connector: fetch::connector(&settings.roots),
            settings: settings.clone(),
            known: Recall::new(settings.cache_entries_max),
            unknown: Recall::new(settings.cache_entries_max),
            asked: BTreeMap::new(),
            asked_anew: 0,
        })
    }
}

/// What a request shows of who asks.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// The credentials.
    pub credentials: &'a Credentials<'a>,
    /// The namespace that it names.
    pub named: Option<&'a Namespace>,
    /// Where it comes from.
    pub peer: IpAddr,
}

impl<'a> Asker<'a> {
    /// Returns the signed token that is shown, if it is one.
    fn token(&self) -> Option<&'a str> {
        match self.credentials.bearer() {
            Some(bearer) => Some(bearer).filter(|bearer| is_token(bearer)),
            None => self.credentials.share(),
        }
    }

    /// Returns a digest of what the webhook is asked. The address counts only where it is all that
    /// there is: a user on the move is asked about once.
    fn digest(&self) -> Shown {
        let named = self.named.map_or("", Namespace::as_str).as_bytes();
        match self.credentials.bearer() {
            Some(bearer) => digest(&[b"bearer", named, bearer.as_bytes()]),
            None => digest(&[b"nobody", named, self.peer.to_string().as_bytes()]),
        }
    }
}

/// The clocks of the host.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// The time of day.
    pub wall: Millis,
    /// Milliseconds since the start.
    pub uptime_ms: u64,
}

/// Returns a digest of parts that cannot be mistaken for others.
fn digest(parts: &[&[u8]]) -> Shown {
    let mut digest = Digest::new(&SHA256);
    for part in parts {
        digest.update(&(part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    let mut shown = [0; 32];
    shown.copy_from_slice(digest.finish().as_ref());
    shown
}
