//! Browsers and a forwarder on a network that is not there.
#![allow(dead_code, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

pub mod dice;
mod guard;
mod link;
pub mod video;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use floe_core::voice::{
    MediaError, MediaInput, MediaOutput, Quality, SeatId, Sends, Signal, Source, Track,
};
use floe_media::{Config, Datagram, Forwarder, Local};
use floe_proto::RoomId;
use guard::Guard;
use link::Link;
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{DatagramRecv, Protocol, Receive};
use str0m::rtp::{ExtensionValues, RtpPacket, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc};
use video::{Film, Offering};

pub const ROOM: RoomId = RoomId(7);
const SERVER: ([u8; 4], u16) = ([192, 0, 2, 1], 4438);
/// How long a datagram takes, one way.
const DELAY: Duration = Duration::from_millis(20);
/// Things happen no faster than this one after another.
const STEP: Duration = Duration::from_micros(250);

/// A forwarder, and those who talk by it.
pub struct World {
    pub now: Instant,
    pub forwarder: Forwarder,
    pub browsers: Vec<Browser>,
    /// What is under way, by when it arrives and in which order it was sent.
    wire: BTreeMap<(Instant, u64), Passing>,
    sent: u64,
    /// What the forwarder may send where.
    pub guard: Guard,
    /// What the forwarder said that was no answer.
    pub outputs: Vec<MediaOutput>,
    /// Decides whether a datagram is lost: whether it is to the server, and of whom.
    pub loses: Box<dyn FnMut(bool, usize) -> bool>,
    /// Decides how long each copy of a datagram takes that is not lost.
    pub carries: Carries,
    /// Datagrams to the server, where a test wants to see them.
    pub overheard: Option<Vec<(SocketAddr, Vec<u8>)>>,
}

/// Decides how long each copy of a datagram takes; without one, it is lost.
pub type Carries = Box<dyn FnMut(&Passing) -> Vec<Duration>>;

/// A datagram that is under way.
pub struct Passing {
    /// When it arrives; when it was sent, before that is known.
    pub at: Instant,
    pub to_server: bool,
    /// Of which browser, and its address.
    pub browser: usize,
    pub address: SocketAddr,
    pub bytes: Vec<u8>,
}

/// A participant's browser.
pub struct Browser {
    pub seat: SeatId,
    pub rtc: Rtc,
    pub address: SocketAddr,
    pub microphone: Mid,
    pub heard: Vec<RtpPacket>,
    /// By which medium each of those came.
    pub heard_by: Vec<Mid>,
    /// Packets of pictures, and by which medium they came.
    pub seen: Vec<(Mid, RtpPacket)>,
    /// The cameras and screens.
    pub films: Vec<Film>,
    /// What the network to it takes; all where nothing is said.
    pub downlink: Option<Link>,
    pub tracks: Vec<Track>,
    /// How well media reach it, as was told last.
    pub quality: Quality,
    /// Whether it is there, and works.
    pub is_here: bool,
    /// What the server answered to its last offer.
    pub answer: String,
    /// Its last offer.
    pub offered: String,
    sequence: u64,
    due: Instant,
}

impl World {
    pub fn new() -> Self {
        Self::with(Config::default())
    }

    pub fn with(config: Config) -> Self {
        let local = Local {
            protocol: Protocol::Udp,
            address: SERVER.into(),
        };
        let config = Config {
            locals: vec![local],
            ..config
        };
        Self {
            now: Instant::now(),
            forwarder: Forwarder::new(config).unwrap(),
            browsers: Vec::new(),
            wire: BTreeMap::new(),
            sent: 0,
            outputs: Vec::new(),
            loses: Box::new(|_, _| false),
            carries: Box::new(|_| vec![DELAY]),
            overheard: None,
            guard: Guard::default(),
        }
    }

    /// Has somebody join and offer their voice; returns their place.
    pub fn join(&mut self, user: &str) -> usize {
        self.join_in(ROOM, user).unwrap()
    }

    /// Has somebody join a room and offer their voice; returns their place.
    pub fn join_in(&mut self, room: RoomId, user: &str) -> Result<usize, MediaError> {
        self.join_as(room, user, Offering::default())
    }

