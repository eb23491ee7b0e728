//! Frames as they are written: one object, in either format.

use floe_proto::Millis;

use super::{Format, FrameId, cbor};
use crate::http::decimal;
use crate::ws::{begin_frame, end_frame};

/// Writes the fields of an object, in the order of the calls.
pub(super) struct Map<'o> {
    out: &'o mut Vec<u8>,
    format: Format,
    /// Where the object begins.
    start: usize,
    count: usize,
}

/// Appends a whole WebSocket message with one frame of type `kind`.
pub(super) fn frame(out: &mut Vec<u8>, format: Format, kind: &str, fields: impl FnOnce(&mut Map)) {
    let start = begin_frame(out);
    object(out, format, |map| {
        map.text("type", kind);
        fields(map);
    });
    end_frame(out, start, format.opcode());
}

fn object(out: &mut Vec<u8>, format: Format, fields: impl FnOnce(&mut Map)) {
    let start = out.len();
    out.push(match format {
        Format::Json => b'{',
        Format::Cbor => cbor::MAP,
    });
    let mut map = Map {
        out,
        format,
        start,
        count: 0,
    };
    fields(&mut map);
    let Map { out, count, .. } = map;
    match format {
        Format::Json => out.push(b'}'),
        Format::Cbor => cbor::end(out, start, count),
    }
}

fn text(out: &mut Vec<u8>, format: Format, text: &str) {
    match format {
        // A string always has a JSON form, and writing to a vector cannot fail.
        Format::Json => drop(serde_json::to_writer(out, text)),
        Format::Cbor => cbor::text(out, text),
    }
}

impl Map<'_> {
    fn key(&mut self, name: &'static str) {
        match self.format {
            Format::Json => {
                if self.out.len() > self.start + 1 {
                    self.out.push(b',');
                }
                self.out.push(b'"');
                self.out.extend_from_slice(name.as_bytes());
                self.out.extend_from_slice(b"\":");
            }
            Format::Cbor => cbor::text(self.out, name),
        }
        self.count += 1;
    }

    pub(super) fn text(&mut self, name: &'static str, value: &str) {
        self.key(name);
        text(self.out, self.format, value);
    }

    pub(super) fn number(&mut self, name: &'static str, value: u64) {
        self.key(name);
        match self.format {
            Format::Json => {
                let mut digits = [0; 20];
                let at = decimal(value, &mut digits);
                self.out.extend_from_slice(&digits[at..]);
            }
            Format::Cbor => cbor::unsigned(self.out, value),
        }
    }

    pub(super) fn boolean(&mut self, name: &'static str, value: bool) {
        self.json(name, if value { "true" } else { "false" });
    }

    pub(super) fn time(&mut self, name: &'static str, value: Millis) {
        self.text(name, &value.rfc3339());
    }

    /// Adds a value that is valid JSON.
    pub(super) fn json(&mut self, name: &'static str, value: &str) {
        self.key(name);
        match self.format {
            Format::Json => self.out.extend_from_slice(value.as_bytes()),
            Format::Cbor => cbor::one_from_json(value.as_bytes(), self.out),
        }
    }

    pub(super) fn id(&mut self, id: Option<&FrameId<'_>>) {
        match id {
            None => {}
            Some(FrameId::Text(value)) => self.text("id", value),
            Some(FrameId::Number(value)) => match u64::try_from(*value) {
                Ok(value) => self.number("id", value),
                Err(_) => self.json("id", &value.to_string()),
            },
        }
    }

    pub(super) fn maybe_text(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    pub(super) fn maybe_number(&mut self, name: &'static str, value: Option<u64>) {
        if let Some(value) = value {
            self.number(name, value);
        }
    }

    /// Adds a field that is only there when it is true.
    pub(super) fn flag(&mut self, name: &'static str, value: bool) {
        if value {
            self.boolean(name, true);
        }
    }

    pub(super) fn object(&mut self, name: &'static str, fields: impl FnOnce(&mut Map)) {
        self.key(name);
        object(self.out, self.format, fields);
    }

    pub(super) fn objects<T>(
        &mut self,
        name: &'static str,
        items: impl Iterator<Item = T>,
        fields: impl Fn(&mut Map, T),
    ) {
        self.array(name, items, |out, format, item| {
            object(out, format, |map| fields(map, item));
        });
    }

    pub(super) fn texts<'a>(&mut self, name: &'static str, items: impl Iterator<Item = &'a str>) {
        self.array(name, items, text);
    }

    fn array<T>(
        &mut self,
        name: &'static str,
        items: impl Iterator<Item = T>,
        write: impl Fn(&mut Vec<u8>, Format, T),
    ) {
        self.key(name);
        let start = self.out.len();
        self.out.push(match self.format {
            Format::Json => b'[',
            Format::Cbor => cbor::ARRAY,
        });
        let mut count = 0;
        for item in items {
            if count > 0 && self.format == Format::Json {
                self.out.push(b',');
            }
            write(self.out, self.format, item);
            count += 1;
        }
        match self.format {
            Format::Json => self.out.push(b']'),
            Format::Cbor => cbor::end(self.out, start, count),
        }
    }

    /// Adds a field whose value `write` appends, in this map's format.
    pub(super) fn written(&mut self, name: &'static str, write: impl FnOnce(&mut Vec<u8>)) {
        self.key(name);
        write(self.out);
    }
}
