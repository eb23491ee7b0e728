//! Who may do what: API keys, channel tokens, and the one decision about them.
//!
//! A key opens a namespace, as far as its rights go; a token opens one channel. [`authorize`] is a
//! pure function over what the caller showed, what it asks for and what is known of the channel;
//! a host calls it before it does anything else, and tells the caller nothing more than it says.
//! Who shows a token is judged by the token, so that showing more never allows more.

use std::borrow::Cow;
use std::fmt;

use floe_proto::token::{ChannelToken, TokenError};
use floe_proto::{ChannelId, Code, Millis, Rights};

use crate::channels::Ask;

mod keys;

pub use keys::{Access, KeyError};

/// The namespace of callers that name none, and whose key does not either.
pub const NAMESPACE_DEFAULT: &str = "default";

/// What a caller showed. Its `Debug` form says only what kinds there were.
#[derive(Clone, Default)]
pub struct Credentials<'a> {
    key: Option<Cow<'a, str>>,
    token: Option<Cow<'a, str>>,
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

    /// Reads one header field, if it is one of ours.
    pub(crate) fn field(&mut self, name: &str, value: &'a [u8]) {
        // What is not text is no credential either, and is refused as a wrong one.
        let text = || std::str::from_utf8(value).map_or("\u{fffd}", str::trim);
        if name.eq_ignore_ascii_case("authorization") {
            self.key = key(text()).map(Cow::Borrowed);
        } else if name.eq_ignore_ascii_case("x-channel-token")
            || name.eq_ignore_ascii_case("x-log-token")
        {
            self.token = Some(text())
                .filter(|token| !token.is_empty())
                .map(Cow::Borrowed);
        }
    }

    /// Takes a token from a query, where a route allows it; one in a header goes first.
    pub fn query_token(&mut self, token: Option<Cow<'a, str>>) {
        if self.token.is_none() {
            self.token = token;
        }
    }

    /// Returns the channel token.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Copies what is borrowed, for a connection that outlives its request.
    #[must_use]
    pub fn into_owned(self) -> Credentials<'static> {
        Credentials {
            key: self.key.map(|key| Cow::Owned(key.into_owned())),
            token: self.token.map(|token| Cow::Owned(token.into_owned())),
        }
    }

    /// Returns the credentials with another token, if there is one.
    #[must_use]
    pub fn with_token<'b>(&'b self, token: Option<&'b str>) -> Credentials<'b> {
        Credentials {
            key: self.key.as_deref().map(Cow::Borrowed),
            token: token.or(self.token.as_deref()).map(Cow::Borrowed),
        }
    }
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("key", &self.key.is_some())
            .field("token", &self.token.is_some())
            .finish()
    }
}

fn key(authorization: &str) -> Option<&str> {
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

/// What a host knows of the channel that is asked for.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// The namespace that owns it.
    pub owner: &'a str,
    /// Its secret.
    pub secret: &'a str,
    /// Whether it was deleted and is not yet purged.
    pub deleted: bool,
}

/// What a caller wants, as far as it matters to whether it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// What it wants to do.
    pub deed: Deed,
    /// The channel it names.
    pub channel: Option<ChannelId>,
    /// The namespace it names.
    pub namespace: Option<&'a str>,
}

/// What callers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// What everyone may.
    Nothing,
    /// Make a channel.
    Create,
    /// List, query or search a whole namespace.
    Survey,
    /// Change or delete a channel, sign tokens, rotate its secret.
    Manage,
    /// Learn of a channel, deleted or not.
    Describe,
    /// Learn how to follow a channel.
    Enter,
    /// Read events, follow them, see who is there.
    Read,
    /// Append, edit, react.
    Append,
    /// Delete events.
    Delete,
}

impl Deed {
    /// Returns the rights of which one is needed, for a key as for a token; none for a deed that
    /// is beyond tokens.
    const fn rights(self) -> Rights {
        match self {
            Self::Nothing | Self::Create | Self::Survey | Self::Manage => Rights::NONE,
            Self::Describe | Self::Read => Rights::READ,
            Self::Enter => Rights::READ.with(Rights::APPEND),
            Self::Append => Rights::APPEND,
            Self::Delete => Rights::DELETE_OWN.with(Rights::DELETE_ANY),
        }
    }
}

