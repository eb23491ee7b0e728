//! Messages of channels over HTTP: say, list, react, pin, and how far users have read.

use std::sync::Arc;

use floe_log::Disk;
use floe_proto::{ChannelId, Code, Event, EventKind, Namespace, Rights, UnreadQuery};
use floe_surfaces::access::{Deed, Grant, Room, Wanted};
use floe_surfaces::channels::messages::{self, MessageAsk, Order, ReadsAsk, Unreads};
use floe_surfaces::channels::{self, Ask, Form, WaitFor};

use super::Reactor;
use super::caller::Opened;
use super::conn::{Context, Expect};
use crate::shard::{Appended, Failure, NewEvent, NewEvents, Reply};
use crate::views::{Answer, Ask as ViewAsk, Lag, Wait};

/// What an answer about messages shows.
#[derive(Debug)]
pub(in crate::reactor) enum MessageExpect {
    /// What was said, with the nonce that came along.
    Said(Option<Box<str>>),
    /// What was said of a message.
    Acted,
    /// How far this user has read.
    Marked(Box<str>),
    /// A page of messages.
    Listed,
    /// The versions of a message.
    Versions,
    /// How much of these channels a user has not read, once it is known how far they have read.
    Marks(Box<str>, Vec<ChannelId>),
    /// How much a user has not read.
    Unread(Box<str>),
}

/// Something to append in a user's name.
struct Said<'a> {
    kind: EventKind,
    content: Option<&'a str>,
    reply_to: Option<u64>,
    data: Option<&'a str>,
    target_seq: Option<u64>,
    removed: bool,
    nonce: Option<&'a str>,
}

impl Said<'_> {
    const fn about(kind: EventKind, seq: u64) -> Self {
        Said {
            kind,
            content: None,
            reply_to: None,
            data: None,
            target_seq: Some(seq),
            removed: false,
            nonce: None,
        }
    }
}

impl<D: Disk> Reactor<D> {
    /// Returns the session in which a request is judged, which may name a user.
    ///
    /// # Errors
    /// `FORBIDDEN` where the caller is another user, or may not say who they are.
    pub(super) fn speaking_as(
        &self,
        opened: Arc<Opened>,
        ask: &Ask<'_>,
    ) -> Result<Arc<Opened>, Failure> {
        let Some(user) = ask.user() else {
            return Ok(opened);
        };
        match self.act_as(&opened, user) {
            // An app server's key says itself who speaks, and is judged by what it may itself.
            Err(_) if opened.session.caller().user.is_none() && ask.names_its_author() => {
                Ok(opened)
            }
            acting => acting,
        }
    }

    /// Serves a request about the messages of a channel.
    pub(super) fn message_ask(
        &mut self,
        at: usize,
        context: Context,
        mut grant: Grant,
        id: ChannelId,
        ask: MessageAsk<'_>,
    ) {
        // Who the credentials name goes first.
        grant.author = grant.author.or_else(|| ask.user.as_deref().map(Into::into));
        let grant = &grant;
        let said = match ask.order {
            Order::List(list) => {
                let may_see_deleted = grant.rights.contains(Rights::READ_DELETED);
                let wait = match self.wait_for(grant, list.wait_for) {
                    Ok(wait) => wait,
                    Err(failure) => return self.refuse_channel(at, context, Form::V1, failure),
                };
                let query = list.into_query(id, grant.author.clone(), may_see_deleted);
                let expect = MessageExpect::Listed;
                return self.ask_about(at, context, expect, ViewAsk::Messages(query), wait);
            }
            Order::Versions { seq, wait_for } => {
                let ask = ViewAsk::Event {
                    channel: id,
                    seq,
                    with_deleted: grant.rights.contains(Rights::READ_DELETED),
                    viewer: None,
                };
                // A message that is there is not denied for want of a view that has it.
                let is_there = self
                    .channel_room(id)
                    .is_some_and(|room| seq <= room.visible().tail);
                let own = is_there.then_some(WaitFor { channel: id, seq });
                return match self.wait_for(grant, wait_for.or(own)) {
                    Ok(wait) => self.ask_about(at, context, MessageExpect::Versions, ask, wait),
                    Err(failure) => self.refuse_channel(at, context, Form::V1, failure),
                };
            }
            Order::Read { seq } => return self.mark_read(at, context, grant, id, seq),
            Order::Say {
                ref said,
                ref nonce,
            } => Said {
                kind: EventKind::Message,
                content: Some(&said.content),
                reply_to: said.reply_to,
                data: said.data,
                target_seq: None,
                removed: false,
                nonce: nonce.as_deref(),
            },
            Order::Edit { seq, ref content } => Said {
                content: Some(content),
                ..Said::about(EventKind::Edit, seq)
            },
            Order::React {
                seq,
                ref emoji,
                removed,
            } => Said {
                content: Some(emoji),
                removed,
                ..Said::about(EventKind::Reaction, seq)
            },
            Order::Pin { seq, removed } => Said {
                removed,
                ..Said::about(EventKind::Pin, seq)
            },
            Order::Delete { seq } => Said::about(EventKind::Deletion, seq),
        };
        self.say(at, context, grant, id, &said);
    }

