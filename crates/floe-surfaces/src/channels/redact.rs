//! What a reader may not see, taken out of the bytes of the log.

use floe_proto::{ChannelId, Event, EventKind};
use memchr::memmem::Finder;

/// How what is deleted is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hidden {
    /// As a stub that says that something was there, so that no number is missing.
    Stub,
    /// Not at all.
    Omit,
    /// As a whole with `"deleted":true`, for who has the right to see it.
    Mark,
}

/// Events from which was taken what may not be seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Redacted {
    /// The events, each followed by a comma.
    pub bytes: Vec<u8>,
    /// How many there are.
    pub events: u64,
    /// How many of those that came in were deleted.
    pub hidden: u64,
}

/// Takes deleted events out of the bytes of the log, and the edits, reactions and pins of them.
///
/// `hides` says whether an event was deleted, by its sequence number. Whoever knows that nothing
/// was hidden from these bytes sends them as they are, and need not call this.
#[must_use]
pub fn redact(bytes: &[u8], hides: &dyn Fn(u64) -> bool, mode: Hidden) -> Redacted {
    let mut redacted = Redacted {
        bytes: Vec::with_capacity(bytes.len()),
        ..Redacted::default()
    };
    for (_, event) in split_events(bytes) {
        if !concerned(event, hides) {
            redacted.keep(event);
            continue;
        }
        redacted.hidden += 1;
        match mode {
            Hidden::Omit => {}
            Hidden::Stub => redacted.stub(event),
            Hidden::Mark => {
                let Some(open) = event.strip_suffix(b"}") else {
                    continue;
                };
                redacted.bytes.extend_from_slice(open);
                redacted.bytes.extend_from_slice(br#","deleted":true},"#);
                redacted.events += 1;
            }
        }
    }
    redacted
}

impl Redacted {
    fn keep(&mut self, event: &[u8]) {
        self.bytes.extend_from_slice(event);
        self.bytes.push(b',');
        self.events += 1;
    }

    /// What is no event of ours says nothing that could be kept.
    fn stub(&mut self, json: &[u8]) {
        if let (Some(head), Some(event)) = (Head::read(json), Event::parse(json)) {
            let stub = Event::stub(event.seq, event.kind, event.created_at);
            stub.write_json(head.channel, &mut self.bytes);
            self.bytes.push(b',');
            self.events += 1;
        }
    }
}

/// Only edits, reactions and pins are looked into: the rest is decided by how events begin.
fn concerned(event: &[u8], hides: &dyn Fn(u64) -> bool) -> bool {
    let Some(head) = Head::read(event) else {
        return true;
    };
    if hides(head.seq) {
        return true;
    }
    match head.kind {
        EventKind::Message | EventKind::Deletion => false,
        EventKind::Edit | EventKind::Reaction | EventKind::Pin => match Event::parse(event) {
            Some(event) => event.target_seq.is_some_and(hides),
            None => true,
        },
    }
}

/// Splits the bytes of the log into events, each with its sequence number and without its comma.
///
/// What does not begin like an event has the number 0.
pub fn split_events(bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let boundary = Finder::new(BOUNDARY);
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (event, after) = match boundary.find(rest) {
            // The brace is the event's, the comma nobody's.
            Some(at) => (&rest[..=at], &rest[at + 2..]),
            None => (rest.strip_suffix(b",").unwrap_or(rest), &rest[rest.len()..]),
        };
        rest = after;
        Some((Head::read(event).map_or(0, |head| head.seq), event))
    })
}

/// Where one event ends and the next begins.
///
/// It is nowhere else: in a string its quotes would have a backslash each, and objects in the data
/// of a message stand apart by a blank, see [`Event::write_json`].
const BOUNDARY: &[u8] = br#"},{"id":""#;

/// What every event begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    channel: ChannelId,
    seq: u64,
    kind: EventKind,
}

impl Head {
    /// Reads `{"id":"<channel>-<seq>","seq":<seq>,"type":"<kind>"`.
    fn read(event: &[u8]) -> Option<Self> {
        let rest = event.strip_prefix(br#"{"id":""#)?;
        let (channel, rest) = rest.split_at_checked(ChannelId::WIRE_LEN)?;
        let channel = std::str::from_utf8(channel).ok()?.parse().ok()?;
        let (_, rest) = digits(rest.strip_prefix(b"-")?)?;
        let (seq, rest) = digits(rest.strip_prefix(br#"","seq":"#)?)?;
        let kind = match rest.strip_prefix(br#","type":""#)?.first()? {
            b'm' => EventKind::Message,
            b'e' => EventKind::Edit,
            b'r' => EventKind::Reaction,
            b'd' => EventKind::Deletion,
            b'p' => EventKind::Pin,
            _ => return None,
        };
        Some(Self { channel, seq, kind })
    }
}

fn digits(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let len = bytes
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let (digits, rest) = bytes.split_at(len);
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((number, rest))
}

#[cfg(test)]
mod tests;
