//! Channel tokens, byte by byte.
//!
//! Clients take tokens apart themselves, so the bytes are a contract:
//!
//! | Bytes | Field |
//! |---|---|
//! | 1 | version, 4 |
//! | 6 | channel id |
//! | 1 | rights, as bits |
//! | 1 | length of the author |
//! | 1 to 32 | author, UTF-8 |
//! | 3 | end, in hours since 2024-01-01 UTC, most significant byte first |
//! | 12 | first bytes of the HMAC-SHA256 of all before, keyed with the text of the channel's secret |
//!
//! As text they are base64url without padding.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::{ChannelId, Code, Millis, Rights};

/// Who may do what in one channel until when; signed with the channel's secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelToken {
    channel: ChannelId,
    rights: Rights,
    author: Box<str>,
    expiry_hour: u32,
}

impl ChannelToken {
    /// Longest author, in bytes.
    pub const AUTHOR_BYTES_MAX: usize = 32;

    /// Describes a token with those of `rights` that one can carry, which ends at `expires_at` or, as tokens end on the hour, up to an hour
    /// later: [`expires_at`](Self::expires_at) is the moment to report.
    ///
    /// # Errors
    /// See [`NewTokenError`].
    pub fn new(
        channel: ChannelId,
        rights: Rights,
        author: &str,
        expires_at: Millis,
    ) -> Result<Self, NewTokenError> {
        if author.is_empty() || author.len() > Self::AUTHOR_BYTES_MAX {
            return Err(NewTokenError::Author);
        }
        let hour = expires_at.since(TOKEN_EPOCH).div_ceil(HOUR_MS);
        let expiry_hour = u32::try_from(hour).ok().filter(|hour| *hour <= HOUR_MAX);
        Ok(Self {
            channel,
            rights: rights.only(Rights::TOKEN),
            author: author.into(),
            expiry_hour: expiry_hour.ok_or(NewTokenError::TooLate)?,
        })
    }

    /// Returns the token as text, signed with the channel's secret.
    #[must_use]
    pub fn sign(&self, secret: &str) -> String {
        let mut bytes = Vec::with_capacity(TOKEN_BYTES_MAX);
        bytes.push(TOKEN_VERSION);
        bytes.extend_from_slice(&self.channel.0);
        bytes.push(self.rights.token_bits());
        bytes.push(self.author.len() as u8);
        bytes.extend_from_slice(self.author.as_bytes());
        bytes.extend_from_slice(&self.expiry_hour.to_be_bytes()[1..]);
        let signature = keyed(secret, &bytes).finalize().into_bytes();
        bytes.extend_from_slice(&signature[..SIGNATURE_LEN]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a token that the channel's secret has signed and that has not ended at `now`.
    ///
    /// The signature is compared in constant time. Whether the token is of the channel that is
    /// asked for is for the caller to see: one of another has another secret, and fails here.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn verify(text: &str, secret: &str, now: Millis) -> Result<Self, TokenError> {
        let mut buffer = [0; TOKEN_BYTES_MAX];
        let bytes = decode(text, &mut buffer).ok_or(TokenError::Malformed)?;
        let (body, signature) = split(bytes).ok_or(TokenError::Malformed)?;
        keyed(secret, body)
            .verify_truncated_left(signature)
            .map_err(|_| TokenError::Signature)?;
        let token = Self::parse(body).ok_or(TokenError::Malformed)?;
        if now >= token.expires_at() {
            return Err(TokenError::Expired);
        }
        Ok(token)
    }

    /// Reads of which channel a token claims to be, to find the secret that it must be signed with.
    #[must_use]
    pub fn peek(text: &str) -> Option<ChannelId> {
        let mut buffer = [0; TOKEN_BYTES_MAX];
        let (body, _) = split(decode(text, &mut buffer)?)?;
        Self::parse(body).map(|token| token.channel)
    }

    fn parse(body: &[u8]) -> Option<Self> {
        let (head, rest) = body.split_at_checked(HEAD_LEN)?;
        let (author, expiry) = rest.split_at_checked(usize::from(head[8]))?;
        let [high, middle, low] = *expiry else {
            return None;
        };
        let is_author_fine = (1..=Self::AUTHOR_BYTES_MAX).contains(&author.len());
        if head[0] != TOKEN_VERSION || !is_author_fine {
            return None;
        }
        Some(Self {
            channel: ChannelId(head[1..7].try_into().ok()?),
            rights: Rights::from_token_bits(head[7])?,
            author: std::str::from_utf8(author).ok()?.into(),
            expiry_hour: u32::from_be_bytes([0, high, middle, low]),
        })
    }

    /// The one channel that it opens.
    #[must_use]
    pub const fn channel(&self) -> ChannelId {
        self.channel
    }

    /// What its bearer may do there.
    #[must_use]
    pub const fn rights(&self) -> Rights {
        self.rights
    }

    /// Who its bearer is.
    #[must_use]
    pub fn author(&self) -> &str {
        &self.author
    }

    /// The first moment at which it is worth nothing any more.
    #[must_use]
    pub const fn expires_at(&self) -> Millis {
        TOKEN_EPOCH.plus(self.expiry_hour as u64 * HOUR_MS)
    }
}

fn keyed(secret: &str, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = <Hmac<Sha256>>::new_from_slice(secret.as_bytes())
        .expect("a key of HMAC may have any length");
    mac.update(body);
    mac
}

fn decode<'a>(text: &str, buffer: &'a mut [u8; TOKEN_BYTES_MAX]) -> Option<&'a [u8]> {
    let len = URL_SAFE_NO_PAD.decode_slice(text, buffer).ok()?;
    buffer.get(..len)
}

fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    bytes.split_at_checked(bytes.len().checked_sub(SIGNATURE_LEN)?)
}

/// 2024-01-01 UTC, from which the hours of tokens count.
const TOKEN_EPOCH: Millis = Millis(1_704_067_200_000);
const HOUR_MS: u64 = 3_600_000;
/// What three bytes hold: tokens end in the year 3937 at the latest.
const HOUR_MAX: u32 = 0xff_ffff;
const TOKEN_VERSION: u8 = 4;
/// Version, channel, rights, length of the author.
const HEAD_LEN: usize = 9;
const SIGNATURE_LEN: usize = 12;
const TOKEN_BYTES_MAX: usize = HEAD_LEN + ChannelToken::AUTHOR_BYTES_MAX + 3 + SIGNATURE_LEN;

/// Why a token cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewTokenError {
    /// Name an author of 1 to [`ChannelToken::AUTHOR_BYTES_MAX`] bytes.
    Author,
    /// No token can end that late.
    TooLate,
}

impl NewTokenError {
    /// Returns the code on the wire.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Author | Self::TooLate => Code::InvalidRequest,
        }
    }
}

impl fmt::Display for NewTokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Author => write!(
                f,
                "the author of a token has 1 to {} bytes",
                ChannelToken::AUTHOR_BYTES_MAX
            ),
            Self::TooLate => write!(f, "no token can end that late"),
        }
    }
}

impl std::error::Error for NewTokenError {}

/// Why a token opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenError {
    /// It is not a token of this server.
    Malformed,
    /// Another secret has signed it, or none.
    Signature,
    /// It has ended; a new one is needed.
    Expired,
}

impl TokenError {
    /// Returns the code on the wire.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Malformed | Self::Signature | Self::Expired => Code::Unauthorized,
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the token is malformed",
            Self::Signature => "the token is not of this channel",
            Self::Expired => "the token has ended",
        })
    }
}

impl std::error::Error for TokenError {}

#[cfg(test)]
mod tests;
