//! What a run does, as plain data.

use std::time::Duration;

use serde::Serialize;

/// What a run does; the fields that a workload has no use for are left alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// What the clients do.
    pub workload: Workload,
    /// Content type of the streams.
    pub content_type: String,
    /// Bytes of one message.
    pub message_bytes: usize,
    /// Messages in one append.
    pub batch: usize,
    /// Requests that a connection may have without an answer.
    pub pipeline: usize,
    /// Connections that append, create or read.
    pub connections: usize,
    /// Streams that are appended to or created.
    pub streams: u64,
    /// Whether appends pick their stream at random instead of in turn.
    pub random_streams: bool,
    /// Live readers, or clients of a storm.
    pub readers: usize,
    /// Long-poll readers of a mixed run.
    pub poll_readers: usize,
    /// Catch-up readers of a mixed run.
    pub scanners: usize,
    /// Passes per second of all catch-up readers of a mixed run.
    pub scans_per_second: f64,
    /// Connections that append what live readers receive.
    pub writers: usize,
    /// Appends per second of all writers together; `None` is as many as the server takes.
    pub appends_per_second: Option<f64>,
    /// Bytes of a stream that is read from its start.
    pub stream_bytes: u64,
    /// Messages that each client of a storm has missed.
    pub missed: u64,
    /// Channels that are written to, followed or asked about.
    pub rooms: u64,
    /// Participants of each voice room.
    pub participants: usize,
    /// Of them, how many speak.
    pub speakers: usize,
    /// Per cent of the participants that decrypt what they hear.
    pub checked_percent: f64,
    /// How a channel is followed.
    pub transport: Transport,
    /// How a channel is appended to by HTTP.
    pub form: Form,
    /// Events that the SQL view, or rows that a table holds when it is asked.
    pub events: u64,
    /// What is done with the tables of rooms.
    pub tables: TableWork,
    /// Time after which a buffered value is written.
    #[serde(serialize_with = "seconds")]
    pub interval: Duration,
    /// Whether the write buffer is updated over HTTP instead of WebSockets.
    pub over_http: bool,
    /// Questions to the SQL view: the query strings that are asked in turn.
    pub questions: Vec<String>,
    /// Time before anything is counted.
    #[serde(serialize_with = "seconds")]
    pub warm_up: Duration,
    /// Time that is counted.
    #[serde(serialize_with = "seconds")]
    pub duration: Duration,
    /// Operations after which the run ends early.
    pub operations: Option<u64>,
    /// Time that memory gets to come to rest before it is read.
    #[serde(serialize_with = "seconds")]
    pub settle: Duration,
    /// Time that readers get to receive what is still missing when the load has ended.
    #[serde(serialize_with = "seconds")]
    pub catch_up_limit: Duration,
    /// Time that a client of churn stays, on average.
    #[serde(serialize_with = "seconds")]
    pub stay: Duration,
    /// Resident bytes that the server may gain while clients come and go.
    pub growth_bytes_max: u64,
    /// Whether the streams stay on the server after the run.
    pub keep_streams: bool,
}

/// What the clients of a run do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// Append to some streams.
    Append,
    /// Create streams.
    Create,
    /// Read one stream from its start, again and again.
    Read,
    /// Follow one stream over SSE while it is appended to.
    Sse,
    /// Follow one stream over long-poll while it is appended to.
    LongPoll,
    /// Append, follow, poll and read at the same time.
    Mixed,
    /// Come back all at once and catch up.
    Storm,
    /// Hold live readers of a quiet stream.
    IdleReaders,
    /// Hold streams that nobody touches.
    IdleStreams,
    /// Follow one channel while it is written to.
    Live,
    /// Write to many channels, each of which has one reader.
    LiveRooms,
    /// Hold WebSockets of quiet channels.
    LiveIdle,
    /// Come back to a channel all at once and catch up.
    LiveStorm,
    /// Come to a channel, go, and come back, while it is written to.
    LiveChurn,
    /// Append to channels by HTTP.
    ChannelAppend,
    /// Ask the SQL view for events.
    Query,
    /// Search the SQL view.
    Search,
    /// Use the tables of rooms.
    Tables,
    /// Speak and hear in voice rooms.
    Voice,
}

/// What is done with the tables of rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TableWork {
    /// Insert rows.
    Mutate,
    /// Ask in SQL.
    Sql,
    /// Follow a query over WebSockets while its row is updated.
    Live,
    /// Update one value of the write buffer.
    Buffer,
    /// Insert rows while the replica is asked, and while it is not, in turn.
    Replica,
    /// Insert rows, and look how long some of them take to the replica.
    ReplicaLag,
}

/// How a channel is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// The live protocol.
    WebSocket,
    /// A WebSocket that is for the channel alone.
    Channel,
    /// Server-sent events of the channel.
    Sse,
    /// Server-sent events of the channel as a Durable Stream.
    Stream,
}

/// How a channel is appended to by HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// `POST /v1/channels/{id}/events`.
    V1,
    /// `POST /channel/append`, the form kept for existing clients.
    Kept,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            workload: Workload::Append,
            content_type: "application/octet-stream".to_owned(),
            message_bytes: 100,
            batch: 1,
            pipeline: 1,
            connections: 64,
            streams: 1,
            random_streams: false,
            readers: 1000,
            poll_readers: 0,
            scanners: 0,
            scans_per_second: 100.0,
            writers: 1,
            appends_per_second: None,
            stream_bytes: 100_000_000,
            missed: 100,
            rooms: 1,
            participants: 10,
            speakers: 1,
            checked_percent: 100.0,
            transport: Transport::WebSocket,
            form: Form::V1,
            events: 100_000,
            tables: TableWork::Mutate,
            interval: Duration::from_secs(1),
            over_http: false,
            questions: Vec::new(),
            warm_up: Duration::from_secs(1),
            duration: Duration::from_secs(5),
            operations: None,
            settle: Duration::from_secs(2),
            catch_up_limit: Duration::from_secs(60),
            stay: Duration::from_secs(2),
            growth_bytes_max: 16 << 20,
            keep_streams: false,
        }
    }
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}
