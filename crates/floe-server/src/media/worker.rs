//! The thread for media.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use floe_core::voice::{Features, MediaInput};
use floe_media::{Config, Datagram, Forwarder, Protocol, Transmit};
use floe_proto::RoomId;
use mio::{Events, Poll, Token, Waker};

use super::bound::Bound;
use super::link::{Link, MediaTotals};
use super::roll::Roll;
use super::streams::Streams;
use super::udp::{DATAGRAM_BYTES_MAX, Udp};
use crate::recordings::Tap;

/// A forwarder with its sockets.
#[derive(Debug)]
pub struct Worker {
    poll: Poll,
    link: Arc<Link>,
    config: Config,
    forwarder: Forwarder,
    /// What another forwarder must be told, if this one fails.
    roll: Roll,
    tap: Option<Tap>,
    /// What the recordings under way are called.
    recorded: BTreeMap<RoomId, Arc<str>>,
    sockets: Vec<Udp>,
    /// By which socket datagrams came, where there are several of a kind.
    routes: HashMap<SocketAddr, usize>,
    streams: Streams,
    received: Box<[u8; DATAGRAM_BYTES_MAX + 1]>,
    /// When connections are looked at that may be silent for too long.
    look_at: Instant,
    busy: Duration,
}

const WAKER: Token = Token(usize::MAX);
/// Events taken from the system in one turn.
const EVENTS_STEP: usize = 256;
/// Datagrams taken from one socket before what comes of them is sent.
const RECEIVE_STEP: usize = 64;
/// How often connections are looked at that may be silent for too long.
const LOOK: Duration = Duration::from_secs(1);
/// Addresses whose sockets are known; above, all are forgotten, and learned anew.
const ROUTES_MAX: usize = 65_536;

