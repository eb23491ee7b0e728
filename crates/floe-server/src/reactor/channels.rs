//! Channels over HTTP: from what is asked to commands of the shard or questions to the view, and
//! from what came of them to answers.

mod reading;

pub(super) use reading::{unreadable, without_hidden};

use std::sync::Arc;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use floe_core::Room;
use floe_core::access::RoomAccess;
use floe_core::channel::{Channel, ChannelSettings, NewChannel, Secret};
use floe_log::Disk;
use floe_proto::token::ChannelToken;
use floe_proto::{ChannelId, Code, EventKind, Namespace, Retention};
use floe_surfaces::access::{Deed, Grant, Known, Wanted};
use floe_surfaces::channels::{self, Ask, Asked, Form, Place, WaitFor};
use floe_surfaces::http::Method;

use super::caller::Opened;
use super::conn::{Context, Expect, Shown};
use super::limits::Payer;
use super::{Reactor, envelope};
use crate::shard::{Appended, ChangeChannel, Failure, NewEvent, NewEvents, Reply, Ticket};
use crate::views::{Answer, Ask as ViewAsk, Lag, Wait};

impl<D: Disk> Reactor<D> {
    /// Serves a request about channels.
    #[expect(
        clippy::too_many_arguments,
        reason = "these are the parts of a request"
    )]
    pub(super) fn channel_request(
        &mut self,
        at: usize,
        mut context: Context,
        method: Method,
        path: &str,
        named: Option<Namespace>,
        query: Option<&str>,
        fields: &[httparse::Header<'_>],
        body: &[u8],
    ) {
        let headers = fields.iter().map(|field| (field.name, field.value));
        let asked = channels::read_request(method, path, query, headers, body, &self.bounds);
        let asked = match asked {
            Ok(asked) => asked,
            Err(reject) => {
                self.metrics.error(reject.code);
                self.out.clear();
                let envelope = envelope(&mut self.clock, self.conns.get(at), context);
                channels::write_reject(&mut self.out, &envelope, &reject);
                return self.answer(at, context);
            }
        };
        let Asked {
            form,
            mut credentials,
            ask,
        } = asked;
        credentials.query(query.unwrap_or_default());
        let wanted = Wanted::of(&ask);
        let by_token = credentials.token().is_some();
        let is_known = matches!(ask, Ask::Limits | Ask::Reads(_));
        let for_anyone = wanted.deed == Deed::Nothing && !is_known;
        let opened = if by_token || for_anyone {
            self.anonymous_session(at, named, by_token)
        } else {
            self.open_session(at, &credentials, named)
        };
        let granted = opened.and_then(|opened| {
            let opened = self.speaking_as(opened, &ask)?;
            let grant = self.grant(&opened.session, credentials.token(), &wanted)?;
            Ok((opened, grant))
        });
        let (opened, grant) = match granted {
            Ok(granted) => granted,
            Err(failure) => return self.refuse_channel(at, context, form, failure),
        };
        // A channel may be another namespace's than the one that the request seems to be of.
        self.judge_page(at, &grant.namespace);
        if self.limiter.is_on() && wanted.deed != Deed::Nothing {
            let payer = Payer::of(&opened, Some(&grant));
            let room = ask.channel().map(ChannelId::room_name);
            let room = room.as_ref().map(String::as_bytes);
            if let Err(failure) = self.charge(at, &mut context, &payer, room, ask.body_bytes()) {
                return self.answer_channel_failure(at, context, form, &failure);
            }
        }
        if let Ask::Messages(id, ask) = ask {
            return self.message_ask(at, context, grant, id, ask);
        }
        if let Ask::Reads(ask) = ask {
            return self.reads_ask(at, context, &opened, credentials.token(), ask);
        }
        self.channel_ask(at, context, form, &opened, grant, ask, fields);
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "these are who asks, what, and how to answer"
    )]
    fn channel_ask(
        &mut self,
        at: usize,
        context: Context,
        form: Form,
        opened: &Arc<Opened>,
        grant: Grant,
        ask: Ask<'_>,
        fields: &[httparse::Header<'_>],
    ) {
        let now = self.clock.wall;
        match ask {
            Ask::Messages(..) | Ask::Reads(_) => unreachable!("messages are asked for elsewhere"),
            Ask::Preflight => self.show(at, context, |out, envelope| {
                channels::write_preflight(out, envelope, form);
            }),
            Ask::Ping => self.show(at, context, |out, envelope| {
                channels::write_pong(out, envelope, now);
            }),
            Ask::Limits => self.tell_limits(at, context, opened),
            Ask::OpenApi => self.show(at, context, channels::write_openapi),
            Ask::Create(create) => {
                // A namespace may have settled what its channels keep that name nothing themselves.
                let settled = self.settings_of(&grant.namespace);
                let retention = match settled {
                    Some(settled) if create.retention == Retention::default() => settled.retention,
                    Some(_) | None => create.retention,
                };
                let new = NewChannel {
                    id: ChannelId(self.random_bytes()),
                    name: create.name,
                    owner: grant.namespace.as_str().into(),
                    secret: new_secret(&self.random_bytes::<32>()),
                    settings: ChannelSettings {
                        retention,
                        slow: create.slow,
                    },
                };
                let ticket = self.expect(at, context, form, Shown::Created);
                let user = grant.author.filter(|user| may_own(user));
                self.shard.create_channel(now, ticket, new, user);
            }
            Ask::Describe(id) => self.describe_channel(at, context, form, id),
            Ask::Change(id, change) => {
                let Some(before) = self.channel(id).map(Channel::settings) else {
                    return self.refuse_channel(at, context, form, no_channel());
                };
                let settings = ChannelSettings {
                    retention: change.retention.unwrap_or(before.retention),
                    slow: change.slow.unwrap_or(before.slow),
                };
                let change = ChangeChannel::Settings(settings);
                let ticket = self.expect(at, context, form, Shown::Channel);
                self.shard.change_channel(now, ticket, id, &change);
            }
            Ask::Remove { channel, .. } if self.is_of_a_waddle(channel) => {
                self.refuse_channel(at, context, form, of_a_waddle("is deleted there"));
            }
            Ask::Token(channel, _) if self.is_of_a_waddle(channel) => {
                self.refuse_channel(at, context, form, of_a_waddle("takes no tokens"));
            }
            Ask::Remove { channel, .. } => {
                let grace_ms = self.limits.channel_purge_after_ms;
                let ticket = self.expect(at, context, form, Shown::Success);
                let change = ChangeChannel::Delete { grace_ms };
                self.shard.change_channel(now, ticket, channel, &change);
            }
            Ask::Secret(id) => {
                let secret = new_secret(&self.random_bytes::<32>());
                let ticket = self.expect(at, context, form, Shown::Secret);
                let change = ChangeChannel::Secret(secret);
                self.shard.change_channel(now, ticket, id, &change);
            }
            Ask::Token(id, token) => self.sign_token(at, context, form, id, &token),
            Ask::Realtime(id) => {
                let field = |name: &str| {
                    let found = fields
                        .iter()
                        .find(|field| field.name.eq_ignore_ascii_case(name));
                    found.and_then(|field| std::str::from_utf8(field.value).ok())
                };
                let base = self.base_url(context.secure, field("host"));
                let url = channels::realtime_url(&base);
                self.show(at, context, |out, envelope| {
                    channels::write_realtime(out, envelope, id, &url);
                });
            }
            Ask::Append(id, append) => {
                let author_id = grant.author.as_deref().or(append.author_id.as_deref());
                let Some(author_id) = author_id else {
                    return self.refuse_channel(at, context, form, no_author());
                };
                let events = append.messages.iter().map(|said| NewEvent {
                    author_id,
                    content: Some(&said.content),
                    reply_to: said.reply_to,
                    data: said.data,
                });
                let events: Vec<_> = events.collect();
                let shown = if append.batch {
                    Shown::Events
                } else {
                    Shown::Event
                };
                let new = NewEvents {
                    kind: EventKind::Message,
                    events: &events,
                    target_seq: None,
                    removed: false,
                    key: append.key,
                    rights: grant.rights,
                };
                self.append_events(at, context, form, shown, id, &new);
            }
            Ask::Edit(id, edit) => {
                let what = About {
                    kind: EventKind::Edit,
                    author_id: edit.author_id.as_deref(),
                    content: Some(&edit.content),
                    target_seq: edit.seq,
                    removed: false,
                };
                self.append_about(at, context, form, &grant, id, &what);
            }
            Ask::React(id, react) => {
                let what = About {
                    kind: EventKind::Reaction,
                    author_id: react.author_id.as_deref(),
                    content: Some(&react.reaction),
                    target_seq: react.seq,
                    removed: react.removed,
                };
                self.append_about(at, context, form, &grant, id, &what);
            }
            Ask::Delete {
                channel,
                seq,
                author_id,
            } => {
                let what = About {
                    kind: EventKind::Deletion,
                    author_id: author_id.as_deref(),
                    content: None,
                    target_seq: seq,
                    removed: false,
                };
                self.append_about(at, context, form, &grant, channel, &what);
            }
            Ask::Read(id, read) => self.read_events(at, context, form, &grant, id, &read),
            Ask::Subscribe { channel, after_seq } => {
                self.subscribe(at, context, form, &grant, channel, after_seq);
            }
            Ask::Poll {
                channel,
                after_seq,
                limit,
            } => self.poll_events(at, context, form, &grant, channel, after_seq, limit),
            Ask::Presence(id, asked) => self.list_members(at, context, form, id, &asked),
            Ask::List(list) => {
                let ask = ViewAsk::Channels(list.into_query(grant.namespace.as_str()));
                let wait = Wait::Visible {
                    timeout_ms: self.limits.query_wait_ms,
                };
                self.ask_view(at, context, form, Shown::Listed, ask, wait);
            }
            Ask::Query(found) => {
                let scope = found.place.scope(grant.namespace.as_str());
                let wait = match self.wait_for(&grant, found.wait_for) {
                    Ok(wait) => wait,
                    Err(failure) => return self.refuse_channel(at, context, form, failure),
                };
                let deleted = in_channel(&found.place)
                    && grant.rights.contains(floe_proto::Rights::READ_DELETED);
                let ask = ViewAsk::Events(found.what.into_query(scope, deleted));
                self.ask_view(at, context, form, Shown::Queried, ask, wait);
            }
            Ask::Search(found) => {
                let scope = found.place.scope(grant.namespace.as_str());
                let wait = match self.wait_for(&grant, found.wait_for) {
                    Ok(wait) => wait,
                    Err(failure) => return self.refuse_channel(at, context, form, failure),
                };
                let ask = ViewAsk::Search(found.what.into_search(scope));
                self.ask_view(at, context, form, Shown::Hits, ask, wait);
            }
            Ask::Event {
                channel,
                seq,
                wait_for,
            } => {
                let ask = ViewAsk::Event {
                    channel,
                    seq,
                    with_deleted: grant.rights.contains(floe_proto::Rights::READ_DELETED),
                    viewer: None,
                };
                // An event that is there is not denied for want of a view that has it.
                let is_there = self
                    .channel_room(channel)
                    .is_some_and(|room| seq <= room.visible().tail);
                let own = is_there.then_some(WaitFor { channel, seq });
                match self.wait_for(&grant, wait_for.or(own)) {
                    Ok(wait) => self.ask_view(at, context, form, Shown::Found, ask, wait),
                    Err(failure) => self.refuse_channel(at, context, form, failure),
                }
            }
        }
    }

    fn append_about(
        &mut self,
        at: usize,
        context: Context,
        form: Form,
        grant: &Grant,
        id: ChannelId,
        what: &About<'_>,
    ) {
        let Some(author_id) = grant.author.as_deref().or(what.author_id) else {
            return self.refuse_channel(at, context, form, no_author());
        };
        let event = NewEvent {
            author_id,
            content: what.content,
            reply_to: None,
            data: None,
        };
        let new = NewEvents {
            kind: what.kind,
            events: &[event],
            target_seq: Some(what.target_seq),
            removed: what.removed,
            key: None,
            rights: grant.rights,
        };
        self.append_events(at, context, form, Shown::Event, id, &new);
    }

    fn append_events(
        &mut self,
        at: usize,
        context: Context,
        form: Form,
        shown: Shown,
        id: ChannelId,
        new: &NewEvents<'_>,
    ) {
        let bytes: usize = new.events.iter().map(NewEvent::bytes).sum();
        self.metrics.append(bytes as u64);
        let ticket = self.expect(at, context, form, shown);
        let now = self.clock.wall;
        if let Err(failure) = self.shard.append_events(now, ticket, id, new) {
            self.refuse_channel(at, context, form, failure);
        }
    }

    fn describe_channel(&mut self, at: usize, context: Context, form: Form, id: ChannelId) {
        let described = self.channel_room(id).and_then(|room| {
            let slow = room.channel()?.settings().slow;
            Some((room.channel_meta()?, slow))
        });
        match described {
            Some((meta, slow)) => self.show(at, context, |out, envelope| {
                channels::write_channel(out, envelope, form, &meta, slow);
            }),
            None => self.refuse_channel(at, context, form, no_channel()),
        }
    }

    fn sign_token(
        &mut self,
        at: usize,
        context: Context,
        form: Form,
        id: ChannelId,
        token: &channels::Token,
    ) {
        let now = self.clock.wall;
        let expires_at = now.plus(token.expires_in_seconds.saturating_mul(1_000));
        let Some(secret) = self.channel(id).map(|channel| channel.secret().to_owned()) else {
            return self.refuse_channel(at, context, form, no_channel());
        };
        match ChannelToken::new(id, token.rights, &token.author, expires_at) {
            Ok(token) => {
                let text = token.sign(&secret);
                self.show(at, context, |out, envelope| {
                    channels::write_token(out, envelope, form, &text, token.expires_at());
                });
            }
            Err(error) => {
                let failure = Failure::new(Code::InvalidRequest, error.to_string());
                self.refuse_channel(at, context, form, failure);
            }
        }
    }

    /// Decides what a question waits for: nothing that lies behind the wall of its namespace.
    pub(super) fn wait_for(
        &mut self,
        grant: &Grant,
        wait_for: Option<WaitFor>,
    ) -> Result<Wait, Failure> {
        let timeout_ms = self.limits.query_wait_ms;
        let Some(WaitFor { channel, seq }) = wait_for else {
            return Ok(Wait::Open { timeout_ms });
        };
        let known = self.channel(channel);
        if known.is_none_or(|known| known.owner() != grant.namespace.as_str()) {
            return Err(no_channel());
        }
        Ok(Wait::Seq {
            channel,
            seq,
            timeout_ms,
        })
    }

    fn ask_view(
        &mut self,
        at: usize,
        context: Context,
        form: Form,
        shown: Shown,
        ask: ViewAsk,
        wait: Wait,
    ) {
        let ticket = self.expect(at, context, form, shown);
        self.ask_view_for(ticket, ask, wait);
    }

    /// Asks the view something that is answered under a ticket.
    pub(super) fn ask_view_for(&mut self, ticket: Ticket, ask: ViewAsk, wait: Wait) {
        let mark = self.shard.next_view_mark();
        let asked = self
            .views
            .ask(ticket, ask, wait, mark, self.clock.uptime_ms);
        if let Err(failure) = asked {
            self.shard.refuse(ticket, failure);
        }
    }

    /// Parks the connection until its command or question has been answered.
    fn expect(&mut self, at: usize, context: Context, form: Form, shown: Shown) -> Ticket {
        self.wait(at, context, Some(Box::new(Expect::Channel(form, shown))))
    }

    /// Answers a command about a channel.
    pub(super) fn answer_channel(
        &mut self,
        at: usize,
        context: Context,
        form: Form,
        shown: Shown,
        reply: Reply,
    ) {
        match reply {
            Reply::Events(Appended {
                events, duplicate, ..
            }) => self.show(at, context, |out, envelope| {
                if shown == Shown::Events {
                    channels::write_batch(out, envelope, form, &events, duplicate);
                } else {
                    channels::write_event(out, envelope, form, &events, duplicate);
                }
            }),
            Reply::Channel(id) => self.answer_changed(at, context, form, shown, id),
            Reply::Failed(failure) => self.answer_channel_failure(at, context, form, &failure),
            Reply::Created { .. }
            | Reply::Appended { .. }
            | Reply::Refused(_)
            | Reply::Deleted
            | Reply::Access(_)
            | Reply::Marked(_)
            | Reply::Reads(_)
            | Reply::Acted(_)
            | Reply::Told => {
                unreachable!("a stream's reply goes to who asked about a stream")
            }
        }
    }

    fn answer_changed(
        &mut self,
        at: usize,
        context: Context,
        form: Form,
        shown: Shown,
        id: ChannelId,
    ) {
        if shown == Shown::Success {
            return self.show(at, context, channels::write_success);
        }
        let changed = self.channel_room(id).and_then(|room| {
            let channel = room.channel()?;
            let slow = channel.settings().slow;
            Some((room.channel_meta()?, slow, channel.secret().to_owned()))
        });
        if shown == Shown::Secret
            && let Ok(Some(slot)) = self.shard.find_channel(self.clock.wall, id)
        {
            self.end_tokens(slot);
        }
        let Some((meta, slow, secret)) = changed else {
            // It was purged in the same moment.
            return self.answer_channel_failure(at, context, form, &no_channel());
        };
        self.show(at, context, |out, envelope| {
            if shown == Shown::Created {
                channels::write_created(out, envelope, form, &meta, slow, &secret);
            } else if shown == Shown::Secret {
                channels::write_secret(out, envelope, id, &secret);
            } else {
                channels::write_channel(out, envelope, form, &meta, slow);
            }
        });
    }

    /// Answers a question to the view.
    pub(super) fn answer_view(&mut self, at: usize, answer: Result<Answer, Failure>) {
        let Some((context, Some(expect))) = self.take_expected(at) else {
            return;
        };
        let Lag { events, ms, .. } = self.views.lag(&self.shard, self.clock.wall);
        let lag = channels::Lag { events, ms };
        let answer = answer.map(|answer| self.within_standing(at, answer));
        let (form, shown) = match *expect {
            Expect::Channel(form, shown) => (form, shown),
            Expect::Message(expect) => {
                return self.answer_message_view(at, context, &expect, answer);
            }
            Expect::Sought(sought) => {
                return self.answer_sought(at, context, &sought, answer, lag);
            }
            Expect::Location(_)
            | Expect::Rules(_)
            | Expect::Tables(_)
            | Expect::Waddle(_)
            | Expect::Recording => {
                unreachable!("only channels ask the view");
            }
        };
        match answer {
            Ok(Answer::Events(page)) => self.show(at, context, |out, envelope| {
                if shown == Shown::Hits {
                    channels::write_hits(out, envelope, &page, lag);
                } else {
                    channels::write_queried(out, envelope, &page, lag);
                }
            }),
            Ok(Answer::Channels(page)) => self.show(at, context, |out, envelope| {
                channels::write_channels(out, envelope, form, &page, lag);
            }),
            Ok(Answer::Event(Some(found))) => {
                let (event, versions) = *found;
                self.show(at, context, |out, envelope| {
                    channels::write_found(out, envelope, &event, &versions, lag);
                });
            }
            Ok(Answer::Messages { .. } | Answer::Reactions(_) | Answer::Unread(_)) => {
                unreachable!("the view answers what it was asked")
            }
            Ok(Answer::Event(None)) => {
                let failure = Failure::new(Code::NotFound, "there is no such message");
                self.answer_channel_failure(at, context, form, &failure);
            }
            Err(failure) => self.answer_channel_failure(at, context, form, &failure),
        }
    }

    /// Refuses a request, once all that the refusal tells of is durable.
    pub(super) fn refuse_channel(
        &mut self,
        at: usize,
        context: Context,
        form: Form,
        failure: Failure,
    ) {
        if self.parks(at, context, &failure) {
            return;
        }
        let ticket = self.expect(at, context, form, Shown::Success);
        self.shard.refuse(ticket, failure);
    }

    pub(super) fn answer_channel_failure(
        &mut self,
        at: usize,
        context: Context,
        form: Form,
        failure: &Failure,
    ) {
        if self.parks(at, context, failure) {
            return;
        }
        self.metrics.error(failure.code);
        self.show(at, context.after(failure), |out, envelope| {
            channels::write_error(out, envelope, form, failure.code, &failure.message);
        });
    }

    /// Writes an answer and sends it.
    pub(super) fn show(
        &mut self,
        at: usize,
        context: Context,
        write: impl FnOnce(&mut Vec<u8>, &floe_surfaces::http::Envelope<'_>),
    ) {
        self.out.clear();
        write(
            &mut self.out,
            &envelope(&mut self.clock, self.conns.get(at), context),
        );
        self.answer(at, context);
    }

    /// Returns the room of a channel, if it is there.
    pub(super) fn channel_room(&mut self, id: ChannelId) -> Option<&Room> {
        let slot = self.shard.find_channel(self.clock.wall, id).ok()??;
        Some(self.shard.room(slot))
    }

    fn channel(&mut self, id: ChannelId) -> Option<&Channel> {
        self.channel_room(id)?.channel()
    }

    pub(super) fn random_bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        // The system's generator is there from the start on every system that the server runs on.
        SystemRandom::new()
            .fill(&mut bytes)
            .expect("the system has random bytes");
        bytes
    }
}

