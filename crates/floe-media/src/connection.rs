//! What carries the media of one participant: a peer connection with a browser.

use std::collections::HashMap;
use std::time::Instant;

use floe_core::voice::{MediaError, Source};
use str0m::change::SdpOffer;
use str0m::format::Codec;
use str0m::media::{MediaKind, Mid, Pt, Rid};
use str0m::rtp::{Extension, RtpPacket, Ssrc};
use str0m::{Event, Rtc, RtcError};

use crate::config::Config;
use crate::counters::Counters;
use crate::intake::Intake;
use crate::renumber::Renumber;
use crate::rtp;
use crate::schedule::Turn;
use crate::streams::Place;

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
    /// By which medium the browser sends its voice.
    pub microphone: Option<Mid>,
    /// The browser's certificate: another one is another browser, or the same with nothing kept.
    fingerprint: Box<str>,
    /// All media, in the order in which they were offered.
    sections: Vec<(Mid, MediaKind)>,
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

impl Connection {
    /// Begins a connection that nothing is agreed on.
    pub fn new(rtc: Rtc, fingerprint: &str, intake: Intake) -> Self {
        Self {
            rtc,
            ufrag: Box::default(),
            turn: Turn::default(),
            intake,
            audio_slots: Vec::new(),
            microphone: None,
            fingerprint: fingerprint.into(),
            sections: Vec::new(),
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
        self.ufrag = self.rtc.direct_api().local_ice_credentials().ufrag.into();
        Ok(answer.to_sdp_string().into())
    }

    /// Looks at what the media are for by now.
    pub fn refresh(&mut self) {
        self.microphone = None;
        self.streams.clear();
        let mut slots = Vec::new();
        for &(mid, kind) in &self.sections {
            let Some(media) = self.rtc.media(mid).filter(|media| !media.disabled()) else {
                continue;
            };
            let direction = media.direction();
            let source = self.source_of(mid, kind);
            if direction.is_receiving() && source == Source::Microphone && self.microphone.is_none()
            {
                self.microphone = Some(mid);
            }
            if direction.is_sending()
                && kind == MediaKind::Audio
                && let Some(pt) = self.opus_of(mid)
            {
                let before = self.audio_slots.iter().position(|slot| slot.mid == mid);
                slots.push(match before {
                    Some(at) => self.audio_slots.swap_remove(at),
                    None => AudioSlot {
                        mid,
                        pt,
                        renumber: Renumber::new(OPUS_RATE),
                    },
                });
            }
        }
        self.audio_slots = slots;
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

    /// Takes note of what was measured.
    pub fn measure(&mut self, event: &Event, counters: &mut Counters) {
        if let Event::PeerStats(stats) = event {
            self.intake.begin_measure(stats.rtt);
        } else if let Event::MediaIngressStats(stats) = event {
            let rate = self.clock_of(stats.mid);
            self.intake.take_asked(stats, rate, counters);
        } else if let Event::MediaEgressStats(stats) = event {
            let mut slots = self.audio_slots.iter();
            let slot = slots.find(|slot| slot.mid == stats.mid);
            let gaps = slot.map_or(0, |slot| slot.renumber.gaps());
            self.intake.take_sent(stats, gaps, counters);
        }
    }

    /// Returns by how many media something can go out.
    pub const fn tracks_out(&self) -> u64 {
        self.audio_slots.len() as u64
    }

    /// Returns how many ticks the clock of a medium has in a second.
    pub fn clock_of(&self, mid: Mid) -> u32 {
        let kind = self.sections.iter().find(|(name, _)| *name == mid);
        match kind.map(|(_, kind)| *kind) {
            Some(MediaKind::Video) => VIDEO_RATE,
            Some(MediaKind::Audio) | None => OPUS_RATE,
        }
    }

    fn source_of(&self, mid: Mid, kind: MediaKind) -> Source {
        let said = self.sources.iter().find(|(name, _)| **name == *mid);
        match (said, kind) {
            (Some((_, source)), _) => *source,
            (None, MediaKind::Audio) => Source::Microphone,
            (None, MediaKind::Video) => Source::Camera,
        }
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

/// What a browser offers.
#[derive(Debug)]
pub struct Offer {
    /// All of it but the candidates: the server never sends anywhere but to where somebody has proved
    /// to be.
    sdp: SdpOffer,
    /// The browser's certificate.
    pub fingerprint: Box<str>,
    /// The media for sound and pictures, in order.
    sections: Vec<(Mid, MediaKind)>,
}

impl Offer {
    /// Reads an offer.
    ///
    /// # Errors
    /// Where it is malformed, or more than what is allowed.
    pub fn read(sdp: &str, config: &Config) -> Result<Self, MediaError> {
        let refuse = |why: &str| MediaError::Signal(why.into());
        let limit = |message: String| Err(MediaError::Limit(message.into()));
        let (bytes_max, sections_max) = (config.sdp_bytes_max, config.sections_max);
        if sdp.len() > bytes_max {
            return limit(format!("an offer has at most {bytes_max} bytes"));
        }
        let mut kept = String::with_capacity(sdp.len());
        let mut fingerprint = None;
        let mut sections = Vec::new();
        let mut offered = 0;
        let mut kind = None;
        let mut sending = Sending::default();
        for line in sdp.lines() {
            if line.starts_with("a=candidate:") {
                continue;
            }
            if let Some(said) = line.strip_prefix("m=") {
                offered += 1;
                sending.section(said);
                kind = match said.split(' ').next() {
                    Some("audio") => Some(MediaKind::Audio),
                    Some("video") => Some(MediaKind::Video),
                    _ => None,
                };
            } else if let Some(said) = line.strip_prefix("a=mid:") {
                // A medium has one name.
                sections.extend(kind.take().map(|kind| (Mid::from(said.trim()), kind)));
            } else if let Some(said) = line.strip_prefix("a=fingerprint:") {
                fingerprint = fingerprint.or(Some(said.trim()));
            } else {
                sending.line(line.trim_end());
            }
            kept.push_str(line);
            kept.push_str("\r\n");
        }
        if offered > sections_max {
            return limit(format!("an offer has at most {sections_max} media"));
        }
        let tracks_max = config.tracks_max;
        if sending.count() > tracks_max {
            return limit(format!("a browser sends at most {tracks_max} tracks"));
        }
        let fingerprint = fingerprint.ok_or_else(|| refuse("there is no fingerprint"))?;
        let sdp = SdpOffer::from_sdp_string(&kept).map_err(|error| refuse(&error.to_string()))?;
        Ok(Self {
            sdp,
            fingerprint: fingerprint.into(),
            sections,
        })
    }
}

/// Counts the media of an offer by which a browser would send.
#[derive(Debug, Default)]
struct Sending {
    count: usize,
    /// Whether the medium that is read is one, as far as it was read.
    is_one: bool,
}

impl Sending {
    fn section(&mut self, said: &str) {
        self.count = self.count();
        let [kind, port] = [0, 1].map(|at| said.split(' ').nth(at).unwrap_or_default());
        // Port 0 is a medium that is given up; without a word about it, a medium goes both ways (RFC 8866).
        self.is_one = matches!(kind, "audio" | "video") && port != "0";
    }

    fn line(&mut self, line: &str) {
        if matches!(line, "a=recvonly" | "a=inactive") {
            self.is_one = false;
        }
    }

    fn count(&self) -> usize {
        self.count + usize::from(self.is_one)
    }
}
