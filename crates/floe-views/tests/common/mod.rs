//! What the tests share: channels, and events as the log has them.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;

use floe_proto::{
    ChannelId, ChannelMeta, Event, EventKind, EventQuery, Millis, Retention, Scope, Search,
    SearchMode,
};
use floe_views::{Applied, Change, Options, Projector, Reader};

/// A view in a folder of its own.
pub struct View {
    pub folder: tempfile::TempDir,
    pub options: Options,
}

impl View {
    pub fn new() -> Self {
        Self::with(Options::default())
    }

    pub fn with(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, options }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("views.db")
    }

    pub fn projector(&self) -> Projector {
        Projector::open(self.path(), &self.options).unwrap()
    }

    pub fn reader(&self) -> Reader {
        Reader::open(self.path(), &self.options).unwrap()
    }
}

/// A channel and all that happened in it.
#[derive(Debug, Clone)]
pub struct Channel {
    pub meta: ChannelMeta,
    pub log: Vec<Event<'static>>,
}

impl Channel {
    pub fn new(number: u8, owner: &str) -> Self {
        let meta = ChannelMeta {
            id: ChannelId([number, 0, 0, 0, 0, number]),
            name: format!("channel {number}").into(),
            owner: owner.into(),
            created_at: Millis(1_000),
            deleted_at: None,
            head: 0,
            start: 1,
            retention: Retention::default(),
        };
        let log = Vec::new();
        Self { meta, log }
    }

    pub fn push(
        &mut self,
        kind: EventKind,
        author: &str,
        content: Option<&str>,
        target_seq: Option<u64>,
    ) -> u64 {
        let at = self.log.last().map_or(10_000, |event| event.created_at.0);
        self.meta.head += 1;
        self.log.push(Event {
            seq: self.meta.head,
            kind,
            author_id: author.to_owned().into(),
            content: content.map(|content| content.to_owned().into()),
            target_seq,
            reply_to: None,
            data: None,
            removed: false,
            created_at: Millis(at + 10),
            deleted: false,
        });
        self.meta.head
    }

    pub fn say(&mut self, author: &str, content: &str) -> u64 {
        self.push(EventKind::Message, author, Some(content), None)
    }

    pub fn edit(&mut self, author: &str, target: u64, content: &str) -> u64 {
        self.push(EventKind::Edit, author, Some(content), Some(target))
    }

    pub fn react(&mut self, author: &str, target: u64, reaction: &str) -> u64 {
        self.push(EventKind::Reaction, author, Some(reaction), Some(target))
    }

    pub fn unreact(&mut self, author: &str, target: u64, reaction: &str) -> u64 {
        let seq = self.react(author, target, reaction);
        self.log.last_mut().unwrap().removed = true;
        seq
    }

    pub fn delete(&mut self, author: &str, target: u64) -> u64 {
        self.push(EventKind::Deletion, author, None, Some(target))
    }

    /// Events from `first` on, as the log has them.
    pub fn bytes(&self, first: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        for event in self.log.iter().filter(|event| event.seq >= first) {
            event.write_json(self.meta.id, &mut bytes);
            bytes.push(b',');
        }
        bytes
    }
}

/// Applies all of some channels from the given event on.
pub fn apply_from(projector: &mut Projector, first: u64, channels: &[&Channel]) -> Applied {
    let bytes: Vec<_> = channels
        .iter()
        .map(|channel| channel.bytes(first))
        .collect();
    let changes: Vec<_> = channels
        .iter()
        .zip(&bytes)
        .map(|(channel, events)| Change {
            meta: channel.meta.clone(),
            first_seq: first,
            events,
            purged: false,
        })
        .collect();
    projector.apply(&changes).unwrap()
}

pub fn apply(projector: &mut Projector, channels: &[&Channel]) -> Applied {
    apply_from(projector, 1, channels)
}

pub fn query(scope: Scope) -> EventQuery {
    EventQuery::new(scope, 50)
}

pub fn search(scope: Scope, text: &str) -> Search {
    Search {
        scope,
        text: text.into(),
        mode: SearchMode::Words,
        limit: 50,
        page: None,
    }
}

pub fn in_channel(channel: &Channel) -> Scope {
    Scope::Channel(channel.meta.id)
}

pub fn in_namespace(name: &str) -> Scope {
    Scope::Namespace(name.into())
}

/// Contents of all pages, however many it takes.
pub fn contents(reader: &Reader, mut query: EventQuery) -> Vec<String> {
    let mut contents = Vec::new();
    loop {
        let page = reader.events(&query).unwrap();
        for item in page.items {
            contents.push(item.event.content.unwrap().into_owned());
        }
        query.page = page.next;
        if query.page.is_none() {
            return contents;
        }
    }
}
