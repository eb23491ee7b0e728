//! What keeps a connection alive: one task that owns the socket and knows what every room needs.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use floe_proto::{Code, Retry};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::LiveOptions;
use super::frames::{Ack, Envelope, News};
use super::room::Join;
use super::socket::{Heard, OpenError, Socket};
use crate::client::Address;
use crate::error::Refusal;
use crate::retry::Tries;

/// Bytes of news that wait for one room's application. More wait on the server.
pub const QUEUED_BYTES_MAX: usize = 4 << 20;

/// Why something of a live connection failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// The server refused; its advice says whether to try again. A room is over.
    #[error(transparent)]
    Refused(Refusal),
    /// The connection broke, and all tries to make another failed; or it broke before the answer
    /// to what is not safe to send twice.
    #[error("cannot reach the server")]
    Unreachable(#[source] Arc<io::Error>),
    /// The server has closed the connection for good: something is wrong on our side, or in it.
    #[error("the server closed the connection for good, with {close_code}")]
    Ended {
        /// The close code.
        close_code: u16,
    },
    /// The runtime that the connection lived on is gone.
    #[error("the connection's task is gone")]
    Gone,
}

/// What handles ask for.
#[derive(Debug)]
pub(super) enum Order {
    Join {
        join: Box<Join>,
        inbox: Inbox,
        answer: oneshot::Sender<Result<(), LiveError>>,
    },
    Request {
        frame: Value,
        answer: oneshot::Sender<Result<Ack, LiveError>>,
    },
    /// The application has taken all that waited.
    Resume { number: u64 },
    /// Nobody holds the room any more.
    Forget { number: u64 },
}

/// Where the news of one room go.
#[derive(Debug, Clone)]
pub(super) struct Inbox {
    /// Tells this room from others of its name.
    pub(super) number: u64,
    pub(super) news: mpsc::UnboundedSender<Result<Queued, LiveError>>,
    pub(super) level: Arc<Level>,
}

/// How much waits for the application.
#[derive(Debug, Default)]
pub(super) struct Level {
    bytes: AtomicUsize,
    /// Whether no more is wanted until everything is taken.
    is_full: AtomicBool,
}

/// News, and the bytes they count for.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) news: News,
    pub(super) bytes: usize,
}

impl Level {
    /// Notes that the application took something; returns whether more is wanted again.
    pub(super) fn took(&self, bytes: usize) -> bool {
        let before = self.bytes.fetch_sub(bytes, Ordering::SeqCst);
        before == bytes && self.is_full.swap(false, Ordering::SeqCst)
    }

    fn put(&self, bytes: usize) -> bool {
        self.bytes.fetch_add(bytes, Ordering::SeqCst) + bytes > QUEUED_BYTES_MAX
    }

    /// Marks that no more is wanted; returns whether that is over at once, because the application
    /// took everything meanwhile.
    fn fill(&self) -> bool {
        self.is_full.store(true, Ordering::SeqCst);
        self.bytes.load(Ordering::SeqCst) == 0 && self.is_full.swap(false, Ordering::SeqCst)
    }
}

/// Where a connection goes.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) address: Address,
    pub(super) options: LiveOptions,
}

/// The task behind a [`Live`](super::Live).
#[derive(Debug)]
pub(super) struct Session {
    settings: Settings,
    orders: mpsc::UnboundedReceiver<Order>,
    rooms: BTreeMap<u64, Followed>,
    pending: BTreeMap<u64, Pending>,
    next_id: u64,
    tries: Tries,
    /// Silence after which a connection is dead.
    silence_max: Duration,
    /// When rooms that were refused for the moment are tried again.
    rejoin_at: Option<Instant>,
}

#[derive(Debug)]
struct Followed {
    join: Join,
    inbox: Inbox,
    /// Sequence number of the last event that was handed on.
    cursor: Option<u64>,
    phase: Phase,
    /// Whether no news are wanted until the application has taken what waits.
    is_muted: bool,
    /// Who waits for the first join.
    answer: Option<oneshot::Sender<Result<(), LiveError>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// To be joined.
    Outside,
    /// The request with this `id` is under way.
    Joining(u64),
    Inside,
}