    fn join_as(
        &mut self,
        room: RoomId,
        user: &str,
        offering: Offering,
    ) -> Result<usize, MediaError> {
        let at = self.browsers.len();
        let seat = SeatId {
            room,
            seat: at as u64 + 1,
        };
        let sends = Sends {
            audio: true,
            video: !offering.camera.is_empty(),
            screen: offering.screen,
        };
        let user: Arc<str> = user.into();
        self.forwarder
            .handle(self.now, MediaInput::Joined { seat, user, sends });
        let address: SocketAddr = ([10, 0, 0, u8::try_from(at).unwrap() + 1], 5_000).into();
        let browser = new_browser(self.now, seat, address, offering);
        self.browsers.push(browser);
        self.offer_all(at, offering)?;
        Ok(at)
    }

    /// Has somebody's browser be another one, with nothing kept, on the same seat.
    pub fn reconnect(&mut self, at: usize) {
        let before = &self.browsers[at];
        let mut address = before.address;
        address.set_port(address.port() + 1);
        let offering = Offering::default();
        let mut browser = new_browser(self.now, before.seat, address, offering);
        // It is the room that is told of it.
        browser.quality = before.quality;
        self.browsers[at] = browser;
        self.offer_all(at, offering).unwrap();
    }

    /// Has somebody's browser look for a way to the server again, from another address.
    pub fn restart_ice(&mut self, at: usize) -> Result<(), MediaError> {
        let browser = &mut self.browsers[at];
        let port = browser.address.port() + 1;
        browser.address.set_port(port);
        let mut api = browser.rtc.sdp_api();
        api.ice_restart(false);
        let (offer, pending) = api.apply().unwrap();
        let host = Candidate::host(browser.address, "udp").unwrap();
        self.negotiate(at, &offer, pending)?;
        self.browsers[at].rtc.add_local_candidate(host);
        Ok(())
    }

    /// Has somebody leave.
    pub fn leave(&mut self, at: usize) {
        let seat = self.browsers[at].seat;
        self.browsers[at].is_here = false;
        self.forwarder.handle(self.now, MediaInput::Left(seat));
        self.settle();
    }

    /// Has a moderator keep somebody from being heard, or no longer.
    pub fn mute(&mut self, at: usize, muted: bool) {
        let seat = self.browsers[at].seat;
        let sends = Sends {
            audio: true,
            ..Sends::default()
        };
        let input = MediaInput::Changed { seat, sends, muted };
        self.forwarder.handle(self.now, input);
        self.settle();
    }

    /// Hands the server a datagram as if it came from an address.
    pub fn inject(&mut self, source: SocketAddr, bytes: &[u8]) {
        self.guard.came(source, bytes.len());
        let datagram = Datagram {
            protocol: Protocol::Udp,
            source,
            bytes,
        };
        self.forwarder.receive(self.now, datagram);
        self.settle();
    }

    /// Offers a voice and pictures, and to receive as many voices as there are.
    fn offer_all(&mut self, at: usize, offering: Offering) -> Result<(), MediaError> {
        let slots = self.forwarder.features().audio_slots;
        let browser = &mut self.browsers[at];
        let mut api = browser.rtc.sdp_api();
        browser.microphone = api.add_media(MediaKind::Audio, Direction::SendOnly, None, None, None);
        for _ in 0..slots {
            api.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
        }
        browser.films = offering.add(&mut api);
        let (offer, pending) = api.apply().unwrap();
        self.negotiate(at, &offer, pending)
    }

    fn negotiate(
        &mut self,
        at: usize,
        offer: &SdpOffer,
        pending: SdpPendingOffer,
    ) -> Result<(), MediaError> {
        let answer = self.signal(at, &offer.to_sdp_string())?;
        let browser = &mut self.browsers[at];
        browser.offered = offer.to_sdp_string();
        browser.answer = answer.into();
        let answer = SdpAnswer::from_sdp_string(&browser.answer).unwrap();
        browser
            .rtc
            .sdp_api()
            .accept_answer(pending, answer)
            .unwrap();
        self.settle();
        Ok(())
    }

