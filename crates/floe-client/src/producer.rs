//! Appends that are written once, however often they are sent.

use bytes::Bytes;

use crate::error::{AppendError, ProducerError};
use crate::offset::Offset;
use crate::stream::{Stream, append_error, next_offset};
use crate::transport::{Answer, Failure, header};

/// Appends to one stream under a name, an epoch and ascending numbers.
///
/// One append at a time. When all tries of an append fail, or its future is dropped, the next call
/// sends that append first, under its old number: nothing is lost or written twice.
#[derive(Debug)]
pub struct Producer {
    stream: Stream,
    id: String,
    epoch: u64,
    /// Number of the next append.
    sequence: u64,
    unsettled: Option<Batch>,
}

/// What the server said to an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The tail of the stream when it answered; for a duplicate it may lie behind other data.
    pub next_offset: Offset,
    /// An earlier try had written it already.
    pub is_duplicate: bool,
}

impl Producer {
    pub(crate) const fn new(stream: Stream, id: String, epoch: u64) -> Self {
        Self {
            stream,
            id,
            epoch,
            sequence: 0,
            unsettled: None,
        }
    }

    /// Appends `body`; durable on return.
    pub async fn append(&mut self, body: impl Into<Bytes>) -> Result<Appended, ProducerError> {
        self.settle().await?;
        self.unsettled = Some(Batch {
            body: body.into(),
            close: false,
        });
        self.settle_last().await
    }

    /// Appends `body`, which may be empty, and closes the stream in one step.
    pub async fn close(&mut self, body: impl Into<Bytes>) -> Result<Appended, ProducerError> {
        self.settle().await?;
        self.unsettled = Some(Batch {
            body: body.into(),
            close: true,
        });
        self.settle_last().await
    }

    /// Sends the append whose outcome is not known, if there is one.
    pub async fn settle(&mut self) -> Result<(), ProducerError> {
        match self.unsettled {
            Some(_) => self.settle_last().await.map(drop),
            None => Ok(()),
        }
    }

    /// Returns the producer's epoch.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    async fn settle_last(&mut self) -> Result<Appended, ProducerError> {
        let Some(batch) = self.unsettled.clone() else {
            unreachable!("callers put a batch there first");
        };
        let mut ask = self
            .stream
            .append_ask(batch.body)
            .header("producer-id", &self.id)
            .header("producer-epoch", self.epoch)
            .header("producer-seq", self.sequence);
        if batch.close {
            ask = ask.header("stream-closed", "true");
        }
        match self.stream.transport().send_again(&ask).await {
            Ok(answer) => {
                self.unsettled = None;
                self.sequence += 1;
                Ok(appended(&answer))
            }
            Err(failure) => {
                let error = self.error(failure);
                // Refused for good means not written: the number is free again.
                if !matches!(error, ProducerError::Unreachable(_)) {
                    self.unsettled = None;
                }
                Err(error)
            }
        }
    }

    fn error(&self, failure: Failure) -> ProducerError {
        if let Failure::Refused {
            refusal, headers, ..
        } = &failure
        {
            let number = |name| header(headers, name)?.parse().ok();
            if refusal.status == 403
                && let Some(epoch) = number("producer-epoch")
            {
                return ProducerError::Fenced { epoch };
            }
            if let Some(expected) = number("producer-expected-seq") {
                let sequence = self.sequence;
                return ProducerError::Gap { expected, sequence };
            }
        }
        match append_error(failure) {
            AppendError::Missing => ProducerError::Missing,
            AppendError::Closed { next_offset } => ProducerError::Closed { next_offset },
            AppendError::Refused(refusal) => ProducerError::Refused(refusal),
            AppendError::Unreachable(unreachable) => ProducerError::Unreachable(unreachable),
        }
    }
}

/// An append that may or may not have been written.
#[derive(Debug, Clone)]
struct Batch {
    body: Bytes,
    close: bool,
}

fn appended(answer: &Answer) -> Appended {
    Appended {
        next_offset: next_offset(answer),
        is_duplicate: answer.status == 204,
    }
}
