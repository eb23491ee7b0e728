//! From requests to commands, and from replies to answers.

use floe_core::{Append, subscription};
use floe_log::{Disk, Payload};
use floe_proto::{Code, Millis, Namespace, live_cursor};
use floe_surfaces::access::{Credentials, Deed, Session, Wanted};
use floe_surfaces::admin;
use floe_surfaces::channels;
use floe_surfaces::community;
use floe_surfaces::http::{self, Answer, Method, Route};
use floe_surfaces::room_access;
use floe_surfaces::streams::{self, Body, Create, Live, Read, ReadAnswer, Request, RequestHead};
use floe_surfaces::subscriptions::{self, Asked};
use floe_surfaces::tables;

use super::caller::{full_name, is_unspeakable};
use super::channels::{may_own, token_in};
use super::conn::{Context, Expect, Following, Location, State};
use super::limits::Payer;
use super::live::is_live_path;
use super::output::Output;
use super::{Reactor, envelope};
use crate::shard::{Failure, Fetched, ForkOf, NewRoom, ReadPlan, Reply, is_channel, is_reserved};

impl<D: Disk> Reactor<D> {
    /// Serves one whole request.
    pub(super) fn dispatch(
        &mut self,
        at: usize,
        mut context: Context,
        method: &str,
        target: &str,
        fields: &[httparse::Header<'_>],
        body: &[u8],
    ) {
        self.metrics.request(Method::parse(method));
        self.conns[at].client = self.client_ip(at, fields);
        // Who watches whether the server lives is never too fast.
        if self.limiter.is_on()
            && !HEALTH.contains(&target)
            && let Err(failure) = self.admit_request(at, &mut context)
        {
            return self.answer_failure(at, context, &failure);
        }
        self.answer_request(at, context, method, target, fields, body);
        self.keep_parked(at, method, target, fields, body);
    }

    /// Serves a request, perhaps once more.
    pub(super) fn answer_request(
        &mut self,
        at: usize,
        context: Context,
        method: &str,
        target: &str,
        fields: &[httparse::Header<'_>],
        body: &[u8],
    ) {
        let method = Method::parse(method);
        if self.stop_ms.is_some() {
            return self.refuse(at, context, Code::Stopping, "the server is stopping");
        }
        let (full_path, query) = split_target(target);
        let (named, path) = match http::split_namespace(full_path) {
            Ok(split) => split,
            Err(error) => {
                return self.answer_error(at, context, Code::InvalidRequest, &error.to_string());
            }
        };
        if is_live_path(path) {
            return self.open_live(at, context, method, named, query, fields);
        }
        if community::owns(path) {
            return self.open_community(at, context, method, path, named, query, fields);
        }
        if let Some(path) = community::RoomPath::parse(path) {
            return self.room_request(at, context, method, path, named, query, fields, body);
        }
        if community::voice_http::owns(path) {
            return self.voice_request(at, context, method, path, named, query, fields, body);
        }
        if admin::owns(path) {
            return self.admin_request(at, context, method, path, named, query, fields, body);
        }
        if channels::owns(path) {
            return self.channel_request(at, context, method, path, named, query, fields, body);
        }
        if tables::owns(path) {
            return self.table_request(at, context, method, path, named, query, fields, body);
        }
        if room_access::owns(path) {
            return self.access_request(at, context, method, path, named, query, fields, body);
        }
        if community::http::owns(path) {
            return self.waddle_request(at, context, method, path, named, query, fields, body);
        }
        match Route::parse(path) {
            Route::Stream(name) => {
                if name.len() > self.limits.stream_path_bytes_max {
                    let message = "the path is longer than stream.path_bytes_max";
                    return self.answer_error(at, context, Code::PathTooLong, message);
                }
                let fields_of = || fields.iter().map(|field| (field.name, field.value));
                let mut scratch = std::mem::take(&mut self.scratch);
                let head = RequestHead { method, query };
                match streams::read_request(head, fields_of(), body, &mut scratch) {
                    // A browser asks about headers without any credentials.
                    Ok(Request::Preflight) => self.answer_preflight(at, context),
                    Ok(request) => {
                        let mut credentials = Credentials::read(fields_of());
                        credentials.query(query.unwrap_or_default());
                        let stream = Stream {
                            named,
                            path: full_path,
                            name: &name,
                            query,
                        };
                        self.stream_request(at, context, &credentials, stream, request);
                    }
                    Err(reject) => self.answer_error(at, context, reject.code, &reject.message),
                }
                self.scratch = scratch;
            }
            Route::Reserved(rest) => {
                self.reserved_request(at, context, method, named, rest, fields, body);
            }
            Route::Unknown => {
                self.answer_error(at, context, Code::UnknownRoute, "no route has this path");
            }
            Route::Health => self.answer_text(at, context, method, "text/plain", "ok\n"),
            Route::Load => self.answer_load(at, context, method),
            Route::Metrics => {
                if let Err(failure) = self.admit_operator(at, fields) {
                    return self.answer_failure(at, context, &failure);
                }
                self.tables.show_metrics(self.live_queries.len());
                self.metrics.buffers(&self.buffers.usage());
                let lag = self.views.lag(&self.shard, self.clock.wall);
                let counts = self.subscriptions.counts();
                self.show_replicas();
                self.metrics.media(&self.media.totals());
                self.metrics.limit_keys(self.limiter.sizes());
                for (kind, count) in self.shard.take_refusals() {
                    self.metrics.quota_refused(kind, count);
                }
                self.metrics
                    .crowds(self.shard.crowds().chain(self.passing()));
                let text = self.metrics.render(&self.shard, self.readers, counts, lag);
                self.answer_text(at, context, method, METRICS_TYPE, &text);
            }
            Route::Root => self.answer_text(at, context, method, HTML_TYPE, DEMO),
            Route::Room => self.answer_text(at, context, method, HTML_TYPE, ROOM),
            Route::Board => self.answer_text(at, context, method, HTML_TYPE, BOARD),
            Route::Chat => self.answer_text(at, context, method, HTML_TYPE, CHAT),
            Route::Voice => self.answer_text(at, context, method, HTML_TYPE, VOICE),
            Route::VoiceModule => {
                self.answer_text(at, context, method, SCRIPT_TYPE, VOICE_MODULE);
            }
        }
    }

    fn stream_request(
        &mut self,
        at: usize,
        mut context: Context,
        credentials: &Credentials<'_>,
        stream: Stream<'_>,
        request: Request<'_>,
    ) {
        let Stream {
            named,
            path,
            name,
            query,
        } = stream;
        // Written with percent signs, the reserved prefix looks like the name of a stream.
        if is_unspeakable(name) {
            return self.answer_error(at, context, Code::UnknownRoute, "no route has this path");
        }
        let writes = matches!(
            request,
            Request::Create(_) | Request::Append { .. } | Request::Delete
        );
        if writes && is_reserved(name) {
            let message = "only the server itself writes this stream";
            return self.answer_error(at, context, Code::MethodNotAllowed, message);
        }
        let token = if is_channel(name) {
            credentials.token().or_else(|| query.and_then(token_in))
        } else {
            None
        };
        let opened = match token {
            Some(_) => self.anonymous_session(at, named, true),
            None => self.open_session(at, credentials, named),
        };
        let admitted = opened.and_then(|opened| {
            self.admit_stream_request(&opened.session, token, name, &request)
                .map(|grant| (opened, grant))
        });
        let (opened, grant) = match admitted {
            Ok(admitted) => admitted,
            Err(failure) => return self.answer_refused_read(at, context, failure),
        };
        if let Some(grant) = &grant {
            self.judge_page(at, &grant.namespace);
        }
        let name = &*full_name(&opened.session, name);
        if self.limiter.is_on() {
            let payer = Payer::of(&opened, grant.as_ref());
            let bytes = request.body_bytes();
            if let Err(failure) = self.charge(at, &mut context, &payer, Some(name), bytes) {
                return self.answer_failure(at, context, &failure);
            }
        }
        let now = self.clock.wall;
        match request {
            Request::Append { append, body } => self.append(at, context, now, name, &append, body),
            Request::Read(read) => self.read(at, context, now, name, &read),
            Request::Create(create) => {
                self.create(at, context, now, path, &opened.session, name, create);
            }
            Request::Delete => {
                let ticket = self.wait(at, context, None);
                self.shard.delete(now, ticket, name);
            }
            Request::Describe => match self.shard.describe(now, name) {
                Ok(room) => {
                    self.out.clear();
                    let envelope = envelope(&mut self.clock, self.conns.get(at), context);
                    streams::write_described(&mut self.out, &envelope, room);
                    self.answer(at, context);
                }
                Err(failure) => self.answer_refused_read(at, context, failure),
            },
            Request::Preflight => self.answer_preflight(at, context),
        }
    }

    /// Answers a browser's question about headers, which it asks without any credentials.
    pub(super) fn answer_preflight(&mut self, at: usize, context: Context) {
        self.out.clear();
        http::preflight(
            &mut self.out,
            &envelope(&mut self.clock, self.conns.get(at), context),
        );
        self.answer(at, context);
    }

    /// Checks whether whoever asks looks after the whole server.
    fn admit_operator(
        &mut self,
        at: usize,
        fields: &[httparse::Header<'_>],
    ) -> Result<(), Failure> {
        let credentials = Credentials::read(fields.iter().map(|field| (field.name, field.value)));
        let opened = self.open_session(at, &credentials, None)?;
        if opened.session.caller().is_operator() {
            return Ok(());
        }
        let wanted = Wanted::of_namespace(Deed::Administer);
        self.grant(&opened.session, None, &wanted)?;
        let message = "this takes a key of all namespaces with the right `admin`";
        Err(Failure::new(Code::Forbidden, message))
    }

    fn append(
        &mut self,
        at: usize,
        context: Context,
        now: Millis,
        name: &[u8],
        append: &Append<'_>,
        body: Body<'_>,
    ) {
        let ticket = self.wait(at, context, None);
        self.metrics.append(body.bytes.len() as u64);
        self.shard.append(now, ticket, name, append, payload(body));
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "these are the parts of a request"
    )]
    fn create(
        &mut self,
        at: usize,
        context: Context,
        now: Millis,
        path: &str,
        session: &Session,
        name: &[u8],
        mut create: Create<'_>,
    ) {
        let user = session.caller().user.clone();
        create.create.owner = user.filter(|user| may_own(user));
        let location = match (&self.public_url, create.host) {
            (Some(base), _) => Location {
                host: None,
                path: format!("{}{path}", base.trim_end_matches('/')).into(),
            },
            (None, Some(host)) if context.secure => Location {
                host: None,
                path: format!("https://{host}{path}").into(),
            },
            (None, host) => Location {
                host: host.map(Into::into),
                path: path.into(),
            },
        };
        let ticket = self.wait(at, context, Some(Box::new(Expect::Location(location))));
        let source = create
            .fork
            .as_ref()
            .map(|fork| full_name(session, &fork.source));
        let fork = create.fork.as_ref().zip(source.as_deref());
        let fork = fork.map(|(fork, source)| ForkOf {
            source,
            at: fork.at,
            beyond: fork.beyond,
        });
        let body = create.body;
        let new = NewRoom {
            create: create.create,
            fork,
            json: body.json,
            payload: payload(body),
        };
        self.shard.create(now, ticket, name, new);
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "these are the parts of a request"
    )]
    fn reserved_request(
        &mut self,
        at: usize,
        mut context: Context,
        method: Method,
        named: Option<Namespace>,
        path: &str,
        fields: &[httparse::Header<'_>],
        body: &[u8],
    ) {
        if method == Method::Options {
            return self.answer_preflight(at, context);
        }
        let field = |name: &str| {
            let found = fields
                .iter()
                .find(|field| field.name.eq_ignore_ascii_case(name));
            found.and_then(|field| std::str::from_utf8(field.value).ok())
        };
        let base = self.base_url(context.secure, field("host"));
        let asked = subscriptions::Context {
            base: &base,
            development: self.address.ip().is_loopback(),
        };
        self.out.clear();
        match subscriptions::read_request(method, path, field("authorization"), body, &asked) {
            Ok(Asked::KeySet) => {
                let key = self.subscriptions.public_key();
                key.write_jwks(
                    &mut self.out,
                    &envelope(&mut self.clock, self.conns.get(at), context),
                );
                self.answer(at, context);
            }
            Ok(asked) => match self.admit_subscription(at, &mut context, named, &asked, fields) {
                Ok(namespace) => self.subscription_request(at, context, &namespace, &base, asked),
                Err(failure) => self.answer_refused_read(at, context, failure),
            },
            Err(reject) => {
                self.metrics.error(reject.code);
                let envelope = envelope(&mut self.clock, self.conns.get(at), context);
                subscriptions::write_reject(&mut self.out, &envelope, &reject);
                self.answer(at, context);
            }
        }
    }

    /// Decides whose subscriptions a request is about, and takes it out of what they may.
    ///
    /// Who holds a wake shows its token in place of a key, and names the namespace in the path.
    fn admit_subscription(
        &mut self,
        at: usize,
        context: &mut Context,
        named: Option<Namespace>,
        asked: &Asked,
        fields: &[httparse::Header<'_>],
    ) -> Result<Namespace, Failure> {
        let deeds = asked.deeds();
        if deeds.is_empty() {
            let namespace = named.unwrap_or_default();
            let charged = self.charge_holder(at, context, &namespace, asked);
            self.conns[at].session = None;
            return charged.map(|()| namespace);
        }
        let credentials = Credentials::read(fields.iter().map(|field| (field.name, field.value)));
        let opened = self.open_session(at, &credentials, named)?;
        for deed in deeds {
            let wanted = Wanted::of_namespace(*deed);
            self.grant(&opened.session, None, &wanted)?;
        }
        self.charge(at, context, &Payer::of(&opened, None), None, 0)?;
        Ok(opened.session.namespace().cloned().unwrap_or_default())
    }

    /// Takes what the holder of a wake asks for out of what the namespace may. Who guesses at a token
    /// uses up nothing but what their own address and connection may.
    fn charge_holder(
        &mut self,
        at: usize,
        context: &mut Context,
        namespace: &Namespace,
        asked: &Asked,
    ) -> Result<(), Failure> {
        let holds = asked
            .wake_token()
            .is_some_and(|(id, token)| self.subscriptions.knows_token(namespace, id, token));
        if !holds || !self.limiter.is_on() {
            return Ok(());
        }
        let opened = self.anonymous_session(at, Some(namespace.clone()), false)?;
        self.charge(at, context, &Payer::of(&opened, None), None, 0)
    }

    fn subscription_request(
        &mut self,
        at: usize,
        context: Context,
        namespace: &Namespace,
        base: &str,
        mut asked: Asked,
    ) {
        let base = subscriptions::base_in(base, namespace);
        asked.rebase(&base);
        let Asked::Subscription { id, request } = asked else {
            return;
        };
        let base = Location {
            host: None,
            path: base.into(),
        };
        let ticket = self.wait(at, context, Some(Box::new(Expect::Location(base))));
        let now = self.clock.wall;
        self.subscriptions
            .request(now, ticket, namespace, id, request);
    }

    /// Returns the base of the server's absolute addresses, as far as a request knows it.
    pub(super) fn base_url(&self, secure: bool, host: Option<&str>) -> String {
        let local = self.address.to_string();
        subscriptions::base_url(self.public_url.as_deref(), secure, host, &local)
    }

    /// Answers a request about a subscription.
    pub(super) fn answer_subscription(&mut self, at: usize, reply: &subscription::Reply) {
        let Some((context, expect)) = self.take_expected(at) else {
            return;
        };
        let base = expect.map(|expect| match *expect {
            Expect::Location(base) => base.path,
            Expect::Channel(..)
            | Expect::Message(_)
            | Expect::Rules(_)
            | Expect::Tables(_)
            | Expect::Waddle(_)
            | Expect::Recording
            | Expect::Sought(_) => {
                unreachable!("a subscription is no room")
            }
        });
        let base = base.unwrap_or_default();
        // Whether it is there is nothing for somebody who has shown no more than a wake's token.
        let unseen = self.conns[at].session.is_none() && !self.access.is_open();
        let not_found = subscription::Reply::Refused(subscription::Refusal::NotFound);
        let reply = if unseen && *reply == not_found {
            &subscription::Reply::Refused(subscription::Refusal::Unauthorized)
        } else {
            reply
        };
        self.out.clear();
        let key = self.subscriptions.public_key();
        let envelope = envelope(&mut self.clock, self.conns.get(at), context);
        subscriptions::write_reply(&mut self.out, &envelope, reply, &base, key);
        self.answer(at, context);
    }

    /// Parks the connection until its command is durable.
    pub(super) fn wait(
        &mut self,
        at: usize,
        context: Context,
        expect: Option<Box<Expect>>,
    ) -> crate::shard::Ticket {
        let conn = &mut self.conns[at];
        conn.state = State::Waiting(context, expect);
        conn.deadline_ms = u64::MAX;
        conn.ticket(at)
    }

    /// Answers a command whose reply has come.
    pub(super) fn answer_reply(&mut self, at: usize, reply: Reply) {
        let Some((context, expect)) = self.take_expected(at) else {
            return;
        };
        let location = match expect.map(|expect| *expect) {
            Some(Expect::Channel(form, shown)) => {
                return self.answer_channel(at, context, form, shown, reply);
            }
            Some(Expect::Message(expect)) => {
                return self.answer_message(at, context, expect, reply);
            }
            Some(Expect::Rules(room)) => {
                return match reply {
                    Reply::Access(rules) => self.answer_rules(at, context, &room, &rules),
                    Reply::Failed(failure) => self.answer_failure(at, context, &failure),
                    Reply::Created { .. }
                    | Reply::Appended { .. }
                    | Reply::Refused(_)
                    | Reply::Deleted
                    | Reply::Channel(_)
                    | Reply::Events(_)
                    | Reply::Marked(_)
                    | Reply::Reads(_)
                    | Reply::Acted(_)
                    | Reply::Told => unreachable!("rules were asked for"),
                };
            }
            Some(Expect::Waddle(told)) => {
                return self.answer_waddle(at, context, &told, reply);
            }
            Some(Expect::Sought(_) | Expect::Recording) => {
                return match reply {
                    Reply::Failed(failure) => self.answer_failure(at, context, &failure),
                    Reply::Created { .. }
                    | Reply::Appended { .. }
                    | Reply::Refused(_)
                    | Reply::Deleted
                    | Reply::Channel(_)
                    | Reply::Events(_)
                    | Reply::Access(_)
                    | Reply::Marked(_)
                    | Reply::Reads(_)
                    | Reply::Acted(_)
                    | Reply::Told => unreachable!("nobody asked the shard"),
                };
            }
            Some(Expect::Tables(expect)) => {
                return match reply {
                    Reply::Failed(failure) => {
                        self.answer_table_failure(at, context, &expect, &failure);
                    }
                    Reply::Created { .. }
                    | Reply::Appended { .. }
                    | Reply::Refused(_)
                    | Reply::Deleted
                    | Reply::Channel(_)
                    | Reply::Events(_)
                    | Reply::Access(_)
                    | Reply::Marked(_)
                    | Reply::Reads(_)
                    | Reply::Acted(_)
                    | Reply::Told => unreachable!("tables answer by themselves"),
                };
            }
            Some(Expect::Location(location)) => Some(location),
            None => None,
        };
        self.out.clear();
        let envelope = envelope(&mut self.clock, self.conns.get(at), context);
        match reply {
            Reply::Appended {
                edge,
                producer,
                new_data,
            } => {
                streams::write_appended(&mut self.out, &envelope, edge, producer, new_data);
            }
            Reply::Refused(refused) => {
                self.metrics.error(refused.code());
                streams::write_append_error(&mut self.out, &envelope, &refused);
            }
            Reply::Created {
                new,
                edge,
                content_type,
            } => {
                let location = location.as_ref();
                let host = location.and_then(|location| location.host.as_deref());
                let path = location.map_or("/", |location| &location.path);
                let content_type = content_type.as_str();
                streams::write_created(
                    &mut self.out,
                    &envelope,
                    new,
                    (host, path),
                    content_type,
                    edge,
                );
            }
            Reply::Deleted => streams::write_deleted(&mut self.out, &envelope),
            Reply::Failed(failure) => return self.answer_failure(at, context, &failure),
            Reply::Channel(_)
            | Reply::Events(_)
            | Reply::Access(_)
            | Reply::Marked(_)
            | Reply::Reads(_)
            | Reply::Acted(_)
            | Reply::Told => {
                unreachable!("a channel's reply goes to who asked about a channel")
            }
        }
        self.answer(at, context);
    }

    /// Takes a connection whose answer has come back to requests; returns what the answer needs.
    pub(super) fn take_expected(&mut self, at: usize) -> Option<(Context, Option<Box<Expect>>)> {
        let conn = self.conns.get_mut(at)?;
        match std::mem::replace(&mut conn.state, State::Receiving) {
            State::Waiting(context, expect) => Some((context, expect)),
            State::Receiving
            | State::Parked(_)
            | State::LongPoll(_)
            | State::Sse(_)
            | State::Live(_)
            | State::Closing
            | State::Draining => {
                unreachable!("a reply comes to the connection that waits for it")
            }
        }
    }

    /// Answers a read that was refused, once what it was refused for is durable.
    pub(super) fn answer_refused_read(&mut self, at: usize, context: Context, failure: Failure) {
        if self.parks(at, context, &failure) {
            return;
        }
        let ticket = self.wait(at, context, None);
        self.shard.refuse(ticket, failure);
    }

    pub(super) fn answer_failure(&mut self, at: usize, context: Context, failure: &Failure) {
        if self.parks(at, context, failure) {
            return;
        }
        let context = context.after(failure);
        self.answer_error(at, context, failure.code, &failure.message);
    }

    pub(super) fn answer_text(
        &mut self,
        at: usize,
        context: Context,
        method: Method,
        content_type: &str,
        text: &str,
    ) {
        if !matches!(method, Method::Get | Method::Head) {
            return self.answer_error(
                at,
                context,
                Code::MethodNotAllowed,
                "this path takes GET and HEAD",
            );
        }
        self.out.clear();
        Answer::start(
            &mut self.out,
            &envelope(&mut self.clock, self.conns.get(at), context),
            200,
        )
        .field("Content-Type", content_type.as_bytes())
        .field("Cache-Control", b"no-store")
        .body(text.as_bytes());
        self.answer(at, context);
    }

    fn read(&mut self, at: usize, context: Context, now: Millis, name: &[u8], read: &Read<'_>) {
        let plan = match self.shard.plan_read(now, name, read.start) {
            Ok(plan) => plan,
            Err(failure) => return self.answer_refused_read(at, context, failure),
        };
        let random = self.draw();
        let cursor = live_cursor(now, read.cursor, random);
        let waits = plan.span.from == plan.span.edge.tail;
        match read.live {
            Live::No => self.answer_read(at, context, plan, read, None),
            Live::LongPoll if !waits => self.answer_read(at, context, plan, read, Some(cursor)),
            Live::LongPoll => self.start_long_poll(at, context, plan, cursor, Following::Stream),
            Live::Sse if context.old => {
                let message = "server-sent events come in chunks, which HTTP/1.0 has not";
                self.answer_error(at, context, Code::InvalidRequest, message);
            }
            Live::Sse => self.start_sse(at, context, plan, cursor),
        }
    }

    fn answer_read(
        &mut self,
        at: usize,
        context: Context,
        plan: ReadPlan,
        read: &Read<'_>,
        cursor: Option<u64>,
    ) {
        match self.fetch_shown(plan.slot, plan.span.from, self.limits.read_chunk_bytes_max) {
            Ok(fetched) => {
                let now = read.start == floe_core::Start::Now;
                self.answer_fetched(at, context, plan, fetched, cursor, now, read.if_none_match);
            }
            Err(failure) => self.answer_failure(at, context, &failure),
        }
    }

    /// Answers with what a read found.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is another fact of one answer"
    )]
    pub(super) fn answer_fetched(
        &mut self,
        at: usize,
        context: Context,
        plan: ReadPlan,
        mut fetched: Fetched<D::File>,
        cursor: Option<u64>,
        now: bool,
        if_none_match: Option<&str>,
    ) {
        let room = self.shard.room(plan.slot);
        let json = room.is_json();
        if json {
            fetched.trim_last_comma();
        }
        let edge = room.visible();
        let closed = edge.closed && fetched.next == edge.tail;
        let answer = ReadAnswer {
            room: room.id(),
            content_type: room.content_type(),
            from: plan.span.from,
            next: fetched.next,
            edge,
            cursor: cursor.filter(|_| !closed),
            // What a channel shows may be deleted later, and is not for everyone: no cache keeps it.
            now: now || room.channel().is_some(),
            if_none_match,
            body_len: fetched.bytes + if json { 2 } else { 0 },
        };
        self.out.clear();
        let follows = streams::write_read(
            &mut self.out,
            &envelope(&mut self.clock, self.conns.get(at), context),
            &answer,
        );
        if follows {
            if json {
                self.out.push(b'[');
            }
            return self.send_fetched(at, context, fetched, json);
        }
        self.answer(at, context);
    }

    /// Sends the head in `self.out` and the parts after it.
    fn send_fetched(&mut self, at: usize, context: Context, fetched: Fetched<D::File>, json: bool) {
        let copied = fetched.bytes <= COPY_BYTES_MAX && fetched.in_memory();
        let mut parts = fetched.parts;
        if copied {
            for part in parts.drain(..) {
                if let floe_log::Part::Memory(bytes) = part {
                    self.out.extend_from_slice(&bytes);
                }
            }
        }
        if parts.is_empty() {
            if json {
                self.out.push(b']');
            }
            return self.answer(at, context);
        }
        let Some(output) = self.begin_parts(at, context) else {
            return;
        };
        for part in parts {
            output.push_part(part);
        }
        if json {
            output.push(bytes::Bytes::from_static(b"]"));
        }
        // A request being served is never the place to serve the next one from.
        self.flush_only(at);
    }

    /// Begins an answer whose head is written and whose body follows in parts; `None` where the
    /// connection is gone. Whoever takes none of it for `reader_stall_timeout_ms` is closed.
    pub(super) fn begin_parts(
        &mut self,
        at: usize,
        context: Context,
    ) -> Option<&mut Output<D::File>> {
        let head = bytes::Bytes::copy_from_slice(&self.out);
        let deadline_ms = self.clock.uptime_ms + self.limits.reader_stall_timeout_ms;
        let conn = self.conns.get_mut(at)?;
        conn.state = if context.close {
            State::Closing
        } else {
            State::Receiving
        };
        conn.output.push(head);
        self.set_deadline(at, deadline_ms);
        self.conns.get_mut(at).map(|conn| &mut conn.output)
    }

    pub(super) fn flush_only(&mut self, at: usize) {
        let Some(conn) = self.conns.get_mut(at) else {
            return;
        };
        match conn.output.flush(&mut conn.socket) {
            Ok(sent) => {
                self.metrics.sent(sent);
                self.after_answer(at);
            }
            Err(_) => self.close(at),
        }
    }
}

/// A stream as a request names it.
struct Stream<'a> {
    /// The namespace before its path.
    named: Option<Namespace>,
    /// The whole path, as it was written.
    path: &'a str,
    /// The path of the stream in its namespace.
    name: &'a [u8],
    query: Option<&'a str>,
}

