//! `[limits.…]` and `[namespace.NAME.limits]`: what callers may have and do.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use floe_core::rate::Rate;
use floe_proto::Namespace;
use floe_server::{CountKind, Quotas, RateKind, Scope, ScopeQuotas};
use serde::{Deserialize, Serialize};

/// `[limits]`, with a table for each scope.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitTables {
    /// Addresses, users, namespaces and rooms that are remembered, each.
    #[serde(skip_serializing_if = "Option::is_none")]
    keys_max: Option<usize>,
    /// Frames of a WebSocket that are refused for its pace until it is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    socket_refusals_max: Option<u32>,
    #[serde(skip_serializing_if = "ScopeTable::is_empty")]
    ip: ScopeTable,
    #[serde(skip_serializing_if = "ScopeTable::is_empty")]
    user: ScopeTable,
    #[serde(skip_serializing_if = "ScopeTable::is_empty")]
    connection: ScopeTable,
    #[serde(skip_serializing_if = "ScopeTable::is_empty")]
    namespace: ScopeTable,
    #[serde(skip_serializing_if = "ScopeTable::is_empty")]
    room: ScopeTable,
}

/// `[namespace.NAME]`, by name.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "ByName", into = "ByName")]
pub struct NamespaceTables(BTreeMap<Namespace, NamespaceTable>);

type ByName = BTreeMap<String, NamespaceTable>;

/// What is said of one namespace.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct NamespaceTable {
    #[serde(skip_serializing_if = "ScopeTable::is_empty")]
    limits: ScopeTable,
}

/// What each of a scope may have and do.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct ScopeTable(ScopeQuotas);

/// A table as it stands in a file. A rate without a burst has that of one second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    requests_per_second: Option<NonZeroU64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests_burst: Option<NonZeroU64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frames_per_second: Option<NonZeroU64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frames_burst: Option<NonZeroU64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    append_bytes_per_second: Option<NonZeroU64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    append_bytes_burst: Option<NonZeroU64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    joins_per_second: Option<NonZeroU64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    joins_burst: Option<NonZeroU64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connects_per_second: Option<NonZeroU64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connects_burst: Option<NonZeroU64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connections_max: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    readers_max: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rooms_max: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stored_bytes_max: Option<u64>,
}

impl LimitTables {
    /// Returns what they say, with what is said of single namespaces.
    pub fn quotas(&self, namespaces: &NamespaceTables) -> Quotas {
        let mut quotas = Quotas::default();
        for (scope, table) in [
            (Scope::Ip, &self.ip),
            (Scope::User, &self.user),
            (Scope::Connection, &self.connection),
            (Scope::Namespace, &self.namespace),
            (Scope::Room, &self.room),
        ] {
            *quotas.scope_mut(scope) = table.0;
        }
        let own = namespaces.0.iter();
        let own = own.filter(|(_, table)| !table.limits.is_empty());
        quotas.namespaces = own
            .map(|(name, table)| (name.clone(), table.limits.0))
            .collect();
        quotas.keys_max = self.keys_max.unwrap_or(quotas.keys_max);
        let refusals_max = self.socket_refusals_max;
        quotas.socket_refusals_max = refusals_max.unwrap_or(quotas.socket_refusals_max);
        quotas
    }
}

impl ScopeTable {
    fn is_empty(&self) -> bool {
        self.0 == ScopeQuotas::NONE
    }
}

impl TryFrom<Written> for ScopeTable {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let mut quotas = ScopeQuotas::NONE;
        for (kind, per_second, burst) in written.rates() {
            let Some(per_second) = per_second else {
                if burst.is_some() {
                    let kind = kind.as_str();
                    return Err(format!("{kind}_burst goes with {kind}_per_second"));
                }
                continue;
            };
            let rate = Rate::new(per_second.get(), burst.unwrap_or(per_second).get());
            quotas = quotas.rate(kind, rate);
        }
        for (kind, most) in written.counts() {
            if let Some(most) = most {
                quotas = quotas.most(kind, most);
            }
        }
        Ok(Self(quotas))
    }
}

