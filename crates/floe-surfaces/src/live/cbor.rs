//! CBOR (RFC 8949), as far as JSON goes: from one to the other without a tree in between.
//!
//! Arrays and maps of more than 23 elements are written with indefinite length. Strings of bytes
//! become base64 in JSON; tags are refused, and so is a number that JSON cannot hold.

use std::str;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::DEPTH_MAX;

/// First byte of a definite, still empty map.
pub(super) const MAP: u8 = MAJOR_MAP << 5;
/// First byte of a definite, still empty array.
pub(super) const ARRAY: u8 = MAJOR_ARRAY << 5;

const MAJOR_UNSIGNED: u8 = 0;
const MAJOR_NEGATIVE: u8 = 1;
const MAJOR_BYTES: u8 = 2;
const MAJOR_TEXT: u8 = 3;
const MAJOR_ARRAY: u8 = 4;
const MAJOR_MAP: u8 = 5;
const MAJOR_SIMPLE: u8 = 7;
const INDEFINITE: u8 = 31;
const BREAK: u8 = 0xff;
const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;
const NULL: u8 = 0xf6;

/// Why bytes have no JSON form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct CborError {
    /// What is there.
    pub what: &'static str,
    /// Where.
    pub at: usize,
}

/// Appends a whole number.
pub(super) fn unsigned(out: &mut Vec<u8>, value: u64) {
    head(out, MAJOR_UNSIGNED, value);
}

/// Appends a text.
pub(super) fn text(out: &mut Vec<u8>, text: &str) {
    head(out, MAJOR_TEXT, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Appends a string of bytes.
pub(super) fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    head(out, MAJOR_BYTES, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Ends the array or map whose head is the byte at `start`, now that its length is known.
pub(super) fn end(out: &mut Vec<u8>, start: usize, count: usize) {
    if count < 24 {
        out[start] |= count as u8;
    } else {
        out[start] |= INDEFINITE;
        out.push(BREAK);
    }
}

fn head(out: &mut Vec<u8>, major: u8, value: u64) {
    let major = major << 5;
    if value < 24 {
        out.push(major | value as u8);
    } else if let Ok(value) = u8::try_from(value) {
        out.extend_from_slice(&[major | 24, value]);
    } else if let Ok(value) = u16::try_from(value) {
        out.push(major | 25);
        out.extend_from_slice(&value.to_be_bytes());
    } else if let Ok(value) = u32::try_from(value) {
        out.push(major | 26);
        out.extend_from_slice(&value.to_be_bytes());
    } else {
        out.push(major | 27);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// Appends the CBOR form of one JSON value; of what is not JSON, whatever can be made out.
pub fn one_from_json(json: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    transcode(json, out);
    if out.len() == start {
        out.push(NULL);
    }
}

/// Appends an array of the JSON values in `json`, each of which is followed by a comma.
pub(super) fn array_from_json(json: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.push(ARRAY);
    let count = transcode(json, out);
    end(out, start, count);
}

/// An array or map that has not ended.
struct Open {
    /// Where its head is.
    start: usize,
    /// Its elements so far, keys included.
    count: usize,
}

/// Appends the values in `json` and returns how many there are.
///
/// There is no recursion, so that whatever was let into a stream can be read from it.
fn transcode(json: &[u8], out: &mut Vec<u8>) -> usize {
    let mut around: Vec<Open> = Vec::new();
    let mut open = Open { start: 0, count: 0 };
    let mut rest = json;
    while let Some((byte, after)) = rest.split_first() {
        match byte {
            b'{' | b'[' => {
                let start = out.len();
                out.push(if *byte == b'{' { MAP } else { ARRAY });
                around.push(std::mem::replace(&mut open, Open { start, count: 0 }));
                rest = after;
                continue;
            }
            b'}' | b']' => {
                let Some(outer) = around.pop() else {
                    break;
                };
                let pairs = out[open.start] == MAP;
                end(out, open.start, open.count >> u8::from(pairs));
                open = outer;
                rest = after;
            }
            b'"' => rest = string(after, out),
            b't' => rest = literal(rest, TRUE, 4, out),
            b'f' => rest = literal(rest, FALSE, 5, out),
            b'n' => rest = literal(rest, NULL, 4, out),
            b'-' | b'0'..=b'9' => rest = number(rest, out),
            _ => {
                rest = after;
                continue;
            }
        }
        open.count += 1;
    }
    // Only what is not JSON leaves something open.
    while let Some(outer) = around.pop() {
        end(out, open.start, open.count >> 1);
        open = outer;
    }
    open.count
}

fn literal<'a>(rest: &'a [u8], byte: u8, len: usize, out: &mut Vec<u8>) -> &'a [u8] {
    out.push(byte);
    rest.get(len..).unwrap_or_default()
}

/// Appends the string whose opening quote lies before `rest` and returns what follows it.
fn string<'a>(rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let mut at = 0;
    let mut escaped = false;
    while let Some(byte) = rest.get(at) {
        match byte {
            b'"' => break,
            b'\\' => {
                escaped = true;
                at += 2;
            }
            _ => at += 1,
        }
    }
    let inner = &rest[..at.min(rest.len())];
    let lossy = String::from_utf8_lossy(inner);
    if escaped {
        text(out, &unescape(&lossy));
    } else {
        text(out, &lossy);
    }
    rest.get(at + 1..).unwrap_or_default()
}

/// Resolves the escapes of a JSON string. Half a surrogate pair has no UTF-8 and becomes U+FFFD.
fn unescape(inner: &str) -> String {
    let mut plain = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let mut chars = after.chars();
        let escape = chars.next().unwrap_or('\\');
        rest = chars.as_str();
        plain.push(match escape {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let (unit, after) = code_unit(rest);
                rest = after;
                code_point(unit, &mut rest)
            }
            other => other,
        });
    }
    plain.push_str(rest);
    plain
}

