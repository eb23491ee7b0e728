//! The audit log: what was administered, by whom, in the stream `__audit__` of its namespace.
//!
//! The record of an act is staged before the act itself, so that a crash between the two leaves a
//! record too many and never an act without one.

use floe_log::Disk;
use floe_proto::{Code, Millis, Namespace};
use floe_surfaces::access::{Caller, Source};
use floe_surfaces::admin::{Operation, answer};
use serde_json::{Value, json};

use super::super::Reactor;
use super::Office;
use crate::shard::{AUDIT, Failure};

/// What is done, as the audit log calls it.
#[derive(Debug)]
pub struct Act {
    /// The namespace whose log says so; that of operators is the default one's.
    pub log: Namespace,
    /// To what it is done. Nothing secret.
    pub target: Value,
}

/// How many refusals went into the audit log lately.
#[derive(Debug, Default)]
pub struct RefusalsLogged {
    minute: u64,
    logged: u32,
    /// Those that did not go there.
    left_out: u64,
}

/// Refusals that the audit log takes in a minute, so that nobody fills the disk by asking for what
/// they may not. More are counted, and the next that is logged says how many.
const REFUSALS_MAX: u32 = 60;

impl RefusalsLogged {
    /// Notes a refusal; returns how many were left out before it, if it may be logged.
    fn note(&mut self, now: Millis) -> Option<u64> {
        let minute = now.0 / 60_000;
        if minute != self.minute {
            self.minute = minute;
            self.logged = 0;
        }
        if self.logged >= REFUSALS_MAX {
            self.left_out += 1;
            return None;
        }
        self.logged += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

impl<D: Disk> Reactor<D> {
    /// Describes an act that is done.
    pub(super) fn record(&self, office: &Office, act: &Act) -> Value {
        let mut record = self.describe(office);
        record["target"] = act.target.clone();
        record["outcome"] = "done".into();
        record
    }

    /// Stages the record of an act.
    pub(super) fn log_act(&mut self, act: &Act, record: &Value) -> Result<(), Failure> {
        self.log_record(&act.log, record)
    }

    /// Stages the record of a change of a room's own rules.
    ///
    /// # Errors
    /// When the log has no space.
    pub(in crate::reactor) fn log_rules(
        &mut self,
        at: usize,
        caller: &Caller,
        log: &Namespace,
        target: Value,
    ) -> Result<(), Failure> {
        self.log_done(at, caller, log, "room.rules", target)
    }

    /// Stages the record of something that somebody does in a namespace.
    ///
    /// # Errors
    /// When the log has no space.
    pub(in crate::reactor) fn log_done(
        &mut self,
        at: usize,
        caller: &Caller,
        log: &Namespace,
        act: &str,
        target: Value,
    ) -> Result<(), Failure> {
        let mut record = self.describe_act(at, caller, Some(act));
        record["target"] = target;
        record["outcome"] = "done".into();
        self.log_record(log, &record)
    }

    /// Stages the record of something that the server did by itself.
    ///
    /// # Errors
    /// When the log has no space.
    pub(super) fn log_own(&mut self, act: &'static str, target: Value) -> Result<(), Failure> {
        let record = json!({
            "at": self.clock.wall.rfc3339(),
            "act": act,
            "by": null,
            "target": target,
            "peer": null,
            "outcome": "done",
        });
        self.log_record(&Namespace::default(), &record)
    }

    /// Stages the record of an act that was refused to somebody who is known.
    pub(super) fn log_refusal(&mut self, office: &Office, failure: &Failure) {
        let caller = office.opened.session.caller();
        let known = !matches!(caller.source, Source::Anonymous | Source::Open);
        let is_over = failure.cold.is_none() && failure.errand.is_none();
        if !known || !is_over || word(office.operation).is_none() || failure.code == Code::DiskFull
        {
            return;
        }
        let Some(left_out) = self.refusals.note(self.clock.wall) else {
            return;
        };
        let mut record = self.describe(office);
        record["outcome"] = "refused".into();
        record["code"] = failure.code.as_str().into();
        if left_out > 0 {
            record["leftOut"] = left_out.into();
        }
        let log = caller.namespace.clone().unwrap_or_default();
        if let Err(failure) = self.log_record(&log, &record) {
            let code = failure.code.as_str();
            tracing::warn!(code, "a refusal is missing in the audit log");
        }
    }

    fn log_record(&mut self, log: &Namespace, record: &Value) -> Result<(), Failure> {
        let mut message = record.to_string().into_bytes();
        message.push(b',');
        let name = log.qualify(AUDIT);
        let retention = self.limits.audit_retention();
        self.shard
            .log_message(self.clock.wall, &name, &message, retention)
    }

    fn describe(&self, office: &Office) -> Value {
        let caller = office.opened.session.caller();
        self.describe_act(office.at, caller, word(office.operation))
    }

    fn describe_act(&self, at: usize, caller: &Caller, act: Option<&str>) -> Value {
        let peer = self.conns.get(at);
        json!({
            "at": self.clock.wall.rfc3339(),
            "act": act,
            "by": { "source": answer::source(caller), "user": caller.user },
            "peer": peer.map(|conn| conn.peer.ip.to_string()),
        })
    }
}

/// Returns what the audit log calls an act; `None` for what changes nothing.
const fn word(operation: Operation) -> Option<&'static str> {
    match operation {
        Operation::CreateNamespace => Some("namespace.create"),
        Operation::ChangeNamespace => Some("namespace.change"),
        Operation::DeleteNamespace => Some("namespace.delete"),
        Operation::RotateSecret => Some("namespace.rotate-secret"),
        Operation::CreateKey => Some("key.create"),
        Operation::DeleteKey => Some("key.delete"),
        Operation::RotateKey => Some("key.rotate"),
        Operation::SignToken => Some("token.sign"),
        Operation::AcceptInvitation => Some("invitation.accept"),
        Operation::Revoke => Some("revoke"),
        Operation::Whoami
        | Operation::ListNamespaces
        | Operation::DescribeNamespace
        | Operation::ListKeys
        | Operation::DescribeKey
        | Operation::ListRevocations
        | Operation::DrawTicket => None,
    }
}
