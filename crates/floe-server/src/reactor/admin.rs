//! Administration: namespaces, API keys, tokens, invitations, revocations, tickets.

mod audit;
mod keys;
mod namespaces;
mod tokens;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use floe_core::directory::{Command, Refusal, SigningSecret};
use floe_log::Disk;
use floe_proto::{Code, Namespace, Rights};
use floe_surfaces::access::jwt::{KeyError, Secret};
use floe_surfaces::access::{Caller, Key, Scope, admit};
use floe_surfaces::admin::{self, Ask, Asked, NewRevocation, Operation, Rooms, answer};
use floe_surfaces::channels;
use floe_surfaces::http::Method;
use serde_json::Value;

use self::audit::Act;
pub(super) use self::audit::RefusalsLogged;
use super::caller::{Opened, refused};
use super::conn::{Context, Place};
use super::page::Pages;
use super::{Reactor, envelope};
use crate::directory::Outcome;
use crate::shard::Failure;

/// Who asks for an act of administration, and where.
pub(super) struct Office {
    at: usize,
    context: Context,
    opened: Arc<Opened>,
    operation: Operation,
    /// The namespace that is named, or the caller's own; `None` for all of them.
    namespace: Option<Namespace>,
    /// Whether all namespaces are meant where none is named.
    all: bool,
}

impl Office {
    /// Returns of what something new is: of the default namespace where nothing is said.
    fn target(&self) -> Option<Namespace> {
        match &self.namespace {
            Some(namespace) => Some(namespace.clone()),
            None if self.all => None,
            None => Some(Namespace::default()),
        }
    }
}

