//! Datagrams of strangers, and of who can write a participant's address as theirs: nothing panics, and nothing
//! goes to an address that nobody proved to have.
#![no_main]

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use floe_core::voice::{MediaInput, MediaOutput, SeatId, Sends, Signal};
use floe_media::{Config, Datagram, Forwarder, Local, Protocol};
use floe_proto::RoomId;
use libfuzzer_sys::fuzz_target;

const OFFER: &str = include_str!("../offer.sdp");

struct Room {
    forwarder: Forwarder,
    now: Instant,
    /// What the server's part of a participant's name is.
    ufrag: String,
}

thread_local! {
    static ROOM: RefCell<Room> = RefCell::new(room());
}

fuzz_target!(|data: &[u8]| ROOM.with_borrow_mut(|room| {
    // Datagrams one after another, each with its length; some name the participant.
    let mut rest = data;
    while let [len, more @ ..] = rest {
        let (bytes, more) = more.split_at(more.len().min(usize::from(*len) * 4));
        rest = more;
        room.now += Duration::from_millis(7);
        let named;
        let bytes = match bytes {
            [0xFF, attributes @ ..] => {
                named = name(&room.ufrag, attributes);
                &*named
            }
            bytes => bytes,
        };
        let source: SocketAddr = ([203, 0, 113, 1], 4_000).into();
        let protocol = Protocol::Udp;
        let datagram = Datagram {
            protocol,
            source,
            bytes,
        };
        room.forwarder.receive(room.now, datagram);
        room.forwarder.handle_timeout(room.now);
        assert!(
            room.forwarder.poll_transmit().is_none(),
            "an answer to a stranger"
        );
        while room.forwarder.poll_output().is_some() {}
    }
}));

/// Makes a STUN message that names a participant, and says whatever else.
fn name(ufrag: &str, attributes: &[u8]) -> Vec<u8> {
    let user = format!("{ufrag}:abcd");
    let mut body = vec![0, 6, 0, u8::try_from(user.len()).expect("a short name")];
    body.extend(user.bytes());
    body.resize(body.len().next_multiple_of(4), 0);
    body.extend(attributes);
    let mut message = vec![0, 1];
    message.extend(
        u16::try_from(body.len())
            .expect("a short message")
            .to_be_bytes(),
    );
    message.extend([0x21, 0x12, 0xA4, 0x42]);
    message.extend([7; 12]);
    message.extend(body);
    message
}

fn room() -> Room {
    let now = Instant::now();
    let local = Local {
        protocol: Protocol::Udp,
        address: ([192, 0, 2, 1], 4_438).into(),
    };
    let config = Config {
        locals: vec![local],
        ..Config::default()
    };
    let mut forwarder = Forwarder::new(config).expect("a forwarder");
    let seat = SeatId {
        room: RoomId(1),
        seat: 1,
    };
    let sends = Sends {
        audio: true,
        ..Sends::default()
    };
    let user = Arc::from("ann");
    forwarder.handle(now, MediaInput::Joined { seat, user, sends });
    let signal = Signal::Offer {
        sdp: OFFER.into(),
        sources: Box::default(),
    };
    forwarder.handle(now, MediaInput::Signal { seat, signal });
    let answers = std::iter::from_fn(|| forwarder.poll_output());
    let ufrag = answers.filter_map(|output| match output {
        MediaOutput::Signal {
            signal: Signal::Answer(sdp),
            ..
        } => {
            let mut lines = sdp.lines();
            lines.find_map(|line| Some(line.strip_prefix("a=ice-ufrag:")?.to_owned()))
        }
        _ => None,
    });
    let ufrag = ufrag.last().expect("an answer");
    Room {
        forwarder,
        now,
        ufrag,
    }
}
