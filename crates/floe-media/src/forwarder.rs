//! The forwarding unit: what comes in, and what goes out.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use floe_core::voice::{
    Features, MediaError, MediaInput, MediaOutput, Quality, SeatId, Signal, Source, Track,
};
use floe_proto::RoomId;
use slab::Slab;
use str0m::bwe::Bitrate;
use str0m::config::{CryptoProvider, DtlsCert};
use str0m::media::Mid;
use str0m::net::{DatagramRecv, DatagramSend, Protocol, Receive};
use str0m::rtp::{ExtensionValues, RtpPacket, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc};

use crate::config::Config;
use crate::connection::{Connection, Offer, Slot};
use crate::counters::Counters;
use crate::demux::Demux;
use crate::dropped::Dropped;
use crate::intake::Intake;
use crate::peer::Peer;
use crate::recording::{Recorded, Tap};
use crate::room::Room;
use crate::schedule::Schedule;
use crate::video::{NETWORK_UNKNOWN, PictureCodec, Pictures};
use crate::{rtp, stun};

mod checks;

/// Carries the media of voice rooms; see the [crate](crate).
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
        let is_taken = self.demux.is_taken(remote, at, now);
        let is_known = self.demux.peer_at(remote) == Some(at);
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

    /// Agrees to what a browser offers.
    fn offer(
        &mut self,
        now: Instant,
        seat: SeatId,
        sdp: &str,
        sources: Box<[(Box<str>, Source)]>,
    ) -> Result<(), MediaError> {
        let gone = || MediaError::Signal("the seat is gone".into());
        let at = *self.seats.get(&seat).ok_or_else(gone)?;
        self.admit_offer(now, at)?;
        let offer = Offer::read(sdp, &self.config)?;
        let is_same = self
            .connection(at)
            .is_some_and(|connection| connection.is_with(&offer.fingerprint));
        if !is_same {
            self.disconnect(now, at);
            let rtc = self.new_rtc(now, offer.has_pictures());
            let intake = Intake::new(&self.config, now);
            let connection = Connection::new(rtc, &offer.fingerprint, intake);
            self.peers[at].connection = Some(Box::new(connection));
        }
        let connection = self.connection(at).ok_or_else(gone)?;
        connection.intake.renew(now);
        let before = std::mem::take(&mut connection.ufrag);
        let agreed = connection.agree(offer, sources);
        let named = connection.ufrag.clone();
        self.demux.forget_name(&before);
        let answer = match agreed {
            Ok(answer) => answer,
            Err(error) => {
                self.disconnect(now, at);
                return Err(MediaError::Signal(error.to_string().into()));
            }
        };
        self.demux.name(&named, at);
        // What fails closes the connection, and it is told so.
        let _ = self.drive(now, at, Input::Timeout(now));
        let pictures_max = self.config.video_slots.into();
        if let Some(connection) = self.connection(at) {
            connection.refresh(pictures_max);
        }
        self.outputs.push_back(MediaOutput::Signal {
            seat,
            signal: Signal::Answer(answer),
        });
        self.offer_pictures(at);
        self.tell_tracks(at);
        Ok(())
    }

    fn new_rtc(&self, now: Instant, has_pictures: bool) -> Rtc {
        let config = Rtc::builder()
            .set_crypto_provider(Arc::clone(&self.crypto))
            .set_dtls_cert(self.certificate.clone())
            .set_ice_lite(true)
            .set_rtp_mode(true)
            .set_stats_interval(Some(self.config.measure_interval))
            .clear_codecs()
            .enable_opus(true, false);
        let mut rtc = PictureCodec::enable_all(config)
            .enable_bwe(has_pictures.then(|| Bitrate::bps(NETWORK_UNKNOWN)))
            .build(now);
        for local in &self.config.locals {
            let candidate = match local.protocol {
                Protocol::Udp => Candidate::host(local.address, "udp"),
                Protocol::Tcp | Protocol::SslTcp | Protocol::Tls => Candidate::builder()
                    .tcp()
                    .host(local.address)
                    .tcptype(str0m::net::TcpType::Passive)
                    .build(),
            };
            match candidate {
                Ok(candidate) => {
                    rtc.add_local_candidate(candidate);
                }
                Err(error) => tracing::warn!(%error, address = %local.address, "no candidate"),
            }
        }
        rtc
    }

    /// Hands something to a peer's connection, and does what comes of it.
    pub(crate) fn drive(
        &mut self,
        now: Instant,
        at: usize,
        input: Input<'_>,
    ) -> Result<(), Dropped> {
        let Some(connection) = self.connection(at) else {
            return Ok(());
        };
        let is_datagram = matches!(input, Input::Receive(..));
        let mut taken = Ok(());
        if let Err(error) = connection.rtc.handle_input(input) {
            // Who can write an address as theirs can write DTLS in clear from there; once there are keys,
            // it changes nothing.
            if !is_datagram || !connection.rtc.is_connected() {
                tracing::debug!(%error, "a peer connection failed");
                self.disconnect(now, at);
                return Err(Dropped::Senseless);
            }
            taken = Err(Dropped::Senseless);
        }
        self.drain(now, at);
        taken
    }

    /// Asks the peer that was given something first what comes of it; `None` where there is none.
    fn ask_next(&mut self) -> Option<()> {
        let (now, at) = self.schedule.next_given()?;
        if self.connection(at).is_some_and(|one| one.turn.take()) {
            let _ = self.drive(now, at, Input::Timeout(now));
            self.forward_all(now);
        }
        Some(())
    }

    /// Does what a peer's connection wants done.
    fn drain(&mut self, now: Instant, at: usize) {
        loop {
            let Some(peer) = self.peers.get_mut(at) else {
                return;
            };
            let Some(connection) = peer.connection.as_mut() else {
                return;
            };
            match connection.rtc.poll_output() {
                Ok(Output::Transmit(transmit)) => {
                    self.counters.datagrams_out += 1;
                    if self.transmits.len() == self.config.transmits_max {
                        self.transmits.pop_front();
                        self.counters.drop_for(Dropped::Unsent);
                    }
                    self.transmits.push_back(Transmit {
                        protocol: transmit.proto,
                        destination: transmit.destination,
                        bytes: transmit.contents,
                    });
                }
                Ok(Output::Event(Event::RtpPacket(packet))) => self.arrived.push_back((at, packet)),
                Ok(Output::Event(Event::Closed)) => return self.disconnect(now, at),
                Ok(Output::Event(Event::KeyframeRequest(request))) => {
                    self.broken.push_back((at, request.mid));
                }
                Ok(Output::Event(Event::EgressBitrateEstimate(kind))) => {
                    connection.budget.hear(&kind);
                }
                Ok(Output::Event(event)) => connection.measure(&event, &mut self.counters),
                Ok(Output::Timeout(due)) => {
                    let due = connection.wake_at(now, due);
                    let alive = connection.rtc.is_alive();
                    connection.turn.take();
                    self.schedule.wake(due, at, &mut connection.turn);
                    if !alive {
                        self.disconnect(now, at);
                    }
                    return;
                }
                Err(error) => {
                    tracing::debug!(%error, "a peer connection failed");
                    return self.disconnect(now, at);
                }
            }
        }
    }

    fn forward_all(&mut self, now: Instant) {
        loop {
            if let Some((from, packet)) = self.arrived.pop_front() {
                self.counters.packets_in += 1;
                self.counters.bytes_in += packet.payload.len() as u64;
                if !self.admit(now, from, &packet) {
                    self.counters.drop_for(Dropped::BitRate);
                } else if self.forward(now, from, &packet).is_none() {
                    self.counters.packets_withheld += 1;
                }
            } else if let Some((to, mid)) = self.broken.pop_front() {
                self.refresh_picture(now, to, mid);
            } else {
                return;
            }
        }
    }

    fn forward(&mut self, now: Instant, from: usize, packet: &RtpPacket) -> Option<()> {
        let peer = self.peers.get_mut(from)?;
        let connection = peer.connection.as_mut()?;
        let (mid, rid) = connection.stream_of(packet)?;
        if connection.source_by(mid).is_some() {
            return self.forward_picture(now, from, (mid, rid), packet);
        }
        if connection.microphone != Some(mid) || !peer.is_heard() {
            return None;
        }
        self.record(now, from, packet);
        let peer = self.peers.get_mut(from)?;
        let level = packet.header.ext_vals.audio_level.unwrap_or(0);
        if let Some(speaking) = peer.speech.hear(level, now) {
            let seat = peer.seat;
            self.outputs
                .push_back(MediaOutput::Speaking { seat, speaking });
            if speaking {
                peer.spoke_at = Some(now);
                self.rechoose_by_voice(seat.room);
            }
        }
        let room_id = self.peers.get(from)?.seat.room;
        let room = self.rooms.get_mut(&room_id)?;
        let heard = room.loudest.hear(from, level, now)?;
        let members = std::mem::take(&mut room.members);
        for &to in members.iter().filter(|to| **to != from) {
            if heard.is_new {
                self.tell_tracks(to);
            }
            self.send_voice(now, to, heard.place, heard.change, packet);
        }
        if let Some(room) = self.rooms.get_mut(&room_id) {
            room.members = members;
        }
        Some(())
    }

    /// Hands a packet of a voice to the host, where its room is recorded.
    fn record(&mut self, now: Instant, from: usize, packet: &RtpPacket) {
        let Some(peer) = self.peers.get(from) else {
            return;
        };
        let Some(recording) = self.tap.recording(peer.seat.room) else {
            return;
        };
        let recorded = Recorded {
            recording: Arc::clone(recording),
            seat: peer.seat,
            user: Arc::clone(&peer.user),
            stream: *packet.header.ssrc,
            time: packet.header.timestamp,
            level: packet.header.ext_vals.audio_level,
            payload: Arc::clone(&packet.payload),
            at: now,
        };
        match self.tap.keep(recorded, self.config.recorded_max) {
            true => self.counters.packets_recorded += 1,
            false => self.counters.packets_unrecorded += 1,
        }
    }

    /// Sends a packet of a voice by one of a peer's slots.
    fn send_voice(
        &mut self,
        now: Instant,
        to: usize,
        place: usize,
        source: u64,
        packet: &RtpPacket,
    ) {
        let Some(connection) = self.peers.get_mut(to).and_then(Peer::connection) else {
            return;
        };
        if !connection.rtc.is_connected() {
            return;
        }
        let Some(slot) = connection.audio_slots.get_mut(place) else {
            return;
        };
        let header = &packet.header;
        let numbers = slot
            .renumber
            .next(source, *packet.seq_no, header.timestamp, now);
        let Some((sequence, time)) = numbers else {
            return;
        };
        let (mid, pt) = (slot.mid, slot.pt);
        let write = RtpWrite::new(pt, sequence.into(), time, now, Arc::clone(&packet.payload))
            .marker(header.marker)
            .ext_vals(ExtensionValues {
                audio_level: header.ext_vals.audio_level,
                voice_activity: header.ext_vals.voice_activity,
                ..ExtensionValues::default()
            });
        let mut api = connection.rtc.direct_api();
        if let Some(stream) = api.stream_tx_by_mid(mid, None) {
            stream.write_rtp(write);
            connection.budget.sound(packet.payload.len(), now);
            self.counters.packets_out += 1;
            self.counters.bytes_out += packet.payload.len() as u64;
            self.schedule.give(now, to, &mut connection.turn);
        }
    }

    /// Has a participant know what the media that they receive show.
    pub(crate) fn tell_tracks(&mut self, at: usize) {
        let Some(peer) = self.peers.get(at) else {
            return;
        };
        let (Some(connection), Some(room)) = (&peer.connection, self.rooms.get(&peer.seat.room))
        else {
            return;
        };
        let places: Vec<_> = room.loudest.places().collect();
        let user = |who: usize| Some(Arc::clone(&self.peers.get(who)?.user));
        let tracks = connection.slots().filter_map(|slot| match slot {
            Slot::Voice(place) => {
                let who = places.get(place).copied().flatten();
                Some(Track {
                    mid: (*connection.audio_slots.get(place)?.mid).into(),
                    user: who.filter(|who| *who != at).and_then(user),
                    source: Source::Microphone,
                })
            }
            Slot::Picture(place) => {
                let slot = connection.picture_slots.get(place)?;
                Some(Track {
                    mid: (*slot.mid).into(),
                    user: slot.shows.and_then(|(who, _)| user(who)),
                    source: slot.shows.map_or(Source::Camera, |(_, source)| source),
                })
            }
        });
        let output = MediaOutput::Tracks {
            seat: peer.seat,
            tracks: tracks.collect(),
        };
        self.outputs.push_back(output);
    }

    /// Takes a participant's voice from those who are heard.
    fn unhear(&mut self, at: usize) {
        let peer = &mut self.peers[at];
        peer.speech.hush();
        let Some(room) = self.rooms.get_mut(&peer.seat.room) else {
            return;
        };
        if room.loudest.leave(at) {
            for to in room.members.clone() {
                self.tell_tracks(to);
            }
        }
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

    /// Ends a peer's connection, if there is one; its seat stays.
    fn disconnect(&mut self, _: Instant, at: usize) {
        self.arrived.retain(|(from, _)| *from != at);
        self.demux.forget(at);
        let Some(connection) = self
            .peers
            .get_mut(at)
            .and_then(|peer| peer.connection.take())
        else {
            return;
        };
        self.demux.forget_name(&connection.ufrag);
        self.schedule.forget(at, &connection.turn);
        self.offer_pictures(at);
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