impl<'a> Wanted<'a> {
    /// Returns what a request wants.
    #[must_use]
    pub fn of(ask: &'a Ask<'_>) -> Self {
        let channel = ask.channel();
        let deed = match ask {
            Ask::Preflight | Ask::Ping | Ask::OpenApi => Deed::Nothing,
            Ask::Create(_) => Deed::Create,
            Ask::List(_) => Deed::Survey,
            Ask::Query(_) | Ask::Search(_) if channel.is_none() => Deed::Survey,
            Ask::Query(_) | Ask::Search(_) => Deed::Read,
            Ask::Describe(_) => Deed::Describe,
            Ask::Realtime(_) => Deed::Enter,
            Ask::Change(..) | Ask::Remove { .. } | Ask::Token(..) | Ask::Secret(_) => Deed::Manage,
            Ask::Read(..)
            | Ask::Event { .. }
            | Ask::Presence(..)
            | Ask::Subscribe { .. }
            | Ask::Poll { .. } => Deed::Read,
            Ask::Append(..) | Ask::Edit(..) | Ask::React(..) => Deed::Append,
            Ask::Delete { .. } => Deed::Delete,
        };
        Self {
            deed,
            channel,
            namespace: ask.namespace(),
        }
    }
}

/// What a caller may do with what it asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The namespace it acts in: the channel's owner, else the one it named or its key has.
    pub namespace: Box<str>,
    /// What it may do in the channel.
    pub rights: Rights,
    /// In whose name it speaks, whatever it says itself; only for bearers of a token.
    pub author: Option<Box<str>>,
    /// When it all ends; only for bearers of a token.
    pub ends_at: Option<Millis>,
}

/// Why a caller may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denied {
    /// The code on the wire.
    pub code: Code,
    /// In words.
    pub message: &'static str,
}

impl Denied {
    const NO_CHANNEL: Self = Self::new(Code::NotFound, "there is no such channel");
    const NO_CREDENTIALS: Self =
        Self::new(Code::Unauthorized, "an API key or channel token is needed");
    const WRONG_KEY: Self = Self::new(Code::Unauthorized, "the API key is not known");
    const WRONG_TOKEN: Self = Self::new(Code::Unauthorized, "the token is not of this channel");
    const OTHER_CHANNEL: Self = Self::new(Code::Forbidden, "the token is of another channel");
    const BEYOND_TOKENS: Self = Self::new(Code::Forbidden, "this takes an API key, not a token");
    const OTHER_NAMESPACE: Self = Self::new(Code::Forbidden, "the API key is of another namespace");
    const TOO_LITTLE: Self = Self::new(Code::Forbidden, "the key or token does not allow this");
    const DELETED: Self = Self::new(Code::Gone, "the channel was deleted");

    const fn new(code: Code, message: &'static str) -> Self {
        Self { code, message }
    }
}

/// Decides whether a caller may do what it asks for.
///
/// `known` is what there is of the channel that is asked for; `None` where there is none, which
/// only a caller learns who could have learned that there is one.
///
/// # Errors
/// What to answer instead.
pub fn authorize(
    access: &Access,
    credentials: &Credentials<'_>,
    ask: &Ask<'_>,
    known: Option<Known<'_>>,
    now: Millis,
) -> Result<Grant, Denied> {
    authorize_wanted(access, credentials, &Wanted::of(ask), known, now)
}

/// Decides like [`authorize`], for callers that ask in another way.
///
/// # Errors
/// What to answer instead.
pub fn authorize_wanted(
    access: &Access,
    credentials: &Credentials<'_>,
    wanted: &Wanted<'_>,
    known: Option<Known<'_>>,
    now: Millis,
) -> Result<Grant, Denied> {
    if wanted.deed == Deed::Nothing {
        return Ok(Grant {
            namespace: NAMESPACE_DEFAULT.into(),
            rights: Rights::NONE,
            author: None,
            ends_at: None,
        });
    }
    if let Some(token) = credentials.token() {
        return by_token(token, wanted, known, now);
    }
    let (namespace, rights) = if access.is_open() {
        (None, KeyRights::OPEN)
    } else {
        let key = credentials.key.as_deref();
        let key = key.ok_or(Denied::NO_CREDENTIALS)?;
        access.find(key).ok_or(Denied::WRONG_KEY)?
    };
    by_key(namespace, rights, wanted, known)
}

