//! The stable codes of every failure, and what each means to a caller.

/// What went wrong, as one stable word.
///
/// [`Code::http_status`], [`Code::close_code`] and [`Code::retry`] are the only places where a
/// failure becomes a status, a WebSocket close code or advice. Words are never renamed or reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Code {
    /// The request cannot be understood, or a value in it is malformed.
    InvalidRequest,
    /// The body is not valid JSON, or an empty array where something must be appended.
    InvalidJson,
    /// The body is empty where something must be appended.
    EmptyBody,
    /// The body has no content type.
    ContentTypeRequired,
    /// The offset is malformed, repeated or beyond the tail.
    InvalidOffset,
    /// The fork's source, offset or sub-offset cannot be used.
    InvalidFork,
    /// A new producer epoch did not start at sequence zero.
    ProducerEpochStart,
    /// The stream is not there.
    NotFound,
    /// No route has this path.
    UnknownRoute,
    /// The path does not take this method.
    MethodNotAllowed,
    /// The stream was deleted and only kept for its forks.
    Gone,
    /// The offset lies before what the stream still keeps.
    OffsetExpired,
    /// The stream is there with another configuration.
    Exists,
    /// The content type is not the stream's.
    ContentTypeMismatch,
    /// The stream is closed.
    Closed,
    /// The `Stream-Seq` is not greater than the last one.
    SequenceRegression,
    /// The producer skipped a sequence number.
    ProducerGap,
    /// A newer epoch of the producer has taken over.
    ProducerFenced,
    /// The webhook address is not allowed.
    WebhookUrlRejected,
    /// Another worker holds the subscription.
    AlreadyClaimed,
    /// The lease, generation or wake is no longer the current one.
    Fenced,
    /// Nothing waits to be claimed.
    NoPendingWork,
    /// The bearer token is missing or wrong.
    Unauthorized,
    /// The body is larger than the server takes.
    BodyTooLarge,
    /// The request head is larger than the server takes.
    HeadTooLarge,
    /// The path is longer than the server takes.
    PathTooLong,
    /// The request did not arrive in time.
    RequestTimeout,
    /// A number of things the server bounds has reached its bound.
    LimitReached,
    /// The server takes no more work for the moment.
    Overloaded,
    /// The server is stopping.
    Stopping,
    /// The disk is full.
    DiskFull,
    /// What was stored fails its checksum.
    Corrupt,
    /// The server failed.
    Internal,
    /// The caller may not do this.
    Forbidden,
    /// A page of another origin tried to open a live connection.
    OriginRejected,
    /// The path speaks WebSocket alone.
    UpgradeRequired,
    /// A frame of the live protocol is malformed.
    InvalidFrame,
    /// The connection has not joined the room.
    NotJoined,
    /// The connection has joined the room already.
    AlreadyJoined,
    /// The content of an event is longer than the server takes.
    EventTooLarge,
    /// The reader did not take what it was sent.
    SlowConsumer,
    /// The SQL view has not reached the wanted event in time.
    ViewBehind,
    /// The SQL view cannot be read for the moment.
    ViewUnavailable,
    /// A question to the SQL view took too long.
    QueryTimeout,
    /// The object store with the older data does not answer.
    ColdUnavailable,
    /// The port speaks TLS, and the request came without it.
    TlsRequired,
    /// What knows the caller does not answer.
    AccessUnavailable,
    /// The caller goes faster than a rate limit allows.
    RateLimited,
    /// A namespace holds as much as its quota allows.
    QuotaExceeded,
    /// A value breaks a rule of its table.
    Constraint,
    /// A row has not the wanted version.
    PreconditionFailed,
    /// The SQL cannot be run here.
    SqlRejected,
    /// What a query computes is too large.
    QueryTooLarge,
    /// The action or method is none.
    UnknownAction,
    /// The replica cannot be read for the moment.
    ReplicaUnavailable,
    /// The namespace is being deleted, and takes nothing any more.
    NamespaceDeleting,
    /// The server carries no media.
    MediaUnavailable,
    /// A moderator has put the user out of the waddle.
    Kicked,
    /// A moderator keeps the user out of the waddle.
    Banned,
    /// A moderator lets the user only read for a while.
    TimedOut,
}

/// What a caller should do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same request will fail again.
    Never,
    /// The same request may succeed later.
    Later,
    /// The same request may succeed on another connection, at once.
    Reconnect,
}

