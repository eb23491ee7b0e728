//! What an operator may set.

use std::net::SocketAddr;
use std::path::PathBuf;

use floe_core::buffer::BufferLimits;
use floe_core::community::CommunityLimits;
use floe_core::live::{KeyedLimits, LiveLimits, MemoryLimits, PresenceLimits};
use floe_core::voice::VoiceLimits;
use floe_proto::Retention;
use floe_surfaces::access::KeyRing;

use crate::access::AccessSettings;
use crate::cold::ColdSettings;
use crate::ice_servers::IceSettings;
use crate::media::MediaSettings;
use crate::proxy::ProxySettings;
use crate::quotas::Quotas;
use crate::replica::ReplicaSettings;
use crate::tls::{Certificates, TlsSettings};

/// Everything that a server is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Address to listen on; `127.0.0.1:4437`.
    pub listen: SocketAddr,
    /// Folder of all data, made if it is not there; `floe-data`.
    pub data: PathBuf,
    /// Base of the server's absolute addresses in webhooks and answers, such as
    /// `https://floe.example.com`; by default what the request's `Host` says.
    pub public_url: Option<String>,
    /// API keys as [`floe_surfaces::access::KeyRing::parse`] reads them; none by default, and then
    /// everything is open.
    pub api_keys: String,
    /// Whom it believes besides.
    pub access: AccessSettings,
    /// Origins whose pages may open live connections, besides the server's own; `*` is all.
    pub origins: Vec<String>,
    /// The certificate for TLS; none by default, and then the port speaks HTTP.
    pub tls: Option<TlsSettings>,
    /// Which proxies are believed.
    pub proxies: ProxySettings,
    /// Whether WebSockets may agree on compressed messages (permessage-deflate); no by default.
    pub live_compression: bool,
    /// What the SQL view of channels keeps, and its bounds.
    pub view: floe_views::Options,
    /// Where the rows of all rooms are copied to; embedded by default.
    pub replica: ReplicaSettings,
    /// Servers that help browsers find a way for media; none by default.
    pub ice: IceSettings,
    /// Bounds.
    pub limits: Limits,
    /// How much each caller may have and do.
    pub quotas: Quotas,
    /// Bounds of the log.
    pub log: floe_log::Options,
    /// Where old data moves.
    pub cold: ColdSettings,
    /// How the sound and pictures of voice rooms are carried.
    pub media: MediaSettings,
}

/// A setting that a server does not start with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {message}")]
pub struct SettingError {
    /// Name of the setting, such as `api_keys`.
    pub name: &'static str,
    /// What is wrong with it. It tells no secret.
    pub message: String,
}

impl Settings {
    /// Returns everything that is wrong with them and can be known without starting.
    #[must_use]
    pub fn problems(&self) -> Vec<SettingError> {
        let mut problems = Vec::new();
        if self.proxies.protocol && self.proxies.trusted.is_empty() {
            problems.push(SettingError {
                name: "proxy_protocol",
                message: "only trusted proxies can connect, and trusted_proxies names none".into(),
            });
        }
        if self.ice.servers.len() > IceSettings::SERVERS_MAX {
            problems.push(SettingError {
                name: "media_ice_servers",
                message: format!("there are at most {}", IceSettings::SERVERS_MAX),
            });
        }
        if let Some(Err(error)) = self.tls.as_ref().map(Certificates::open) {
            problems.push(SettingError {
                name: "tls_cert",
                message: error.to_string(),
            });
        }
        if let Err(error) = KeyRing::parse(&self.api_keys) {
            problems.push(SettingError {
                name: "api_keys",
                message: error.to_string(),
            });
        }
        if let Err(error) = self.quotas.check() {
            problems.push(SettingError {
                name: "limits",
                message: error.to_string(),
            });
        }
        if let Err(error) = self.access.issuers() {
            problems.push(SettingError {
                name: error.table(),
                message: error.to_string(),
            });
        }
        problems
    }

