//! Offers of browsers that are none: each is answered or refused, nothing panics, and nothing is left of who leaves.
#![no_main]

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use floe_core::voice::{MediaInput, MediaOutput, SeatId, Sends, Signal};
use floe_media::{Config, Forwarder, Local, Protocol};
use floe_proto::RoomId;
use libfuzzer_sys::fuzz_target;

const OFFER: &str = include_str!("../offer.sdp");

thread_local! {
    static FORWARDER: RefCell<(Forwarder, Instant)> = RefCell::new(forwarder());
}

fuzz_target!(|data: &[u8]| FORWARDER.with_borrow_mut(|(forwarder, now)| {
    *now += Duration::from_secs(10);
    let seat = SeatId {
        room: RoomId(1),
        seat: 1,
    };
    let sends = Sends {
        audio: true,
        ..Sends::default()
    };
    let user = Arc::from("ann");
    forwarder.handle(*now, MediaInput::Joined { seat, user, sends });
    // What is no text is a change of an offer that is one: which line, and what becomes of it.
    let offers = match std::str::from_utf8(data) {
        Ok(text) => vec![text.to_owned(), format!("{OFFER}{text}")],
        Err(_) => vec![OFFER.to_owned(), changed(data)],
    };
    for sdp in offers {
        let signal = Signal::Offer {
            sdp: sdp.into(),
            sources: Box::default(),
        };
        forwarder.handle(*now, MediaInput::Signal { seat, signal });
        let told: Vec<_> = std::iter::from_fn(|| forwarder.poll_output()).collect();
        let is_answer = |output: &&MediaOutput| {
            matches!(
                output,
                MediaOutput::Signal { .. } | MediaOutput::Refused { .. }
            )
        };
        assert_eq!(told.iter().filter(is_answer).count(), 1);
        assert!(forwarder.poll_transmit().is_none());
        *now += Duration::from_secs(1);
        forwarder.handle_timeout(*now);
    }
    forwarder.handle(*now, MediaInput::Left(seat));
    while forwarder.poll_output().is_some() {}
    *now += Duration::from_secs(1);
    forwarder.handle_timeout(*now);
    assert_eq!(forwarder.poll_timeout(), None, "something is left");
}));

fn changed(data: &[u8]) -> String {
    let mut lines: Vec<String> = OFFER.lines().map(Into::into).collect();
    for change in data.chunks(4) {
        let [at, kind, place, value] = [0, 1, 2, 3].map(|at| change.get(at).copied().unwrap_or(0));
        let at = usize::from(at) % lines.len();
        match kind % 5 {
            0 if lines.len() > 1 => {
                lines.remove(at);
            }
            1 => lines.insert(at, lines[usize::from(value) % lines.len()].clone()),
            2 => {
                let other = usize::from(value) % lines.len();
                lines.swap(at, other);
            }
            3 => lines[at].truncate(usize::from(place)),
            _ => {
                let mut bytes = lines[at].clone().into_bytes();
                let place = usize::from(place) % bytes.len().max(1);
                if let Some(byte) = bytes.get_mut(place) {
                    *byte = value & 0x7F;
                }
                lines[at] = String::from_utf8_lossy(&bytes).into_owned();
            }
        }
    }
    lines.join("\r\n")
}

fn forwarder() -> (Forwarder, Instant) {
    let local = Local {
        protocol: Protocol::Udp,
        address: ([192, 0, 2, 1], 4_438).into(),
    };
    let config = Config {
        locals: vec![local],
        ..Config::default()
    };
    (Forwarder::new(config).expect("a forwarder"), Instant::now())
}