    fn say(&mut self, at: usize, context: Context, grant: &Grant, id: ChannelId, said: &Said<'_>) {
        let Some(author_id) = grant.author.as_deref() else {
            return self.refuse_channel(at, context, Form::V1, no_user());
        };
        let events = [NewEvent {
            author_id,
            content: said.content,
            reply_to: said.reply_to,
            data: said.data,
        }];
        let new = NewEvents {
            kind: said.kind,
            events: &events,
            target_seq: said.target_seq,
            removed: said.removed,
            key: said.nonce,
            rights: grant.rights,
        };
        let bytes: usize = events.iter().map(NewEvent::bytes).sum();
        self.metrics.append(bytes as u64);
        let expect = if said.kind == EventKind::Message {
            MessageExpect::Said(said.nonce.map(Into::into))
        } else {
            MessageExpect::Acted
        };
        let ticket = self.wait(at, context, Some(Box::new(Expect::Message(expect))));
        let now = self.clock.wall;
        if let Err(failure) = self.shard.append_events(now, ticket, id, &new) {
            self.refuse_channel(at, context, Form::V1, failure);
        }
    }

    fn mark_read(&mut self, at: usize, context: Context, grant: &Grant, id: ChannelId, seq: u64) {
        let Some(user) = grant.author.as_deref() else {
            return self.refuse_channel(at, context, Form::V1, no_user());
        };
        let head = self.channel_room(id).map_or(0, |room| room.visible().tail);
        if seq > head {
            let message = format!("the newest event is {head}, and nobody has read further");
            let failure = Failure::new(Code::InvalidRequest, message);
            return self.refuse_channel(at, context, Form::V1, failure);
        }
        let expect = Expect::Message(MessageExpect::Marked(user.into()));
        let ticket = self.wait(at, context, Some(Box::new(expect)));
        let now = self.clock.wall;
        self.shard
            .mark_read(now, ticket, &grant.namespace, user, id, seq);
    }

    /// Serves a question for what a user has not read, of those channels that the caller may read.
    pub(super) fn reads_ask(
        &mut self,
        at: usize,
        context: Context,
        opened: &Arc<Opened>,
        token: Option<&str>,
        ask: ReadsAsk<'_>,
    ) {
        let session = &opened.session;
        let mut user = session.caller().user.clone();
        let mut namespace = session.namespace().cloned().unwrap_or_default();
        let asked = match (ask.channels, &user) {
            (Some(channels), _) => channels,
            (None, Some(user)) => match self.marked(&namespace, user) {
                Ok(channels) => channels,
                Err(failure) => return self.refuse_channel(at, context, Form::V1, failure),
            },
            (None, None) => return self.refuse_channel(at, context, Form::V1, no_user()),
        };
        let mut channels = Vec::with_capacity(asked.len());
        for id in asked {
            match self.readable(opened, token, id) {
                Err(failure) => return self.refuse_channel(at, context, Form::V1, failure),
                // Marks are those of one namespace.
                Ok(Some(grant)) if channels.is_empty() || grant.namespace == namespace => {
                    namespace = grant.namespace;
                    user = user.or(grant.author);
                    channels.push(id);
                }
                Ok(_) => {}
            }
        }
        // Whoever may read none of them has nothing to be told, and need be nobody.
        let nobody = channels.is_empty().then(Box::default);
        let Some(user) = user.or(nobody) else {
            return self.refuse_channel(at, context, Form::V1, no_user());
        };
        let expect = Expect::Message(MessageExpect::Marks(user.clone(), channels));
        let ticket = self.wait(at, context, Some(Box::new(expect)));
        let now = self.clock.wall;
        self.shard.tell_reads(now, ticket, &namespace, &user);
    }

    /// Returns the channels that a user has marked, the one moved last first.
    fn marked(&mut self, namespace: &Namespace, user: &str) -> Result<Vec<ChannelId>, Failure> {
        let marks = self.shard.reads_of(self.clock.wall, namespace, user)?;
        let newest = marks.iter().rev().take(UnreadQuery::CHANNELS_MAX);
        Ok(newest.map(|(id, _)| *id).collect())
    }

