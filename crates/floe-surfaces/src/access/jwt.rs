//! Signed tokens: JSON Web Tokens (RFC 7519) of one or several issuers.
//!
//! An [`Issuer`] says whose signatures are believed and how far; [`Issuers::verify`] makes a
//! [`Caller`] of a token, or says which rule it breaks. Nothing of what a token says is used before
//! its signature has been checked, but for the issuer and the id of the key to check it with, and
//! neither decides the algorithm: a key serves one, and the issuer lists those it may use.
//!
//! HS256 is checked here. Signatures of public keys are checked by the host's [`CheckSignature`], as
//! hosts have faster and better proven ways to do it than what builds everywhere.
//!
//! # Tokens of the server's own
//! A namespace may have secrets that the server itself signs with: hand them to
//! [`Issuers::set_own`], describe a token as [`Claims`] and [`sign`] it with one of them. Its `iss` is
//! [`own_issuer`] of the namespace and its `kid` the id of the secret, so that secrets can change
//! while tokens of the one before still hold, until its own end.

mod claims;
mod der;
mod error;
mod key;
mod sign;

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use floe_proto::{Millis, Namespace, Rights};
use serde::Deserialize;

use self::claims::read_claims;
pub(super) use self::claims::{is_reading, read_rooms};
pub use self::error::{IssuerError, TokenError};
pub use self::key::{Algorithm, CheckSignature, KeyError, KeySet, PublicKey, Secret};
pub use self::sign::{Claims, sign};
use super::caller::Caller;

/// Whose tokens are believed, and how far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// What `iss` must be, to the letter.
    pub issuer: Box<str>,
    /// Of what `aud` must name one; with none here it is not looked at.
    pub audience: Vec<Box<str>>,
    /// What may be signed with. A key serves only the one algorithm it is for.
    pub algorithms: Vec<Algorithm>,
    /// Seconds that its clock and ours may be apart.
    pub skew_seconds: u32,
    /// The namespace of its tokens; `None` where each says so itself. No token is of all of them.
    pub namespace: Option<Namespace>,
    /// The name of the claim with what is ours.
    pub claim: Box<str>,
    /// What tokens allow everywhere in their namespace that do not say what they allow.
    pub rights: Rights,
    /// What its signatures are checked with.
    pub keys: KeySet,
    /// Whether the keys are fetched, so that one that is not among them may be found there.
    pub fetched: bool,
}

impl Issuer {
    /// Most seconds that clocks may be apart.
    pub const SKEW_SECONDS_MAX: u32 = 600;
    /// Seconds that clocks may be apart where nothing is said.
    pub const SKEW_SECONDS: u32 = 60;
    /// The name of the claim with what is ours, where nothing is said.
    pub const CLAIM: &str = "floe";

    /// Describes an issuer by its name and keys, with everything else as it is where nothing is
    /// said: all algorithms, any audience, the namespace that the token names.
    #[must_use]
    pub fn new(issuer: &str, keys: KeySet) -> Self {
        Self {
            issuer: issuer.into(),
            audience: Vec::new(),
            algorithms: Algorithm::ALL.into(),
            skew_seconds: Self::SKEW_SECONDS,
            namespace: None,
            claim: Self::CLAIM.into(),
            rights: Rights::NONE,
            keys,
            fetched: false,
        }
    }
}

/// Returns what `iss` is in tokens that the server signs itself for a namespace.
#[must_use]
pub fn own_issuer(namespace: &Namespace) -> String {
    format!("{OWN_PREFIX}{namespace}")
}

/// With what the issuers begin that are the server's own.
const OWN_PREFIX: &str = "floe:";

/// All issuers whose tokens are believed.
#[derive(Clone)]
pub struct Issuers {
    /// By `iss`.
    issuers: BTreeMap<Box<str>, Issuer>,
    /// Those that are the server's own, by `iss`.
    own: BTreeMap<Box<str>, Own>,
    check: CheckSignature,
}

/// The server itself, as it signs for a namespace.
#[derive(Clone)]
struct Own {
    /// With the secret of now.
    now: Issuer,
    /// With the one before, and when what that signed ends.
    before: Option<(Issuer, Millis)>,
}

