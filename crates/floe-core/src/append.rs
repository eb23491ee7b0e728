//! Appending and closing, with idempotent producers.

use floe_proto::Code;

use crate::record::{DataRecord, Record};
use crate::room::{Edge, Room};

/// A request to append, to close, or both at once.
#[derive(Debug, Clone, Copy, Default)]
pub struct Append<'a> {
    /// Content type of the body; `None` when there is no body.
    pub content_type: Option<&'a str>,
    /// Units of the body; zero only to close.
    pub units: u64,
    /// Whether to close the room.
    pub close: bool,
    /// The writer's `Stream-Seq`.
    pub stream_seq: Option<&'a [u8]>,
    /// The idempotent producer.
    pub producer: Option<Producer<'a>>,
}

/// One request of an idempotent producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Producer<'a> {
    /// Who; not empty.
    pub id: &'a str,
    /// Session of the producer: a higher one fences all lower.
    pub epoch: u64,
    /// Number of the request in its epoch, from 0.
    pub seq: u64,
}

/// What comes of an append.
#[derive(Debug, PartialEq, Eq)]
pub struct Decision<'a> {
    /// What to write; `None` for a duplicate, which changes nothing.
    pub record: Option<Record<'a>>,
    /// Tail and closed state once it is written.
    pub edge: Edge,
    /// Epoch and highest accepted sequence of the producer.
    pub producer: Option<(u64, u64)>,
}

impl Room {
    /// Decides an append against all that has been staged.
    ///
    /// A channel takes none. Checks in this order: duplicate of a producer, closed, content type, producer, `Stream-Seq`.
    ///
    /// # Errors
    /// See [`AppendError`]; nothing is changed.
    pub fn decide_append<'a>(&self, append: &Append<'a>) -> Result<Decision<'a>, AppendError> {
        if self.is_gone() {
            return Err(AppendError::Gone);
        }
        if self.channel().is_some() {
            return Err(AppendError::Channel);
        }
        let tail = self.staged().tail;
        let duplicate = |edge, producer| Decision {
            record: None,
            edge,
            producer,
        };
        if self.staged().closed {
            return self
                .decide_append_closed(append)
                .map(|seq| duplicate(self.staged(), seq));
        }
        let content_type = append.content_type.filter(|_| append.units > 0);
        if content_type.is_some_and(|given| !self.content_type().matches(given)) {
            return Err(AppendError::ContentType);
        }
        if let Some(producer) = &append.producer
            && let Some(last) = self.check_producer(producer)?
        {
            return Ok(duplicate(self.staged(), Some((producer.epoch, last))));
        }
        if let (Some(given), Some(last)) = (append.stream_seq, self.stream_seq())
            && given <= last
        {
            return Err(AppendError::SequenceRegression);
        }
        let tail = tail
            .checked_add(append.units)
            .filter(|tail| *tail <= floe_proto::Offset::MAX.0);
        Ok(Decision {
            record: Some(Record::Data(DataRecord {
                producer: append.producer,
                stream_seq: append.stream_seq,
                close: append.close,
                ..DataRecord::default()
            })),
            edge: Edge {
                tail: tail.ok_or(AppendError::Full)?,
                closed: append.close,
            },
            producer: append
                .producer
                .map(|producer| (producer.epoch, producer.seq)),
        })
    }

    /// Decides an append to a closed room: only what closed it, or closing it again, succeeds.
    fn decide_append_closed(&self, append: &Append<'_>) -> Result<Option<(u64, u64)>, AppendError> {
        let closed = AppendError::Closed {
            tail: self.staged().tail,
        };
        let Some(producer) = &append.producer else {
            return if append.close && append.units == 0 {
                Ok(None)
            } else {
                Err(closed)
            };
        };
        if self.closed_by(producer) {
            return Ok(Some((producer.epoch, producer.seq)));
        }
        match self.check_producer(producer) {
            Err(fenced @ AppendError::ProducerFenced { .. }) => Err(fenced),
            Ok(_) | Err(_) => Err(closed),
        }
    }

    /// Returns `None` for the next request of a producer, or its last sequence for a duplicate.
    fn check_producer(&self, producer: &Producer<'_>) -> Result<Option<u64>, AppendError> {
        let Some((epoch, last)) = self.producer(producer.id) else {
            return match producer.seq {
                0 => Ok(None),
                received => Err(AppendError::ProducerGap {
                    expected: 0,
                    received,
                }),
            };
        };
        if producer.epoch < epoch {
            return Err(AppendError::ProducerFenced { epoch });
        }
        if producer.epoch > epoch {
            return if producer.seq == 0 {
                Ok(None)
            } else {
                Err(AppendError::ProducerEpochStart)
            };
        }
        match producer.seq {
            seq if seq <= last => Ok(Some(last)),
            seq if seq == last + 1 => Ok(None),
            received => Err(AppendError::ProducerGap {
                expected: last + 1,
                received,
            }),
        }
    }
}

/// Why an append was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The room takes no more data.
    #[error("the stream is closed at {tail}")]
    Closed {
        /// Its final tail.
        tail: u64,
    },
    /// The room was deleted and lives on only for its forks.
    #[error("the stream is deleted")]
    Gone,
    /// Send the room's own content type.
    #[error("the content type is not the stream's")]
    ContentType,
    /// Another writer has gone past this sequence.
    #[error("the sequence is not greater than the last one")]
    SequenceRegression,
    /// A newer session has taken over; a higher epoch takes it back.
    #[error("producer epoch {epoch} has taken over")]
    ProducerFenced {
        /// The epoch in force.
        epoch: u64,
    },
    /// A new session starts at sequence zero.
    #[error("a new producer epoch starts at sequence 0")]
    ProducerEpochStart,
    /// An earlier request has not arrived; send again after it.
    #[error("producer sequence {expected} comes before {received}")]
    ProducerGap {
        /// The sequence that is missing.
        expected: u64,
        /// The sequence that came.
        received: u64,
    },
    /// The room holds as many units as offsets can name.
    #[error("the stream has no offsets left")]
    Full,
    /// The room takes events alone, by the routes of channels.
    #[error("a channel takes no writes as a stream")]
    Channel,
}

impl AppendError {
    /// Returns the code on the wire.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Closed { .. } => Code::Closed,
            Self::Gone => Code::Gone,
            Self::ContentType => Code::ContentTypeMismatch,
            Self::SequenceRegression => Code::SequenceRegression,
            Self::ProducerFenced { .. } => Code::ProducerFenced,
            Self::ProducerEpochStart => Code::ProducerEpochStart,
            Self::ProducerGap { .. } => Code::ProducerGap,
            Self::Full => Code::LimitReached,
            Self::Channel => Code::MethodNotAllowed,
        }
    }
}
