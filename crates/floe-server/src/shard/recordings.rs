//! What the log of a voice room says of recordings that have ended.

use floe_log::Disk;
use floe_proto::Millis;
use floe_surfaces::community::voice_recordings::log_recording_index;
use floe_surfaces::json::Messages;

use super::{Failure, Shard, SlotId};

impl<D: Disk> Shard<D> {
    /// Has the log of a voice room say what a recording holds, which is a JSON object.
    ///
    /// # Errors
    /// When the namespace or the log has no space.
    pub fn log_recording(
        &mut self,
        id: SlotId,
        recording: &str,
        index: &str,
        now: Millis,
    ) -> Result<(), Failure> {
        let mut messages = Messages::default();
        log_recording_index(&mut messages, recording, index, now);
        self.append_voice_log(id, &messages, true, now)
    }
}
