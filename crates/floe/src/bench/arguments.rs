//! The arguments of `floe bench` and the plan that they make.

use std::time::Duration;

use anyhow::bail;
use clap::{Args, Subcommand};
use floe_client::load::{Plan, Workload};

use super::rooms::{
    ChannelAppendArguments, ChurnArguments, FanOutArguments, ReturnArguments, RoomsArguments,
    SocketsArguments, ViewArguments,
};
use super::tables::TablesArguments;
use super::voice::VoiceArguments;

pub const EXAMPLES: &str = "\
Examples:
  floe bench append http://127.0.0.1:4437 --connections 64 --pid $(pidof floe)
  floe bench append http://127.0.0.1:4437 --streams 1000 --duration 10 --json
  floe bench sse http://127.0.0.1:4437 --readers 1000 --rate 50
  floe bench live http://127.0.0.1:4437 --readers 1000 --rate 20 --pid $(pidof floe)
  floe bench live-storm http://127.0.0.1:4437 --clients 5000 --missed 100
  floe bench live-churn http://127.0.0.1:4437 --clients 1000 --duration 60 --pid $(pidof floe)
  floe bench tables http://127.0.0.1:4437 --work mutate --connections 64 --rooms 1000
  floe bench tables http://127.0.0.1:4437 --work live --readers 1000 --rate 20
  floe bench tables http://127.0.0.1:4437 --work buffer --rate 100000
  floe bench tables http://127.0.0.1:4437 --work replica-lag
  floe bench voice http://127.0.0.1:4437 --participants 100 --speakers 10 --pid $(pidof floe)
  floe bench query http://127.0.0.1:4437 --events 1000000 --question 'authorId=bench&limit=50'
  floe bench append http://127.0.0.1:4437 --server-cmd 'floe serve --data {dir}' \\
      --compare http://127.0.0.1:4438 --compare-cmd 'other-server --port 4438 --data-dir {dir}'";

/// Put a server under load and measure it.
#[derive(Debug, Args)]
pub struct BenchArguments {
    #[command(subcommand)]
    workload: WorkloadArguments,
}

/// Who is measured, the first or the second of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    pub name: &'static str,
    pub url: String,
    pub bearer: Option<String>,
    pub pid: Option<u32>,
    pub command: Option<String>,
}

#[derive(Debug, Subcommand)]
enum WorkloadArguments {
    /// Append messages over keep-alive connections.
    Append(AppendArguments),
    /// Create new streams.
    Create(CreateArguments),
    /// Read one stream from its start to its tail, again and again.
    Read(ReadArguments),
    /// Follow one stream over SSE while it is appended to; checks order and completeness.
    Sse(LiveArguments),
    /// Follow one stream over long-poll while it is appended to; checks order and completeness.
    LongPoll(LiveArguments),
    /// Append, follow, poll and read at the same time.
    Mixed(MixedArguments),
    /// Reconnect all at once, each client from where it was; checks order and completeness.
    Storm(StormArguments),
    /// Hold idle streams or idle readers and report the memory of each.
    Idle(IdleArguments),
    /// Follow one channel while it is written to; checks order and completeness.
    Live(FanOutArguments),
    /// Write to many channels that have one reader each; checks order and completeness.
    LiveRooms(RoomsArguments),
    /// Hold idle WebSockets that have joined a channel, and report the memory of each.
    LiveIdle(SocketsArguments),
    /// Reconnect WebSockets all at once, each with the cursor from where it was; checks order and
    /// completeness.
    LiveStorm(ReturnArguments),
    /// Join a channel, leave it and come back, while it is written to; checks order, completeness and that the
    /// server's memory does not grow.
    LiveChurn(ChurnArguments),
    /// Append to channels by HTTP.
    ChannelAppend(ChannelAppendArguments),
    /// Fill the SQL view of channels and query it.
    Query(ViewArguments),
    /// Fill the SQL view of channels and search it.
    Search(ViewArguments),
    /// Use the tables of rooms.
    Tables(TablesArguments),
    /// Speak and hear in voice rooms, each participant by a peer connection of its own; counts what is lost,
    /// doubled and out of order.
    ///
    /// The rooms are new ones, and stay on the server. A server that carries no sound is refused. Latency is
    /// from send to receive; CPU is divided by the packets that reached participants.
    Voice(VoiceArguments),
}

