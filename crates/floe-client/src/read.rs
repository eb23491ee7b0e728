//! Reading what is there.

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::error::ReadError;
use crate::offset::Offset;
use crate::stream::{Stream, next_offset};
use crate::transport::{Answer, Failure, is_true};

/// Reads a stream from an offset to its tail, one chunk at a time.
#[derive(Debug)]
pub struct Reader {
    stream: Stream,
    offset: Offset,
    is_done: bool,
    is_closed: bool,
}

/// Some consecutive data of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The data; of a JSON stream, one array of whole values.
    pub data: Bytes,
    /// Where the data ends: read from here to go on.
    pub next_offset: Offset,
    /// Whether that was the tail when the server answered.
    pub is_up_to_date: bool,
    /// Whether the stream is closed and this is its end.
    pub is_closed: bool,
}

impl Reader {
    pub(crate) const fn new(stream: Stream, offset: Offset) -> Self {
        Self {
            stream,
            offset,
            is_done: false,
            is_closed: false,
        }
    }

    /// Returns the next chunk, or `None` once the tail was reached.
    ///
    /// Cancel safe: a dropped call leaves the reader where it was.
    pub async fn next(&mut self) -> Result<Option<Chunk>, ReadError> {
        while !self.is_done {
            let ask = self.stream.read_ask(&self.offset, "");
            let answer = self.stream.transport().send_again(&ask).await;
            let chunk = Chunk::of(&answer.map_err(read_error)?);
            self.offset = chunk.next_offset.clone();
            self.is_done = chunk.is_up_to_date;
            self.is_closed = chunk.is_closed;
            if !chunk.is_empty() {
                return Ok(Some(chunk));
            }
        }
        Ok(None)
    }

    /// Returns where the next chunk begins.
    #[must_use]
    pub const fn offset(&self) -> &Offset {
        &self.offset
    }

    /// Returns whether the end of a closed stream was reached.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.is_closed
    }
}

impl Chunk {
    pub(crate) fn of(answer: &Answer) -> Self {
        // An empty array is how a JSON stream says that there is nothing.
        let is_json = answer
            .header("content-type")
            .is_some_and(|content_type| content_type.starts_with("application/json"));
        let data = match is_json && &answer.body[..] == b"[]" {
            true => Bytes::new(),
            false => answer.body.clone(),
        };
        Self {
            data,
            next_offset: next_offset(answer),
            is_up_to_date: is_true(&answer.headers, "stream-up-to-date"),
            is_closed: answer.is_closed(),
        }
    }

    /// Returns the values of a JSON stream's chunk, each as it was written.
    pub fn json_values(&self) -> Result<Vec<&RawValue>, serde_json::Error> {
        match self.data.is_empty() {
            true => Ok(Vec::new()),
            false => serde_json::from_slice(&self.data),
        }
    }

    /// Returns whether there is no data in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }
}

pub(crate) fn read_error(failure: Failure) -> ReadError {
    match failure {
        Failure::Refused { refusal, .. } => match refusal.status {
            404 => ReadError::Missing,
            410 => ReadError::Gone(refusal),
            _ => ReadError::Refused(refusal),
        },
        Failure::Unreachable(unreachable) => unreachable.into(),
    }
}
