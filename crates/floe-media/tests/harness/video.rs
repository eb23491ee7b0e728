//! Cameras and screens of the browsers.

use std::sync::Arc;
use std::time::Duration;

use floe_core::voice::{MediaInput, Sends, Source, Watch};
use str0m::Input;
use str0m::change::SdpApi;
use str0m::media::{
    Direction, KeyframeRequestKind, MediaKind, Mid, Pt, Rid, Simulcast, SimulcastLayer,
};
use str0m::rtp::{RtpPacket, RtpWrite, Vp8Descriptor};

use super::link::Link;
use super::{ROOM, World};

/// What somebody offers of pictures.
#[derive(Debug, Clone, Copy, Default)]
pub struct Offering {
    /// The layers of a camera, by name and bits a second; one without a name is a plain stream.
    pub camera: &'static [(&'static str, u64)],
    /// Whether there is a screen.
    pub screen: bool,
    /// Pictures to receive.
    pub slots: usize,
    /// Whether the browser knows nothing but H.264.
    pub is_h264: bool,
}

/// A camera or screen.
#[derive(Debug)]
pub struct Film {
    pub mid: Mid,
    pub source: Source,
    pub layers: Vec<FilmLayer>,
    is_h264: bool,
    frames: u32,
}

#[derive(Debug)]
pub struct FilmLayer {
    pub rid: Option<Rid>,
    /// Bits a second; none are sent at 0.
    pub rate: u64,
    /// Keyframes that were asked for.
    pub asked: usize,
    needs_keyframe: bool,
    sequence: u64,
    picture: u16,
}

/// A packet of a picture.
struct Shot {
    rid: Option<Rid>,
    sequence: u64,
    time: u32,
    is_last: bool,
    payload: Vec<u8>,
}

/// A picture as it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Whose, by place.
    pub of: u8,
    pub layer: u8,
    pub is_keyframe: bool,
    pub picture: Option<u16>,
    pub base: Option<u8>,
    pub time: u32,
}

/// A camera of three layers.
pub const LAYERS: &[(&str, u64)] = &[("low", 100_000), ("medium", 300_000), ("high", 900_000)];
/// A camera of one.
pub const PLAIN: &[(&str, u64)] = &[("", 300_000)];

/// Has a camera, and receives no pictures.
pub fn camera(layers: &'static [(&'static str, u64)]) -> Offering {
    Offering {
        camera: layers,
        ..Offering::default()
    }
}

/// Receives pictures, and has none.
pub fn viewer(slots: usize) -> Offering {
    Offering {
        slots,
        ..Offering::default()
    }
}

/// From picture to picture.
pub const FRAME: Duration = Duration::from_millis(40);
const FRAMES_PER_SECOND: u64 = 25;
/// Bytes of a packet.
const PACKET: usize = 1_000;
/// A keyframe is larger by so much.
const KEYFRAME: u64 = 3;

impl Offering {
    /// Adds the media for it, and returns those that send.
    pub fn add(self, api: &mut SdpApi<'_>) -> Vec<Film> {
        let video = MediaKind::Video;
        let mut films = Vec::new();
        if !self.camera.is_empty() {
            let mut simulcast = Simulcast::new();
            for (name, _) in self.camera.iter().filter(|(name, _)| !name.is_empty()) {
                simulcast.add_send_layer(SimulcastLayer::new(name));
            }
            let simulcast = (!simulcast.send.is_empty()).then_some(simulcast);
            let mid = api.add_media(video, Direction::SendOnly, None, None, simulcast);
            films.push(Film::new(mid, Source::Camera, self.camera, self.is_h264));
        }
        if self.screen {
            let mid = api.add_media(video, Direction::SendOnly, None, None, None);
            let layers = &[("", 400_000)];
            films.push(Film::new(mid, Source::Screen, layers, self.is_h264));
        }
        for _ in 0..self.slots {
            api.add_media(video, Direction::RecvOnly, None, None, None);
        }
        films
    }
}

