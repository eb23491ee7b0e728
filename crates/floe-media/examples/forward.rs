//! What forwarding a packet of a voice costs, without sockets.
//!
//! `cargo run --release -p floe-media --example forward -- [SECONDS [BATCH]]`
//!
//! Browsers made of `str0m` talk in rooms of 2, 10 and 100 on a clock of their own, 50 packets a second each
//! who speaks; only what the forwarder does is measured, as CPU time of the thread. BATCH datagrams are taken
//! in before what comes of them is taken out (1 unless told).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use floe_core::voice::{MediaInput, MediaOutput, SeatId, Sends, Signal};
use floe_media::{Config, Datagram, Forwarder, Local, Transmit};
use floe_proto::RoomId;
use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{DatagramRecv, Protocol, Receive};
use str0m::rtp::{ExtensionValues, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc};

const SERVER: ([u8; 4], u16) = ([192, 0, 2, 1], 4438);
/// From packet to packet of one voice.
const TICK: Duration = Duration::from_millis(20);
/// Ticks before anything is counted: everybody is connected by then.
const WARM_UP_TICKS: u32 = 100;
/// Bytes of a packet of Opus at 32 kbit/s.
const PAYLOAD_BYTES: usize = 80;

fn main() {
    let mut args = std::env::args().skip(1);
    let mut number = |default: usize| {
        args.next()
            .map_or(default, |n| n.parse().expect("a number"))
    };
    let (seconds, batch) = (number(20), number(1));
    println!("rooms  people  speak    forwarded   lost  ns a packet");
    for (rooms, people, speakers) in [
        (100, 2, 2),
        (100, 2, 1),
        (20, 10, 1),
        (20, 10, 3),
        (2, 100, 3),
        (2, 100, 10),
    ] {
        let mut world = World::new();
        for room in 0..rooms {
            for at in 0..people {
                world.join(RoomId(room), at < speakers);
            }
        }
        for _ in 0..WARM_UP_TICKS {
            world.tick(batch);
        }
        let connected = world.browsers.iter().filter(|one| one.rtc.is_connected());
        assert_eq!(connected.count(), world.browsers.len(), "not all connected");
        world.spent = Duration::ZERO;
        let heard_before = world.heard;
        let before = world.forwarder.counters().packets_out;
        let ticks = seconds as u32 * 50;
        for _ in 0..ticks {
            world.tick(batch);
        }
        let forwarded = world.forwarder.counters().packets_out - before;
        let lost = forwarded - (world.heard - heard_before);
        println!(
            "{rooms:>5} {people:>7} {speakers:>6} {forwarded:>12} {lost:>6} {:>12.0}",
            world.spent.as_nanos() as f64 / forwarded as f64,
        );
    }
}

/// A forwarder, and those who talk by it.
struct World {
    now: Instant,
    forwarder: Forwarder,
    browsers: Vec<Browser>,
    by_address: HashMap<SocketAddr, usize>,
    /// What is on the way to the forwarder.
    datagrams: Vec<(SocketAddr, Vec<u8>)>,
    transmits: Vec<Transmit>,
    heard: u64,
    /// CPU time of the forwarder.
    spent: Duration,
}

struct Browser {
    rtc: Rtc,
    address: SocketAddr,
    microphone: Mid,
    speaks: bool,
    sequence: u64,
    due: Instant,
}

impl World {
    fn new() -> Self {
        let config = Config {
            locals: vec![Local {
                protocol: Protocol::Udp,
                address: SERVER.into(),
            }],
            ..Config::default()
        };
        Self {
            now: Instant::now(),
            forwarder: Forwarder::new(config).expect("a forwarder"),
            browsers: Vec::new(),
            by_address: HashMap::new(),
            datagrams: Vec::new(),
            transmits: Vec::new(),
            heard: 0,
            spent: Duration::ZERO,
        }
    }