impl Worker {
    /// Makes it; [`run`](Self::run) runs it.
    ///
    /// # Errors
    /// The operating system's.
    pub fn new(bound: Bound, event_loop: &Arc<Waker>) -> io::Result<(Self, Arc<Link>, Features)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let link = Arc::new(Link::new(waker, Arc::clone(event_loop)));
        let Bound {
            sockets,
            config,
            tap,
        } = bound;
        let sockets = sockets.into_iter().enumerate();
        let sockets = sockets
            .map(|(at, socket)| Udp::new(socket, poll.registry(), Token(at)))
            .collect::<io::Result<Vec<_>>>()?;
        let forwarder = Forwarder::new(config.clone()).map_err(io::Error::other)?;
        let features = forwarder.features();
        let worker = Self {
            poll,
            link: Arc::clone(&link),
            config,
            forwarder,
            roll: Roll::default(),
            tap,
            recorded: BTreeMap::new(),
            sockets,
            routes: HashMap::new(),
            streams: Streams::new(),
            received: Box::new([0; DATAGRAM_BYTES_MAX + 1]),
            look_at: Instant::now(),
            busy: Duration::ZERO,
        };
        Ok((worker, link, features))
    }

    /// Runs until it is asked to end.
    pub fn run(mut self) {
        // Whatever ends the thread, nobody goes on asking it.
        let _ends = Ends(Arc::clone(&self.link));
        let mut events = Events::with_capacity(EVENTS_STEP);
        while !self.link.is_stopping() {
            match self.poll.poll(&mut events, self.patience()) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::error!(%error, "media are carried no more");
                    return;
                }
            }
            let woken = Instant::now();
            for event in &events {
                let (readable, writable) = (event.is_readable(), event.is_writable());
                match self.sockets.get_mut(event.token().0) {
                    Some(socket) => socket.ready(readable, writable),
                    None => self.streams.ready(event.token(), readable, writable),
                }
            }
            // What browsers send is taken apart by much code. Where some of it fails, those who talk
            // must agree anew, and nobody else is to notice.
            let done = catch_unwind(AssertUnwindSafe(|| self.turn()));
            if done.is_err()
                && let Err(error) = self.begin_anew()
            {
                tracing::error!(%error, "media are carried no more");
                return;
            }
            self.busy += woken.elapsed();
            self.link.count(self.totals());
        }
    }

    /// Does all that there is to do, a step of it where there is much.
    fn turn(&mut self) {
        for input in self.link.take_inputs() {
            let ended = self.recording_ended(&input);
            self.roll.note(&input);
            self.forwarder.handle(Instant::now(), input);
            self.send();
            if let (Some((room, recording)), Some(tap)) = (ended, &self.tap) {
                tap.end(room, recording);
            }
        }
        for at in 0..self.sockets.len() {
            self.receive(at);
            self.send();
        }
        self.receive_tcp();
        let now = Instant::now();
        if self.forwarder.poll_timeout().is_some_and(|due| due <= now) {
            self.forwarder.handle_timeout(now);
            self.send();
        }
        self.hand_over();
        let forwarder = &mut self.forwarder;
        self.link
            .say(std::iter::from_fn(|| forwarder.poll_output()));
    }

    /// Goes on with another forwarder, by which nobody is connected so far.
    fn begin_anew(&mut self) -> io::Result<()> {
        tracing::error!("the forwarder failed; browsers have to connect anew");
        self.forwarder = Forwarder::new(self.config.clone()).map_err(io::Error::other)?;
        let now = Instant::now();
        for input in self.roll.inputs() {
            self.forwarder.handle(now, input);
        }
        self.routes.clear();
        self.streams.look_at_all();
        Ok(())
    }

    /// Returns the recording that ends by an input, once all that was said in it is handed over.
    fn recording_ended(&mut self, input: &MediaInput) -> Option<(RoomId, Arc<str>)> {
        let MediaInput::Record { room, recording } = input else {
            return None;
        };
        self.hand_over();
        let before = match recording {
            Some(recording) => self.recorded.insert(*room, Arc::clone(recording)),
            None => self.recorded.remove(room),
        };
        before.map(|before| (*room, before))
    }

    /// Hands over what was said in recorded rooms. What there is no room for is counted there.
    fn hand_over(&mut self) {
        if let Some(tap) = &self.tap {
            while let Some(packet) = self.forwarder.poll_recorded() {
                tap.hear(packet);
            }
        }
    }

    /// Takes in what a socket has, a step of it.
    fn receive(&mut self, at: usize) {
        let now = Instant::now();
        let many = self.sockets.len() > 1;
        let Some(socket) = self.sockets.get_mut(at) else {
            return;
        };
        for _ in 0..RECEIVE_STEP {
            let Some((len, source)) = socket.receive(&mut self.received) else {
                return;
            };
            let datagram = Datagram {
                protocol: Protocol::Udp,
                source,
                bytes: &self.received[..len],
            };
            let is_known = self.forwarder.receive(now, datagram);
            if many && is_known {
                if self.routes.len() >= ROUTES_MAX {
                    self.routes.clear();
                }
                self.routes.insert(source, at);
            }
        }
    }

    /// Takes connections over, and takes in what they have, a step of each.
    fn receive_tcp(&mut self) {
        let now = Instant::now();
        let registry = self.poll.registry();
        for (socket, first) in self.link.take_handed() {
            if let Err(error) = self.streams.open(socket, first, registry, now) {
                tracing::debug!(%error, "a connection for media was not taken over");
            }
        }
        if now >= self.look_at {
            self.look_at = now + LOOK;
            self.streams.time_out(registry, now);
        }
        if !self.streams.is_readable() {
            return;
        }
        let forwarder = &mut self.forwarder;
        self.streams.receive(registry, now, |source, bytes| {
            let datagram = Datagram {
                protocol: Protocol::Tcp,
                source,
                bytes,
            };
            forwarder.receive(now, datagram)
        });
        self.send();
    }

    fn totals(&self) -> MediaTotals {
        MediaTotals {
            forwarded: self.forwarder.counters(),
            unsent: self.sockets.iter().map(Udp::unsent).sum(),
            unsent_tcp: self.streams.dropped(),
            tcp_connections: self.streams.count() as u64,
            busy_us: self.busy.as_micros() as u64,
        }
    }

    /// Sends what the forwarder has to send.
    fn send(&mut self) {
        while let Some(transmit) = self.forwarder.poll_transmit() {
            let Transmit {
                protocol,
                destination,
                bytes,
            } = transmit;
            match protocol {
                Protocol::Udp => {
                    let at = self.route(destination);
                    if let Some(socket) = self.sockets.get_mut(at) {
                        socket.push(destination, bytes.into());
                    }
                }
                Protocol::Tcp => self.streams.push(destination, &bytes),
                // Nothing comes by them.
                Protocol::SslTcp | Protocol::Tls => {}
            }
        }
        for socket in &mut self.sockets {
            socket.flush();
        }
        self.streams.flush(self.poll.registry());
    }

    /// Returns the socket by which something goes to an address: the one by which it came, or else the
    /// first that can.
    fn route(&self, destination: SocketAddr) -> usize {
        let known = self.routes.get(&destination).copied();
        known.unwrap_or_else(|| {
            let mut sockets = self.sockets.iter();
            let reaches = sockets.position(|socket| socket.reaches(destination));
            reaches.unwrap_or_default()
        })
    }

    /// Returns how long it may sleep, if not until something comes.
    fn patience(&self) -> Option<Duration> {
        if self.sockets.iter().any(Udp::is_readable) || self.streams.is_readable() {
            return Some(Duration::ZERO);
        }
        let due = self.forwarder.poll_timeout();
        let look_at = (self.streams.count() > 0).then_some(self.look_at);
        let next = due.into_iter().chain(look_at).min();
        next.map(|next| next.saturating_duration_since(Instant::now()))
    }
}

