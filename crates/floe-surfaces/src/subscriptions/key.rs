//! The key that webhooks are signed with, as others see it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::http::{Answer, Envelope};

/// Public half of an Ed25519 key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Takes the key's 32 bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the name under which the key is published: `ds_` and the key's first bytes.
    #[must_use]
    pub fn id(&self) -> String {
        format!("ds_{}", URL_SAFE_NO_PAD.encode(&self.0[..12]))
    }

    /// Returns the key as a JSON Web Key Set.
    #[must_use]
    pub fn jwks(&self) -> String {
        let x = URL_SAFE_NO_PAD.encode(self.0);
        let kid = self.id();
        format!(
            r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{x}","kid":"{kid}","use":"sig","alg":"EdDSA"}}]}}"#
        )
    }

    /// Writes the answer to a request for the key set.
    pub fn write_jwks(&self, out: &mut Vec<u8>, envelope: &Envelope<'_>) {
        Answer::start(out, envelope, 200)
            .field("Content-Type", b"application/jwk-set+json")
            .field("Cache-Control", b"public, max-age=300")
            .body(self.jwks().as_bytes());
    }
}
