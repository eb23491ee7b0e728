//! The settings of `floe serve` as arguments and environment variables.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, Command, ValueEnum};
use floe_server::{Limits, Quotas, ReplicaSettings, Settings};

use super::cold::ColdArguments;
use super::ice::IceArguments;
use super::media::MediaArguments;
use super::tls::TlsArguments;

/// Serve streams from a folder.
///
/// SIGTERM and Ctrl-C stop it: it takes no new work, tells live readers to come back, finishes
/// what is under way and exits with 0. Every option can be given by the environment variable that
/// stands beside it, or in a file under its name with underscores; an option goes before the
/// variable, and that before the file. SIGHUP has the file read again.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// File of settings, in TOML: `streams_max = 5`.
    ///
    /// `floe config check` says whether it is as it must be.
    #[arg(long, env = "FLOE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address and port to listen on.
    ///
    /// 0.0.0.0:4437 lets other machines in: encrypted with `--tls-cert`, or put a proxy in front.
    #[arg(long, env = "FLOE_LISTEN", value_name = "ADDRESS:PORT",
          default_value_t = Settings::default().listen)]
    listen: SocketAddr,
    /// Folder of all data; made if it is not there.
    #[arg(
        long,
        env = "FLOE_DATA",
        value_name = "FOLDER",
        default_value = "./floe-data"
    )]
    data: PathBuf,
    /// Base of the addresses in webhooks and subscriptions, such as `https://floe.example.com`
    ///
    /// By default it is what the request's Host says.
    #[arg(long, env = "FLOE_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    /// API keys, each as NAMESPACE:RIGHTS:KEY, separated by spaces.
    ///
    /// Rights are read, write, admin and read-deleted, separated by commas; the namespace * is all
    /// of them. Without any key everything is open. Prefer the environment variable: other users
    /// of the machine see arguments.
    #[arg(
        long,
        env = "FLOE_API_KEYS",
        value_name = "KEYS",
        hide_env_values = true,
        default_value = "",
        hide_default_value = true
    )]
    api_keys: String,
    /// Let other machines in although everyone may do everything.
    ///
    /// Without it the server refuses to listen beyond this machine as long as there are no API keys,
    /// neither in the settings nor in its log, and nobody else is believed.
    #[arg(long, env = "FLOE_OPEN", value_parser = BoolishValueParser::new())]
    pub open: bool,
    /// Origins whose pages may open live connections, besides the server's own.
    ///
    /// Such as `https://app.example.com`, separated by commas; `*` is all. Where a namespace lists
    /// origins, pages of these may read its answers as well.
    #[arg(
        long,
        env = "FLOE_ORIGINS",
        value_name = "ORIGINS",
        value_delimiter = ','
    )]
    origins: Vec<String>,
    /// Whether WebSockets may agree on compressed messages (permessage-deflate).
    ///
    /// It saves bytes and costs CPU: a message is compressed once for all who read it.
    #[arg(long, env = "FLOE_LIVE_COMPRESSION", value_name = "BOOL", action = ArgAction::Set,
          default_value_t = Settings::default().live_compression)]
    live_compression: bool,
    /// How log lines look on stderr.
    ///
    /// Text is for people and greets them with what to try; JSON is one object a line.
    #[arg(long, env = "FLOE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// What is logged: error, warn, info, debug, trace, or a filter by module.
    #[arg(long, env = "FLOE_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,
    #[command(flatten)]
    tls: TlsArguments,
    #[command(flatten)]
    limits: LimitArguments,
    #[command(flatten)]
    view: ViewArguments,
    /// Where the rows of all rooms with tables are copied to, for questions about many of them.
    ///
    /// `embedded` is SQLite files in the data folder, made once there is a room with tables; `off` is
    /// nowhere. `postgres://USER:PASSWORD@HOST/DATABASE` is a PostgreSQL database beside those files,
    /// which gets the events of channels, too; `?sslmode=verify-full` (or `require`,
    /// which is the same) encrypts, and checks that the certificate is the host's and of an authority
    /// that the system knows, or the file `&sslrootcert=PATH` has. Prefer the environment variable or a file: other users of the machine see
    /// arguments.
    #[arg(
        long,
        env = "FLOE_REPLICA",
        value_name = "off|embedded|URL",
        hide_env_values = true,
        default_value = "embedded"
    )]
    replica: ReplicaSettings,
    #[command(flatten)]
    bounds: LogArguments,
    #[command(flatten)]
    cold: ColdArguments,
    #[command(flatten)]
    media: MediaArguments,
    #[command(flatten)]
    ice: IceArguments,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// Settings besides the limits that a running server takes over.
