//! What callers show.

use std::borrow::Cow;
use std::fmt;

use floe_proto::token::ChannelToken;

/// What a caller showed. Its `Debug` form says only what kinds there were.
#[derive(Clone, Default)]
pub struct Credentials<'a> {
    bearer: Option<Cow<'a, str>>,
    token: Option<Cow<'a, str>>,
    share: Option<Cow<'a, str>>,
    ticket: Option<Cow<'a, str>>,
}

impl<'a> Credentials<'a> {
    /// Reads the credentials among header fields.
    pub fn read(fields: impl Iterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut found = Self::default();
        for (name, value) in fields {
            found.field(name, value);
        }
        found
    }

    /// Takes up again what was read before; an empty text is none.
    #[must_use]
    pub fn of(bearer: &'a str, share: &'a str) -> Self {
        let text = |text: &'a str| (!text.is_empty()).then_some(Cow::Borrowed(text));
        Self {
            bearer: text(bearer),
            share: text(share),
            ..Self::default()
        }
    }

    /// Reads one header field, if it is one of ours.
    pub(crate) fn field(&mut self, name: &str, value: &'a [u8]) {
        // What is not text is no credential either, and is refused as a wrong one.
        let text = || std::str::from_utf8(value).map_or("\u{fffd}", str::trim);
        if name.eq_ignore_ascii_case("authorization") {
            self.bearer = bearer(text()).map(Cow::Borrowed);
        } else if name.eq_ignore_ascii_case("x-channel-token")
            || name.eq_ignore_ascii_case("x-log-token")
        {
            self.token = Some(text())
                .filter(|token| !token.is_empty())
                .map(Cow::Borrowed);
        }
    }

    /// Reads a share link or connection ticket among the parameters of a query. Both are text
    /// that no percent sign need stand in.
    pub fn query(&mut self, query: &'a str) {
        for parameter in query.split('&') {
            match parameter.split_once('=') {
                Some(("share", value)) => self.share = Some(Cow::Borrowed(value)),
                Some(("ticket", value)) => self.ticket = Some(Cow::Borrowed(value)),
                Some(_) | None => {}
            }
        }
    }

    /// Takes a channel token from a query, where a route allows it; one in a header goes first.
    pub fn query_token(&mut self, token: Option<Cow<'a, str>>) {
        if self.token.is_none() {
            self.token = token;
        }
    }

    /// Takes what was shown where nothing says of what kind it is: a channel token, else an API key
    /// or signed token. What stood in a header goes first.
    pub fn show(&mut self, shown: Cow<'a, str>) {
        if self.bearer.is_some() || self.token.is_some() || shown.is_empty() {
            return;
        }
        if ChannelToken::peek(&shown).is_some() {
            self.token = Some(shown);
        } else {
            self.bearer = Some(shown);
        }
    }

    /// Returns what stood in `Authorization`, without its scheme: an API key or a signed token.
    #[must_use]
    pub fn bearer(&self) -> Option<&str> {
        self.bearer.as_deref()
    }

    /// Returns the channel token.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Returns the share link's token.
    #[must_use]
    pub fn share(&self) -> Option<&str> {
        self.share.as_deref()
    }

    /// Returns the connection ticket, which is good once.
    #[must_use]
    pub fn ticket(&self) -> Option<&str> {
        self.ticket.as_deref()
    }
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("bearer", &self.bearer.is_some())
            .field("token", &self.token.is_some())
            .field("share", &self.share.is_some())
            .field("ticket", &self.ticket.is_some())
            .finish()
    }
}

fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, key) = authorization.split_once(' ').unwrap_or(("", authorization));
    let known = scheme.eq_ignore_ascii_case("apikey") || scheme.eq_ignore_ascii_case("bearer");
    if authorization.is_empty() {
        None
    } else if known {
        Some(key.trim())
    } else {
        // A scheme that is not ours opens nothing, but was meant to.
        Some("")
    }
}
