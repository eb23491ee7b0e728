//! What a subscription was asked to be.

use std::collections::BTreeSet;

use floe_proto::Namespace;

use super::limits::{LEASE_MS_DEFAULT, LEASE_MS_MAX, LEASE_MS_MIN, Limits};
use super::pattern::{Pattern, first_segment};
use super::refusal::Refusal;

/// A subscription as a client wants it. Slashes at the ends of paths do not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// How it wakes.
    pub target: Target,
    /// Streams to link as they come.
    pub pattern: Option<Box<str>>,
    /// Streams to link by name.
    pub streams: Vec<Box<str>>,
    /// Lease of a wake's holder; default 30 seconds.
    pub lease_ms: u64,
    /// What it is for.
    pub description: Option<Box<str>>,
}

/// How a subscription wakes its worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// By a request to an address.
    Webhook {
        /// The address, which the surface has checked.
        url: Box<str>,
        /// Scheme and authority that callback addresses begin with. Not part of what must be equal.
        base: Box<str>,
    },
    /// By an event on a stream.
    PullWake {
        /// Path of the stream.
        wake_stream: Box<str>,
    },
}

impl Default for Put {
    fn default() -> Self {
        Self {
            target: Target::PullWake {
                wake_stream: "".into(),
            },
            pattern: None,
            streams: Vec::new(),
            lease_ms: LEASE_MS_DEFAULT,
            description: None,
        }
    }
}

impl Target {
    /// Returns the type on the wire.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Webhook { .. } => "webhook",
            Self::PullWake { .. } => "pull-wake",
        }
    }

    pub(super) fn wake_stream(&self) -> Option<&str> {
        match self {
            Self::Webhook { .. } => None,
            Self::PullWake { wake_stream } => Some(wake_stream),
        }
    }
}

/// A [`Put`] that was checked and brought into one form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Config {
    pub target: Target,
    pub pattern: Option<Pattern>,
    /// As first asked for; links added later do not count.
    pub streams: BTreeSet<Box<str>>,
    pub lease_ms: u64,
    pub description: Option<Box<str>>,
}

impl Config {
    pub fn check(put: Put, limits: &Limits) -> Result<Self, Refusal> {
        if !(LEASE_MS_MIN..=LEASE_MS_MAX).contains(&put.lease_ms) {
            return Err(Refusal::Lease {
                lease_ms: put.lease_ms,
            });
        }
        if let Some(description) = &put.description {
            check_len("description", description, limits.description_bytes_max)?;
        }
        let config = Self {
            target: check_target(put.target, limits)?,
            pattern: put
                .pattern
                .map(|text| check_pattern(&text, limits))
                .transpose()?,
            streams: check_paths(&put.streams, limits)?,
            lease_ms: put.lease_ms,
            description: put.description,
        };
        if config.pattern.is_none() && config.streams.is_empty() {
            return Err(Refusal::NothingLinked);
        }
        Ok(config)
    }

    /// Whether both ask for the same; where callbacks go is not asked for.
    pub fn is_same(&self, other: &Self) -> bool {
        let targets = match (&self.target, &other.target) {
            (Target::Webhook { url, .. }, Target::Webhook { url: other, .. }) => url == other,
            (ours, theirs) => ours == theirs,
        };
        targets
            && self.pattern == other.pattern
            && self.streams == other.streams
            && self.lease_ms == other.lease_ms
            && self.description == other.description
    }

    /// Whether the pattern covers a stream. The subscription's own wakes are not work for it.
    pub fn covers(&self, path: &str) -> bool {
        let pattern = self.pattern.as_ref();
        pattern.is_some_and(|pattern| pattern.matches(path))
            && self.target.wake_stream() != Some(path)
    }
}

fn check_target(target: Target, limits: &Limits) -> Result<Target, Refusal> {
    match &target {
        Target::Webhook { url, base } => {
            check_text("webhook.url", url, limits.url_bytes_max)?;
            check_len("the base of callback addresses", base, limits.url_bytes_max)?;
            Ok(target)
        }
        Target::PullWake { wake_stream } => {
            check_text("wake_stream", wake_stream, limits.path_bytes_max)?;
            let wake_stream = check_path(wake_stream, limits)?;
            Ok(Target::PullWake { wake_stream })
        }
    }
}

fn check_pattern(text: &str, limits: &Limits) -> Result<Pattern, Refusal> {
    check_len("pattern", text, limits.path_bytes_max)?;
    Pattern::new(text.trim_matches('/')).map_err(Refusal::Pattern)
}

pub(super) fn check_paths(
    paths: &[Box<str>],
    limits: &Limits,
) -> Result<BTreeSet<Box<str>>, Refusal> {
    if paths.len() > limits.links_max {
        return Err(Refusal::LimitReached {
            what: "streams per subscription",
            max: limits.links_max,
        });
    }
    paths.iter().map(|path| check_path(path, limits)).collect()
}

pub(super) fn check_path(path: &str, limits: &Limits) -> Result<Box<str>, Refusal> {
    check_len("a stream path", path, limits.path_bytes_max)?;
    let path = path.trim_matches('/');
    // Channels have their own readers and rights.
    let is_internal = matches!(first_segment(path), "__ds" | "__channel__");
    // What begins with the mark would be the full name of a stream in another namespace.
    let crosses = path.as_bytes().first() == Some(&Namespace::MARK);
    if path.split('/').any(str::is_empty) || is_internal || crosses {
        return Err(Refusal::Path { path: path.into() });
    }
    Ok(path.into())
}

/// Refuses a text that is empty or too long.
pub(super) fn check_text(field: &'static str, text: &str, bytes_max: usize) -> Result<(), Refusal> {
    if text.is_empty() {
        return Err(Refusal::Empty { field });
    }
    check_len(field, text, bytes_max)
}

fn check_len(field: &'static str, text: &str, bytes_max: usize) -> Result<(), Refusal> {
    if text.len() > bytes_max {
        return Err(Refusal::TooLong { field, bytes_max });
    }
    Ok(())
}
