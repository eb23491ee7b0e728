//! The file of one participant: packets as they come in, pages in the order of what was said.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::ogg::{self, PACKET_BYTES_MAX, Pages};
use super::opus::{self, SILENCE, SILENCE_SAMPLES};

/// Makes an Ogg file of the packets of one participant.
///
/// The file begins where the recording does. What is missing, for whatever reason, is silence, so that
/// everything is heard when it was said. The times of the packets say what lies between two of them,
/// while that agrees with when they came; a new stream, a clock that goes wrong and one that was
/// stopped meanwhile begin anew where their packets came.
///
/// After each [`hear`](Self::hear), and now and then, take pages with [`poll_page`](Self::poll_page) until
/// there are none.
#[derive(Debug)]
pub struct Track {
    pages: Pages,
    comments: Vec<(Box<str>, Box<str>)>,
    has_begun: bool,
    /// What came, and may yet be preceded by something that is late: by stream and time.
    held: BTreeMap<Place, Held>,
    newest: Option<Newest>,
    /// The newest that left `held`.
    placed: Option<Place>,
    /// What a time of a stream is in the file.
    shift: Option<(u64, i64)>,
    /// Packets of silence to write first.
    silences: u64,
    /// The packet to write then.
    next: Option<Held>,
    is_finishing: bool,
    is_ended: bool,
    dropped: u64,
}

/// A packet of a participant's voice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// The stream it is of; another one has other times.
    pub stream: u32,
    /// When it was said, in ticks of 48 kHz, which begin anywhere and wrap.
    pub time: u32,
    /// When it came, since the recording began.
    pub at: Duration,
    /// Opus.
    pub payload: Arc<[u8]>,
}

/// The number of a stream, and the time in it.
type Place = (u64, i64);

#[derive(Debug)]
struct Held {
    /// When it came, in samples.
    came: i64,
    samples: u32,
    payload: Arc<[u8]>,
}

#[derive(Debug, Clone, Copy)]
struct Newest {
    stream: u32,
    time: u32,
    place: Place,
    came: i64,
}

/// How long a packet waits for others that were said before it.
const HOLD: Duration = Duration::from_millis(500);
/// Packets that wait; above, the first goes.
const HELD_MAX: usize = 256;
/// How far the times of a stream may go back, and how much more or less than the clock they may have
/// gone on, before they are of another stream: two seconds.
const JUMP: i64 = 96_000;
/// How far what was said may be from when it came before it is put right: 80 ms.
const TOLERANCE: i64 = 3_840;
/// Packets that must agree that a stream is late, where it is by less than [`JUMP`].
const AGREED_MIN: usize = 5;

impl Track {
    /// Begins a file, which is told from others by its serial number. The comments are `NAME=value`.
    pub fn new(serial: u32, comments: &[(&str, &str)]) -> Self {
        let comments = comments.iter();
        Self {
            pages: Pages::new(serial),
            comments: comments
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
            has_begun: false,
            held: BTreeMap::new(),
            newest: None,
            placed: None,
            shift: None,
            silences: 0,
            next: None,
            is_finishing: false,
            is_ended: false,
            dropped: 0,
        }
    }

    /// Takes a packet in.
    pub fn hear(&mut self, packet: Packet) {
        if self.take(packet).is_none() {
            self.dropped += 1;
        }
    }

    /// Has everything be written that is held; no packet follows.
    pub const fn finish(&mut self) {
        self.is_finishing = true;
    }

    /// Returns the next bytes of the file; `now` is since the recording began.
    pub fn poll_page(&mut self, now: Duration) -> Option<Vec<u8>> {
        let now = samples_in(now);
        while !self.is_ended {
            if self.silences > 0 {
                if !self.pages.fits(SILENCE.len()) {
                    return Some(self.pages.next());
                }
                self.pages.push(&SILENCE, SILENCE_SAMPLES);
                self.silences -= 1;
            } else if let Some(next) = self.next.take() {
                if !self.pages.fits(next.payload.len()) {
                    self.next = Some(next);
                    return Some(self.pages.next());
                }
                self.pages.push(&next.payload, next.samples);
            } else if self.place_first(now).is_some() {
                if !self.has_begun {
                    return Some(self.begin());
                }
            } else if self.is_finishing && self.has_begun {
                self.is_ended = true;
                return Some(self.pages.last());
            } else {
                break;
            }
        }
        None
    }

