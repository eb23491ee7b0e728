//! Who of a room is heard, when not everybody can be.

use std::time::{Duration, Instant};

/// Chooses the loudest of those who send sound, each of whom keeps its place while it is chosen.
///
/// Whoever comes gets a place while one is free, or one of somebody silent; else they must be louder
/// by [`MARGIN`] than the quietest who has had a place for [`HOLD`].
#[derive(Debug, Clone)]
pub struct Loudest {
    places: Vec<Option<Place>>,
    /// Changes of a place so far.
    changes: u64,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    who: usize,
    /// How loud lately, 0 to 127.
    loudness: f32,
    heard_at: Instant,
    since: Instant,
    change: u64,
}

/// A place of one who is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Which.
    pub place: usize,
    /// Which change of places gave it to them.
    pub change: u64,
    /// Whether that was just now.
    pub is_new: bool,
}

/// How much louder a newcomer must be, in decibels.
const MARGIN: f32 = 6.0;
/// How long a place is safe.
const HOLD: Duration = Duration::from_millis(600);
/// Who sent nothing for so long gives way to anybody.
const SILENT: Duration = Duration::from_millis(1_500);
/// The part that one packet has in how loud somebody is.
const WEIGHT: f32 = 0.2;

impl Loudest {
    /// Makes room for so many.
    pub fn new(places: usize) -> Self {
        Self {
            places: vec![None; places],
            changes: 0,
        }
    }

    /// Takes note of a packet of somebody, of a level from -127 (silence) to 0 dBov (RFC 6464), and
    /// returns their place, if they have one.
    pub fn hear(&mut self, who: usize, level: i8, now: Instant) -> Option<Heard> {
        let loudness = 127.0 + f32::from(level.clamp(-127, 0));
        let found = self.places.iter_mut().enumerate().find_map(|(at, place)| {
            let place = place.as_mut().filter(|place| place.who == who)?;
            Some((at, place))
        });
        if let Some((at, place)) = found {
            place.loudness += (loudness - place.loudness) * WEIGHT;
            place.heard_at = now;
            return Some(Heard {
                place: at,
                change: place.change,
                is_new: false,
            });
        }
        let at = self.place_for(loudness, now)?;
        self.changes += 1;
        self.places[at] = Some(Place {
            who,
            loudness,
            heard_at: now,
            since: now,
            change: self.changes,
        });
        Some(Heard {
            place: at,
            change: self.changes,
            is_new: true,
        })
    }

    /// Returns somebody's place, if they have one, without taking note of anything.
    pub fn place_of(&self, who: usize) -> Option<Heard> {
        let mut places = self.places.iter().enumerate();
        places.find_map(|(at, place)| {
            let place = place.filter(|place| place.who == who)?;
            Some(Heard {
                place: at,
                change: place.change,
                is_new: false,
            })
        })
    }

    /// Takes the place of somebody who sends no more; whoever has it next is another source.
    pub fn leave(&mut self, who: usize) -> bool {
        let mut had = false;
        for place in &mut self.places {
            if place.is_some_and(|place| place.who == who) {
                *place = None;
                had = true;
            }
        }
        had
    }

    /// Returns who has each place.
    pub fn places(&self) -> impl Iterator<Item = Option<usize>> {
        self.places.iter().map(|place| place.map(|place| place.who))
    }

    fn place_for(&self, loudness: f32, now: Instant) -> Option<usize> {
        if let Some(free) = self.places.iter().position(Option::is_none) {
            return Some(free);
        }
        let past = |then: Instant| now.saturating_duration_since(then);
        let places = self.places.iter().enumerate();
        let taken = places.filter_map(|(at, place)| Some((at, (*place)?)));
        let (at, quietest) = taken
            .filter(|(_, place)| past(place.heard_at) >= SILENT || past(place.since) >= HOLD)
            .map(|(at, place)| match past(place.heard_at) >= SILENT {
                true => (at, f32::NEG_INFINITY),
                false => (at, place.loudness),
            })
            .min_by(|(_, one), (_, other)| one.total_cmp(other))?;
        (loudness >= quietest + MARGIN).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_heard_while_there_is_room_and_the_quietest_gives_way() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut loudest = Loudest::new(2);
        assert_eq!(
            loudest.hear(1, -100, at(0)).map(|heard| heard.place),
            Some(0)
        );
        assert_eq!(
            loudest.hear(2, -30, at(0)).map(|heard| heard.place),
            Some(1)
        );
        assert_eq!(
            loudest.hear(3, -20, at(100)),
            None,
            "a place is safe at first"
        );
        let heard = loudest.hear(3, -20, at(700)).unwrap();
        assert_eq!((heard.place, heard.is_new), (0, true));
        assert_eq!(
            loudest.hear(1, -25, at(1_400)),
            None,
            "not louder by enough"
        );
        assert_eq!(loudest.places().collect::<Vec<_>>(), [Some(3), Some(2)]);
    }

    #[test]
    fn who_is_silent_gives_way_to_anybody() {
        let start = Instant::now();
        let mut loudest = Loudest::new(1);
        loudest.hear(1, -10, start).unwrap();
        let later = start + SILENT;
        assert!(loudest.hear(2, -127, later).unwrap().is_new);
        assert!(loudest.leave(2));
        assert!(!loudest.leave(2));
        assert_eq!(loudest.places().collect::<Vec<_>>(), [None]);
    }
}