    /// Returns whether whoever reaches the address may do everything.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let AccessSettings { issuers, webhook } = &self.access;
        self.api_keys.trim().is_empty() && issuers.is_empty() && webhook.is_none()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4437)),
            data: PathBuf::from("floe-data"),
            public_url: None,
            api_keys: String::new(),
            access: AccessSettings::default(),
            origins: Vec::new(),
            tls: None,
            proxies: ProxySettings::default(),
            live_compression: false,
            view: floe_views::Options::default(),
            replica: ReplicaSettings::default(),
            ice: IceSettings::default(),
            limits: Limits::default(),
            quotas: Quotas::default(),
            log: floe_log::Options::default(),
            cold: ColdSettings::default(),
            media: MediaSettings::default(),
        }
    }
}

/// Every bound of the server, each with what happens at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request body; 8 MiB. Above: 413 `BODY_TOO_LARGE`.
    pub http_body_bytes_max: usize,
    /// Bytes of a request line and header fields; 16 KiB. Above: 431 `HEAD_TOO_LARGE`.
    pub http_head_bytes_max: usize,
    /// Milliseconds from the first byte of a request to its last; 30 s. Later: 408
    /// `REQUEST_TIMEOUT`.
    pub http_request_timeout_ms: u64,
    /// Milliseconds that a connection may be open without a request; 75 s. Later: closed.
    pub http_idle_timeout_ms: u64,
    /// Connections at once; 60 000. Above: 503 `OVERLOADED`, and closed.
    pub http_connections_max: usize,
    /// Milliseconds in which a connection must have said its PROXY header and shaken hands for TLS;
    /// 10 s. Later: closed.
    pub handshake_timeout_ms: u64,
    /// Connections that may be doing so at once; 1 000. Above: they wait for their turn, as long as
    /// the time-out, and one that has taken over a second for it makes room.
    pub handshakes_max: usize,
    /// Bytes of requests and frames that have begun to arrive, on all connections; 256 MiB. Above:
    /// those that hold more than 64 KiB get 503 `OVERLOADED`.
    pub received_bytes_max: usize,
    /// Bytes of a decoded stream path; 1 024. Above: 414 `PATH_TOO_LONG`.
    pub stream_path_bytes_max: usize,
    /// Streams of the server; 100 million. Above: creates get 429 `LIMIT_REACHED`.
    pub streams_max: usize,
    /// Producers that one stream remembers; 10 000. Above: new ones get 429 `LIMIT_REACHED`.
    pub stream_producers_max: usize,
    /// Bytes of one answer to a read, about; 4 MiB. A longer read is answered in pieces.
    pub read_chunk_bytes_max: usize,
    /// Bytes of one server-sent data event, about; 64 KiB. More comes as several events.
    pub sse_event_bytes_max: usize,
    /// Live readers of one stream; 50 000. Above: 429 `LIMIT_REACHED`.
    pub stream_readers_max: usize,
    /// Live readers of the server; 50 000. Above: 429 `LIMIT_REACHED`.
    pub readers_max: usize,
    /// Threads that send to the readers of one large room, the event loop included; 0 is one for each
    /// core of a machine with four or more, and 1 the event loop alone.
    pub fanout_threads: usize,
    /// Shards that the connections of one waddle are split over; 1, at most 64.
    pub waddle_shards: usize,
    /// Connections of one shard of a waddle; 50 000. Above: 429 `LIMIT_REACHED`.
    pub waddle_shard_connections_max: usize,
    /// Resident bytes of the process at which messages get 503 `OVERLOADED`, and new live readers from
    /// nine tenths of them on; 0 is no bound.
    pub load_memory_bytes_max: u64,
    /// Milliseconds that the event loop may be late before new live readers get 503 `OVERLOADED`, and
    /// messages at four times as many; 2 s. 0 is no bound.
    pub load_late_ms_max: u64,
    /// Milliseconds that a live reader may leave its answer untaken; 30 s. Later: closed; it
    /// resumes from its offset. Unsent bytes are bounded by one event or chunk.
    pub reader_stall_timeout_ms: u64,
    /// Milliseconds that a long-poll waits; 20 s. Later: 204.
    pub long_poll_timeout_ms: u64,
    /// Milliseconds that one SSE answer lasts; 60 s. Later: it ends, and the client comes back.
    pub sse_timeout_ms: u64,
    /// Milliseconds of silence after which an SSE answer shows that it is alive; 15 s.
    pub sse_heartbeat_ms: u64,
    /// Milliseconds after which an unused room leaves memory; 60 s.
    pub room_idle_timeout_ms: u64,
    /// Rooms in memory from which unused ones leave at once; 100 000.
    pub rooms_loaded_max: usize,
    /// Milliseconds that a read waits for cold data; 20 s. Later: 503 `COLD_UNAVAILABLE`.
    pub cold_read_timeout_ms: u64,
    /// Milliseconds that a stop waits for answers under way; 5 s.
    pub stop_timeout_ms: u64,
    /// Subscriptions of one namespace at once; 1 000. Above: 429 `LIMIT_REACHED`.
    pub subscriptions_max: usize,
    /// Subscriptions of all namespaces at once; 10 000. Above: 429 `LIMIT_REACHED`.
    pub subscriptions_total_max: usize,
    /// Streams linked to one subscription; 1 000. Above: named ones get 429 `LIMIT_REACHED`, matched
    /// ones are not linked and counted as refused.
    pub subscription_links_max: usize,
    /// Webhook requests under way; 1 000. Above: sent later.
    pub webhooks_in_flight_max: usize,
    /// Milliseconds for a webhook request as a whole; 30 s. Later: sent again.
    pub webhook_timeout_ms: u64,
    /// Characters of an event's content; 10 000. Above: 413 `EVENT_TOO_LARGE`.
    pub channel_content_chars_max: usize,
    /// Bytes of the data that a message carries besides its text; 4 KiB. Above: 413
    /// `EVENT_TOO_LARGE`.
    pub channel_data_bytes_max: usize,
    /// Milliseconds from the deletion of a channel until its events go away for good; 7 days.
    pub channel_purge_after_ms: u64,
    /// Bytes of one message of a WebSocket; 1 MiB. Above: closed with 1009.
    pub live_message_bytes_max: u32,
    /// Rooms that one WebSocket may have joined; 1 000. Above: 429 `LIMIT_REACHED`.
    pub live_rooms_max: usize,
    /// Commands of one WebSocket that wait for the disk; 256. More wait in the socket.
    pub live_commands_max: usize,
    /// Milliseconds of silence after which a WebSocket is pinged, and closed if it stays silent as
    /// long again; 30 s.
    pub live_ping_ms: u64,
    /// Members of one room; 100 000. Above: 429 `LIMIT_REACHED`.
    pub presence_members_max: usize,
    /// Members up to which changes are told one by one, and in larger rooms as a count; 1 000.
    pub presence_told_max: usize,
    /// Bytes of what a member says of itself; 1 KiB. Above: 413 `BODY_TOO_LARGE`.
    pub presence_data_bytes_max: usize,
    /// Milliseconds that a member stays whose last connection is lost; 5 s. A page that reloads
    /// within them never left.
    pub presence_grace_ms: u64,
    /// Members of one waddle; 100 000. Above: 429 `LIMIT_REACHED`.
    pub waddle_members_max: usize,
    /// Bans of one waddle that are not over; 10 000. Above: 429 `LIMIT_REACHED`.
    pub waddle_bans_max: usize,
    /// Channels and voice rooms of one waddle; 500. Above: 429 `LIMIT_REACHED`.
    pub waddle_rooms_max: usize,
    /// Waddles that one user may join; 200. Above: 429 `LIMIT_REACHED`.
    pub waddle_joined_max: usize,
    /// Participants of one voice room; 100. Above: 429 `LIMIT_REACHED`. A waddle may allow fewer in a
    /// room of its own.
    pub voice_participants_max: usize,
    /// Milliseconds that a participant of a voice room keeps the seat whose connection is lost; 15 s.
    pub voice_grace_ms: u64,
    /// Milliseconds that a participant of a voice room speaks after saying so; 5 s.
    pub voice_speaking_ms: u64,
    /// Messages that the log of a voice room keeps; 100 000. Above: the oldest are dropped. 0 is no
    /// bound.
    pub voice_log_messages_max: u64,
    /// Keys in the memory of one room; 1 024. Above: those used longest ago go.
    pub memory_keys_max: usize,
    /// Bytes of a value in the memory; 4 KiB. Above: 413 `BODY_TOO_LARGE`.
    pub memory_value_bytes_max: usize,
    /// Bytes of keys and values in the memory of one room; 256 KiB. Above: those used longest ago go.
    pub memory_bytes_max: usize,
    /// Milliseconds that a value in the memory lives at most, and where it says nothing; 24 h.
    pub memory_ttl_ms_max: u64,
    /// Milliseconds that a user is typing after saying so; 3 s.
    pub typing_ttl_ms: u64,
    /// Keys of one room in the write buffer; 1 024. Above: 503 `OVERLOADED` until some are written.
    pub buffer_keys_max: usize,
    /// Bytes of one room in the write buffer; 4 MiB. Above: 503 `OVERLOADED` until some are written.
    pub buffer_bytes_max: usize,
    /// Bytes of all rooms in the write buffer; 64 MiB. Above: 503 `OVERLOADED` until some are written.
    pub buffer_total_bytes_max: usize,
    /// Questions to the SQL view under way; 1 000. Above: 503 `OVERLOADED`.
    pub query_open_max: usize,
    /// Milliseconds that a question waits for the view to reach an event; 5 s. Later: 503
    /// `VIEW_BEHIND`.
    pub query_wait_ms: u64,
    /// Files of rooms with tables that are open for writing at once; 1 024. Above: a room waits until
    /// another rests.
    pub tables_open_max: usize,
    /// Threads that answer questions to rooms with tables; 2. It holds from a start on, whatever a reload says.
    pub tables_readers: usize,
    /// Calls that wait in one room with tables; 1 000. Above: 503 `OVERLOADED`.
    pub tables_queue_max: usize,
    /// Bytes of calls that wait in one room with tables; 16 MiB. Above: 503 `OVERLOADED`.
    pub tables_queue_bytes_max: usize,
    /// Calls of one room that become durable together; 500. More wait for the next batch.
    pub tables_batch_calls_max: usize,
    /// Changed rows after which no call is added to a batch; 10 000.
    pub tables_batch_rows_max: usize,
    /// Bytes of changed rows after which no call is added to a batch; 4 MiB.
    pub tables_batch_bytes_max: usize,
    /// Rows that one call may hand in, change or delete; 10 000. Above: 413 `BODY_TOO_LARGE`.
    pub tables_call_rows_max: usize,
    /// Tables of one room; 100. Above: 429 `LIMIT_REACHED`.
    pub tables_per_room_max: usize,
    /// Columns of one table; 100. Above: 400 `INVALID_REQUEST`.
    pub tables_columns_max: usize,
    /// Bytes of the file of one room with tables; 1 GiB. Above: 429 `LIMIT_REACHED` for what adds to
    /// it.
    pub tables_file_bytes_max: u64,
    /// Changed rows of a room after which a snapshot of its tables is made; 10 000. 0 is never. A file
    /// that was lost is made from it, and from what the log has since.
    pub tables_snapshot_every: u64,
    /// Questions to rooms with tables under way; 1 000. Above: 503 `OVERLOADED`.
    pub tables_queries_max: usize,
    /// Subscriptions of one connection to a room with tables.
    pub tables_watches_max: usize,
    /// Different live queries of one room.
    pub tables_live_queries_max: usize,
    /// Milliseconds that one query may take; 2 s. Later: 504 `QUERY_TIMEOUT`.
    pub tables_query_timeout_ms: u64,
    /// Rows after which the answer to a query ends, and says so; 10 000.
    pub tables_query_rows_max: usize,
    /// Bytes after which the answer to a query ends, and says so; 8 MiB.
    pub tables_query_bytes_max: usize,
    /// Milliseconds that a request waits until it is known who asks; 5 s. Later: 503
    /// `ACCESS_UNAVAILABLE`.
    pub access_timeout_ms: u64,
    /// Signed tokens that are remembered once checked; 10 000. Above: the oldest are checked again.
    pub access_tokens_max: usize,
    /// Milliseconds that a record stays in an audit log; 400 days. Later: dropped. 0 is for ever.
    pub audit_age_max_ms: u64,
    /// Records of one audit log; 1 000 000. Above: the oldest are dropped. 0 is no bound.
    pub audit_records_max: u64,
    /// Bytes of one audit log; 1 GiB. Above: the oldest records are dropped. 0 is no bound.
    pub audit_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            http_body_bytes_max: 8 << 20,
            http_head_bytes_max: 16 << 10,
            http_request_timeout_ms: 30_000,
            http_idle_timeout_ms: 75_000,
            http_connections_max: 60_000,
            received_bytes_max: 256 << 20,
            handshake_timeout_ms: 10_000,
            handshakes_max: 1_000,
            stream_path_bytes_max: 1024,
            streams_max: 100_000_000,
            stream_producers_max: 10_000,
            read_chunk_bytes_max: 4 << 20,
            sse_event_bytes_max: 64 << 10,
            stream_readers_max: 50_000,
            readers_max: 50_000,
            fanout_threads: 0,
            waddle_shards: 1,
            waddle_shard_connections_max: 50_000,
            load_memory_bytes_max: 0,
            load_late_ms_max: 2_000,
            reader_stall_timeout_ms: 30_000,
            long_poll_timeout_ms: 20_000,
            sse_timeout_ms: 60_000,
            sse_heartbeat_ms: 15_000,
            room_idle_timeout_ms: 60_000,
            rooms_loaded_max: 100_000,
            cold_read_timeout_ms: 20_000,
            stop_timeout_ms: 5_000,
            subscriptions_max: 1_000,
            subscriptions_total_max: 10_000,
            subscription_links_max: 1_000,
            webhooks_in_flight_max: 1_000,
            webhook_timeout_ms: 30_000,
            channel_content_chars_max: 10_000,
            channel_data_bytes_max: 4 << 10,
            channel_purge_after_ms: 7 * 24 * 60 * 60 * 1_000,
            live_message_bytes_max: 1 << 20,
            live_rooms_max: 1_000,
            live_commands_max: 256,
            live_ping_ms: 30_000,
            presence_members_max: 100_000,
            presence_told_max: 1_000,
            presence_data_bytes_max: 1 << 10,
            presence_grace_ms: 5_000,
            waddle_members_max: 100_000,
            waddle_bans_max: 10_000,
            waddle_rooms_max: 500,
            waddle_joined_max: 200,
            voice_participants_max: 100,
            voice_grace_ms: 15_000,
            voice_speaking_ms: 5_000,
            voice_log_messages_max: 100_000,
            memory_keys_max: 1_024,
            memory_value_bytes_max: 4 << 10,
            memory_bytes_max: 256 << 10,
            memory_ttl_ms_max: 24 * 60 * 60 * 1_000,
            typing_ttl_ms: 3_000,
            buffer_keys_max: 1_024,
            buffer_bytes_max: 4 << 20,
            buffer_total_bytes_max: 64 << 20,
            query_open_max: 1_000,
            query_wait_ms: 5_000,
            tables_open_max: 1_024,
            tables_readers: 2,
            tables_queue_max: 1_000,
            tables_queue_bytes_max: 16 << 20,
            tables_batch_calls_max: 500,
            tables_batch_rows_max: 10_000,
            tables_batch_bytes_max: 4 << 20,
            tables_call_rows_max: 10_000,
            tables_per_room_max: 100,
            tables_columns_max: 100,
            tables_file_bytes_max: 1 << 30,
            tables_snapshot_every: 10_000,
            tables_queries_max: 1_000,
            tables_watches_max: 64,
            tables_live_queries_max: 256,
            tables_query_timeout_ms: 2_000,
            tables_query_rows_max: 10_000,
            tables_query_bytes_max: 8 << 20,
            access_timeout_ms: 5_000,
            access_tokens_max: 10_000,
            audit_age_max_ms: 400 * 24 * 60 * 60 * 1_000,
            audit_records_max: 1_000_000,
            audit_bytes_max: 1 << 30,
        }
    }
}

