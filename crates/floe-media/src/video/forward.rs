//! Packets of pictures, from who sends them to who sees them.

use std::sync::Arc;
use std::time::Instant;

use floe_core::voice::Source;
use str0m::bwe::Bitrate;
use str0m::media::{KeyframeRequestKind, Mid, Rid};
use str0m::rtp::{ExtensionValues, RtpPacket, RtpWrite};

use crate::forwarder::Forwarder;
use crate::video::allocate::{self, Want};
use crate::video::codec::{Look, PictureCodec};
use crate::video::picture::Noted;
use crate::video::slot::PictureId;
use crate::video::splice::Piece;
use crate::video::vp8::Ids;

/// A packet of a picture, and what is known of it.
struct Shown<'a> {
    picture: PictureId,
    codec: PictureCodec,
    look: Look,
    piece: Piece,
    packet: &'a RtpPacket,
}

impl Forwarder {
    /// Sends a packet of a picture to all who see its layer.
    pub(crate) fn forward_picture(
        &mut self,
        now: Instant,
        from: usize,
        (mid, rid): (Mid, Option<Rid>),
        packet: &RtpPacket,
    ) -> Option<()> {
        let peer = self.peers.get_mut(from)?;
        let connection = peer.connection.as_ref()?;
        let source = connection.source_by(mid)?;
        let codec = connection.codec_of(packet.header.payload_type)?;
        if !peer.is_seen(source) {
            return None;
        }
        let room = peer.seat.room;
        let picture = peer.pictures.get_mut(source)?;
        let layer = picture.layer_named(rid)?;
        let look = codec.look(&packet.payload)?;
        let noted = Noted {
            stream: packet.header.ssrc,
            codec,
            bytes: packet.payload.len(),
            begins_keyframe: look.begins_keyframe,
        };
        let is_other_codec = picture.note(layer, &noted, now);
        if is_other_codec {
            self.rechoose(room);
        }
        let shown = Shown {
            picture: (from, source),
            codec,
            look,
            piece: Piece {
                layer,
                ssrc: *packet.header.ssrc,
                sequence: *packet.seq_no,
                time: packet.header.timestamp,
                begins_keyframe: look.begins_keyframe,
                ids: look.vp8.as_ref().map(Ids::of).unwrap_or_default(),
            },
            packet,
        };
        let picture = self.peers.get(from)?.pictures.get(source)?;
        let watchers = Arc::clone(&picture.watchers);
        let mut went = None;
        for &(to, slot) in watchers.iter() {
            self.share(now, to);
            if self.send_picture(now, to, slot, &shown).is_some() {
                went = Some(());
            }
        }
        self.ask(now, from, source, layer);
        went
    }

    /// Asks for a keyframe of the picture that a participant sees by one of its media.
    pub(crate) fn refresh_picture(&mut self, now: Instant, to: usize, mid: Mid) -> Option<()> {
        let mut slots = self.connection(to)?.picture_slots.iter();
        let slot = slots.find(|slot| slot.mid == mid)?;
        let (from, source) = slot.shows?;
        let layer = slot.splice.shown()?;
        let picture = self.peers.get_mut(from)?.pictures.get_mut(source)?;
        picture.want_keyframe(layer);
        self.ask(now, from, source, layer);
        Some(())
    }

    /// Sends a packet of a picture by one of a peer's slots.
    fn send_picture(
        &mut self,
        now: Instant,
        to: usize,
        slot: usize,
        shown: &Shown<'_>,
    ) -> Option<()> {
        let connection = self.connection(to)?;
        if !connection.rtc.is_connected() {
            return None;
        }
        let slot = connection.picture_slots.get_mut(slot)?;
        if slot.shows != Some(shown.picture) {
            return None;
        }
        let (mid, pt) = (slot.mid, slot.pt(shown.codec)?);
        let placed = slot.splice.place(&shown.piece, now);
        if slot.splice.waits_for(shown.piece.layer) {
            self.want_keyframe(shown);
        }
        let placed = placed?;
        let RtpPacket {
            header, payload, ..
        } = shown.packet;
        let payload = Arc::clone(payload);
        let bytes = payload.len() as u64;
        let mut write = RtpWrite::new(pt, placed.sequence.into(), placed.time, now, payload)
            .marker(header.marker)
            .nackable(true)
            .ext_vals(ExtensionValues {
                video_orientation: header.ext_vals.video_orientation,
                ..ExtensionValues::default()
            });
        if let Some(vp8) = &shown.look.vp8
            && let Some(patch) = placed.ids.patch(vp8)
        {
            write = write.vp8_patch(patch);
        }
        let connection = self.peers.get_mut(to)?.connection()?;
        let mut api = connection.rtc.direct_api();
        api.stream_tx_by_mid(mid, None)?.write_rtp(write);
        self.counters.packets_out += 1;
        self.counters.bytes_out += bytes;
        self.schedule.give(now, to, &mut connection.turn);
        Some(())
    }

    fn want_keyframe(&mut self, shown: &Shown<'_>) {
        let (from, source) = shown.picture;
        let peer = self.peers.get_mut(from);
        if let Some(picture) = peer.and_then(|peer| peer.pictures.get_mut(source)) {
            picture.want_keyframe(shown.piece.layer);
        }
    }

    /// Asks for a keyframe of a layer where one is wanted, and it is time to.
    fn ask(&mut self, now: Instant, from: usize, source: Source, layer: usize) -> Option<()> {
        let peer = self.peers.get_mut(from)?;
        let stream = peer.pictures.get_mut(source)?.poll_ask(layer, now)?;
        let connection = peer.connection()?;
        let mut api = connection.rtc.direct_api();
        let asked = api.stream_rx(&stream)?;
        asked.request_keyframe(KeyframeRequestKind::Pli);
        self.schedule.give(now, from, &mut connection.turn);
        Some(())
    }

    /// Shares what reaches a participant among the pictures that it sees, where it is time to.
    fn share(&mut self, now: Instant, to: usize) -> Option<()> {
        if !self.connection(to)?.budget.poll_share(now) {
            return None;
        }
        let connection = self.peers.get(to)?.connection.as_ref()?;
        let slots = connection.picture_slots.iter();
        let wants: Vec<Want> = slots
            .map(|slot| {
                let picture = slot.shows.and_then(|(from, source)| {
                    let picture = self.peers.get(from)?.pictures.get(source)?;
                    Some((source, picture))
                });
                Want {
                    is_screen: picture.is_some_and(|(source, _)| source == Source::Screen),
                    costs: picture.map_or_else(Vec::new, |(_, picture)| picture.costs(now)),
                    best: picture.map_or(0, |(_, picture)| picture.best(slot.quality)),
                    shown: slot.splice.shown(),
                }
            })
            .collect();
        let (estimate, sound) = connection.budget.network(now);
        let chosen = allocate::allocate(estimate, sound, &wants);
        let desired = allocate::desired(sound, &wants);
        let connection = self.connection(to)?;
        for (slot, layer) in connection.picture_slots.iter_mut().zip(chosen) {
            slot.splice.want(layer);
        }
        if let Some(desired) = connection.budget.wish(desired) {
            connection.rtc.bwe().set_bitrate(Bitrate::ZERO, desired);
        }
        Some(())
    }
}