    /// Returns what a caller may do in a channel that they may read; `None` for others.
    ///
    /// # Errors
    /// When that cannot be told yet.
    fn readable(
        &mut self,
        opened: &Opened,
        token: Option<&str>,
        id: ChannelId,
    ) -> Result<Option<Grant>, Failure> {
        let wanted = Wanted::in_room(Deed::Read, Room::Channel(id));
        match self.grant(&opened.session, token, &wanted) {
            Ok(grant) => Ok(Some(grant)),
            Err(failure) if failure.cold.is_some() || failure.errand.is_some() => Err(failure),
            Err(_) => Ok(None),
        }
    }

    /// Answers a command about messages.
    pub(super) fn answer_message(
        &mut self,
        at: usize,
        context: Context,
        expect: MessageExpect,
        reply: Reply,
    ) {
        match (reply, expect) {
            (Reply::Failed(failure), _) => {
                self.answer_channel_failure(at, context, Form::V1, &failure);
            }
            (Reply::Marked(marked), MessageExpect::Marked(user)) => {
                self.note_mark(at, user, marked);
                self.show(at, context, |out, envelope| {
                    messages::write_marked(out, envelope, marked.channel, marked.seq);
                });
            }
            (Reply::Events(appended), expect) => {
                self.answer_said(at, context, &expect, &appended);
            }
            (Reply::Reads(marks), MessageExpect::Marks(user, channels)) => {
                self.count_unread(at, context, user, channels, &marks);
            }
            (_, _) => unreachable!("messages were asked about"),
        }
    }

    fn answer_said(
        &mut self,
        at: usize,
        context: Context,
        expect: &MessageExpect,
        appended: &Appended,
    ) {
        let json = appended.events.strip_suffix(b",");
        let Some(event) = json.and_then(Event::parse) else {
            // Retention has taken what a repeated nonce said first.
            let failure = Failure::new(Code::Gone, "the message is kept no more");
            return self.answer_channel_failure(at, context, Form::V1, &failure);
        };
        self.show(at, context, |out, envelope| {
            if let MessageExpect::Said(nonce) = expect {
                let (channel, duplicate) = (appended.channel, appended.duplicate);
                messages::write_said(out, envelope, channel, &event, nonce.as_deref(), duplicate);
            } else {
                messages::write_acted(out, envelope, &event);
            }
        });
    }

    /// Asks the view for what a user has not read, now that it is known how far they have read.
    fn count_unread(
        &mut self,
        at: usize,
        context: Context,
        user: Box<str>,
        channels: Vec<ChannelId>,
        marks: &[(ChannelId, u64)],
    ) {
        let after = |id| marks.iter().find(|(marked, _)| *marked == id);
        let channels = channels
            .into_iter()
            .map(|id| (id, after(id).map_or(0, |(_, seq)| *seq)))
            .collect();
        let query = UnreadQuery {
            user: user.clone(),
            channels,
        };
        let wait = Wait::Open {
            timeout_ms: self.limits.query_wait_ms,
        };
        let expect = MessageExpect::Unread(user);
        self.ask_about(at, context, expect, ViewAsk::Unread(query), wait);
    }

    /// Answers a question to the view about messages.
    pub(super) fn answer_message_view(
        &mut self,
        at: usize,
        context: Context,
        expect: &MessageExpect,
        answer: Result<Answer, Failure>,
    ) {
        let Lag { events, ms, .. } = self.views.lag(&self.shard, self.clock.wall);
        let lag = channels::Lag { events, ms };
        match (answer, expect) {
            (Ok(Answer::Messages { page, applied }), _) => {
                self.show(at, context, |out, envelope| {
                    messages::write_messages(out, envelope, &page, applied, lag);
                });
            }
            (Ok(Answer::Event(Some(found))), _) => {
                let (event, versions) = *found;
                self.show(at, context, |out, envelope| {
                    messages::write_message_versions(out, envelope, &event, &versions, lag);
                });
            }
            (Ok(Answer::Unread(counts)), MessageExpect::Unread(user)) => {
                let unreads = Unreads {
                    user,
                    counts: &counts,
                    lag,
                };
                self.show(at, context, |out, envelope| {
                    messages::write_unreads(out, envelope, &unreads);
                });
            }
            (Ok(Answer::Event(None)), _) => {
                let failure = Failure::new(Code::NotFound, "there is no such message");
                self.answer_channel_failure(at, context, Form::V1, &failure);
            }
            (Ok(_), _) => unreachable!("the view answers what it was asked"),
            (Err(failure), _) => self.answer_channel_failure(at, context, Form::V1, &failure),
        }
    }

    fn ask_about(
        &mut self,
        at: usize,
        context: Context,
        expect: MessageExpect,
        ask: ViewAsk,
        wait: Wait,
    ) {
        let ticket = self.wait(at, context, Some(Box::new(Expect::Message(expect))));
        self.ask_view_for(ticket, ask, wait);
    }
}

fn no_user() -> Failure {
    Failure::new(
        Code::InvalidRequest,
        "userId is required, where the credentials name no user",
    )
}