#[derive(Debug)]
struct Pending {
    frame: String,
    /// Whether it may be sent twice.
    is_repeatable: bool,
    answer: oneshot::Sender<Result<Ack, LiveError>>,
}

/// Why a connection is over.
enum End {
    /// Another one may do better.
    Again(io::Error),
    /// No other will.
    ForGood(LiveError),
    /// Nobody needs it.
    Unneeded,
}

impl Session {
    pub(super) fn new(settings: Settings, orders: mpsc::UnboundedReceiver<Order>) -> Self {
        let tries = Tries::new(settings.options.retry);
        Self {
            settings,
            orders,
            rooms: BTreeMap::new(),
            pending: BTreeMap::new(),
            next_id: 1,
            tries,
            silence_max: SILENCE_MAX,
            rejoin_at: None,
        }
    }

    /// Connects while anybody needs it, again and again.
    pub(super) async fn run(mut self) {
        loop {
            if self.rooms.is_empty() && self.pending.is_empty() {
                match self.orders.recv().await {
                    Some(order) => self.take(order, None),
                    None => return,
                }
                continue;
            }
            match self.connection().await {
                End::Unneeded => return,
                End::ForGood(error) => self.give_up(&error),
                End::Again(error) => {
                    self.lose(&error);
                    match self.tries.delay_after_failure(fastrand::f64()) {
                        Some(delay) => sleep(delay).await,
                        None => self.give_up(&LiveError::Unreachable(Arc::new(error))),
                    }
                }
            }
        }
    }

    async fn connection(&mut self) -> End {
        let Settings { address, options } = &self.settings;
        let mut socket = match Socket::open(address, options.api_key.as_deref()).await {
            Ok(socket) => socket,
            Err(OpenError::Io(error)) => return End::Again(error),
            Err(OpenError::Refused(refusal)) if refusal.retry == Retry::Never => {
                return End::ForGood(LiveError::Refused(refusal));
            }
            Err(OpenError::Refused(refusal)) => return End::Again(io::Error::other(refusal)),
        };
        self.join_outside(&mut socket);
        for pending in self.pending.values() {
            socket.send(&pending.frame);
        }
        self.serve(&mut socket).await
    }

    async fn serve(&mut self, socket: &mut Socket) -> End {
        loop {
            let rejoin_at = self.rejoin_at;
            tokio::select! {
                heard = timeout(self.silence_max, socket.next()) => match heard {
                    Ok(Ok(Heard::Frame(frame))) => self.hear(socket, &frame),
                    Ok(Ok(Heard::Closed(code))) => return end_of(code),
                    Ok(Err(error)) => return End::Again(error),
                    Err(late) => return End::Again(io::Error::new(io::ErrorKind::TimedOut, late)),
                },
                order = self.orders.recv(), if socket.takes_more() => match order {
                    Some(order) => self.take(order, Some(socket)),
                    None => return End::Unneeded,
                },
                () = sleep_until(rejoin_at.unwrap_or_else(Instant::now)), if rejoin_at.is_some() => {
                    self.rejoin_at = None;
                    self.join_outside(socket);
                }
            }
        }
    }