impl Film {
    fn new(mid: Mid, source: Source, layers: &[(&str, u64)], is_h264: bool) -> Self {
        let layers = layers
            .iter()
            .zip(1_u16..)
            .map(|((name, rate), at)| FilmLayer {
                rid: (!name.is_empty()).then(|| Rid::from(*name)),
                rate: *rate,
                asked: 0,
                needs_keyframe: true,
                sequence: u64::from(at) * 10_000,
                picture: at * 1_000,
            });
        Self {
            mid,
            source,
            layers: layers.collect(),
            is_h264,
            frames: 0,
        }
    }

    /// Takes note that a keyframe is asked for.
    pub fn ask(&mut self, rid: Option<Rid>) {
        for layer in self.layers.iter_mut().filter(|layer| layer.rid == rid) {
            layer.asked += 1;
            layer.needs_keyframe = true;
        }
    }

    /// Returns the packets of the next picture of each layer.
    fn shoot(&mut self, of: u8) -> Vec<Shot> {
        self.frames += 1;
        let time = self.frames * 3_600;
        let mut packets = Vec::new();
        for (layer, number) in self.layers.iter_mut().zip(0_u8..) {
            if layer.rate == 0 {
                continue;
            }
            let is_keyframe = std::mem::take(&mut layer.needs_keyframe);
            let mut bytes = (layer.rate / FRAMES_PER_SECOND / 8) as usize;
            if is_keyframe {
                bytes *= KEYFRAME as usize;
            }
            layer.picture = (layer.picture + 1) & 0x7FFF;
            let count = bytes.div_ceil(PACKET).max(1);
            for at in 0..count {
                let is_first = at == 0;
                let size = bytes.saturating_sub(at * PACKET).clamp(16, PACKET);
                let mut payload = match self.is_h264 {
                    true => h264_head(is_first, is_keyframe),
                    false => vp8_head(is_first, is_keyframe, layer.picture),
                };
                payload.extend([of, number]);
                payload.resize(size.max(payload.len()), 0xAA);
                layer.sequence += 1;
                let is_last = at + 1 == count;
                packets.push(Shot {
                    rid: layer.rid,
                    sequence: layer.sequence,
                    time,
                    is_last,
                    payload,
                });
            }
        }
        packets
    }
}

fn vp8_head(is_first: bool, is_keyframe: bool, picture: u16) -> Vec<u8> {
    let [high, low] = picture.to_be_bytes();
    let start = if is_first { 0x90 } else { 0x80 };
    let frame = u8::from(!is_keyframe);
    vec![start, 0xE0, 0x80 | high, low, low, 0x20, frame]
}

/// What a keyframe begins with is in a packet together with a part of the picture.
fn h264_head(is_first: bool, is_keyframe: bool) -> Vec<u8> {
    match (is_first, is_keyframe) {
        (true, true) => vec![0x67, 0x42, 0xE0, 0x1F, 0, 0, 0],
        (_, true) => vec![0x7C, 0x05, 0, 0, 0, 0, 0],
        (_, false) => vec![0x61, 0, 0, 0, 0, 0, 0],
    }
}

impl World {
    /// Has somebody join and offer their voice and pictures; returns their place.
    pub fn join_with(&mut self, user: &str, offering: Offering) -> usize {
        self.join_as(ROOM, user, offering).unwrap()
    }

    /// Has somebody offer to receive so many pictures more.
    pub fn offer_slots(&mut self, at: usize, slots: usize) {
        let mut api = self.browsers[at].rtc.sdp_api();
        for _ in 0..slots {
            api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        }
        let (offer, pending) = api.apply().unwrap();
        self.negotiate(at, &offer, pending).unwrap();
    }

    /// Says how many bits a second the network to somebody takes.
    pub fn narrow(&mut self, at: usize, rate: u64) {
        self.browsers[at].downlink = Some(Link::new(rate, self.now));
    }

    /// Has somebody send the next picture of all their cameras and screens.
    pub fn film(&mut self, at: usize) {
        let now = self.now;
        let browser = &mut self.browsers[at];
        if !browser.rtc.is_connected() {
            return;
        }
        for film in &mut browser.films {
            let pt = first_pt(&browser.rtc, film.mid);
            for shot in film.shoot(u8::try_from(at).unwrap()) {
                let rid = shot.rid;
                let write = RtpWrite::new(pt, shot.sequence.into(), shot.time, now, shot.payload)
                    .marker(shot.is_last)
                    .nackable(true);
                let mut api = browser.rtc.direct_api();
                let stream = api.stream_tx_by_mid(film.mid, rid);
                stream.unwrap().write_rtp(write);
            }
        }
        browser.feed(Input::Timeout(now));
        self.settle();
    }

