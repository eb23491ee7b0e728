//! Tokens of the server's own.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use floe_proto::{Millis, Namespace};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Map, Value, json};
use sha2::Sha256;

use super::super::caller::Grants;
use super::{Issuer, Purpose, Secret, own_issuer};

/// What a token of the server's own says. It is good for its namespace alone.
#[derive(Debug, Clone, Copy)]
pub struct Claims<'a> {
    /// The namespace that it opens.
    pub namespace: &'a Namespace,
    /// Who shows it; one without may only read, unless it is an invitation.
    pub user: Option<&'a str>,
    /// What they may do where.
    pub grants: &'a Grants,
    /// Its own id, for revocation.
    pub id: &'a str,
    /// When it was made.
    pub issued_at: Millis,
    /// When it ends; whole seconds, so it may be up to one second earlier.
    pub ends_at: Millis,
    /// What it is good for.
    pub purpose: Purpose,
}

/// Makes a token of the server's own, signed with HS256.
#[must_use]
pub fn sign(claims: &Claims<'_>, secret: &Secret) -> String {
    let header = json!({"alg": "HS256", "typ": "JWT", "kid": secret.id()});
    let mut text = encode(&header);
    text.push('.');
    text.push_str(&encode(&claims.json()));
    let signature = mac(secret.bytes(), text.as_bytes()).finalize().into_bytes();
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut text);
    text
}

impl Claims<'_> {
    fn json(&self) -> Value {
        let rooms: Map<_, _> = self
            .grants
            .iter()
            .map(|(pattern, rights)| (pattern, rights.words().collect()))
            .collect();
        let mut ours = Map::new();
        ours.insert("namespace".to_owned(), self.namespace.as_str().into());
        ours.insert("rooms".to_owned(), rooms.into());
        if let Some(word) = self.purpose.word() {
            ours.insert("use".to_owned(), word.into());
        }
        let mut all = Map::new();
        all.insert("iss".to_owned(), own_issuer(self.namespace).into());
        if let Some(user) = self.user {
            all.insert("sub".to_owned(), user.into());
        }
        all.insert("iat".to_owned(), (self.issued_at.0 / 1_000).into());
        all.insert("exp".to_owned(), (self.ends_at.0 / 1_000).into());
        all.insert("jti".to_owned(), self.id.into());
        all.insert(Issuer::CLAIM.to_owned(), ours.into());
        all.into()
    }
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// Starts an HMAC over a message. A key of any length is one.
pub(super) fn mac(secret: &[u8], message: &[u8]) -> Hmac<Sha256> {
    let mut mac =
        <Hmac<Sha256>>::new_from_slice(secret).expect("a key of HMAC may have any length");
    mac.update(message);
    mac
}
