//! The threads that ask the view.

use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, PoisonError};

use floe_proto::{
    ChannelId, ChannelMeta, ChannelQuery, Code, Event, EventQuery, Page, Search, StoredEvent,
};
use floe_views::{QueryError, Reader};

use super::{Done, Mailbox, ViewSettings};
use crate::shard::{Failure, Ticket};

/// What the view can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// For events.
    Events(EventQuery),
    /// For events by their words.
    Search(Search),
    /// For channels.
    Channels(ChannelQuery),
    /// For one event and all that was said about it.
    Event {
        /// Its channel.
        channel: ChannelId,
        /// Its place.
        seq: u64,
        /// Whether a deleted one is shown.
        with_deleted: bool,
    },
}

/// What the view says.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Events, best or first in order.
    Events(Page<StoredEvent>),
    /// Channels.
    Channels(Page<ChannelMeta>),
    /// An event and its versions, oldest first; `None` when there is none to see.
    Event(Option<(StoredEvent, Vec<Event<'static>>)>),
}

/// A question on its way to a thread.
#[derive(Debug)]
pub struct Question {
    pub ticket: Ticket,
    pub ask: Ask,
}

/// A reader of the file that was the view when it was opened.
struct Open {
    reader: Reader,
    generation: u64,
}

/// Answers questions until the event loop lets go of the queue.
pub fn run(settings: &ViewSettings, questions: &Mutex<Receiver<Question>>, mailbox: &Mailbox) {
    let mut open: Option<Open> = None;
    loop {
        let next = questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok(Question { ticket, ask }) = next else {
            return;
        };
        let generation = mailbox.generation.load(Ordering::Relaxed);
        open = open.filter(|open| open.generation == generation);
        let answer = answer(settings, &mut open, generation, &ask);
        mailbox.put(Done::Answered { ticket, answer });
    }
}

fn open_newest(settings: &ViewSettings) -> Result<Reader, Failure> {
    let newest = settings.folder.newest().ok().flatten();
    let number = newest.ok_or_else(unavailable)?;
    Reader::open(settings.folder.file(number), &settings.options).map_err(|error| failure(&error))
}

fn answer(
    settings: &ViewSettings,
    open: &mut Option<Open>,
    generation: u64,
    ask: &Ask,
) -> Result<Answer, Failure> {
    let Open { reader, .. } = match open {
        Some(open) => open,
        None => open.insert(Open {
            reader: open_newest(settings)?,
            generation,
        }),
    };
    let answer = match ask {
        Ask::Events(query) => reader.events(query).map(Answer::Events),
        Ask::Search(search) => reader.search(search).map(Answer::Events),
        Ask::Channels(query) => reader.channels(query).map(Answer::Channels),
        Ask::Event {
            channel,
            seq,
            with_deleted,
        } => reader
            .event(*channel, *seq, *with_deleted)
            .map(Answer::Event),
    };
    answer.map_err(|error| {
        let failure = failure(&error);
        if failure.code == Code::ViewUnavailable {
            // The file may have been replaced; the next question opens it again.
            *open = None;
        }
        failure
    })
}

fn failure(error: &QueryError) -> Failure {
    let code = error.code();
    if code == Code::ViewUnavailable {
        tracing::warn!(%error, "the view could not be read");
        return unavailable();
    }
    Failure::new(code, error.to_string())
}

fn unavailable() -> Failure {
    Failure::new(
        Code::ViewUnavailable,
        "the view cannot be read for the moment",
    )
}
