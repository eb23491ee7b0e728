//! The query of a request about waddles.

use std::collections::BTreeMap;

use super::request::Page;
use crate::http::{Reject, decode};

/// The parameters of a query, decoded.
#[derive(Debug, Default)]
pub(super) struct Query<'a>(BTreeMap<&'a str, Box<str>>);

impl<'a> Query<'a> {
    /// Reads a query; parameters that are not in `allowed` are refused.
    pub(super) fn read(query: &'a str, allowed: &[&str]) -> Result<Self, Reject> {
        let mut all = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            // Credentials are read elsewhere, and may stand in any query.
            if matches!(name, "share" | "ticket") {
                continue;
            }
            if name != ACTOR && !allowed.contains(&name) {
                let known: Vec<_> = allowed.iter().copied().chain([ACTOR]).collect();
                let message = format!("this route takes {}", known.join(", "));
                return Err(Reject::invalid(message));
            }
            let value = text(value)
                .ok_or_else(|| Reject::invalid(format!("{name} is not percent-encoded UTF-8")))?;
            if all.insert(name, value).is_some() {
                return Err(Reject::invalid(format!("{name} is given more than once")));
            }
        }
        Ok(Self(all))
    }

    /// Takes a parameter; one without a value is as if it were not there.
    pub(super) fn text(&mut self, name: &str) -> Option<Box<str>> {
        self.0.remove(name).filter(|value| !value.is_empty())
    }

    /// Takes as whom the caller acts.
    pub(super) fn actor(&mut self) -> Option<Box<str>> {
        self.text(ACTOR)
    }

    /// Takes which part of a list is wanted.
    pub(super) fn page(&mut self) -> Result<Page, Reject> {
        let limit = match self.text("limit") {
            None => Page::LIMIT,
            Some(text) => limit(&text).ok_or_else(|| {
                Reject::invalid(format!("limit is a number from 1 to {}", Page::LIMIT_MAX))
            })?,
        };
        Ok(Page {
            after: self.text("after"),
            limit,
        })
    }
}

/// The parameter that names as whom a caller acts who may say so.
const ACTOR: &str = "user";

fn limit(text: &str) -> Option<usize> {
    let limit: usize = text.parse().ok()?;
    (1..=Page::LIMIT_MAX).contains(&limit).then_some(limit)
}

/// Undoes percent-encoding, and the plus signs of forms.
fn text(value: &str) -> Option<Box<str>> {
    if value.is_empty() {
        return Some(Box::default());
    }
    let spaced = value.replace('+', " ");
    let bytes = decode(&spaced)?.into_owned();
    String::from_utf8(bytes).ok().map(Into::into)
}
