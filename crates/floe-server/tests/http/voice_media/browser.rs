//! A browser in a voice room: a WebSocket for signals, and a socket of its own for media.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use serde_json::json;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{DatagramRecv, Protocol, Receive, TcpType};
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
    /// Where media go over TCP, and what a connection for them says first; by default they are datagrams.
    over_tcp: Option<(SocketAddr, Vec<u8>)>,
    /// The one of the server's addresses that it knows, and its own.
    only: Option<IpAddr>,
    /// How and where the last answer said that the server is reached.
    pub told: Vec<(String, SocketAddr)>,
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
    wire: Wire,
    microphone: Mid,
    due: Instant,
    sequence: u64,
}

impl Browser {
    /// Joins, without media so far.
    #[track_caller]
    pub fn join(server: &TestServer, user: &str) -> Self {
        Self::sit(Member::of(server, &format!("{ROOM}?user={user}")), user)
    }

    /// Joins by a WebSocket that is there.
    #[track_caller]
    pub fn sit(mut member: Member, user: &str) -> Self {
        member.ask(json!({"type": "join"}));
        let session = member.client.next_of("session");
        let slots = session["features"]["audioSlots"].as_u64().unwrap();
        Self {
            member,
            user: user.to_owned(),
            slots,
            over_tcp: None,
            only: None,
            told: Vec::new(),
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

    /// Offers to speak and to listen over TCP alone, by a connection that says something first.
    #[track_caller]
    pub fn connect_over_tcp(&mut self, server: &TestServer, first: &[u8]) {
        self.over_tcp = Some((server.own_address(), first.to_vec()));
        self.connect();
    }

    /// Offers to speak and to listen by a connection that knows nothing of any before.
    #[track_caller]
    pub fn connect(&mut self) {
        let now = Instant::now();
        let wire = match (&self.over_tcp, self.only) {
            (Some((server, first)), _) => Wire::tcp(*server, first),
            (None, Some(ip)) => Wire::udp(ip),
            (None, None) => Wire::udp(Ipv4Addr::LOCALHOST.into()),
        };
        let mut rtc = Rtc::builder().set_rtp_mode(true).build(now);
        rtc.add_local_candidate(wire.candidate());
        let (offer, pending, microphone) = self.offer(&mut rtc);
        let answer = self.agree(&offer);
        rtc.sdp_api().accept_answer(pending, answer).unwrap();
        self.connection = Some(Connection {
            rtc,
            wire,
            microphone,
            due: now,
            sequence: 1,
        });
    }

    /// Offers to speak and to listen from an address, and only with the server's of the same.
    #[track_caller]
    pub fn connect_from(&mut self, ip: IpAddr) {
        self.only = Some(ip);
        self.connect();
    }

    /// Writes an offer to speak and to listen.
    pub fn offer(&self, rtc: &mut Rtc) -> (String, SdpPendingOffer, Mid) {
        let mut api = rtc.sdp_api();
        let microphone = api.add_media(MediaKind::Audio, Direction::SendOnly, None, None, None);
        for _ in 0..self.slots {
            api.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
        }
        let (offer, pending) = api.apply().unwrap();
        (offer.to_sdp_string(), pending, microphone)
    }

    /// Begins ICE anew, by another name.
    #[track_caller]
    pub fn restart(&mut self) {
        let connection = self.connection.as_mut().unwrap();
        let mut api = connection.rtc.sdp_api();
        api.ice_restart(true);
        let (offer, pending) = api.apply().unwrap();
        let answer = self.agree(&offer.to_sdp_string());
        let connection = self.connection.as_mut().unwrap();
        let accepted = connection.rtc.sdp_api().accept_answer(pending, answer);
        accepted.unwrap();
    }

    /// Offers something that the server agrees to.
    #[track_caller]
    fn agree(&mut self, offer: &str) -> SdpAnswer {
        self.member.ask(json!({"type": "offer", "sdp": offer}));
        let answer = self.member.client.next_of("answer");
        let sdp = answer["sdp"].as_str().unwrap();
        let names = |line: &str| Some(candidate_of(line)?.1.ip());
        let kept = sdp.split_inclusive("\r\n").filter(|line| {
            self.only.is_none() || names(line).is_none() || names(line) == self.only
        });
        let kept: String = kept.collect();
        self.told = sdp.lines().filter_map(candidate_of).collect();
        SdpAnswer::from_sdp_string(&kept).unwrap()
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

    /// Sends a packet of its own.
    pub fn send(&mut self, now: Instant, sequence: u64, time: u32, payload: &[u8]) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        let mid = connection.microphone;
        let pt = connection.rtc.media(mid).unwrap().remote_pts()[0];
        let levels = ExtensionValues {
            audio_level: Some(-10),
            voice_activity: Some(true),
            ..ExtensionValues::default()
        };
        let write = RtpWrite::new(pt, sequence.into(), time, now, payload).ext_vals(levels);
        let mut api = connection.rtc.direct_api();
        api.stream_tx_by_mid(mid, None).unwrap().write_rtp(write);
        connection.rtc.handle_input(Input::Timeout(now)).unwrap();
        connection.drain(&mut self.heard);
    }

    /// Waits until media go to and fro, and says nothing.
    #[track_caller]
    pub fn until_connected(&mut self) {
        let until = Instant::now() + PATIENCE;
        while !self.is_connected() {
            assert!(Instant::now() < until, "there is no connection");
            self.step(Instant::now());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Lets a while pass, and says nothing.
    pub fn step_for(&mut self, span: Duration) {
        let until = Instant::now() + span;
        while Instant::now() < until {
            self.step(Instant::now());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Takes in what there is, and sends what is to be sent.
    pub fn step(&mut self, now: Instant) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        while let Some((source, datagram)) = connection.wire.receive() {
            let input = Input::Receive(
                now,
                Receive {
                    proto: connection.wire.protocol(),
                    source,
                    destination: connection.wire.own(),
                    contents: DatagramRecv::try_from(&*datagram).unwrap(),
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

/// Returns how and where a line of SDP says that somebody is reached, if it does.
fn candidate_of(line: &str) -> Option<(String, SocketAddr)> {
    let parts: Vec<_> = line.strip_prefix("a=candidate:")?.split(' ').collect();
    let address = SocketAddr::new(parts[4].parse().unwrap(), parts[5].parse().unwrap());
    Some((parts[2].to_owned(), address))
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
                    self.wire.send(transmit.destination, &transmit.contents);
                }
                Output::Event(Event::RtpPacket(packet)) => {
                    heard.push(String::from_utf8(packet.payload.to_vec()).unwrap());
                }
                Output::Event(_) => {}
            }
        }
    }
}

/// What media go by.
enum Wire {
    Udp(UdpSocket),
    /// A connection, what came of it and is no whole frame yet, and what it has not taken.
    Tcp(TcpStream, Vec<u8>, Vec<u8>),
}

impl Wire {
    fn udp(ip: IpAddr) -> Self {
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self::Udp(socket)
    }

    fn tcp(server: SocketAddr, first: &[u8]) -> Self {
        let mut socket = TcpStream::connect(server).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.write_all(first).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self::Tcp(socket, Vec::new(), Vec::new())
    }

    fn protocol(&self) -> Protocol {
        match self {
            Self::Udp(_) => Protocol::Udp,
            Self::Tcp(..) => Protocol::Tcp,
        }
    }

    fn own(&self) -> SocketAddr {
        match self {
            Self::Udp(socket) => socket.local_addr().unwrap(),
            Self::Tcp(socket, ..) => socket.local_addr().unwrap(),
        }
    }

    fn candidate(&self) -> Candidate {
        match self {
            Self::Udp(_) => Candidate::host(self.own(), "udp").unwrap(),
            Self::Tcp(..) => Candidate::builder()
                .tcp()
                .host(self.own())
                .tcptype(TcpType::Active)
                .build()
                .unwrap(),
        }
    }

    fn receive(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        let mut buffer = [0; 2_048];
        match self {
            Self::Udp(socket) => {
                let (len, source) = socket.recv_from(&mut buffer).ok()?;
                Some((source, buffer[..len].to_vec()))
            }
            Self::Tcp(socket, came, _) => {
                while let Ok(len @ 1..) = socket.read(&mut buffer) {
                    came.extend_from_slice(&buffer[..len]);
                }
                let length = usize::from(u16::from_be_bytes(*came.first_chunk()?));
                let frame = came.get(2..2 + length)?.to_vec();
                came.drain(..2 + length);
                Some((socket.peer_addr().unwrap(), frame))
            }
        }
    }

    /// Sends something. What the system does not take of datagrams is lost, as on any network.
    fn send(&mut self, destination: SocketAddr, datagram: &[u8]) {
        match self {
            Self::Udp(socket) => drop(socket.send_to(datagram, destination)),
            Self::Tcp(socket, _, waiting) => {
                assert_eq!(destination, socket.peer_addr().unwrap());
                waiting.extend(u16::try_from(datagram.len()).unwrap().to_be_bytes());
                waiting.extend(datagram);
                if let Ok(sent) = socket.write(waiting) {
                    waiting.drain(..sent);
                }
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
