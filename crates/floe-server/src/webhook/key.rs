//! The key that webhooks are signed with.

use std::fmt;

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use floe_surfaces::subscriptions::PublicKey;

/// An Ed25519 key, made of 32 secret bytes that the host keeps.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
    id: String,
}

impl SigningKey {
    /// Bytes of a seed.
    pub const SEED_LEN: usize = 32;

    /// Draws a new seed from the operating system.
    ///
    /// # Errors
    /// See [`KeyError::NoRandomness`].
    pub fn draw_seed() -> Result<[u8; Self::SEED_LEN], KeyError> {
        let mut seed = [0; Self::SEED_LEN];
        let filled = SystemRandom::new().fill(&mut seed);
        filled.map_err(|_| KeyError::NoRandomness)?;
        Ok(seed)
    }

    /// Takes a seed.
    ///
    /// # Errors
    /// See [`KeyError::NotASeed`].
    pub fn from_seed(seed: &[u8]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::NotASeed)?;
        let bytes = pair.public_key().as_ref().try_into();
        let public = PublicKey::new(bytes.map_err(|_| KeyError::NotASeed)?);
        let id = public.id();
        Ok(Self { pair, public, id })
    }

    /// Returns the public half.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Returns the value of `Webhook-Signature` for a body sent at `unix_s`.
    #[must_use]
    pub fn signature(&self, unix_s: u64, body: &[u8]) -> String {
        let mut signed = format!("{unix_s}.").into_bytes();
        signed.extend_from_slice(body);
        let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(&signed));
        format!("t={unix_s},kid={},ed25519={signature}", self.id)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes")]
    NoRandomness,
    /// The stored bytes are damaged.
    #[error("a signing key is made of {} bytes", SigningKey::SEED_LEN)]
    NotASeed,
}