impl Limits {
    /// Returns how much of an audit log is kept.
    #[must_use]
    pub fn audit_retention(&self) -> Retention {
        let bound = |most: u64| (most > 0).then_some(most);
        Retention {
            max_age_ms: bound(self.audit_age_max_ms),
            max_events: bound(self.audit_records_max),
            max_bytes: bound(self.audit_bytes_max),
        }
    }

    /// Returns every bound by the name of its setting.
    #[must_use]
    pub fn named(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("http.body_bytes_max", self.http_body_bytes_max as u64),
            ("http.head_bytes_max", self.http_head_bytes_max as u64),
            ("http.request_timeout_ms", self.http_request_timeout_ms),
            ("http.idle_timeout_ms", self.http_idle_timeout_ms),
            ("http.connections_max", self.http_connections_max as u64),
            ("handshake.timeout_ms", self.handshake_timeout_ms),
            ("handshakes.max", self.handshakes_max as u64),
            ("received.bytes_max", self.received_bytes_max as u64),
            ("stream.path_bytes_max", self.stream_path_bytes_max as u64),
            ("streams.max", self.streams_max as u64),
            ("stream.producers_max", self.stream_producers_max as u64),
            ("read.chunk_bytes_max", self.read_chunk_bytes_max as u64),
            ("sse.event_bytes_max", self.sse_event_bytes_max as u64),
            ("stream.readers_max", self.stream_readers_max as u64),
            ("readers.max", self.readers_max as u64),
            ("fanout.threads", self.fanout_threads as u64),
            ("waddle.shards", self.waddle_shards as u64),
            (
                "waddle.shard_connections_max",
                self.waddle_shard_connections_max as u64,
            ),
            ("load.memory_bytes_max", self.load_memory_bytes_max),
            ("load.late_ms_max", self.load_late_ms_max),
            ("reader.stall_timeout_ms", self.reader_stall_timeout_ms),
            ("long_poll.timeout_ms", self.long_poll_timeout_ms),
            ("sse.timeout_ms", self.sse_timeout_ms),
            ("sse.heartbeat_ms", self.sse_heartbeat_ms),
            ("room.idle_timeout_ms", self.room_idle_timeout_ms),
            ("rooms.loaded_max", self.rooms_loaded_max as u64),
            ("cold.read_timeout_ms", self.cold_read_timeout_ms),
            ("stop.timeout_ms", self.stop_timeout_ms),
            ("subscriptions.max", self.subscriptions_max as u64),
            (
                "subscriptions.total_max",
                self.subscriptions_total_max as u64,
            ),
            ("subscription.links_max", self.subscription_links_max as u64),
            ("webhooks.in_flight_max", self.webhooks_in_flight_max as u64),
            ("webhook.timeout_ms", self.webhook_timeout_ms),
            (
                "channel.content_chars_max",
                self.channel_content_chars_max as u64,
            ),
            ("channel.data_bytes_max", self.channel_data_bytes_max as u64),
            ("channel.purge_after_ms", self.channel_purge_after_ms),
            ("live.message_bytes_max", self.live_message_bytes_max.into()),
            ("live.rooms_max", self.live_rooms_max as u64),
            ("live.commands_max", self.live_commands_max as u64),
            ("live.ping_ms", self.live_ping_ms),
            ("presence.members_max", self.presence_members_max as u64),
            ("presence.told_max", self.presence_told_max as u64),
            (
                "presence.data_bytes_max",
                self.presence_data_bytes_max as u64,
            ),
            ("presence.grace_ms", self.presence_grace_ms),
            ("waddle.members_max", self.waddle_members_max as u64),
            ("waddle.bans_max", self.waddle_bans_max as u64),
            ("waddle.rooms_max", self.waddle_rooms_max as u64),
            ("waddle.joined_max", self.waddle_joined_max as u64),
            ("voice.participants_max", self.voice_participants_max as u64),
            ("voice.grace_ms", self.voice_grace_ms),
            ("voice.speaking_ms", self.voice_speaking_ms),
            ("voice.log_messages_max", self.voice_log_messages_max),
            ("memory.keys_max", self.memory_keys_max as u64),
            ("memory.value_bytes_max", self.memory_value_bytes_max as u64),
            ("memory.bytes_max", self.memory_bytes_max as u64),
            ("memory.ttl_ms_max", self.memory_ttl_ms_max),
            ("typing.ttl_ms", self.typing_ttl_ms),
            ("buffer.keys_max", self.buffer_keys_max as u64),
            ("buffer.bytes_max", self.buffer_bytes_max as u64),
            ("buffer.total_bytes_max", self.buffer_total_bytes_max as u64),
            ("query.open_max", self.query_open_max as u64),
            ("query.wait_ms", self.query_wait_ms),
            ("tables.open_max", self.tables_open_max as u64),
            ("tables.readers", self.tables_readers as u64),
            ("tables.queue_max", self.tables_queue_max as u64),
            ("tables.queue_bytes_max", self.tables_queue_bytes_max as u64),
            ("tables.batch_calls_max", self.tables_batch_calls_max as u64),
            ("tables.batch_rows_max", self.tables_batch_rows_max as u64),
            ("tables.batch_bytes_max", self.tables_batch_bytes_max as u64),
            ("tables.call_rows_max", self.tables_call_rows_max as u64),
            ("tables.per_room_max", self.tables_per_room_max as u64),
            ("tables.columns_max", self.tables_columns_max as u64),
            ("tables.file_bytes_max", self.tables_file_bytes_max),
            ("tables.snapshot_every", self.tables_snapshot_every),
            ("tables.queries_max", self.tables_queries_max as u64),
            ("tables.watches_max", self.tables_watches_max as u64),
            (
                "tables.live_queries_max",
                self.tables_live_queries_max as u64,
            ),
            ("tables.query_timeout_ms", self.tables_query_timeout_ms),
            ("tables.query_rows_max", self.tables_query_rows_max as u64),
            ("tables.query_bytes_max", self.tables_query_bytes_max as u64),
            ("access.timeout_ms", self.access_timeout_ms),
            ("access.tokens_max", self.access_tokens_max as u64),
            ("audit.age_max_ms", self.audit_age_max_ms),
            ("audit.records_max", self.audit_records_max),
            ("audit.bytes_max", self.audit_bytes_max),
        ]
    }

    /// Returns the bounds of the write buffer.
    #[must_use]
    pub fn buffer(&self) -> BufferLimits {
        BufferLimits {
            keys_max: self.buffer_keys_max,
            key_bytes_max: floe_surfaces::tables::KEY_BYTES_MAX,
            value_bytes_max: floe_surfaces::tables::BUFFERED_BYTES_MAX,
            bytes_max: self.buffer_bytes_max,
            total_bytes_max: self.buffer_total_bytes_max,
            interval_ms: floe_surfaces::tables::INTERVAL_MS_DEFAULT,
            interval_ms_min: *floe_surfaces::tables::INTERVAL_MS.start(),
            interval_ms_max: *floe_surfaces::tables::INTERVAL_MS.end(),
            ..BufferLimits::default()
        }
    }

    /// Returns the bounds of one waddle.
    #[must_use]
    pub const fn community(&self) -> CommunityLimits {
        CommunityLimits {
            members_max: self.waddle_members_max,
            bans_max: self.waddle_bans_max,
            rooms_max: self.waddle_rooms_max,
        }
    }

    /// Returns the bounds of presence and memory in one room.
    #[must_use]
    pub fn live(&self) -> LiveLimits {
        let LiveLimits {
            presence,
            memory,
            voice,
        } = LiveLimits::default();
        LiveLimits {
            presence: PresenceLimits {
                keyed: KeyedLimits {
                    keys_max: self.presence_members_max,
                    value_bytes_max: self.presence_data_bytes_max,
                    ..presence.keyed
                },
                told_max: self.presence_told_max,
                grace_ms: self.presence_grace_ms,
                ..presence
            },
            memory: MemoryLimits {
                keyed: KeyedLimits {
                    keys_max: self.memory_keys_max,
                    value_bytes_max: self.memory_value_bytes_max,
                    bytes_max: self.memory_bytes_max,
                    ..memory.keyed
                },
                ttl_ms_max: self.memory_ttl_ms_max,
                typing_ttl_ms: self.typing_ttl_ms,
                ..memory
            },
            voice: VoiceLimits {
                participants_max: self.voice_participants_max,
                grace_ms: self.voice_grace_ms,
                speaking_ms: self.voice_speaking_ms,
                ..voice
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bound_is_told_by_its_name() {
        let limits = Limits::default();
        let debug = format!("{limits:#?}");
        let fields: Vec<_> = debug
            .lines()
            .filter_map(|line| line.split_once(": "))
            .collect();
        let named = limits.named();
        assert_eq!(named.len(), fields.len());
        for ((field, value), (name, bound)) in fields.into_iter().zip(named) {
            assert_eq!(field.trim(), name.replace('.', "_"));
            assert_eq!(value.trim_end_matches(','), bound.to_string());
        }
    }
}
