//! Streams that are kept in part: the server's own that would grow for ever.
//!
//! What a channel keeps is its owner's to say and stands with its settings; this is the same for a
//! stream, said by the server.

use floe_proto::codec::Reader;
use floe_proto::{Millis, Retention};

use crate::channel::{ChannelSettings, Marks};
use crate::record::Record;
use crate::room::{Room, Size};

/// How much of a stream is kept, and the marks along its log that decide where that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    retention: Retention,
    marks: Marks,
}

impl Kept {
    /// Begins to keep a part of a stream of which nothing is known but how far it reaches: all that
    /// is there counts as new, and as no bytes.
    pub const fn new(retention: Retention, start: u64, tail: u64, now: Millis) -> Self {
        Self {
            retention,
            marks: Marks::of_stream(start, tail, now),
        }
    }

    pub const fn retention(&self) -> Retention {
        self.retention
    }

    pub const fn marks(&self) -> &Marks {
        &self.marks
    }

    pub fn change(&mut self, retention: Retention) {
        self.marks.mark();
        self.retention = retention;
    }

    pub fn apply_size(&mut self, size: Size, now: Millis) {
        if size.units > 0 {
            self.marks.take(size, now, self.retention);
        }
    }

    pub fn apply_retain(&mut self, start: u64, now: Millis) {
        self.marks.forget_before(start, now);
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        encode_retention(self.retention, out);
        self.marks.encode(out);
    }

    pub fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            retention: decode_retention(reader)?,
            marks: Marks::decode(reader)?,
        })
    }
}

impl Room {
    /// Decides that a stream keeps so much from now on; `None` when that is so already, or it is a
    /// channel, whose settings say it.
    #[must_use]
    pub fn decide_keep(&self, retention: Retention) -> Option<Record<'static>> {
        let before = self.kept().map(Kept::retention).unwrap_or_default();
        let changes = self.channel().is_none() && before != retention;
        changes.then_some(Record::Keep(retention))
    }
}

/// Writes a retention as the settings of a channel have it.
pub(crate) fn encode_retention(retention: Retention, out: &mut Vec<u8>) {
    let settings = ChannelSettings {
        retention,
        ..ChannelSettings::default()
    };
    settings.encode(out);
}

pub(crate) fn decode_retention(reader: &mut Reader<'_>) -> Option<Retention> {
    Some(ChannelSettings::decode(reader)?.retention)
}

#[cfg(test)]
mod tests {
    use floe_proto::RoomId;
    use proptest::prelude::*;

    use super::*;
    use crate::channel::RETAIN_INTERVAL_MS;
    use crate::record::DataRecord;
    use crate::{ContentType, Create, Lifetime};

    const NOW: Millis = Millis(1_000_000);
    const AGE: Retention = Retention {
        max_age_ms: Some(12_000),
        max_events: None,
        max_bytes: None,
    };
    const EVENTS: Retention = Retention {
        max_age_ms: None,
        max_events: Some(3),
        max_bytes: None,
    };

    fn log() -> Room {
        let create = Create::new(ContentType::new("application/json"), Lifetime::Unlimited);
        let record = create.record(b"__audit__", NOW);
        Room::create(RoomId(1), &record, Size::NONE, NOW).unwrap()
    }

    fn append(room: &mut Room, now: Millis) {
        let size = Size {
            units: 1,
            bytes: 10,
        };
        room.apply(&Record::Data(DataRecord::default()), size, now);
        room.show(room.staged());
    }

    fn keep(room: &mut Room, retention: Retention, now: Millis) {
        let record = room.decide_keep(retention).expect("it changes");
        room.apply(&record, Size::NONE, now);
        assert_eq!(room.decide_keep(retention), None);
    }

    fn retain(room: &mut Room, now: Millis) -> u64 {
        if let Some(record) = room.decide_retention(now) {
            room.apply(&record, Size::NONE, now);
        }
        room.start()
    }

    fn restarted(room: &Room) -> Room {
        let mut state = Vec::new();
        room.encode(&mut state);
        Room::decode(room.id(), &state).unwrap()
    }

    #[test]
    fn a_stream_of_which_nothing_is_said_keeps_everything() {
        let mut room = log();
        assert_eq!(room.decide_keep(Retention::default()), None);
        for at in 0..100 {
            append(&mut room, NOW.plus(at * 1_000_000));
        }
        assert_eq!(
            (room.decide_retention(NOW.plus(1 << 40)), room.wake_at()),
            (None, None)
        );
    }

    #[test]
    fn records_go_when_they_are_old_and_not_before() {
        let mut room = log();
        keep(&mut room, AGE, NOW);
        for at in 0..24 {
            append(&mut room, NOW.plus(at * 1_000));
        }
        let last = NOW.plus(23_000);
        // Of those within twelve seconds all are there; up to a twelfth more may be.
        let start = retain(&mut room, last);
        assert!((10..=12).contains(&start), "{start}");
        // Nobody need write for the rest to go.
        let mut room = restarted(&room);
        while let Some(at) = room.wake_at() {
            retain(&mut room, at);
            assert!(at <= last.plus(12_000 + RETAIN_INTERVAL_MS));
        }
        assert_eq!(room.start(), 24);
    }

    #[test]
    fn what_was_there_before_counts_as_new() {
        let mut room = log();
        for _ in 0..5 {
            append(&mut room, NOW);
        }
        let later = NOW.plus(1_000_000);
        keep(&mut room, AGE, later);
        assert_eq!(retain(&mut room, later.plus(11_999)), 0);
        assert_eq!(retain(&mut room, later.plus(12_000)), 5);
        keep(&mut room, EVENTS, later.plus(12_000));
        for at in 0..5 {
            append(&mut room, later.plus(20_000 + at));
        }
        assert_eq!(retain(&mut room, later.plus(20_005)), 7);
        keep(&mut room, Retention::default(), later.plus(30_000));
        assert_eq!(retain(&mut room, later.plus(1 << 40)), 7);
    }

    proptest! {
        /// Within each bound everything is kept, whatever came before, and a restart changes nothing.
        #[test]
        fn no_more_goes_than_may(
            before in 0_u64..20,
            steps in prop::collection::vec((0_u64..3_000, any::<bool>()), 1..80),
        ) {
            let mut room = log();
            for _ in 0..before {
                append(&mut room, NOW);
            }
            let retention = Retention {
                max_age_ms: Some(20_000),
                max_events: Some(30),
                max_bytes: Some(500),
            };
            keep(&mut room, retention, NOW);
            let mut times = vec![NOW; before as usize];
            let mut now = NOW;
            for (ms, restarts) in steps {
                now = now.plus(ms);
                append(&mut room, now);
                times.push(now);
                if restarts {
                    room = restarted(&room);
                }
                let start = retain(&mut room, now);
                let kept = times.len() as u64 - start;
                let young = times.iter().filter(|time| now.since(**time) < 20_000).count() as u64;
                prop_assert!(kept >= young.min(30).min(50), "{} of {}", kept, young);
                prop_assert_eq!(restarted(&room), room.clone());
            }
        }
    }
}
