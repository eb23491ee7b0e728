//! A parser for server-sent events that is fed whatever arrives.

/// Collects events; what it holds between calls is at most one event.
#[derive(Debug, Default)]
pub(crate) struct EventParser {
    buffer: Vec<u8>,
    /// Bytes of the buffer that are known to hold no line end.
    searched: usize,
    name: String,
    data: Vec<u8>,
    has_data: bool,
    /// The last line ended with a carriage return, so a line feed that follows belongs to it.
    after_return: bool,
}

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: Vec<u8>,
}

/// An event is larger than [`EVENT_BYTES_MAX`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is larger than {EVENT_BYTES_MAX} bytes")]
pub(crate) struct EventTooLarge;

impl EventParser {
    /// Takes in what arrived.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<(), EventTooLarge> {
        if self.buffer.len() + self.data.len() + bytes.len() > EVENT_BYTES_MAX {
            return Err(EventTooLarge);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Returns the next whole event.
    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        let buffer = std::mem::take(&mut self.buffer);
        let mut rest = &buffer[..];
        let mut event = None;
        while event.is_none() {
            if self.after_return && !rest.is_empty() {
                self.after_return = false;
                rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            }
            let Some(end) = rest[self.searched..].iter().position(is_line_end) else {
                self.searched = rest.len();
                break;
            };
            let end = self.searched + end;
            self.searched = 0;
            self.after_return = rest[end] == b'\r';
            event = self.take_line(&rest[..end]);
            rest = &rest[end + 1..];
        }
        let used = buffer.len() - rest.len();
        self.buffer = buffer;
        self.buffer.drain(..used);
        event
    }

    fn take_line(&mut self, line: &[u8]) -> Option<Event> {
        if line.is_empty() {
            let name = std::mem::take(&mut self.name);
            let data = std::mem::take(&mut self.data);
            let has_data = std::mem::take(&mut self.has_data);
            return has_data.then_some(Event { name, data });
        }
        let (field, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &b""[..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"event" => self.name = String::from_utf8_lossy(value).into_owned(),
            b"data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(value);
            }
            // Comments, ids and retry advice mean nothing here.
            _ => {}
        }
        None
    }
}

const EVENT_BYTES_MAX: usize = 128 << 20;

fn is_line_end(byte: &u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_leading_space_of_the_data_is_kept_when_it_was_doubled() {
        assert_eq!(parse(b"data:  a\n\n", 100), [("", " a")].map(event));
    }

    #[test]
    fn events_without_data_are_none() {
        assert_eq!(parse(b":hello\n\nevent: data\n\nid: 4\n\n", 100), []);
    }

    proptest! {
        #[test]
        fn events_come_out_whole_however_reads_split_them(
            read_bytes in 1usize..80,
            line_end in prop::sample::select(vec!["\n", "\r", "\r\n"]),
        ) {
            let body = "event: data\ndata:[1,\ndata: 2]\n\nevent: control\ndata:{\"a\":1}\n\ndata:\n\n"
                .replace('\n', line_end);
            let expected = [("data", "[1,\n2]"), ("control", "{\"a\":1}"), ("", "")].map(event);
            prop_assert_eq!(parse(body.as_bytes(), read_bytes), expected);
        }
    }

    fn event((name, data): (&str, &str)) -> Event {
        Event {
            name: name.into(),
            data: data.into(),
        }
    }

    fn parse(body: &[u8], read_bytes: usize) -> Vec<Event> {
        let (mut parser, mut events) = (EventParser::default(), Vec::new());
        for read in body.chunks(read_bytes) {
            parser.feed(read).unwrap();
            events.extend(std::iter::from_fn(|| parser.poll_event()));
        }
        events
    }
}
