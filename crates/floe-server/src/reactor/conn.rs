//! One connection and what it is doing.

use std::net::IpAddr;
use std::sync::Arc;

use floe_surfaces::channels::{Form, Hidden};
use floe_surfaces::limits::Pace;
use floe_surfaces::streams::SseStyle;

use super::caller::Opened;
use super::community::{Sought, Told};
use super::http1::ChunkScan;
use super::limits::Account;
use super::live::{Live, PolledKind};
use super::messages::MessageExpect;
use super::output::Output;
use super::page::Page;
use super::parked::Parked;
use super::socket::Socket;
use super::tables::TableExpect;
use crate::proxy::Peer;
use crate::shard::{Failure, SlotId, Ticket};

/// One connection. While idle it owns no buffer.
#[derive(Debug)]
pub struct Conn<F> {
    pub socket: Socket,
    /// Who is at the other end.
    pub peer: Peer,
    /// Address of who sent the request: the peer's, or whom a trusted proxy names.
    pub client: IpAddr,
    /// Tells this connection from others that had its place before.
    pub generation: u32,
    pub state: State,
    /// Who asked last, for what was asked.
    pub session: Option<Arc<Opened>>,
    /// From which page the request under way comes, where not every page may read every answer.
    pub page: Option<Box<Page>>,
    /// How it stands with what it may, once that has been asked.
    pub account: Option<Box<Account>>,
    /// Bytes received and not yet understood.
    pub input: Vec<u8>,
    /// Bytes of it, and of a frame, that have been counted.
    pub held: usize,
    /// Bytes of input that must be there before another look makes sense.
    pub needed: usize,
    /// Where the scan of a chunked body stands.
    pub chunks: ChunkScan,
    pub output: Output<F>,
    /// Uptime at which something must have happened, in milliseconds.
    pub deadline_ms: u64,
    /// Whether the socket may hold more than was read.
    pub readable: bool,
    /// Whether the poll has said that the peer's end of sending is near. It says so once, perhaps
    /// together with the last bytes, so from then on everything is read up to the end.
    pub hung_up: bool,
    /// Whether the peer will send nothing more.
    pub ended: bool,
    /// Whether part of a request has arrived.
    pub started: bool,
    /// Whether this request's client was told to send its body.
    pub continued: bool,
}

/// What a connection is doing.
#[derive(Debug)]
pub enum State {
    /// Between two requests, or in the middle of receiving one.
    Receiving,
    /// A command was staged; its reply comes once it is durable.
    Waiting(Context, Option<Box<Expect>>),
    /// A request that is served again once something was fetched.
    Parked(Parked),
    /// Parked until a stream moves.
    LongPoll(LongPoll),
    /// Following a stream.
    Sse(Sse),
    /// A WebSocket.
    Live(Box<Live>),
    /// The last answer is on its way.
    Closing,
    /// Everything is sent; what still arrives is thrown away for a moment, so that the peer can
    /// read the answer before the connection resets.
    Draining,
}

/// What an answer needs to know of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Context {
    /// Whether the connection ends after the answer.
    pub close: bool,
    /// Whether the request named an origin.
    pub cors: bool,
    /// Whether the request was a HEAD.
    pub head: bool,
    /// Whether the client speaks HTTP/1.0.
    pub old: bool,
    /// How fast the caller may go on.
    pub pace: Pace,
    /// Whether the request was taken out of what its caller may, so that it is not once more.
    pub charged: bool,
    /// Whether the client came by `https`.
    pub secure: bool,
}

/// What is kept of a context while a reader is parked, of which there are many; how fast its
/// caller may go on is another matter by then.
#[derive(Debug, Clone, Copy)]
pub struct Brief {
    close: bool,
    cors: bool,
    head: bool,
    old: bool,
    secure: bool,
}

impl Brief {
    /// Returns the context that it was.
    pub const fn context(self) -> Context {
        let Self {
            close,
            cors,
            head,
            old,
            secure,
        } = self;
        Context {
            close,
            cors,
            head,
            old,
            secure,
            pace: Pace::NONE,
            charged: true,
        }
    }
}

impl Context {
    /// Returns what is kept of it while a reader is parked.
    pub const fn brief(self) -> Brief {
        Brief {
            close: self.close,
            cors: self.cors,
            head: self.head,
            old: self.old,
            secure: self.secure,
        }
    }

    /// Says when a failure may be tried again.
    pub fn after(mut self, failure: &Failure) -> Self {
        let seconds = failure.retry_after_ms.div_ceil(1_000);
        self.pace.retry_after_s = u32::try_from(seconds).unwrap_or(u32::MAX);
        self
    }
}

/// How to answer a command, where it takes more than what came of it.
#[derive(Debug)]
pub enum Expect {
    /// With an address.
    Location(Location),
    /// In the form that a channel was asked about, with this.
    Channel(Form, Shown),
    /// With the rules of the room that is called so.
    Rules(Box<str>),
    /// About messages of a channel.
    Message(MessageExpect),
    /// About a room with tables.
    Tables(TableExpect),
    /// With this, once what it tells of is durable.
    Waddle(Told),
    /// With something of a voice room's recordings.
    Recording,
    /// With messages of a waddle's channels, as far as they may be seen by then.
    Sought(Box<Sought>),
}

/// What an answer about a channel shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// A new channel and its secret.
    Created,
    /// A channel.
    Channel,
    /// A channel's new secret.
    Secret,
    /// That it was done.
    Success,
    /// One event.
    Event,
    /// A batch of events.
    Events,
    /// A page of channels.
    Listed,
    /// A page of events.
    Queried,
    /// A page of what was searched for.
    Hits,
    /// One event with its versions.
    Found,
}