const RELOADED: [&str; 9] = [
    "access_webhook",
    "api_keys",
    "jwt",
    "limits",
    "log",
    "namespace",
    "open",
    "origins",
    "public_url",
];

/// Limits that hold from a start on, since threads are started by them.
const NOT_RELOADED: [&str; 1] = ["tables_readers"];

/// Returns whether a running server takes over a setting, so that it needs no restart.
pub fn is_reloaded(key: &str) -> bool {
    let limits = LimitArguments::augment_args(Command::new("limits"));
    let is_limit = || limits.get_arguments().any(|limit| limit.get_id() == key);
    !NOT_RELOADED.contains(&key) && (RELOADED.contains(&key) || is_limit())
}

impl ServeArguments {
    /// What the server is started with.
    pub fn settings(&self) -> Settings {
        Settings {
            listen: self.listen,
            data: self.data.clone(),
            public_url: self.public_url.clone(),
            api_keys: self.api_keys.clone(),
            access: floe_server::AccessSettings::default(),
            origins: self.origins.clone(),
            live_compression: self.live_compression,
            tls: self.tls.tls(),
            proxies: self.tls.proxies(),
            view: self.view.options(),
            replica: self.replica.clone(),
            ice: self.ice.settings(),
            limits: self.limits.limits(),
            // The file has tables for them.
            quotas: Quotas::default(),
            log: self.bounds.options(),
            cold: self.cold.settings(),
            media: self.media.settings(),
        }
    }
}

/// The SQL view of channels.
#[derive(Debug, Args)]
#[command(next_help_heading = "SQL view of channels")]
struct ViewArguments {
    /// Whether events can be searched for by their words.
    #[arg(long, env = "FLOE_VIEW_WORDS", value_name = "BOOL", action = ArgAction::Set,
          default_value_t = floe_views::Options::default().words)]
    view_words: bool,
    /// Whether parts of words can be searched for across channels; costs about seven times as
    /// much as words do.
    #[arg(long, env = "FLOE_VIEW_TRIGRAMS", value_name = "BOOL", action = ArgAction::Set,
          default_value_t = floe_views::Options::default().trigrams)]
    view_trigrams: bool,
    /// Memory for pages of the view's file that the projector keeps.
    #[arg(long, env = "FLOE_VIEW_CACHE_BYTES", value_name = "N",
          default_value_t = floe_views::Options::default().cache_bytes)]
    view_cache_bytes: u64,
    /// Milliseconds that a question may take. Later: 504 QUERY_TIMEOUT.
    #[arg(long, env = "FLOE_QUERY_TIMEOUT_MS", value_name = "N",
          default_value_t = floe_views::Options::default().query_timeout_ms)]
    query_timeout_ms: u64,
}

impl ViewArguments {
    fn options(&self) -> floe_views::Options {
        floe_views::Options {
            words: self.view_words,
            trigrams: self.view_trigrams,
            cache_bytes: self.view_cache_bytes,
            query_timeout_ms: self.query_timeout_ms,
            ..floe_views::Options::default()
        }
    }
}

