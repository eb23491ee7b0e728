//! Recordings of voice rooms: who may have one begins and ends it, and everyone is told.

use floe_core::voice::{Cut, Media as _, MediaError, Recording, Voice, VoiceError};
use floe_log::Disk;

use super::super::Reactor;
use super::super::live::voice_failure;
use crate::shard::{Failure, SlotId};

impl<D: Disk> Reactor<D> {
    /// Has the session of a room recorded, for whoever may.
    pub(in crate::reactor) fn begin_recording(
        &mut self,
        slot: SlotId,
        by: Option<&str>,
    ) -> Result<Recording, Failure> {
        self.can_record(slot)?;
        let now = self.clock.wall;
        let id = self.random_text::<8>();
        let begun = self
            .shard
            .change_voice(slot, now, |voice, _| voice.record(by, &id, now));
        begun.map_err(|error| voice_failure(&error))?;
        if let Some(failure) = self.settle_voice(Some(slot)) {
            // Nothing is recorded of which the log does not know.
            self.cut_recording(slot, Cut::Failed);
            self.settle_voice(None);
            return Err(failure);
        }
        let voice = self.shard.voice(slot);
        let recording = voice.and_then(|voice| voice.recording().cloned());
        recording.ok_or_else(|| {
            let error = MediaError::Busy;
            Failure::new(error.code(), error.to_string())
        })
    }

    /// Ends the recording of a room, for whoever may.
    pub(in crate::reactor) fn end_recording(&mut self, slot: SlotId) -> Result<(), Failure> {
        self.can_record(slot)?;
        let now = self.clock.wall;
        let ended = self
            .shard
            .change_voice(slot, now, |voice, _| voice.stop_record(Cut::Stopped));
        ended.map_err(|error| voice_failure(&error))?;
        self.settle_voice(None);
        Ok(())
    }

    /// Checks whether there is a session, and what it takes to record one.
    fn can_record(&self, slot: SlotId) -> Result<(), Failure> {
        let session = self.shard.voice(slot).and_then(Voice::session);
        if session.is_none() {
            return Err(voice_failure(&VoiceError::NoSession));
        }
        if !self.media.features().recording {
            let message = "this server records no voice rooms";
            return Err(Failure::new(MediaError::Unavailable.code(), message));
        }
        Ok(())
    }

    /// Ends the recording of a room, if there is one. What comes of it is to be settled.
    pub(in crate::reactor) fn cut_recording(&mut self, slot: SlotId, why: Cut) {
        let now = self.clock.wall;
        // Where there is none, it is over already.
        let _ = self
            .shard
            .change_voice(slot, now, |voice, _| voice.stop_record(why));
    }
}
