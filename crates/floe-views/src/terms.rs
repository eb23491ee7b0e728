//! What the full-text index is given: terms that no text can make it misread.
//!
//! The index splits at spaces and ASCII punctuation alone. All that it gets was split here before:
//! words, parts of three characters, and the numbers of the channel and the namespace, which make
//! it answer for one of them without looking at the others.

use std::fmt::Write as _;

use crate::words;

/// Begins terms that are not in the text; never part of a word.
const OWN: char = '\u{e000}';
/// ASCII characters that the index would split at stand this much higher in parts.
const PART_BASE: u32 = 0xe100;
/// Characters of a part.
pub const PART_LEN: usize = 3;
/// Parts of one text that are asked for: the rest is checked in the text itself.
const PARTS_ASKED: usize = 12;

/// Returns the term of a channel.
pub fn channel(no: i64) -> String {
    format!("{OWN}c{no}")
}

/// Returns the term of a namespace.
pub fn namespace(no: i64) -> String {
    format!("{OWN}n{no}")
}

/// Writes the terms of the place of an event.
pub fn write_place(ns: i64, channel: i64, out: &mut String) {
    out.clear();
    // Writing to a string cannot fail.
    let _ = write!(out, "{OWN}n{ns} {OWN}c{channel}");
}

/// Appends the words of a text.
pub fn write_words(text: &str, out: &mut String, mut each: impl FnMut(&str)) {
    words::for_each(text, |word| {
        out.push(' ');
        out.push_str(word.text);
        each(word.text);
    });
}

/// Appends the parts of a text, without regard to case.
pub fn write_parts(text: &str, out: &mut String) {
    for_each_part(text, |part| {
        out.push(' ');
        out.extend(part);
    });
}

/// Returns parts that a text must have to contain `text`, empty if that is too short to have any.
pub fn parts(text: &str) -> Vec<String> {
    let mut parts = Vec::new();
    for_each_part(text, |part| parts.push(part.iter().collect()));
    let step = parts.len().div_ceil(PARTS_ASKED).max(1);
    parts.into_iter().step_by(step).collect()
}

fn for_each_part(text: &str, mut each: impl FnMut(&[char; PART_LEN])) {
    let mut part = ['\0'; PART_LEN];
    let mut filled = 0;
    for char in text.chars().flat_map(char::to_lowercase) {
        part.rotate_left(1);
        part[PART_LEN - 1] = if char.is_ascii() && !char.is_ascii_alphanumeric() {
            char::from_u32(PART_BASE + u32::from(char)).unwrap_or(OWN)
        } else {
            char
        };
        filled += 1;
        if filled >= PART_LEN {
            each(&part);
        }
    }
}

/// Returns the question to the index for documents that have one of `place`, all of `all`, and one of
/// `any` unless that is empty.
pub fn question(place: &[String], all: &[String], any: &[String]) -> String {
    let quote = |term: &String| format!("\"{}\"", term.replace('"', ""));
    let one_of = |terms: &[String]| {
        let terms: Vec<_> = terms.iter().map(quote).collect();
        format!("({})", terms.join(" OR "))
    };
    let mut question = one_of(place);
    for term in all {
        let _ = write!(question, " AND {}", quote(term));
    }
    if !any.is_empty() {
        let _ = write!(question, " AND {}", one_of(any));
    }
    question
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_no_case_and_nothing_to_split_at() {
        assert_eq!(parts("ab"), Vec::<String>::new());
        assert_eq!(parts("aBc"), ["abc"]);
        assert_eq!(parts("a\"\0"), ["a\u{e122}\u{e100}"]);
        assert_eq!(parts("東京都"), ["東京都"]);
        let long = parts(&"abcdefghij".repeat(100));
        assert!(long.len() <= PARTS_ASKED);
        let mut out = String::new();
        write_parts("x yz", &mut out);
        assert_eq!(out, " x\u{e120}y \u{e120}yz");
    }

    #[test]
    fn a_question_is_made_of_quoted_terms() {
        let (place, all) = ([channel(7)], ["or".to_owned()]);
        assert_eq!(question(&place, &all, &[]), "(\"\u{e000}c7\") AND \"or\"");
        let any = ["near".to_owned(), "x\"y".to_owned()];
        let place = [channel(7), channel(8)];
        assert_eq!(
            question(&place, &[], &any),
            "(\"\u{e000}c7\" OR \"\u{e000}c8\") AND (\"near\" OR \"xy\")"
        );
    }
}