/// Says at its end that nothing is carried any more.
#[derive(Debug)]
struct Ends(Arc<Link>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::MediaSettings;
    use floe_core::voice::{MediaInput, MediaOutput, SeatId, Sends, Signal};
    use floe_proto::RoomId;
    use str0m::Rtc;
    use str0m::media::{Direction, MediaKind};

    fn offer(seat: SeatId) -> MediaInput {
        let mut rtc = Rtc::builder().build(Instant::now());
        let mut api = rtc.sdp_api();
        api.add_media(MediaKind::Audio, Direction::SendOnly, None, None, None);
        let (offer, _) = api.apply().unwrap();
        let sdp = offer.to_sdp_string().into();
        let sources = Box::default();
        MediaInput::Signal {
            seat,
            signal: Signal::Offer { sdp, sources },
        }
    }

    #[test]
    fn after_a_failure_those_who_are_there_connect_anew() {
        let settings = MediaSettings {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            ..MediaSettings::default()
        };
        let http = "127.0.0.1:1".parse().unwrap();
        let bound = Bound::of(&settings, http).unwrap().unwrap();
        let poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
        let (mut worker, link, _) = Worker::new(bound, &waker).unwrap();
        let [ann, bob] = [1, 2].map(|seat| SeatId {
            room: RoomId(1),
            seat,
        });
        for (seat, user) in [(ann, "ann"), (bob, "bob")] {
            let (user, sends) = (user.into(), Sends::default());
            link.tell(MediaInput::Joined { seat, user, sends }).unwrap();
        }
        link.tell(MediaInput::Left(bob)).unwrap();
        worker.turn();
        worker.begin_anew().unwrap();
        for seat in [ann, bob] {
            link.tell(offer(seat)).unwrap();
        }
        worker.turn();
        let answers: Vec<_> = link
            .hear()
            .into_iter()
            .filter_map(|output| match output {
                MediaOutput::Signal { seat, .. } => Some((seat, true)),
                MediaOutput::Refused { seat, .. } => Some((seat, false)),
                MediaOutput::Speaking { .. }
                | MediaOutput::Tracks { .. }
                | MediaOutput::Quality { .. } => None,
            })
            .collect();
        assert_eq!(answers, [(ann, true), (bob, false)]);
    }
}
