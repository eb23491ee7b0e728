//! Words of a text, in the one form in which they are indexed, looked for, ranked and marked.
//!
//! A word is a run of letters and digits, in lower case and without accents. Scripts that set no
//! spaces have words of one character each; what stands side by side in a question must then stand
//! side by side in the text.

use unicode_normalization::char::{decompose_canonical, is_combining_mark};

/// Bytes of a word that count; longer words are equal if they begin alike.
pub const WORD_BYTES_MAX: usize = 64;

/// A word at its place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word<'w> {
    /// The word in its one form.
    pub text: &'w str,
    /// Where it begins in the text, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// Whether nothing stands between it and the word before.
    pub joined: bool,
}

/// Calls `each` with every word of a text, in order.
pub fn for_each(text: &str, mut each: impl FnMut(Word<'_>)) {
    let mut word = String::new();
    let (mut start, mut last_end) = (0, usize::MAX);
    let mut emit = |word: &mut String, start: usize, end: usize| {
        if !word.is_empty() {
            each(Word {
                text: word,
                start,
                end,
                joined: start == last_end,
            });
            last_end = end;
            word.clear();
        }
    };
    for (at, char) in text.char_indices() {
        let class = class(char);
        if class != Class::Letter {
            emit(&mut word, start, at);
        }
        if class == Class::Space {
            continue;
        }
        if word.is_empty() {
            start = at;
        }
        fold(char, &mut word);
        if class == Class::Single {
            emit(&mut word, at, at + char.len_utf8());
        }
    }
    emit(&mut word, start, text.len());
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Part of a word.
    Letter,
    /// A word of its own.
    Single,
    /// Between words.
    Space,
}

fn class(char: char) -> Class {
    if char.is_ascii() {
        return if char.is_ascii_alphanumeric() {
            Class::Letter
        } else {
            Class::Space
        };
    }
    if is_unspaced(char) {
        Class::Single
    } else if char.is_alphanumeric() || is_combining_mark(char) {
        Class::Letter
    } else {
        Class::Space
    }
}

/// Letters of scripts that set no spaces between words, or glue endings to them.
fn is_unspaced(char: char) -> bool {
    let is_script = matches!(u32::from(char),
        0x0e00..=0x0eff // Thai, Lao
        | 0x1000..=0x109f | 0x1780..=0x17ff // Burmese, Khmer
        | 0x3040..=0x30ff | 0x31f0..=0x31ff // kana
        | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0x2_0000..=0x3_ffff // Han
        | 0xac00..=0xd7af // Hangul
    );
    is_script && (char.is_alphanumeric() || is_combining_mark(char))
}

/// Appends a letter in its one form, as far as the word may still grow.
fn fold(char: char, word: &mut String) {
    if char.is_ascii() {
        push(char.to_ascii_lowercase(), word);
        return;
    }
    for lower in char.to_lowercase() {
        match u32::from(lower) {
            0x03c2 => push('σ', word),
            0x00c0..=0x10ff | 0x1e00..=0x1fff => {
                decompose_canonical(lower, |part| push(part, word));
            }
            _ => push(lower, word),
        }
    }
}

fn push(char: char, word: &mut String) {
    if !is_accent(char) && word.len() + char.len_utf8() <= WORD_BYTES_MAX {
        word.push(char);
    }
}

/// Marks that a word is found without: accents, and vowel points of Hebrew and Arabic.
fn is_accent(char: char) -> bool {
    matches!(u32::from(char),
        0x0300..=0x036f | 0x0483..=0x0487 | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff | 0x20d0..=0x20ff
        | 0xfe20..=0xfe2f
        | 0x0591..=0x05bd | 0x05bf | 0x05c1..=0x05c2 | 0x05c4..=0x05c5 | 0x05c7
        | 0x0610..=0x061a | 0x064b..=0x065f | 0x0670
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        for_each(text, |word| words.push(word.text.to_owned()));
        words
    }

    #[test]
    fn words_have_one_form() {
        for (text, expected) in [
            ("Hello, WORLD!", "hello world"),
            ("Crème brûlée Ångström", "creme brulee angstrom"),
            ("cafe\u{301} naïve", "cafe naive"),
            ("ΟΔΥΣΣΕΥΣ Ὀδυσσεύς", "οδυσσευσ οδυσσευσ"),
            ("İstanbul straße", "istanbul straße"),
            ("foo-bar_baz 3.14", "foo bar baz 3 14"),
            ("東京タワー2号", "東 京 タ ワ ー 2 号"),
            ("שָׁלוֹם مُحَمَّد", "שלום محمد"),
            ("हिन्दी", "हिन्दी"),
            (
                "\"a\" AND b* OR (c) NEAR/2 ^d:e\0f",
                "a and b or c near 2 d e f",
            ),
            ("👍 …!? \u{2}\u{3}\u{e000}c1", "c1"),
        ] {
            assert_eq!(words(text).join(" "), expected, "{text}");
        }
    }

    #[test]
    fn places_are_those_of_the_text() {
        let text = "A Straße, 東京!";
        let mut found = Vec::new();
        for_each(text, |word| {
            found.push((&text[word.start..word.end], word.joined));
        });
        assert_eq!(
            found,
            [("A", false), ("Straße", false), ("東", false), ("京", true)]
        );
    }

    #[test]
    fn a_word_has_a_longest_form() {
        assert_eq!(words(&"x".repeat(1_000)), ["x".repeat(WORD_BYTES_MAX)]);
        assert!(words(&"é".repeat(1_000))[0].len() <= WORD_BYTES_MAX);
    }

    proptest! {
        #[test]
        fn a_word_is_its_own_form(text in "\\PC{0,40}") {
            for word in words(&text) {
                prop_assert_eq!(words(&word).join(""), word);
            }
        }

        #[test]
        fn any_text_has_places_in_order(text: String) {
            let mut last = 0;
            for_each(&text, |word| {
                assert!(word.start >= last && word.end > word.start);
                assert!(text.get(word.start..word.end).is_some());
                last = word.end;
            });
        }
    }
}
