//! Who may do what: who a caller is, and the one decision about them.
//!
//! A host reads the [`Credentials`] of a request, asks [`Access::authenticate`] who that is, and puts
//! the [`Caller`] into a namespace: that is a [`Session`], which it keeps for the connection. Before it
//! does anything for the caller it asks [`authorize`], a pure function over the session, what is
//! wanted and what is known of the room, and tells the caller nothing more than that says.

use floe_core::directory::{KeyEntry, Revocations};
use floe_proto::{Code, Millis, Namespace};

mod caller;
mod credentials;
mod decide;
mod granting;
pub mod jwt;
mod keys;
pub mod webhook;

use self::jwt::{Issuers, Purpose, TokenError, is_token};
pub use caller::{Caller, Grants, Room, RoomPattern, RoomPatternError, Session, Source};
pub use credentials::Credentials;
pub use decide::{Deed, Denied, Grant, Known, Wanted, authorize};
pub use granting::{Office, Scope, admit, may_give, may_sign};
pub use keys::{Key, KeyError, KeyRing};

/// The namespace of callers that name none, and whose credentials do not either.
pub const NAMESPACE_DEFAULT: &str = Namespace::DEFAULT;

/// Everything that callers are recognised by.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// API keys of the settings.
    pub keys: KeyRing,
    /// API keys that the server keeps itself.
    pub stored: KeyRing,
    /// Whether the server ever kept a key, so that it is open to nobody any more.
    pub closed: bool,
    /// What is believed no longer.
    pub revoked: Revocations,
    /// Whose signed tokens are believed.
    pub issuers: Issuers,
    /// Whether somebody else is asked about what is not known here.
    pub asks: bool,
}

impl Access {
    /// Returns whether nothing is configured that anyone could be recognised by, so that everyone
    /// may do everything.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let none = self.keys.is_empty() && self.stored.is_empty() && self.issuers.is_empty();
        none && !self.closed && !self.asks
    }

    /// Returns whether someone who looks after the whole server is recognised by something that the
    /// server does not keep itself.
    #[must_use]
    pub fn has_operators_elsewhere(&self, now: Millis) -> bool {
        let mut keys = self.keys.iter();
        keys.any(|key| key.caller().is_operator() && !key.caller().has_ended(now))
    }

    /// Takes over the keys that the server keeps itself, in place of those before.
    pub fn keep<'a>(&mut self, keys: impl Iterator<Item = &'a KeyEntry>) {
        self.stored = KeyRing::default();
        for entry in keys {
            self.stored.keep(entry);
        }
    }

    /// Finds out who shows these credentials. Tickets are the host's to redeem, and channel tokens
    /// are judged with their channel.
    ///
    /// # Errors
    /// Refuses credentials that were meant to open something and do not.
    pub fn authenticate(
        &self,
        credentials: &Credentials<'_>,
        now: Millis,
    ) -> Result<Caller, Denied> {
        let recognised = self.recognise(credentials, now);
        recognised.map_err(|unrecognised| unrecognised.denied())
    }

    /// Finds out who shows these credentials, or who else could know.
    ///
    /// # Errors
    /// See [`Unrecognised`].
    pub fn recognise(
        &self,
        credentials: &Credentials<'_>,
        now: Millis,
    ) -> Result<Caller, Unrecognised> {
        if self.is_open() {
            return Ok(Caller::open());
        }
        let caller = match (credentials.bearer(), credentials.share()) {
            (Some(bearer), _) => {
                match self.keys.find(bearer).or_else(|| self.stored.find(bearer)) {
                    Some(key) => key.caller(),
                    None if is_token(bearer) => self.of_token(bearer, Purpose::Access, now)?,
                    None => return Err(Unrecognised::Unknown(WRONG_KEY)),
                }
            }
            (None, Some(share)) => self.of_token(share, Purpose::Share, now)?,
            (None, None) => return Ok(Caller::anonymous()),
        };
        if caller.has_ended(now) {
            return Err(Unrecognised::Denied(ENDED));
        }
        if self.is_revoked(&caller) {
            return Err(Unrecognised::Denied(Denied::REVOKED));
        }
        Ok(caller)
    }

    /// Returns whether what a caller showed was revoked. A key that was is no longer there.
    #[must_use]
    pub fn is_revoked(&self, caller: &Caller) -> bool {
        caller
            .as_shown()
            .is_some_and(|shown| self.revoked.cover(&shown))
    }

    fn of_token(&self, token: &str, purpose: Purpose, now: Millis) -> Result<Caller, Unrecognised> {
        let verified = self.issuers.verify(token, now)?;
        if verified.purpose != purpose {
            return Err(TokenError::Purpose.into());
        }
        Ok(verified.caller)
    }
}

/// Why nobody is recognised by what was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unrecognised {
    /// It is wrong.
    Denied(Denied),
    /// Nothing here knows it. What asks elsewhere may; else it is wrong, as this says.
    Unknown(Denied),
    /// It takes a key of this issuer that is not here; without a way to fetch it, it is wrong.
    KeyNotHere(Box<str>),
}

impl Unrecognised {
    /// Returns what to answer where nobody else is asked.
    #[must_use]
    pub const fn denied(&self) -> Denied {
        match self {
            Self::Denied(denied) | Self::Unknown(denied) => *denied,
            Self::KeyNotHere(_) => TokenError::UnknownKey.denied(),
        }
    }
}

impl From<TokenError> for Unrecognised {
    fn from(error: TokenError) -> Self {
        let denied = error.denied();
        if let TokenError::KeyNotHere(issuer) = error {
            Self::KeyNotHere(issuer)
        } else if error == TokenError::UnknownIssuer {
            Self::Unknown(denied)
        } else {
            Self::Denied(denied)
        }
    }
}

const WRONG_KEY: Denied = Denied::new(Code::Unauthorized, "the API key or token is not known");

impl Denied {
    /// What was shown is believed no longer.
    pub const REVOKED: Self = Self::new(Code::Unauthorized, "the token was revoked");
}

const ENDED: Denied = Denied::new(Code::Unauthorized, "the API key or token has ended");

#[cfg(test)]
mod tests;
