//! Glob patterns over stream paths.

/// A glob over stream paths: `*` stands for one segment, `**` for any number of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// Takes a pattern without slashes at its ends.
    ///
    /// # Errors
    /// See [`PatternError`].
    pub fn new(text: &str) -> Result<Self, PatternError> {
        for segment in text.split('/') {
            if segment.is_empty() {
                return Err(PatternError::EmptySegment);
            }
            if segment.contains('*') && !is_wildcard(segment) {
                return Err(PatternError::PartOfSegment {
                    segment: segment.into(),
                });
            }
        }
        Ok(Self(text.into()))
    }

    /// Returns the pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether the pattern covers `path`.
    ///
    /// The server's own streams, whose first segment is reserved, are covered by no pattern.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let reserved = RESERVED.contains(&first_segment(path));
        !reserved && covers(&self.0, path)
    }

    /// Returns whether it covers one path alone.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        !self.0.split('/').any(is_wildcard)
    }

    /// Returns the first segment when it stands for itself.
    pub(super) fn literal_start(&self) -> Option<&str> {
        let first = first_segment(&self.0);
        (!is_wildcard(first)).then_some(first)
    }
}

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A slash stands at an end or beside another one.
    #[error("a pattern has no empty segments")]
    EmptySegment,
    /// Only whole segments can be wild.
    #[error("`*` and `**` stand for whole segments, unlike in `{segment}`")]
    PartOfSegment {
        /// The segment.
        segment: Box<str>,
    },
}

/// First segments that no pattern covers.
const RESERVED: [&str; 7] = [
    "__ds",
    "__registry__",
    "__channel__",
    "__audit__",
    "__room__",
    "__voice__",
    "__waddle__",
];

pub(super) fn first_segment(path: &str) -> &str {
    path.split_once('/').map_or(path, |(first, _)| first)
}

fn is_wildcard(segment: &str) -> bool {
    matches!(segment, "*" | "**")
}

/// Walks both texts once. At a mismatch only the last `**` has to take one segment more: whatever
/// an earlier one could take, the last one can take as well.
fn covers(pattern: &str, path: &str) -> bool {
    let mut pattern = pattern.split('/');
    let mut path = path.split('/');
    let mut retry = None;
    loop {
        let here = path.clone();
        match (pattern.next(), path.next()) {
            (Some("**"), _) => {
                path = here;
                retry = Some((pattern.clone(), path.clone()));
            }
            (Some("*"), Some(_)) => {}
            (Some(wanted), Some(segment)) if wanted == segment => {}
            (None, None) => return true,
            (Some(_), _) | (None, Some(_)) => {
                let Some((wanted, rest)) = &mut retry else {
                    return false;
                };
                if rest.next().is_none() {
                    return false;
                }
                pattern = wanted.clone();
                path = rest.clone();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, path: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(path)
    }

    #[test]
    fn a_star_is_one_segment_and_two_are_any_number() {
        for (pattern, path, expected) in [
            ("events/*", "events/a", true),
            ("events/*", "events", false),
            ("events/*", "events/a/b", false),
            ("events/**", "events", true),
            ("events/**", "events/a/b", true),
            ("**", "a/b/c", true),
            ("**/done", "done", true),
            ("**/done", "a/b/done", true),
            ("**/done", "a/b/done/c", false),
            ("a/**/b/**/c", "a/x/b/y/b/c", true),
            ("a/**/b/*/c", "a/b/b/x/c", true),
            ("a/b", "a/b", true),
            ("a/b", "a/c", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn the_servers_own_streams_match_nothing() {
        assert!(!matches("**", "__ds/subscriptions/a"));
        assert!(!matches("*", "__registry__"));
        assert!(!matches("**", "__channel__/0123456789ab"));
        assert!(matches("*", "__mine"));
    }

    #[test]
    fn wildcards_inside_a_segment_are_refused() {
        let refused = PatternError::PartOfSegment {
            segment: "user-*".into(),
        };
        assert_eq!(Pattern::new("a/user-*"), Err(refused));
        for text in ["", "/a", "a/", "a//b"] {
            assert_eq!(Pattern::new(text), Err(PatternError::EmptySegment));
        }
    }

    /// The rules word by word, without regard to time.
    fn slow(pattern: &[&str], path: &[&str]) -> bool {
        match (pattern, path) {
            ([], []) => true,
            (["**", rest @ ..], _) => (0..=path.len()).any(|at| slow(rest, &path[at..])),
            (["*", rest @ ..], [_, tail @ ..]) => slow(rest, tail),
            ([first, rest @ ..], [segment, tail @ ..]) => first == segment && slow(rest, tail),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn the_walk_agrees_with_the_plain_rules(
            pattern in proptest::collection::vec("a|b|\\*|\\*\\*", 1..7),
            path in proptest::collection::vec("a|b|c", 1..8),
        ) {
            let pattern: Vec<&str> = pattern.iter().map(String::as_str).collect();
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let found = matches(&pattern.join("/"), &path.join("/"));
            prop_assert_eq!(found, slow(&pattern, &path));
        }
    }
}
