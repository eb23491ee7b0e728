//! Namespaces.

use floe_core::directory::{
    Command, NamespaceEntry, NamespaceSettings, SettingsChange, SigningSecret,
};
use floe_log::Disk;
use floe_proto::{Code, Namespace};
use floe_surfaces::admin::{ListPage, answer};
use serde_json::{Value, json};

use super::super::Reactor;
use super::audit::Act;
use super::{Office, no_namespace};
use crate::directory::{Deletion, Outcome};
use crate::shard::{AUDIT, Failure, REGISTRY, Ticket};

impl<D: Disk> Reactor<D> {
    pub(super) fn list_namespaces(&mut self, office: &Office, page: &ListPage) {
        let directory = self.directory.directory();
        let default = Namespace::default();
        let mut names: Vec<_> = directory.namespaces().map(|entry| &entry.name).collect();
        if directory.namespace(&default).is_none() {
            names.push(&default);
            names.sort_unstable();
        }
        let names = names
            .into_iter()
            .filter(|name| *name.as_str() > *page.after);
        let mut shown: Vec<_> = names.take(page.limit + 1).collect();
        let more = shown.len() > page.limit;
        shown.truncate(page.limit);
        let next = shown.last().filter(|_| more).map(|name| name.as_str());
        let describe = |name: &&Namespace| answer::namespace(name, directory.namespace(name));
        let list: Vec<Value> = shown.iter().map(describe).collect();
        let body = json!({ "namespaces": list, "next": next });
        self.tell_office(office, 200, body);
    }

    pub(super) fn describe_namespace(
        &mut self,
        office: &Office,
        name: &Namespace,
    ) -> Result<(), Failure> {
        let entry = self.directory.directory().namespace(name);
        if entry.is_none() && !name.is_default() {
            return Err(no_namespace());
        }
        let body = answer::namespace(name, entry);
        self.tell_office(office, 200, body);
        Ok(())
    }

    pub(super) fn create_namespace(
        &mut self,
        office: &Office,
        name: Namespace,
        settings: SettingsChange,
    ) -> Result<(), Failure> {
        if name.is_default() {
            let message = "there is a namespace of this name";
            return Err(Failure::new(Code::Exists, message));
        }
        let mut entry = NamespaceEntry {
            name,
            created_at: self.clock.wall,
            secret: SigningSecret(self.random_bytes()),
            settings: NamespaceSettings::default(),
        };
        entry.settings.change(settings);
        let body = answer::namespace(&entry.name, Some(&entry));
        let act = operators(body.clone());
        let outcome = Outcome::Done(201, body);
        self.act(office, Command::CreateNamespace(entry), act, outcome)
    }

    pub(super) fn change_namespace(
        &mut self,
        office: &Office,
        name: Namespace,
        change: SettingsChange,
    ) -> Result<(), Failure> {
        let known = self.directory.directory().namespace(&name);
        if known.is_none() && !name.is_default() {
            return Err(no_namespace());
        }
        let secret = SigningSecret(self.random_bytes());
        let mut changed = known.cloned().unwrap_or_else(|| NamespaceEntry {
            name: name.clone(),
            created_at: self.clock.wall,
            secret,
            settings: NamespaceSettings::default(),
        });
        changed.settings.change(change.clone());
        let body = answer::namespace(&name, Some(&changed));
        let act = operators(body.clone());
        let command = Command::ChangeNamespace {
            name,
            change,
            secret,
        };
        self.act(office, command, act, Outcome::Done(200, body))
    }

    /// Begins to delete a namespace, which must be empty.
    pub(super) fn delete_namespace(
        &mut self,
        office: &Office,
        name: Namespace,
    ) -> Result<(), Failure> {
        self.decide(&Command::DeleteNamespace(name.clone()))?;
        let act = operators(json!({ "name": name.as_str() }));
        let deletion = Box::new(Deletion {
            audit: self.record(office, &act),
            namespace: name,
        });
        let ticket = self.conns[office.at].ticket(office.at);
        self.directory.empty(&self.shard, ticket, deletion)?;
        self.wait(office.at, office.context, None);
        Ok(())
    }

    /// Deletes a namespace that is empty, with what the server itself wrote there.
    pub(super) fn end_namespace(
        &mut self,
        ticket: Ticket,
        deletion: Deletion,
    ) -> Result<(), Failure> {
        let command = Command::DeleteNamespace(deletion.namespace.clone());
        self.decide(&command)?;
        let act = operators(Value::Null);
        self.log_act(&act, &deletion.audit)?;
        let now = self.clock.wall;
        for own in [AUDIT, REGISTRY] {
            let name = deletion.namespace.qualify(own);
            self.shard.forget_value(now, &name)?;
        }
        self.apply(command);
        self.directory.answer(ticket, Outcome::Deleted);
        Ok(())
    }

    /// Makes sure that a namespace is one that somebody made, with a secret of its own.
    pub(super) fn adopt(&mut self, name: &Namespace) -> Result<NamespaceEntry, Failure> {
        if let Some(entry) = self.directory.directory().namespace(name) {
            return Ok(entry.clone());
        }
        let entry = NamespaceEntry {
            name: name.clone(),
            created_at: self.clock.wall,
            secret: SigningSecret(self.random_bytes()),
            settings: NamespaceSettings::default(),
        };
        let command = Command::CreateNamespace(entry.clone());
        self.decide(&command)?;
        self.apply(command);
        Ok(entry)
    }

    /// Returns what operators have settled for a namespace.
    pub(in super::super) fn settings_of(&self, name: &Namespace) -> Option<&NamespaceSettings> {
        let entry = self.directory.directory().namespace(name)?;
        Some(&entry.settings)
    }
}

/// An act of operators.
fn operators(target: Value) -> Act {
    Act {
        log: Namespace::default(),
        target,
    }
}