    /// Hands the server somebody's offer, and returns its answer.
    pub fn signal(&mut self, at: usize, sdp: &str) -> Result<Box<str>, MediaError> {
        let seat = self.browsers[at].seat;
        let films = self.browsers[at].films.iter();
        let screens = films.filter(|film| film.source == Source::Screen);
        let signal = Signal::Offer {
            sdp: sdp.into(),
            sources: screens
                .map(|film| ((*film.mid).into(), Source::Screen))
                .collect(),
        };
        let input = MediaInput::Signal { seat, signal };
        self.forwarder.handle(self.now, input);
        let mut answer = None;
        while let Some(output) = self.forwarder.poll_output() {
            if let MediaOutput::Signal {
                signal: Signal::Answer(sdp),
                ..
            } = output
            {
                answer = Some(Ok(sdp));
            } else if let MediaOutput::Refused { error, .. } = output {
                answer = Some(Err(error));
            } else {
                self.take_output(output);
            }
        }
        answer.expect("an answer")
    }

    /// Has somebody say something of 20 ms, of a level in dBov.
    pub fn say(&mut self, at: usize, level: i8, word: &[u8]) {
        let now = self.now;
        let browser = &mut self.browsers[at];
        if !browser.is_here || !browser.rtc.is_connected() {
            return;
        }
        let sequence = browser.sequence;
        browser.sequence += 1;
        let mid = browser.microphone;
        let pt = browser.rtc.media(mid).unwrap().remote_pts()[0];
        let time = u32::try_from(sequence * 960).unwrap();
        let write = RtpWrite::new(pt, sequence.into(), time, now, word).ext_vals(ExtensionValues {
            audio_level: Some(level),
            voice_activity: Some(level > -50),
            ..ExtensionValues::default()
        });
        let mut api = browser.rtc.direct_api();
        api.stream_tx_by_mid(mid, None).unwrap().write_rtp(write);
        browser.feed(Input::Timeout(now));
        self.settle();
    }

    /// Lets time pass.
    pub fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            let wire = self.wire.keys().map(|(at, _)| *at);
            let browsers = self.browsers.iter().filter(|one| one.is_here);
            let due = browsers.map(|one| one.due);
            let due = wire.take(1).chain(due).chain(self.forwarder.poll_timeout());
            self.now = due.min().unwrap_or(end).max(self.now + STEP).min(end);
            while let Some(entry) = self.wire.first_entry()
                && entry.key().0 <= self.now
            {
                let passing = entry.remove();
                self.deliver(&passing);
            }
            if self
                .forwarder
                .poll_timeout()
                .is_some_and(|due| due <= self.now)
            {
                self.forwarder.handle_timeout(self.now);
            }
            for at in 0..self.browsers.len() {
                if self.browsers[at].due <= self.now {
                    self.browsers[at].feed(Input::Timeout(self.now));
                }
            }
            self.settle();
        }
    }

    /// Takes out all that anybody has to say.
    fn settle(&mut self) {
        while let Some(transmit) = self.forwarder.poll_transmit() {
            let address = transmit.destination;
            self.guard.goes(address, transmit.bytes.len());
            let to = self.browsers.iter().position(|one| one.address == address);
            if let Some(to) = to {
                self.send(false, to, transmit.bytes.to_vec());
            }
        }
        while let Some(output) = self.forwarder.poll_output() {
            self.take_output(output);
        }
        for at in 0..self.browsers.len() {
            while let Some(bytes) = self.browsers[at].drain() {
                self.send(true, at, bytes);
            }
        }
    }

    fn take_output(&mut self, output: MediaOutput) {
        let seat = match &output {
            MediaOutput::Tracks { seat, .. } | MediaOutput::Quality { seat, .. } => *seat,
            MediaOutput::Signal { .. }
            | MediaOutput::Refused { .. }
            | MediaOutput::Speaking { .. } => return self.outputs.push(output),
        };
        if let Some(browser) = self.browsers.iter_mut().find(|one| one.seat == seat) {
            if let MediaOutput::Tracks { tracks, .. } = &output {
                browser.tracks = tracks.to_vec();
            }
            if let MediaOutput::Quality { quality, .. } = &output {
                browser.quality = *quality;
            }
        }
        self.outputs.push(output);
    }

    /// Puts a datagram on its way, unless it is lost.
    fn send(&mut self, to_server: bool, browser: usize, bytes: Vec<u8>) {
        if (self.loses)(to_server, browser) || !self.browsers[browser].is_here {
            return;
        }
        let passing = Passing {
            at: self.now,
            to_server,
            browser,
            address: self.browsers[browser].address,
            bytes,
        };
        let link = &mut self.browsers[browser].downlink;
        let queued = match link.as_mut().filter(|_| !to_server) {
            Some(link) => link.carry(passing.bytes.len(), self.now),
            None => Some(Duration::ZERO),
        };
        let Some(queued) = queued else {
            return;
        };
        for delay in (self.carries)(&passing) {
            let at = self.now + queued + delay;
            let bytes = passing.bytes.clone();
            self.sent += 1;
            let copy = Passing {
                at,
                bytes,
                ..passing
            };
            self.wire.insert((at, self.sent), copy);
        }
    }

    fn deliver(&mut self, passing: &Passing) {
        if passing.to_server {
            if let Some(overheard) = &mut self.overheard {
                overheard.push((passing.address, passing.bytes.clone()));
            }
            // Browsers know the secret that they write.
            if passing.bytes.first().is_some_and(|first| *first < 4) {
                self.guard.proves(passing.address);
            }
            return self.inject(passing.address, &passing.bytes);
        }
        let browser = &mut self.browsers[passing.browser];
        let contents = DatagramRecv::try_from(&*passing.bytes).unwrap();
        if browser.address == passing.address {
            let receive = Receive {
                proto: Protocol::Udp,
                source: SERVER.into(),
                destination: passing.address,
                contents,
            };
            browser.feed(Input::Receive(self.now, receive));
        }
        self.settle();
    }
}

