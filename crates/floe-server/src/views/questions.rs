//! The threads that ask the view.

use std::sync::mpsc::Receiver;
use std::sync::{Mutex, PoisonError};

use floe_proto::{
    ChannelId, ChannelMeta, ChannelQuery, Code, Event, EventQuery, Page, Reactions, Search,
    StoredEvent, Unread, UnreadQuery,
};
use floe_views::{QueryError, Reader};

use super::{Current, Done, Mailbox, Until, ViewSettings};
use crate::shard::{Failure, Ticket};

/// What the view can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// For events.
    Events(EventQuery),
    /// For events of one channel, and the newest that the answer takes into account.
    Messages(EventQuery),
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
        /// Whose own reactions are told from others'.
        viewer: Option<Box<str>>,
    },
    /// For the reactions to a message, and who gives them.
    Reactions {
        /// Its channel.
        channel: ChannelId,
        /// Its place.
        seq: u64,
    },
    /// For how much a user has not read.
    Unread(UnreadQuery),
}

/// What the view says.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Events, best or first in order.
    Events(Page<StoredEvent>),
    /// Events of one channel.
    Messages {
        /// The events.
        page: Page<StoredEvent>,
        /// The newest event of the channel that they take into account.
        applied: u64,
    },
    /// Channels.
    Channels(Page<ChannelMeta>),
    /// An event and its versions, oldest first; `None` when there is none to see.
    Event(Option<Box<(StoredEvent, Vec<Event<'static>>)>>),
    /// Reactions; `None` for a channel that the view does not know.
    Reactions(Option<Reactions>),
    /// What is not read, in the order of the question.
    Unread(Vec<Unread>),
}

/// A question on its way to a thread.
#[derive(Debug)]
pub struct Question {
    pub ticket: Ticket,
    pub ask: Ask,
    /// Generation of the file that is to be asked.
    pub generation: u64,
    /// What it has waited for, and must wait for again if another file is the view.
    pub until: Until,
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
        let Ok(question) = next else {
            return;
        };
        let current = mailbox.current();
        if current.generation != question.generation {
            mailbox.put(Done::Unasked(Box::new(question)));
            continue;
        }
        open = open.filter(|open| open.generation == current.generation);
        let answer = answer(settings, &mut open, current, &question.ask);
        mailbox.put(match answer {
            Ok(answer) => Done::Answered {
                ticket: question.ticket,
                answer: Ok(answer),
            },
            // Its file went while it was under way.
            Err(_) if mailbox.current() != current => Done::Unasked(Box::new(question)),
            Err(error) => {
                let failure = failure(&error);
                if failure.code == Code::ViewUnavailable {
                    open = None;
                }
                if error.is_corrupt() {
                    mailbox.put(Done::Damaged {
                        generation: current.generation,
                    });
                }
                Done::Answered {
                    ticket: question.ticket,
                    answer: Err(failure),
                }
            }
        });
    }
}

fn answer(
    settings: &ViewSettings,
    open: &mut Option<Open>,
    current: Current,
    ask: &Ask,
) -> Result<Answer, QueryError> {
    let Open { reader, .. } = match open {
        Some(open) => open,
        None => open.insert(Open {
            reader: Reader::open(settings.folder.file(current.number), &settings.options)?,
            generation: current.generation,
        }),
    };
    Ok(match ask {
        Ask::Events(query) => Answer::Events(reader.events(query)?),
        Ask::Messages(query) => {
            let (page, applied) = reader.messages(query)?;
            Answer::Messages { page, applied }
        }
        Ask::Search(search) => Answer::Events(reader.search(search)?),
        Ask::Channels(query) => Answer::Channels(reader.channels(query)?),
        Ask::Event {
            channel,
            seq,
            with_deleted,
            viewer,
        } => Answer::Event(
            reader
                .event(*channel, *seq, *with_deleted, viewer.as_deref())?
                .map(Box::new),
        ),
        Ask::Reactions { channel, seq } => Answer::Reactions(reader.reactions(*channel, *seq)?),
        Ask::Unread(query) => Answer::Unread(reader.unread(query)?),
    })
}

fn failure(error: &QueryError) -> Failure {
    let code = error.code();
    if code == Code::ViewUnavailable {
        tracing::warn!(%error, "the view could not be read");
        return Failure::new(code, "the view cannot be read for the moment");
    }
    Failure::new(code, error.to_string())
}
