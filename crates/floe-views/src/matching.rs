//! Whether a text has the words of a question, how well, and where.

use crate::words;

/// Words around the first match that a snippet shows before it.
const SNIPPET_BEFORE: usize = 6;
/// Words of a snippet.
const SNIPPET_WORDS: usize = 32;
/// Bytes of a snippet, its marks aside.
const SNIPPET_BYTES_MAX: usize = 600;
/// Bytes that a snippet shows before and after a part.
const PART_SURROUNDINGS: usize = 60;
/// Stands before a found word.
const MARK_BEGIN: char = '\u{2}';
/// Stands after a found word.
const MARK_END: char = '\u{3}';
/// How soon more of the same word counts little more.
const SATURATION: f64 = 1.2;
/// How much the length of a text counts.
const LENGTH_WEIGHT: f64 = 0.75;
/// Words of a text of usual length.
const USUAL_WORDS: f64 = 20.0;
/// Worth of the beginning of a word, where the word itself is worth 1.
const BEGINNING_WORTH: f64 = 0.6;

/// Words to be found: all of them, in any order; the last may be the beginning of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Words that stand side by side, one after another.
    runs: Vec<Vec<String>>,
}

/// Words of a text with their places.
#[derive(Debug, Default)]
struct Text {
    words: Vec<Place>,
    letters: String,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    letters_end: usize,
    start: usize,
    end: usize,
    joined: bool,
}

impl Wanted {
    /// Reads what a text asks for; `None` where it has no word.
    pub fn read(text: &str) -> Option<Self> {
        let mut runs: Vec<Vec<String>> = Vec::new();
        words::for_each(text, |word| match runs.last_mut() {
            Some(run) if word.joined => run.push(word.text.to_owned()),
            Some(_) | None => runs.push(vec![word.text.to_owned()]),
        });
        (!runs.is_empty()).then_some(Self { runs })
    }

    /// Returns every word but the last.
    pub fn whole_words(&self) -> Vec<String> {
        let mut words: Vec<String> = self.runs.iter().flatten().cloned().collect();
        words.pop();
        words
    }

    /// Returns the last word, which may be the beginning of one.
    pub fn beginning(&self) -> &str {
        let last = self.runs.last().and_then(|run| run.last());
        last.map_or("", String::as_str)
    }

    /// Returns how well a text matches, larger is better and never negative; `None` if it does not.
    pub fn rank(&self, content: &str) -> Option<f64> {
        let mut worths = vec![0.0; self.runs.len()];
        let words = if self.runs.iter().all(|run| run.len() == 1) {
            self.weigh_words(content, &mut worths)
        } else {
            self.weigh_runs(&Text::read(content), &mut worths)
        };
        let length = LENGTH_WEIGHT * words as f64 / USUAL_WORDS;
        let length = SATURATION * (1.0 - LENGTH_WEIGHT + length);
        worths.iter().try_fold(0.0, |rank, worth| {
            (*worth > 0.0).then(|| rank + worth * (SATURATION + 1.0) / (worth + length))
        })
    }

    /// Adds up what each single word is worth in a text; returns how many words the text has.
    fn weigh_words(&self, content: &str, worths: &mut [f64]) -> usize {
        let mut words = 0;
        let last = worths.len() - 1;
        words::for_each(content, |word| {
            words += 1;
            for (number, (run, worth)) in self.runs.iter().zip(worths.iter_mut()).enumerate() {
                let Some(wanted) = run.first() else { continue };
                if word.text == wanted {
                    *worth += 1.0;
                } else if number == last && word.text.starts_with(wanted.as_str()) {
                    *worth += BEGINNING_WORTH;
                }
            }
        });
        words
    }

    /// Adds up what each run is worth in a text; returns how many words the text has.
    fn weigh_runs(&self, text: &Text, worths: &mut [f64]) -> usize {
        let last = worths.len() - 1;
        for (number, (run, worth)) in self.runs.iter().zip(worths).enumerate() {
            *worth = (0..text.words.len())
                .filter_map(|at| text.run_at(at, run, number == last))
                .sum();
        }
        text.words.len()
    }

    /// Returns the found words in their surroundings, marked.
    pub fn snippet(&self, content: &str) -> String {
        let text = Text::read(content);
        let mut marked = vec![false; text.words.len()];
        for (number, run) in self.runs.iter().enumerate() {
            let may_begin = number + 1 == self.runs.len();
            for at in 0..text.words.len() {
                if text.run_at(at, run, may_begin).is_some() {
                    marked[at..at + run.len()].fill(true);
                }
            }
        }
        let hit = marked.iter().position(|marked| *marked).unwrap_or(0);
        let first = hit.saturating_sub(SNIPPET_BEFORE);
        text.cut(content, first, &marked)
    }
}

impl Text {
    fn read(content: &str) -> Self {
        let mut text = Self::default();
        words::for_each(content, |word| {
            text.letters.push_str(word.text);
            text.words.push(Place {
                letters_end: text.letters.len(),
                start: word.start,
                end: word.end,
                joined: word.joined,
            });
        });
        text
    }

    fn word(&self, at: usize) -> &str {
        let start = at
            .checked_sub(1)
            .map_or(0, |before| self.words[before].letters_end);
        &self.letters[start..self.words[at].letters_end]
    }

    /// Returns what a run of words is worth at a place, if it stands there.
    fn run_at(&self, at: usize, run: &[String], may_begin: bool) -> Option<f64> {
        let places = self.words.get(at..at + run.len())?;
        if !places.iter().skip(1).all(|place| place.joined) {
            return None;
        }
        let (last, whole) = run.split_last()?;
        let fits = (at..).zip(whole).all(|(at, word)| self.word(at) == word);
        let end = self.word(at + whole.len());
        if fits && end == last {
            Some(1.0)
        } else if fits && may_begin && end.starts_with(last.as_str()) {
            Some(BEGINNING_WORTH)
        } else {
            None
        }
    }

