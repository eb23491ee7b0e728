//! The query of a request, read by name.

use std::borrow::Cow;

use floe_proto::Millis;

use super::reject::Fault;
use crate::http::decode;

/// The parameters of a query that a route takes, decoded.
#[derive(Debug, Default)]
pub(super) struct Params<'a> {
    list: Vec<(&'static str, Cow<'a, str>)>,
}

impl<'a> Params<'a> {
    /// Reads the parameters named in `allowed`. Others are refused, or skipped if `lenient`.
    pub fn read(
        query: &'a str,
        allowed: &'static [&'static str],
        lenient: bool,
    ) -> Result<Self, Fault> {
        let mut list: Vec<(&'static str, Cow<'a, str>)> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            // Credentials are read elsewhere, and may stand in any query.
            if matches!(key, "share" | "ticket") {
                continue;
            }
            let Some(name) = allowed.iter().find(|name| **name == key) else {
                if lenient {
                    continue;
                }
                return Err(unknown(key, allowed));
            };
            if list.iter().any(|(known, _)| known == name) {
                return Err(Fault::invalid(format!("{name} is given more than once")));
            }
            let value = plain(value)
                .ok_or_else(|| Fault::invalid(format!("{name} is not percent-encoded UTF-8")))?;
            list.push((name, value));
        }
        Ok(Self { list })
    }

    /// Takes a parameter; one without a value is as if it were not there.
    pub fn text(&mut self, name: &str) -> Option<Cow<'a, str>> {
        let at = self.list.iter().position(|(known, _)| *known == name)?;
        let (_, value) = self.list.swap_remove(at);
        (!value.is_empty()).then_some(value)
    }

    /// Takes a whole number.
    pub fn whole(&mut self, name: &str) -> Result<Option<u64>, Fault> {
        self.text(name).map(|text| whole(name, &text)).transpose()
    }

    /// Takes a moment: RFC 3339, or milliseconds since 1970.
    pub fn moment(&mut self, name: &str) -> Result<Option<Millis>, Fault> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        if let Ok(ms) = whole(name, &text) {
            return Ok(Some(Millis(ms)));
        }
        // A plus sign that was not percent-encoded was read as a space.
        let moment = Millis::parse_rfc3339(&text.replace(' ', "+")).ok_or_else(|| {
            Fault::invalid(format!(
                "{name} is neither an RFC 3339 time from 1970 on nor milliseconds since then"
            ))
        })?;
        Ok(Some(moment))
    }
}

/// Reads decimal digits and nothing else.
pub(super) fn whole(name: &str, text: &str) -> Result<u64, Fault> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { text.parse().ok() } else { None };
    number.ok_or_else(|| Fault::invalid(format!("{name} is not a whole number")))
}

/// Undoes percent-encoding, and the plus signs of forms.
fn plain(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let spaced = text.replace('+', " ");
    let bytes = decode(&spaced)?.into_owned();
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

fn unknown(key: &str, allowed: &[&str]) -> Fault {
    let key: String = key.chars().take(NAME_CHARS_SHOWN).collect();
    let known = if allowed.is_empty() {
        "takes no parameters".to_owned()
    } else {
        format!("takes {}", allowed.join(", "))
    };
    Fault::invalid(format!("unknown parameter `{key}`; this route {known}"))
}

/// Characters of an unknown name that a message repeats.
pub(super) const NAME_CHARS_SHOWN: usize = 40;