impl Code {
    /// Every code, in the order of its number.
    pub const ALL: [Self; 60] = [
        Self::InvalidRequest,
        Self::InvalidJson,
        Self::EmptyBody,
        Self::ContentTypeRequired,
        Self::InvalidOffset,
        Self::InvalidFork,
        Self::ProducerEpochStart,
        Self::NotFound,
        Self::UnknownRoute,
        Self::MethodNotAllowed,
        Self::Gone,
        Self::OffsetExpired,
        Self::Exists,
        Self::ContentTypeMismatch,
        Self::Closed,
        Self::SequenceRegression,
        Self::ProducerGap,
        Self::ProducerFenced,
        Self::WebhookUrlRejected,
        Self::AlreadyClaimed,
        Self::Fenced,
        Self::NoPendingWork,
        Self::Unauthorized,
        Self::BodyTooLarge,
        Self::HeadTooLarge,
        Self::PathTooLong,
        Self::RequestTimeout,
        Self::LimitReached,
        Self::Overloaded,
        Self::Stopping,
        Self::DiskFull,
        Self::Corrupt,
        Self::Internal,
        Self::Forbidden,
        Self::OriginRejected,
        Self::UpgradeRequired,
        Self::InvalidFrame,
        Self::NotJoined,
        Self::AlreadyJoined,
        Self::EventTooLarge,
        Self::SlowConsumer,
        Self::ViewBehind,
        Self::ViewUnavailable,
        Self::QueryTimeout,
        Self::ColdUnavailable,
        Self::TlsRequired,
        Self::AccessUnavailable,
        Self::RateLimited,
        Self::QuotaExceeded,
        Self::Constraint,
        Self::PreconditionFailed,
        Self::SqlRejected,
        Self::QueryTooLarge,
        Self::UnknownAction,
        Self::ReplicaUnavailable,
        Self::NamespaceDeleting,
        Self::MediaUnavailable,
        Self::Kicked,
        Self::Banned,
        Self::TimedOut,
    ];