    /// Cuts a snippet out of the content, from a word on.
    fn cut(&self, content: &str, first: usize, marked: &[bool]) -> String {
        let mut snippet = String::new();
        let last = (first + SNIPPET_WORDS).min(self.words.len());
        let mut at = if first == 0 {
            0
        } else {
            snippet.push('…');
            self.words[first].start
        };
        let mut bytes_left = SNIPPET_BYTES_MAX;
        let mut push = |text: &str, snippet: &mut String| {
            let taken = boundary_before(text, bytes_left);
            bytes_left -= taken;
            // The content's own marks must not look like ours.
            snippet.extend(text[..taken].chars().filter(|char| !is_mark(*char)));
        };
        let shown = self.words.iter().zip(marked).take(last).skip(first);
        for (place, is_marked) in shown {
            push(&content[at..place.start], &mut snippet);
            if *is_marked {
                snippet.push(MARK_BEGIN);
            }
            push(&content[place.start..place.end], &mut snippet);
            if *is_marked {
                snippet.push(MARK_END);
            }
            at = place.end;
        }
        if last == self.words.len() {
            push(&content[at..], &mut snippet);
            at = content.len();
        }
        if at < content.len() || bytes_left == 0 {
            snippet.push('…');
        }
        snippet
    }
}

/// Returns a part of a text in its surroundings, marked.
pub fn snippet_of_part(content: &str, part: &str) -> String {
    let Some(start) = content.find(part) else {
        return String::new();
    };
    let end = start + part.len();
    let first = boundary_before(content, start.saturating_sub(PART_SURROUNDINGS));
    let last = boundary_before(content, end + PART_SURROUNDINGS);
    let plain = |text: &str| text.replace(is_mark, "");
    format!(
        "{}{}{MARK_BEGIN}{}{MARK_END}{}{}",
        if first > 0 { "…" } else { "" },
        plain(&content[first..start]),
        plain(part),
        plain(&content[end..last]),
        if last < content.len() { "…" } else { "" },
    )
}

/// Returns the last place between two characters that is not after `at`.
fn boundary_before(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

const fn is_mark(char: char) -> bool {
    matches!(char, MARK_BEGIN | MARK_END)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn finds(wanted: &str, content: &str) -> bool {
        Wanted::read(wanted).is_some_and(|wanted| wanted.rank(content).is_some())
    }

    #[test]
    fn all_words_must_be_there_and_the_last_may_be_begun() {
        for (wanted, content, expected) in [
            ("hello", "Hello world", true),
            ("wor", "Hello world", true),
            ("hel", "Hello world", true),
            ("hel world", "Hello world", false),
            ("world hel", "Hello world", true),
            ("orld", "Hello world", false),
            ("foo-bar", "bar of foo", true),
            ("東京", "東京タワー", true),
            ("京東", "東京タワー", false),
            ("東京", "東の京", false),
            ("cafe", "Café", true),
            ("東京 高い", "高い東京タワー", true),
            ("tower 東", "東京 towers", false),
            ("hello", "", false),
            ("", "hello", false),
            ("\"*()", "hello", false),
        ] {
            assert_eq!(finds(wanted, content), expected, "{wanted} in {content}");
        }
    }

    #[test]
    fn more_and_whole_words_and_short_texts_rank_higher() {
        let rank = |content: &str| Wanted::read("rain").unwrap().rank(content).unwrap();
        let long = "rain and a lot of other words about the weather of last week";
        assert!(rank("rain rain") > rank("rain here"));
        assert!(rank("rain here") > rank("rainy day"));
        assert!(rank("rain here") > rank(long));
    }

    #[test]
    fn snippets_mark_what_was_found() {
        let snippet = |wanted: &str, content: &str| Wanted::read(wanted).unwrap().snippet(content);
        assert_eq!(snippet("wor", "Hello, wOrld!"), "Hello, \u{2}wOrld\u{3}!");
        assert_eq!(
            snippet("京タ", "東京タワー"),
            "東\u{2}京\u{3}\u{2}タ\u{3}ワー"
        );
        assert_eq!(snippet("b", "a\u{2}b\u{3}"), "a\u{2}b\u{3}");
        let long = format!("{}needle{}", "a b c ".repeat(50), " d e".repeat(50));
        let found = snippet("needle", &long);
        assert!(
            found.starts_with("…a b c a b c \u{2}needle\u{3} d e "),
            "{found}"
        );
        assert!(found.ends_with(" d…"));
        let wide = format!("{} needle {}", "!".repeat(5_000), "?".repeat(5_000));
        assert!(snippet("needle", &wide).len() < SNIPPET_BYTES_MAX + 20);
    }

    #[test]
    fn snippets_of_parts_mark_it() {
        assert_eq!(snippet_of_part("東京都", "京"), "東\u{2}京\u{3}都");
        assert_eq!(snippet_of_part("a\u{2}%b", "%"), "a\u{2}%\u{3}b");
        let long = format!("{}x{}", "é".repeat(100), "ü".repeat(100));
        let found = snippet_of_part(&long, "x");
        assert_eq!(
            found,
            format!("…{}\u{2}x\u{3}{}…", "é".repeat(30), "ü".repeat(30))
        );
    }

    proptest! {
        #[test]
        fn any_text_finds_itself_and_has_a_snippet(content: String, wanted: String) {
            if let Some(whole) = Wanted::read(&content) {
                prop_assert!(whole.rank(&content).is_some());
                whole.snippet(&content);
            }
            if let Some(wanted) = Wanted::read(&wanted) {
                wanted.rank(&content);
                wanted.snippet(&content);
            }
        }
    }
}
