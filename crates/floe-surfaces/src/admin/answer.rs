//! What is answered, as JSON.

use floe_core::directory::{KeyEntry, NamespaceEntry, Revocation, Revoked};
use floe_proto::{Millis, Namespace, Rights};
use serde_json::{Map, Value, json};

use crate::access::{Caller, Grants, Session, Source};
use crate::http::{Answer, Envelope};

/// Writes an answer with a body. No cache keeps any of them.
pub fn write(out: &mut Vec<u8>, envelope: &Envelope<'_>, status: u16, body: &Value) {
    Answer::start(out, envelope, status)
        .field("Content-Type", b"application/json")
        .field("Cache-Control", b"no-store")
        .body(body.to_string().as_bytes());
}

/// Describes whoever asks.
#[must_use]
pub fn whoami(session: &Session) -> Value {
    let caller = session.caller();
    let mut body = grants(&caller.grants);
    let is_known = caller.source != Source::Anonymous;
    let namespace = is_known.then(|| scope(session.namespace()));
    body.insert("namespace".to_owned(), namespace.into());
    body.insert("user".to_owned(), json!(caller.user));
    body.insert("expiresAt".to_owned(), moment(caller.ends_at));
    body.insert("operator".to_owned(), caller.is_operator().into());
    body.insert("source".to_owned(), source(caller));
    body.into()
}

/// Describes what a caller showed, without anything that is secret.
#[must_use]
pub fn source(caller: &Caller) -> Value {
    match &caller.source {
        Source::Open => json!({ "kind": "open" }),
        Source::Anonymous => json!({ "kind": "anonymous" }),
        Source::Webhook { .. } => json!({ "kind": "webhook" }),
        Source::Key(id) => json!({ "kind": "key", "id": id }),
        Source::Token { issuer, id, .. } => {
            json!({ "kind": "token", "issuer": issuer, "id": id })
        }
    }
}

/// Describes a namespace; one that nobody made has no time of its making.
#[must_use]
pub fn namespace(name: &Namespace, entry: Option<&NamespaceEntry>) -> Value {
    let settings = entry
        .map(|entry| entry.settings.clone())
        .unwrap_or_default();
    json!({
        "name": name.as_str(),
        "createdAt": moment(entry.map(|entry| entry.created_at)),
        "origins": settings.origins,
        "retention": settings.retention,
        "quotas": settings.quotas,
        "deletingSince": moment(entry.and_then(|entry| entry.deleting_since)),
    })
}

/// Describes the secret that a namespace's own tokens are signed with, without showing it.
#[must_use]
pub fn secret(name: &Namespace, number: u64, old_until: Option<Millis>) -> Value {
    json!({
        "namespace": name.as_str(),
        "secretId": number.to_string(),
        "oldSecretExpiresAt": moment(old_until),
    })
}

/// Describes a key.
#[must_use]
pub fn key(entry: &KeyEntry, now: Millis) -> Value {
    let mut everywhere = Rights::NONE;
    let mut rooms = Map::new();
    for (pattern, rights) in &entry.grants {
        if &**pattern == KeyEntry::EVERYWHERE {
            everywhere = everywhere.with(*rights);
        } else {
            rooms.insert(pattern.to_string(), rights.words().collect());
        }
    }
    let old = entry.rotated.map(|(_, until)| until);
    json!({
        "id": entry.id,
        "name": entry.name,
        "namespace": scope(entry.namespace.as_ref()),
        "rights": everywhere.words().collect::<Vec<_>>(),
        "rooms": rooms,
        "user": entry.user,
        "createdAt": moment(Some(entry.created_at)),
        "expiresAt": moment(entry.expires_at),
        "expired": entry.has_ended(now),
        "oldSecretExpiresAt": moment(old.filter(|until| *until > now)),
        "lastUsedAt": moment(entry.last_used_at),
    })
}

/// Describes a revocation.
#[must_use]
pub fn revocation(revocation: &Revocation) -> Value {
    let (kind, name) = match &revocation.what {
        Revoked::Token(id) => ("token", id),
        Revoked::User(user) => ("user", user),
    };
    json!({
        kind: name,
        "namespace": scope(revocation.namespace.as_ref()),
        "revokedAt": moment(Some(revocation.revoked_at)),
        "until": moment(Some(revocation.until)),
    })
}

/// Describes grants, as `rights` and `rooms`.
#[must_use]
pub fn grants(grants: &Grants) -> Map<String, Value> {
    let mut body = Map::new();
    let mut rooms = Map::new();
    for (pattern, rights) in grants.iter() {
        if pattern != KeyEntry::EVERYWHERE {
            rooms.insert(pattern, rights.words().collect());
        }
    }
    let everywhere = grants.in_namespace().words().collect();
    body.insert("rights".to_owned(), everywhere);
    body.insert("rooms".to_owned(), rooms.into());
    body
}

/// Writes a moment as all answers do.
#[must_use]
pub fn moment(at: Option<Millis>) -> Value {
    at.map_or(Value::Null, |at| at.rfc3339().into())
}

/// Writes a namespace, or `*` for all of them.
#[must_use]
pub fn scope(namespace: Option<&Namespace>) -> Value {
    namespace.map_or("*", Namespace::as_str).into()
}
