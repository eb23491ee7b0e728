//! What is wrong with settings, and what may have been meant.

use std::error::Error as _;
use std::fmt;

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Command};

use super::key::Kind;
use super::origin::Origin;

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub origin: Origin,
    /// What is wrong, and what may help. It tells no secret.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin.place(), self.message)
    }
}

/// Everything that is not as it must be, by line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds one. Of a line that could not be parsed nothing more is known.
    pub fn push(&mut self, origin: Origin, message: impl Into<String>) {
        let is_known = origin.line().is_some() && self.0.iter().any(|one| one.origin == origin);
        if !is_known {
            let message = message.into();
            self.0.push(Problem { origin, message });
        }
    }

    /// Returns them, or `value` if there are none.
    pub fn none_or<T>(mut self, value: T) -> Result<T, Self> {
        if self.0.is_empty() {
            return Ok(value);
        }
        self.0.sort_by_key(|problem| problem.origin.line());
        Err(self)
    }

    /// Returns whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns each.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings are not as they must be")?;
        for problem in &self.0 {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Returns what the command line's parser says, in one line.
pub fn of_clap(error: &clap::Error) -> String {
    let text = error.to_string();
    let text = text.split("\n\nUsage:").next().unwrap_or_default();
    let text = text.strip_prefix("error: ").unwrap_or(text);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns why the command line's parser did not take the value of one argument.
pub fn of_value(argument: &Arg, value: &str, error: &clap::Error) -> String {
    if let Some(ContextValue::Strings(words)) = error.get(ContextKind::ValidValue)
        && !words.is_empty()
    {
        let meant = suggestion(value, words.iter().cloned());
        return format!("expected one of {}{meant}", words.join(", "));
    }
    let kind = Kind::of(argument);
    if kind == Kind::Number && value.starts_with('-') {
        return format!("expected {} that is not negative", kind.name());
    }
    let names = argument.get_value_names().unwrap_or_default();
    let expected = match (kind, names.first()) {
        (Kind::Text | Kind::Any, Some(name)) => name,
        _ => kind.name(),
    };
    let why = error.source().map(|source| format!(": {source}"));
    format!("expected {expected}{}", why.unwrap_or_default())
}

/// Returns `; did you mean …?`, if a known name is near.
pub fn suggestion(found: &str, known: impl Iterator<Item = String>) -> String {
    match nearest(found, known) {
        Some(name) => format!("; did you mean {name}?"),
        None => String::new(),
    }
}

/// Returns warnings about variables of the environment that look like settings and are none.
///
/// Others may have reasons for names that begin like ours, so only what is nearly one is told of.
pub fn odd_variables(serve: &Command) -> Vec<String> {
    let variables = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    variables
        .filter_map(|name| odd_variable(&name, serve))
        .collect()
}

pub(super) fn odd_variable(name: &str, serve: &Command) -> Option<String> {
    let known = || serve.get_arguments().filter_map(Arg::get_env);
    if !name.starts_with("FLOE_") || known().any(|one| one == name) {
        return None;
    }
    let known = known().map(|one| one.to_string_lossy().into_owned());
    let meant = nearest(name, known)?;
    Some(format!("{name} is no setting; did you mean {meant}?"))
}

fn nearest(found: &str, known: impl Iterator<Item = String>) -> Option<String> {
    // About one slip in four letters.
    let changes_max = found.chars().count().div_ceil(4).min(CHANGES_MAX);
    known
        .map(|name| (strsim::damerau_levenshtein(found, &name), name))
        .filter(|(changes, _)| *changes <= changes_max)
        .min()
        .map(|(_, name)| name)
}

/// Slips that a name may have to be taken for another.
const CHANGES_MAX: usize = 3;
