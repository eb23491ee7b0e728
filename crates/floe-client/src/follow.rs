//! Reading what is there, and then what comes.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::error::{ReadError, Unreachable};
use crate::offset::Offset;
use crate::read::{Chunk, read_error};
use crate::retry::Tries;
use crate::sse::{Event, EventParser};
use crate::stream::Stream;
use crate::transport::{Answer, Failure, header, is_true, unreachable, wait};

/// How a follower hears of new data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Follow {
    /// Server-sent events for JSON, long-poll for all else, which events would rewrite.
    #[default]
    Auto,
    /// Server-sent events: one answer for a long time. In text, every line end arrives as a line
    /// feed.
    Events,
    /// Long-poll: one request for each piece of news. Bytes arrive as they were written.
    LongPoll,
}

/// Reads a stream from an offset on, without end; drops of the connection do not show.
///
/// It resumes from the last offset that the server named, so that nothing is missed and nothing
/// comes twice. Tries are counted from the last success.
#[derive(Debug)]
pub struct Follower {
    stream: Stream,
    offset: Offset,
    how: Follow,
    phase: Phase,
    cursor: Option<String>,
    tries: Tries,
}

impl Follower {
    pub(crate) fn new(stream: Stream, offset: Offset, how: Follow) -> Self {
        Self {
            tries: stream.transport().tries(),
            stream,
            offset,
            how,
            phase: Phase::CatchUp,
            cursor: None,
        }
    }

    /// Returns the next chunk, or `None` once the stream is closed and read to its end.
    ///
    /// A chunk without data says that the tail was reached. Cancel safe: a dropped call leaves
    /// the follower where it was.
    pub async fn next(&mut self) -> Result<Option<Chunk>, ReadError> {
        loop {
            let step = match &mut self.phase {
                Phase::CatchUp => self.catch_up().await,
                Phase::Poll => self.poll().await,
                Phase::Listen => self.listen().await,
                Phase::Events(_) => self.poll_events().await,
                Phase::End => return Ok(None),
            };
            match step {
                Ok(Some(chunk)) => {
                    self.tries.reset();
                    self.offset = chunk.next_offset.clone();
                    if chunk.is_closed {
                        self.phase = Phase::End;
                    }
                    return Ok(Some(chunk));
                }
                Ok(None) => {}
                Err(failure) => wait(&mut self.tries, failure).await.map_err(read_error)?,
            }
        }
    }

    /// Returns where the next chunk begins.
    #[must_use]
    pub const fn offset(&self) -> &Offset {
        &self.offset
    }

    async fn catch_up(&mut self) -> Result<Option<Chunk>, Failure> {
        let ask = self.stream.read_ask(&self.offset, "");
        let answer = self.stream.transport().send(&ask).await?;
        let chunk = Chunk::of(&answer);
        if chunk.is_up_to_date {
            self.phase = live_phase(self.how, &answer);
        }
        Ok(Some(chunk))
    }

    async fn poll(&mut self) -> Result<Option<Chunk>, Failure> {
        let mut query = "&live=long-poll".to_owned();
        if let Some(cursor) = &self.cursor {
            query.push_str("&cursor=");
            query.push_str(cursor);
        }
        let ask = self.stream.read_ask(&self.offset, &query);
        let transport = self.stream.transport();
        let answer = transport.send_within(&ask, LIVE_TIMEOUT).await?;
        self.cursor = answer.header("stream-cursor").map(str::to_owned);
        self.tries.reset();
        let chunk = Chunk::of(&answer);
        if chunk.is_empty() && !chunk.is_closed {
            self.offset = chunk.next_offset;
            return Ok(None);
        }
        Ok(Some(chunk))
    }

    async fn listen(&mut self) -> Result<Option<Chunk>, Failure> {
        let ask = self.stream.read_ask(&self.offset, "&live=sse");
        let transport = self.stream.transport();
        let response = transport.open(&ask, LIVE_TIMEOUT).await?;
        let encoding = header(response.headers(), "stream-sse-data-encoding");
        self.phase = Phase::Events(Box::new(Events {
            is_base64: encoding.is_some_and(|value| value.eq_ignore_ascii_case("base64")),
            body: response.into_body(),
            parser: EventParser::default(),
            data: None,
            has_told: false,
        }));
        Ok(None)
    }

