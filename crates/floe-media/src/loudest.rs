//! Who of a room is heard, when not everybody can be.

use std::collections::HashMap;
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// Chooses the loudest of those who send sound, each of whom keeps its place while it is chosen.
///
/// Whoever comes gets a place while one is free, or one of somebody silent; else they must have been louder
/// for a while, by [`MARGIN`], than the quietest who has had a place for [`HOLD`]. What a packet costs
/// grows with the places, not with those who wait for one.
#[derive(Debug, Clone)]
pub struct Loudest {
    places: Vec<Option<Place>>,
    waiting: HashMap<usize, Waiting>,
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

/// Somebody who sends sound and has no place.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    loudness: f32,
    heard_at: Instant,
    /// Packets that it was made of.
    packets: u8,
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
/// The part that one packet has in how loud somebody is, when it is louder, and when it is not: who begins to
/// speak is louder than who does not within five packets, and who takes breath keeps their place.
const RISE: f32 = 0.12;
const FALL: f32 = 0.03;
/// Packets after which it is known how loud somebody is.
const STEADY: u8 = 5;

impl Loudest {
    /// Makes room for so many.
    pub fn new(places: usize) -> Self {
        Self {
            places: vec![None; places],
            waiting: HashMap::new(),
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
            place.loudness = smooth(place.loudness, loudness);
            place.heard_at = now;
            return Some(Heard {
                place: at,
                change: place.change,
                is_new: false,
            });
        }
        let waiting = self.wait(who, loudness, now);
        let at = self.place_for(&waiting, now)?;
        self.waiting.remove(&who);
        self.changes += 1;
        let place = Place {
            who,
            loudness: waiting.loudness,
            heard_at: now,
            since: now,
            change: self.changes,
        };
        if let Some(before) = self.places[at].replace(place) {
            let waiting = Waiting {
                loudness: before.loudness,
                heard_at: before.heard_at,
                packets: STEADY,
            };
            self.waiting.insert(before.who, waiting);
        }
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
        self.waiting.remove(&who);
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

    /// Takes note of a packet of somebody who has no place.
    fn wait(&mut self, who: usize, loudness: f32, now: Instant) -> Waiting {
        let new = Waiting {
            loudness,
            heard_at: now,
            packets: 0,
        };
        let waiting = self.waiting.entry(who).or_insert(new);
        if now.saturating_duration_since(waiting.heard_at) >= SILENT {
            *waiting = new;
        }
        waiting.loudness = smooth(waiting.loudness, loudness);
        waiting.heard_at = now;
        waiting.packets = waiting.packets.saturating_add(1);
        *waiting
    }

    fn place_for(&self, who: &Waiting, now: Instant) -> Option<usize> {
        if let Some(free) = self.places.iter().position(Option::is_none) {
            return Some(free);
        }
        let past = |then: Instant| now.saturating_duration_since(then);
        let places = self.places.iter().enumerate();
        let taken = places.filter_map(|(at, place)| Some((at, (*place)?)));
        let silent = taken.clone().find(|(_, one)| past(one.heard_at) >= SILENT);
        if let Some((at, _)) = silent {
            return Some(at);
        }
        let (at, quietest) = taken
            .filter(|(_, one)| past(one.since) >= HOLD)
            .min_by(|(_, one), (_, other)| one.loudness.total_cmp(&other.loudness))?;
        let is_louder = who.loudness >= quietest.loudness + MARGIN;
        (who.packets >= STEADY && is_louder).then_some(at)
    }
}

/// Returns how loud somebody is who was so loud, and is so loud in one packet more.
fn smooth(before: f32, packet: f32) -> f32 {
    let weight = if packet > before { RISE } else { FALL };
    before + (packet - before) * weight
}
