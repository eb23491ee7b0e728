//! How much each address, user, connection, namespace and room may have and do.

use std::collections::BTreeMap;

use floe_core::rate::Rate;
use floe_proto::Namespace;
use floe_surfaces::limits::{CountKind, RateKind, Scope};

/// All quotas. What is not set is not limited, and costs nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quotas {
    /// By address; of IPv6, by its first 64 bits. Behind a proxy that is not trusted all clients
    /// have one address, so nothing is set here by default.
    pub ip: ScopeQuotas,
    /// By user of a namespace; of a key that is nobody's, by key.
    pub user: ScopeQuotas,
    /// By connection.
    pub connection: ScopeQuotas,
    /// By namespace, where it has none of its own.
    pub namespace: ScopeQuotas,
    /// By room.
    pub room: ScopeQuotas,
    /// What single namespaces have instead; what is not set here is as for all.
    pub namespaces: BTreeMap<Namespace, ScopeQuotas>,
    /// Addresses, users, namespaces and rooms that are remembered, each; 100 000. Above, who is
    /// nearest to a full allowance is forgotten.
    pub keys_max: usize,
    /// Frames of one WebSocket that are refused for its pace until it is closed with
    /// `RATE_LIMITED`; 100. Ten quiet seconds and it starts anew.
    pub socket_refusals_max: u32,
}

/// The quotas of one kind of holder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScopeQuotas {
    rates: [Option<Rate>; RateKind::COUNT],
    counts: [Option<u64>; CountKind::COUNT],
}

/// A quota that has no meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{what}` cannot be limited by {}", scope.as_str())]
pub struct QuotaError {
    scope: Scope,
    what: &'static str,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            ip: ScopeQuotas::NONE,
            user: ScopeQuotas::NONE,
            connection: ScopeQuotas::NONE,
            namespace: ScopeQuotas::NONE,
            room: ScopeQuotas::NONE,
            namespaces: BTreeMap::new(),
            keys_max: 100_000,
            socket_refusals_max: 100,
        }
    }
}

impl Quotas {
    /// Returns the quotas of a scope, to set them.
    pub fn scope_mut(&mut self, scope: Scope) -> &mut ScopeQuotas {
        match scope {
            Scope::Ip => &mut self.ip,
            Scope::User => &mut self.user,
            Scope::Connection => &mut self.connection,
            Scope::Namespace => &mut self.namespace,
            Scope::Room => &mut self.room,
        }
    }

    /// Returns the quotas of a scope; of namespaces, those that have none of their own.
    #[must_use]
    pub const fn scope(&self, scope: Scope) -> &ScopeQuotas {
        match scope {
            Scope::Ip => &self.ip,
            Scope::User => &self.user,
            Scope::Connection => &self.connection,
            Scope::Namespace => &self.namespace,
            Scope::Room => &self.room,
        }
    }

    /// Returns the quotas of one namespace.
    #[must_use]
    pub fn of_namespace(&self, name: &Namespace) -> ScopeQuotas {
        match self.namespaces.get(name) {
            Some(own) => own.over(&self.namespace),
            None => self.namespace,
        }
    }

    /// Checks that everything set has a meaning.
    ///
    /// # Errors
    /// Names the first that has none.
    pub fn check(&self) -> Result<(), QuotaError> {
        for scope in Scope::ALL {
            self.scope(scope).check(scope)?;
        }
        let own = self.namespaces.values();
        own.into_iter()
            .try_for_each(|own| own.check(Scope::Namespace))
    }

    /// Returns whether anything is limited while requests are served.
    #[must_use]
    pub fn limits_requests(&self) -> bool {
        let limits = |quotas: &ScopeQuotas| {
            quotas.rates.iter().any(Option::is_some)
                || quotas.count(CountKind::Connections).is_some()
                || quotas.count(CountKind::Readers).is_some()
        };
        Scope::ALL
            .into_iter()
            .any(|scope| limits(self.scope(scope)))
            || self.namespaces.values().any(limits)
    }

    /// Returns whether what namespaces hold is limited, and must be counted.
    #[must_use]
    pub fn limits_storage(&self) -> bool {
        let limits = |quotas: &ScopeQuotas| {
            quotas.count(CountKind::Rooms).is_some()
                || quotas.count(CountKind::StoredBytes).is_some()
        };
        limits(&self.namespace) || self.namespaces.values().any(limits)
    }
}

impl ScopeQuotas {
    /// Nothing is limited.
    pub const NONE: Self = Self {
        rates: [None; RateKind::COUNT],
        counts: [None; CountKind::COUNT],
    };