    async fn poll_events(&mut self) -> Result<Option<Chunk>, Failure> {
        let Phase::Events(events) = &mut self.phase else {
            return Ok(None);
        };
        match events.next().await {
            Ok(Told::Chunk(chunk)) if chunk.is_empty() && !chunk.is_closed => {
                self.tries.reset();
                self.offset = chunk.next_offset;
                Ok(None)
            }
            Ok(Told::Chunk(chunk)) => Ok(Some(chunk)),
            // A server ends its answers now and then; one that told us something ended well.
            Ok(Told::End { has_told: true }) => {
                self.phase = Phase::Listen;
                Ok(None)
            }
            Ok(Told::End { has_told: false }) => {
                self.phase = Phase::Listen;
                Err(unreachable(std::io::Error::from(
                    std::io::ErrorKind::UnexpectedEof,
                )))
            }
            Err(failure) => {
                self.phase = Phase::Listen;
                Err(failure)
            }
        }
    }
}

#[derive(Debug)]
enum Phase {
    /// Reads what is there.
    CatchUp,
    /// Asks by long-poll.
    Poll,
    /// Asks for events.
    Listen,
    /// Receives events.
    Events(Box<Events>),
    /// The stream is closed and read to its end.
    End,
}

/// An answer with events.
#[derive(Debug)]
struct Events {
    body: Incoming,
    parser: EventParser,
    is_base64: bool,
    /// Data whose control event has not arrived; it counts only then.
    data: Option<Bytes>,
    has_told: bool,
}

enum Told {
    Chunk(Chunk),
    End { has_told: bool },
}

impl Events {
    async fn next(&mut self) -> Result<Told, Failure> {
        loop {
            while let Some(event) = self.parser.poll_event() {
                if let Some(chunk) = self.take(event)? {
                    self.has_told = true;
                    return Ok(Told::Chunk(chunk));
                }
            }
            let frame = tokio::time::timeout(LIVE_TIMEOUT, self.body.frame()).await;
            match frame.map_err(unreachable)? {
                Some(frame) => {
                    if let Some(bytes) = frame.map_err(unreachable)?.data_ref() {
                        self.parser.feed(bytes).map_err(unreachable)?;
                    }
                }
                None => {
                    return Ok(Told::End {
                        has_told: self.has_told,
                    });
                }
            }
        }
    }

    fn take(&mut self, event: Event) -> Result<Option<Chunk>, Failure> {
        match event.name.as_str() {
            "data" => {
                self.data = Some(match self.is_base64 {
                    true => decode(event.data)?,
                    false => event.data.into(),
                });
                Ok(None)
            }
            "control" => {
                let control = serde_json::from_slice(&event.data).map_err(unreachable)?;
                let data = self.data.take().unwrap_or_default();
                chunk(&control, data).map(Some)
            }
            // Events that a newer server may send.
            _ => Ok(None),
        }
    }
}

/// Servers answer or end live requests about once a minute; longer silence is a dead connection.
const LIVE_TIMEOUT: Duration = Duration::from_secs(100);

fn live_phase(how: Follow, answer: &Answer) -> Phase {
    if is_true(&answer.headers, "stream-closed") {
        return Phase::End;
    }
    let is_json = answer
        .header("content-type")
        .is_some_and(|content_type| content_type.starts_with("application/json"));
    match how {
        Follow::Events => Phase::Listen,
        Follow::Auto if is_json => Phase::Listen,
        Follow::Auto | Follow::LongPoll => Phase::Poll,
    }
}

fn chunk(control: &serde_json::Value, data: Bytes) -> Result<Chunk, Failure> {
    let flag = |name: &str| control.get(name).and_then(serde_json::Value::as_bool);
    let next_offset = control
        .get("streamNextOffset")
        .and_then(serde_json::Value::as_str)
        .ok_or_else(|| malformed("a control event without an offset"))?;
    Ok(Chunk {
        data,
        next_offset: next_offset.into(),
        is_up_to_date: flag("upToDate").unwrap_or(false),
        is_closed: flag("streamClosed").unwrap_or(false),
    })
}

fn decode(mut data: Vec<u8>) -> Result<Bytes, Failure> {
    data.retain(|byte| *byte != b'\n');
    match STANDARD.decode(&data) {
        Ok(bytes) => Ok(bytes.into()),
        Err(_) => Err(malformed("a data event that is not base64")),
    }
}

fn malformed(what: &str) -> Failure {
    Failure::Unreachable(Unreachable(format!("the server sent {what}").into()))
}
