//! What carries the media of one participant: a peer connection with a browser.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use floe_core::voice::Source;
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind, Mid, Pt, Rid};
use str0m::rtp::{Extension, RtpPacket, Ssrc};
use str0m::{Event, PacerReason, Reason, Rtc, RtcError};

use crate::counters::Counters;
use crate::intake::Intake;
use crate::offer::Offer;
use crate::renumber::Renumber;
use crate::rtp;
use crate::schedule::Turn;
use crate::streams::Place;
use crate::video::{Budget, PictureCodec, PictureSlot};

/// A peer connection, and what was agreed on it.
#[derive(Debug)]
pub struct Connection {
    /// The machine that speaks WebRTC.
    pub rtc: Rtc,
    /// What STUN messages for it name.
    pub ufrag: Box<str>,
    /// When it is asked and woken.
    pub turn: Turn,
    /// What comes, and how well.
    pub intake: Intake,
    /// The media to send voices by, in the order of the offer.
    pub audio_slots: Vec<AudioSlot>,
    /// The media to send pictures by, in the order of the offer.
    pub picture_slots: Vec<PictureSlot>,
    /// By which medium the browser sends its voice.
    pub microphone: Option<Mid>,
    /// By which medium it sends its camera.
    pub camera: Option<Mid>,
    /// By which medium it sends its screen.
    pub screen: Option<Mid>,
    /// How much of pictures reaches it.
    pub budget: Budget,
    /// The browser's certificate: another one is another browser, or the same with nothing kept.
    fingerprint: Box<str>,
    /// All media, in the order in which they were offered.
    sections: Vec<(Mid, MediaKind)>,
    /// What the browser calls the forms in which it sends a picture at once.
    layers: Vec<(Mid, Vec<Rid>)>,
    /// By which medium, and in which form, a stream comes.
    streams: HashMap<Ssrc, (Mid, Option<Rid>)>,
    /// What media show, where the browser said so.
    sources: Vec<(Box<str>, Source)>,
}

/// A medium by which the voices of others go out.
#[derive(Debug)]
pub struct AudioSlot {
    /// Its name.
    pub mid: Mid,
    /// What the browser calls Opus.
    pub pt: Pt,
    /// What makes one stream of many.
    pub renumber: Renumber,
}

/// Ticks of Opus in a second (RFC 7587).
const OPUS_RATE: u32 = 48_000;
/// Ticks of pictures in a second (RFC 7741, RFC 6184).
const VIDEO_RATE: u32 = 90_000;
/// How seldom the estimate of a network is looked after that carries no pictures.
const QUIET_STEP: Duration = Duration::from_millis(100);

impl Connection {
    /// Begins a connection that nothing is agreed on.
    pub fn new(rtc: Rtc, fingerprint: &str, intake: Intake) -> Self {
        Self {
            rtc,
            ufrag: Box::default(),
            turn: Turn::default(),
            intake,
            audio_slots: Vec::new(),
            picture_slots: Vec::new(),
            microphone: None,
            camera: None,
            screen: None,
            budget: Budget::new(),
            fingerprint: fingerprint.into(),
            sections: Vec::new(),
            layers: Vec::new(),
            streams: HashMap::new(),
            sources: Vec::new(),
        }
    }

    /// Whether an offer is of the browser that this is a connection with.
    pub fn is_with(&self, fingerprint: &str) -> bool {
        *self.fingerprint == *fingerprint && self.rtc.is_alive()
    }

    /// Agrees to an offer, and returns the answer.
    ///
    /// # Errors
    /// Where the offer cannot be agreed to; the connection may be of no use then.
    pub fn agree(
        &mut self,
        offer: Offer,
        sources: Box<[(Box<str>, Source)]>,
    ) -> Result<Box<str>, RtcError> {
        let answer = self.rtc.sdp_api().accept_offer(offer.sdp)?;
        self.sources = sources.into();
        self.sections = offer.sections;
        self.layers = offer.layers;
        self.ufrag = self.rtc.direct_api().local_ice_credentials().ufrag.into();
        Ok(answer.to_sdp_string().into())
    }

    /// Looks at what the media are for by now; of pictures so many are sent at once.
    pub fn refresh(&mut self, pictures_max: usize) {
        self.microphone = None;
        self.camera = None;
        self.screen = None;
        self.streams.clear();
        let mut voices = std::mem::take(&mut self.audio_slots);
        let mut pictures = std::mem::take(&mut self.picture_slots);
        for (mid, kind) in self.sections.clone() {
            let Some(media) = self.rtc.media(mid).filter(|media| !media.disabled()) else {
                continue;
            };
            let direction = media.direction();
            if direction.is_receiving() {
                let by = self.source_of(mid, kind).map(|source| match source {
                    Source::Microphone => &mut self.microphone,
                    Source::Camera => &mut self.camera,
                    Source::Screen => &mut self.screen,
                });
                if let Some(by) = by {
                    by.get_or_insert(mid);
                }
            }
            if !direction.is_sending() {
                continue;
            }
            match kind {
                MediaKind::Audio => self.audio_slots.extend(self.audio_slot(mid, &mut voices)),
                MediaKind::Video if self.picture_slots.len() < pictures_max => {
                    let slot = self.picture_slot(mid, direction, &mut pictures);
                    self.picture_slots.push(slot);
                }
                MediaKind::Video => {}
            }
        }
        self.budget.share_anew();
        self.open_slots();
    }

