//! JSON objects as they are written, member by member.

use crate::http::decimal;

/// Writes the members of an object, in the order of the calls.
pub(crate) struct Object<'o> {
    out: &'o mut Vec<u8>,
    is_first: bool,
}

impl<'o> Object<'o> {
    /// Appends a whole object.
    pub fn write(out: &'o mut Vec<u8>, members: impl FnOnce(&mut Object<'_>)) {
        out.push(b'{');
        members(&mut Object::members(out));
        out.push(b'}');
    }

    /// Appends a whole object whose first member is its `type`.
    pub fn typed(out: &'o mut Vec<u8>, kind: &str, members: impl FnOnce(&mut Object<'_>)) {
        Self::write(out, |object| {
            object.text("type", kind);
            members(object);
        });
    }

    /// Appends members alone.
    pub const fn members(out: &'o mut Vec<u8>) -> Self {
        Self {
            out,
            is_first: true,
        }
    }

    fn key(&mut self, name: &str) {
        self.comma();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn comma(&mut self) {
        if !self.is_first {
            self.out.push(b',');
        }
        self.is_first = false;
    }

    pub fn text(&mut self, name: &str, value: &str) {
        self.written(name, |out| json(out, value));
    }

    pub fn number(&mut self, name: &str, value: u64) {
        self.key(name);
        let mut digits = [0; 20];
        let at = decimal(value, &mut digits);
        self.out
            .extend_from_slice(digits.get(at..).unwrap_or_default());
    }

    pub fn maybe_number(&mut self, name: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.number(name, value);
        }
    }

    pub fn boolean(&mut self, name: &str, value: bool) {
        self.json(name, if value { b"true" } else { b"false" });
    }

    /// Adds a value that is JSON.
    pub fn json(&mut self, name: &str, value: &[u8]) {
        self.key(name);
        self.out.extend_from_slice(value);
    }

    /// Adds a value that `write` appends.
    pub fn written(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.key(name);
        write(self.out);
    }

    /// Adds an array.
    pub fn list<T>(
        &mut self,
        name: &str,
        items: impl Iterator<Item = T>,
        write: impl Fn(&mut Vec<u8>, T),
    ) {
        self.written(name, |out| {
            out.push(b'[');
            for (at, item) in items.enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(out, item);
            }
            out.push(b']');
        });
    }

    /// Adds members that were written before, by [`Object::members`].
    pub fn those(&mut self, members: &[u8]) {
        if !members.is_empty() {
            self.comma();
            self.out.extend_from_slice(members);
        }
    }
}

/// Appends a value as JSON. Texts, numbers and rows always have such a form.
pub(crate) fn json<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    let _ = serde_json::to_writer(out, value);
}
