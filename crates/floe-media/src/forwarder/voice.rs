//! Packets of voices, from who speaks to who hears them.

use std::sync::Arc;
use std::time::Instant;

use floe_core::voice::MediaOutput;
use str0m::rtp::{ExtensionValues, RtpPacket, RtpWrite};

use crate::forwarder::Forwarder;
use crate::peer::Peer;
use crate::recording::Recorded;

impl Forwarder {
    pub(super) fn forward(&mut self, now: Instant, from: usize, packet: &RtpPacket) -> Option<()> {
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
        let peer = self.peers.get_mut(from)?;
        let room_id = peer.seat.room;
        // Who came by a place with a packet that is late would be heard to say it after what they said since.
        let is_late = !peer.connection()?.is_newest(packet);
        let room = self.rooms.get_mut(&room_id)?;
        let heard = match is_late {
            true => room.loudest.place_of(from)?,
            false => room.loudest.hear(from, level, now)?,
        };
        // A browser that has another stream for its voice counts its packets anew.
        let source = heard.change << 32 | u64::from(*packet.header.ssrc);
        let members = std::mem::take(&mut room.members);
        for &to in members.iter().filter(|to| **to != from) {
            if heard.is_new {
                self.tell_tracks(to);
            }
            self.send_voice(now, to, heard.place, source, packet);
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

    /// Takes a participant's voice from those who are heard.
    pub(super) fn unhear(&mut self, at: usize) {
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
}
