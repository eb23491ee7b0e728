//! Run by the part `replica` of the tests, which starts a PostgreSQL of its own and says where.

use super::*;
use crate::replica::suite::{self, Subject};

/// Where the server is; its database is wiped.
const URL: &str = "FLOE_TEST_POSTGRES";

struct Database {
    url: String,
    target: Postgres,
}

impl Database {
    fn new() -> Self {
        let url = std::env::var(URL).expect("FLOE_TEST_POSTGRES says where a PostgreSQL is");
        let target = Postgres::new(&url).unwrap();
        let mut database = Self { url, target };
        database.wipe();
        database
    }

    /// Runs statements as somebody else would.
    fn run(&self, sql: &str) -> Vec<Vec<String>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let config: Config = self.url.parse().unwrap();
            let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
            tokio::spawn(connection);
            let messages = client.simple_query(sql).await.unwrap();
            let rows = messages.iter().filter_map(|message| {
                let tokio_postgres::SimpleQueryMessage::Row(row) = message else {
                    return None;
                };
                let values = (0..row.len()).map(|at| row.get(at).unwrap_or("-").to_owned());
                Some(values.collect())
            });
            rows.collect()
        })
    }

    fn wipe(&mut self) {
        let schemas =
            self.run("SELECT quote_ident(nspname) FROM pg_namespace WHERE nspname ~ '^floe'");
        for schema in schemas {
            self.run(&format!("DROP SCHEMA {} CASCADE", schema[0]));
        }
    }

    fn lines(&self, namespace: &str, sql: &str) -> Vec<Vec<String>> {
        let schema = quote(&schema_of(namespace));
        let there = self.run(&format!("SELECT to_regclass('{schema}.rooms') IS NOT NULL"));
        if there[0][0] == "f" {
            return Vec::new();
        }
        self.run(&sql.replace("{schema}", &schema))
    }
}

/// Writes JSON as the other target keeps it.
fn plain(json: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    value.to_string()
}

impl Subject for Database {
    fn target(&mut self) -> &mut dyn ReplicaTarget {
        &mut self.target
    }

    fn reopen(&mut self) {
        self.target = Postgres::new(&self.url).unwrap();
        self.target.open().unwrap();
    }

    fn dump(&mut self, namespace: &str) -> Vec<String> {
        let rows = self.lines(
            namespace,
            "SELECT r.name, t.name, d.key, d.seq, d.\"row\" FROM {schema}.rows d
             JOIN {schema}.tables t ON t.room = d.room AND t.id = d.table_id
             JOIN {schema}.rooms r ON r.id = d.room
             ORDER BY r.name COLLATE \"C\", t.name COLLATE \"C\", d.key COLLATE \"C\"",
        );
        let mut lines: Vec<String> = rows
            .iter()
            .map(|row| {
                format!(
                    "{} {} {} {} {}",
                    row[0],
                    row[1],
                    row[2],
                    row[3],
                    plain(&row[4])
                )
            })
            .collect();
        let events = self.lines(
            namespace,
            "SELECT r.name, e.seq, e.kind, e.author, e.content FROM {schema}.events e
             JOIN {schema}.rooms r ON r.id = e.room ORDER BY r.name, e.seq",
        );
        lines.extend(events.iter().map(|row| row.join(" ")));
        lines
    }

    fn tables(&mut self, namespace: &str) -> Vec<String> {
        let tables = self.lines(
            namespace,
            "SELECT r.name, t.name, t.definition FROM {schema}.tables t
             JOIN {schema}.rooms r ON r.id = t.room ORDER BY r.name, t.name",
        );
        tables.iter().map(|row| row.join(" ")).collect()
    }
}

#[test]
#[ignore = "the part `replica` starts a PostgreSQL for it"]
fn postgres_does_what_every_target_must_do() {
    let mut database = Database::new();
    suite::run(&mut database);
    // What goes while it is open is noticed, in whole and in part, and is made again.
    database.target.check().unwrap();
    for lost in ["floe_default", "floe"] {
        database.run(&format!("DROP SCHEMA {lost} CASCADE"));
        assert!(
            matches!(database.target.check(), Err(ReplicaError::Lost)),
            "{lost}"
        );
        database.target.open().unwrap();
        database.target.check().unwrap();
    }
    let room = RoomRef {
        namespace: "default",
        room: RoomId(8),
        name: "b",
    };
    assert_eq!(database.target.applied(&[room]).unwrap(), [None]);
}

#[test]
fn nobody_learns_the_password() {
    let url = "postgres://floe:geheim@127.0.0.1:1/rooms";
    let mut target = Postgres::new(url).unwrap();
    let error = target.open().unwrap_err();
    for shown in [
        format!("{target:?}"),
        format!("{error:?}"),
        error.to_string(),
    ] {
        assert!(!shown.contains("geheim"), "{shown}");
    }
    assert!(
        matches!(Postgres::new("postgres://a:geheim@h:x/d"), Err(error)
        if !error.to_string().contains("geheim"))
    );
}
