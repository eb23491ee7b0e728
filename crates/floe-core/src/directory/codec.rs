//! The bytes of a drawer.
//!
//! A version, then entries, each a kind and its length-prefixed bytes. Fields are only ever added
//! at the end of an entry, and kinds are never given another meaning.

use std::collections::BTreeMap;

use floe_proto::codec::{Put, Reader};
use floe_proto::{Millis, Namespace, Retention, Rights};

use super::{
    CLOSED, Directory, Drawer, KeyEntry, NamespaceEntry, NamespaceSettings, Revocation, Revoked,
    SigningSecret, drawer_of_key, drawer_of_namespace, drawer_of_revocation,
};

const VERSION: u8 = 1;

const MARK_CLOSED: u8 = 1;
pub(super) const NAMESPACE: u8 = 2;
pub(super) const KEY: u8 = 3;
pub(super) const REVOCATION: u8 = 4;

const TOKEN: u8 = 1;
const USER: u8 = 2;

impl Directory {
    /// Returns what a drawer holds.
    #[must_use]
    pub fn encode(&self, drawer: Drawer) -> Vec<u8> {
        let mut out = vec![VERSION];
        if self.closed && drawer == CLOSED {
            put(&mut out, MARK_CLOSED, &[]);
        }
        for entry in self.namespaces.values() {
            if drawer_of_namespace(&entry.name) == drawer {
                put(&mut out, NAMESPACE, &encode_namespace(entry));
            }
        }
        for key in self.keys.values() {
            if drawer_of_key(&key.id) == drawer {
                put(&mut out, KEY, &encode_key(key));
            }
        }
        for revocation in self.revocations.iter() {
            if drawer_of_revocation(revocation) == drawer {
                put(&mut out, REVOCATION, &encode_revocation(revocation));
            }
        }
        out
    }

    /// Takes up what a drawer holds; `None` when the bytes are not those of a drawer.
    #[must_use]
    pub fn restore(&mut self, bytes: &[u8]) -> Option<()> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != VERSION {
            return None;
        }
        while !reader.is_empty() {
            let kind = reader.u8()?;
            let mut entry = Reader::new(reader.bytes()?);
            match kind {
                MARK_CLOSED => self.closed = true,
                NAMESPACE => self.take_namespace(decode_namespace(&mut entry)?),
                KEY => {
                    let key = decode_key(&mut entry)?;
                    self.keys.insert(key.id.clone(), key);
                }
                REVOCATION => self.revocations.insert(decode_revocation(&mut entry)?),
                _ => return None,
            }
        }
        Some(())
    }
}

fn put(out: &mut Vec<u8>, kind: u8, entry: &[u8]) {
    out.put_u8(kind);
    out.put_bytes(entry);
}

pub(super) fn encode_namespace(entry: &NamespaceEntry) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_bytes(entry.name.as_str().as_bytes());
    out.put_u64(entry.created_at.0);
    out.put_bytes(&entry.secret.0);
    let settings = &entry.settings;
    out.put_varint(settings.origins.len() as u64);
    for origin in &settings.origins {
        out.put_bytes(origin.as_bytes());
    }
    for bound in [
        settings.retention.max_age_ms,
        settings.retention.max_events,
        settings.retention.max_bytes,
    ] {
        put_number(&mut out, bound);
    }
    out.put_varint(settings.quotas.len() as u64);
    for (name, value) in &settings.quotas {
        out.put_bytes(name.as_bytes());
        out.put_varint(*value);
    }
    let is_plain = entry.secret_number == 1 && entry.deleting_since.is_none();
    if !is_plain {
        out.put_varint(entry.secret_number);
        match &entry.old_secret {
            Some((secret, until)) => {
                out.put_bytes(&secret.0);
                out.put_u64(until.0);
            }
            None => out.put_bytes(&[]),
        }
        put_number(&mut out, entry.deleting_since.map(|at| at.0));
    }
    out
}

