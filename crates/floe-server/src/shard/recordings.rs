//! What the log of a voice room says of recordings that have ended.

use floe_core::Append;
use floe_log::{Disk, Payload};
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
        let append = Append {
            content_type: Some("application/json"),
            units: messages.lens.len() as u64,
            ..Append::default()
        };
        let Ok(decision) = self.room(id).decide_append(&append) else {
            // The room has come to its end.
            return Ok(());
        };
        self.check_growth(id, messages.bytes.len() as u64)?;
        let payload = Payload {
            bytes: &messages.bytes,
            lens: &messages.lens,
        };
        if let Some(record) = decision.record {
            let lsn = self.stage(id, &record, payload, now)?;
            self.queue(lsn, id, None);
        }
        self.keep_voice_log(id, now)
    }
}
