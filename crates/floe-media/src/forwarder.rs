//! The forwarding unit: what comes in, and what goes out.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use floe_core::voice::{Features, MediaError, MediaInput, MediaOutput, Quality, SeatId, Signal};
use floe_proto::RoomId;
use slab::Slab;
use str0m::Input;
use str0m::config::{CryptoProvider, DtlsCert};
use str0m::media::Mid;
use str0m::net::{DatagramRecv, DatagramSend, Protocol, Receive};
use str0m::rtp::RtpPacket;

use crate::config::Config;
use crate::connection::Connection;
use crate::counters::Counters;
use crate::demux::Demux;
use crate::dropped::Dropped;
use crate::peer::Peer;
use crate::recording::{Recorded, Tap};
use crate::room::Room;
use crate::schedule::Schedule;
use crate::video::Pictures;
use crate::{rtp, stun};

mod agree;
mod checks;
mod drive;
mod tracks;
mod voice;

/// Carries the media of voice rooms; see the [crate].
#[derive(Debug)]
pub struct Forwarder {
    pub(crate) config: Config,
    crypto: Arc<CryptoProvider>,
    certificate: DtlsCert,
    pub(crate) peers: Slab<Peer>,
    pub(crate) seats: HashMap<SeatId, usize>,
    pub(crate) rooms: BTreeMap<RoomId, Room>,
    demux: Demux,
    /// Who is to be asked, and when.
    pub(crate) schedule: Schedule,
    /// Packets that came and are not forwarded yet.
    arrived: VecDeque<(usize, RtpPacket)>,
    /// By which media pictures cannot be shown on without a keyframe.
    broken: VecDeque<(usize, Mid)>,
    transmits: VecDeque<Transmit>,
    pub(crate) outputs: VecDeque<MediaOutput>,
    tap: Tap,
    pub(crate) counters: Counters,
    checks: checks::Checks,
}

/// A datagram from the network, or a frame of a TCP connection without its length (RFC 4571).
#[derive(Debug, Clone, Copy)]
pub struct Datagram<'a> {
    /// How it came.
    pub protocol: Protocol,
    /// From where.
    pub source: SocketAddr,
    /// What it says.
    pub bytes: &'a [u8],
}

/// A datagram for the network.
#[derive(Debug)]
pub struct Transmit {
    /// How it goes.
    pub protocol: Protocol,
    /// Where to: an address from which something has come.
    pub destination: SocketAddr,
    /// What it says.
    pub bytes: DatagramSend,
}

impl Forwarder {
    /// Makes a forwarder without rooms.
    ///
    /// # Errors
    /// When there is no certificate to be had.
    pub fn new(config: Config) -> Result<Self, MediaError> {
        let crypto = Arc::new(str0m::crypto::from_feature_flags());
        let certificate = crypto
            .dtls_provider
            .generate_certificate()
            .ok_or(MediaError::Unavailable)?;
        Ok(Self {
            config,
            crypto,
            certificate,
            peers: Slab::new(),
            seats: HashMap::new(),
            rooms: BTreeMap::new(),
            demux: Demux::default(),
            schedule: Schedule::default(),
            arrived: VecDeque::new(),
            broken: VecDeque::new(),
            transmits: VecDeque::new(),
            outputs: VecDeque::new(),
            tap: Tap::default(),
            counters: Counters::default(),
            checks: checks::Checks::default(),
        })
    }

    /// What it carries.
    pub const fn features(&self) -> Features {
        Features {
            audio: true,
            video: self.config.video_slots > 0,
            screen: self.config.video_slots > 0,
            recording: self.config.recording,
            audio_slots: self.config.audio_slots,
            video_slots: self.config.video_slots,
        }
    }

