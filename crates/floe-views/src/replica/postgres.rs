//! The PostgreSQL replica: a schema for each namespace, and one, `floe`, that says which there are.
//!
//! It is for tools and people of the operator, who decide in PostgreSQL who may see which schema.

mod apply;
mod connect;
mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::time::Duration;

use floe_proto::RoomId;
use tokio::runtime::Runtime;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config};

pub use self::connect::is_postgres_url;

use self::connect::{Place, Tls};
use self::names::{quote, schema_of};
use super::{Applied, Batch, ReplicaError, ReplicaTarget, RoomRef};

/// A replica in a PostgreSQL database.
pub struct Postgres {
    config: Config,
    /// What encrypts the connection; `None` where nothing does.
    tls: Option<Tls>,
    /// Drives the connection, on the thread that calls, while it calls.
    runtime: Runtime,
    client: Option<Client>,
    /// What the database was called when it was opened first; another one is another database, or
    /// has been wiped.
    identity: Option<String>,
    /// Namespaces that are known to have their schema.
    namespaces: BTreeSet<String>,
}

/// How long a call may take as a whole; the server ends a statement of its own after
/// [`connect::STATEMENT_MS`].
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Rooms that one step of a removal takes.
const REMOVED_STEP: usize = 256;

/// What there is beside the namespaces.
const SCHEMA: &str = "
    CREATE SCHEMA IF NOT EXISTS floe;
    CREATE TABLE IF NOT EXISTS floe.state (name text PRIMARY KEY, value text NOT NULL);
    CREATE TABLE IF NOT EXISTS floe.namespaces (
      name text PRIMARY KEY, schema_name text NOT NULL UNIQUE
    );
    INSERT INTO floe.state VALUES ('identity', gen_random_uuid()::text), ('version', '1')
      ON CONFLICT DO NOTHING;";

/// Version of what is kept.
const VERSION: &str = "1";

impl Postgres {
    /// Reads where the database is; nothing is connected.
    ///
    /// # Errors
    /// When the text is no such URL, which is not told, or names certificates that cannot be read.
    pub fn new(url: &str) -> Result<Self, ReplicaError> {
        let place = Place::read(url)
            .ok_or_else(|| ReplicaError::Unavailable("the URL is not a good one".to_owned()))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(Self {
            tls: place.tls()?,
            config: place.config,
            runtime,
            client: None,
            identity: None,
            namespaces: BTreeSet::new(),
        })
    }

    /// Connects if need be, and sees to it that the schema is there.
    fn ensure(&mut self) -> Result<(), ReplicaError> {
        if self
            .client
            .as_ref()
            .is_some_and(|client| !client.is_closed())
        {
            return Ok(());
        }
        self.client = None;
        let (config, tls) = (self.config.clone(), self.tls.clone());
        let opened = wait(&self.runtime, async move {
            let client = connect::connect(&config, tls).await?;
            client.batch_execute(SCHEMA).await.map_err(failed)?;
            let state = client
                .query("SELECT name, value FROM floe.state", &[])
                .await
                .map_err(failed)?;
            let state: BTreeMap<String, String> =
                state.iter().map(|row| (row.get(0), row.get(1))).collect();
            let there = "SELECT name FROM floe.namespaces
                 WHERE to_regclass(quote_ident(schema_name) || '.rooms') IS NOT NULL";
            let there = client.query(there, &[]).await.map_err(failed)?;
            let there: BTreeSet<String> = there.iter().map(|row| row.get(0)).collect();
            Ok((client, state, there))
        });
        let (client, mut state, there) = opened?;
        if let Some(version) = state.remove("version").filter(|found| found != VERSION) {
            return Err(ReplicaError::Foreign(format!(
                "a replica of version {version}"
            )));
        }
        let identity = state.remove("identity");
        let known = self.identity.is_some();
        let is_same = self.identity == identity && self.namespaces.is_subset(&there);
        self.client = Some(client);
        self.identity = identity;
        self.namespaces = there;
        if known && !is_same {
            return Err(ReplicaError::Lost);
        }
        Ok(())
    }

    /// Looks after a call that failed.
    fn settle<T>(&mut self, outcome: Result<T, ReplicaError>) -> Result<T, ReplicaError> {
        match &outcome {
            Err(ReplicaError::Lost) => {
                // It is told once; what there is now is what is known from now on.
                self.client = None;
                self.identity = None;
                self.namespaces.clear();
            }
            Err(ReplicaError::Unavailable(_)) => self.client = None,
            Ok(_) | Err(ReplicaError::Gap { .. } | ReplicaError::Foreign(_)) => {}
        }
        outcome
    }

    fn check_now(&mut self) -> Result<(), ReplicaError> {
        self.ensure()?;
        let client = self.client.as_ref().ok_or_else(away)?;
        let (identity, there) = wait(&self.runtime, async {
            let identity = "SELECT value FROM floe.state WHERE name = 'identity'";
            let identity = client.query_opt(identity, &[]).await.map_err(failed)?;
            let there = "SELECT name FROM floe.namespaces
                 WHERE to_regclass(quote_ident(schema_name) || '.rooms') IS NOT NULL";
            let there = client.query(there, &[]).await.map_err(failed)?;
            let there: BTreeSet<String> = there.iter().map(|row| row.get(0)).collect();
            Ok((identity.map(|row| row.get::<_, String>(0)), there))
        })?;
        if identity != self.identity || !self.namespaces.is_subset(&there) {
            self.namespaces = there;
            return Err(ReplicaError::Lost);
        }
        Ok(())
    }

