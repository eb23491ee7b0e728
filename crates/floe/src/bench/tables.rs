//! The arguments of the workload over rooms with tables.

use std::time::Duration;

use clap::{Args, ValueEnum};
use floe_client::load::{Plan, TableWork, Workload};

use super::arguments::{CommonArguments, at_least_one, positive};

#[derive(Debug, Args)]
pub struct TablesArguments {
    #[command(flatten)]
    pub common: CommonArguments,
    /// What is done.
    #[arg(long, value_enum, default_value_t = WorkArgument::Mutate)]
    work: WorkArgument,
    /// Connections that insert, ask in SQL, or update the write buffer. By default 64, of the
    /// write buffer 8.
    #[arg(long, short, value_parser = at_least_one())]
    connections: Option<u64>,
    /// Rooms that are inserted into, in turn.
    #[arg(long, default_value_t = 1, value_parser = at_least_one())]
    rooms: u64,
    /// Rows of one insert.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    batch: u64,
    /// Requests that a connection sends before it waits for the first answer. By default 1, of the
    /// write buffer 64.
    #[arg(long, value_parser = at_least_one())]
    pipeline: Option<u64>,
    /// Rows of the table that is asked.
    #[arg(long, default_value_t = 10_000, value_parser = at_least_one())]
    rows: u64,
    /// Subscribers of the live query, those who ask the replica, or those who look how far it is behind.
    /// By default 1000, 8 and 4.
    #[arg(long, short, value_parser = at_least_one())]
    readers: Option<u64>,
    /// Updates per second, of the live query's row or of the write buffer. By default 50 of the one, and
    /// as many as the server takes of the other.
    #[arg(long, value_parser = positive)]
    rate: Option<f64>,
    /// Milliseconds after which a buffered value is written.
    #[arg(long, value_name = "MS", default_value_t = 1000,
          value_parser = clap::value_parser!(u64).range(10..=60_000))]
    interval: u64,
    /// Update the write buffer over HTTP instead of WebSockets.
    #[arg(long)]
    http: bool,
}

/// What is done with the tables of rooms.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum WorkArgument {
    /// Insert rows.
    Mutate,
    /// Ask a filled table in SQL.
    Sql,
    /// Follow a query while its row is updated; checks that nobody sees an older row after a newer one,
    /// and that all see the last.
    Live,
    /// Update one value of the write buffer, and count what is written of it.
    Buffer,
    /// Insert rows while the replica is asked, and while it is not, in turn.
    Replica,
    /// Insert rows, and look how long it takes from the answer to some of the inserts until the replica
    /// shows the row: `replica_lag`, which is good to one `query`.
    ReplicaLag,
}

impl TablesArguments {
    pub fn plan(&self, plan: Plan) -> Plan {
        let (tables, connections, pipeline, readers, rate) = match self.work {
            WorkArgument::Mutate => (TableWork::Mutate, 64, 1, 0, None),
            WorkArgument::Sql => (TableWork::Sql, 64, 1, 0, None),
            WorkArgument::Live => (TableWork::Live, 1, 1, 1000, Some(50.0)),
            WorkArgument::Buffer => (TableWork::Buffer, 8, 64, 0, None),
            WorkArgument::Replica => (TableWork::Replica, 64, 1, 8, None),
            WorkArgument::ReplicaLag => (TableWork::ReplicaLag, 64, 1, 4, None),
        };
        Plan {
            workload: Workload::Tables,
            tables,
            connections: self.connections.unwrap_or(connections) as usize,
            rooms: self.rooms,
            batch: self.batch as usize,
            pipeline: self.pipeline.unwrap_or(pipeline) as usize,
            events: self.rows,
            readers: self.readers.unwrap_or(readers) as usize,
            appends_per_second: self.rate.or(rate),
            interval: Duration::from_millis(self.interval),
            over_http: self.http,
            ..plan
        }
    }
}