/// Returns the token of a query; it is base64 that no percent signs need stand for.
pub(super) fn token_in(query: &str) -> Option<&str> {
    query
        .split('&')
        .find_map(|parameter| parameter.strip_prefix("token="))
}

/// Something said about an event.
struct About<'a> {
    kind: EventKind,
    author_id: Option<&'a str>,
    content: Option<&'a str>,
    target_seq: u64,
    removed: bool,
}

/// Returns what decides who may ask about a channel.
pub(super) fn known(room: &Room) -> Option<Known<'_>> {
    let channel = room.channel()?;
    Some(Known {
        owner: channel.owner(),
        // Who may be in the rooms of a waddle is the waddle's to say, and no token's.
        secret: room.waddle().is_none().then(|| channel.secret()),
        deleted: channel.deleted_at().is_some(),
        access: room.access(),
        standing: None,
    })
}

/// Returns whether a user can own what they make.
pub(super) fn may_own(user: &str) -> bool {
    (1..=RoomAccess::USER_BYTES_MAX).contains(&user.len())
}

pub(super) fn no_channel() -> Failure {
    Failure::new(Code::NotFound, "there is no such channel")
}

fn of_a_waddle(what: &str) -> Failure {
    let message = format!("the channel is of a waddle, and {what}");
    Failure::new(Code::MethodNotAllowed, message)
}

fn no_author() -> Failure {
    Failure::new(Code::InvalidRequest, "authorId is required")
}

pub(super) fn new_secret(bytes: &[u8; 32]) -> Secret {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Secret::new(&digits)
}

fn in_channel(place: &Place) -> bool {
    matches!(place, Place::Channel(_))
}
