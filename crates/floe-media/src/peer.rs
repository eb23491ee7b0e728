//! One participant, as the media see one.

use std::sync::Arc;
use std::time::Instant;

use floe_core::voice::{Quality, SeatId, Sends, Source};

use crate::bucket::Bucket;
use crate::connection::Connection;
use crate::video::Pictures;

/// A participant.
#[derive(Debug)]
pub struct Peer {
    /// Which.
    pub seat: SeatId,
    /// Who.
    pub user: Arc<str>,
    /// What they send.
    pub sends: Sends,
    /// Whether a moderator keeps them from being heard.
    pub muted: bool,
    /// Whether they were said to speak, and when last.
    pub speech: crate::audio::Speech,
    /// What they may still offer.
    pub offers: Bucket,
    /// How well it was said that media reach them.
    pub quality: Quality,
    /// When it was last said that they do.
    pub spoke_at: Option<Instant>,
    /// The pictures that they send.
    pub pictures: Pictures,
    /// What carries their media, once there is something.
    pub connection: Option<Box<Connection>>,
}

impl Peer {
    /// Returns what carries their media, if there is something.
    pub fn connection(&mut self) -> Option<&mut Connection> {
        self.connection.as_deref_mut()
    }

    /// Whether what they say is for others.
    pub const fn is_heard(&self) -> bool {
        self.sends.audio && !self.muted
    }

    /// Whether a picture of theirs is for others.
    pub const fn is_seen(&self, source: Source) -> bool {
        match source {
            Source::Camera => self.sends.video,
            Source::Screen => self.sends.screen,
            Source::Microphone => false,
        }
    }
}
