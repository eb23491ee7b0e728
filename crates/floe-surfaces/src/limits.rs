//! What limits are called and how they are told: header fields, and `GET /v1/limits`.
//!
//! The header fields are `RateLimit` and `RateLimit-Policy` in the structured form of
//! draft-ietf-httpapi-ratelimit-headers-11. Of all that applies to a caller they tell the one limit
//! that is nearest to its end.

use floe_core::rate::Rate;

use crate::http::{Answer, Envelope};

/// Whom a limit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Scope {
    /// An address, or the network of 64 bits that an IPv6 address is in.
    Ip,
    /// A user, or a key that is nobody's.
    User,
    /// One connection.
    Connection,
    /// A tenant.
    Namespace,
    /// A room.
    Room,
}

impl Scope {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::Ip,
        Self::User,
        Self::Connection,
        Self::Namespace,
        Self::Room,
    ];

    /// Returns the word in settings, metrics and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::User => "user",
            Self::Connection => "connection",
            Self::Namespace => "namespace",
            Self::Room => "room",
        }
    }
}

/// What happens so many times a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RateKind {
    /// Requests over HTTP.
    Requests,
    /// Frames of WebSockets.
    Frames,
    /// Bytes appended.
    AppendBytes,
    /// Live readers that begin: long-polls, event streams, joins.
    Joins,
    /// Connections that are opened.
    Connects,
}

impl RateKind {
    /// How many there are.
    pub const COUNT: usize = 5;
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Requests,
        Self::Frames,
        Self::AppendBytes,
        Self::Joins,
        Self::Connects,
    ];

    /// Returns the word in settings, metrics and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Frames => "frames",
            Self::AppendBytes => "append_bytes",
            Self::Joins => "joins",
            Self::Connects => "connects",
        }
    }
}

/// What there are so many of at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum CountKind {
    /// Connections.
    Connections,
    /// Live readers: long-polls, event streams, rooms joined.
    Readers,
    /// Rooms: streams and channels.
    Rooms,
    /// Bytes of what rooms hold.
    StoredBytes,
}

impl CountKind {
    /// How many there are.
    pub const COUNT: usize = 4;
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Connections,
        Self::Readers,
        Self::Rooms,
        Self::StoredBytes,
    ];

    /// Returns the word in settings, metrics and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Readers => "readers",
            Self::Rooms => "rooms",
            Self::StoredBytes => "stored_bytes",
        }
    }
}

/// How fast a caller may go on, as the fields of an answer tell it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pace {
    rate: Option<Shown>,
    /// Seconds before which another try fails, for failures that may be tried again; 0 where
    /// nobody knows.
    pub retry_after_s: u32,
}

/// A rate as header fields show it, in seconds; numbers that do not fit are shown smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shown {
    scope: Scope,
    kind: RateKind,
    quota: u32,
    window_s: u32,
    left: u32,
    reset_s: u32,
}

/// A rate and what is left of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateState {
    /// Whom it is for.
    pub scope: Scope,
    /// What it counts.
    pub kind: RateKind,
    /// The rate.
    pub rate: Rate,
    /// How many are left now.
    pub left: u64,
    /// Milliseconds until all of them are.
    pub full_in_ms: u64,
}

/// A number of things and its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountState {
    /// Whom it is for.
    pub scope: Scope,
    /// What it counts.
    pub kind: CountKind,
    /// How many there may be; `None` where nothing bounds them.
    pub most: Option<u64>,
    /// How many there are.
    pub used: u64,
    /// Whether all are counted; if not, there may be more.
    pub complete: bool,
}

impl Pace {
    /// Nothing to tell.
    pub const NONE: Self = Self {
        rate: None,
        retry_after_s: 0,
    };

    /// Notes another rate, if it is nearer to its end.
    pub fn note(&mut self, other: &RateState) {
        let other = Shown::of(other);
        if self.rate.is_none_or(|rate| other.is_nearer(&rate)) {
            self.rate = Some(other);
        }
    }

    /// Returns what of this and another is nearer to its end.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self.rate, other.rate) {
            (Some(rate), Some(another)) if another.is_nearer(&rate) => other,
            (None, Some(_)) => other,
            (Some(_), _) | (None, None) => self,
        }
    }

    /// Writes the header fields.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        use std::io::Write as _;
        let Some(state) = self.rate else { return };
        let Shown {
            scope,
            kind,
            quota,
            window_s,
            left,
            reset_s,
        } = state;
        let (scope, kind) = (scope.as_str(), kind.as_str());
        // Writing to memory cannot fail.
        let _ = write!(
            out,
            "RateLimit-Policy: \"{scope}-{kind}\";q={quota};w={window_s}\r\n\
             RateLimit: \"{scope}-{kind}\";r={left};t={reset_s}\r\n"
        );
    }
}

impl Shown {
    fn of(state: &RateState) -> Self {
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        Self {
            scope: state.scope,
            kind: state.kind,
            quota: small(state.rate.burst()),
            window_s: small(state.rate.refill_ms().div_ceil(1_000)),
            left: small(state.left),
            reset_s: small(state.full_in_ms.div_ceil(1_000)),
        }
    }

