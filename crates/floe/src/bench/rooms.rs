//! The arguments of the workloads over channels.

use std::time::Duration;

use clap::{Args, ValueEnum};
use floe_client::load::{Form, Plan, Transport, Workload};

use super::arguments::{CommonArguments, WriterArguments, at_least_one, not_negative, positive};

#[derive(Debug, Args)]
pub struct FanOutArguments {
    #[command(flatten)]
    pub common: CommonArguments,
    /// Live readers of the channel.
    #[arg(long, short, default_value_t = 1000, value_parser = at_least_one())]
    readers: u64,
    /// How they follow it; writers always write over the WebSocket.
    #[arg(long, value_enum, default_value_t = TransportArgument::Websocket)]
    transport: TransportArgument,
    #[command(flatten)]
    writers: WriterArguments,
    /// Appends that a writer sends before it waits for the first answer.
    #[arg(long, default_value_t = 1, value_parser = at_least_one())]
    pipeline: u64,
}

#[derive(Debug, Args)]
pub struct RoomsArguments {
    #[command(flatten)]
    pub common: CommonArguments,
    /// Channels, each with one reader and one writer.
    #[arg(long, default_value_t = 10_000, value_parser = at_least_one())]
    rooms: u64,
    /// WebSockets that the writers share.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    writers: u64,
    /// Appends per second over all channels.
    #[arg(long, default_value_t = 2000.0, conflicts_with = "saturate", value_parser = positive)]
    rate: f64,
    /// Append as fast as the server answers.
    #[arg(long)]
    saturate: bool,
}

#[derive(Debug, Args)]
pub struct SocketsArguments {
    #[command(flatten)]
    pub common: CommonArguments,
    /// Idle WebSockets.
    #[arg(long, default_value_t = 10_000, value_parser = at_least_one())]
    readers: u64,
    /// Channels that they have joined, in turn.
    #[arg(long, default_value_t = 1, value_parser = at_least_one())]
    rooms: u64,
    /// Seconds before memory is read.
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS", value_parser = not_negative)]
    settle: f64,
}

#[derive(Debug, Args)]
pub struct ReturnArguments {
    #[command(flatten)]
    pub common: CommonArguments,
    /// Clients that come back.
    #[arg(long, default_value_t = 5000, value_parser = at_least_one())]
    clients: u64,
    /// Events that each has missed.
    #[arg(long, default_value_t = 100, value_parser = at_least_one())]
    missed: u64,
}

#[derive(Debug, Args)]
pub struct ChurnArguments {
    #[command(flatten)]
    pub common: CommonArguments,
    /// Clients that come and go.
    #[arg(long, default_value_t = 1000, value_parser = at_least_one())]
    clients: u64,
    /// Seconds that one stays, on average.
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS", value_parser = positive)]
    stay: f64,
    /// Come over `/ws/channel/<id>`, and not by the live protocol.
    #[arg(long)]
    channel: bool,
    /// Appends per second.
    #[arg(long, default_value_t = 10.0, value_parser = positive)]
    rate: f64,
    /// Resident bytes that the server may gain meanwhile; it is an error if it gains more.
    #[arg(long, default_value_t = Plan::default().growth_bytes_max, value_name = "BYTES")]
    growth_max: u64,
}

#[derive(Debug, Args)]
pub struct ChannelAppendArguments {
    #[command(flatten)]
    pub common: CommonArguments,
    /// Connections that append at the same time.
    #[arg(long, short, default_value_t = 64, value_parser = at_least_one())]
    connections: u64,
    /// Channels that they append to, in turn.
    #[arg(long, default_value_t = 1, value_parser = at_least_one())]
    rooms: u64,
    /// Events in one append; the kept form has one.
    #[arg(long, default_value_t = 1, value_parser = at_least_one())]
    batch: u64,
    /// Appends that a connection sends before it waits for the first answer.
    #[arg(long, default_value_t = 1, value_parser = at_least_one())]
    pipeline: u64,
    /// The form of the requests.
    #[arg(long, value_enum, default_value_t = FormArgument::V1)]
    form: FormArgument,
}