/// Reads four hexadecimal digits.
fn code_unit(text: &str) -> (u32, &str) {
    match text.split_at_checked(4) {
        Some((digits, rest)) => (u32::from_str_radix(digits, 16).unwrap_or(0xfffd), rest),
        None => (0xfffd, ""),
    }
}

/// Returns the character that begins with `unit`; the other half of a pair is taken from `rest`.
fn code_point(unit: u32, rest: &mut &str) -> char {
    if !(0xd800..0xdc00).contains(&unit) {
        return char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER);
    }
    let Some(low) = rest.strip_prefix("\\u").map(code_unit) else {
        return char::REPLACEMENT_CHARACTER;
    };
    if !(0xdc00..0xe000).contains(&low.0) {
        return char::REPLACEMENT_CHARACTER;
    }
    *rest = low.1;
    let point = 0x1_0000 + ((unit - 0xd800) << 10) + (low.0 - 0xdc00);
    char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Appends the number at the front of `rest` and returns what follows it.
fn number<'a>(rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let len = rest
        .iter()
        .position(|byte| !matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
        .unwrap_or(rest.len());
    let (digits, after) = rest.split_at(len);
    let digits = str::from_utf8(digits).unwrap_or_default();
    match digits.parse::<i128>() {
        Ok(value) if digits != "-0" => {
            if let Ok(value) = u64::try_from(value) {
                head(out, MAJOR_UNSIGNED, value);
                return after;
            }
            if let Ok(value) = u64::try_from(-1 - value.max(-i128::MAX)) {
                head(out, MAJOR_NEGATIVE, value);
                return after;
            }
        }
        Ok(_) | Err(_) => {}
    }
    // What is larger than 64 bits is what a double makes of it, as everywhere in JSON.
    float(out, digits.parse().unwrap_or(f64::NAN));
    after
}

