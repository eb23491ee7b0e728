//! Whose pictures a room's participants see.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use floe_core::voice::{MediaError, MediaOutput, SeatId, Source, Watch};
use floe_proto::RoomId;
use str0m::bwe::Bitrate;

use crate::forwarder::Forwarder;
use crate::video::choose::{Wish, choose};
use crate::video::codec::PictureCodec;
use crate::video::slot::PictureId;

/// A picture that is there to be seen.
struct Seen {
    picture: PictureId,
    codec: Option<PictureCodec>,
}

impl Forwarder {
    /// Takes note of what a participant's browser offers of pictures by now.
    pub(crate) fn offer_pictures(&mut self, at: usize) {
        let Some(peer) = self.peers.get_mut(at) else {
            return;
        };
        for source in [Source::Camera, Source::Screen] {
            let (mid, rids) = match &peer.connection {
                Some(connection) => connection.picture(source),
                None => (None, [].as_slice()),
            };
            if let Some(picture) = peer.pictures.get_mut(source) {
                picture.offer(mid, rids);
            }
        }
        let room = peer.seat.room;
        self.rechoose(room);
    }

    /// Takes note of what a participant wants to see by one of its media.
    ///
    /// # Errors
    /// Where it has no such medium.
    pub(crate) fn watch(&mut self, seat: SeatId, watch: Watch) -> Result<(), MediaError> {
        let at = self.seats.get(&seat).copied();
        let connection = at.and_then(|at| self.connection(at));
        let mut slots = connection
            .into_iter()
            .flat_map(|one| &mut one.picture_slots);
        let slot = slots.find(|slot| *slot.mid == *watch.mid);
        let slot = slot.ok_or_else(|| {
            let message = format!("there is no medium {} to receive pictures by", watch.mid);
            MediaError::Signal(message.into())
        })?;
        slot.watch(watch);
        if let Some(connection) = at.and_then(|at| self.connection(at)) {
            connection.budget.share_anew();
        }
        self.rechoose(seat.room);
        Ok(())
    }

    /// Chooses anew where somebody speaks and not all pictures have a slot with everybody.
    pub(crate) fn rechoose_by_voice(&mut self, room: RoomId) {
        if self.rooms.get(&room).is_some_and(|room| room.is_crowded) {
            self.rechoose(room);
        }
    }

    /// Chooses which pictures everybody of a room sees.
    pub(crate) fn rechoose(&mut self, room_id: RoomId) {
        let Some(room) = self.rooms.get(&room_id) else {
            return;
        };
        let members = room.members.clone();
        let pictures = self.pictures_of(&members);
        let mut watchers: BTreeMap<PictureId, Vec<(usize, usize)>> = BTreeMap::new();
        let mut is_crowded = false;
        for &at in &members {
            let Some((chosen, leaves_some)) = self.choose_for(at, &pictures) else {
                continue;
            };
            is_crowded |= leaves_some;
            for (slot, picture) in chosen.iter().enumerate() {
                if let Some(picture) = picture {
                    watchers.entry(*picture).or_default().push((at, slot));
                }
            }
            if self.show(at, &chosen) {
                self.tell_tracks(at);
            }
        }
        for seen in &pictures {
            let (from, source) = seen.picture;
            let watchers = watchers.remove(&seen.picture).unwrap_or_default();
            let peer = self.peers.get_mut(from);
            if let Some(picture) = peer.and_then(|peer| peer.pictures.get_mut(source)) {
                picture.watchers = Arc::from(watchers);
            }
        }
        if let Some(room) = self.rooms.get_mut(&room_id) {
            room.is_crowded = is_crowded;
        }
    }

    /// Returns what there is to be seen of some participants, the most important first: screens, then
    /// who spoke last, then who came first.
    fn pictures_of(&self, members: &[usize]) -> Vec<Seen> {
        let mut pictures = Vec::new();
        for &at in members {
            let Some(peer) = self.peers.get(at) else {
                continue;
            };
            for source in [Source::Screen, Source::Camera] {
                let picture = peer.pictures.get(source);
                let Some(picture) = picture.filter(|one| one.is_offered()) else {
                    continue;
                };
                if peer.is_seen(source) {
                    let seen = Seen {
                        picture: (at, source),
                        codec: picture.codec(),
                    };
                    pictures.push((source != Source::Screen, Reverse(peer.spoke_at), seen));
                }
            }
        }
        pictures.sort_by_key(|(is_camera, spoke_at, _)| (*is_camera, *spoke_at));
        pictures.into_iter().map(|(_, _, seen)| seen).collect()
    }

    /// Chooses what a participant sees in each slot, and says whether something is left that it could.
    fn choose_for(&self, at: usize, pictures: &[Seen]) -> Option<(Vec<Option<PictureId>>, bool)> {
        let slots = &self.peers.get(at)?.connection.as_ref()?.picture_slots;
        let is_taken = |codec: PictureCodec| slots.iter().any(|slot| slot.pt(codec).is_some());
        let seen: Vec<PictureId> = pictures
            .iter()
            .filter(|seen| seen.picture.0 != at && seen.codec.is_none_or(is_taken))
            .map(|seen| seen.picture)
            .collect();
        let wishes: Vec<_> = slots
            .iter()
            .map(|slot| {
                let wish = slot.asked.as_ref().map(|(user, source)| {
                    let of_user = |(who, what): &&PictureId| {
                        let peer = self.peers.get(*who);
                        what == source && peer.is_some_and(|peer| *peer.user == **user)
                    };
                    Wish::This(seen.iter().find(of_user).copied())
                });
                (wish.unwrap_or(Wish::Any), slot.shows)
            })
            .collect();
        let chosen = choose(&seen, &wishes);
        let leaves_some = !slots.is_empty() && chosen.iter().flatten().count() < seen.len();
        Some((chosen, leaves_some))
    }

    /// Has a participant's slots show something; returns whether it is something else than before.
    fn show(&mut self, at: usize, chosen: &[Option<PictureId>]) -> bool {
        let Some(connection) = self.connection(at) else {
            return false;
        };
        let mut is_other = false;
        for (slot, picture) in connection.picture_slots.iter_mut().zip(chosen) {
            is_other |= slot.show(*picture);
        }
        if is_other {
            connection.open_slots();
            connection.budget.share_anew();
            if chosen.iter().all(Option::is_none) && connection.budget.wish(0).is_some() {
                let bwe = &mut connection.rtc.bwe();
                bwe.set_bitrate(Bitrate::ZERO, Bitrate::ZERO);
            }
        }
        is_other
    }

    /// Tells a participant that something it asked for was not done.
    pub(crate) fn refuse(&mut self, seat: SeatId, error: MediaError) {
        self.outputs.push_back(MediaOutput::Refused { seat, error });
    }
}