    fn take(&mut self, order: Order, mut socket: Option<&mut Socket>) {
        match order {
            Order::Join {
                join,
                inbox,
                answer,
            } => {
                let followed = Followed {
                    join: *join,
                    cursor: None,
                    phase: Phase::Outside,
                    is_muted: false,
                    answer: Some(answer),
                    inbox,
                };
                self.rooms.insert(followed.inbox.number, followed);
            }
            Order::Request { mut frame, answer } => {
                let id = self.new_id();
                frame["id"] = id.into();
                let pending = Pending {
                    is_repeatable: frame.get("idempotencyKey").is_some(),
                    frame: frame.to_string(),
                    answer,
                };
                if let Some(socket) = &mut socket {
                    socket.send(&pending.frame);
                }
                self.pending.insert(id, pending);
            }
            Order::Resume { number } => {
                if let Some(room) = self.rooms.get_mut(&number) {
                    room.is_muted = false;
                    if let Some(socket) = &mut socket {
                        room.step_out(socket);
                    }
                }
            }
            Order::Forget { number } => {
                if let Some(mut room) = self.rooms.remove(&number)
                    && let Some(socket) = &mut socket
                {
                    room.step_out(socket);
                }
            }
        }
        if let Some(socket) = socket {
            self.join_outside(socket);
        }
    }

    /// Asks for every room that is to be joined.
    fn join_outside(&mut self, socket: &mut Socket) {
        if self.rejoin_at.is_some() {
            return;
        }
        for room in self.rooms.values_mut() {
            if room.phase == Phase::Outside {
                let id = self.next_id;
                self.next_id += 1;
                room.phase = Phase::Joining(id);
                socket.send(&room.join_frame(id));
            }
        }
    }

    fn hear(&mut self, socket: &mut Socket, text: &str) {
        // What cannot be read is something that a newer server says.
        let Ok(envelope) = serde_json::from_str::<Envelope>(text) else {
            return;
        };
        match envelope.kind.as_str() {
            "welcome" => {
                let heartbeat_ms = envelope.heartbeat_ms.unwrap_or_default();
                let heartbeats = Duration::from_millis(heartbeat_ms.saturating_mul(3));
                self.silence_max = heartbeats.max(SILENCE_MIN);
            }
            "joined" => self.joined(&envelope),
            "ack" | "left" => self.answered(&envelope, text),
            "error" => self.refused(&envelope),
            "closed" => self.closed(socket, &envelope),
            "events" | "live" | "presence" | "memory" | "typing" => {
                self.news(socket, &envelope, text);
            }
            _ => {}
        }
    }

    fn joined(&mut self, envelope: &Envelope) {
        self.tries.reset();
        if let Some(room) = self.joining(envelope.id) {
            room.phase = Phase::Inside;
            room.cursor = room.cursor.or(envelope.seq);
            if let Some(answer) = room.answer.take() {
                let _ = answer.send(Ok(()));
            }
        }
    }

    fn answered(&mut self, envelope: &Envelope, text: &str) {
        self.tries.reset();
        let Some(pending) = envelope.id.and_then(|id| self.pending.remove(&id)) else {
            return;
        };
        let ack = serde_json::from_str(text).unwrap_or_default();
        let _ = pending.answer.send(Ok(ack));
    }

    fn refused(&mut self, envelope: &Envelope) {
        let refusal = refusal_of(envelope);
        if let Some(id) = envelope.id
            && let Some(pending) = self.pending.get(&id)
        {
            // The server ends the connection, and the next one gets the same request again.
            if pending.is_repeatable && refusal.retry == Retry::Reconnect {
                return;
            }
            if let Some(pending) = self.pending.remove(&id) {
                let _ = pending.answer.send(Err(LiveError::Refused(refusal)));
            }
            return;
        }
        let Some(room) = self.joining(envelope.id) else {
            return;
        };
        let number = room.inbox.number;
        if let Some(answer) = room.answer.take() {
            let _ = answer.send(Err(LiveError::Refused(refusal)));
            self.rooms.remove(&number);
        } else if refusal.retry == Retry::Never {
            room.end(LiveError::Refused(refusal));
            self.rooms.remove(&number);
        } else {
            room.phase = Phase::Outside;
            self.rejoin_at = Some(Instant::now() + REJOIN_DELAY);
        }
    }