impl<D: Disk> Reactor<D> {
    /// Serves a request of administration.
    #[expect(
        clippy::too_many_arguments,
        reason = "these are the parts of a request"
    )]
    pub(super) fn admin_request(
        &mut self,
        at: usize,
        context: Context,
        method: Method,
        path: &str,
        named: Option<Namespace>,
        query: Option<&str>,
        fields: &[httparse::Header<'_>],
        body: &[u8],
    ) {
        let headers = fields.iter().map(|field| (field.name, field.value));
        let asked = match admin::read_request(method, path, query, headers, body) {
            Ok(asked) => asked,
            Err(reject) => return self.answer_error(at, context, reject.code, &reject.message),
        };
        let Asked {
            credentials,
            ask,
            endpoint,
        } = asked;
        let Some(endpoint) = endpoint else {
            return self.show(at, context, |out, envelope| {
                channels::write_preflight(out, envelope, channels::Form::V1);
            });
        };
        let opened = match self.open_session(at, &credentials, named) {
            Ok(opened) => opened,
            Err(failure) => return self.answer_failure(at, context, &failure),
        };
        let scope = ask.scope().map(std::borrow::Cow::into_owned);
        let admitted = admit(&opened.session, endpoint.office, scope.as_ref());
        let office = Office {
            at,
            context,
            operation: endpoint.operation,
            namespace: admitted.clone().ok().flatten(),
            all: scope == Some(Scope::All),
            opened,
        };
        let host = fields
            .iter()
            .find(|field| field.name.eq_ignore_ascii_case("host"));
        let host = host.and_then(|field| std::str::from_utf8(field.value).ok());
        let done = match admitted {
            Ok(target) => self
                .check_stands(target.as_ref().map_or("", Namespace::as_str))
                .and_then(|()| self.administer(&office, ask, host)),
            Err(denied) => Err(refused(denied)),
        };
        if let Err(failure) = done {
            self.log_refusal(&office, &failure);
            self.tell_failure(&office, failure);
        }
    }

    /// Answers with a refusal, once what it tells of is durable.
    fn tell_failure(&mut self, office: &Office, failure: Failure) {
        let (at, context) = (office.at, office.context);
        let is_over = failure.cold.is_none() && failure.errand.is_none();
        if !is_over || !self.directory.is_ahead(self.shard.durable()) {
            return self.answer_failure(at, context, &failure);
        }
        let ticket = self.wait(at, context, None);
        self.directory.answer(ticket, Outcome::Failed(failure));
    }

    fn administer(&mut self, office: &Office, ask: Ask, host: Option<&str>) -> Result<(), Failure> {
        let now = self.clock.wall;
        match ask {
            Ask::Preflight => unreachable!("it has no route, and was answered"),
            Ask::Whoami => self.tell_office(office, 200, answer::whoami(&office.opened.session)),
            Ask::ListNamespaces(page) => self.list_namespaces(office, &page),
            Ask::CreateNamespace(name, settings) => {
                return self.create_namespace(office, name, settings);
            }
            Ask::DescribeNamespace(name) => return self.describe_namespace(office, &name),
            Ask::ChangeNamespace(name, change) => {
                return self.change_namespace(office, name, change);
            }
            Ask::DeleteNamespace(name, Rooms::Keep) => {
                return self.delete_empty_namespace(office, name);
            }
            Ask::DeleteNamespace(name, Rooms::Delete) => {
                return self.delete_namespace(office, name);
            }
            Ask::RotateSecret(name, seconds) => return self.rotate_secret(office, name, seconds),
            Ask::ListKeys(page) => self.list_keys(office, &page),
            Ask::CreateKey(key) => return self.create_key(office, key),
            Ask::DescribeKey(id) => {
                let key = self.key_of(office, &id)?;
                self.tell_office(office, 200, answer::key(&key, now));
            }
            Ask::DeleteKey(id) | Ask::Revoke(NewRevocation::Key(id)) => {
                return self.delete_key(office, id);
            }
            Ask::RotateKey(id, seconds) => return self.rotate_key(office, id, seconds),
            Ask::SignToken(token) => return self.sign_own_token(office, &token, host),
            Ask::AcceptInvitation(invitation) => {
                return self.accept_invitation(office, &invitation);
            }
            Ask::ListRevocations(page) => self.list_revocations(office, &page),
            Ask::Revoke(NewRevocation::Of { what, until, .. }) => {
                return self.revoke(office, what, until);
            }
            Ask::DrawTicket => return self.draw_ticket(office),
        }
        Ok(())
    }

    /// Applies a command, with its record in the audit log: both are durable before the answer.
    fn act(
        &mut self,
        office: &Office,
        command: Command,
        act: Act,
        outcome: Outcome,
    ) -> Result<(), Failure> {
        self.decide(&command)?;
        let record = self.record(office, &act);
        self.log_act(&act, &record)?;
        let ticket = self.wait(office.at, office.context, None);
        self.apply(command);
        self.directory.answer(ticket, outcome);
        Ok(())
    }

    fn decide(&self, command: &Command) -> Result<(), Failure> {
        let now = self.clock.wall;
        let elsewhere = self.access.has_operators_elsewhere(now) || !self.access.issuers.is_empty();
        let decided = self.directory.directory().decide(now, command, elsewhere);
        decided.map_err(|refusal: Refusal| Failure::new(refusal.code(), refusal.to_string()))
    }

    /// Applies a command that was decided, and judges all who listen by what has become of it.
    fn apply(&mut self, command: Command) {
        let touches_nobody = matches!(
            command,
            Command::CreateNamespace(_) | Command::ChangeNamespace { .. }
        );
        if let Command::Revoke(revocation) = &command {
            self.recogniser.revoke(revocation);
        }
        self.directory.apply(self.clock.wall, command);
        self.keep_directory();
        if !touches_nobody {
            self.judge_all();
        }
    }

    /// Returns whether everyone may do everything.
    pub fn is_open(&self) -> bool {
        self.access.is_open()
    }

    /// Returns how many keys that the server keeps open something now.
    pub fn kept_keys(&self) -> usize {
        let now = self.clock.wall;
        let callers = self.access.stored.iter().map(Key::caller);
        let opens = |caller: &Caller| {
            let grants_some = caller
                .grants
                .iter()
                .any(|(_, rights)| rights != Rights::NONE);
            grants_some && !caller.has_ended(now) && !self.access.is_revoked(caller)
        };
        callers.filter(opens).count()
    }

    /// Takes over what callers are recognised by from the directory.
    pub(super) fn keep_directory(&mut self) {
        let directory = self.directory.directory();
        let access = &mut self.access;
        access.keep(directory.keys());
        access.closed = directory.is_closed();
        self.closed.store(access.closed, Ordering::Relaxed);
        access.revoked = directory.revocations().clone();
        for gone in std::mem::take(&mut self.own_issuers) {
            if directory.namespace(&gone).is_none() {
                access.issuers.set_own(&gone, None, None);
            }
        }
        self.pages = Pages::of(directory);
        for entry in directory.namespaces() {
            let secret = secret_of(entry.secret_number, &entry.secret).ok();
            let before = entry.old_secret.and_then(|(secret, until)| {
                let secret = secret_of(entry.secret_number - 1, &secret).ok()?;
                Some((secret, until))
            });
            access.issuers.set_own(&entry.name, secret, before);
            self.own_issuers.push(entry.name.clone());
        }
    }

    /// Answers with what there is, once that is durable.
    fn tell_office(&mut self, office: &Office, status: u16, body: Value) {
        let (at, context) = (office.at, office.context);
        if self.directory.is_ahead(self.shard.durable()) {
            let ticket = self.wait(at, context, None);
            return self.directory.answer(ticket, Outcome::Done(status, body));
        }
        self.show(at, context, |out, envelope| {
            answer::write(out, envelope, status, &body);
        });
    }

    /// Stores what has changed of the directory, and answers what has become durable.
    pub(super) fn answer_directory(&mut self) {
        for (ticket, outcome) in self.directory.turn(&mut self.shard, self.clock.wall) {
            let outcome = match outcome {
                Outcome::Empty(deletion) => match self.end_namespace(ticket, *deletion) {
                    Ok(()) => continue,
                    Err(failure) => Outcome::Failed(failure),
                },
                outcome @ (Outcome::Done(..) | Outcome::Deleted | Outcome::Failed(_)) => outcome,
            };
            let Place { at, generation, .. } = Place::of(ticket);
            let conn = self.conns.get(at);
            if conn.is_none_or(|conn| conn.generation != generation) {
                continue;
            }
            let Some((context, _)) = self.take_expected(at) else {
                continue;
            };
            match outcome {
                Outcome::Failed(failure) => self.answer_failure(at, context, &failure),
                Outcome::Done(status, body) => self.show(at, context, |out, envelope| {
                    answer::write(out, envelope, status, &body);
                }),
                Outcome::Deleted | Outcome::Empty(_) => {
                    self.out.clear();
                    let envelope = envelope(&mut self.clock, self.conns.get(at), context);
                    floe_surfaces::streams::write_deleted(&mut self.out, &envelope);
                    self.answer(at, context);
                }
            }
            self.resume(at);
        }
    }

    /// Returns lowercase hexadecimal digits of random bytes.
    pub(super) fn random_text<const N: usize>(&self) -> String {
        let bytes = self.random_bytes::<N>();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Returns the secret of a namespace that has this number, which is its id in tokens.
fn secret_of(number: u64, secret: &SigningSecret) -> Result<Secret, KeyError> {
    Secret::new(Some(&number.to_string()), &secret.0)
}

fn no_namespace() -> Failure {
    Failure::new(Code::NotFound, "nobody made a namespace of this name")
}
