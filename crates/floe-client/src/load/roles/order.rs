//! What a live reader must receive: every message of every writer, once and in order.

use crate::load::meter::Kind;
use crate::load::record::Record;
use crate::load::role::Shared;

/// The next message that one reader expects from each writer.
#[derive(Debug, Default)]
pub(crate) struct Order {
    expected: Vec<u64>,
    /// What was expected where the reader would resume.
    resume: Vec<u64>,
    received: u64,
}

impl Order {
    /// Checks one message and notes its delivery.
    pub(crate) fn receive(&mut self, shared: &mut Shared, now_ns: u64, record: Option<Record>) {
        let Some(record) = record else {
            return shared.note_error("message damaged");
        };
        let writer = usize::from(record.writer);
        if writer >= self.expected.len() {
            self.expected.resize(writer + 1, 0);
        }
        let expected = self.expected[writer];
        if record.sequence < expected {
            return shared.note_error("message delivered twice");
        }
        if record.sequence > expected {
            let missing = record.sequence - expected;
            shared.note_error(&format!("gap of {missing} messages"));
        }
        self.expected[writer] = record.sequence + 1;
        self.received += 1;
        shared.received += 1;
        shared.note(Kind::Delivery, now_ns.saturating_sub(record.sent_ns), 1, 0);
    }

    /// Notes that everything received so far lies before the offset to resume from.
    pub(crate) fn commit(&mut self) {
        self.resume.clone_from(&self.expected);
    }

    /// Goes back to where the reader resumes: what follows is sent again by right.
    pub(crate) fn rewind(&mut self, shared: &mut Shared) {
        let sent_again: u64 = self.expected.iter().sum::<u64>() - self.resume.iter().sum::<u64>();
        self.received -= sent_again.min(self.received);
        shared.received -= sent_again.min(shared.received);
        self.expected.clone_from(&self.resume);
    }

    /// Messages received once and in order.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }
}