    fn closed(&mut self, socket: &mut Socket, envelope: &Envelope) {
        let refusal = refusal_of(envelope);
        let Some(room) = self.inside(envelope) else {
            return;
        };
        match refusal.retry {
            Retry::Never => {
                let number = room.inbox.number;
                // Without an error, the end of a closed stream is its end.
                if refusal.code != Code::Closed.as_str() {
                    room.end(LiveError::Refused(refusal));
                }
                self.rooms.remove(&number);
            }
            Retry::Later => {
                room.phase = Phase::Outside;
                self.rejoin_at = Some(Instant::now() + REJOIN_DELAY);
            }
            Retry::Reconnect => {
                room.phase = Phase::Outside;
                self.join_outside(socket);
            }
        }
    }

    fn news(&mut self, socket: &mut Socket, envelope: &Envelope, text: &str) {
        let Some(room) = self.inside(envelope).filter(|room| !room.is_muted) else {
            return;
        };
        let Some(news) = read_news(envelope, text) else {
            return;
        };
        match &news {
            News::Events(events) => room.cursor = Some(events.next),
            News::Live { seq } => room.cursor = Some(*seq),
            News::Presence(_) | News::Memory(_) | News::Typing { .. } => {}
        }
        let bytes = text.len();
        let is_full = room.inbox.level.put(bytes);
        // Whoever has dropped the room says so in an order.
        let _ = room.inbox.news.send(Ok(Queued { news, bytes }));
        if is_full {
            room.is_muted = !room.inbox.level.fill();
            room.step_out(socket);
            self.join_outside(socket);
        }
    }

    fn joining(&mut self, id: Option<u64>) -> Option<&mut Followed> {
        let phase = Phase::Joining(id?);
        self.rooms.values_mut().find(|room| room.phase == phase)
    }

    fn inside(&mut self, envelope: &Envelope) -> Option<&mut Followed> {
        let name = envelope.room.as_deref()?;
        let mut rooms = self.rooms.values_mut();
        rooms.find(|room| room.phase == Phase::Inside && room.join.room == name)
    }

    fn new_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// Notes that the connection is lost.
    fn lose(&mut self, error: &io::Error) {
        self.rejoin_at = None;
        for room in self.rooms.values_mut() {
            room.phase = Phase::Outside;
        }
        let error = Arc::new(io::Error::new(error.kind(), error.to_string()));
        let all = std::mem::take(&mut self.pending).into_iter();
        let (kept, lost): (BTreeMap<_, _>, BTreeMap<_, _>) =
            all.partition(|(_, pending)| pending.is_repeatable && !pending.answer.is_closed());
        self.pending = kept;
        for (_, pending) in lost {
            let error = LiveError::Unreachable(Arc::clone(&error));
            let _ = pending.answer.send(Err(error));
        }
    }

    /// Ends everything that is under way; what is asked for later begins anew.
    fn give_up(&mut self, error: &LiveError) {
        self.tries.reset();
        for (_, room) in std::mem::take(&mut self.rooms) {
            room.end(error.clone());
            if let Some(answer) = room.answer {
                let _ = answer.send(Err(error.clone()));
            }
        }
        for (_, pending) in std::mem::take(&mut self.pending) {
            let _ = pending.answer.send(Err(error.clone()));
        }
    }
}

impl Followed {
    fn join_frame(&self, id: u64) -> String {
        let mut frame = self.join.fields.clone();
        let after = match self.cursor {
            // What was wanted of history has been told.
            Some(cursor) => {
                frame.remove("limit");
                cursor.into()
            }
            None => self.join.after.clone(),
        };
        frame.insert("type".into(), "join".into());
        frame.insert("id".into(), id.into());
        frame.insert("room".into(), self.join.room.as_str().into());
        frame.insert("after".into(), after);
        if self.is_muted {
            // The room is still written to, and its member still there.
            frame.insert("events".into(), false.into());
            frame.remove("memory");
        }
        Value::Object(frame).to_string()
    }

    /// Leaves the room, whose answer to a join under way is not waited for.
    fn step_out(&mut self, socket: &mut Socket) {
        if self.phase != Phase::Outside {
            let leave = json!({"type": "leave", "room": self.join.room});
            socket.send(&leave.to_string());
            self.phase = Phase::Outside;
        }
    }