    /// Has the machine know which slots show something.
    ///
    /// While there is one that sends, it sends padding and asks what the network takes, which is nothing
    /// that voices need. What was agreed on with the browser stays as it is.
    pub fn open_slots(&mut self) {
        for slot in &self.picture_slots {
            let mut api = self.rtc.sdp_api();
            api.set_direction(slot.mid, slot.direction());
        }
    }

    /// Returns all slots in the order of the offer: the places of those for voices, and of those for
    /// pictures.
    pub fn slots(&self) -> impl Iterator<Item = Slot> {
        self.sections.iter().filter_map(|(mid, _)| {
            let voice = || self.audio_slots.iter().position(|slot| slot.mid == *mid);
            let picture = || self.picture_slots.iter().position(|slot| slot.mid == *mid);
            let voice = voice().map(Slot::Voice);
            voice.or_else(|| picture().map(Slot::Picture))
        })
    }

    /// Returns by which medium a picture comes, and what its forms are called.
    pub fn picture(&self, source: Source) -> (Option<Mid>, &[Rid]) {
        let mid = match source {
            Source::Camera => self.camera,
            Source::Screen => self.screen,
            Source::Microphone => None,
        };
        let layers = self.layers.iter().find(|(of, _)| Some(*of) == mid);
        (mid, layers.map_or(&[], |(_, layers)| layers))
    }

    /// Returns which picture comes by a medium.
    pub fn source_by(&self, mid: Mid) -> Option<Source> {
        if self.camera == Some(mid) {
            return Some(Source::Camera);
        }
        (self.screen == Some(mid)).then_some(Source::Screen)
    }

    /// Returns what a packet of a picture is written in.
    pub fn codec_of(&self, pt: Pt) -> Option<PictureCodec> {
        let params = self.rtc.codec_config().params();
        let known = params.iter().find(|one| one.pt() == pt)?;
        PictureCodec::of(known)
    }

    /// Returns when to wake the machine that wants to be woken at `due`.
    ///
    /// While a network carries no pictures, its estimate is nothing to be woken for often.
    pub fn wake_at(&self, now: Instant, due: Instant) -> Instant {
        let is_for_estimate = matches!(
            self.rtc.last_timeout_reason(),
            Reason::Pacer(PacerReason::Handle)
                | Reason::BweDelayControl
                | Reason::BweProbeControl
                | Reason::BweProbeEstimator
        );
        let has_pictures = self.camera.is_some()
            || self.screen.is_some()
            || self.picture_slots.iter().any(|slot| slot.shows.is_some());
        match is_for_estimate && !has_pictures && self.rtc.is_connected() {
            true => due.max(now + QUIET_STEP),
            false => due,
        }
    }

    /// Returns by which medium, and in which form, a packet came.
    pub fn stream_of(&mut self, packet: &RtpPacket) -> Option<(Mid, Option<Rid>)> {
        let ssrc = packet.header.ssrc;
        if let Some(known) = self.streams.get(&ssrc) {
            return Some(*known);
        }
        let mut api = self.rtc.direct_api();
        let stream = api.stream_rx(&ssrc)?;
        let known = (stream.mid(), stream.rid());
        self.streams.insert(ssrc, known);
        Some(known)
    }

    /// Whether a packet may come in, as far as can be said before it is decrypted.
    pub fn admits_packet(&mut self, packet: &[u8], now: Instant) -> bool {
        let Some(ssrc) = rtp::ssrc(packet) else {
            return false;
        };
        let Self {
            rtc,
            intake,
            sections,
            ..
        } = self;
        let place = || claimed_place(rtc, sections, packet);
        intake.streams.admit(ssrc, now, place)
    }

    /// Whether nothing newer of the same stream came than a packet that came just now.
    pub fn is_newest(&self, packet: &RtpPacket) -> bool {
        let streams = &self.intake.streams;
        streams.is_newest(*packet.header.ssrc, *packet.seq_no)
    }