    /// Limits how often something may happen.
    #[must_use]
    pub fn rate(mut self, kind: RateKind, rate: Rate) -> Self {
        self.rates[kind as usize] = Some(rate);
        self
    }

    /// Limits how many there may be of something.
    #[must_use]
    pub fn most(mut self, kind: CountKind, most: u64) -> Self {
        self.counts[kind as usize] = Some(most);
        self
    }

    /// Returns the limits of how often something may happen, by the number of its kind.
    #[must_use]
    pub const fn rates(&self) -> &[Option<Rate>; RateKind::COUNT] {
        &self.rates
    }

    /// Returns how many there may be of something.
    #[must_use]
    pub const fn count(&self, kind: CountKind) -> Option<u64> {
        self.counts[kind as usize]
    }

    fn over(&self, other: &Self) -> Self {
        let mut merged = *other;
        for (own, all) in self.rates.iter().zip(&mut merged.rates) {
            *all = own.or(*all);
        }
        for (own, all) in self.counts.iter().zip(&mut merged.counts) {
            *all = own.or(*all);
        }
        merged
    }

    /// Checks that everything set has a meaning for a scope.
    ///
    /// # Errors
    /// Names the first that has none.
    pub fn check(&self, scope: Scope) -> Result<(), QuotaError> {
        let error = |what| Err(QuotaError { scope, what });
        for kind in RateKind::ALL {
            if self.rates[kind as usize].is_some() && !has_rate(scope, kind) {
                return error(kind.as_str());
            }
        }
        for kind in CountKind::ALL {
            if self.counts[kind as usize].is_some() && !has_count(scope, kind) {
                return error(kind.as_str());
            }
        }
        Ok(())
    }
}

/// Returns whether a kind of thing can happen so often to a scope.
#[must_use]
pub const fn has_rate(scope: Scope, kind: RateKind) -> bool {
    match kind {
        RateKind::Connects => matches!(scope, Scope::Ip),
        RateKind::Frames => !matches!(scope, Scope::Room),
        RateKind::Requests | RateKind::AppendBytes | RateKind::Joins => true,
    }
}

/// Returns whether a scope can have so many of a kind of thing.
#[must_use]
pub const fn has_count(scope: Scope, kind: CountKind) -> bool {
    match kind {
        CountKind::Connections => matches!(scope, Scope::Ip | Scope::User | Scope::Namespace),
        CountKind::Readers => matches!(scope, Scope::User | Scope::Namespace),
        CountKind::Rooms | CountKind::StoredBytes => matches!(scope, Scope::Namespace),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_has_its_own_quotas_and_else_those_of_all() {
        let acme: Namespace = "acme".parse().unwrap();
        let mut quotas = Quotas {
            namespace: ScopeQuotas::NONE
                .most(CountKind::Rooms, 10)
                .rate(RateKind::Requests, Rate::new(5, 5)),
            ..Quotas::default()
        };
        let own = ScopeQuotas::NONE.most(CountKind::Rooms, 20);
        quotas.namespaces.insert(acme.clone(), own);
        let found = quotas.of_namespace(&acme);
        assert_eq!(found.count(CountKind::Rooms), Some(20));
        assert_eq!(found.rates()[0], Some(Rate::new(5, 5)));
        assert_eq!(quotas.of_namespace(&Namespace::default()), quotas.namespace);
    }

    #[test]
    fn what_has_no_meaning_is_refused_by_name() {
        assert_eq!(Quotas::default().check(), Ok(()));
        let quotas = Quotas {
            room: ScopeQuotas::NONE.most(CountKind::Connections, 1),
            ..Quotas::default()
        };
        assert_eq!(
            quotas.check().unwrap_err().to_string(),
            "`connections` cannot be limited by room"
        );
        let connects = ScopeQuotas::NONE.rate(RateKind::Connects, Rate::new(1, 1));
        assert!(connects.check(Scope::User).is_err() && connects.check(Scope::Ip).is_ok());
    }

    #[test]
    fn nothing_is_limited_by_default() {
        let quotas = Quotas::default();
        assert!(!quotas.limits_requests() && !quotas.limits_storage());
        let acme = "acme".parse().unwrap();
        let own = ScopeQuotas::NONE.most(CountKind::StoredBytes, 1);
        let namespaces = BTreeMap::from([(acme, own)]);
        let quotas = Quotas {
            namespaces,
            ..quotas
        };
        assert!(!quotas.limits_requests() && quotas.limits_storage());
    }
}