#[derive(Debug, Args)]
struct AppendArguments {
    #[command(flatten)]
    common: CommonArguments,
    /// Connections that append at the same time.
    #[arg(long, short, default_value_t = 64, value_parser = at_least_one())]
    connections: u64,
    /// Streams that they append to, in turn.
    #[arg(long, default_value_t = 1, value_parser = at_least_one())]
    streams: u64,
    /// Pick each append's stream at random instead of in turn.
    #[arg(long)]
    random: bool,
    /// Messages in one append.
    #[arg(long, default_value_t = 1, value_parser = at_least_one())]
    batch: u64,
    /// Appends that a connection sends before it waits for the first answer.
    #[arg(long, default_value_t = 1, value_parser = at_least_one())]
    pipeline: u64,
    /// End after this many appends, even if time is left.
    #[arg(long, value_name = "N")]
    operations: Option<u64>,
    /// Content type of the streams.
    #[arg(long, default_value = "application/octet-stream")]
    content_type: String,
}

#[derive(Debug, Args)]
struct CreateArguments {
    #[command(flatten)]
    common: CommonArguments,
    /// Streams to create.
    #[arg(long, default_value_t = 10_000, value_parser = at_least_one())]
    streams: u64,
    /// Connections that create at the same time.
    #[arg(long, short, default_value_t = 64, value_parser = at_least_one())]
    connections: u64,
    /// Creates that a connection sends before it waits for the first answer.
    #[arg(long, default_value_t = 1, value_parser = at_least_one())]
    pipeline: u64,
    /// Content type of the streams.
    #[arg(long, default_value = "application/octet-stream")]
    content_type: String,
}

#[derive(Debug, Args)]
struct ReadArguments {
    #[command(flatten)]
    common: CommonArguments,
    /// Size of the stream in units of a million bytes.
    #[arg(long, default_value_t = 100, value_name = "MB", value_parser = at_least_one())]
    megabytes: u64,
    /// Readers at the same time.
    #[arg(long, short, default_value_t = 1, value_parser = at_least_one())]
    readers: u64,
    /// Content type of the stream.
    #[arg(long, default_value = "application/octet-stream")]
    content_type: String,
}

#[derive(Debug, Args)]
struct LiveArguments {
    #[command(flatten)]
    common: CommonArguments,
    /// Live readers.
    #[arg(long, short, default_value_t = 1000, value_parser = at_least_one())]
    readers: u64,
    #[command(flatten)]
    writers: WriterArguments,
    /// Content type of the stream: readers can check text and JSON.
    #[arg(long, default_value = "text/plain")]
    content_type: String,
}

#[derive(Debug, Args)]
pub struct WriterArguments {
    /// Connections that append to the stream that is followed.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    writers: u64,
    /// Appends per second of all writers together.
    #[arg(long, default_value_t = 50.0, conflicts_with = "saturate", value_parser = positive)]
    rate: f64,
    /// Append as fast as the server answers.
    #[arg(long)]
    saturate: bool,
    /// Messages in one append.
    #[arg(long, default_value_t = 1, value_parser = at_least_one())]
    batch: u64,
}

#[derive(Debug, Args)]
struct MixedArguments {
    #[command(flatten)]
    common: CommonArguments,
    /// Connections that append to streams that nobody follows.
    #[arg(long, short, default_value_t = 16, value_parser = at_least_one())]
    connections: u64,
    /// Streams that they append to.
    #[arg(long, default_value_t = 100, value_parser = at_least_one())]
    streams: u64,
    /// SSE readers of one more stream.
    #[arg(long, short, default_value_t = 100)]
    readers: u64,
    /// Long-poll readers of that stream.
    #[arg(long, default_value_t = 100)]
    poll_readers: u64,
    /// Readers that read that stream from its start, again and again.
    #[arg(long, default_value_t = 2)]
    scanners: u64,
    /// Passes per second of all of these together.
    #[arg(long, default_value_t = 100.0, value_parser = positive)]
    scan_rate: f64,
    #[command(flatten)]
    writers: WriterArguments,
    /// Content type of all streams: readers can check text and JSON.
    #[arg(long, default_value = "text/plain")]
    content_type: String,
}

#[derive(Debug, Args)]
struct StormArguments {
    #[command(flatten)]
    common: CommonArguments,
    /// Clients that come back.
    #[arg(long, default_value_t = 5000, value_parser = at_least_one())]
    clients: u64,
    /// Messages that each has missed.
    #[arg(long, default_value_t = 100, value_parser = at_least_one())]
    missed: u64,
    /// Content type of the stream: readers can check text and JSON.
    #[arg(long, default_value = "text/plain")]
    content_type: String,
}

#[derive(Debug, Args)]
struct IdleArguments {
    #[command(flatten)]
    common: CommonArguments,
    /// Hold this many SSE readers of one quiet stream.
    #[arg(long, conflicts_with = "streams", required_unless_present = "streams")]
    readers: Option<u64>,
    /// Hold this many empty streams.
    #[arg(long)]
    streams: Option<u64>,
    /// Seconds before memory is read.
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS", value_parser = not_negative)]
    settle: f64,
}

