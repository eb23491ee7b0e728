//! The view against a plain model: random events, every filter, alone and together.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;

use common::{Channel, View, query};
use floe_proto::{
    Among, ChannelId, Event, EventKind, EventQuery, Millis, Pin, ReactionCount, Reactions, Scope,
    StoredEvent, Unread, UnreadQuery, mentions,
};
use floe_views::{Change, Options, Reader};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Something that happens.
#[derive(Debug, Clone)]
enum Step {
    Say(u8, u8, &'static str, i16),
    Edit(u8, u8, u8, &'static str),
    React(u8, u8, u8, &'static str, bool),
    Delete(u8, u8, u8),
    /// Answers a message, and mentions somebody in its data.
    Answer(u8, u8, u8, u8),
    Pin(u8, u8, u8, bool),
    Expire(u8, u8),
    DeleteChannel(u8),
    Purge(u8),
    /// Hands in what is new, and this many events before it once more.
    Apply(u8),
    Restart,
}

const CHANNELS: u8 = 4;
const AUTHORS: [&str; 3] = ["ann", "bob", "cy"];
const TEXTS: [&str; 8] = [
    "",
    "alpha",
    "alpha beta",
    "Beta gamma",
    "100% γ",
    "gamma_1",
    "<@bob> alpha",
    "<@cy><@ann> <@nobody>",
];

fn step() -> impl Strategy<Value = Step> {
    let channel = 0..CHANNELS;
    let author = 0..AUTHORS.len() as u8;
    let text = proptest::sample::select(TEXTS.to_vec());
    let reaction = proptest::sample::select(vec!["+1", "eyes", "🎉"]);
    let target = 0..40_u8;
    prop_oneof![
        12 => (channel.clone(), author.clone(), text.clone(), -20..50_i16)
            .prop_map(|(c, a, t, ms)| Step::Say(c, a, t, ms)),
        3 => (channel.clone(), author.clone(), target.clone(), text)
            .prop_map(|(c, a, s, t)| Step::Edit(c, a, s, t)),
        3 => (channel.clone(), author.clone(), target.clone(), reaction, any::<bool>())
            .prop_map(|(c, a, s, r, out)| Step::React(c, a, s, r, out)),
        3 => (channel.clone(), author.clone(), target.clone())
            .prop_map(|(c, a, s)| Step::Delete(c, a, s)),
        4 => (channel.clone(), author.clone(), target.clone(), author.clone())
            .prop_map(|(c, a, s, m)| Step::Answer(c, a, s, m)),
        3 => (channel.clone(), author, target.clone(), proptest::bool::weighted(0.3))
            .prop_map(|(c, a, s, out)| Step::Pin(c, a, s, out)),
        1 => (channel.clone(), target.clone()).prop_map(|(c, s)| Step::Expire(c, s)),
        1 => channel.clone().prop_map(Step::DeleteChannel),
        1 => channel.prop_map(Step::Purge),
        5 => target.prop_map(Step::Apply),
        1 => Just(Step::Restart),
    ]
}

fn question() -> impl Strategy<Value = EventQuery> {
    let scope = prop_oneof![
        (0..CHANNELS).prop_map(|number| Scope::Channel(Channel::new(number, "").meta.id)),
        (0..2_u8).prop_map(|number| Scope::Namespace(owner(number).into())),
        (
            0..2_u8,
            proptest::sample::subsequence((0..CHANNELS).collect::<Vec<_>>(), 0..4)
        )
            .prop_map(|(number, some)| Scope::Channels {
                owner: owner(number).into(),
                channels: some
                    .iter()
                    .map(|number| Channel::new(*number, "").meta.id)
                    .collect(),
            }),
    ];
    let seq = 0..40_u64;
    let at = 10_000..11_000_u64;
    let filters = (
        option::of(seq.clone()),
        option::of(seq),
        option::weighted(0.3, proptest::sample::select(vec!["ann", "bob", "zoe"])),
        option::weighted(
            0.3,
            proptest::sample::select(vec!["", "a", "eta", "amma", "%", "γ"]),
        ),
        option::weighted(0.3, at.clone()),
        option::weighted(0.3, at),
    );
    let user = || proptest::sample::select(vec!["ann", "bob", "nobody", "zoe"]);
    let among = prop_oneof![
        4 => Just(Among::All),
        1 => (0..40_u64).prop_map(Among::RepliesTo),
        1 => Just(Among::Pinned),
        2 => user().prop_map(|user| Among::Mentioning(user.into())),
    ];
    let rest = (
        any::<bool>(),
        1..9_u32,
        any::<bool>(),
        among,
        option::of(user()),
    );
    (scope, filters, rest).prop_map(
        |(
            scope,
            (after, before, author, contains, from, to),
            (newest_first, limit, deleted, among, viewer),
        )| {
            EventQuery {
                among,
                viewer: viewer.map(Into::into),
                after_seq: after.filter(|after| after % 2 == 0),
                before_seq: before.filter(|before| before % 3 == 0),
                author_id: author.map(Into::into),
                content_contains: contains.map(Into::into),
                after_date: from.map(Millis),
                before_date: to.map(Millis),
                newest_first,
                limit,
                with_deleted: deleted,
                ..query(scope)
            }
        },
    )
}

fn owner(number: u8) -> &'static str {
    if number.is_multiple_of(2) {
        "acme"
    } else {
        "rival"
    }
}

/// What a message has become.
#[derive(Debug, Clone)]
struct Message {
    event: Event<'static>,
    versions: Vec<(u64, Millis, String, bool)>,
    reactions: Vec<(String, Vec<(String, u64)>)>,
    pin: Option<Pin>,
}

impl Message {
    fn now(&self) -> (Option<Millis>, &str) {
        let (seq, at, content, _) = self
            .versions
            .iter()
            .rev()
            .find(|(_, _, _, deleted)| !deleted)
            .unwrap();
        ((*seq != self.event.seq).then_some(*at), content)
    }

    fn mentions(&self, user: &str) -> bool {
        let (_, content) = self.now();
        mentions(content, self.event.data.as_deref())
            .iter()
            .any(|mentioned| mentioned == user)
    }
}

/// The plain model of one channel: what its events come to.
fn fold(channel: &Channel) -> BTreeMap<u64, Message> {
    let mut messages: BTreeMap<u64, Message> = BTreeMap::new();
    for event in &channel.log {
        let content = event.content.clone().unwrap_or_default().into_owned();
        let target = event.target_seq.unwrap_or(0);
        let author = event.author_id.clone().into_owned();
        match event.kind {
            EventKind::Message => {
                let message = Message {
                    event: event.clone(),
                    versions: vec![(event.seq, event.created_at, content, false)],
                    reactions: Vec::new(),
                    pin: None,
                };
                messages.insert(event.seq, message);
            }
            EventKind::Edit => {
                if let Some(message) = messages.get_mut(&target) {
                    let version = (event.seq, event.created_at, content, false);
                    message.versions.push(version);
                }
            }
            EventKind::Reaction => {
                if let Some(message) = messages.get_mut(&target) {
                    react(message, &content, &author, event.seq, event.removed);
                }
            }
            EventKind::Pin => {
                if let Some(message) = messages.get_mut(&target) {
                    let pin = Pin {
                        seq: event.seq,
                        author_id: author.into(),
                        at: event.created_at,
                    };
                    message.pin = match message.pin.take() {
                        _ if event.removed => None,
                        Some(pin) => Some(pin),
                        None => Some(pin),
                    };
                }
            }
            EventKind::Deletion => {
                if let Some(message) = messages.get_mut(&target) {
                    message.event.deleted = true;
                    continue;
                }
                for message in messages.values_mut() {
                    for version in &mut message.versions {
                        version.3 |= version.0 == target;
                    }
                    for (_, authors) in &mut message.reactions {
                        authors.retain(|(_, seq)| *seq != target);
                    }
                    message.reactions.retain(|(_, authors)| !authors.is_empty());
                    message.pin.take_if(|pin| pin.seq == target);
                }
            }
        }
    }
    messages
}

fn react(message: &mut Message, reaction: &str, author: &str, seq: u64, removed: bool) {
    let known = message
        .reactions
        .iter_mut()
        .find(|(name, _)| name == reaction);
    match (known, removed) {
        (Some((_, authors)), false) => {
            if !authors.iter().any(|(name, _)| name == author) {
                authors.push((author.to_owned(), seq));
            }
        }
        (None, false) => message
            .reactions
            .push((reaction.to_owned(), vec![(author.to_owned(), seq)])),
        (Some((_, authors)), true) => authors.retain(|(name, _)| name != author),
        (None, true) => {}
    }
    message.reactions.retain(|(_, authors)| !authors.is_empty());
}

/// What the model answers, all pages at once, in the order of channels and numbers.
fn expected(channels: &[Channel], query: &EventQuery) -> Vec<StoredEvent> {
    let mut items = Vec::new();
    for channel in channels {
        let wanted = match &query.scope {
            Scope::Channel(id) => *id == channel.meta.id,
            Scope::Namespace(name) => *name == channel.meta.owner,
            Scope::Channels { owner, channels } => {
                *owner == channel.meta.owner && channels.contains(&channel.meta.id)
            }
        };
        if !wanted || (channel.meta.deleted_at.is_some() && !query.with_deleted) {
            continue;
        }
        let messages = fold(channel);
        for (seq, message) in &messages {
            let seq = *seq;
            let replies = replies(&messages, seq);
            let in_channel = matches!(query.scope, Scope::Channel(_));
            let is_among = match &query.among {
                Among::All => true,
                Among::RepliesTo(of) => in_channel && message.event.reply_to == Some(*of),
                Among::Pinned => in_channel && message.pin.is_some(),
                Among::Mentioning(user) => message.mentions(user),
            };
            let (edited_at, content) = message.now();
            let event = &message.event;
            let holds = is_among
                && seq >= channel.meta.start
                && (query.with_deleted || !event.deleted)
                && query.after_seq.is_none_or(|after| seq > after)
                && query.before_seq.is_none_or(|before| seq < before)
                && query
                    .author_id
                    .as_ref()
                    .is_none_or(|it| **it == event.author_id)
                && query
                    .content_contains
                    .as_ref()
                    .is_none_or(|it| content.contains(&**it))
                && query.after_date.is_none_or(|date| event.created_at > date)
                && query.before_date.is_none_or(|date| event.created_at < date);
            if holds {
                items.push(StoredEvent {
                    channel: channel.meta.id,
                    event: Event {
                        content: Some(content.to_owned().into()),
                        ..event.clone()
                    },
                    edited_at,
                    reactions: message
                        .reactions
                        .iter()
                        .map(|(name, authors)| (name.as_str().into(), authors.len() as u32))
                        .collect(),
                    own_reactions: message
                        .reactions
                        .iter()
                        .filter(|(_, authors)| {
                            authors
                                .iter()
                                .any(|(name, _)| Some(name.as_str()) == query.viewer.as_deref())
                        })
                        .map(|(name, _)| name.as_str().into())
                        .collect(),
                    replies,
                    pin: message.pin.clone(),
                    snippet: None,
                    rank: None,
                });
            }
        }
    }
    items
}

/// How many messages answer one.
fn replies(messages: &BTreeMap<u64, Message>, seq: u64) -> u32 {
    let events = messages.values().map(|message| &message.event);
    let answers = events.filter(|event| event.reply_to == Some(seq) && !event.deleted);
    answers.count() as u32
}

/// What the model has not seen a user read.
fn unread(channel: &Channel, user: &str, after_seq: u64) -> Unread {
    let messages = fold(channel);
    let others = messages.iter().filter(|(seq, message)| {
        let event = &message.event;
        let is_there = **seq >= channel.meta.start && channel.meta.deleted_at.is_none();
        is_there && **seq > after_seq && !event.deleted && event.author_id != user
    });
    Unread {
        channel: channel.meta.id,
        after_seq,
        applied: channel.meta.head,
        unread: others.clone().count() as u32,
        mentions: others.filter(|(_, message)| message.mentions(user)).count() as u32,
    }
}

/// Compares what is asked of one message, and what nobody has read, with the model.
fn check_messages(reader: &Reader, channels: &[Channel]) {
    for (user, after_seq) in [("ann", 0), ("bob", 7), ("zoe", 0), ("nobody", 20)] {
        let query = UnreadQuery {
            user: user.into(),
            channels: channels
                .iter()
                .map(|channel| (channel.meta.id, after_seq))
                .collect(),
        };
        let expected: Vec<_> = channels
            .iter()
            .map(|channel| unread(channel, user, after_seq))
            .collect();
        assert_eq!(reader.unread(&query).unwrap(), expected, "{user}");
    }
    for channel in channels {
        let Some(applied) = reader.applied(channel.meta.id).unwrap() else {
            continue;
        };
        for (seq, message) in fold(channel) {
            let is_there = seq >= channel.meta.start
                && channel.meta.deleted_at.is_none()
                && !message.event.deleted;
            let counts = message
                .reactions
                .iter()
                .filter(|_| is_there)
                .map(|(name, authors)| {
                    let mut authors: Vec<Box<str>> = authors
                        .iter()
                        .map(|(author, _)| author.as_str().into())
                        .collect();
                    authors.sort_unstable();
                    ReactionCount {
                        reaction: name.as_str().into(),
                        count: authors.len() as u32,
                        authors,
                    }
                });
            let expected = Reactions {
                applied,
                counts: counts.collect(),
                are_all_named: true,
            };
            let mut found = reader.reactions(channel.meta.id, seq).unwrap().unwrap();
            for count in &mut found.counts {
                count.authors.sort_unstable();
            }
            assert_eq!(found, expected);
        }
    }
}

/// What the view answers, all pages one after another.
fn answered(reader: &Reader, mut query: EventQuery) -> Vec<StoredEvent> {
    let mut items = Vec::new();
    loop {
        let page = reader.events(&query).unwrap();
        assert!(page.items.len() <= query.limit as usize);
        items.extend(page.items);
        query.page = page.next;
        if query.page.is_none() {
            return items;
        }
        assert!(items.len() < 10_000, "pages without end");
    }
}

fn run(steps: &[Step], questions: &[EventQuery], options: Options) {
    let view = View::with(options);
    let mut projector = view.projector();
    let mut channels: Vec<Channel> = (0..CHANNELS)
        .map(|number| Channel::new(number, owner(number)))
        .collect();
    let mut purged = [false; CHANNELS as usize];
    for step in steps.iter().chain([&Step::Apply(0)]) {
        match *step {
            Step::Say(channel, author, text, ms) => {
                let channel = &mut channels[usize::from(channel)];
                channel.say(AUTHORS[usize::from(author)], text);
                let event = channel.log.last_mut().unwrap();
                let at = event.created_at.0.saturating_add_signed(i64::from(ms));
                event.created_at = Millis(at);
            }
            Step::Edit(channel, author, target, text) => {
                let channel = &mut channels[usize::from(channel)];
                channel.edit(AUTHORS[usize::from(author)], u64::from(target), text);
            }
            Step::React(channel, author, target, reaction, removed) => {
                let channel = &mut channels[usize::from(channel)];
                let author = AUTHORS[usize::from(author)];
                channel.react(author, u64::from(target), reaction);
                channel.log.last_mut().unwrap().removed = removed;
            }
            Step::Delete(channel, author, target) => {
                let channel = &mut channels[usize::from(channel)];
                channel.delete(AUTHORS[usize::from(author)], u64::from(target));
            }
            Step::Answer(channel, author, target, mentioned) => {
                let channel = &mut channels[usize::from(channel)];
                channel.say(AUTHORS[usize::from(author)], "yes");
                let mentioned = AUTHORS[usize::from(mentioned)];
                let event = channel.log.last_mut().unwrap();
                event.reply_to = (1..event.seq)
                    .contains(&u64::from(target))
                    .then_some(target.into());
                event.data = Some(format!(r#"{{"mentions":["{mentioned}"]}}"#).into());
            }
            Step::Pin(channel, author, target, removed) => {
                let channel = &mut channels[usize::from(channel)];
                let author = AUTHORS[usize::from(author)];
                channel.push(EventKind::Pin, author, None, Some(target.into()));
                channel.log.last_mut().unwrap().removed = removed;
            }
            Step::Expire(channel, seq) => {
                let meta = &mut channels[usize::from(channel)].meta;
                let start = u64::from(seq).min(meta.head + 1);
                meta.start = meta.start.max(start);
            }
            Step::DeleteChannel(channel) => {
                channels[usize::from(channel)].meta.deleted_at = Some(Millis(99_000));
            }
            Step::Purge(channel) => purged[usize::from(channel)] = true,
            Step::Restart => {
                drop(projector);
                projector = view.projector();
            }
            Step::Apply(again) => {
                let mut handed = Vec::new();
                for (channel, purged) in channels.iter().zip(purged) {
                    let applied = projector.applied(channel.meta.id).unwrap().unwrap_or(0);
                    let first = (applied + 1)
                        .saturating_sub(u64::from(again))
                        .max(channel.meta.start);
                    handed.push((channel, first, channel.bytes(first), purged));
                }
                let changes: Vec<Change<'_>> = handed
                    .iter()
                    .map(|(channel, first_seq, events, purged)| Change {
                        meta: channel.meta.clone(),
                        first_seq: *first_seq,
                        events,
                        purged: *purged,
                    })
                    .collect();
                projector.apply(&changes).unwrap();
                for (channel, purged) in channels.iter_mut().zip(&mut purged) {
                    if *purged {
                        *channel = Channel::new(channel.meta.id.0[0], &channel.meta.owner);
                        *purged = false;
                    }
                }
            }
        }
    }
    let reader = view.reader();
    for channel in &channels {
        let known = reader.applied(channel.meta.id).unwrap();
        assert_eq!(known.unwrap_or(0), channel.meta.head);
    }
    check_messages(&reader, &channels);
    for query in questions {
        let mut expected = expected(&channels, query);
        let mut answered = answered(&reader, query.clone());
        let times: Vec<_> = answered.iter().map(|item| item.event.created_at).collect();
        match query.scope {
            Scope::Channel(_) => {
                if query.newest_first {
                    answered.reverse();
                }
                if query.among == Among::Pinned {
                    let pins = answered.iter().map(|item| item.pin.as_ref().unwrap().seq);
                    assert!(pins.is_sorted());
                    answered.sort_by_key(|item| item.event.seq);
                }
            }
            Scope::Namespace(_) | Scope::Channels { .. } => {
                assert!(times.is_sorted_by(|a, b| match query.newest_first {
                    true => a >= b,
                    false => a <= b,
                }));
                answered.sort_by_key(|item| (item.channel, item.event.seq));
            }
        }
        expected.sort_by_key(|item| (item.channel, item.event.seq));
        assert_eq!(answered, expected, "{query:?}");
    }
}

#[test]
fn a_channel_keeps_its_order_though_the_clock_was_set_back() {
    let steps = [
        Step::Say(0, 0, "alpha beta", 20),
        Step::Say(0, 1, "Beta gamma", -15),
        Step::Apply(0),
    ];
    let questions = [false, true].map(|newest_first| EventQuery {
        content_contains: Some("eta".into()),
        newest_first,
        ..query(Scope::Channel(ChannelId([0; 6])))
    });
    let options = Options {
        trigrams: true,
        ..Options::default()
    };
    run(&steps, &questions, options);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn the_view_is_what_the_events_come_to(
        steps in vec(step(), 1..120),
        questions in vec(question(), 1..40),
        scan_max in prop_oneof![1..40_u32, Just(12_000)],
        trim_rows_max in prop_oneof![1..4_u32, Just(5_000)],
        trigrams: bool,
    ) {
        let options = Options { scan_max, trim_rows_max, trigrams, ..Options::default() };
        run(&steps, &questions, options);
    }
}