    /// What it has done, and how it is.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// Returns the next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        loop {
            if let Some(transmit) = self.transmits.pop_front() {
                return Some(transmit);
            }
            self.ask_next()?;
        }
    }

    /// Returns the next thing to tell, oldest first.
    pub fn poll_output(&mut self) -> Option<MediaOutput> {
        self.outputs.pop_front()
    }

    /// Returns the next packet of a recorded room, oldest first.
    pub fn poll_recorded(&mut self) -> Option<Recorded> {
        self.tap.poll()
    }

    /// Returns when to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        let peers = self.schedule.next();
        peers.into_iter().chain(self.checks.due()).min()
    }

    /// Takes in what happened in voice rooms.
    pub fn handle(&mut self, now: Instant, input: MediaInput) {
        match input {
            MediaInput::Joined { seat, user, sends } => {
                let peer = self.peers.insert(Peer {
                    seat,
                    user,
                    sends,
                    muted: false,
                    speech: crate::audio::Speech::default(),
                    offers: self.config.offers(),
                    quality: Quality::None,
                    spoke_at: None,
                    pictures: Pictures::default(),
                    connection: None,
                });
                self.seats.insert(seat, peer);
                let slots = self.config.audio_slots.into();
                let room = self.rooms.entry(seat.room);
                room.or_insert_with(|| Room::new(slots)).members.push(peer);
                self.checks.begin(now);
            }
            MediaInput::Changed { seat, sends, muted } => {
                let Some(&at) = self.seats.get(&seat) else {
                    return;
                };
                let peer = &mut self.peers[at];
                peer.sends = sends;
                peer.muted = muted;
                if !peer.is_heard() {
                    self.unhear(at);
                }
                self.rechoose(seat.room);
            }
            MediaInput::Left(seat) => self.leave(now, seat),
            MediaInput::Signal {
                seat,
                signal: Signal::Offer { sdp, sources },
            } => {
                self.counters.offers += 1;
                if let Err(error) = self.offer(now, seat, &sdp, sources) {
                    self.counters.offers_refused += 1;
                    self.refuse(seat, error);
                }
            }
            MediaInput::Watch { seat, watch } => {
                if let Err(error) = self.watch(seat, watch) {
                    self.refuse(seat, error);
                }
            }
            // The server offers nothing that could be answered. Candidates are not needed: it
            // answers those who prove who they are, wherever they write from.
            MediaInput::Signal { .. } | MediaInput::Away(_) | MediaInput::Returned(_) => {}
            MediaInput::Record { room, recording } => self.tap.record(room, recording),
            MediaInput::Timeout => self.handle_timeout(now),
        }
    }

    /// Takes in a datagram; returns whether it was somebody's.
    pub fn receive(&mut self, now: Instant, datagram: Datagram<'_>) -> bool {
        self.counters.datagrams_in += 1;
        let taken = self.take_datagram(now, datagram);
        let is_known = taken.is_ok();
        if let Err(reason) = taken {
            self.counters.datagrams_refused += 1;
            self.counters.drop_for(reason);
        }
        is_known
    }

    /// Wakes those whose time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(at) = self.schedule.next_due(now) {
            let Some(connection) = self.peers.get_mut(at).and_then(Peer::connection) else {
                continue;
            };
            match connection.turn.look(now) {
                Ok(()) => {
                    let _ = self.drive(now, at, Input::Timeout(now));
                }
                Err(Some(later)) => self.schedule.wake(later, at, &mut connection.turn),
                Err(None) => {}
            }
        }
        self.check(now);
        self.forward_all(now);
    }

    fn take_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), Dropped> {
        let Datagram {
            protocol,
            source,
            bytes,
        } = datagram;
        if bytes.is_empty() || bytes.len() > self.config.datagram_bytes_max {
            return Err(Dropped::Size);
        }
        let remote = (protocol, source);
        let proves = stun::is_stun(bytes);
        let at = match proves {
            true => stun::local_ufrag(bytes)
                .and_then(|named| self.demux.peer_named(named))
                .ok_or(Dropped::Unproved)?,
            false => self.demux.peer_at(remote).ok_or(Dropped::Unknown)?,
        };
        let local = self.local(protocol, source).ok_or(Dropped::Unknown)?;
        let contents = DatagramRecv::try_from(bytes).map_err(|_| Dropped::Malformed)?;
        let input = Input::Receive(
            now,
            Receive {
                proto: protocol,
                source,
                destination: local,
                contents,
            },
        );
        let is_taken = proves && self.demux.is_taken(remote, at, now);
        let is_known = !proves || self.demux.peer_at(remote) == Some(at);
        let connection = self.connection(at).ok_or(Dropped::Unknown)?;
        if proves {
            if !connection.rtc.accepts(&input) {
                return Err(Dropped::Unproved);
            }
            if is_taken {
                return Err(Dropped::Taken);
            }
            if !is_known && !connection.intake.admits_address(now) {
                return Err(Dropped::Addresses);
            }
        } else if rtp::is_rtp(bytes) && !connection.admits_packet(bytes, now) {
            return Err(Dropped::Streams);
        }
        connection.intake.came(now);
        if proves {
            self.demux.believe(remote, at, now);
        }
        let taken = self.drive(now, at, input);
        self.forward_all(now);
        taken
    }

    fn leave(&mut self, now: Instant, seat: SeatId) {
        let Some(at) = self.seats.remove(&seat) else {
            return;
        };
        self.unhear(at);
        self.disconnect(now, at);
        self.peers.remove(at);
        if let Some(room) = self.rooms.get_mut(&seat.room) {
            room.members.retain(|member| *member != at);
            if room.members.is_empty() {
                self.rooms.remove(&seat.room);
            }
        }
        self.rechoose(seat.room);
    }

    pub(crate) fn connection(&mut self, at: usize) -> Option<&mut Connection> {
        self.peers.get_mut(at)?.connection()
    }

    /// Returns the server's own address that a remote one is paired with.
    fn local(&self, protocol: Protocol, source: SocketAddr) -> Option<SocketAddr> {
        let mut locals = self.config.locals.iter();
        locals
            .find(|local| local.protocol == protocol && local.address.is_ipv4() == source.is_ipv4())
            .map(|local| local.address)
    }
}