#[derive(Debug, Args)]
pub struct ViewArguments {
    #[command(flatten)]
    pub common: CommonArguments,
    /// Connections that ask at the same time.
    #[arg(long, short, default_value_t = 4, value_parser = at_least_one())]
    connections: u64,
    /// Events that the view is filled with first.
    #[arg(long, default_value_t = 100_000, value_parser = at_least_one())]
    events: u64,
    /// Channels that they are in.
    #[arg(long, default_value_t = 10, value_parser = at_least_one())]
    rooms: u64,
    /// Ask this query string instead of the usual mix; several are asked in turn. `NAMESPACE` in it
    /// is the namespace of the run (which then is asked as a whole), `SEQ` some sequence number and
    /// `WORD` a word that is there.
    #[arg(long = "question", value_name = "QUERY")]
    questions: Vec<String>,
}

/// How a channel is followed.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum TransportArgument {
    /// The live protocol.
    Websocket,
    /// A WebSocket that is for the channel alone, `/ws/channel/<id>`.
    Channel,
    /// Server-sent events of the channel.
    Sse,
    /// Server-sent events of the channel as a Durable Stream.
    Stream,
}

/// How a channel is appended to by HTTP.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormArgument {
    /// `POST /v1/channels/{id}/events`.
    V1,
    /// `POST /channel/append`.
    Kept,
}

impl FanOutArguments {
    pub fn plan(&self, plan: Plan) -> Plan {
        Plan {
            workload: Workload::Live,
            readers: self.readers as usize,
            transport: match self.transport {
                TransportArgument::Websocket => Transport::WebSocket,
                TransportArgument::Channel => Transport::Channel,
                TransportArgument::Sse => Transport::Sse,
                TransportArgument::Stream => Transport::Stream,
            },
            pipeline: self.pipeline as usize,
            ..self.writers.plan(plan)
        }
    }
}

impl RoomsArguments {
    pub fn plan(&self, plan: Plan) -> Plan {
        Plan {
            workload: Workload::LiveRooms,
            rooms: self.rooms,
            writers: self.writers as usize,
            appends_per_second: (!self.saturate).then_some(self.rate),
            ..plan
        }
    }
}

impl SocketsArguments {
    pub fn plan(&self, plan: Plan) -> Plan {
        Plan {
            workload: Workload::LiveIdle,
            readers: self.readers as usize,
            rooms: self.rooms,
            settle: Duration::from_secs_f64(self.settle),
            ..plan
        }
    }
}

impl ReturnArguments {
    pub fn plan(&self, plan: Plan) -> Plan {
        Plan {
            workload: Workload::LiveStorm,
            readers: self.clients as usize,
            missed: self.missed,
            ..plan
        }
    }
}

impl ChurnArguments {
    pub fn plan(&self, plan: Plan) -> Plan {
        Plan {
            workload: Workload::LiveChurn,
            transport: match self.channel {
                true => Transport::Channel,
                false => Transport::WebSocket,
            },
            readers: self.clients as usize,
            stay: Duration::from_secs_f64(self.stay),
            appends_per_second: Some(self.rate),
            growth_bytes_max: self.growth_max,
            ..plan
        }
    }
}

impl ChannelAppendArguments {
    pub fn plan(&self, plan: Plan) -> Plan {
        Plan {
            workload: Workload::ChannelAppend,
            connections: self.connections as usize,
            rooms: self.rooms,
            batch: self.batch as usize,
            pipeline: self.pipeline as usize,
            form: match self.form {
                FormArgument::V1 => Form::V1,
                FormArgument::Kept => Form::Kept,
            },
            ..plan
        }
    }
}

impl ViewArguments {
    pub fn plan(&self, plan: Plan, workload: Workload) -> Plan {
        Plan {
            workload,
            connections: self.connections as usize,
            events: self.events,
            rooms: self.rooms,
            questions: self.questions.clone(),
            ..plan
        }
    }
}