/// Where a new stream is, for the `Location` of its answer; the base of all addresses, as the path,
/// for an answer about a subscription.
#[derive(Debug)]
pub struct Location {
    pub host: Option<Box<str>>,
    pub path: Box<str>,
}

/// A parked long-poll.
#[derive(Debug, Clone, Copy)]
pub struct LongPoll {
    pub context: Brief,
    pub slot: SlotId,
    pub from: u64,
    pub cursor: u64,
    pub following: Following,
}

/// How a live reader sees the room it follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Following {
    /// As a stream.
    Stream,
    /// As a channel.
    Channel {
        /// The form it was asked in.
        form: Form,
        /// How deleted events are shown.
        hidden: Hidden,
        /// Events of one answer to a long-poll.
        limit: u32,
    },
    /// As a room of a community, which is polled.
    Room {
        /// What the room is.
        kind: PolledKind,
        /// How deleted events are shown.
        hidden: Hidden,
    },
}

/// A reader of server-sent events.
#[derive(Debug, Clone, Copy)]
pub struct Sse {
    pub slot: SlotId,
    pub next: u64,
    /// Cursor that the client must get at least, because it already saw the interval's own.
    pub cursor_min: u64,
    pub style: SseStyle,
    pub following: Following,
    pub close: bool,
    /// Uptime at which the answer ends, in milliseconds.
    pub ends_ms: u64,
}

impl<F: floe_log::DiskFile> Conn<F> {
    pub fn new(socket: Socket, peer: Peer, generation: u32, deadline_ms: u64) -> Self {
        Self {
            socket,
            peer,
            client: peer.ip,
            generation,
            state: State::Receiving,
            session: None,
            page: None,
            account: None,
            input: Vec::new(),
            held: 0,
            needed: 0,
            chunks: ChunkScan::default(),
            output: Output::new(),
            deadline_ms,
            readable: false,
            hung_up: false,
            ended: false,
            started: false,
            continued: false,
        }
    }

    /// Returns whether the next request may be looked at.
    pub fn takes_requests(&self) -> bool {
        matches!(self.state, State::Receiving) && self.output.is_empty()
    }

    /// Returns the ticket of the connection's only command.
    pub fn ticket(&self, at: usize) -> Ticket {
        let place = Place {
            at,
            generation: self.generation,
            command: 0,
        };
        place.ticket()
    }

    /// Returns what the connection is as a WebSocket, if it is one.
    pub fn live(&self) -> Option<&Live> {
        if let State::Live(live) = &self.state {
            Some(live)
        } else {
            None
        }
    }

    /// Returns what the connection is as a WebSocket, to change it.
    pub fn live_mut(&mut self) -> Option<&mut Live> {
        if let State::Live(live) = &mut self.state {
            Some(live)
        } else {
            None
        }
    }

    /// Returns whether the connection is a live reader of a room.
    pub fn follows(&self, slot: SlotId) -> bool {
        match self.live() {
            Some(live) => live.follows(slot),
            None => self.reads() == Some(slot),
        }
    }

    /// Returns the one room that the connection is a live reader of.
    pub fn reads(&self) -> Option<SlotId> {
        match &self.state {
            State::LongPoll(poll) => Some(poll.slot),
            State::Sse(sse) => Some(sse.slot),
            State::Receiving
            | State::Waiting(..)
            | State::Live(_)
            | State::Parked(_)
            | State::Closing
            | State::Draining => None,
        }
    }
}

/// Where a ticket leads: a connection's place, which connection that is, and which of its commands.
///
/// A connection that asks one thing at a time has only command 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub at: usize,
    pub generation: u32,
    pub command: u16,
}

/// Bits of a ticket that name the connection's place: a million connections.
const AT_BITS: u32 = 20;
/// Bits of a ticket that name the command.
const COMMAND_BITS: u32 = 16;
/// Bits of a ticket that tell a connection from others that had its place.
const GENERATION_BITS: u32 = 64 - AT_BITS - COMMAND_BITS;

impl Place {
    /// Connections that tickets can name.
    pub const CONNECTIONS_MAX: usize = 1 << AT_BITS;
    /// Last of the generations.
    pub const GENERATION_MAX: u32 = (1 << GENERATION_BITS) - 1;

    /// Packs the place into a ticket.
    pub fn ticket(self) -> Ticket {
        let high = u64::from(self.generation) << (AT_BITS + COMMAND_BITS);
        Ticket(high | u64::from(self.command) << AT_BITS | self.at as u64)
    }

    /// Unpacks [`ticket`](Self::ticket).
    pub fn of(ticket: Ticket) -> Self {
        Self {
            at: (ticket.0 & ((1 << AT_BITS) - 1)) as usize,
            command: (ticket.0 >> AT_BITS & ((1 << COMMAND_BITS) - 1)) as u16,
            generation: (ticket.0 >> (AT_BITS + COMMAND_BITS)) as u32,
        }
    }
}

/// Returns the generation after this one; there are fewer than a `u32` holds.
pub fn next_generation(generation: u32) -> u32 {
    generation.wrapping_add(1) & ((1 << GENERATION_BITS) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_lead_back_to_where_they_came_from() {
        let last = next_generation(u32::MAX - 1);
        for at in [0, 1, Place::CONNECTIONS_MAX - 1] {
            for generation in [0, 1, last] {
                for command in [0, 1, u16::MAX] {
                    let place = Place {
                        at,
                        generation,
                        command,
                    };
                    assert_eq!(Place::of(place.ticket()), place);
                }
            }
        }
        assert_eq!(next_generation(last), 0);
    }
}
