//! Where the voices of recorded rooms are taken from.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use floe_core::voice::SeatId;
use floe_proto::RoomId;

/// A packet of a voice in a recorded room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// What the recording is called.
    pub recording: Arc<str>,
    /// Whose seat, and in which room.
    pub seat: SeatId,
    /// Who.
    pub user: Arc<str>,
    /// The stream it is of; another one has other times.
    pub stream: u32,
    /// When it was said, in ticks of the sender's 48 kHz clock, which begins anywhere and wraps.
    pub time: u32,
    /// How loud, in dBov, where the sender says so.
    pub level: Option<i8>,
    /// Opus.
    pub payload: Arc<[u8]>,
    /// When it came.
    pub at: Instant,
}

/// Keeps packets of recorded rooms until the host takes them.
#[derive(Debug, Default)]
pub struct Tap {
    rooms: BTreeMap<RoomId, Arc<str>>,
    packets: VecDeque<Recorded>,
}

impl Tap {
    /// Begins a recording of a room, or ends it where there is none.
    pub fn record(&mut self, room: RoomId, recording: Option<Arc<str>>) {
        match recording {
            Some(recording) => self.rooms.insert(room, recording),
            None => self.rooms.remove(&room),
        };
    }

    /// Returns what the recording of a room is called, if there is one.
    pub fn recording(&self, room: RoomId) -> Option<&Arc<str>> {
        self.rooms.get(&room)
    }

    /// Keeps a packet, unless `packets_max` wait already; returns whether it did.
    pub fn keep(&mut self, packet: Recorded, packets_max: usize) -> bool {
        let fits = self.packets.len() < packets_max;
        if fits {
            self.packets.push_back(packet);
        }
        fits
    }

    /// Returns the next packet, oldest first.
    pub fn poll(&mut self) -> Option<Recorded> {
        self.packets.pop_front()
    }
}
