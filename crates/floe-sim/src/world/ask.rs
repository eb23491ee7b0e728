//! Requests that change something, and their answers.

use floe_server::shard::{Failure, Reply, Ticket};

use super::{End, Violation, World, is_disk_failure};
use crate::command::Command;
use crate::draw::VALUES;
use crate::model::{Answer, Expected, Op};

/// A request that waits for its answer.
#[derive(Debug)]
pub struct Asked {
    /// Nothing for a read.
    command: Option<Command>,
    answer: Answer,
    /// The change that it makes.
    op: Option<u64>,
    /// Changes that the answer tells of.
    tells: u64,
}

impl World {
    /// Sends a request of one of many clients.
    pub(super) fn ask(&mut self) -> Result<(), End> {
        let retry = !self.unanswered.is_empty() && self.rng.chance(1, 2);
        let command = if retry {
            self.unanswered.remove(0)
        } else {
            self.draw
                .command(self.truth.staged(), self.now, &mut self.rng)
        };
        let settled = self.settle(command.name())?
            && match command.source() {
                Some(source) => {
                    let source = source.to_owned();
                    self.settle(&source)? && self.settle(command.name())?
                }
                None => true,
            };
        if settled {
            self.send(command)?;
        }
        Ok(())
    }

    fn send(&mut self, command: Command) -> Result<(), End> {
        let expected = self.judge(&command);
        let mut tells = self.truth.changed(command.name());
        // An answer about a stream that is there says nothing of what the other one has become.
        if let Some(source) = command.source()
            && self.truth.staged().find(command.name()).is_none()
        {
            tells = tells.max(self.truth.changed(source));
        }
        let ticket = self.ticket();
        self.trace.note(format!("{ticket}: {command:?}"));
        let now = self.now();
        command.send(self.shard(), now, Ticket(ticket));
        // What is answered at once was decided without the disk.
        let mut at_once = None;
        while let Some((other, reply)) = self.shard().poll_reply() {
            let answer = Answer::from(reply);
            match other.0 == ticket {
                true => at_once = Some(answer),
                false => self.answered(other.0, &answer)?,
            }
        }
        match at_once {
            Some(answer) if answer.is_want_of_space() && self.may_lack_space() => {
                self.count("want of space");
                self.trace
                    .note(format!("{ticket} finds no space: {answer:?}"));
                return Ok(());
            }
            Some(answer) if answer.is_failure() && self.faulty => {
                return Err(self.blame(&format!("{ticket} failed: {answer:?}")));
            }
            Some(answer) if expected.op.is_some() => {
                let what = format!("{command:?} is answered {answer:?} before it can be durable");
                return Err(End::Violation(what));
            }
            Some(_) | None => {}
        }
        self.next_uid += 1;
        let op = expected.op.map(|op| self.truth.wish(op));
        let asked = Asked {
            command: Some(command),
            answer: expected.answer,
            op,
            tells: op.unwrap_or(tells),
        };
        self.asked.insert(ticket, asked);
        if let Some(answer) = at_once {
            self.answered(ticket, &answer)?;
        }
        Ok(())
    }

    /// Lets the server tell a reader that its read fails, which tells of the stream's end.
    pub(super) fn tell_refusal(&mut self, name: &str, failure: Failure) {
        let ticket = self.ticket();
        self.trace
            .note(format!("{ticket} will be told {failure:?}"));
        let asked = Asked {
            command: None,
            answer: Answer::from(Reply::Failed(failure.clone())),
            op: None,
            tells: self.truth.changed(name),
        };
        self.asked.insert(ticket, asked);
        self.shard().refuse(Ticket(ticket), failure);
    }

    fn judge(&self, command: &Command) -> Expected {
        let model = self.truth.staged();
        match command {
            Command::Create(create) => model.judge_create(create, self.next_uid, self.now),
            Command::Append(append) => {
                model.judge_append(append, self.limits.stream_producers_max, self.now)
            }
            Command::Delete { name } => model.judge_delete(name),
        }
    }

