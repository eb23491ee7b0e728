//! What participants are told of what they receive.

use std::sync::Arc;

use floe_core::voice::{MediaOutput, Source, Track};

use crate::connection::Slot;
use crate::forwarder::Forwarder;

impl Forwarder {
    /// Has a participant know what the media that they receive show.
    pub(crate) fn tell_tracks(&mut self, at: usize) {
        let Some(peer) = self.peers.get(at) else {
            return;
        };
        let (Some(connection), Some(room)) = (&peer.connection, self.rooms.get(&peer.seat.room))
        else {
            return;
        };
        let places: Vec<_> = room.loudest.places().collect();
        let user = |who: usize| Some(Arc::clone(&self.peers.get(who)?.user));
        let tracks = connection.slots().filter_map(|slot| match slot {
            Slot::Voice(place) => {
                let who = places.get(place).copied().flatten();
                Some(Track {
                    mid: (*connection.audio_slots.get(place)?.mid).into(),
                    user: who.filter(|who| *who != at).and_then(user),
                    source: Source::Microphone,
                })
            }
            Slot::Picture(place) => {
                let slot = connection.picture_slots.get(place)?;
                Some(Track {
                    mid: (*slot.mid).into(),
                    user: slot.shows.and_then(|(who, _)| user(who)),
                    source: slot.shows.map_or(Source::Camera, |(_, source)| source),
                })
            }
        });
        let output = MediaOutput::Tracks {
            seat: peer.seat,
            tracks: tracks.collect(),
        };
        self.outputs.push_back(output);
    }
}
