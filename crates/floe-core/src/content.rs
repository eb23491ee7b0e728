//! Content types, and what they decide.

/// Content type of a room, kept as the creator wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentType(Box<str>);

impl ContentType {
    /// Content type of a room whose creator named none.
    pub const DEFAULT: &'static str = "application/octet-stream";

    /// Takes a content type as written in a header.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.trim().into())
    }

    /// Returns the text as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether the room counts in messages and answers with JSON arrays.
    #[must_use]
    pub fn is_json(&self) -> bool {
        Self::names_json(&self.0)
    }

    /// Returns whether a content type, as written in a header, is `application/json`.
    #[must_use]
    pub fn names_json(text: &str) -> bool {
        media_type(text).eq_ignore_ascii_case("application/json")
    }

    /// Returns whether server-sent events carry the room's data as text; all else goes as base64.
    #[must_use]
    pub fn is_text(&self) -> bool {
        let media = media_type(&self.0);
        self.is_json()
            || media
                .get(..5)
                .is_some_and(|start| start.eq_ignore_ascii_case("text/"))
    }

    /// Returns whether `text`, as written in a header, names the same media type.
    ///
    /// Case and parameters do not count.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        *text == *self.0 || media_type(&self.0).eq_ignore_ascii_case(media_type(text))
    }
}

impl Default for ContentType {
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}

fn media_type(text: &str) -> &str {
    text.split(';').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_parameters_do_not_count() {
        let json = ContentType::new("application/json; charset=utf-8");
        assert!(json.is_json() && json.is_text());
        assert!(json.matches("Application/JSON"));
        assert!(!json.matches("text/plain"));
    }

    #[test]
    fn only_text_and_json_are_text() {
        assert!(ContentType::new("TEXT/html").is_text());
        for other in [
            "application/ndjson",
            "application/octet-stream",
            "image/png",
            "",
            "té",
        ] {
            assert!(!ContentType::new(other).is_text(), "{other}");
        }
    }
}