    fn join(&mut self, room: RoomId, speaks: bool) {
        let at = self.browsers.len();
        let seat = SeatId {
            room,
            seat: at as u64 + 1,
        };
        let sends = Sends {
            audio: true,
            ..Sends::default()
        };
        let user: Arc<str> = format!("user{at}").into();
        let joined = MediaInput::Joined { seat, user, sends };
        self.forwarder.handle(self.now, joined);
        let [.., high, low] = (at as u32).to_be_bytes();
        let address: SocketAddr = ([10, 0, high, low], 5_000).into();
        let mut rtc = Rtc::builder().set_rtp_mode(true).build(self.now);
        rtc.add_local_candidate(Candidate::host(address, "udp").expect("a candidate"));
        let mut api = rtc.sdp_api();
        let microphone = api.add_media(MediaKind::Audio, Direction::SendOnly, None, None, None);
        for _ in 0..self.forwarder.features().audio_slots {
            api.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
        }
        let (offer, pending) = api.apply().expect("an offer");
        let signal = Signal::Offer {
            sdp: offer.to_sdp_string().into(),
            sources: Box::default(),
        };
        self.forwarder
            .handle(self.now, MediaInput::Signal { seat, signal });
        let answer = std::iter::from_fn(|| self.forwarder.poll_output())
            .find_map(|output| {
                if let MediaOutput::Signal {
                    signal: Signal::Answer(sdp),
                    ..
                } = output
                {
                    return Some(sdp);
                }
                None
            })
            .expect("an answer");
        let answer = SdpAnswer::from_sdp_string(&answer).expect("SDP");
        rtc.sdp_api()
            .accept_answer(pending, answer)
            .expect("agreement");
        self.by_address.insert(address, at);
        self.browsers.push(Browser {
            rtc,
            address,
            microphone,
            speaks,
            sequence: 1,
            due: self.now,
        });
    }

    /// Lets 20 ms pass.
    fn tick(&mut self, batch: usize) {
        self.now += TICK;
        for at in 0..self.browsers.len() {
            self.browsers[at].speak(self.now);
            self.drain(at);
        }
        let datagrams = std::mem::take(&mut self.datagrams);
        let start = cpu_time();
        for batch in datagrams.chunks(batch) {
            for (source, bytes) in batch {
                let datagram = Datagram {
                    protocol: Protocol::Udp,
                    source: *source,
                    bytes,
                };
                self.forwarder.receive(self.now, datagram);
            }
            self.take_out();
        }
        if self
            .forwarder
            .poll_timeout()
            .is_some_and(|due| due <= self.now)
        {
            self.forwarder.handle_timeout(self.now);
        }
        self.take_out();
        self.spent += cpu_time() - start;
        for transmit in std::mem::take(&mut self.transmits) {
            let at = self.by_address[&transmit.destination];
            let browser = &mut self.browsers[at];
            let receive = Receive {
                proto: Protocol::Udp,
                source: SERVER.into(),
                destination: browser.address,
                contents: DatagramRecv::try_from(&transmit.bytes[..]).expect("a datagram"),
            };
            let input = Input::Receive(self.now, receive);
            browser.rtc.handle_input(input).expect("a connection");
            self.drain(at);
        }
    }

    fn take_out(&mut self) {
        self.transmits
            .extend(std::iter::from_fn(|| self.forwarder.poll_transmit()));
        while self.forwarder.poll_output().is_some() {}
    }

    /// Takes out all that a browser has to say.
    fn drain(&mut self, at: usize) {
        let browser = &mut self.browsers[at];
        loop {
            match browser.rtc.poll_output().expect("a connection") {
                Output::Timeout(due) => return browser.due = due,
                Output::Transmit(transmit) => {
                    let bytes = transmit.contents.to_vec();
                    self.datagrams.push((browser.address, bytes));
                }
                Output::Event(Event::RtpPacket(_)) => self.heard += 1,
                Output::Event(_) => {}
            }
        }
    }
}

impl Browser {
    fn speak(&mut self, now: Instant) {
        if self.speaks && self.rtc.is_connected() {
            let media = self.rtc.media(self.microphone).expect("a microphone");
            let pt = media.remote_pts()[0];
            let sequence = self.sequence;
            self.sequence += 1;
            let payload = [sequence as u8; PAYLOAD_BYTES];
            let write = RtpWrite::new(pt, sequence.into(), sequence as u32 * 960, now, payload)
                .ext_vals(ExtensionValues {
                    audio_level: Some(-30),
                    voice_activity: Some(true),
                    ..ExtensionValues::default()
                });
            let mut api = self.rtc.direct_api();
            let stream = api.stream_tx_by_mid(self.microphone, None);
            stream.expect("a stream").write_rtp(write);
        } else if self.due > now {
            return;
        }
        self.rtc
            .handle_input(Input::Timeout(now))
            .expect("a connection");
    }
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