    /// How long the file sounds by now, in milliseconds.
    #[must_use]
    pub fn duration_ms(&self) -> u64 {
        ogg::sounds_ms(self.pages.samples())
    }

    /// Packets that are not in the file: malformed, twice there, or too late.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    fn take(&mut self, packet: Packet) -> Option<()> {
        if packet.payload.len() > PACKET_BYTES_MAX || self.is_finishing {
            return None;
        }
        let samples = opus::samples(&packet.payload)?;
        let came = samples_in(packet.at);
        let place = self.place_of(&packet, came);
        let is_late = self.placed.is_some_and(|placed| placed >= place);
        // Whoever takes pages leaves far fewer than this.
        if is_late || self.held.contains_key(&place) || self.held.len() > 2 * HELD_MAX {
            return None;
        }
        let payload = packet.payload;
        let held = Held {
            came,
            samples,
            payload,
        };
        self.held.insert(place, held);
        Some(())
    }

    /// Finds the stream and the unwrapped time of a packet.
    fn place_of(&mut self, packet: &Packet, came: i64) -> Place {
        let follows = self.newest.filter(|newest| newest.stream == packet.stream);
        let step = |newest: &Newest| {
            // Times wrap, and may go back.
            let step = packet.time.wrapping_sub(newest.time).cast_signed();
            i64::from(step)
        };
        let same = follows.map(|newest| (newest, step(&newest)));
        let same = same.filter(|(newest, step)| {
            let passed = came - newest.came;
            *step >= -JUMP && (step - passed).abs() <= JUMP
        });
        let place = match (same, self.newest) {
            (Some((newest, step)), _) => (newest.place.0, newest.place.1 + step),
            (None, Some(newest)) => (newest.place.0 + 1, 0),
            (None, None) => (0, 0),
        };
        if self.newest.is_none_or(|newest| newest.place < place) {
            self.newest = Some(Newest {
                stream: packet.stream,
                time: packet.time,
                place,
                came,
            });
        }
        place
    }

    /// Finds where the first packet that is held belongs, once nothing is waited for that could be
    /// before it.
    fn place_first(&mut self, now: i64) -> Option<()> {
        let (&place, first) = self.held.first_key_value()?;
        let has_waited = now - first.came >= samples_in(HOLD);
        if !self.is_finishing && !has_waited && self.held.len() <= HELD_MAX {
            return None;
        }
        let shift = self.shift_at(place);
        self.shift = Some((place.0, shift));
        let held = self.held.remove(&place)?;
        self.placed = Some(place);
        let written = i64::try_from(self.pages.samples()).unwrap_or(i64::MAX);
        let ahead = place.1 + shift - written;
        if ahead < -TOLERANCE {
            // Something else is heard there.
            self.dropped += 1;
            return Some(());
        }
        self.silences = u64::try_from(ahead).unwrap_or(0) / u64::from(SILENCE_SAMPLES);
        self.next = Some(held);
        Some(())
    }

    /// Returns what is to be added to the times of a stream from a packet on.
    ///
    /// The packet that was least late is nearest to the truth. So one that is late among others is
    /// where it was said, and a stream that is late from here on was stopped.
    fn shift_at(&self, place: Place) -> i64 {
        let stream = self.held.range(place..(place.0 + 1, i64::MIN));
        let shifts = stream.map(|((_, time), held)| held.came - time);
        let (known, least) = shifts.fold((0_usize, i64::MAX), |(known, least), shift| {
            (known + 1, least.min(shift))
        });
        let Some((_, before)) = self.shift.filter(|(stream, _)| *stream == place.0) else {
            return least;
        };
        let is_sure = known >= AGREED_MIN || least < before;
        match (least - before).abs() > TOLERANCE && is_sure {
            true => least,
            false => before,
        }
    }

    fn begin(&mut self) -> Vec<u8> {
        self.has_begun = true;
        let is_stereo = self
            .next
            .as_ref()
            .is_some_and(|first| opus::is_stereo(&first.payload));
        let comments = self.comments.iter();
        let comments: Vec<_> = comments.map(|(name, value)| (&**name, &**value)).collect();
        self.pages.begin(1 + u8::from(is_stereo), &comments)
    }
}

/// Returns how many samples a while has.
fn samples_in(span: Duration) -> i64 {
    let samples = span.as_micros().saturating_mul(48) / 1_000;
    i64::try_from(samples).unwrap_or(i64::MAX)
}
