//! One camera or screen that a participant sends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use floe_core::voice::{Layer as Quality, Source};
use str0m::media::{Mid, Rid};
use str0m::rtp::Ssrc;

use crate::video::codec::PictureCodec;
use crate::video::meter::Meter;
use crate::video::rids;

/// A picture as it comes: in one or several layers at once.
#[derive(Debug, Default)]
pub struct Picture {
    /// The medium by which it comes, while it is offered.
    mid: Option<Mid>,
    /// What its layers are called, the least first; empty where there is one without a name.
    rids: Vec<Rid>,
    layers: Vec<Layer>,
    codec: Option<PictureCodec>,
    /// Where it is shown: whose slot, and which.
    pub watchers: Arc<[(usize, usize)]>,
}

/// What a participant sends of pictures.
#[derive(Debug, Default)]
pub struct Pictures {
    camera: Picture,
    screen: Picture,
}

impl Pictures {
    /// Returns one of them.
    pub const fn get(&self, source: Source) -> Option<&Picture> {
        match source {
            Source::Camera => Some(&self.camera),
            Source::Screen => Some(&self.screen),
            Source::Microphone => None,
        }
    }

    /// Returns one of them.
    pub const fn get_mut(&mut self, source: Source) -> Option<&mut Picture> {
        match source {
            Source::Camera => Some(&mut self.camera),
            Source::Screen => Some(&mut self.screen),
            Source::Microphone => None,
        }
    }
}

/// One of the streams that a picture comes in.
#[derive(Debug, Default)]
struct Layer {
    stream: Option<Ssrc>,
    meter: Meter,
    arrived_at: Option<Instant>,
    /// When a keyframe was asked for last.
    asked_at: Option<Instant>,
    /// Whether another is wanted since.
    is_wanted: bool,
}

/// How often a keyframe of one layer is asked for.
pub const ASK_EVERY: Duration = Duration::from_millis(500);
/// What has sent nothing for so long is absent.
const ABSENT: Duration = Duration::from_millis(1_500);

impl Picture {
    /// Takes note of the medium by which it comes and what its layers are called; none is that it
    /// comes no more.
    pub fn offer(&mut self, mid: Option<Mid>, rids: &[Rid]) {
        let rids = rids::in_order(rids);
        if self.mid == mid && self.rids == rids {
            return;
        }
        let count = rids.len().max(1);
        *self = Self {
            mid,
            rids,
            watchers: Arc::clone(&self.watchers),
            ..Self::default()
        };
        self.layers.resize_with(count, Layer::default);
    }

    /// Whether it is offered at all.
    pub const fn is_offered(&self) -> bool {
        self.mid.is_some()
    }

    /// What it is written in, once something has come.
    pub const fn codec(&self) -> Option<PictureCodec> {
        self.codec
    }

    /// Returns which layer is called so.
    pub fn layer_named(&self, rid: Option<Rid>) -> Option<usize> {
        match rid {
            Some(rid) => self.rids.iter().position(|one| *one == rid),
            // Whoever offers many and then sends one without a name sends the best.
            None => self.layers.len().checked_sub(1),
        }
    }

    /// Returns the best layer that is no better than a quality.
    pub fn best(&self, quality: Quality) -> usize {
        let top = self.layers.len().saturating_sub(1);
        match quality {
            Quality::Low => 0,
            Quality::Medium => 1.min(top.saturating_sub(1)),
            Quality::High => top,
        }
    }

    /// Takes note of a packet, and returns whether it is written in something else than before.
    pub fn note(&mut self, layer: usize, packet: &Noted, now: Instant) -> bool {
        let Some(layer) = self.layers.get_mut(layer) else {
            return false;
        };
        layer.stream = Some(packet.stream);
        layer.meter.add(packet.bytes, now);
        layer.arrived_at = Some(now);
        if packet.begins_keyframe {
            layer.is_wanted = false;
        }
        self.codec.replace(packet.codec) != Some(packet.codec)
    }

    /// Returns what each layer takes, in bits a second; none where nothing comes.
    pub fn costs(&self, now: Instant) -> Vec<Option<u64>> {
        let comes = |layer: &Layer| {
            let passed = |then| now.saturating_duration_since(then);
            layer.arrived_at.is_some_and(|then| passed(then) < ABSENT)
        };
        // While nothing comes at all, nothing is better than what there was.
        let any = self.layers.iter().any(comes);
        let layers = self.layers.iter();
        layers
            .map(|layer| {
                let is_there = match any {
                    true => comes(layer),
                    false => layer.arrived_at.is_some(),
                };
                is_there.then(|| layer.meter.rate(now).max(1))
            })
            .collect()
    }