impl Browser {
    /// Hands in something; what fails is there no longer.
    fn feed(&mut self, input: Input<'_>) {
        if self.is_here && self.rtc.handle_input(input).is_err() {
            self.is_here = false;
        }
    }

    /// Takes note of what happens, and returns the next datagram to send.
    fn drain(&mut self) -> Option<Vec<u8>> {
        while self.is_here {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(due)) => {
                    self.due = due;
                    return None;
                }
                Ok(Output::Transmit(transmit)) => return Some(transmit.contents.to_vec()),
                Ok(Output::Event(Event::RtpPacket(packet))) => {
                    let mut api = self.rtc.direct_api();
                    let stream = api.stream_rx(&packet.header.ssrc);
                    let mid = stream.unwrap().mid();
                    if self.rtc.media(mid).unwrap().kind() == MediaKind::Video {
                        self.seen.push((mid, packet));
                        continue;
                    }
                    self.heard_by.push(mid);
                    self.heard.push(packet);
                }
                Ok(Output::Event(Event::KeyframeRequest(request))) => {
                    let mut films = self.films.iter_mut();
                    if let Some(film) = films.find(|film| film.mid == request.mid) {
                        film.ask(request.rid);
                    }
                }
                Ok(Output::Event(_)) => {}
                Err(_) => self.is_here = false,
            }
        }
        None
    }
}

fn new_browser(now: Instant, seat: SeatId, address: SocketAddr, offering: Offering) -> Browser {
    let mut config = Rtc::builder().set_rtp_mode(true);
    if offering.is_h264 {
        let config_of_few = config.clear_codecs().enable_opus(true, false);
        config = config_of_few.enable_h264(true);
    }
    let mut rtc = config.build(now);
    rtc.add_local_candidate(Candidate::host(address, "udp").unwrap());
    Browser {
        seat,
        rtc,
        address,
        microphone: Mid::new(),
        heard: Vec::new(),
        heard_by: Vec::new(),
        seen: Vec::new(),
        films: Vec::new(),
        downlink: None,
        tracks: Vec::new(),
        quality: Quality::None,
        is_here: true,
        answer: String::new(),
        offered: String::new(),
        sequence: 1,
        due: now,
    }
}
