//! Why tokens and issuers are not taken.

use floe_proto::Code;

use super::super::Denied;
use super::{Issuer, Issuers};

/// Why a token is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenError {
    /// It is longer than any good one.
    TooLong,
    /// It cannot be read.
    Malformed,
    /// It is for something else, or must be read in a way that is not ours.
    Type,
    /// Nobody is believed who is called so; something else than a token may still know it.
    UnknownIssuer,
    /// The issuer does not sign so.
    Algorithm,
    /// The issuer has no such key.
    UnknownKey,
    /// The issuer's keys are fetched, and such a one is not among those that are here: fetch them,
    /// if that was not done just now, and ask again.
    KeyNotHere(Box<str>),
    /// Somebody else signed it, or something else was signed.
    Signature,
    /// It has no end.
    NoEnd,
    /// It has ended.
    Ended,
    /// It has not begun.
    NotBegun,
    /// It is for someone else than us.
    Audience,
    /// Its namespace is missing, is no name, or is not the issuer's.
    Namespace,
    /// What it allows cannot be read.
    Grants,
    /// It allows too many things one by one.
    TooManyPatterns,
    /// Its user's name, or its own id, is empty, too long or has control characters.
    User,
    /// It allows what only someone with a name can do.
    NoUser,
    /// It is good, but not for this.
    Purpose,
}

impl TokenError {
    /// Returns what to answer; it repeats nothing of the token.
    #[must_use]
    pub const fn denied(&self) -> Denied {
        Denied::new(Code::Unauthorized, self.message())
    }

    const fn message(&self) -> &'static str {
        match self {
            Self::TooLong => "the token is longer than 8192 bytes",
            Self::Malformed => "the token cannot be read",
            Self::Type => "the token is not an access token",
            Self::UnknownIssuer => "the token's issuer is not known",
            Self::Algorithm => "the token's issuer does not sign with this algorithm",
            Self::UnknownKey | Self::KeyNotHere(_) => "the token's key is not known",
            Self::Signature => "the token's signature is wrong",
            Self::NoEnd => "the token has no `exp`",
            Self::Ended => "the token has expired",
            Self::NotBegun => "the token is not valid yet",
            Self::Audience => "the token's audience is another",
            Self::Namespace => "the token's namespace is missing or not its issuer's",
            Self::Grants => "what the token allows cannot be read",
            Self::TooManyPatterns => "the token has more than 100 room patterns",
            Self::User => "the token's `sub` or `jti` is empty or too long",
            Self::NoUser => "the token allows what takes a `sub`",
            Self::Purpose => "the token is not for this use",
        }
    }
}

/// Why an issuer cannot be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// Drop some.
    #[error("there are more than {} issuers", Issuers::ISSUERS_MAX)]
    TooMany,
    /// Call it what `iss` is.
    #[error("an issuer has a name, which does not begin with `floe:`")]
    Name,
    /// Name one.
    #[error("an issuer signs with at least one of HS256, RS256, ES256 and EdDSA")]
    Algorithms,
    /// Set the clocks.
    #[error("clocks may be at most {} seconds apart", Issuer::SKEW_SECONDS_MAX)]
    Skew,
    /// Name a key or where to fetch them.
    #[error("an issuer has keys, or an address to fetch them from")]
    NoKeys,
    /// Give every issuer one entry.
    #[error("an issuer is there twice")]
    Twice,
}