/// Bodies up to this size are copied behind their head, to leave in one system call.
const COPY_BYTES_MAX: u64 = 32 << 10;

/// Where a server says that it lives.
const HEALTH: [&str; 2] = ["/healthz", "/health"];

/// The text form that the metrics have (OpenMetrics 1.0).
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const HTML_TYPE: &str = "text/html; charset=utf-8";
const SCRIPT_TYPE: &str = "text/javascript; charset=utf-8";

/// The page that shows a channel at work over a WebSocket.
const ROOM: &str = include_str!("../../assets/room.html");

/// The page that shows a room with tables at work.
const BOARD: &str = include_str!("../../../../examples/board.html");
/// The page of a community.
const CHAT: &str = include_str!("../../../../examples/chat.html");
/// The page of a voice room, and what it does it by.
const VOICE: &str = include_str!("../../../../examples/voice.html");
const VOICE_MODULE: &str = include_str!("../../../../examples/voice.js");

/// The page that shows a stream at work in a browser.
const DEMO: &str = include_str!("../../assets/demo.html");

fn payload(body: Body<'_>) -> Payload<'_> {
    Payload {
        bytes: body.bytes,
        lens: body.lens,
    }
}

/// Splits a request target into path and query; an absolute target loses its authority.
pub(super) fn split_target(target: &str) -> (&str, Option<&str>) {
    let target = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => {
            rest.find('/').map_or("/", |at| &rest[at..])
        }
        Some(_) | None => target,
    };
    match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    }
}
