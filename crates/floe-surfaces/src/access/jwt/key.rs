//! What signatures are checked with.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac as _;
use serde::Deserialize;

use super::der;
use super::sign::mac;

/// How a token may be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// RSA with PKCS #1 padding, version 1.5, and SHA-256.
    Rs256,
    /// ECDSA over P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Hs256, Self::Rs256, Self::Es256, Self::EdDsa];

    /// Returns the algorithm that a word in a token's header stands for.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        match word {
            "HS256" => Some(Self::Hs256),
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }

    /// Returns the word in a token's header.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// Says whether a signature over a message is of a key, by the key's one algorithm. An ECDSA
/// signature is its two numbers one behind the other.
pub type CheckSignature = fn(key: &PublicKey, message: &[u8], signature: &[u8]) -> bool;

/// A public key, and by its kind the algorithm that it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// RS256.
    Rsa {
        /// The modulus, most significant byte first.
        modulus: Box<[u8]>,
        /// The exponent, most significant byte first.
        exponent: Box<[u8]>,
    },
    /// ES256: the point, not compressed.
    P256([u8; 65]),
    /// `EdDSA`.
    Ed25519([u8; 32]),
}

impl PublicKey {
    /// Bits of an RSA key: below they can be broken, above they are slow to no use.
    pub const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;

    /// Returns the one algorithm that the key is for.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa { .. } => Algorithm::Rs256,
            Self::P256(_) => Algorithm::Es256,
            Self::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// Takes an RSA key; `None` where it is too small, too large or none.
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let modulus = without_zeros(modulus);
        let exponent = without_zeros(exponent);
        let high = modulus.first()?.leading_zeros() as usize;
        let is_fine = Self::RSA_BITS.contains(&(modulus.len() * 8 - high))
            && (1..=8).contains(&exponent.len());
        is_fine.then(|| Self::Rsa {
            modulus: modulus.into(),
            exponent: exponent.into(),
        })
    }

    /// Takes a point; `None` where it is compressed or none at all.
    pub(super) fn p256(point: &[u8]) -> Option<Self> {
        let point: [u8; 65] = point.try_into().ok()?;
        (point[0] == 4).then_some(Self::P256(point))
    }

    pub(super) fn ed25519(key: &[u8]) -> Option<Self> {
        key.try_into().ok().map(Self::Ed25519)
    }
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

/// A secret that signs and checks, with its id. Its `Debug` form does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    id: Option<Box<str>>,
    bytes: Box<[u8]>,
}

impl Secret {
    /// Bytes that a secret has at least: as many as the hash that it keys.
    pub const BYTES_MIN: usize = 32;

    /// Takes a secret.
    ///
    /// # Errors
    /// [`KeyError::Short`].
    pub fn new(id: Option<&str>, bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() < Self::BYTES_MIN {
            return Err(KeyError::Short);
        }
        Ok(Self {
            id: id.map(Into::into),
            bytes: bytes.into(),
        })
    }

    /// Returns its id.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The keys of an issuer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeySet {
    keys: Vec<Key>,
}

/// A key and its id; without an id it may have signed any token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    Secret(Secret),
    Public(Option<Box<str>>, PublicKey),
}

impl Key {
    fn id(&self) -> Option<&str> {
        match self {
            Self::Secret(secret) => secret.id(),
            Self::Public(id, _) => id.as_deref(),
        }
    }

    const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Secret(_) => Algorithm::Hs256,
            Self::Public(_, key) => key.algorithm(),
        }
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8], check: CheckSignature) -> bool {
        match self {
            // The library compares in constant time.
            Self::Secret(secret) => mac(secret.bytes(), message).verify_slice(signature).is_ok(),
            Self::Public(_, key) => check(key, message, signature),
        }
    }
}

impl KeySet {
    /// Keys of one issuer.
    pub const KEYS_MAX: usize = 100;

    /// Returns how many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Returns whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Takes secrets; those beyond [`KEYS_MAX`](Self::KEYS_MAX) are left out.
    #[must_use]
    pub fn of_secrets(secrets: impl IntoIterator<Item = Secret>) -> Self {
        let secrets = secrets.into_iter().take(Self::KEYS_MAX);
        Self {
            keys: secrets.map(Key::Secret).collect(),
        }
    }

