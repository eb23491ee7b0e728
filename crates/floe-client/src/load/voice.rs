//! Voice rooms: participants that speak and hear, each by a peer connection of its own.
//!
//! Signals go over WebSockets, which the run's thread drives as ever; sound goes over UDP, one socket a
//! participant, on a thread of its own.

mod media;
mod order;
mod participant;
mod said;

use std::cell::Cell;
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;
use std::time::Duration;

use super::meter::Kind;
use super::process::Memory;
use super::report::{Report, Unit};
use super::roles::{Talk, TalkRole};
use super::run::{Run, RunError, Window};
use super::workloads::{conclude, note_memory_per_item};
pub(crate) use media::Commands;
use media::{Media, Tally};
pub(crate) use participant::{Agreeing, Who};
use said::Said;

/// Participants of rooms, of whom some speak and all hear.
pub(super) fn talk(run: &Run) -> Result<Report, RunError> {
    let plan = &run.plan;
    if plan.message_bytes < Said::LEN {
        return Err(RunError::MessageTooSmall {
            message_bytes_min: Said::LEN,
        });
    }
    let before = run.pid.and_then(Memory::of);
    let media = Media::start(plan.message_bytes)?;
    let carries = Rc::new(Cell::new(None));
    let local = local_address(run.target.address)?;
    let first_room = fastrand::u64(..) & ROOM_MASK;
    let mut engine = run.engine()?;
    let count = plan.rooms as usize * plan.participants;
    // Those to be checked are spread over all rooms.
    let mut share = 0.0;
    for number in 0..count {
        share += plan.checked_percent / 100.0;
        let is_checked = share >= 1.0;
        if is_checked {
            share -= 1.0;
        }
        let room = (number / plan.participants) as u32;
        engine.add(Box::new(TalkRole::new(Talk {
            room_name: format!("{:012x}", (first_room + u64::from(room)) & ROOM_MASK),
            room,
            number: number as u32,
            speaks: number % plan.participants < plan.speakers,
            is_checked,
            local,
            carries: Rc::clone(&carries),
            media: media.orders(),
        })));
    }
    let refused = || carries.get() == Some(false);
    let connected = engine.run_until(CONNECT_LIMIT, |_| refused() || media.connected() >= count)?;
    if refused() {
        return Err(RunError::NoMedia);
    }
    if !connected {
        return Err(RunError::NotReady {
            ready: media.connected(),
            connections: count,
            errors: std::mem::take(&mut engine.shared.errors),
        });
    }
    engine.start()?;
    media.speak();
    engine.run_for(plan.warm_up)?;
    let window = Window::open(&mut engine, run.pid, before);
    media.measure();
    engine.run_for(plan.duration)?;
    let tally = media.finish()?;
    let meters = &mut engine.shared.meters;
    meters.add(Kind::Packet, tally.received, tally.bytes, &tally.latency_ns);
    let handshakes = tally.handshake_ns.len();
    meters.add(Kind::Handshake, handshakes, 0, &tally.handshake_ns);
    let mut report = window.close(&mut engine, run, Unit::Each(Kind::Packet));
    note_memory_per_item(run, &mut report, before, count as u64);
    note(run, &mut report, &tally);
    for (error, times) in tally.errors {
        for _ in 0..times {
            engine.shared.note_error(&error);
        }
    }
    conclude(engine, report)
}

/// Notes what was sent, lost, doubled and late.
fn note(run: &Run, report: &mut Report, tally: &Tally) {
    let percent = |part: u64, whole: u64| match whole {
        0 => 0.0,
        _ => part as f64 * 100.0 / whole as f64,
    };
    let (sent, seconds) = (tally.sent as f64, report.seconds);
    let hearers = run.plan.participants.saturating_sub(1) as f64;
    let extra = &mut report.extra;
    extra.insert("sent_per_second", sent / seconds);
    extra.insert(
        "lost_percent",
        percent(tally.lost, tally.lost + tally.received),
    );
    extra.insert("duplicates", tally.duplicates as f64);
    extra.insert("out_of_order", tally.out_of_order as f64);
    extra.insert("streams", tally.streams as f64);
    extra.insert("generator_late_ms", tally.late_ns_max as f64 / 1e6);
    if sent > 0.0 && hearers > 0.0 {
        // Less than all where more speak than are forwarded.
        let all = sent * hearers;
        extra.insert("heard_percent", tally.received as f64 * 100.0 / all);
    }
}

/// Returns the address of this machine that the server sees.
fn local_address(server: SocketAddr) -> std::io::Result<SocketAddr> {
    let any: SocketAddr = match server.is_ipv4() {
        true => ([0, 0, 0, 0], 0).into(),
        false => ([0_u16; 8], 0).into(),
    };
    let probe = UdpSocket::bind(any)?;
    probe.connect(server)?;
    let mut local = probe.local_addr()?;
    local.set_port(0);
    Ok(local)
}

/// Time in which everybody must be connected.
const CONNECT_LIMIT: Duration = Duration::from_secs(120);
/// A room's name has twelve hexadecimal digits.
const ROOM_MASK: u64 = (1 << 48) - 1;
