//! API keys and revocations.

use floe_core::directory::{Command, KeyEntry, Revocation, Revoked};
use floe_log::Disk;
use floe_proto::{Code, Millis};
use floe_surfaces::access::{Grants, KeyRing, RoomPattern, may_give};
use floe_surfaces::admin::{ListPage, NewKey, answer};
use serde_json::{Value, json};

use super::super::Reactor;
use super::super::caller::refused;
use super::Office;
use super::audit::Act;
use crate::directory::Outcome;
use crate::shard::Failure;

impl<D: Disk> Reactor<D> {
    pub(super) fn list_keys(&mut self, office: &Office, page: &ListPage) {
        let now = self.clock.wall;
        let keys = self.directory.directory().keys_after(&page.after);
        let keys = keys.filter(|key| match &office.namespace {
            Some(namespace) => key.namespace.as_ref() == Some(namespace),
            None => true,
        });
        let mut shown: Vec<_> = keys.take(page.limit + 1).collect();
        let more = shown.len() > page.limit;
        shown.truncate(page.limit);
        let next = shown.last().filter(|_| more).map(|key| key.id.clone());
        let list: Vec<Value> = shown.iter().map(|key| answer::key(key, now)).collect();
        self.tell_office(office, 200, json!({ "keys": list, "next": next }));
    }

    /// Finds a key that the caller may look after. Others are not there.
    pub(super) fn key_of(&self, office: &Office, id: &str) -> Result<KeyEntry, Failure> {
        let session = &office.opened.session;
        let key = self.directory.directory().key(id);
        let key = key.filter(|key| match &key.namespace {
            Some(namespace) => session.opens(namespace.as_str()),
            None => session.namespace().is_none(),
        });
        key.cloned()
            .ok_or_else(|| Failure::new(Code::NotFound, "there is no such key"))
    }

    pub(super) fn create_key(&mut self, office: &Office, new: NewKey) -> Result<(), Failure> {
        let caller = office.opened.session.caller();
        may_give(caller, &new.grants).map_err(refused)?;
        let now = self.clock.wall;
        let expires_at = new.end.map(|end| end.at(now));
        if expires_at.is_some_and(|at| at <= now) {
            let message = "the key would end before it begins";
            return Err(Failure::new(Code::InvalidRequest, message));
        }
        let (id, secret) = self.draw_key(None);
        let entry = KeyEntry {
            digest: KeyRing::digest(&secret),
            id,
            name: new.name,
            namespace: office.target(),
            grants: new
                .grants
                .iter()
                .map(|(pattern, rights)| (pattern.into(), rights))
                .collect(),
            user: new.user,
            created_at: now,
            expires_at,
            rotated: None,
            last_used_at: None,
        };
        let command = Command::CreateKey(entry.clone());
        self.decide(&command)?;
        if let Some(namespace) = &entry.namespace
            && !namespace.is_default()
        {
            self.adopt(namespace)?;
        }
        let shown = answer::key(&entry, now);
        let act = of_key(&entry, shown.clone());
        let body = json!({ "key": shown, "secret": secret });
        self.act(office, command, act, Outcome::Done(201, body))
    }

    pub(super) fn rotate_key(
        &mut self,
        office: &Office,
        id: Box<str>,
        seconds: u64,
    ) -> Result<(), Failure> {
        let now = self.clock.wall;
        let mut key = self.key_of(office, &id)?;
        // Whoever is told the new secret can do what the key can.
        may_give(office.opened.session.caller(), &grants_of(&key)).map_err(refused)?;
        let (id, secret) = self.draw_key(Some(id));
        let old_until = now.plus(seconds.saturating_mul(1_000));
        let digest = KeyRing::digest(&secret);
        key.rotated = Some((key.digest, old_until));
        let shown = answer::key(&key, now);
        let act = of_key(
            &key,
            json!({ "id": id, "oldSecretExpiresAt": old_until.rfc3339() }),
        );
        let command = Command::RotateKey {
            id,
            digest,
            old_until,
        };
        let body = json!({ "key": shown, "secret": secret });
        self.act(office, command, act, Outcome::Done(200, body))
    }

    pub(super) fn delete_key(&mut self, office: &Office, id: Box<str>) -> Result<(), Failure> {
        let key = self.key_of(office, &id)?;
        let act = of_key(&key, json!({ "id": id, "name": key.name }));
        self.act(office, Command::DeleteKey(id), act, Outcome::Deleted)
    }

    /// Draws the secret of a key, and its id if it has none.
    fn draw_key(&self, id: Option<Box<str>>) -> (Box<str>, String) {
        let id = id.unwrap_or_else(|| self.random_text::<8>().into());
        let secret = format!("floe_{id}_{}", self.random_text::<24>());
        (id, secret)
    }

    pub(super) fn list_revocations(&mut self, office: &Office, page: &ListPage) {
        let now = self.clock.wall;
        let all = self.directory.directory().revocations().iter();
        let all = all.filter(|one| one.until > now);
        let all = all.filter(|one| match &office.namespace {
            Some(namespace) => one.namespace.as_ref() == Some(namespace),
            None => true,
        });
        // They have no names of their own: a page begins where the count of those before says.
        let skipped: usize = page.after.parse().unwrap_or_default();
        let mut shown: Vec<_> = all.skip(skipped).take(page.limit + 1).collect();
        let more = shown.len() > page.limit;
        shown.truncate(page.limit);
        let next = more.then(|| (skipped + page.limit).to_string());
        let list: Vec<Value> = shown.into_iter().map(answer::revocation).collect();
        self.tell_office(office, 200, json!({ "revocations": list, "next": next }));
    }

    pub(super) fn revoke(
        &mut self,
        office: &Office,
        what: Revoked,
        until: Option<Millis>,
    ) -> Result<(), Failure> {
        let now = self.clock.wall;
        let longest = now.plus(Revocation::LIFE_MS_MAX);
        let until = until.unwrap_or(longest).min(longest);
        if until <= now {
            let message = "until has passed: what is revoked has ended by itself";
            return Err(Failure::new(Code::InvalidRequest, message));
        }
        let revocation = Revocation {
            namespace: office.target(),
            what,
            revoked_at: now,
            until,
        };
        let body = answer::revocation(&revocation);
        let act = Act {
            log: revocation.namespace.clone().unwrap_or_default(),
            target: body.clone(),
        };
        let command = Command::Revoke(revocation);
        self.act(office, command, act, Outcome::Done(201, body))
    }
}

fn of_key(key: &KeyEntry, target: Value) -> Act {
    Act {
        log: key.namespace.clone().unwrap_or_default(),
        target,
    }
}

fn grants_of(key: &KeyEntry) -> Grants {
    let grants = key.grants.iter();
    Grants::new(
        grants.filter_map(|(pattern, rights)| Some((RoomPattern::parse(pattern).ok()?, *rights))),
    )
}