/// Declares one argument per field of a settings struct, with its name and default.
macro_rules! arguments {
    (
        $heading:literal $name:ident -> $method:ident: $target:ty $(, keeping $kept:ident)?;
        $($(#[doc = $doc:literal])+ $field:ident: $type:ty = $env:literal;)+
    ) => {
        #[derive(Debug, Args)]
        #[command(next_help_heading = $heading)]
        struct $name {
            $(
                $(#[doc = $doc])+
                #[arg(long, env = $env, value_name = "N",
                      default_value_t = <$target>::default().$field)]
                $field: $type,
            )+
        }

        impl $name {
            fn $method(&self) -> $target {
                $(let $kept = <$target>::default().$kept;)?
                type Target = $target;
                Target { $($field: self.$field,)+ $($kept,)? }
            }
        }
    };
}

arguments! {
    "Limits" LimitArguments -> limits: Limits;

    /// Bytes of a request body. Above: 413 BODY_TOO_LARGE.
    http_body_bytes_max: usize = "FLOE_HTTP_BODY_BYTES_MAX";
    /// Bytes of a request line and header fields. Above: 431 HEAD_TOO_LARGE.
    http_head_bytes_max: usize = "FLOE_HTTP_HEAD_BYTES_MAX";
    /// Milliseconds from the first byte of a request to its last. Later: 408 REQUEST_TIMEOUT.
    http_request_timeout_ms: u64 = "FLOE_HTTP_REQUEST_TIMEOUT_MS";
    /// Milliseconds that a connection may be open without a request. Later: closed, over HTTP/2 with
    /// GOAWAY first.
    http_idle_timeout_ms: u64 = "FLOE_HTTP_IDLE_TIMEOUT_MS";
    /// Connections at once. Above: 503 OVERLOADED, and closed.
    http_connections_max: usize = "FLOE_HTTP_CONNECTIONS_MAX";
    /// Bytes of requests and frames that have begun to arrive, on all connections. Above: those that
    /// hold more than 64 KiB get 503 OVERLOADED.
    received_bytes_max: usize = "FLOE_RECEIVED_BYTES_MAX";
    /// Milliseconds in which a connection must have said its PROXY header and shaken hands for TLS.
    /// Later: closed.
    handshake_timeout_ms: u64 = "FLOE_HANDSHAKE_TIMEOUT_MS";
    /// Connections that may be doing so at once. Above: they wait for their turn, as long as the
    /// time-out, and one that has taken over a second for it makes room.
    handshakes_max: usize = "FLOE_HANDSHAKES_MAX";
    /// Bytes of a decoded stream path. Above: 414 PATH_TOO_LONG.
    stream_path_bytes_max: usize = "FLOE_STREAM_PATH_BYTES_MAX";
    /// Streams of the server. Above: creates get 429 LIMIT_REACHED.
    streams_max: usize = "FLOE_STREAMS_MAX";
    /// Producers that one stream remembers. Above: new ones get 429 LIMIT_REACHED.
    stream_producers_max: usize = "FLOE_STREAM_PRODUCERS_MAX";
    /// Bytes of one answer to a read, about. A longer read is answered in pieces.
    read_chunk_bytes_max: usize = "FLOE_READ_CHUNK_BYTES_MAX";
    /// Bytes of one server-sent data event, about. More comes as several events.
    sse_event_bytes_max: usize = "FLOE_SSE_EVENT_BYTES_MAX";
    /// Live readers of one stream. Above: 429 LIMIT_REACHED.
    stream_readers_max: usize = "FLOE_STREAM_READERS_MAX";
    /// Live readers of the server. Above: 429 LIMIT_REACHED.
    readers_max: usize = "FLOE_READERS_MAX";
    /// Threads that send to the readers of one large room, the event loop included. 0 is one for each
    /// core of a machine with four or more, and elsewhere 1: the event loop alone.
    fanout_threads: usize = "FLOE_FANOUT_THREADS";
    /// Shards that the connections of one waddle are split over by their users, at most 64. A client
    /// is told which one it is in.
    waddle_shards: usize = "FLOE_WADDLE_SHARDS";
    /// Connections of one shard of a waddle. Above: 429 LIMIT_REACHED.
    waddle_shard_connections_max: usize = "FLOE_WADDLE_SHARD_CONNECTIONS_MAX";
    /// Resident bytes of the process at which messages get 503 OVERLOADED. From nine tenths of them on
    /// new live readers do, and from nineteen twentieths on presence is told seldom and typing not at
    /// all. 0 is no bound.
    load_memory_bytes_max: u64 = "FLOE_LOAD_MEMORY_BYTES_MAX";
    /// Milliseconds that the event loop may be late, for three seconds in a row, before new live readers
    /// get 503 OVERLOADED. At twice as many presence is told seldom and typing not at all, at four times
    /// as many messages get 503. 0 is no bound.
    load_late_ms_max: u64 = "FLOE_LOAD_LATE_MS_MAX";
    /// Milliseconds that a live reader may leave its answer untaken. Later: closed; it resumes
    /// from its offset.
    reader_stall_timeout_ms: u64 = "FLOE_READER_STALL_TIMEOUT_MS";
    /// Milliseconds that a long-poll waits. Later: 204.
    long_poll_timeout_ms: u64 = "FLOE_LONG_POLL_TIMEOUT_MS";
    /// Milliseconds that one SSE answer lasts. Later: it ends, and the client comes back.
    sse_timeout_ms: u64 = "FLOE_SSE_TIMEOUT_MS";
    /// Milliseconds of silence after which an SSE answer shows that it is alive.
    sse_heartbeat_ms: u64 = "FLOE_SSE_HEARTBEAT_MS";
    /// Milliseconds after which an unused room leaves memory.
    room_idle_timeout_ms: u64 = "FLOE_ROOM_IDLE_TIMEOUT_MS";
    /// Rooms in memory from which unused ones leave at once.
    rooms_loaded_max: usize = "FLOE_ROOMS_LOADED_MAX";
    /// Milliseconds that a read waits for cold data. Later: 503 COLD_UNAVAILABLE.
    cold_read_timeout_ms: u64 = "FLOE_COLD_READ_TIMEOUT_MS";
    /// Milliseconds that a stop waits for answers under way.
    stop_timeout_ms: u64 = "FLOE_STOP_TIMEOUT_MS";
    /// Subscriptions of one namespace at once. Above: 429 LIMIT_REACHED.
    subscriptions_max: usize = "FLOE_SUBSCRIPTIONS_MAX";
    /// Subscriptions of all namespaces at once. Above: 429 LIMIT_REACHED.
    subscriptions_total_max: usize = "FLOE_SUBSCRIPTIONS_TOTAL_MAX";
    /// Streams linked to one subscription. Above: named ones get 429 LIMIT_REACHED, matched ones
    /// are not linked and counted as refused.
    subscription_links_max: usize = "FLOE_SUBSCRIPTION_LINKS_MAX";
    /// Webhook requests under way. Above: sent later.
    webhooks_in_flight_max: usize = "FLOE_WEBHOOKS_IN_FLIGHT_MAX";
    /// Milliseconds for a webhook request as a whole. Later: sent again.
    webhook_timeout_ms: u64 = "FLOE_WEBHOOK_TIMEOUT_MS";
    /// Characters of an event's content. Above: 413 EVENT_TOO_LARGE.
    channel_content_chars_max: usize = "FLOE_CHANNEL_CONTENT_CHARS_MAX";
    /// Bytes of the data that a message carries besides its text. Above: 413 EVENT_TOO_LARGE.
    channel_data_bytes_max: usize = "FLOE_CHANNEL_DATA_BYTES_MAX";
    /// Milliseconds from the deletion of a channel until its events go away for good.
    channel_purge_after_ms: u64 = "FLOE_CHANNEL_PURGE_AFTER_MS";
    /// Bytes of one message of a WebSocket. Above: closed with 1009.
    live_message_bytes_max: u32 = "FLOE_LIVE_MESSAGE_BYTES_MAX";
    /// Rooms that one WebSocket may have joined. Above: 429 LIMIT_REACHED.
    live_rooms_max: usize = "FLOE_LIVE_ROOMS_MAX";
    /// Commands of one WebSocket that wait for the disk. More wait in the socket.
    live_commands_max: usize = "FLOE_LIVE_COMMANDS_MAX";
    /// Milliseconds of silence after which a WebSocket is pinged, and closed if it stays silent
    /// as long again.
    live_ping_ms: u64 = "FLOE_LIVE_PING_MS";
    /// Members of one room. Above: 429 LIMIT_REACHED.
    presence_members_max: usize = "FLOE_PRESENCE_MEMBERS_MAX";
    /// Members up to which changes are told one by one, and in larger rooms as a count.
    presence_told_max: usize = "FLOE_PRESENCE_TOLD_MAX";
    /// Bytes of what a member says of itself. Above: 413 BODY_TOO_LARGE.
    presence_data_bytes_max: usize = "FLOE_PRESENCE_DATA_BYTES_MAX";
    /// Milliseconds that a member stays whose last connection is lost. A page that reloads within
    /// them never left.
    presence_grace_ms: u64 = "FLOE_PRESENCE_GRACE_MS";
    /// Members of one waddle. Above: 429 LIMIT_REACHED.
    waddle_members_max: usize = "FLOE_WADDLE_MEMBERS_MAX";
    /// Bans of one waddle that are not over. Above: 429 LIMIT_REACHED.
    waddle_bans_max: usize = "FLOE_WADDLE_BANS_MAX";
    /// Channels and voice rooms of one waddle. Above: 429 LIMIT_REACHED.
    waddle_rooms_max: usize = "FLOE_WADDLE_ROOMS_MAX";
    /// Waddles that one user may join. Above: 429 LIMIT_REACHED.
    waddle_joined_max: usize = "FLOE_WADDLE_JOINED_MAX";
    /// Participants of one voice room. Above: 429 LIMIT_REACHED. A waddle may allow fewer in a room of
    /// its own.
    voice_participants_max: usize = "FLOE_VOICE_PARTICIPANTS_MAX";
    /// Milliseconds that a participant of a voice room keeps the seat whose connection is lost.
    voice_grace_ms: u64 = "FLOE_VOICE_GRACE_MS";
    /// Milliseconds that a participant of a voice room speaks after saying so.
    voice_speaking_ms: u64 = "FLOE_VOICE_SPEAKING_MS";
    /// Messages that the log of a voice room keeps. Above: the oldest are dropped. 0 is no bound.
    voice_log_messages_max: u64 = "FLOE_VOICE_LOG_MESSAGES_MAX";
    /// Keys in the memory of one room. Above: those used longest ago go.
    memory_keys_max: usize = "FLOE_MEMORY_KEYS_MAX";
    /// Bytes of a value in the memory. Above: 413 BODY_TOO_LARGE.
    memory_value_bytes_max: usize = "FLOE_MEMORY_VALUE_BYTES_MAX";
    /// Bytes of keys and values in the memory of one room. Above: those used longest ago go.
    memory_bytes_max: usize = "FLOE_MEMORY_BYTES_MAX";
    /// Milliseconds that a value in the memory lives at most, and where it says nothing.
    memory_ttl_ms_max: u64 = "FLOE_MEMORY_TTL_MS_MAX";
    /// Milliseconds that a request waits until it is known who asks. Later: 503 ACCESS_UNAVAILABLE.
    access_timeout_ms: u64 = "FLOE_ACCESS_TIMEOUT_MS";
    /// Signed tokens that are remembered once checked. Above: the oldest are checked again.
    access_tokens_max: usize = "FLOE_ACCESS_TOKENS_MAX";
    /// Milliseconds that a record stays in an audit log; 0 is for ever.
    audit_age_max_ms: u64 = "FLOE_AUDIT_AGE_MAX_MS";
    /// Records of one audit log; 0 is no bound. Above: the oldest are dropped.
    audit_records_max: u64 = "FLOE_AUDIT_RECORDS_MAX";
    /// Bytes of one audit log; 0 is no bound. Above: the oldest records are dropped.
    audit_bytes_max: u64 = "FLOE_AUDIT_BYTES_MAX";
    /// Milliseconds that a user is typing after saying so.
    typing_ttl_ms: u64 = "FLOE_TYPING_TTL_MS";
    /// Keys of one room in the write buffer. Above: 503 OVERLOADED until some are written.
    buffer_keys_max: usize = "FLOE_BUFFER_KEYS_MAX";
    /// Bytes of one room in the write buffer. Above: 503 OVERLOADED until some are written.
    buffer_bytes_max: usize = "FLOE_BUFFER_BYTES_MAX";
    /// Bytes of all rooms in the write buffer. Above: 503 OVERLOADED until some are written.
    buffer_total_bytes_max: usize = "FLOE_BUFFER_TOTAL_BYTES_MAX";
    /// Questions to the SQL view under way. Above: 503 OVERLOADED.
    query_open_max: usize = "FLOE_QUERY_OPEN_MAX";
    /// Milliseconds that a question waits for the view to reach an event. Later: 503 VIEW_BEHIND.
    query_wait_ms: u64 = "FLOE_QUERY_WAIT_MS";
    /// Files of rooms with tables that are open for writing at once. Above: a room waits until
    /// another rests.
    tables_open_max: usize = "FLOE_TABLES_OPEN_MAX";
    /// Threads that answer questions to rooms with tables.
    tables_readers: usize = "FLOE_TABLES_READERS";
    /// Calls that wait in one room with tables. Above: 503 OVERLOADED.
    tables_queue_max: usize = "FLOE_TABLES_QUEUE_MAX";
    /// Bytes of calls that wait in one room with tables. Above: 503 OVERLOADED.
    tables_queue_bytes_max: usize = "FLOE_TABLES_QUEUE_BYTES_MAX";
    /// Calls of one room that become durable together. More wait for the next batch.
    tables_batch_calls_max: usize = "FLOE_TABLES_BATCH_CALLS_MAX";
    /// Changed rows after which no call is added to a batch.
    tables_batch_rows_max: usize = "FLOE_TABLES_BATCH_ROWS_MAX";
    /// Bytes of changed rows after which no call is added to a batch.
    tables_batch_bytes_max: usize = "FLOE_TABLES_BATCH_BYTES_MAX";
    /// Rows that one call may hand in, change or delete. Above: 413 BODY_TOO_LARGE.
    tables_call_rows_max: usize = "FLOE_TABLES_CALL_ROWS_MAX";
    /// Tables of one room. Above: 429 LIMIT_REACHED.
    tables_per_room_max: usize = "FLOE_TABLES_PER_ROOM_MAX";
    /// Columns of one table. Above: 400 INVALID_REQUEST.
    tables_columns_max: usize = "FLOE_TABLES_COLUMNS_MAX";
    /// Bytes of the file of one room with tables. Above: 429 LIMIT_REACHED for what adds to it.
    tables_file_bytes_max: u64 = "FLOE_TABLES_FILE_BYTES_MAX";
    /// Changed rows of a room after which a snapshot of its tables is made. 0 is never. A file that
    /// was lost is made from it, and from what the log has since.
    tables_snapshot_every: u64 = "FLOE_TABLES_SNAPSHOT_EVERY";
    /// Questions to rooms with tables under way. Above: 503 OVERLOADED.
    tables_queries_max: usize = "FLOE_TABLES_QUERIES_MAX";
    /// Tables, live queries and prefixes of keys that one connection to a room with tables follows.
    /// Above: 429 LIMIT_REACHED.
    tables_watches_max: usize = "FLOE_TABLES_WATCHES_MAX";
    /// Different live queries of one room with tables; those who ask the same share one. Above: 429
    /// LIMIT_REACHED.
    tables_live_queries_max: usize = "FLOE_TABLES_LIVE_QUERIES_MAX";
    /// Milliseconds that one query may take. Later: 504 QUERY_TIMEOUT.
    tables_query_timeout_ms: u64 = "FLOE_TABLES_QUERY_TIMEOUT_MS";
    /// Rows after which the answer to a query ends, and says so.
    tables_query_rows_max: usize = "FLOE_TABLES_QUERY_ROWS_MAX";
    /// Bytes after which the answer to a query ends, and says so.
    tables_query_bytes_max: usize = "FLOE_TABLES_QUERY_BYTES_MAX";
}

arguments! {
    "Limits of the log" LogArguments -> options: floe_log::Options, keeping hash_key;

    /// Bytes of one write-ahead segment. Larger ones are made less often and cost more at a start.
    wal_segment_bytes: u32 = "FLOE_WAL_SEGMENT_BYTES";
    /// Bytes of all write-ahead segments together. Above: 507 DISK_FULL until a flush has caught
    /// up.
    wal_bytes_max: u64 = "FLOE_WAL_BYTES_MAX";
    /// Bytes of records in memory at which they are gathered into a segment.
    flush_bytes: u64 = "FLOE_FLUSH_BYTES";
    /// Bytes of records in memory. Above: 503 OVERLOADED until a flush has caught up.
    unflushed_bytes_max: u64 = "FLOE_UNFLUSHED_BYTES_MAX";
    /// Bytes of one record with all that belongs to it. Above: 413 BODY_TOO_LARGE.
    record_bytes_max: u32 = "FLOE_RECORD_BYTES_MAX";
    /// Bytes from which a segment is no longer merged with others.
    segment_bytes_max: u64 = "FLOE_SEGMENT_BYTES_MAX";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::key_of;
    use clap::{Arg, CommandFactory, Parser};

    #[test]
    fn without_arguments_the_settings_are_the_defaults() {
        let expected = Settings {
            data: "./floe-data".into(),
            ..Settings::default()
        };
        assert_eq!(parse(&[]), expected);
    }

    #[test]
    fn an_argument_changes_its_setting_alone() {
        let mut expected = parse(&[]);
        expected.limits.streams_max = 5;
        expected.log.flush_bytes = 7;
        assert_eq!(parse(&["--streams-max", "5", "--flush-bytes=7"]), expected);
    }

    /// `UPDATE_DOCS=1 cargo test -p floe` writes the file.
    #[test]
    fn the_table_of_settings_is_the_arguments() {
        let mut table = String::from(
            "# Settings\n\n\
             Every setting of `floe serve` is a flag, an environment variable, and a key of the file \
             that `--config` names. The flag goes before the variable, and that before the file. \
             [floe.toml](floe.toml) is an example of one. `floe config check` says what is wrong with \
             settings, `floe config print` what they are and where each stands.\n\n\
             SIGHUP has a running server read its file again. Settings whose *Reload* is *yes* hold at \
             once: no connection is dropped for that, and what one was promised when it began stays \
             as it was. The others need a restart, and the log names them. Where anything in the file \
             is wrong, nothing changes.\n",
        );
        let command = Program::command();
        let mut heading = None;
        for argument in command
            .get_arguments()
            .filter(|argument| argument.get_long().is_some())
        {
            if heading != Some(argument.get_help_heading()) {
                heading = Some(argument.get_help_heading());
                let title = argument.get_help_heading().unwrap_or("Server");
                table.push_str(&format!("\n## {title}\n\n"));
                table.push_str("| Key | Flag | Environment | Default | Reload | What it does |\n");
                table.push_str("|---|---|---|---|---|---|\n");
            }
            table.push_str(&row(argument));
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/SETTINGS.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &table).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == table,
            "docs/SETTINGS.md is out of date: UPDATE_DOCS=1 cargo test -p floe"
        );
    }

    fn row(argument: &Arg) -> String {
        let long = argument.get_long().unwrap_or_default();
        let variable = argument.get_env().unwrap_or_default().to_string_lossy();
        let defaults = argument.get_default_values().iter();
        let default: Vec<_> = defaults.map(|value| value.to_string_lossy()).collect();
        let help = argument.get_long_help().or(argument.get_help());
        let help = help.map(ToString::to_string).unwrap_or_default();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        let (key, reload) = match key_of(argument) {
            Some(key) if is_reloaded(&key) => (format!("`{key}`"), "yes"),
            Some(key) => (format!("`{key}`"), "no"),
            None => (String::new(), "no"),
        };
        let default = default.join(" ");
        format!("| {key} | `--{long}` | `{variable}` | {default} | {reload} | {help} |\n")
    }

    /// What a running server takes over, and what it does not.
    fn halves(settings: Settings) -> (Settings, Settings) {
        let tables_readers = Limits::default().tables_readers;
        let taken = Settings {
            limits: Limits {
                tables_readers,
                ..settings.limits.clone()
            },
            api_keys: settings.api_keys.clone(),
            origins: settings.origins.clone(),
            public_url: settings.public_url.clone(),
            ..Settings::default()
        };
        let kept = Settings {
            limits: Limits {
                tables_readers: settings.limits.tables_readers,
                ..Limits::default()
            },
            api_keys: String::new(),
            origins: Vec::new(),
            public_url: None,
            ..settings
        };
        (taken, kept)
    }

    #[test]
    fn what_is_said_to_be_taken_over_is_what_is() {
        let before = halves(parse(&[]));
        for argument in Program::command().get_arguments() {
            let (Some(key), Some(long)) = (key_of(argument), argument.get_long()) else {
                continue;
            };
            let mut changed = [
                "7",
                "false",
                "off",
                "true",
                "10.0.0.0/8",
                "/x",
                "file:///x",
                "127.0.0.1:7",
                "turn:turn.example.com",
                "100",
            ]
            .iter()
            .filter_map(|value| try_parse(&[&format!("--{long}={value}")]).ok())
            .map(halves)
            .filter(|after| *after != before);
            match changed.next() {
                Some((taken, kept)) => {
                    let is_kept = kept != before.1;
                    assert_ne!(taken != before.0, is_kept, "{key}");
                    assert_eq!(is_reloaded(&key), !is_kept, "{key}");
                }
                // What is no part of the server's settings, or does not stand alone.
                None => {
                    let known = ["open", "log", "log_format", "tls_cert", "tls_key"];
                    assert!(known.contains(&&*key), "{key}");
                }
            }
        }
    }

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        serve: ServeArguments,
    }

    fn parse(arguments: &[&str]) -> Settings {
        try_parse(arguments).unwrap()
    }

    fn try_parse(arguments: &[&str]) -> Result<Settings, clap::Error> {
        let all = std::iter::once("floe").chain(arguments.iter().copied());
        Ok(Program::try_parse_from(all)?.serve.settings())
    }
}