#[derive(Debug, Args)]
pub struct CommonArguments {
    /// The server, as `http://host:port[/root]`; the root of the streams is `/v1/stream` by default.
    ///
    /// `https` and `wss` speak TLS, with the certificates that the system trusts (`SSL_CERT_FILE`
    /// names others).
    url: String,
    /// Bytes of one message.
    #[arg(long, default_value_t = 100, value_name = "BYTES", value_parser = at_least_one())]
    size: u64,
    /// Seconds that are counted, after the warm-up.
    #[arg(long, short, default_value_t = 5.0, value_name = "SECONDS", value_parser = positive)]
    duration: f64,
    /// Seconds of load before anything is counted.
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS", value_parser = not_negative)]
    warm_up: f64,
    /// API key or token that is shown with every request.
    #[arg(long, env = "FLOE_BEARER", value_name = "KEY", hide_env_values = true)]
    bearer: Option<String>,
    /// Process of the server, to report its CPU time and memory (Linux).
    #[arg(long, conflicts_with = "server_cmd")]
    pid: Option<u32>,
    /// Start the server with this command for each round and stop it after; `{dir}` in it is
    /// replaced by a new folder. No shell is involved.
    #[arg(long, value_name = "COMMAND")]
    server_cmd: Option<String>,
    /// Measure a second server in turn with the first, A B A B, and print both with their ratio.
    #[arg(long, value_name = "URL")]
    compare: Option<String>,
    /// API key or token that is shown to the second server.
    #[arg(long, value_name = "KEY", requires = "compare", hide_env_values = true)]
    compare_bearer: Option<String>,
    /// Process of the second server.
    #[arg(
        long,
        value_name = "PID",
        requires = "compare",
        conflicts_with = "compare_cmd"
    )]
    compare_pid: Option<u32>,
    /// Command of the second server, as in --server-cmd.
    #[arg(long, value_name = "COMMAND", requires = "compare")]
    compare_cmd: Option<String>,
    /// Rounds; medians are printed. 5 with --compare, else 1.
    #[arg(long, value_parser = at_least_one())]
    rounds: Option<u64>,
    /// Leave the streams on the server.
    #[arg(long)]
    keep_streams: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl BenchArguments {
    /// The servers to measure: one, or two in turn.
    pub fn subjects(&self) -> anyhow::Result<Vec<Subject>> {
        let common = self.common();
        let mut subjects = vec![Subject {
            name: "A",
            url: common.url.clone(),
            bearer: common.bearer.clone(),
            pid: common.pid,
            command: common.server_cmd.clone(),
        }];
        if let Some(url) = &common.compare {
            subjects.push(Subject {
                name: "B",
                url: url.clone(),
                bearer: common.compare_bearer.clone(),
                pid: common.compare_pid,
                command: common.compare_cmd.clone(),
            });
        }
        for pid in subjects.iter().filter_map(|subject| subject.pid) {
            if cfg!(target_os = "linux") && !std::path::Path::new(&format!("/proc/{pid}")).exists()
            {
                bail!("there is no process {pid}");
            }
        }
        Ok(subjects)
    }

    pub fn rounds(&self) -> u64 {
        let common = self.common();
        let default = if common.compare.is_some() { 5 } else { 1 };
        common.rounds.unwrap_or(default)
    }

    pub fn json(&self) -> bool {
        self.common().json
    }

    /// What each round does.
    pub fn plan(&self) -> Plan {
        let common = self.common();
        let plan = Plan {
            message_bytes: common.size as usize,
            warm_up: Duration::from_secs_f64(common.warm_up),
            duration: Duration::from_secs_f64(common.duration),
            keep_streams: common.keep_streams,
            ..Plan::default()
        };
        match &self.workload {
            WorkloadArguments::Append(arguments) => arguments.plan(plan),
            WorkloadArguments::Create(arguments) => arguments.plan(plan),
            WorkloadArguments::Read(arguments) => arguments.plan(plan),
            WorkloadArguments::Sse(arguments) => arguments.plan(plan, Workload::Sse),
            WorkloadArguments::LongPoll(arguments) => arguments.plan(plan, Workload::LongPoll),
            WorkloadArguments::Mixed(arguments) => arguments.plan(plan),
            WorkloadArguments::Storm(arguments) => arguments.plan(plan),
            WorkloadArguments::Idle(arguments) => arguments.plan(plan),
            WorkloadArguments::Live(arguments) => arguments.plan(plan),
            WorkloadArguments::LiveRooms(arguments) => arguments.plan(plan),
            WorkloadArguments::LiveIdle(arguments) => arguments.plan(plan),
            WorkloadArguments::LiveStorm(arguments) => arguments.plan(plan),
            WorkloadArguments::LiveChurn(arguments) => arguments.plan(plan),
            WorkloadArguments::ChannelAppend(arguments) => arguments.plan(plan),
            WorkloadArguments::Query(arguments) => arguments.plan(plan, Workload::Query),
            WorkloadArguments::Search(arguments) => arguments.plan(plan, Workload::Search),
            WorkloadArguments::Tables(arguments) => arguments.plan(plan),
            WorkloadArguments::Voice(arguments) => arguments.plan(plan),
        }
    }

    fn common(&self) -> &CommonArguments {
        match &self.workload {
            WorkloadArguments::Append(arguments) => &arguments.common,
            WorkloadArguments::Create(arguments) => &arguments.common,
            WorkloadArguments::Read(arguments) => &arguments.common,
            WorkloadArguments::Sse(arguments) | WorkloadArguments::LongPoll(arguments) => {
                &arguments.common
            }
            WorkloadArguments::Mixed(arguments) => &arguments.common,
            WorkloadArguments::Storm(arguments) => &arguments.common,
            WorkloadArguments::Idle(arguments) => &arguments.common,
            WorkloadArguments::Live(arguments) => &arguments.common,
            WorkloadArguments::LiveRooms(arguments) => &arguments.common,
            WorkloadArguments::LiveIdle(arguments) => &arguments.common,
            WorkloadArguments::LiveStorm(arguments) => &arguments.common,
            WorkloadArguments::LiveChurn(arguments) => &arguments.common,
            WorkloadArguments::ChannelAppend(arguments) => &arguments.common,
            WorkloadArguments::Tables(arguments) => &arguments.common,
            WorkloadArguments::Voice(arguments) => &arguments.common,
            WorkloadArguments::Query(arguments) | WorkloadArguments::Search(arguments) => {
                &arguments.common
            }
        }
    }
}

