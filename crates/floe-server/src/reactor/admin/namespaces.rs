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
use crate::directory::{Cleared, Deletion, Outcome};
use crate::shard::{Failure, Ticket};

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
        let mut entry = self.new_namespace(name);
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
        let mut changed = known
            .cloned()
            .unwrap_or_else(|| NamespaceEntry::new(name.clone(), self.clock.wall, secret));
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

    /// Begins to delete a namespace in which nobody's room may lie.
    pub(super) fn delete_empty_namespace(
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

    /// Deletes a namespace in which nobody's room lies; who asked is answered once it is gone.
    pub(super) fn end_namespace(
        &mut self,
        ticket: Ticket,
        deletion: Deletion,
    ) -> Result<(), Failure> {
        let command = Command::DeleteNamespace(deletion.namespace.clone());
        self.decide(&command)?;
        self.log_act(&operators(Value::Null), &deletion.audit)?;
        self.apply(command);
        self.directory.await_end(deletion.namespace, ticket);
        Ok(())
    }

    /// Marks a namespace as what is deleted with all that is in it, and answers once that is durable.
    pub(super) fn delete_namespace(
        &mut self,
        office: &Office,
        name: Namespace,
    ) -> Result<(), Failure> {
        let directory = self.directory.directory();
        let known = directory.namespace(&name).cloned();
        if directory.is_deleting(name.as_str()) {
            let body = answer::namespace(&name, known.as_ref());
            self.tell_office(office, 202, body);
            return Ok(());
        }
        let marked = known.map(|entry| NamespaceEntry {
            deleting_since: Some(self.clock.wall),
            ..entry
        });
        let body = answer::namespace(&name, marked.as_ref());
        let act = operators(json!({ "name": name.as_str(), "rooms": "delete" }));
        let command = Command::DeleteNamespace(name);
        self.act(office, command, act, Outcome::Done(202, body))
    }

    /// Goes on with the deletion of namespaces that are marked.
    pub(in super::super) fn clear_namespaces(&mut self) {
        let now = self.clock.wall;
        let subscriptions = &mut self.subscriptions;
        let cleared = self
            .directory
            .clear(&mut self.shard, now, |shard, namespace| {
                subscriptions.forget_namespace(shard, now, namespace)
            });
        let Some(Cleared {
            namespace,
            view_mark,
        }) = cleared
        else {
            return;
        };
        // Rows of the view go by the name of their namespace, which somebody may take next.
        if !self.views.has_all(&self.shard, view_mark) {
            return;
        }
        let namespace = namespace.clone();
        if let Err(failure) = self.forget_namespace(&namespace) {
            let code = failure.code.as_str();
            tracing::warn!(code, %namespace, "the end of a namespace waits to be stored");
        }
    }

    fn forget_namespace(&mut self, namespace: &Namespace) -> Result<(), Failure> {
        let command = Command::ForgetNamespace(namespace.clone());
        self.decide(&command)?;
        self.log_own("namespace.deleted", json!({ "name": namespace.as_str() }))?;
        self.apply(command);
        self.directory.end_clearing(namespace);
        tracing::info!(%namespace, "the namespace is deleted");
        Ok(())
    }

    /// Refuses what is about a namespace that is being deleted.
    pub(in super::super) fn check_stands(&self, namespace: &str) -> Result<(), Failure> {
        match self.directory.directory().is_deleting(namespace) {
            true => {
                let message = "the namespace is being deleted";
                Err(Failure::new(Code::NamespaceDeleting, message))
            }
            false => Ok(()),
        }
    }

    /// Gives a namespace a new secret to sign tokens with.
    pub(super) fn rotate_secret(
        &mut self,
        office: &Office,
        name: Namespace,
        seconds: u64,
    ) -> Result<(), Failure> {
        let old_until = self.clock.wall.plus(seconds.saturating_mul(1_000));
        let before = self.directory.directory().namespace(&name);
        let number = before.map_or(1, |entry| entry.secret_number + 1);
        let overlaps = seconds > 0 && before.is_some();
        let body = answer::secret(&name, number, overlaps.then_some(old_until));
        let act = Act {
            log: name.clone(),
            target: body.clone(),
        };
        let command = Command::RotateSecret {
            name,
            secret: SigningSecret(self.random_bytes()),
            old_until,
        };
        self.act(office, command, act, Outcome::Done(200, body))
    }

    fn new_namespace(&self, name: Namespace) -> NamespaceEntry {
        let secret = SigningSecret(self.random_bytes());
        NamespaceEntry::new(name, self.clock.wall, secret)
    }

    /// Makes sure that a namespace is one that somebody made, with a secret of its own.
    pub(super) fn adopt(&mut self, name: &Namespace) -> Result<NamespaceEntry, Failure> {
        if let Some(entry) = self.directory.directory().namespace(name) {
            return Ok(entry.clone());
        }
        let entry = self.new_namespace(name.clone());
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
