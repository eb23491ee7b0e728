//! A browser in a voice room: a WebSocket for signals, and a socket of its own for media.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use serde_json::json;
use str0m::change::{SdpAnswer, SdpApi, SdpPendingOffer};
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{DatagramRecv, Protocol, Receive};
use str0m::rtp::{ExtensionValues, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc};

use crate::community::Member;
use crate::harness::{PATIENCE, TestServer};

pub const ROOM: &str = "/ws/voice/00000000000a";
/// How long a packet of sound lasts.
const PACKET: Duration = Duration::from_millis(20);

/// Somebody in a voice room.
pub struct Browser {
    pub member: Member,
    user: String,
    slots: u64,
    connection: Option<Connection>,
    /// Packets that came, each as the one who said it wrote it.
    pub heard: Vec<String>,
    /// Packets sent.
    pub said: u64,
    said_at: Instant,
}

/// What carries the media of a browser.
struct Connection {
    rtc: Rtc,
    socket: UdpSocket,
    microphone: Mid,
    due: Instant,
    sequence: u64,
}

impl Browser {
    /// Joins, without media so far.
    #[track_caller]
    pub fn join(server: &TestServer, user: &str) -> Self {
        let mut member = Member::of(server, &format!("{ROOM}?user={user}"));
        member.ask(json!({"type": "join"}));
        let session = member.client.next_of("session");
        let slots = session["features"]["audioSlots"].as_u64().unwrap();
        Self {
            member,
            user: user.to_owned(),
            slots,
            connection: None,
            heard: Vec::new(),
            said: 0,
            said_at: Instant::now(),
        }
    }

    /// Joins and offers to speak and to listen.
    #[track_caller]
    pub fn talk(server: &TestServer, user: &str) -> Self {
        let mut browser = Self::join(server, user);
        browser.connect();
        browser
    }

    /// Offers to speak and to listen by a connection that knows nothing of any before.
    #[track_caller]
    pub fn connect(&mut self) {
        let now = Instant::now();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut rtc = Rtc::builder().set_rtp_mode(true).build(now);
        let own = Candidate::host(socket.local_addr().unwrap(), "udp").unwrap();
        rtc.add_local_candidate(own);
        let mut api = rtc.sdp_api();
        let microphone = api.add_media(MediaKind::Audio, Direction::SendOnly, None, None, None);
        for _ in 0..self.slots {
            api.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
        }
        let (offer, pending) = api.apply().unwrap();
        let answer = self.agree(&offer.to_sdp_string());
        rtc.sdp_api().accept_answer(pending, answer).unwrap();
        self.connection = Some(Connection {
            rtc,
            socket,
            microphone,
            due: now,
            sequence: 1,
        });
    }

    /// Begins ICE anew, by another name.
    #[track_caller]
    pub fn restart(&mut self) {
        let mut change = |api: &mut SdpApi<'_>| {
            api.ice_restart(true);
        };
        let (offer, pending) = self.change(&mut change);
        let answer = self.agree(&offer);
        let connection = self.connection.as_mut().unwrap();
        let accepted = connection.rtc.sdp_api().accept_answer(pending, answer);
        accepted.unwrap();
    }

    fn change(&mut self, change: &mut dyn FnMut(&mut SdpApi<'_>)) -> (String, SdpPendingOffer) {
        let connection = self.connection.as_mut().unwrap();
        let mut api = connection.rtc.sdp_api();
        change(&mut api);
        let (offer, pending) = api.apply().unwrap();
        (offer.to_sdp_string(), pending)
    }

    /// Offers something that the server agrees to.
    #[track_caller]
    fn agree(&mut self, offer: &str) -> SdpAnswer {
        self.member.ask(json!({"type": "offer", "sdp": offer}));
        let answer = self.member.client.next_of("answer");
        SdpAnswer::from_sdp_string(answer["sdp"].as_str().unwrap()).unwrap()
    }

    /// Returns who is heard by now, once it is who is wanted.
    #[track_caller]
    pub fn until_tracks(&mut self, wanted: &[&str]) {
        loop {
            let frame = self.member.client.next_of("tracks");
            let tracks = frame["tracks"].as_array().unwrap();
            assert_eq!(tracks.len() as u64, self.slots);
            let users: Vec<_> = tracks
                .iter()
                .filter_map(|track| track["userId"].as_str())
                .collect();
            assert!(tracks.iter().all(|track| track["source"] == "microphone"));
            if users == wanted {
                return;
            }
        }
    }

    /// Whether media go to and fro.
    pub fn is_connected(&self) -> bool {
        let connection = self.connection.as_ref();
        connection.is_some_and(|connection| connection.rtc.is_connected())
    }

    /// Says something if it is time to.
    fn say(&mut self, now: Instant) {
        if !self.is_connected() || now < self.said_at + PACKET {
            return;
        }
        let Some(connection) = &mut self.connection else {
            return;
        };
        self.said_at = now;
        self.said += 1;
        let word = format!("{} {}", self.user, self.said);
        let sequence = connection.sequence;
        connection.sequence += 1;
        let mid = connection.microphone;
        let pt = connection.rtc.media(mid).unwrap().remote_pts()[0];
        let time = u32::try_from(sequence * 960).unwrap();
        let levels = ExtensionValues {
            audio_level: Some(-30),
            voice_activity: Some(true),
            ..ExtensionValues::default()
        };
        let write = RtpWrite::new(pt, sequence.into(), time, now, word.as_bytes()).ext_vals(levels);
        let mut api = connection.rtc.direct_api();
        api.stream_tx_by_mid(mid, None).unwrap().write_rtp(write);
        connection.rtc.handle_input(Input::Timeout(now)).unwrap();
    }

    /// Takes in what there is, and sends what is to be sent.
    fn step(&mut self, now: Instant) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        let mut buffer = [0; 2_048];
        let own = connection.socket.local_addr().unwrap();
        while let Ok((len, source)) = connection.socket.recv_from(&mut buffer) {
            let input = Input::Receive(
                now,
                Receive {
                    proto: Protocol::Udp,
                    source,
                    destination: own,
                    contents: DatagramRecv::try_from(&buffer[..len]).unwrap(),
                },
            );
            connection.rtc.handle_input(input).unwrap();
            connection.drain(&mut self.heard);
        }
        if connection.due <= now {
            connection.rtc.handle_input(Input::Timeout(now)).unwrap();
        }
        connection.drain(&mut self.heard);
    }
}

impl Connection {
    fn drain(&mut self, heard: &mut Vec<String>) {
        loop {
            match self.rtc.poll_output().unwrap() {
                Output::Timeout(due) => {
                    self.due = due;
                    return;
                }
                Output::Transmit(transmit) => {
                    // What the system does not take is lost, as on any network.
                    let _ = self
                        .socket
                        .send_to(&transmit.contents, transmit.destination);
                }
                Output::Event(Event::RtpPacket(packet)) => {
                    heard.push(String::from_utf8(packet.payload.to_vec()).unwrap());
                }
                Output::Event(_) => {}
            }
        }
    }
}

/// Lets all of them talk until something is so.
#[track_caller]
pub fn talk_until(browsers: &mut [Browser], what: &str, mut is_so: impl FnMut(&[Browser]) -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so(browsers) {
        let now = Instant::now();
        if now > until {
            let heard: Vec<_> = browsers.iter().map(|one| one.heard.len()).collect();
            panic!("waited too long: {what}; heard so far: {heard:?}");
        }
        for browser in browsers.iter_mut() {
            browser.say(now);
            browser.step(now);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