    /// Returns the word on the wire, its HTTP status, and what it means in one sentence.
    const fn row(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::InvalidRequest => (
                "INVALID_REQUEST",
                400,
                "A header, parameter or field is malformed; the message names it.",
            ),
            Self::InvalidJson => (
                "INVALID_JSON",
                400,
                "The body is not JSON, or an empty array where something must be appended.",
            ),
            Self::EmptyBody => (
                "EMPTY_BODY",
                400,
                "An append without a body must close the stream.",
            ),
            Self::ContentTypeRequired => (
                "CONTENT_TYPE_REQUIRED",
                400,
                "An append with a body must name its content type.",
            ),
            Self::InvalidOffset => (
                "INVALID_OFFSET",
                400,
                "The offset is malformed, empty, repeated or beyond the tail.",
            ),
            Self::InvalidFork => (
                "INVALID_FORK",
                400,
                "The fork's offset or sub-offset cannot be used.",
            ),
            Self::ProducerEpochStart => (
                "PRODUCER_EPOCH_START",
                400,
                "A new producer epoch starts at sequence zero.",
            ),
            Self::NotFound => ("NOT_FOUND", 404, "There is no such stream or subscription."),
            Self::UnknownRoute => ("UNKNOWN_ROUTE", 404, "No route has this path."),
            Self::MethodNotAllowed => (
                "METHOD_NOT_ALLOWED",
                405,
                "The path does not take this method.",
            ),
            Self::Gone => (
                "GONE",
                410,
                "The stream or channel was deleted; it is kept only for its forks, or until it is purged.",
            ),
            Self::OffsetExpired => (
                "OFFSET_EXPIRED",
                410,
                "The offset lies before what the stream still keeps.",
            ),
            Self::Exists => (
                "EXISTS",
                409,
                "The name is taken by something of another configuration.",
            ),
            Self::ContentTypeMismatch => (
                "CONTENT_TYPE_MISMATCH",
                409,
                "The content type is not the stream's.",
            ),
            Self::Closed => (
                "CLOSED",
                409,
                "The stream is closed and takes no more data.",
            ),
            Self::SequenceRegression => (
                "SEQUENCE_REGRESSION",
                409,
                "Stream-Seq must be greater than the last one.",
            ),
            Self::ProducerGap => (
                "PRODUCER_GAP",
                409,
                "A producer sequence number is missing before this one.",
            ),
            Self::ProducerFenced => (
                "PRODUCER_FENCED",
                403,
                "A newer epoch of this producer has taken over.",
            ),
            Self::WebhookUrlRejected => (
                "WEBHOOK_URL_REJECTED",
                400,
                "The webhook address is not one the server may call.",
            ),
            Self::AlreadyClaimed => (
                "ALREADY_CLAIMED",
                409,
                "Another worker holds the subscription's lease.",
            ),
            Self::Fenced => (
                "FENCED",
                409,
                "The wake, generation or lease is no longer the current one.",
            ),
            Self::NoPendingWork => ("NO_PENDING_WORK", 409, "Nothing waits to be claimed."),
            Self::Unauthorized => ("UNAUTHORIZED", 401, "The bearer token is missing or wrong."),
            Self::BodyTooLarge => (
                "BODY_TOO_LARGE",
                413,
                "The body is larger than `http.body_bytes_max`.",
            ),
            Self::HeadTooLarge => (
                "HEAD_TOO_LARGE",
                431,
                "The request head is larger than `http.head_bytes_max`.",
            ),
            Self::PathTooLong => (
                "PATH_TOO_LONG",
                414,
                "The stream path is longer than `stream.path_bytes_max`.",
            ),
            Self::RequestTimeout => (
                "REQUEST_TIMEOUT",
                408,
                "The request did not arrive within `http.request_timeout_ms`.",
            ),
            Self::LimitReached => (
                "LIMIT_REACHED",
                429,
                "Something the server bounds has reached its bound; the message names the setting.",
            ),
            Self::Overloaded => (
                "OVERLOADED",
                503,
                "The server takes no more work for the moment.",
            ),
            Self::Stopping => (
                "STOPPING",
                503,
                "The server is stopping; its successor will answer.",
            ),
            Self::DiskFull => (
                "DISK_FULL",
                507,
                "The disk is full; reads go on and appends work again when there is space.",
            ),
            Self::Corrupt => (
                "CORRUPT",
                500,
                "Stored bytes fail their checksum and are not served.",
            ),
            Self::Internal => ("INTERNAL", 500, "The server failed; its log says how."),
            Self::Forbidden => ("FORBIDDEN", 403, "The key or token does not allow this."),
            Self::OriginRejected => (
                "ORIGIN_REJECTED",
                403,
                "The page that asks is of an origin that may not open live connections.",
            ),
            Self::UpgradeRequired => (
                "UPGRADE_REQUIRED",
                426,
                "This path speaks WebSocket, version 13.",
            ),
            Self::InvalidFrame => (
                "INVALID_FRAME",
                400,
                "A frame of the live protocol is malformed; the message names the field.",
            ),
            Self::NotJoined => (
                "NOT_JOINED",
                409,
                "The connection has not joined this room.",
            ),
            Self::AlreadyJoined => (
                "ALREADY_JOINED",
                409,
                "The connection has joined this room already.",
            ),
            Self::EventTooLarge => (
                "EVENT_TOO_LARGE",
                413,
                "The content is longer than `channel.content_chars_max`, or the data of a message than `channel.data_bytes_max`.",
            ),
            Self::SlowConsumer => (
                "SLOW_CONSUMER",
                503,
                "The reader did not take what it was sent; it may come back and resume.",
            ),
            Self::ViewBehind => (
                "VIEW_BEHIND",
                503,
                "The SQL view has not reached the wanted event in time.",
            ),
            Self::ViewUnavailable => (
                "VIEW_UNAVAILABLE",
                503,
                "The SQL view cannot be read for the moment; reads by sequence number go on.",
            ),
            Self::QueryTimeout => (
                "QUERY_TIMEOUT",
                504,
                "The question took longer than `query.timeout_ms`.",
            ),
            Self::ColdUnavailable => (
                "COLD_UNAVAILABLE",
                503,
                "The object store with the older data does not answer for the moment.",
            ),
            Self::AccessUnavailable => (
                "ACCESS_UNAVAILABLE",
                503,
                "What is asked who the caller is does not answer for the moment.",
            ),
            Self::TlsRequired => (
                "TLS_REQUIRED",
                400,
                "The port speaks TLS: the address begins with `https`.",
            ),
            Self::RateLimited => (
                "RATE_LIMITED",
                429,
                "The caller goes faster than a limit allows; the message names it.",
            ),
            Self::QuotaExceeded => (
                "QUOTA_EXCEEDED",
                507,
                "The namespace holds as many rooms or bytes as it may; reads and deletes go on.",
            ),
            Self::Constraint => (
                "CONSTRAINT",
                409,
                "A value breaks a rule of its table; the error names the column.",
            ),
            Self::PreconditionFailed => (
                "PRECONDITION_FAILED",
                412,
                "A row has not the version that the call asks for.",
            ),
            Self::SqlRejected => (
                "SQL_REJECTED",
                400,
                "The SQL cannot be run: it does not parse, does more than read, or reaches what is not the room's.",
            ),
            Self::QueryTooLarge => (
                "QUERY_TOO_LARGE",
                413,
                "What the SQL computes is larger than a query may be.",
            ),
            Self::UnknownAction => (
                "UNKNOWN_ACTION",
                400,
                "The frame's action, or the method of the call, is none.",
            ),
            Self::ReplicaUnavailable => (
                "REPLICA_UNAVAILABLE",
                503,
                "The replica cannot be read for the moment.",
            ),
            Self::NamespaceDeleting => (
                "NAMESPACE_DELETING",
                410,
                "The namespace is being deleted with all that is in it; its name is free once that is done.",
            ),
            Self::MediaUnavailable => (
                "MEDIA_UNAVAILABLE",
                501,
                "The server carries no sound or picture; who takes part in a voice room is told all the same.",
            ),
            Self::Kicked => (
                "KICKED",
                403,
                "A moderator has put the user out of the waddle; the message says why, where they did.",
            ),
            Self::Banned => (
                "BANNED",
                403,
                "A moderator keeps the user out of the waddle; the message says until when, and why, where they did.",
            ),
            Self::TimedOut => (
                "TIMED_OUT",
                403,
                "A moderator lets the user only read for a while; the message says until when, and why, where they did.",
            ),
        }
    }

    /// Returns the word that stands for this code on every wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }

    /// Returns the HTTP status of an answer with this code.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        self.row().1
    }

    /// Returns what the code means, in one sentence.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        self.row().2
    }

    /// Returns the WebSocket close code: below 4500 come back, from 4500 on stop.
    #[must_use]
    pub const fn close_code(self) -> u16 {
        match self.retry() {
            Retry::Later | Retry::Reconnect => 4000 + self as u16,
            Retry::Never => 4500 + self as u16,
        }
    }

    /// Returns what the caller should do next.
    #[must_use]
    pub const fn retry(self) -> Retry {
        match self {
            Self::RequestTimeout | Self::Stopping | Self::SlowConsumer => Retry::Reconnect,
            Self::LimitReached
            | Self::Overloaded
            | Self::DiskFull
            | Self::AlreadyClaimed
            | Self::NoPendingWork
            | Self::ProducerGap
            | Self::ViewBehind
            | Self::ViewUnavailable
            | Self::QueryTimeout
            | Self::ColdUnavailable
            | Self::AccessUnavailable
            | Self::RateLimited
            | Self::QuotaExceeded
            | Self::ReplicaUnavailable
            | Self::TimedOut => Retry::Later,
            Self::InvalidRequest
            | Self::InvalidJson
            | Self::EmptyBody
            | Self::ContentTypeRequired
            | Self::InvalidOffset
            | Self::InvalidFork
            | Self::ProducerEpochStart
            | Self::NotFound
            | Self::UnknownRoute
            | Self::MethodNotAllowed
            | Self::Gone
            | Self::OffsetExpired
            | Self::Exists
            | Self::ContentTypeMismatch
            | Self::Closed
            | Self::SequenceRegression
            | Self::ProducerFenced
            | Self::WebhookUrlRejected
            | Self::Fenced
            | Self::Unauthorized
            | Self::BodyTooLarge
            | Self::HeadTooLarge
            | Self::PathTooLong
            | Self::Corrupt
            | Self::Internal
            | Self::Forbidden
            | Self::OriginRejected
            | Self::UpgradeRequired
            | Self::InvalidFrame
            | Self::NotJoined
            | Self::AlreadyJoined
            | Self::EventTooLarge
            | Self::TlsRequired
            | Self::Constraint
            | Self::PreconditionFailed
            | Self::SqlRejected
            | Self::QueryTooLarge
            | Self::UnknownAction
            | Self::NamespaceDeleting
            | Self::MediaUnavailable
            | Self::Kicked
            | Self::Banned => Retry::Never,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_listed_once_under_its_number() {
        for (at, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, at);
        }
        let mut words: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Code::ALL.len());
    }

    #[test]
    fn close_codes_say_whether_to_come_back() {
        for code in Code::ALL {
            assert_eq!(
                code.close_code() < 4500,
                code.retry() != Retry::Never,
                "{code:?}"
            );
        }
    }
}
