//! A room's tables as a SQLite file.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::RoomError;
use crate::transport::{BODY_TIMEOUT, unreachable};

/// A file that is being received.
#[derive(Debug)]
pub struct Backup {
    pub(super) body: Incoming,
}

impl Backup {
    /// Returns the next bytes of the file, or `None` at its end.
    ///
    /// # Errors
    /// When the connection broke: what was received is no whole file.
    pub async fn next(&mut self) -> Result<Option<Bytes>, RoomError> {
        loop {
            let frame = tokio::time::timeout(BODY_TIMEOUT, self.body.frame());
            let Some(frame) = frame.await.map_err(unreachable)? else {
                return Ok(None);
            };
            if let Ok(data) = frame.map_err(unreachable)?.into_data() {
                return Ok(Some(data));
            }
        }
    }
}
