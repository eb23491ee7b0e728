//! Batches on their way into a namespace's schema.

use std::borrow::Cow;
use std::collections::BTreeMap;

use floe_proto::EventKind;
use floe_proto::table::{Alteration, Value};
use tokio_postgres::{Client, Transaction};

use super::failed;
use super::names::{clean, clean_json, key_id, quote, schema_of};
use crate::replica::embedded::guess;
use crate::replica::plan::{EventNow, Plan, RowNow, Step};
use crate::replica::{Applied, Batch, Mode, ReplicaError, RoomKind};

/// Rows of one statement.
const ROWS_STEP: usize = 4_096;

type Failure = tokio_postgres::Error;

/// Applies batches of one namespace in one transaction.
pub async fn apply(
    client: &mut Client,
    namespace: &str,
    is_new: bool,
    batches: &[&Batch<'_>],
) -> Result<Applied, ReplicaError> {
    let schema = quote(&schema_of(namespace));
    if is_new {
        make(client, namespace, &schema).await.map_err(failed)?;
    }
    let tx = client.transaction().await.map_err(failed)?;
    let ids: Vec<i64> = batches
        .iter()
        .map(|batch| batch.room.room.0 as i64)
        .collect();
    let sql = format!("SELECT id, applied FROM {schema}.rooms WHERE id = ANY($1) FOR UPDATE");
    let known = tx.query(&sql, &[&ids]).await.map_err(failed)?;
    let known: BTreeMap<i64, u64> = known
        .iter()
        .map(|row| (row.get(0), row.get::<_, i64>(1) as u64))
        .collect();
    let cleared = |mode| {
        let batches = batches.iter().filter(move |batch| batch.mode == mode);
        batches
            .map(|batch| batch.room.room.0 as i64)
            .collect::<Vec<_>>()
    };
    let removed = cleared(Mode::Remove);
    remove(&tx, &schema, &removed, true).await.map_err(failed)?;
    remove(&tx, &schema, &cleared(Mode::Anew), false)
        .await
        .map_err(failed)?;
    let mut applied = Applied::default();
    let mut plans = Vec::with_capacity(batches.len());
    for batch in batches.iter().filter(|batch| batch.mode != Mode::Remove) {
        let has = known.get(&(batch.room.room.0 as i64)).copied();
        let plan = Plan::read(batch, has.unwrap_or(0))?;
        applied += plan.counts;
        plans.push((*batch, plan));
    }
    let mut writing = Writing {
        tx: &tx,
        schema: &schema,
        rows: Vec::new(),
        gone: Vec::new(),
        events: Vec::new(),
    };
    for (batch, plan) in &plans {
        let room = batch.room.room.0 as i64;
        let last = plan.steps.iter().rposition(is_of_a_table);
        for (at, step) in plan.steps.iter().enumerate() {
            writing.step(room, step).await.map_err(failed)?;
            // What comes before a table changes is there before; what comes after can wait.
            let is_followed = last.is_some_and(|last| at < last);
            if is_followed {
                writing.flush().await.map_err(failed)?;
            }
        }
    }
    writing.flush().await.map_err(failed)?;
    writing.rooms(&plans).await.map_err(failed)?;
    tx.commit().await.map_err(failed)?;
    Ok(applied)
}

/// Makes the schema of a namespace.
async fn make(client: &Client, namespace: &str, schema: &str) -> Result<(), Failure> {
    let sql = format!(
        r#"CREATE SCHEMA IF NOT EXISTS {schema};
        CREATE TABLE IF NOT EXISTS {schema}.rooms (
          id bigint PRIMARY KEY, name text NOT NULL, kind text NOT NULL, ruled boolean NOT NULL,
          applied bigint NOT NULL
        );
        CREATE INDEX IF NOT EXISTS rooms_name ON {schema}.rooms (name);
        CREATE TABLE IF NOT EXISTS {schema}.tables (
          room bigint NOT NULL, id text NOT NULL, name text NOT NULL, definition jsonb NOT NULL,
          PRIMARY KEY (room, id)
        );
        CREATE TABLE IF NOT EXISTS {schema}.rows (
          room bigint NOT NULL, table_id text NOT NULL, key_id text NOT NULL, key text NOT NULL,
          seq bigint NOT NULL, "row" jsonb NOT NULL, PRIMARY KEY (room, table_id, key_id)
        );
        CREATE TABLE IF NOT EXISTS {schema}.events (
          room bigint NOT NULL, seq bigint NOT NULL, kind text NOT NULL, author text NOT NULL,
          content text, target bigint, removed boolean NOT NULL, created_at timestamptz NOT NULL,
          PRIMARY KEY (room, seq)
        );"#
    );
    client.batch_execute(&sql).await?;
    let sql = "INSERT INTO floe.namespaces VALUES ($1, $2) ON CONFLICT DO NOTHING";
    client
        .execute(sql, &[&namespace, &schema_of(namespace)])
        .await?;
    Ok(())
}

/// Removes what there is of rooms, and the rooms as well if `wholly`.
pub async fn remove(
    tx: &Transaction<'_>,
    schema: &str,
    rooms: &[i64],
    wholly: bool,
) -> Result<(), Failure> {
    if rooms.is_empty() {
        return Ok(());
    }
    for (table, column) in [
        ("rows", "room"),
        ("tables", "room"),
        ("events", "room"),
        ("rooms", "id"),
    ] {
        if wholly || table != "rooms" {
            let sql = format!("DELETE FROM {schema}.{table} WHERE {column} = ANY($1)");
            tx.execute(&sql, &[&rooms]).await?;
        }
    }
    Ok(())
}

const fn is_of_a_table(step: &Step<'_>) -> bool {
    !matches!(step, Step::Rows(_) | Step::Event(_))
}

/// What of a transaction is still to be written.
struct Writing<'a, 'p> {
    tx: &'a Transaction<'a>,
    schema: &'a str,
    rows: Vec<PendingRow<'p>>,
    gone: Vec<(i64, String, Cow<'p, str>)>,
    events: Vec<(i64, &'p EventNow<'p>)>,
}

struct PendingRow<'p> {
    room: i64,
    table: &'p str,
    key: &'p str,
    row: RowNow<'p>,
}

impl<'p> Writing<'_, 'p> {
    async fn step(&mut self, room: i64, step: &'p Step<'p>) -> Result<(), Failure> {
        let schema = self.schema;
        match step {
            Step::Rows(rows) => {
                for ((table, key), row) in rows {
                    match row {
                        Some(row) => self.rows.push(PendingRow {
                            room,
                            table,
                            key,
                            row: *row,
                        }),
                        None => self.gone.push((room, table_id(table), key_id(key))),
                    }
                }
            }
            Step::Event(event) => self.events.push((room, event)),
            Step::Create(table) => {
                self.drop_table(room, &table.name).await?;
                let definition = json(table);
                let sql =
                    format!("INSERT INTO {schema}.tables VALUES ($1, $2, $3, $4::text::jsonb)");
                let name = clean(&table.name);
                self.tx
                    .execute(&sql, &[&room, &table_id(&table.name), &name, &definition])
                    .await?;
            }
            Step::Drop(table) => self.drop_table(room, table).await?,
            Step::Rename { from, to } => self.rename(room, from, to).await?,
            Step::Alter {
                table,
                now,
                reshape,
            } => {
                if !table.eq_ignore_ascii_case(&now.name) {
                    self.rename(room, table, &now.name).await?;
                }
                for step in reshape {
                    self.reshape(room, &now.name, step).await?;
                }
                let sql = format!(
                    "INSERT INTO {schema}.tables VALUES ($1, $2, $3, $4::text::jsonb)
                     ON CONFLICT (room, id) DO UPDATE
                       SET name = excluded.name, definition = excluded.definition"
                );
                let (name, definition) = (clean(&now.name), json(now));
                self.tx
                    .execute(&sql, &[&room, &table_id(&now.name), &name, &definition])
                    .await?;
            }
        }
        Ok(())
    }

    async fn drop_table(&self, room: i64, table: &str) -> Result<(), Failure> {
        for (place, column) in [("rows", "table_id"), ("tables", "id")] {
            let sql = format!(
                "DELETE FROM {}.{place} WHERE room = $1 AND {column} = $2",
                self.schema
            );
            self.tx.execute(&sql, &[&room, &table_id(table)]).await?;
        }
        Ok(())
    }

    async fn rename(&self, room: i64, from: &str, to: &str) -> Result<(), Failure> {
        let (schema, name) = (self.schema, clean(to));
        let rows =
            format!("UPDATE {schema}.rows SET table_id = $3 WHERE room = $1 AND table_id = $2");
        let ids: (String, String) = (table_id(from), table_id(to));
        self.tx.execute(&rows, &[&room, &ids.0, &ids.1]).await?;
        let tables = format!(
            "UPDATE {schema}.tables SET id = $3, name = $4,
               definition = jsonb_set(definition, '{{name}}', to_jsonb($4::text))
             WHERE room = $1 AND id = $2"
        );
        self.tx
            .execute(&tables, &[&room, &ids.0, &ids.1, &name])
            .await?;
        Ok(())
    }

    /// Rewrites the rows of a table.
    async fn reshape(&self, room: i64, table: &str, step: &Alteration) -> Result<(), Failure> {
        let update = |change: &str| {
            format!(
                "UPDATE {}.rows SET \"row\" = {change} WHERE room = $1 AND table_id = $2",
                self.schema
            )
        };
        let table = table_id(table);
        match step {
            Alteration::AddColumn(column) => {
                let default = json(column.default.as_ref().unwrap_or(&Value::Null));
                let sql = update("\"row\" || jsonb_build_object($3::text, $4::text::jsonb)");
                self.tx
                    .execute(&sql, &[&room, &table, &&*column.name, &default])
                    .await?;
            }
            Alteration::DropColumn(column) => {
                let sql = update("\"row\" - $3::text");
                self.tx.execute(&sql, &[&room, &table, &&**column]).await?;
            }
            Alteration::RenameColumn { from, to } => {
                let sql = update(
                    "(\"row\" - $3::text) || jsonb_build_object($4::text, \"row\" -> $3::text)",
                );
                self.tx
                    .execute(&sql, &[&room, &table, &&**from, &&**to])
                    .await?;
            }
            // That is done already.
            Alteration::RenameTable(_) => {}
        }
        Ok(())
    }

    /// Writes what is pending.
    async fn flush(&mut self) -> Result<(), Failure> {
        let rows = std::mem::take(&mut self.rows);
        self.guess_tables(&rows).await?;
        for step in rows.chunks(ROWS_STEP) {
            self.put_rows(step).await?;
        }
        let gone = std::mem::take(&mut self.gone);
        for step in gone.chunks(ROWS_STEP) {
            let rooms: Vec<i64> = step.iter().map(|(room, _, _)| *room).collect();
            let tables: Vec<&str> = step.iter().map(|(_, table, _)| &**table).collect();
            let keys: Vec<&str> = step.iter().map(|(_, _, key)| &**key).collect();
            let sql = format!(
                "DELETE FROM {}.rows r
                 USING unnest($1::bigint[], $2::text[], $3::text[]) g (room, table_id, key_id)
                 WHERE r.room = g.room AND r.table_id = g.table_id AND r.key_id = g.key_id",
                self.schema
            );
            self.tx.execute(&sql, &[&rooms, &tables, &keys]).await?;
        }
        let events = std::mem::take(&mut self.events);
        for step in events.chunks(ROWS_STEP) {
            self.put_events(step).await?;
        }
        Ok(())
    }

    /// Makes tables of which the log says nothing but their rows.
    async fn guess_tables(&self, rows: &[PendingRow<'_>]) -> Result<(), Failure> {
        let mut first = BTreeMap::new();
        for row in rows {
            first.entry((row.room, table_id(row.table))).or_insert(row);
        }
        let rooms: Vec<i64> = first.keys().map(|(room, _)| *room).collect();
        let tables: Vec<&str> = first.keys().map(|(_, table)| &**table).collect();
        let sql = format!(
            "SELECT u.room, u.id FROM unnest($1::bigint[], $2::text[]) u (room, id)
             WHERE NOT EXISTS (SELECT FROM {}.tables t WHERE t.room = u.room AND t.id = u.id)",
            self.schema
        );
        for missing in self.tx.query(&sql, &[&rooms, &tables]).await? {
            let (room, id): (i64, String) = (missing.get(0), missing.get(1));
            let Some(row) = first.get(&(room, id.clone())) else {
                continue;
            };
            let definition = json(&guess(row.table, row.row.json));
            let sql = format!(
                "INSERT INTO {}.tables VALUES ($1, $2, $3, $4::text::jsonb)",
                self.schema
            );
            let (name, definition) = (clean(row.table), clean_json(&definition));
            let definition = definition.as_deref().unwrap_or("{}");
            self.tx
                .execute(&sql, &[&room, &id, &name, &definition])
                .await?;
        }
        Ok(())
    }

    async fn put_rows(&self, step: &[PendingRow<'_>]) -> Result<(), Failure> {
        let clean_rows = step.iter().map(|row| (row, clean_json(row.row.json)));
        // What is no JSON was never written by this program.
        let good: Vec<_> = clean_rows
            .filter_map(|(row, json)| Some((row, json?)))
            .collect();
        let rooms: Vec<i64> = good.iter().map(|(row, _)| row.room).collect();
        let tables: Vec<String> = good.iter().map(|(row, _)| table_id(row.table)).collect();
        let ids: Vec<Cow<'_, str>> = good.iter().map(|(row, _)| key_id(row.key)).collect();
        let ids: Vec<&str> = ids.iter().map(|id| &**id).collect();
        let keys: Vec<Cow<'_, str>> = good.iter().map(|(row, _)| clean(row.key)).collect();
        let keys: Vec<&str> = keys.iter().map(|key| &**key).collect();
        let seqs: Vec<i64> = good.iter().map(|(row, _)| row.row.seq as i64).collect();
        let rows: Vec<&str> = good.iter().map(|(_, json)| &**json).collect();
        let sql = format!(
            "INSERT INTO {}.rows
             SELECT u.room, u.table_id, u.key_id, u.key, u.seq, u.\"row\"::jsonb
             FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[])
               u (room, table_id, key_id, key, seq, \"row\")
             ON CONFLICT (room, table_id, key_id) DO UPDATE
               SET key = excluded.key, seq = excluded.seq, \"row\" = excluded.\"row\"",
            self.schema
        );
        self.tx
            .execute(&sql, &[&rooms, &tables, &ids, &keys, &seqs, &rows])
            .await?;
        Ok(())
    }

    async fn put_events(&self, step: &[(i64, &EventNow<'_>)]) -> Result<(), Failure> {
        let rooms: Vec<i64> = step.iter().map(|(room, _)| *room).collect();
        let seqs: Vec<i64> = step.iter().map(|(_, event)| event.seq as i64).collect();
        let kinds: Vec<&str> = step.iter().map(|(_, event)| event.kind.as_str()).collect();
        let authors: Vec<Cow<'_, str>> =
            step.iter().map(|(_, event)| clean(&event.author)).collect();
        let authors: Vec<&str> = authors.iter().map(|author| &**author).collect();
        let contents = step.iter().map(|(_, event)| event.content.as_deref());
        let contents: Vec<Option<Cow<'_, str>>> =
            contents.map(|content| content.map(clean)).collect();
        let contents: Vec<Option<&str>> = contents.iter().map(Option::as_deref).collect();
        let targets: Vec<Option<i64>> = step
            .iter()
            .map(|(_, event)| event.target.map(|target| target as i64))
            .collect();
        let removed: Vec<bool> = step.iter().map(|(_, event)| event.removed).collect();
        let times: Vec<i64> = step
            .iter()
            .map(|(_, event)| event.created_at.0 as i64)
            .collect();
        let sql = format!(
            "INSERT INTO {}.events
             SELECT u.room, u.seq, u.kind, u.author, u.content, u.target, u.removed,
               to_timestamp(u.at / 1000.0)
             FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[],
               $6::bigint[], $7::boolean[], $8::bigint[])
               u (room, seq, kind, author, content, target, removed, at)
             ON CONFLICT (room, seq) DO NOTHING",
            self.schema
        );
        self.tx
            .execute(
                &sql,
                &[
                    &rooms, &seqs, &kinds, &authors, &contents, &targets, &removed, &times,
                ],
            )
            .await?;
        let deletions = step
            .iter()
            .filter(|(_, event)| event.kind == EventKind::Deletion)
            .filter_map(|(room, event)| Some((*room, event.target? as i64, event.seq as i64)));
        let deletions: Vec<_> = deletions.collect();
        if deletions.is_empty() {
            return Ok(());
        }
        let rooms: Vec<i64> = deletions.iter().map(|(room, _, _)| *room).collect();
        let targets: Vec<i64> = deletions.iter().map(|(_, target, _)| *target).collect();
        let seqs: Vec<i64> = deletions.iter().map(|(_, _, seq)| *seq).collect();
        let sql = format!(
            "UPDATE {}.events e SET content = NULL
             FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) d (room, target, seq)
             WHERE e.room = d.room AND e.seq < d.seq
               AND (e.seq = d.target OR (e.target = d.target AND e.kind = 'edit'))",
            self.schema
        );
        self.tx.execute(&sql, &[&rooms, &targets, &seqs]).await?;
        Ok(())
    }

    /// Writes how far the rooms have come.
    async fn rooms(&self, plans: &[(&Batch<'_>, Plan<'_>)]) -> Result<(), Failure> {
        let ids: Vec<i64> = plans
            .iter()
            .map(|(batch, _)| batch.room.room.0 as i64)
            .collect();
        let names: Vec<Cow<'_, str>> = plans
            .iter()
            .map(|(batch, _)| clean(batch.room.name))
            .collect();
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        let kinds: Vec<&str> = plans.iter().map(|(batch, _)| word(batch.kind)).collect();
        let ruled: Vec<bool> = plans.iter().map(|(batch, _)| batch.ruled).collect();
        let applied: Vec<i64> = plans.iter().map(|(_, plan)| plan.applied as i64).collect();
        let sql = format!(
            "INSERT INTO {}.rooms
             SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::boolean[], $5::bigint[])
             ON CONFLICT (id) DO UPDATE
               SET name = excluded.name, ruled = excluded.ruled, applied = excluded.applied",
            self.schema
        );
        self.tx
            .execute(&sql, &[&ids, &names, &kinds, &ruled, &applied])
            .await?;
        for (batch, _) in plans {
            if batch.kind == RoomKind::Channel && batch.start > 1 {
                let sql = format!(
                    "DELETE FROM {}.events WHERE room = $1 AND seq < $2",
                    self.schema
                );
                let (room, start) = (batch.room.room.0 as i64, batch.start as i64);
                self.tx.execute(&sql, &[&room, &start]).await?;
            }
        }
        Ok(())
    }
}

/// Returns what a table is called in rows: names that differ in case alone are one.
fn table_id(name: &str) -> String {
    clean(name).to_ascii_lowercase()
}

const fn word(kind: RoomKind) -> &'static str {
    match kind {
        RoomKind::Tables => "tables",
        RoomKind::Channel => "channel",
    }
}

fn json(value: &impl serde::Serialize) -> String {
    // What came from JSON has a JSON form.
    serde_json::to_string(value).unwrap_or_else(|_| "null".into())
}