impl AppendArguments {
    fn plan(&self, plan: Plan) -> Plan {
        Plan {
            workload: Workload::Append,
            connections: self.connections as usize,
            streams: self.streams,
            random_streams: self.random,
            batch: self.batch as usize,
            pipeline: self.pipeline as usize,
            operations: self.operations,
            content_type: self.content_type.clone(),
            ..plan
        }
    }
}

impl CreateArguments {
    fn plan(&self, plan: Plan) -> Plan {
        Plan {
            workload: Workload::Create,
            connections: self.connections as usize,
            streams: self.streams,
            pipeline: self.pipeline as usize,
            content_type: self.content_type.clone(),
            ..plan
        }
    }
}

impl ReadArguments {
    fn plan(&self, plan: Plan) -> Plan {
        Plan {
            workload: Workload::Read,
            stream_bytes: self.megabytes * 1_000_000,
            connections: self.readers as usize,
            content_type: self.content_type.clone(),
            ..plan
        }
    }
}

impl LiveArguments {
    fn plan(&self, plan: Plan, workload: Workload) -> Plan {
        Plan {
            workload,
            readers: self.readers as usize,
            content_type: self.content_type.clone(),
            ..self.writers.plan(plan)
        }
    }
}

impl WriterArguments {
    pub fn plan(&self, plan: Plan) -> Plan {
        Plan {
            writers: self.writers as usize,
            appends_per_second: (!self.saturate).then_some(self.rate),
            batch: self.batch as usize,
            ..plan
        }
    }
}

impl MixedArguments {
    fn plan(&self, plan: Plan) -> Plan {
        Plan {
            workload: Workload::Mixed,
            connections: self.connections as usize,
            streams: self.streams,
            readers: self.readers as usize,
            poll_readers: self.poll_readers as usize,
            scanners: self.scanners as usize,
            scans_per_second: self.scan_rate,
            content_type: self.content_type.clone(),
            ..self.writers.plan(plan)
        }
    }
}

impl StormArguments {
    fn plan(&self, plan: Plan) -> Plan {
        Plan {
            workload: Workload::Storm,
            readers: self.clients as usize,
            missed: self.missed,
            content_type: self.content_type.clone(),
            ..plan
        }
    }
}

impl IdleArguments {
    fn plan(&self, plan: Plan) -> Plan {
        let plan = Plan {
            settle: Duration::from_secs_f64(self.settle),
            ..plan
        };
        match (self.readers, self.streams) {
            (Some(readers), _) => Plan {
                workload: Workload::IdleReaders,
                readers: readers as usize,
                ..plan
            },
            (None, streams) => Plan {
                workload: Workload::IdleStreams,
                streams: streams.unwrap_or(1),
                ..plan
            },
        }
    }
}

pub fn at_least_one() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..)
}

pub fn positive(text: &str) -> Result<f64, String> {
    not_negative(text)
        .ok()
        .filter(|value| *value > 0.0)
        .ok_or_else(|| "must be a number above zero".to_owned())
}

pub fn not_negative(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|value: &f64| value.is_finite() && *value >= 0.0)
        .ok_or_else(|| "must be a number, zero or more".to_owned())
}
