//! Which replica a server keeps.

use std::fmt;
use std::str::FromStr;

/// Which replica a server keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ReplicaSettings {
    /// None.
    Off,
    /// SQLite files in the data folder.
    #[default]
    Embedded,
    /// A PostgreSQL database, beside those files.
    Postgres(PostgresUrl),
}

/// Where a PostgreSQL database is, and how to get in. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(Box<str>);

/// The text names no replica.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a replica is `off`, `embedded` or `postgres://USER:PASSWORD@HOST/DATABASE`")]
pub struct ReplicaUrlError;

impl PostgresUrl {
    /// Returns it with its password.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresUrl(…)")
    }
}

impl FromStr for ReplicaSettings {
    type Err = ReplicaUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_url = text.starts_with("postgres://") || text.starts_with("postgresql://");
        match text {
            "off" => Ok(Self::Off),
            "embedded" => Ok(Self::Embedded),
            _ if is_url && floe_views::replica::is_postgres_url(text) => {
                Ok(Self::Postgres(PostgresUrl(text.into())))
            }
            _ => Err(ReplicaUrlError),
        }
    }
}

impl fmt::Display for ReplicaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Embedded => "embedded",
            Self::Postgres(_) => "postgres://…",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_and_never_shown() {
        let url = "postgres://floe:geheim@db.example.com:5433/rooms?sslmode=require";
        let settings: ReplicaSettings = url.parse().unwrap();
        assert!(matches!(&settings, ReplicaSettings::Postgres(kept) if kept.reveal() == url));
        for shown in [format!("{settings:?}"), settings.to_string()] {
            assert!(!shown.contains("geheim"), "{shown}");
        }
        assert_eq!("off".parse(), Ok(ReplicaSettings::Off));
        assert_eq!("embedded".parse(), Ok(ReplicaSettings::default()));
        for bad in [
            "",
            "on",
            "mysql://a",
            "postgres://a:geheim@b:notaport/c",
            "postgres://a:geheim@b/c?sslmode=prefer",
        ] {
            let error = bad.parse::<ReplicaSettings>().unwrap_err();
            assert!(!error.to_string().contains("geheim"));
        }
    }
}