    /// Returns whether a server may say that it has no space for a record.
    pub(super) fn may_lack_space(&self) -> bool {
        self.tight
    }

    /// Takes all answers, and shows readers what has come.
    pub(super) fn hear(&mut self, all: bool) -> Result<(), End> {
        while let Some((ticket, reply)) = self.shard().poll_reply() {
            self.answered(ticket.0, &Answer::from(reply))?;
        }
        self.deliver(all)
    }

    fn answered(&mut self, ticket: u64, answer: &Answer) -> Result<(), Violation> {
        self.trace.note(format!("{ticket} is answered: {answer:?}"));
        let Some(asked) = self.asked.remove(&ticket) else {
            return Err(format!("{ticket} is answered twice"));
        };
        self.count(match (&asked.command, &asked.op) {
            (Some(Command::Create(create)), Some(_)) if create.fork.is_some() => "fork",
            (Some(Command::Create(_)), Some(_)) => "create",
            (Some(Command::Append(_)), Some(_)) => "append",
            (Some(Command::Delete { .. }), Some(_)) => "delete",
            (None, _) | (Some(_), None) => "no change",
        });
        if *answer != asked.answer {
            let (command, expected) = (&asked.command, &asked.answer);
            return Err(format!(
                "{command:?} is answered {answer:?}, not {expected:?}"
            ));
        }
        if let Some(op) = asked.op {
            if op < self.answered {
                return Err(format!("{ticket} is answered after a later change"));
            }
            self.answered = op;
        }
        // How many producers there are is no secret that must be durable.
        if *answer != Answer::Refused("LIMIT_REACHED", Vec::new()) {
            self.truth.require(asked.tells);
        }
        Ok(())
    }

    /// Sets, ends or checks one of the server's own values.
    pub(super) fn keep_value(&mut self) -> Result<(), End> {
        let name = VALUES[self.rng.below(VALUES.len() as u64) as usize];
        let now = self.now();
        let (op, result) = match self.rng.below(4) {
            0 => {
                let result = self.shard().forget_value(now, name.as_bytes());
                let op = Op::ForgetValue { name: name.into() };
                (
                    self.truth.staged().values.contains_key(name).then_some(op),
                    result,
                )
            }
            1 | 2 => {
                let value = self.draw.value(&mut self.rng);
                let result = self.shard().set_value(now, name.as_bytes(), &value);
                let name = name.to_owned();
                (Some(Op::SetValue { name, value }), result)
            }
            _ => return Ok(self.check_value(name)?),
        };
        self.trace.note(format!("{op:?}: {result:?}"));
        match result {
            Ok(()) => {
                if let Some(op) = op {
                    self.truth.wish(op);
                }
                Ok(())
            }
            Err(failure) if is_disk_failure(&failure) && self.faulty => {
                Err(self.blame(&format!("a value failed: {failure:?}")))
            }
            Err(failure) if is_disk_failure(&failure) && self.may_lack_space() => Ok(()),
            Err(failure) => Err(End::Violation(format!("a value failed: {failure:?}"))),
        }
    }

    /// Checks a value against the newest that was set.
    pub(super) fn check_value(&mut self, name: &str) -> Result<(), Violation> {
        let now = self.now();
        let found = self.shard().value(now, name.as_bytes());
        let found = found.map_err(|failure| format!("value {name}: {failure:?}"))?;
        let wanted = self.truth.staged().values.get(name);
        if found.as_ref() != wanted {
            return Err(format!("value {name} is {found:?}, not {wanted:?}"));
        }
        Ok(())
    }

    /// Takes what nobody will be answered any more, so that clients ask again.
    pub(super) fn forget_asked(&mut self) {
        for asked in std::mem::take(&mut self.asked).into_values() {
            if self.rng.chance(3, 4) {
                self.unanswered.extend(asked.command);
            }
        }
        self.answered = 0;
    }
}