impl Issuers {
    /// Issuers that settings may name.
    pub const ISSUERS_MAX: usize = 100;
    /// Bytes of a token.
    pub const TOKEN_BYTES_MAX: usize = 8 << 10;
    /// Bytes of the name of a user.
    pub const USER_BYTES_MAX: usize = 128;
    /// Bytes of the id of a token or key.
    pub const ID_BYTES_MAX: usize = 256;
    /// Keys that a token is tried with that does not say which one signed it.
    pub const KEYS_TRIED_MAX: usize = 4;

    /// Starts without any issuer. Without a way to check them, signatures of public keys are wrong.
    #[must_use]
    pub fn new(check: CheckSignature) -> Self {
        Self {
            issuers: BTreeMap::new(),
            own: BTreeMap::new(),
            check,
        }
    }

    /// Returns whether no issuer but the server itself is believed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.issuers.is_empty()
    }

    /// Adds an issuer.
    ///
    /// # Errors
    /// See [`IssuerError`].
    pub fn insert(&mut self, issuer: Issuer) -> Result<(), IssuerError> {
        if self.issuers.len() == Self::ISSUERS_MAX {
            return Err(IssuerError::TooMany);
        }
        if issuer.issuer.is_empty() || issuer.issuer.starts_with(OWN_PREFIX) {
            return Err(IssuerError::Name);
        }
        if issuer.algorithms.is_empty() {
            return Err(IssuerError::Algorithms);
        }
        if issuer.skew_seconds > Issuer::SKEW_SECONDS_MAX {
            return Err(IssuerError::Skew);
        }
        if issuer.keys.is_empty() && !issuer.fetched {
            return Err(IssuerError::NoKeys);
        }
        if self.issuers.contains_key(&issuer.issuer) {
            return Err(IssuerError::Twice);
        }
        self.issuers.insert(issuer.issuer.clone(), issuer);
        Ok(())
    }

    /// Replaces the keys of an issuer, which may be none until they are fetched; `false` where it is
    /// not believed any more.
    pub fn set_keys(&mut self, issuer: &str, keys: KeySet) -> bool {
        let found = self.issuers.get_mut(issuer);
        found.map(|issuer| issuer.keys = keys).is_some()
    }

    /// Returns the issuers, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Issuer> {
        self.issuers.values()
    }

    /// Believes tokens of a namespace that are signed with this secret of the server's own, and until
    /// a time those of the secret before; no others. Without a secret it believes none.
    pub fn set_own(
        &mut self,
        namespace: &Namespace,
        secret: Option<Secret>,
        before: Option<(Secret, Millis)>,
    ) {
        let name: Box<str> = own_issuer(namespace).into();
        let Some(secret) = secret else {
            self.own.remove(&name);
            return;
        };
        let issuer = |secret| Issuer {
            algorithms: vec![Algorithm::Hs256],
            namespace: Some(namespace.clone()),
            ..Issuer::new(&name, KeySet::of_secrets([secret]))
        };
        let own = Own {
            now: issuer(secret),
            before: before.map(|(secret, until)| (issuer(secret), until)),
        };
        self.own.insert(name, own);
    }

    /// Takes over what others have of the server's own secrets.
    pub fn take_own(&mut self, others: &mut Self) {
        self.own = std::mem::take(&mut others.own);
    }

    /// Finds out who shows a token, and what for.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn verify(&self, token: &str, now: Millis) -> Result<Verified, TokenError> {
        if token.len() > Self::TOKEN_BYTES_MAX {
            return Err(TokenError::TooLong);
        }
        let parts = Parts::split(token).ok_or(TokenError::Malformed)?;
        let header: Header = parts.json(parts.header)?;
        header.check()?;
        let claimed: Claimed = parts.json(parts.claims)?;
        let name = claimed.iss.as_deref().ok_or(TokenError::UnknownIssuer)?;
        let read = |issuer: &Issuer| {
            self.check_signature(issuer, &header, &parts)?;
            read_claims(issuer, parts.json(parts.claims)?, now)
        };
        if let Some(issuer) = self.issuers.get(name) {
            return read(issuer);
        }
        let own = self.own.get(name).ok_or(TokenError::UnknownIssuer)?;
        let before = own.before.as_ref().filter(|(_, until)| *until > now);
        match (read(&own.now), before) {
            (Err(TokenError::UnknownKey | TokenError::Signature), Some((issuer, until))) => {
                let mut verified = read(issuer)?;
                let ends_at = &mut verified.caller.ends_at;
                *ends_at = Some(ends_at.map_or(*until, |at| at.min(*until)));
                Ok(verified)
            }
            (verified, _) => verified,
        }
    }

    fn check_signature(
        &self,
        issuer: &Issuer,
        header: &Header,
        parts: &Parts<'_>,
    ) -> Result<(), TokenError> {
        let algorithm = Algorithm::of_word(&header.alg);
        let algorithm = algorithm.filter(|algorithm| issuer.algorithms.contains(algorithm));
        let algorithm = algorithm.ok_or(TokenError::Algorithm)?;
        let signature = parts.decode(parts.signature)?;
        let message = parts.signed.as_bytes();
        let mut tried = false;
        let keys = issuer.keys.find(header.kid.as_deref(), algorithm);
        for key in keys.take(Self::KEYS_TRIED_MAX) {
            tried = true;
            if key.verifies(message, &signature, self.check) {
                return Ok(());
            }
        }
        // Keys that are to be had may be others by now.
        let may_be_fetched = issuer.fetched && (header.kid.is_some() || issuer.keys.is_empty());
        Err(if tried {
            TokenError::Signature
        } else if may_be_fetched {
            TokenError::KeyNotHere(issuer.issuer.clone())
        } else {
            TokenError::UnknownKey
        })
    }
}

