//! Whole syncs of the replica that WebSockets have called for, who are told how far they are.

use floe_log::Disk;
use floe_proto::Namespace;
use serde_json::json;

use super::super::conn::Place;
use super::Reactor;
use crate::replica::Progress;
use crate::tables::Asker;

/// Calls for a whole sync that were not answered.
#[derive(Debug, Default)]
pub(in crate::reactor) struct SyncCallers {
    /// Oldest first. A connection has no more of them than calls that wait.
    waiting: Vec<SyncCaller>,
    /// The namespace whose sync was begun last.
    namespace: Option<Namespace>,
}

/// One who waits for a whole sync.
#[derive(Debug)]
struct SyncCaller {
    place: Place,
    namespace: Namespace,
    /// Whether the sync that is under way, or was last, is the one that was called for.
    begun: bool,
    /// How far it was when it was last looked at.
    seen: Option<Progress>,
    /// Uptime since when it has not come any further.
    since_ms: u64,
    /// How far it was when that was last told.
    told: Option<Progress>,
    /// Uptime before which it is not told again.
    told_again_ms: u64,
}

/// Milliseconds between two messages about one sync.
const TELL_MS: u64 = 100;
/// Milliseconds in which a sync must come further, or its caller is told how things are and waits no
/// longer: the replica may be away. The sync goes on when it is back.
const STALL_MS: u64 = 30_000;

impl<D: Disk> Reactor<D> {
    /// Begins to give the replica all of a namespace again, unless it is being given all of another;
    /// returns whether it is this one's.
    pub(in crate::reactor) fn sync_namespace(&mut self, namespace: &Namespace) -> bool {
        let progress = self.replicas.progress();
        if progress.is_some_and(|progress| !progress.complete) {
            return self.sync_callers.namespace.as_ref() == Some(namespace);
        }
        let uptime_ms = self.clock.uptime_ms;
        self.replicas
            .sync_all(&self.shard, namespace.as_str(), uptime_ms);
        self.sync_callers.namespace = Some(namespace.clone());
        true
    }

    /// Begins a whole sync for a WebSocket, which is told how far it is until it is over.
    pub(super) fn sync_for_socket(&mut self, asker: Asker, namespace: &Namespace) {
        let Asker::Connection(ticket) = asker else {
            return;
        };
        let begun = self.sync_namespace(namespace);
        self.sync_callers.waiting.push(SyncCaller {
            place: Place::of(ticket),
            namespace: namespace.clone(),
            begun,
            seen: None,
            since_ms: self.clock.uptime_ms,
            told: None,
            told_again_ms: 0,
        });
    }

    /// Tells those who wait for a whole sync how far it is.
    pub(in crate::reactor) fn tell_sync_callers(&mut self) {
        for mut caller in std::mem::take(&mut self.sync_callers.waiting) {
            let Place { at, command, .. } = caller.place;
            if !self.waits_for_sync(&caller) {
                continue;
            }
            if self.is_synced(&mut caller) {
                self.answer_sync(at, command);
                self.resume(at);
            } else {
                self.tell_sync_caller(&mut caller);
                self.sync_callers.waiting.push(caller);
            }
        }
    }

    /// Returns whether a sync is over, or there is no use in waiting for it.
    fn is_synced(&mut self, caller: &mut SyncCaller) -> bool {
        caller.begun = caller.begun || self.sync_namespace(&caller.namespace);
        let uptime_ms = self.clock.uptime_ms;
        let progress = self.replicas.progress();
        if caller.seen != progress {
            caller.seen = progress;
            caller.since_ms = uptime_ms;
        }
        let is_over = progress.is_none_or(|progress| progress.complete && caller.begun);
        is_over || uptime_ms >= caller.since_ms + STALL_MS
    }

    fn tell_sync_caller(&mut self, caller: &mut SyncCaller) {
        let Place { at, command, .. } = caller.place;
        let uptime_ms = self.clock.uptime_ms;
        let takes = |conn: &super::super::conn::Conn<D::File>| conn.output.is_empty();
        let takes = self.conns.get(at).is_some_and(takes);
        if !takes || !caller.begun || uptime_ms < caller.told_again_ms || caller.told == caller.seen
        {
            return;
        }
        let Some(progress) = caller.seen else { return };
        caller.told = caller.seen;
        caller.told_again_ms = uptime_ms + TELL_MS;
        let Progress {
            done,
            rooms,
            complete,
        } = progress;
        let json = json!({"done": done, "rooms": rooms, "complete": complete});
        self.tell_sync_progress(at, command, &json.to_string());
    }

    fn waits_for_sync(&self, caller: &SyncCaller) -> bool {
        let Place {
            at,
            generation,
            command,
        } = caller.place;
        let conn = self.conns.get(at);
        let conn = conn.filter(|conn| conn.generation == generation);
        conn.and_then(|conn| conn.live())
            .is_some_and(|live| live.calls.iter().any(|call| call.command == command))
    }
}