impl From<ScopeTable> for Written {
    fn from(ScopeTable(quotas): ScopeTable) -> Self {
        let per_second =
            |kind| NonZeroU64::new(quotas.rates()[kind as usize].map_or(0, Rate::per_second));
        let burst = |kind| NonZeroU64::new(quotas.rates()[kind as usize].map_or(0, Rate::burst));
        Self {
            requests_per_second: per_second(RateKind::Requests),
            requests_burst: burst(RateKind::Requests),
            frames_per_second: per_second(RateKind::Frames),
            frames_burst: burst(RateKind::Frames),
            append_bytes_per_second: per_second(RateKind::AppendBytes),
            append_bytes_burst: burst(RateKind::AppendBytes),
            joins_per_second: per_second(RateKind::Joins),
            joins_burst: burst(RateKind::Joins),
            connects_per_second: per_second(RateKind::Connects),
            connects_burst: burst(RateKind::Connects),
            connections_max: quotas.count(CountKind::Connections),
            readers_max: quotas.count(CountKind::Readers),
            rooms_max: quotas.count(CountKind::Rooms),
            stored_bytes_max: quotas.count(CountKind::StoredBytes),
        }
    }
}

impl Written {
    const fn rates(&self) -> [(RateKind, Option<NonZeroU64>, Option<NonZeroU64>); RateKind::COUNT] {
        use RateKind::{AppendBytes, Connects, Frames, Joins, Requests};
        [
            (Requests, self.requests_per_second, self.requests_burst),
            (Frames, self.frames_per_second, self.frames_burst),
            (
                AppendBytes,
                self.append_bytes_per_second,
                self.append_bytes_burst,
            ),
            (Joins, self.joins_per_second, self.joins_burst),
            (Connects, self.connects_per_second, self.connects_burst),
        ]
    }

    const fn counts(&self) -> [(CountKind, Option<u64>); CountKind::COUNT] {
        [
            (CountKind::Connections, self.connections_max),
            (CountKind::Readers, self.readers_max),
            (CountKind::Rooms, self.rooms_max),
            (CountKind::StoredBytes, self.stored_bytes_max),
        ]
    }
}

impl TryFrom<ByName> for NamespaceTables {
    type Error = String;

    fn try_from(tables: ByName) -> Result<Self, String> {
        let tables = tables.into_iter().map(|(name, table)| {
            let namespace = name.parse::<Namespace>();
            let namespace = namespace.map_err(|error| format!("{name}: {error}"))?;
            Ok((namespace, table))
        });
        tables.collect::<Result<_, String>>().map(Self)
    }
}

impl From<NamespaceTables> for ByName {
    fn from(NamespaceTables(tables): NamespaceTables) -> Self {
        let tables = tables.into_iter();
        tables
            .map(|(name, table)| (name.to_string(), table))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FileTables;

    fn parse(text: &str) -> Result<FileTables, String> {
        toml::from_str(text).map_err(|error: toml::de::Error| error.message().to_owned())
    }

    #[test]
    fn tables_say_what_each_scope_may_and_namespaces_what_they_have_instead() {
        let tables = parse(
            "[limits]\nkeys_max = 5\n[limits.ip]\nrequests_per_second = 10\nrequests_burst = 20\n\
             connections_max = 3\n[limits.room]\nappend_bytes_per_second = 1_000\n\
             [namespace.acme.limits]\nrooms_max = 7\n",
        )
        .unwrap();
        let quotas = tables.limits.quotas(&tables.namespace);
        let ip = ScopeQuotas::NONE
            .rate(RateKind::Requests, Rate::new(10, 20))
            .most(CountKind::Connections, 3);
        let room = ScopeQuotas::NONE.rate(RateKind::AppendBytes, Rate::new(1_000, 1_000));
        let acme = ScopeQuotas::NONE.most(CountKind::Rooms, 7);
        let expected = Quotas {
            ip,
            room,
            namespaces: BTreeMap::from([("acme".parse().unwrap(), acme)]),
            keys_max: 5,
            ..Quotas::default()
        };
        assert_eq!(quotas, expected);
        let again = toml::to_string(&tables).unwrap();
        assert_eq!(parse(&again).unwrap(), tables, "{again}");
        let nothing = FileTables::default();
        assert_eq!(nothing.limits.quotas(&nothing.namespace), Quotas::default());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, message) in [
            ("[limits.ip]\nrequest_per_second = 1", "request_per_second"),
            ("[limits.ips]\n", "ips"),
            ("[limits.ip]\nframes_per_second = 0", "nonzero"),
            ("[limits.ip]\njoins_burst = 5", "joins_per_second"),
            ("[namespace.\"a b\".limits]\nrooms_max = 1", "a b"),
            ("[namespace.acme]\nrooms_max = 1", "rooms_max"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
