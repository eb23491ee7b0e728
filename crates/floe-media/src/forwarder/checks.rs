//! What is looked at now and then: how connections are, and what is too much.

use std::time::{Duration, Instant};

use floe_core::voice::{MediaError, MediaOutput, Quality};
use str0m::rtp::RtpPacket;

use super::Forwarder;
use crate::counters::Gauges;
use crate::intake::State;

/// When everything is looked at, and what was seen last.
#[derive(Debug, Default)]
pub(super) struct Checks {
    due: Option<Instant>,
    last: Option<Instant>,
    bytes_in: u64,
    bytes_out: u64,
}

/// How often everything is looked at.
const INTERVAL: Duration = Duration::from_secs(1);

impl Checks {
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Has everything be looked at from now on, while there is something.
    pub(super) fn begin(&mut self, now: Instant) {
        self.due.get_or_insert(now + INTERVAL);
    }
}

impl Forwarder {
    /// Looks at everything, if it is time to.
    pub(super) fn check(&mut self, now: Instant) {
        if self.checks.due.is_none_or(|due| now < due) {
            return;
        }
        self.checks.due = (!self.peers.is_empty()).then(|| now + INTERVAL);
        let mut gauges = Gauges {
            participants: self.peers.len() as u64,
            rooms: self.rooms.len() as u64,
            ..Gauges::default()
        };
        let all: Vec<usize> = self.peers.iter().map(|(at, _)| at).collect();
        for at in all {
            self.check_one(now, at, &mut gauges);
        }
        self.measure_rates(now, &mut gauges);
        self.counters.gauges = gauges;
    }

    /// Whether a packet that was decrypted is to be forwarded, as far as its sender's limits go.
    pub(super) fn admit(&mut self, now: Instant, from: usize, packet: &RtpPacket) -> bool {
        let Some(connection) = self.connection(from) else {
            return true;
        };
        if let Some(place) = connection.stream_of(packet) {
            let streams = &mut connection.intake.streams;
            streams.hear(*packet.header.ssrc, place, *packet.seq_no, now);
        }
        connection.intake.admits_bytes(packet.payload.len(), now)
    }

    /// Whether a participant may offer something.
    pub(super) fn admit_offer(&mut self, now: Instant, at: usize) -> Result<(), MediaError> {
        let limit = |message: String| Err(MediaError::Limit(message.into()));
        let config = &self.config;
        let peer = &mut self.peers[at];
        if !peer.offers.take(1.0, now) {
            let most = config.offers_per_second;
            return limit(format!(
                "a participant offers at most {most} times a second"
            ));
        }
        if peer.connection.is_some() {
            return Ok(());
        }
        let room = peer.seat.room;
        let connected = |(_, peer): &(usize, &crate::peer::Peer)| peer.connection.is_some();
        if self.peers.iter().filter(connected).count() >= config.connections_max {
            let most = config.connections_max;
            return limit(format!(
                "this server has at most {most} connections for media"
            ));
        }
        let is_carried = |room: &crate::room::Room| {
            let mut members = room.members.iter();
            members.any(|member| self.peers[*member].connection.is_some())
        };
        let others = self.rooms.iter().filter(|(id, _)| **id != room);
        let is_new = !self.rooms.get(&room).is_some_and(is_carried);
        if is_new && others.filter(|(_, room)| is_carried(room)).count() >= config.rooms_max {
            let most = config.rooms_max;
            return limit(format!("this server carries at most {most} voice rooms"));
        }
        Ok(())
    }

    fn check_one(&mut self, now: Instant, at: usize, gauges: &mut Gauges) {
        let Some(peer) = self.peers.get_mut(at) else {
            return;
        };
        let is_heard = peer.is_heard();
        let mut quality = Quality::None;
        let mut is_gone = false;
        if let Some(connection) = peer.connection.as_mut() {
            let is_connected = connection.rtc.is_connected();
            let intake = &mut connection.intake;
            match intake.judge(is_connected, is_heard, now, &mut self.counters) {
                State::Is(word) => quality = word,
                State::Gone => is_gone = true,
            }
            if is_connected {
                let micros = |seconds: f64| (seconds * 1e6) as u64;
                gauges.connected += 1;
                gauges.tracks_in += intake.live;
                gauges.tracks_out += connection.tracks_out();
                let intake = &connection.intake;
                gauges.jitter_max_us = gauges.jitter_max_us.max(micros(intake.jitter));
                let taken = intake.round_trip.unwrap_or_default().as_secs_f64();
                gauges.round_trip_max_us = gauges.round_trip_max_us.max(micros(taken));
            }
        }
        if is_gone {
            self.counters.connections_lost += 1;
            self.disconnect(now, at);
        }
        self.tell_quality(at, quality);
    }

    fn tell_quality(&mut self, at: usize, quality: Quality) {
        let Some(peer) = self.peers.get_mut(at) else {
            return;
        };
        if std::mem::replace(&mut peer.quality, quality) != quality {
            let seat = peer.seat;
            self.outputs
                .push_back(MediaOutput::Quality { seat, quality });
        }
    }

    fn measure_rates(&mut self, now: Instant, gauges: &mut Gauges) {
        let counters = &self.counters;
        if let Some(last) = self.checks.last {
            let passed = now.saturating_duration_since(last).as_secs_f64();
            let rate = |bytes: u64| (bytes as f64 * 8.0 / passed) as u64;
            gauges.bit_rate_in = rate(counters.bytes_in - self.checks.bytes_in);
            gauges.bit_rate_out = rate(counters.bytes_out - self.checks.bytes_out);
        }
        self.checks.last = Some(now);
        self.checks.bytes_in = counters.bytes_in;
        self.checks.bytes_out = counters.bytes_out;
    }
}
