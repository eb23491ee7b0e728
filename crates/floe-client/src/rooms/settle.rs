//! Whether a change was made whose answer was lost.

use floe_proto::table::Change;
use serde_json::json;

use super::{Room, RoomError};
use crate::error::{HeadError, ReadError};
use crate::offset::Offset;

impl Room {
    /// Returns the end of the room's log; `None` where that is not for us to know.
    pub(super) async fn log_end(&self) -> Option<Offset> {
        match self.log().head().await {
            Ok(info) => Some(info.next_offset),
            // The room comes to be with its first change.
            Err(HeadError::Missing) => Some(Offset::START),
            Err(_) => None,
        }
    }

    /// Returns how many messages the change `update_id` left in the log after `since`.
    ///
    /// All changes of a room are made one after the other. So one is asked for that cannot be made: when
    /// that is refused, the other was made or never will be.
    pub(super) async fn settle(&self, update_id: &str, since: Offset) -> Result<u64, RoomError> {
        let payload = json!({
            "mutations": [{"method": "completeTask", "payload": {"id": i64::MAX}}],
            "preconditions": [{"table": "tasks", "key": i64::MAX, "version": VERSION_NEVER}],
        });
        match self.ask_again("transaction", &payload).await {
            Ok(_) => {}
            Err(RoomError::Refused(refused))
                if CAME_TO_ITS_TURN.contains(&&*refused.refusal.code) => {}
            Err(error) => return Err(error),
        }
        let (mut reader, mut messages) = (self.log().read(since), 0);
        while let Some(chunk) = reader.next().await.map_err(read_error)? {
            for message in chunk.json_values().map_err(RoomError::Answer)? {
                let change: Change<'_> =
                    serde_json::from_str(message.get()).map_err(RoomError::Answer)?;
                messages += u64::from(change.headers.txid == update_id);
            }
        }
        Ok(messages)
    }
}

fn read_error(error: ReadError) -> RoomError {
    match error {
        ReadError::Unreachable(unreachable) => unreachable.into(),
        refused @ (ReadError::Missing | ReadError::Gone(_) | ReadError::Refused(_)) => {
            crate::error::Unreachable(Box::new(refused)).into()
        }
    }
}

/// A version that no row will ever have.
const VERSION_NEVER: u64 = (1 << 53) - 1;
/// What a change is refused with that was tried.
const CAME_TO_ITS_TURN: [&str; 3] = ["PRECONDITION_FAILED", "NOT_FOUND", "CONSTRAINT"];
