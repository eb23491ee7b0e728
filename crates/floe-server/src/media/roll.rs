//! Who is there, for a forwarder that has to begin anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use floe_core::voice::{MediaInput, SeatId, Sends};
use floe_proto::RoomId;

/// What a forwarder was told and that still holds. It is bounded by the seats of all rooms.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Roll {
    seats: BTreeMap<SeatId, Present>,
    recordings: BTreeMap<RoomId, Arc<str>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Present {
    user: Arc<str>,
    sends: Sends,
    muted: bool,
}

impl Roll {
    /// Takes note of what a forwarder is told.
    pub fn note(&mut self, input: &MediaInput) {
        match input {
            MediaInput::Joined { seat, user, sends } => {
                let present = Present {
                    user: Arc::clone(user),
                    sends: *sends,
                    muted: false,
                };
                self.seats.insert(*seat, present);
            }
            MediaInput::Changed { seat, sends, muted } => {
                if let Some(present) = self.seats.get_mut(seat) {
                    present.sends = *sends;
                    present.muted = *muted;
                }
            }
            MediaInput::Left(seat) => {
                self.seats.remove(seat);
            }
            MediaInput::Record {
                room,
                recording: Some(recording),
            } => {
                self.recordings.insert(*room, Arc::clone(recording));
            }
            MediaInput::Record {
                room,
                recording: None,
            } => {
                self.recordings.remove(room);
            }
            // What browsers had agreed on is gone; they offer anew.
            MediaInput::Away(_)
            | MediaInput::Returned(_)
            | MediaInput::Signal { .. }
            | MediaInput::Watch { .. }
            | MediaInput::Timeout => {}
        }
    }

    /// Returns what another forwarder must be told to know the same.
    pub fn inputs(&self) -> impl Iterator<Item = MediaInput> {
        let seats = self.seats.iter().flat_map(|(&seat, present)| {
            let Present { user, sends, muted } = present;
            let joined = MediaInput::Joined {
                seat,
                user: Arc::clone(user),
                sends: *sends,
            };
            let changed = MediaInput::Changed {
                seat,
                sends: *sends,
                muted: true,
            };
            [Some(joined), muted.then_some(changed)]
        });
        let recordings = self.recordings.iter();
        let recordings = recordings.map(|(&room, recording)| MediaInput::Record {
            room,
            recording: Some(Arc::clone(recording)),
        });
        seats.flatten().chain(recordings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seat(seat: u64) -> SeatId {
        let room = RoomId(1);
        SeatId { room, seat }
    }

    #[test]
    fn who_is_told_the_roll_knows_the_same() {
        let sends = Sends {
            audio: true,
            ..Sends::default()
        };
        let joined = |number, user: &str| MediaInput::Joined {
            seat: seat(number),
            user: user.into(),
            sends,
        };
        let muted = MediaInput::Changed {
            seat: seat(2),
            sends: Sends::default(),
            muted: true,
        };
        let record = |room, recording: Option<&str>| MediaInput::Record {
            room: RoomId(room),
            recording: recording.map(Into::into),
        };
        let told = [
            joined(2, "bob"),
            joined(1, "ann"),
            joined(3, "cem"),
            muted.clone(),
            MediaInput::Left(seat(3)),
            record(1, Some("a")),
            record(2, Some("b")),
            record(2, None),
            MediaInput::Away(seat(1)),
        ];
        let mut roll = Roll::default();
        told.iter().for_each(|input| roll.note(input));
        let mut same = Roll::default();
        roll.inputs().for_each(|input| same.note(&input));
        assert_eq!(same, roll);
        let bob = MediaInput::Joined {
            seat: seat(2),
            user: "bob".into(),
            sends: Sends::default(),
        };
        let expected = [joined(1, "ann"), bob, muted, record(1, Some("a"))];
        assert_eq!(roll.inputs().collect::<Vec<_>>(), expected);
    }
}
