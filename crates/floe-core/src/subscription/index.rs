//! Which subscriptions a stream concerns.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::one::Subscription;
use super::pattern::{Pattern, first_segment};

/// Finds subscriptions by stream path.
#[derive(Debug, Default)]
pub(super) struct Index {
    links: BTreeMap<Box<str>, BTreeSet<Arc<str>>>,
    /// By the pattern's first segment, empty if that is wild.
    globs: BTreeMap<Box<str>, BTreeMap<Arc<str>, Pattern>>,
    wake_streams: BTreeMap<Box<str>, BTreeSet<Arc<str>>>,
}

impl Index {
    pub fn add(&mut self, subscription: &Subscription) {
        let id = &subscription.id;
        if let Some(pattern) = &subscription.config.pattern {
            let start = pattern.literal_start().unwrap_or_default();
            let globs = self.globs.entry(start.into()).or_default();
            globs.insert(id.clone(), pattern.clone());
        }
        if let Some(stream) = subscription.config.target.wake_stream() {
            let ids = self.wake_streams.entry(stream.into()).or_default();
            ids.insert(id.clone());
        }
    }

    pub fn remove(&mut self, subscription: &Subscription) {
        let id = &subscription.id;
        if let Some(pattern) = &subscription.config.pattern {
            let start = pattern.literal_start().unwrap_or_default();
            if let Some(globs) = self.globs.get_mut(start) {
                globs.remove(id);
                if globs.is_empty() {
                    self.globs.remove(start);
                }
            }
        }
        if let Some(stream) = subscription.config.target.wake_stream() {
            take_out(&mut self.wake_streams, stream, id);
        }
        for (path, _) in subscription.links.iter() {
            take_out(&mut self.links, path, id);
        }
    }

    pub fn link(&mut self, path: &str, id: &Arc<str>, linked: bool) {
        if !linked {
            take_out(&mut self.links, path, id);
        } else if let Some(ids) = self.links.get_mut(path) {
            ids.insert(id.clone());
        } else {
            self.links.insert(path.into(), BTreeSet::from([id.clone()]));
        }
    }

    /// Subscriptions that link the stream.
    pub fn linked(&self, path: &str) -> impl Iterator<Item = &Arc<str>> {
        self.links.get(path).into_iter().flatten()
    }

    /// Subscriptions that link the stream or would. Wake streams are only linked by name: if they
    /// were covered by patterns, two subscriptions could wake each other for ever.
    pub fn watchers(&self, path: &str) -> BTreeSet<Arc<str>> {
        let covering = self.covering(path).cloned();
        self.linked(path).cloned().chain(covering).collect()
    }

    pub fn watches(&self, path: &str) -> bool {
        self.links.contains_key(path)
            || self.is_wake_stream(path)
            || self.covering(path).next().is_some()
    }

    pub fn is_wake_stream(&self, path: &str) -> bool {
        self.wake_streams.contains_key(path)
    }

    /// Subscriptions that announce their wakes on the stream.
    pub fn waking_on(&self, path: &str) -> impl Iterator<Item = &Arc<str>> {
        self.wake_streams.get(path).into_iter().flatten()
    }

    fn covering(&self, path: &str) -> impl Iterator<Item = &Arc<str>> {
        let starts = match self.is_wake_stream(path) {
            true => [None, None],
            false => [self.globs.get(first_segment(path)), self.globs.get("")],
        };
        let globs = starts.into_iter().flatten().flatten();
        globs
            .filter(move |(_, pattern)| pattern.matches(path))
            .map(|(id, _)| id)
    }
}

fn take_out(map: &mut BTreeMap<Box<str>, BTreeSet<Arc<str>>>, path: &str, id: &Arc<str>) {
    if let Some(ids) = map.get_mut(path) {
        ids.remove(id);
        if ids.is_empty() {
            map.remove(path);
        }
    }
}
