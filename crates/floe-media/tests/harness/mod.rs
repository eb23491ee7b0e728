//! Browsers and a forwarder on a network that is not there.
#![allow(dead_code, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use floe_core::voice::{MediaInput, MediaOutput, SeatId, Sends, Signal, Track};
use floe_media::{Config, Datagram, Forwarder, Local};
use floe_proto::RoomId;
use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{DatagramRecv, Protocol, Receive};
use str0m::rtp::{ExtensionValues, RtpPacket, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc};

pub const ROOM: RoomId = RoomId(7);
const SERVER: ([u8; 4], u16) = ([192, 0, 2, 1], 4438);
/// How long a datagram takes, one way.
const DELAY: Duration = Duration::from_millis(20);
/// Milliseconds of one step.
const STEP: Duration = Duration::from_millis(5);

/// A forwarder, and those who talk by it.
pub struct World {
    pub now: Instant,
    pub forwarder: Forwarder,
    pub browsers: Vec<Browser>,
    /// What is under way: when it arrives, whether at the server, of which browser.
    wire: VecDeque<(Instant, bool, usize, Vec<u8>)>,
    /// What the forwarder said that was no answer.
    pub outputs: Vec<MediaOutput>,
    /// Decides whether a datagram is lost: whether it is to the server, and of whom.
    pub loses: Box<dyn FnMut(bool, usize) -> bool>,
}

/// A participant's browser.
pub struct Browser {
    pub seat: SeatId,
    pub rtc: Rtc,
    pub address: SocketAddr,
    pub microphone: Mid,
    pub heard: Vec<RtpPacket>,
    pub tracks: Vec<Track>,
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
            wire: VecDeque::new(),
            outputs: Vec::new(),
            loses: Box::new(|_, _| false),
        }
    }

    /// Has somebody join and offer their voice; returns their place.
    pub fn join(&mut self, user: &str) -> usize {
        let at = self.browsers.len();
        let seat = SeatId {
            room: ROOM,
            seat: at as u64 + 1,
        };
        let sends = Sends {
            audio: true,
            ..Sends::default()
        };
        let user: Arc<str> = user.into();
        self.forwarder
            .handle(self.now, MediaInput::Joined { seat, user, sends });
        let address: SocketAddr = ([10, 0, 0, u8::try_from(at).unwrap() + 1], 5_000).into();
        let mut rtc = Rtc::builder().set_rtp_mode(true).build(self.now);
        rtc.add_local_candidate(Candidate::host(address, "udp").unwrap());
        let mut api = rtc.sdp_api();
        let microphone = api.add_media(MediaKind::Audio, Direction::SendOnly, None, None, None);
        for _ in 0..self.forwarder.features().audio_slots {
            api.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
        }
        let (offer, pending) = api.apply().unwrap();
        self.forwarder.handle(
            self.now,
            MediaInput::Signal {
                seat,
                signal: Signal::Offer {
                    sdp: offer.to_sdp_string().into(),
                    sources: Box::default(),
                },
            },
        );
        let answer = std::iter::from_fn(|| self.forwarder.poll_output())
            .find_map(|output| {
                if let MediaOutput::Signal {
                    signal: Signal::Answer(sdp),
                    ..
                } = output
                {
                    return Some(sdp);
                }
                self.outputs.push(output);
                None
            })
            .expect("an answer");
        let answer = SdpAnswer::from_sdp_string(&answer).unwrap();
        rtc.sdp_api().accept_answer(pending, answer).unwrap();
        self.browsers.push(Browser {
            seat,
            rtc,
            address,
            microphone,
            heard: Vec::new(),
            tracks: Vec::new(),
            sequence: 1,
            due: self.now,
        });
        at
    }

    /// Has somebody say something of 20 ms, of a level in dBov.
    pub fn say(&mut self, at: usize, level: i8, word: &[u8]) {
        let now = self.now;
        let browser = &mut self.browsers[at];
        if !browser.rtc.is_connected() {
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
        browser.rtc.handle_input(Input::Timeout(now)).unwrap();
        self.settle();
    }

    /// Lets time pass.
    pub fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            self.now += STEP;
            while let Some(index) = self.wire.iter().position(|(at, ..)| *at <= self.now) {
                let (_, to_server, browser, bytes) = self.wire.remove(index).unwrap();
                self.deliver(to_server, browser, &bytes);
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
                    let input = Input::Timeout(self.now);
                    self.browsers[at].rtc.handle_input(input).unwrap();
                }
            }
            self.settle();
        }
    }

    /// Takes out all that anybody has to say.
    fn settle(&mut self) {
        let arrives = self.now + DELAY;
        while let Some(transmit) = self.forwarder.poll_transmit() {
            let to = self.browsers.iter();
            let mut to = to
                .enumerate()
                .filter(|(_, one)| one.address == transmit.destination);
            let Some((to, _)) = to.next() else {
                panic!("a datagram to nobody: {}", transmit.destination);
            };
            if !(self.loses)(false, to) {
                self.wire
                    .push_back((arrives, false, to, transmit.bytes.to_vec()));
            }
        }
        while let Some(output) = self.forwarder.poll_output() {
            if let MediaOutput::Tracks { seat, tracks } = &output
                && let Some(browser) = self.browsers.iter_mut().find(|one| one.seat == *seat)
            {
                browser.tracks = tracks.to_vec();
            }
            self.outputs.push(output);
        }
        for at in 0..self.browsers.len() {
            loop {
                match self.browsers[at].rtc.poll_output().unwrap() {
                    Output::Timeout(due) => {
                        self.browsers[at].due = due;
                        break;
                    }
                    Output::Transmit(transmit) => {
                        if !(self.loses)(true, at) {
                            let bytes = transmit.contents.to_vec();
                            self.wire.push_back((arrives, true, at, bytes));
                        }
                    }
                    Output::Event(Event::RtpPacket(packet)) => {
                        self.browsers[at].heard.push(packet);
                    }
                    Output::Event(_) => {}
                }
            }
        }
    }

    fn deliver(&mut self, to_server: bool, at: usize, bytes: &[u8]) {
        let address = self.browsers[at].address;
        if to_server {
            let datagram = Datagram {
                protocol: Protocol::Udp,
                source: address,
                bytes,
            };
            self.forwarder.receive(self.now, datagram);
        } else {
            let input = Input::Receive(
                self.now,
                Receive {
                    proto: Protocol::Udp,
                    source: SERVER.into(),
                    destination: address,
                    contents: DatagramRecv::try_from(bytes).unwrap(),
                },
            );
            self.browsers[at].rtc.handle_input(input).unwrap();
        }
        self.settle();
    }
}