    /// Lets time pass while some send pictures.
    pub fn roll(&mut self, span: Duration, of: &[usize]) {
        let end = self.now + span;
        while self.now < end {
            for &at in of {
                self.film(at);
            }
            self.pass(FRAME);
        }
    }

    /// Says what somebody sends.
    pub fn sends(&mut self, at: usize, sends: Sends) {
        let seat = self.browsers[at].seat;
        let input = MediaInput::Changed {
            seat,
            sends,
            muted: false,
        };
        self.forwarder.handle(self.now, input);
        self.settle();
    }

    /// Says what one of somebody's slots is to show.
    pub fn watch(&mut self, at: usize, watch: Watch) {
        let seat = self.browsers[at].seat;
        let input = MediaInput::Watch { seat, watch };
        self.forwarder.handle(self.now, input);
        self.settle();
    }

    /// Has somebody say that they cannot go on without a keyframe of the slot of that number.
    pub fn ask_keyframe(&mut self, at: usize, slot: usize) {
        let mid = self.slot(at, slot);
        let now = self.now;
        let browser = &mut self.browsers[at];
        let mut api = browser.rtc.direct_api();
        let stream = api.stream_rx_by_mid(mid, None).unwrap();
        stream.request_keyframe(KeyframeRequestKind::Pli);
        browser.feed(Input::Timeout(now));
        self.settle();
    }

    /// Returns what each of somebody's slots for pictures was said to show.
    pub fn shown(&self, at: usize) -> Vec<(Option<Arc<str>>, Source)> {
        let tracks = self.browsers[at].tracks.iter();
        tracks
            .filter(|track| track.source != Source::Microphone)
            .map(|track| (track.user.clone(), track.source))
            .collect()
    }

    /// Returns by which medium somebody receives the pictures of the slot of that number.
    pub fn slot(&self, at: usize, slot: usize) -> Mid {
        let tracks = self.browsers[at].tracks.iter();
        let mut slots = tracks.filter(|track| track.source != Source::Microphone);
        Mid::from(&*slots.nth(slot).unwrap().mid)
    }

    /// Returns the packets that somebody received by a medium since this was asked last, in order.
    pub fn take_packets(&mut self, at: usize, mid: Mid) -> Vec<RtpPacket> {
        let seen = std::mem::take(&mut self.browsers[at].seen);
        let (mut taken, rest): (Vec<_>, Vec<_>) = seen.into_iter().partition(|(by, _)| *by == mid);
        self.browsers[at].seen = rest;
        taken.sort_by_key(|(_, packet)| packet.seq_no);
        taken.into_iter().map(|(_, packet)| packet).collect()
    }
}

fn first_pt(rtc: &str0m::Rtc, mid: Mid) -> Pt {
    rtc.media(mid).unwrap().remote_pts()[0]
}

/// Returns the first packet of each picture of those.
pub fn frames(packets: &[RtpPacket]) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    for packet in packets {
        let payload = &packet.payload;
        let vp8 = Vp8Descriptor::parse(payload).unwrap();
        let frame = Frame {
            of: payload[7],
            layer: payload[8],
            is_keyframe: payload[6] == 0,
            picture: vp8.picture_id(),
            base: vp8.tl0_pic_idx(),
            time: packet.header.timestamp,
        };
        if frames.last() != Some(&frame) {
            frames.push(frame);
        }
    }
    frames
}

/// Whether no packet of those is missing.
pub fn is_unbroken(packets: &[RtpPacket]) -> bool {
    let mut pairs = packets.windows(2);
    pairs.all(|pair| *pair[1].seq_no == *pair[0].seq_no + 1)
}

/// Whether pictures follow one another in number and time.
pub fn go_on(frames: &[Frame]) -> bool {
    let mut pairs = frames.windows(2);
    pairs.all(|pair| {
        let next = |id: u16| (id + 1) & 0x7FFF;
        pair[1].picture == pair[0].picture.map(next)
            && pair[1].base == pair[0].base.map(|id| id.wrapping_add(1))
            && pair[1].time > pair[0].time
    })
}