fn by_token(
    text: &str,
    wanted: &Wanted<'_>,
    known: Option<Known<'_>>,
    now: Millis,
) -> Result<Grant, Denied> {
    let claimed = ChannelToken::peek(text).ok_or(Denied::WRONG_TOKEN)?;
    let Some(channel) = wanted.channel else {
        return Err(Denied::BEYOND_TOKENS);
    };
    if claimed != channel {
        return Err(Denied::OTHER_CHANNEL);
    }
    // Of a channel that is not there no token can be a good one.
    let known = known.ok_or(Denied::WRONG_TOKEN)?;
    let token = ChannelToken::verify(text, known.secret, now).map_err(|why| match why {
        TokenError::Expired => Denied::new(why.code(), "the token has ended"),
        TokenError::Malformed | TokenError::Signature => Denied::WRONG_TOKEN,
    })?;
    if token.channel() != channel {
        return Err(Denied::OTHER_CHANNEL);
    }
    if wanted.deed.rights() == Rights::NONE {
        return Err(Denied::BEYOND_TOKENS);
    }
    if !token.rights().intersects(wanted.deed.rights()) {
        return Err(Denied::TOO_LITTLE);
    }
    there(wanted, known)?;
    Ok(Grant {
        namespace: known.owner.into(),
        rights: token.rights(),
        author: Some(token.author().into()),
        ends_at: Some(token.expires_at()),
    })
}

/// `namespace` is the one that the key opens, `None` if it opens all.
fn by_key(
    namespace: Option<&str>,
    rights: KeyRights,
    wanted: &Wanted<'_>,
    known: Option<Known<'_>>,
) -> Result<Grant, Denied> {
    let opens = |owner: &str| namespace.is_none_or(|namespace| namespace == owner);
    let acts_in = if wanted.channel.is_some() {
        // What lies behind the wall is not there, whatever the key may do on this side.
        let known = known.filter(|known| {
            opens(known.owner) && wanted.namespace.is_none_or(|named| named == known.owner)
        });
        let known = known.ok_or(Denied::NO_CHANNEL)?;
        there(wanted, known)?;
        known.owner
    } else {
        let named = wanted.namespace.or(namespace);
        let named = named.unwrap_or(NAMESPACE_DEFAULT);
        if !opens(named) {
            return Err(Denied::OTHER_NAMESPACE);
        }
        named
    };
    if !rights.allow(wanted.deed) {
        return Err(Denied::TOO_LITTLE);
    }
    Ok(Grant {
        namespace: acts_in.into(),
        rights: rights.in_channel,
        author: None,
        ends_at: None,
    })
}

fn there(wanted: &Wanted<'_>, known: Known<'_>) -> Result<(), Denied> {
    if known.deleted && wanted.deed != Deed::Describe {
        return Err(Denied::DELETED);
    }
    Ok(())
}

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct KeyRights {
    in_channel: Rights,
    write: bool,
    admin: bool,
}

impl KeyRights {
    /// What everyone may where no key is configured. Deleted events stay deleted.
    const OPEN: Self = Self::ADMIN;
    /// Everything but the content of deleted events, which a key is given by name.
    const ADMIN: Self = Self {
        in_channel: Rights::READ
            .with(Rights::APPEND)
            .with(Rights::DELETE_OWN)
            .with(Rights::DELETE_ANY),
        write: true,
        admin: true,
    };

    const fn allow(self, deed: Deed) -> bool {
        match deed {
            Deed::Nothing => true,
            Deed::Create => self.write,
            Deed::Manage => self.admin,
            Deed::Survey => self.in_channel.contains(Rights::READ),
            Deed::Describe | Deed::Enter | Deed::Read | Deed::Append | Deed::Delete => {
                self.in_channel.intersects(deed.rights())
            }
        }
    }
}

#[cfg(test)]
mod tests;