    /// Takes note of what was measured.
    pub fn measure(&mut self, event: &Event, counters: &mut Counters) {
        if let Event::PeerStats(stats) = event {
            self.intake.begin_measure(stats.rtt);
            if let Some(lost) = stats.egress_loss_fraction {
                self.budget.measure(lost, stats.timestamp);
            }
        } else if let Event::MediaIngressStats(stats) = event {
            let rate = self.clock_of(stats.mid);
            self.intake.take_asked(stats, rate, counters);
        } else if let Event::MediaEgressStats(stats) = event {
            let mut voices = self.audio_slots.iter();
            let mut pictures = self.picture_slots.iter();
            let voice = voices.find(|slot| slot.mid == stats.mid);
            let mut picture = || pictures.find(|slot| slot.mid == stats.mid);
            let gaps = match voice {
                Some(slot) => slot.renumber.gaps(),
                None => picture().map_or(0, |slot| slot.splice.gaps()),
            };
            self.intake.take_sent(stats, gaps, counters);
        }
    }

    /// Returns by how many media something can go out.
    pub const fn tracks_out(&self) -> u64 {
        (self.audio_slots.len() + self.picture_slots.len()) as u64
    }

    /// Returns how many ticks the clock of a medium has in a second.
    pub fn clock_of(&self, mid: Mid) -> u32 {
        let kind = self.sections.iter().find(|(name, _)| *name == mid);
        match kind.map(|(_, kind)| *kind) {
            Some(MediaKind::Video) => VIDEO_RATE,
            Some(MediaKind::Audio) | None => OPUS_RATE,
        }
    }

    fn source_of(&self, mid: Mid, kind: MediaKind) -> Option<Source> {
        let said = self.sources.iter().find(|(name, _)| **name == *mid);
        match (kind, said.map(|(_, source)| *source)) {
            (MediaKind::Audio, Some(Source::Microphone) | None) => Some(Source::Microphone),
            // What is to be heard of a screen is not carried.
            (MediaKind::Audio, Some(Source::Camera | Source::Screen)) => None,
            (MediaKind::Video, Some(Source::Screen)) => Some(Source::Screen),
            (MediaKind::Video, Some(Source::Camera | Source::Microphone) | None) => {
                Some(Source::Camera)
            }
        }
    }

    fn audio_slot(&self, mid: Mid, before: &mut Vec<AudioSlot>) -> Option<AudioSlot> {
        let pt = self.opus_of(mid)?;
        let known = before.iter().position(|slot| slot.mid == mid);
        Some(match known {
            Some(at) => before.swap_remove(at),
            None => AudioSlot {
                mid,
                pt,
                renumber: Renumber::new(OPUS_RATE),
            },
        })
    }

    fn picture_slot(
        &self,
        mid: Mid,
        direction: Direction,
        before: &mut Vec<PictureSlot>,
    ) -> PictureSlot {
        let known = before.iter().position(|slot| slot.mid == mid);
        let mut slot = match known {
            Some(at) => before.swap_remove(at),
            None => PictureSlot::new(mid),
        };
        slot.agree(self.pictures_of(mid), direction.is_receiving());
        slot
    }

    fn pictures_of(&self, mid: Mid) -> Vec<(PictureCodec, Pt)> {
        let Some(media) = self.rtc.media(mid) else {
            return Vec::new();
        };
        let taken = media.remote_pts();
        let params = self.rtc.codec_config().params().iter();
        params
            .filter(|one| taken.contains(&one.pt()))
            .filter_map(|one| Some((PictureCodec::of(one)?, one.pt())))
            .collect()
    }

    fn opus_of(&self, mid: Mid) -> Option<Pt> {
        let taken = self.rtc.media(mid)?.remote_pts();
        let params = self.rtc.codec_config().params().iter();
        params
            .filter(|one| one.spec().codec == Codec::Opus)
            .map(|one| one.pt())
            .find(|pt| taken.contains(pt))
    }
}

/// Returns by which medium, and in which form, a packet says that it comes; `None` for what is sent
/// again, and for what does not say it.
fn claimed_place(rtc: &Rtc, sections: &[(Mid, MediaKind)], packet: &[u8]) -> Option<Place> {
    let exts = sections
        .iter()
        .find_map(|(mid, _)| rtc.media(*mid))?
        .remote_extmap();
    let value = |extension| rtp::extension(packet, exts.id_of(extension)?);
    let text = |bytes| std::str::from_utf8(bytes).ok();
    let pt = Pt::from(packet.get(1)? & 0x7F);
    rtc.codec_config()
        .params()
        .iter()
        .find(|one| one.pt() == pt)?;
    let mid = text(value(Extension::RtpMid)?)?;
    let rid = value(Extension::RtpStreamId).and_then(text);
    Some((Mid::from(mid), rid.map(Rid::from)))
}

/// A medium by which something of others goes out, by its place among its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// One for a voice.
    Voice(usize),
    /// One for a picture.
    Picture(usize),
}