    fn applied_now(&mut self, rooms: &[RoomRef<'_>]) -> Result<Vec<Option<u64>>, ReplicaError> {
        self.ensure()?;
        let client = self.client.as_ref().ok_or_else(away)?;
        let mut by_namespace: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        for room in rooms {
            if self.namespaces.contains(room.namespace) {
                let ids = by_namespace.entry(room.namespace).or_default();
                ids.push(room.room.0 as i64);
            }
        }
        let known = wait(&self.runtime, async {
            let mut known = BTreeMap::new();
            for (namespace, ids) in by_namespace {
                let schema = quote(&schema_of(namespace));
                let sql =
                    format!("SELECT id, name, applied FROM {schema}.rooms WHERE id = ANY($1)");
                for row in client.query(&sql, &[&ids]).await.map_err(failed)? {
                    let (name, applied): (String, i64) = (row.get(1), row.get(2));
                    known.insert(row.get::<_, i64>(0), (name, applied as u64));
                }
            }
            Ok(known)
        })?;
        let applied = rooms.iter().map(|room| {
            let (name, applied) = known.get(&(room.room.0 as i64))?;
            (*name == names::clean(room.name)).then_some(*applied)
        });
        Ok(applied.collect())
    }

    fn apply_now(&mut self, batches: &[Batch<'_>]) -> Result<Applied, ReplicaError> {
        self.ensure()?;
        let client = self.client.as_mut().ok_or_else(away)?;
        let mut by_namespace: BTreeMap<&str, Vec<&Batch<'_>>> = BTreeMap::new();
        for batch in batches {
            let group = by_namespace.entry(batch.room.namespace);
            group.or_default().push(batch);
        }
        let namespaces = &mut self.namespaces;
        wait(&self.runtime, async {
            let mut applied = Applied::default();
            for (namespace, group) in by_namespace {
                let is_new = !namespaces.contains(namespace);
                applied += apply::apply(client, namespace, is_new, &group).await?;
                namespaces.insert(namespace.to_owned());
            }
            Ok(applied)
        })
    }

    fn retain_now(&mut self, keep: &mut dyn FnMut(RoomId) -> bool) -> Result<u64, ReplicaError> {
        self.ensure()?;
        let client = self.client.as_mut().ok_or_else(away)?;
        let namespaces = &self.namespaces;
        wait(&self.runtime, async {
            let mut removed = 0;
            for namespace in namespaces {
                let schema = quote(&schema_of(namespace));
                let sql = format!("SELECT id FROM {schema}.rooms");
                let rooms = client.query(&sql, &[]).await.map_err(failed)?;
                let rooms = rooms.iter().map(|row| row.get::<_, i64>(0));
                let gone: Vec<i64> = rooms.filter(|room| !keep(RoomId(*room as u64))).collect();
                for step in gone.chunks(REMOVED_STEP) {
                    let tx = client.transaction().await.map_err(failed)?;
                    apply::remove(&tx, &schema, step, true)
                        .await
                        .map_err(failed)?;
                    tx.commit().await.map_err(failed)?;
                }
                removed += gone.len() as u64;
            }
            Ok(removed)
        })
    }
}

impl ReplicaTarget for Postgres {
    fn open(&mut self) -> Result<(), ReplicaError> {
        let outcome = self.ensure();
        self.settle(outcome)
    }

    fn check(&mut self) -> Result<(), ReplicaError> {
        let outcome = self.check_now();
        self.settle(outcome)
    }

    fn applied(&mut self, rooms: &[RoomRef<'_>]) -> Result<Vec<Option<u64>>, ReplicaError> {
        let outcome = self.applied_now(rooms);
        self.settle(outcome)
    }

    fn apply(&mut self, batches: &[Batch<'_>]) -> Result<Applied, ReplicaError> {
        let outcome = self.apply_now(batches);
        self.settle(outcome)
    }

    fn retain(&mut self, keep: &mut dyn FnMut(RoomId) -> bool) -> Result<u64, ReplicaError> {
        let outcome = self.retain_now(keep);
        self.settle(outcome)
    }

    /// Nothing is noted: whoever may write there could have changed anything meanwhile.
    fn watermark(&mut self) -> Result<u64, ReplicaError> {
        Ok(0)
    }

    fn set_watermark(&mut self, _watermark: u64) -> Result<(), ReplicaError> {
        Ok(())
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").finish_non_exhaustive()
    }
}

fn wait<T>(
    runtime: &Runtime,
    call: impl Future<Output = Result<T, ReplicaError>>,
) -> Result<T, ReplicaError> {
    runtime.block_on(async {
        match tokio::time::timeout(CALL_TIMEOUT, call).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ReplicaError::Unavailable("it does not answer".to_owned())),
        }
    })
}

fn away() -> ReplicaError {
    ReplicaError::Unavailable("there is no connection".to_owned())
}

/// Says what a failure means to the caller. No failure tells the password.
#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what `map_err` hands over"
)]
fn failed(error: tokio_postgres::Error) -> ReplicaError {
    let Some(told) = error.as_db_error() else {
        return ReplicaError::Unavailable(error.to_string());
    };
    let gone = [
        SqlState::UNDEFINED_TABLE,
        SqlState::INVALID_SCHEMA_NAME,
        SqlState::UNDEFINED_COLUMN,
    ];
    if gone.contains(told.code()) {
        return ReplicaError::Lost;
    }
    ReplicaError::Unavailable(format!("{}: {}", told.code().code(), told.message()))
}

#[cfg(test)]
mod tests;