    /// Compares what is left as shares of what there is.
    fn is_nearer(&self, other: &Self) -> bool {
        let share = |left: u32, quota: u32| u64::from(left) * u64::from(quota);
        share(self.left, other.quota) < share(other.left, self.quota)
    }
}

/// What `GET /v1/limits` tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told<'a> {
    /// The namespace of the caller.
    pub namespace: &'a str,
    /// What applies to the caller.
    pub own: Limits,
    /// What applies to namespaces, by name, as far as the caller may know.
    pub namespaces: Vec<(String, Limits)>,
    /// Whether there are namespaces that are not shown.
    pub more: bool,
    /// The server's own bounds by name, for those who look after it.
    pub bounds: &'a [(&'static str, u64)],
}

/// Some limits and how much of them is used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Rates.
    pub rates: Vec<RateState>,
    /// Counts.
    pub counts: Vec<CountState>,
}

/// Writes the answer to `GET /v1/limits`.
pub fn write_limits(out: &mut Vec<u8>, envelope: &Envelope<'_>, told: &Told<'_>) {
    let mut body = serde_json::json!({
        "namespace": told.namespace,
        "limits": told.own.json(),
    });
    if !told.namespaces.is_empty() {
        let each = told.namespaces.iter();
        let each = each.map(|(name, limits)| (name.clone(), limits.json().into()));
        body["namespaces"] = serde_json::Value::Object(each.collect());
        body["more"] = told.more.into();
    }
    if !told.bounds.is_empty() {
        let each = told.bounds.iter();
        let each = each.map(|(name, bound)| ((*name).to_owned(), (*bound).into()));
        body["bounds"] = serde_json::Value::Object(each.collect());
    }
    Answer::start(out, envelope, 200)
        .field("Content-Type", b"application/json")
        .field("Cache-Control", b"no-store")
        .body(body.to_string().as_bytes());
}

impl Limits {
    fn json(&self) -> Vec<serde_json::Value> {
        let rates = self.rates.iter().map(|state| {
            serde_json::json!({
                "scope": state.scope.as_str(),
                "kind": state.kind.as_str(),
                "perSecond": state.rate.per_second(),
                "burst": state.rate.burst(),
                "remaining": state.left,
                "resetMs": state.full_in_ms,
            })
        });
        let counts = self.counts.iter().map(|state| {
            let mut row = serde_json::json!({
                "scope": state.scope.as_str(),
                "kind": state.kind.as_str(),
                "used": state.used,
            });
            if let Some(most) = state.most {
                row["max"] = most.into();
                row["remaining"] = most.saturating_sub(state.used).into();
            }
            if !state.complete {
                row["counting"] = true.into();
            }
            row
        });
        rates.chain(counts).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(left: u64, burst: u64) -> RateState {
        RateState {
            scope: Scope::User,
            kind: RateKind::Requests,
            rate: Rate::new(4, burst),
            left,
            full_in_ms: 1_001,
        }
    }

    #[test]
    fn numbers_are_places_in_the_lists() {
        for (at, scope) in Scope::ALL.into_iter().enumerate() {
            assert_eq!(scope as usize, at);
        }
        for (at, kind) in RateKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, at);
        }
        for (at, kind) in CountKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, at);
        }
    }

    #[test]
    fn the_fields_are_structured_and_tell_the_nearest_limit() {
        let mut pace = Pace::NONE;
        let mut none = Vec::new();
        pace.write(&mut none);
        assert_eq!(none, b"");
        pace.note(&state(9, 10));
        pace.note(&state(5, 10));
        pace.note(&state(60, 100));
        let mut out = Vec::new();
        pace.write(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "RateLimit-Policy: \"user-requests\";q=10;w=3\r\n\
             RateLimit: \"user-requests\";r=5;t=2\r\n"
        );
    }

    #[test]
    fn limits_are_told_with_what_is_left() {
        let stored = CountState {
            scope: Scope::Namespace,
            kind: CountKind::StoredBytes,
            most: Some(100),
            used: 120,
            complete: false,
        };
        let told = Told {
            namespace: "acme",
            own: Limits {
                rates: vec![state(3, 10)],
                counts: Vec::new(),
            },
            namespaces: vec![(
                "acme".to_owned(),
                Limits {
                    rates: Vec::new(),
                    counts: vec![stored],
                },
            )],
            more: false,
            bounds: &[("http.connections_max", 7)],
        };
        let envelope = Envelope {
            date: "now",
            cors: crate::http::Cors::Unasked,
            close: false,
            head: false,
            pace: Pace::NONE,
        };
        let mut out = Vec::new();
        write_limits(&mut out, &envelope, &told);
        let text = String::from_utf8(out).unwrap();
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "namespace": "acme",
                "limits": [{
                    "scope": "user", "kind": "requests", "perSecond": 4, "burst": 10,
                    "remaining": 3, "resetMs": 1_001,
                }],
                "namespaces": { "acme": [{
                    "scope": "namespace", "kind": "stored_bytes", "used": 120, "max": 100,
                    "remaining": 0, "counting": true,
                }] },
                "more": false,
                "bounds": { "http.connections_max": 7 },
            })
        );
    }
}