fn decode_namespace(reader: &mut Reader<'_>) -> Option<NamespaceEntry> {
    let name = reader.str()?.parse().ok()?;
    let created_at = Millis(reader.u64()?);
    let secret = SigningSecret(reader.bytes()?.try_into().ok()?);
    let mut origins = Vec::new();
    for _ in 0..reader.varint()? {
        origins.push(reader.str()?.into());
    }
    let retention = Retention {
        max_age_ms: number(reader)?,
        max_events: number(reader)?,
        max_bytes: number(reader)?,
    };
    let mut quotas = BTreeMap::new();
    for _ in 0..reader.varint()? {
        quotas.insert(reader.str()?.into(), reader.varint()?);
    }
    let mut entry = NamespaceEntry::new(name, created_at, secret);
    entry.settings = NamespaceSettings {
        origins,
        retention,
        quotas,
    };
    // What has had one secret and stays ends here.
    if !reader.is_empty() {
        entry.secret_number = reader.varint()?;
        entry.old_secret = match reader.bytes()? {
            [] => None,
            secret => {
                let secret = SigningSecret(secret.try_into().ok()?);
                Some((secret, Millis(reader.u64()?)))
            }
        };
        entry.deleting_since = number(reader)?.map(Millis);
    }
    Some(entry)
}

fn encode_key(key: &KeyEntry) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_bytes(key.id.as_bytes());
    out.put_bytes(key.name.as_bytes());
    out.put_bytes(&key.digest);
    put_namespace(&mut out, key.namespace.as_ref());
    out.put_varint(key.grants.len() as u64);
    for (pattern, rights) in &key.grants {
        out.put_bytes(pattern.as_bytes());
        out.put_varint(u64::from(rights.bits()));
    }
    out.put_bytes(key.user.as_deref().unwrap_or_default().as_bytes());
    out.put_u64(key.created_at.0);
    put_number(&mut out, key.expires_at.map(|at| at.0));
    match &key.rotated {
        Some((digest, until)) => {
            out.put_bytes(digest);
            out.put_u64(until.0);
        }
        None => out.put_bytes(&[]),
    }
    put_number(&mut out, key.last_used_at.map(|at| at.0));
    out
}

fn decode_key(reader: &mut Reader<'_>) -> Option<KeyEntry> {
    let id = reader.str()?.into();
    let name = reader.str()?.into();
    let digest = reader.bytes()?.try_into().ok()?;
    let namespace = namespace(reader)?;
    let mut grants = Vec::new();
    for _ in 0..reader.varint()? {
        let pattern = reader.str()?.into();
        let bits = u16::try_from(reader.varint()?).ok()?;
        grants.push((pattern, Rights::from_bits(bits)?));
    }
    let user = reader.str()?;
    Some(KeyEntry {
        id,
        name,
        digest,
        namespace,
        grants: grants.into(),
        user: (!user.is_empty()).then(|| user.into()),
        created_at: Millis(reader.u64()?),
        expires_at: number(reader)?.map(Millis),
        rotated: match reader.bytes()? {
            [] => None,
            digest => Some((digest.try_into().ok()?, Millis(reader.u64()?))),
        },
        last_used_at: number(reader)?.map(Millis),
    })
}

fn encode_revocation(revocation: &Revocation) -> Vec<u8> {
    let mut out = Vec::new();
    put_namespace(&mut out, revocation.namespace.as_ref());
    out.put_u8(match revocation.what {
        Revoked::Token(_) => TOKEN,
        Revoked::User(_) => USER,
    });
    out.put_bytes(revocation.what.name().as_bytes());
    out.put_u64(revocation.revoked_at.0);
    out.put_u64(revocation.until.0);
    out
}

fn decode_revocation(reader: &mut Reader<'_>) -> Option<Revocation> {
    Some(Revocation {
        namespace: namespace(reader)?,
        what: match reader.u8()? {
            TOKEN => Revoked::Token(reader.str()?.into()),
            USER => Revoked::User(reader.str()?.into()),
            _ => return None,
        },
        revoked_at: Millis(reader.u64()?),
        until: Millis(reader.u64()?),
    })
}

fn put_namespace(out: &mut Vec<u8>, namespace: Option<&Namespace>) {
    let name = namespace.map_or("", Namespace::as_str);
    out.put_bytes(name.as_bytes());
}

fn namespace(reader: &mut Reader<'_>) -> Option<Option<Namespace>> {
    match reader.str()? {
        "" => Some(None),
        name => name.parse().ok().map(Some),
    }
}

fn put_number(out: &mut Vec<u8>, number: Option<u64>) {
    out.put_u8(u8::from(number.is_some()));
    if let Some(number) = number {
        out.put_varint(number);
    }
}

fn number(reader: &mut Reader<'_>) -> Option<Option<u64>> {
    match reader.u8()? {
        0 => Some(None),
        1 => reader.varint().map(Some),
        _ => None,
    }
}