    /// Adds a secret.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn add_secret(&mut self, secret: Secret) -> Result<(), KeyError> {
        self.add(Key::Secret(secret))
    }

    /// Adds a public key in PEM (`PUBLIC KEY`), or as a JSON Web Key (RFC 7517), which may name
    /// itself.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn add_public(&mut self, id: Option<&str>, text: &str) -> Result<(), KeyError> {
        let text = text.trim();
        let id: Option<Box<str>> = id.map(Into::into);
        if text.starts_with('{') {
            let key: Jwk = serde_json::from_str(text).map_err(|_| KeyError::Json)?;
            let public = key.public().ok_or(KeyError::Unusable)?;
            return self.add(Key::Public(id.or(key.kid.map(Into::into)), public));
        }
        let public = der::of_pem(text).ok_or(KeyError::Pem)?;
        self.add(Key::Public(id, public))
    }

    /// Reads the set that an issuer publishes (RFC 7517). Keys that are not for us are passed over,
    /// secrets among them: what is published is none.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn parse(json: &[u8]) -> Result<Self, KeyError> {
        #[derive(Deserialize)]
        struct Jwks {
            keys: Vec<serde_json::Value>,
        }
        let published: Jwks = serde_json::from_slice(json).map_err(|_| KeyError::Json)?;
        let mut set = Self::default();
        for key in published.keys {
            let Ok(key) = serde_json::from_value::<Jwk>(key) else {
                continue;
            };
            if let Some(public) = key.public() {
                set.add(Key::Public(key.kid.map(Into::into), public))?;
            }
        }
        if set.is_empty() {
            return Err(KeyError::Unusable);
        }
        Ok(set)
    }

    /// Adds the keys of another set, as far as there is place.
    #[must_use]
    pub fn with(mut self, other: &Self) -> Self {
        self.keys.extend(other.keys.iter().cloned());
        self.keys.truncate(Self::KEYS_MAX);
        self
    }

    /// Returns the keys for an algorithm that may have signed a token that names this one.
    pub(super) fn find(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(move |key| {
            let named = id.is_none() || key.id().is_none() || key.id() == id;
            named && key.algorithm() == algorithm
        })
    }

    fn add(&mut self, key: Key) -> Result<(), KeyError> {
        if self.keys.len() == Self::KEYS_MAX {
            return Err(KeyError::TooMany);
        }
        self.keys.push(key);
        Ok(())
    }
}

/// A JSON Web Key, as far as it matters to us.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Jwk {
    /// Returns the key, if it is one that checks signatures as we know them.
    fn public(&self) -> Option<PublicKey> {
        let may_verify = |ops: &Vec<String>| ops.iter().any(|op| op == "verify");
        if self.usage.as_deref().is_some_and(|usage| usage != "sig")
            || !self.key_ops.as_ref().is_none_or(may_verify)
        {
            return None;
        }
        let key = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => PublicKey::rsa(&decode(&self.n)?, &decode(&self.e)?),
            ("EC", Some("P-256")) => {
                let point = [vec![4], decode(&self.x)?, decode(&self.y)?].concat();
                PublicKey::p256(&point)
            }
            ("OKP", Some("Ed25519")) => PublicKey::ed25519(&decode(&self.x)?),
            _ => None,
        }?;
        let is_for = |alg: &str| Algorithm::of_word(alg) == Some(key.algorithm());
        self.alg.as_deref().is_none_or(is_for).then_some(key)
    }
}

fn decode(text: &Option<String>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.as_deref()?).ok()
}

/// Why a key cannot be taken. The key itself is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Use a longer one.
    #[error("a secret has at least {} bytes", Secret::BYTES_MIN)]
    Short,
    /// Write it as `-----BEGIN PUBLIC KEY-----`.
    #[error("it is not an RSA, P-256 or Ed25519 key as `BEGIN PUBLIC KEY`")]
    Pem,
    /// It must be what RFC 7517 says.
    #[error("it is no JSON Web Key or set of them")]
    Json,
    /// Use one of another kind.
    #[error("there is no RSA (2048 to 8192 bits), P-256 or Ed25519 key to check signatures with")]
    Unusable,
    /// Drop some.
    #[error("there are more than {} keys", KeySet::KEYS_MAX)]
    TooMany,
}
