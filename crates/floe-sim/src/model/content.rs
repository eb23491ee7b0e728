//! The data of a stream.

/// Bytes, and in a JSON stream the ends of its messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// Whether a unit is a message; it is a byte otherwise.
    pub json: bool,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Content {
    /// No data of a kind.
    pub fn empty(json: bool) -> Self {
        Self {
            json,
            ..Self::default()
        }
    }

    /// Plain bytes.
    pub fn plain(bytes: &[u8]) -> Self {
        Self {
            json: false,
            bytes: bytes.to_vec(),
            ends: Vec::new(),
        }
    }

    /// JSON messages, each kept with a comma behind it.
    pub fn messages(messages: &[String]) -> Self {
        let mut content = Self::empty(true);
        for message in messages {
            content.bytes.extend_from_slice(message.as_bytes());
            content.bytes.push(b',');
            content.ends.push(content.bytes.len());
        }
        content
    }

    /// Returns how many units there are.
    pub fn units(&self) -> u64 {
        if self.json {
            self.ends.len() as u64
        } else {
            self.bytes.len() as u64
        }
    }

    /// Returns the bytes of some units, which must be there.
    pub fn slice(&self, from: u64, to: u64) -> &[u8] {
        &self.bytes[self.start_of(from)..self.start_of(to)]
    }

    /// Returns the first units.
    pub fn prefix(&self, units: u64) -> Self {
        let ends = if self.json { units as usize } else { 0 };
        Self {
            json: self.json,
            bytes: self.bytes[..self.start_of(units)].to_vec(),
            ends: self.ends[..ends].to_vec(),
        }
    }

    /// Adds units at the end.
    pub fn extend(&mut self, more: &Self) {
        let base = self.bytes.len();
        self.bytes.extend_from_slice(&more.bytes);
        self.ends.extend(more.ends.iter().map(|end| base + end));
    }

    fn start_of(&self, unit: u64) -> usize {
        match (self.json, unit as usize) {
            (false, unit) => unit,
            (true, 0) => 0,
            (true, unit) => self.ends[unit - 1],
        }
    }
}