/// Appends a number of four bytes, if they hold it, or eight.
fn float(out: &mut Vec<u8>, value: f64) {
    let short = value as f32;
    if f64::from(short) == value {
        out.push(MAJOR_SIMPLE << 5 | 26);
        out.extend_from_slice(&short.to_be_bytes());
    } else {
        out.push(MAJOR_SIMPLE << 5 | 27);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// Appends the JSON form of one CBOR item, which is all of `cbor`.
///
/// # Errors
/// The bytes are not CBOR, or have no JSON form, or are nested deeper than a frame may be.
pub fn to_json(cbor: &[u8], out: &mut Vec<u8>) -> Result<(), CborError> {
    let mut reader = Reader { all: cbor, at: 0 };
    // A frame is an object around what may be that deep.
    reader.value(out, DEPTH_MAX + 1)?;
    match reader.at == cbor.len() {
        true => Ok(()),
        false => Err(reader.error("more than one item")),
    }
}

struct Reader<'a> {
    all: &'a [u8],
    at: usize,
}

/// The head of an item: major type, the value that follows it, `None` for an indefinite length.
struct Head {
    major: u8,
    info: u8,
    value: Option<u64>,
}

impl<'a> Reader<'a> {
    const fn error(&self, what: &'static str) -> CborError {
        CborError { what, at: self.at }
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], CborError> {
        let taken = usize::try_from(len)
            .ok()
            .and_then(|len| self.all.get(self.at..self.at.checked_add(len)?))
            .ok_or(self.error("an early end"))?;
        self.at += taken.len();
        Ok(taken)
    }

    fn number(&mut self, len: u64) -> Result<u64, CborError> {
        let bytes = self.take(len)?;
        Ok(bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)))
    }

    fn head(&mut self) -> Result<Head, CborError> {
        let first = self.number(1)? as u8;
        let (major, info) = (first >> 5, first & 0x1f);
        let value = match info {
            0..=23 => Some(u64::from(info)),
            24..=27 => Some(self.number(1 << (info - 24))?),
            INDEFINITE if (MAJOR_BYTES..=MAJOR_MAP).contains(&major) => None,
            INDEFINITE => return Err(self.error("a misplaced break or indefinite length")),
            _ => return Err(self.error("a reserved length")),
        };
        Ok(Head { major, info, value })
    }

    /// Takes the break that ends an item of indefinite length, if it is next.
    fn at_break(&mut self) -> bool {
        let there = self.all.get(self.at) == Some(&BREAK);
        self.at += usize::from(there);
        there
    }

    fn value(&mut self, out: &mut Vec<u8>, depth: usize) -> Result<(), CborError> {
        let head = self.head()?;
        match (head.major, head.value) {
            (MAJOR_UNSIGNED, Some(value)) => json_number(out, i128::from(value)),
            (MAJOR_NEGATIVE, Some(value)) => json_number(out, -1 - i128::from(value)),
            (MAJOR_BYTES, len) => {
                let bytes = self.string(MAJOR_BYTES, len)?;
                json_text(out, &STANDARD.encode(bytes));
            }
            (MAJOR_TEXT, len) => self.text(len, out)?,
            (MAJOR_ARRAY, len) => self.array(len, out, self.deeper(depth)?)?,
            (MAJOR_MAP, len) => self.map(len, out, self.deeper(depth)?)?,
            (MAJOR_SIMPLE, Some(value)) => self.simple(head.info, value, out)?,
            _ => return Err(self.error("a tag")),
        }
        Ok(())
    }

    fn deeper(&self, depth: usize) -> Result<usize, CborError> {
        depth
            .checked_sub(1)
            .ok_or(self.error("an item that is nested too deep"))
    }

    /// Reads the content of a text or string of bytes, whose chunks are put together.
    fn string(&mut self, major: u8, len: Option<u64>) -> Result<Vec<u8>, CborError> {
        if let Some(len) = len {
            return self.take(len).map(<[u8]>::to_vec);
        }
        let mut whole = Vec::new();
        while !self.at_break() {
            match self.head()? {
                Head {
                    major: of,
                    value: Some(len),
                    ..
                } if of == major => whole.extend_from_slice(self.take(len)?),
                _ => return Err(self.error("a chunk of another type")),
            }
        }
        Ok(whole)
    }

    fn text(&mut self, len: Option<u64>, out: &mut Vec<u8>) -> Result<(), CborError> {
        let whole;
        let bytes = match len {
            Some(len) => self.take(len)?,
            None => {
                whole = self.string(MAJOR_TEXT, None)?;
                &whole
            }
        };
        match str::from_utf8(bytes) {
            Ok(text) => json_text(out, text),
            Err(_) => return Err(self.error("a text that is not UTF-8")),
        }
        Ok(())
    }

    /// Returns whether another element follows, of which `left` are to come.
    fn more(&mut self, left: &mut Option<u64>) -> bool {
        match left {
            None => !self.at_break(),
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }

    fn array(
        &mut self,
        mut left: Option<u64>,
        out: &mut Vec<u8>,
        depth: usize,
    ) -> Result<(), CborError> {
        out.push(b'[');
        let start = out.len();
        while self.more(&mut left) {
            if out.len() > start {
                out.push(b',');
            }
            self.value(out, depth)?;
        }
        out.push(b']');
        Ok(())
    }

    fn map(
        &mut self,
        mut left: Option<u64>,
        out: &mut Vec<u8>,
        depth: usize,
    ) -> Result<(), CborError> {
        out.push(b'{');
        let start = out.len();
        while self.more(&mut left) {
            if out.len() > start {
                out.push(b',');
            }
            match self.head()? {
                Head {
                    major: MAJOR_TEXT,
                    value,
                    ..
                } => self.text(value, out)?,
                _ => return Err(self.error("a key that is not a text")),
            }
            out.push(b':');
            self.value(out, depth)?;
        }
        out.push(b'}');
        Ok(())
    }

    fn simple(&self, info: u8, value: u64, out: &mut Vec<u8>) -> Result<(), CborError> {
        let number = match (info, value) {
            (20, _) => return json_word(out, "false"),
            (21, _) => return json_word(out, "true"),
            // `undefined`, for which JSON has no other word.
            (22 | 23, _) => return json_word(out, "null"),
            (25, bits) => half(bits as u16),
            (26, bits) => f64::from(f32::from_bits(bits as u32)),
            (27, bits) => f64::from_bits(bits),
            _ => return Err(self.error("an unknown simple value")),
        };
        if !number.is_finite() {
            return Err(self.error("a number that JSON does not have"));
        }
        json_float(out, number);
        Ok(())
    }
}

/// Reads a number of two bytes.
fn half(bits: u16) -> f64 {
    let fraction = f64::from(bits & 0x3ff);
    let value = match i32::from(bits >> 10 & 0x1f) {
        0 => fraction * 2_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (1024.0 + fraction) * 2_f64.powi(exponent - 25),
    };
    if bits & 0x8000 == 0 { value } else { -value }
}

fn json_word(out: &mut Vec<u8>, word: &str) -> Result<(), CborError> {
    out.extend_from_slice(word.as_bytes());
    Ok(())
}

fn json_number(out: &mut Vec<u8>, value: i128) {
    // Writing to a vector cannot fail, here and below.
    let _ = serde_json::to_writer(out, &value);
}

/// Writes whole numbers as such: many writers of CBOR make doubles of what has more than 32 bits.
fn json_float(out: &mut Vec<u8>, value: f64) {
    const SAFE: f64 = 9_007_199_254_740_991.0;
    if value.trunc() == value && value.abs() <= SAFE && !(value == 0.0 && value.is_sign_negative())
    {
        json_number(out, value as i128);
    } else {
        let _ = serde_json::to_writer(out, &value);
    }
}

fn json_text(out: &mut Vec<u8>, text: &str) {
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests;