impl Default for Issuers {
    fn default() -> Self {
        Self::new(|_, _, _| false)
    }
}

impl fmt::Debug for Issuers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuers")
            .field("issuers", &self.issuers)
            .field("own", &self.own.len())
            .finish_non_exhaustive()
    }
}

/// What a good token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Who shows it.
    pub caller: Caller,
    /// What it is good for.
    pub purpose: Purpose,
}

/// What a token is good for. None is good for anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Purpose {
    /// To be shown as `Authorization`.
    #[default]
    Access,
    /// To stand in a link, for whoever has it.
    Share,
    /// To be made into what it promises, once.
    Invite,
}

impl Purpose {
    /// Returns the word in the claim; `None` where it says nothing.
    #[must_use]
    pub const fn word(self) -> Option<&'static str> {
        match self {
            Self::Access => None,
            Self::Share => Some("share"),
            Self::Invite => Some("invite"),
        }
    }

    /// Returns the purpose that a word in the claim stands for.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::Share, Self::Invite]
            .into_iter()
            .find(|purpose| purpose.word() == Some(word))
    }
}

/// Returns whether a bearer has the form of a signed token.
#[must_use]
pub fn is_token(bearer: &str) -> bool {
    bearer.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// A token in its three parts.
struct Parts<'a> {
    header: &'a str,
    claims: &'a str,
    signature: &'a str,
    /// What the signature is over.
    signed: &'a str,
}

impl<'a> Parts<'a> {
    fn split(token: &'a str) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        (!claims.contains('.')).then_some(Self {
            header,
            claims,
            signature,
            signed,
        })
    }

    fn decode(&self, part: &str) -> Result<Vec<u8>, TokenError> {
        URL_SAFE_NO_PAD
            .decode(part)
            .map_err(|_| TokenError::Malformed)
    }

    fn json<T: for<'de> Deserialize<'de>>(&self, part: &str) -> Result<T, TokenError> {
        serde_json::from_slice(&self.decode(part)?).map_err(|_| TokenError::Malformed)
    }
}

/// What stands before a token.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    /// Extensions that must be understood. We understand none.
    crit: Option<serde_json::Value>,
}

impl Header {
    fn check(&self) -> Result<(), TokenError> {
        // An issuer signs more than access tokens with its keys, and says which is which.
        let typ = self.typ.as_deref().unwrap_or("JWT");
        let is_access = ["JWT", "at+jwt", "application/at+jwt"]
            .iter()
            .any(|known| typ.eq_ignore_ascii_case(known));
        if self.crit.is_some() || !is_access {
            return Err(TokenError::Type);
        }
        let kid = self.kid.as_deref().unwrap_or_default();
        if kid.len() > Issuers::ID_BYTES_MAX {
            return Err(TokenError::UnknownKey);
        }
        Ok(())
    }
}

/// Who a token says it is of, before that is known.
#[derive(Deserialize)]
struct Claimed {
    iss: Option<String>,
}

#[cfg(test)]
mod tests;