    /// Wants a keyframe of a layer.
    pub fn want_keyframe(&mut self, layer: usize) {
        if let Some(layer) = self.layers.get_mut(layer) {
            layer.is_wanted = true;
        }
    }

    /// Returns the stream to ask for a keyframe, where it is time to.
    pub fn poll_ask(&mut self, layer: usize, now: Instant) -> Option<Ssrc> {
        let layer = self.layers.get_mut(layer)?;
        let passed = |then| now.saturating_duration_since(then);
        let is_time = layer.asked_at.is_none_or(|then| passed(then) >= ASK_EVERY);
        if !layer.is_wanted || !is_time {
            return None;
        }
        let stream = layer.stream?;
        layer.is_wanted = false;
        layer.asked_at = Some(now);
        Some(stream)
    }
}

/// What is noted of a packet.
#[derive(Debug, Clone, Copy)]
pub struct Noted {
    /// By which stream it came.
    pub stream: Ssrc,
    /// What it is written in.
    pub codec: PictureCodec,
    /// How large.
    pub bytes: usize,
    /// Whether a picture begins with it that needs none before.
    pub begins_keyframe: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(names: &[&str]) -> Picture {
        let rids: Vec<Rid> = names.iter().map(|name| Rid::from(*name)).collect();
        let mut picture = Picture::default();
        picture.offer(Some(Mid::from("1")), &rids);
        picture
    }

    fn noted(stream: u32, begins_keyframe: bool) -> Noted {
        Noted {
            stream: stream.into(),
            codec: PictureCodec::Vp8,
            bytes: 1_000,
            begins_keyframe,
        }
    }

    #[test]
    fn layers_are_known_by_name_and_capped_by_quality() {
        let three = picture(&["high", "medium", "low"]);
        assert_eq!(three.layer_named(Some("medium".into())), Some(1));
        assert_eq!(three.layer_named(Some("other".into())), None);
        assert_eq!(three.layer_named(None), Some(2));
        let best = |picture: &Picture| {
            [Quality::Low, Quality::Medium, Quality::High].map(|quality| picture.best(quality))
        };
        assert_eq!(best(&three), [0, 1, 2]);
        assert_eq!(best(&picture(&["low", "high"])), [0, 0, 1]);
        let one = picture(&[]);
        assert_eq!(one.layer_named(None), Some(0));
        assert_eq!(best(&one), [0, 0, 0]);
    }

    #[test]
    fn a_layer_that_sends_nothing_is_absent_unless_nothing_comes_at_all() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut picture = picture(&["low", "high"]);
        assert_eq!(picture.costs(at(0)), [None, None]);
        assert!(picture.note(0, &noted(1, false), at(0)));
        assert!(!picture.note(1, &noted(2, false), at(0)));
        assert!(picture.costs(at(100)).iter().all(Option::is_some));
        picture.note(0, &noted(1, false), at(2_000));
        assert_eq!(picture.costs(at(2_000))[1], None);
        assert!(picture.costs(at(9_000)).iter().all(Option::is_some));
    }

    #[test]
    fn a_keyframe_is_asked_for_every_half_second_while_it_is_wanted() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut picture = picture(&[]);
        picture.want_keyframe(0);
        assert_eq!(picture.poll_ask(0, at(0)), None, "no stream yet");
        picture.note(0, &noted(7, false), at(0));
        assert_eq!(picture.poll_ask(0, at(0)), Some(7.into()));
        assert_eq!(picture.poll_ask(0, at(600)), None);
        picture.want_keyframe(0);
        assert_eq!(picture.poll_ask(0, at(600)), Some(7.into()));
        picture.want_keyframe(0);
        assert_eq!(picture.poll_ask(0, at(1_000)), None, "kept for later");
        assert_eq!(picture.poll_ask(0, at(1_100)), Some(7.into()));
        picture.want_keyframe(0);
        picture.note(0, &noted(7, true), at(1_200));
        assert_eq!(picture.poll_ask(0, at(2_000)), None, "it came");
    }
}