    fn end(&self, error: LiveError) {
        let _ = self.inbox.news.send(Err(error));
    }
}

fn read_news(envelope: &Envelope, text: &str) -> Option<News> {
    fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
        serde_json::from_str(text).ok()
    }
    match envelope.kind.as_str() {
        "events" => read(text).map(News::Events),
        "live" => envelope.seq.map(|seq| News::Live { seq }),
        "presence" => read(text).map(News::Presence),
        "memory" => read(text).map(News::Memory),
        _ => envelope.users.clone().map(|users| News::Typing { users }),
    }
}

fn refusal_of(envelope: &Envelope) -> Refusal {
    let code = envelope.code.clone().unwrap_or_default();
    let known = Code::ALL.into_iter().find(|known| known.as_str() == code);
    // The word counts, also of a code that is newer than we are.
    let retry = match envelope.retry.as_deref() {
        Some("later") => Retry::Later,
        Some("reconnect") => Retry::Reconnect,
        Some(_) | None => Retry::Never,
    };
    Refusal {
        status: known.map_or(0, Code::http_status),
        code,
        message: envelope.message.clone().unwrap_or_default(),
        retry,
    }
}

/// What follows a close code: up to 4499 and without one come back, after that and for broken
/// rules do not.
fn end_of(code: Option<u16>) -> End {
    match code {
        Some(close_code @ (1002 | 1007 | 1009 | 4500..)) => {
            End::ForGood(LiveError::Ended { close_code })
        }
        Some(code) => End::Again(io::Error::new(
            io::ErrorKind::ConnectionReset,
            format!("the server closed the connection with {code}"),
        )),
        None => End::Again(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// How long to wait before rooms that were refused for the moment are tried again.
const REJOIN_DELAY: Duration = Duration::from_secs(1);
/// Silence that is borne before the server has said how often it is heard.
const SILENCE_MAX: Duration = Duration::from_secs(30);
const SILENCE_MIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_codes_below_4500_mean_come_back() {
        for (code, comes_back) in [
            (None, true),
            (Some(1000), true),
            (Some(4029), true),
            (Some(4499), true),
            (Some(4500), false),
            (Some(4999), false),
            (Some(1009), false),
        ] {
            let found = matches!(end_of(code), End::Again(_));
            assert_eq!(found, comes_back, "{code:?}");
        }
    }

    #[test]
    fn more_is_asked_for_once_however_the_last_take_meets_the_limit() {
        let level = Level::default();
        assert!(level.put(QUEUED_BYTES_MAX + 1));
        // Taken before the room was left, and after.
        assert!(!level.took(QUEUED_BYTES_MAX + 1));
        assert!(level.fill());
        level.put(10);
        assert!(!level.fill());
        assert!(level.took(10));
        level.put(10);
        assert!(!level.took(10));
    }

    #[test]
    fn a_room_resumes_from_its_cursor_and_without_its_limit() {
        let (news, _inbox) = mpsc::unbounded_channel();
        let mut room = Followed {
            join: Join::channel("c").limit(5).as_user("ann"),
            inbox: Inbox {
                number: 1,
                news,
                level: Arc::default(),
            },
            cursor: None,
            phase: Phase::Outside,
            is_muted: false,
            answer: None,
        };
        let frame = |room: &Followed| serde_json::from_str::<Value>(&room.join_frame(7)).unwrap();
        assert_eq!(
            frame(&room),
            json!({"type": "join", "id": 7, "room": "channel/c", "after": "start", "limit": 5, "user": "ann"})
        );
        room.cursor = Some(41);
        assert_eq!(
            frame(&room),
            json!({"type": "join", "id": 7, "room": "channel/c", "after": 41, "user": "ann"})
        );
        room.is_muted = true;
        assert_eq!(frame(&room)["events"], false);
    }
}
