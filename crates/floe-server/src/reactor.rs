//! The event loop: all connections, the shard, and the turns they take.
//!
//! One turn reads every socket that has something, hands the requests to the shard, gives what was
//! staged to the committer, and sends what has become durable. Nothing in a turn
//! waits, but for one quick commit of a lone writer.

mod admin;
mod caller;
mod channels;
mod cold;
mod community;
mod conn;
mod dispatch;
mod ending;
mod fanout;
mod http1;
mod limits;
mod live;
mod load;
mod messages;
mod output;
mod page;
mod parked;
mod reactions;
mod readers;
mod receive;
mod recognised;
mod recordings;
mod reload;
mod rules;
mod shards;
mod socket;
mod standing;
mod tables;
mod tickets;
mod voice;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use floe_core::voice::Media;
use floe_log::{Disk, ObjectStore, Progress};
use floe_proto::{Code, Millis, Namespace};
use floe_surfaces::access::{Access, KeyRing};
use floe_surfaces::channels::Bounds;
use floe_surfaces::http::{self, Envelope};
use floe_surfaces::streams::Scratch;
use floe_surfaces::ws::Deflater;
use floe_views::Folder;
use floe_views::replica::EmbeddedFolder;
use floe_views::tables::TableFolder;
use mio::event::Event;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token, Waker};
use slab::Slab;

use self::conn::{Conn, Context, Place, State, next_generation};
use self::socket::Socket;
use crate::access::Recogniser;
use crate::buffers::RoomBuffers;
use crate::clock::Clock;
use crate::directory::DirectoryHost;
use crate::gateway::{Gateway, Handed};
use crate::limiter::Limiter;
use crate::live_queries::LiveQueries;
use crate::media::{Bound, MediaHost};
use crate::memory;
use crate::metrics::Metrics;
use crate::proxy::{self, Peer, TrustedProxies};
use crate::reaction_counts::ReactionCounts;
use crate::recordings::Recordings;
use crate::reload::{ReloadSlot, Reloader};
use crate::replica::ReplicaHost;
use crate::room_schemas::RoomSchemas;
use crate::settings::Limits;
use crate::settings::Settings;
use crate::shard::{Failure, Reply, Shard, SlotId};
use crate::subscriptions::SubscriptionHost;
use crate::tables::{TableBounds, TableHost, TableSettings};
use crate::tls::Certificates;
use crate::views::{ViewHost, ViewSettings};
use crate::workers::{Finished, Workers, run_commit};

/// The event loop of one shard.
#[derive(Debug)]
pub struct Reactor<D: Disk> {
    poll: Poll,
    listener: Option<TcpListener>,
    conns: Slab<Conn<D::File>>,
    generation: u32,
    shard: Shard<D>,
    subscriptions: SubscriptionHost,
    directory: DirectoryHost,
    /// Namespaces whose own tokens are believed.
    own_issuers: Vec<Namespace>,
    /// Origins whose pages may read what is in a namespace, where not all may.
    pages: page::Pages,
    tickets: tickets::Tickets,
    refusals: admin::RefusalsLogged,
    /// When the first of the connections' credentials ends, or earlier.
    ends_next: Millis,
    /// When the first time-out ends that was met, or earlier.
    standing_next: Millis,
    /// Waddles on their way out.
    waddles_ending: VecDeque<community::Ending>,
    /// Base of the server's absolute addresses, where the operator has set one.
    public_url: Option<String>,
    /// The address listened on.
    address: SocketAddr,
    /// Origins whose pages may open live connections, besides the server's own.
    origins: Vec<String>,
    /// Proxies whose word on their clients is taken.
    trusted_proxies: TrustedProxies,
    /// Whether WebSockets may agree on compressed messages.
    compression: bool,
    /// Compresses for all of them; made when it is first needed.
    deflater: RefCell<Option<Deflater>>,
    /// What callers are recognised by.
    access: Access,
    /// Whether it is open to nobody any more, for other threads.
    closed: Arc<AtomicBool>,
    /// The one session of all who show nothing where nothing is needed.
    everyone: Option<Arc<caller::Opened>>,
    /// Changes with `access`, so that what was looked up before is looked up again.
    access_epoch: u64,
    /// Finds out who asks, with `access` and with what others say.
    recogniser: Recogniser,
    /// Bounds of what is asked of channels.
    bounds: Bounds,
    views: ViewHost<D::File>,
    tables: TableHost<D::File>,
    buffers: RoomBuffers,
    replicas: ReplicaHost<D::File>,
    live_queries: LiveQueries,
    reaction_counts: ReactionCounts,
    /// What carries the media of voice rooms.
    media: MediaHost,
    /// Participants of voice rooms whose connection is lost.
    away: voice::AllAway,
    /// Servers that help browsers find a way for media.
    ice: crate::ice_servers::IceSettings,
    recordings: Recordings,
    room_schemas: RoomSchemas,
    sync_callers: live::SyncCallers,
    workers: Workers<D>,
    gateway: Gateway,
    clock: Clock,
    limits: Arc<Limits>,
    limiter: Limiter,
    metrics: Metrics,
    /// Commits under way.
    commits: usize,
    /// How long a commit has taken lately.
    commit_seconds: f64,
    /// Uptime of the last commit.
    committed_ms: u64,
    /// Whether something was committed since a flush was last asked for.
    unflushed: bool,
    /// Most rooms in memory since many left it.
    loaded_most: usize,
    /// Whether something was committed since freed memory was last given back.
    untrimmed: bool,
    /// Events of this turn.
    events: usize,
    /// Earliest deadline of any connection, or earlier.
    deadline_ms: u64,
    /// Uptime of the next look at rooms.
    tick_ms: u64,
    /// Uptime before which no background work is asked for, after space ran out.
    work_after_ms: u64,
    readers: usize,
    /// WebSockets.
    sockets: usize,
    /// Bytes of requests and frames that have begun to arrive.
    received_held: usize,
    /// Fan-outs under way.
    passes: VecDeque<readers::Pass>,
    waddle_shards: shards::WaddleShards,
    fan_out: fanout::FanOut,
    load: load::LoadWatch,
    /// Why the WebSocket that ends next does, where that is known.
    ending: Option<&'static str>,
    /// Uptime in microseconds of the first turn that staged something of which no commit began.
    staged_us: Option<u64>,
    /// Such uptimes of the commits under way, oldest first.
    committing_us: VecDeque<u64>,
    stop: Arc<AtomicBool>,
    /// New settings.
    reloads: ReloadSlot,
    /// Uptime at which a stop no longer waits.
    stop_ms: Option<u64>,
    random: u64,
    /// What one read of a socket may bring.
    received: Vec<u8>,
    /// The answer being written.
    out: Vec<u8>,
    scratch: Scratch,
    /// A frame in another form than it came.
    frame_scratch: Vec<u8>,
    /// Who has read how far, for the same users' other connections.
    marks_moved: Vec<live::MovedMark>,
}

const LISTENER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);
/// Commits under way at once: one syncs while the next is written.
const COMMITS_MAX: usize = 2;
/// Events taken from the system in one turn.
const EVENTS_STEP: usize = 1024;
/// A disk whose commits take longer than this is left to the committer's thread.
const INLINE_COMMIT_SECONDS_MAX: f64 = 0.000_5;
/// Connections accepted in one turn.
const ACCEPT_STEP: usize = 256;
/// Milliseconds between two looks at rooms.
const TICK_MS: u64 = 100;
/// Milliseconds without a commit after which memory is flushed: a server at rest gives it back, and
/// starts again without a replay.
const IDLE_FLUSH_MS: u64 = 10_000;
/// Rooms that must have left memory before it is given back to the system.
const LOADED_TRIM: usize = 4_096;
/// Milliseconds that a refused peer gets to read its answer.
const DRAIN_MS: u64 = 2_000;

impl<D: Disk> Reactor<D> {
    /// Makes the loop; [`run`](Self::run) runs it.
    pub fn new(
        listener: std::net::TcpListener,
        mut shard: Shard<D>,
        settings: &Settings,
        certificates: Option<Certificates>,
        metrics: Metrics,
        stop: Arc<AtomicBool>,
        store: Option<Arc<dyn ObjectStore>>,
    ) -> io::Result<(Self, Arc<Waker>)> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        listener.set_nonblocking(true)?;
        let mut listener = TcpListener::from_std(listener);
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        let address = listener.local_addr()?;
        let clock = Clock::new();
        // Webhooks to this machine are for those who develop on it.
        let development = address.ip().is_loopback();
        let keys = KeyRing::parse(&settings.api_keys)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let mut access = Access {
            keys,
            ..Access::default()
        };
        let tokens_max = settings.limits.access_tokens_max;
        let mut recogniser = Recogniser::new(tokens_max, &waker, metrics.clone());
        recogniser
            .set(&settings.access, &mut access)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let views = ViewSettings {
            folder: Folder::new(settings.data.join("view")),
            options: settings.view.clone(),
            questions_max: settings.limits.query_open_max,
            wait_ms: settings.limits.query_wait_ms,
        };
        let tables = TableSettings {
            folder: TableFolder::new(settings.data.join("tables")),
            copies: settings.data.join("tables-copies"),
            readers: settings.limits.tables_readers,
            bounds: TableBounds::of(&settings.limits),
        };
        let quotas = Arc::new(settings.quotas.clone());
        shard.set_quotas(Arc::clone(&quotas));
        shard.note_for_view();
        shard.time_cold_starts(metrics.clone());
        let replicas = ReplicaHost::start(
            &settings.replica,
            &EmbeddedFolder::new(settings.data.join("replica")),
            &waker,
            metrics.clone(),
        )?;
        shard.note_for_replicas(replicas.wanted());
        let directory = DirectoryHost::open(&mut shard, clock.wall)?;
        let subscriptions = SubscriptionHost::open(
            &mut shard,
            clock.wall,
            development,
            &settings.limits,
            &waker,
        )?;
        let mut reactor = Self {
            poll,
            listener: Some(listener),
            conns: Slab::new(),
            generation: 0,
            shard,
            subscriptions,
            directory,
            own_issuers: Vec::new(),
            pages: page::Pages::default(),
            tickets: tickets::Tickets::default(),
            refusals: admin::RefusalsLogged::default(),
            ends_next: Millis(u64::MAX),
            standing_next: Millis(u64::MAX),
            waddles_ending: VecDeque::new(),
            public_url: settings.public_url.clone(),
            address,
            origins: settings.origins.clone(),
            trusted_proxies: settings.proxies.trusted.clone(),
            compression: settings.live_compression,
            deflater: RefCell::default(),
            access,
            closed: Arc::default(),
            everyone: None,
            access_epoch: 0,
            recogniser,
            bounds: reload::bounds(&settings.limits),
            views: ViewHost::start(views, &waker, metrics.clone())?,
            buffers: RoomBuffers::new(settings.limits.buffer(), Millis(0)),
            live_queries: LiveQueries::default(),
            reaction_counts: ReactionCounts::default(),
            media: MediaHost::default(),
            away: voice::AllAway::new(),
            ice: settings.ice.clone(),
            recordings: Recordings::start(
                settings.media.recordings,
                &settings.data,
                store,
                &waker,
                metrics.recordings(),
            )?,
            room_schemas: RoomSchemas::default(),
            sync_callers: live::SyncCallers::default(),
            tables: TableHost::start(&tables, &waker, metrics.tables())?,
            replicas,
            workers: Workers::start(&waker)?,
            gateway: Gateway::new(
                Arc::clone(&waker),
                settings,
                certificates,
                metrics.gateway(),
            ),
            clock,
            limits: Arc::new(settings.limits.clone()),
            limiter: Limiter::new(quotas),
            metrics,
            commits: 0,
            commit_seconds: 0.0,
            committed_ms: 0,
            unflushed: true,
            loaded_most: 0,
            untrimmed: true,
            events: 0,
            deadline_ms: u64::MAX,
            tick_ms: 0,
            work_after_ms: 0,
            readers: 0,
            sockets: 0,
            received_held: 0,
            passes: VecDeque::new(),
            waddle_shards: shards::WaddleShards::default(),
            fan_out: fanout::FanOut::new(settings.limits.fanout_threads),
            load: load::LoadWatch::new(&settings.limits),
            ending: None,
            staged_us: None,
            committing_us: VecDeque::new(),
            stop,
            reloads: ReloadSlot::default(),
            stop_ms: None,
            random: 0x9e37_79b9_7f4a_7c15,
            received: vec![0; 64 << 10],
            out: Vec::with_capacity(4 << 10),
            scratch: Scratch::default(),
            frame_scratch: Vec::new(),
            marks_moved: Vec::new(),
        };
        reactor.keep_directory();
        Ok((reactor, waker))
    }

    /// Has the media of voice rooms carried.
    ///
    /// # Errors
    /// The operating system's.
    pub fn carry_media(&mut self, mut bound: Bound, waker: &Arc<Waker>) -> io::Result<()> {
        if self.recordings.is_on() {
            bound.record(self.recordings.tap());
        }
        self.media = MediaHost::start(bound, waker)?;
        Ok(())
    }

    /// Has media carried by another machine; nobody takes part in a voice room yet.
    pub fn carry(&mut self, media: Box<dyn Media>) {
        self.media = MediaHost::other(media);
    }

    /// Returns a handle that gives it new settings.
    pub fn reloader(&self, waker: &Arc<Waker>, certificates: Option<Certificates>) -> Reloader {
        let (slot, waker) = (self.reloads.clone(), Arc::clone(waker));
        let closed = Arc::clone(&self.closed);
        Reloader::new(slot, waker, closed, certificates, self.metrics.clone())
    }

    /// Runs until a stop has been asked for and everything under way is done.
    ///
    /// # Errors
    /// The disk's or the poll's. What was acknowledged is durable all the same.
    pub fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_STEP);
        self.shard
            .ensure_registry(self.clock.wall)
            .map_err(|failure| io::Error::other(failure.message))?;
        // The first request may be for the registry, so it is durable before that.
        while let Some(job) = self.shard.take_commit() {
            self.commits += 1;
            self.finished(run_commit(job))?;
        }
        self.shard.advance_live(self.clock.wall);
        self.look_after_access();
        loop {
            self.commit()?;
            self.load.turns.rests(Instant::now());
            match self.poll.poll(&mut events, Some(self.patience())) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            self.clock.turn();
            self.end_time_outs();
            self.events = events.iter().count();
            let now = Instant::now();
            self.load.turns.wakes(now, self.events < EVENTS_STEP);
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(),
                    WAKER => self.collect()?,
                    Token(at) => self.ready(at, event),
                }
            }
            self.reply();
            self.notify();
            self.answer_directory();
            self.clear_namespaces();
            self.end_waddles();
            self.answer_views();
            self.flush_due();
            self.answer_tables();
            self.feed_replicas();
            self.shard.advance_live(self.clock.wall);
            self.look_after_media();
            self.hear_recordings();
            self.settle_voice(None);
            self.deliver();
            self.look_after_cold();
            self.look_after_access();
            self.shard.count_on();
            self.time_out();
            self.end_outlived_readers();
            self.look_after_rooms()?;
            self.look_after_load();
            if self.stop.load(Ordering::Relaxed) && self.stop_turn() {
                break;
            }
        }
        self.finish()
    }

    /// Returns how long this turn may sleep.
    fn patience(&self) -> Duration {
        let busy = self.shard.is_counting()
            || self
                .directory
                .is_busy(self.shard.durable(), self.clock.wall);
        if !self.passes.is_empty() || !self.waddles_ending.is_empty() || busy {
            return Duration::ZERO;
        }
        let mut wake_ms = self.deadline_ms.min(self.uptime_of(self.ends_next));
        if self.shard.loaded() > 0 || !self.conns.is_empty() {
            wake_ms = wake_ms.min(self.clock.uptime_ms + 1_000);
        }
        if let Some(at_ms) = self.views.wake_ms(self.clock.uptime_ms) {
            wake_ms = wake_ms.min(at_ms);
        }
        if let Some(at_ms) = self.tables.wake_ms(self.clock.uptime_ms) {
            wake_ms = wake_ms.min(at_ms);
        }
        if let Some(Millis(at_ms)) = self.buffers.next_due() {
            wake_ms = wake_ms.min(at_ms);
        }
        if let Some(at_ms) = self.replicas.wake_ms(self.clock.uptime_ms) {
            wake_ms = wake_ms.min(at_ms);
        }
        if let Some(at_ms) = self.load.wake_ms() {
            wake_ms = wake_ms.min(at_ms);
        }
        if let Some(at) = self.shard.live_wake() {
            wake_ms = wake_ms.min(self.clock.uptime_ms + at.since(self.clock.wall));
        }
        if let Some(at) = self.media.poll_timeout() {
            wake_ms = wake_ms.min(self.clock.uptime_ms + at.since(self.clock.wall));
        }
        if let Some(at) = self.subscriptions.poll_wake(self.clock.wall) {
            wake_ms = wake_ms.min(self.clock.uptime_ms + at.since(self.clock.wall));
        }
        wake_ms = wake_ms.min(self.tick_ms.max(self.clock.uptime_ms + 1));
        if let Some(stop_ms) = self.stop_ms {
            wake_ms = wake_ms.min(stop_ms).min(self.clock.uptime_ms + 20);
        }
        Duration::from_millis(
            wake_ms
                .saturating_sub(self.clock.uptime_ms)
                .clamp(0, 60_000),
        )
    }

    /// Makes what was staged durable: on the committer's thread, or here where that is sooner.
    fn commit(&mut self) -> io::Result<()> {
        while self.commits < COMMITS_MAX {
            let inline = self.may_wait();
            let Some(job) = self.shard.take_commit() else {
                break;
            };
            self.commits += 1;
            let staged_us = self.staged_us.take().unwrap_or(self.clock.uptime_us);
            self.committing_us.push_back(staged_us);
            if !inline {
                self.workers.commit(job);
                continue;
            }
            self.finished(run_commit(job))?;
            self.reply();
            self.notify();
            self.answer_directory();
            self.answer_tables();
            self.deliver();
        }
        if self.staged_us.is_none() && self.shard.is_busy() {
            self.staged_us = Some(self.clock.uptime_us);
        }
        Ok(())
    }

    /// Returns whether the loop may wait for one commit itself.
    ///
    /// A lone writer then waits for one sync and for no other thread to wake up. Nobody else waits
    /// long: this turn brought one event, and the disk has been quick. A fan-out under way waits
    /// too, and has more to send at once to the readers whose turn is yet to come.
    fn may_wait(&self) -> bool {
        self.events <= 1 && self.commits == 0 && self.commit_seconds < INLINE_COMMIT_SECONDS_MAX
    }

    /// Takes what other threads have finished.
    fn collect(&mut self) -> io::Result<()> {
        self.take_settings();
        for finished in self.workers.take_finished() {
            self.finished(finished)?;
        }
        self.hear_media();
        for handed in self.gateway.take_handed() {
            match handed {
                Handed::Local(socket, peer) => {
                    self.open(Socket::Local(socket), peer);
                }
                Handed::Tcp(socket, peer, first) => self.open_with(socket, peer, &first),
                Handed::Media(socket, first) => self.media.take_over(socket, &first),
            }
        }
        Ok(())
    }

    fn finished(&mut self, finished: Finished<D>) -> io::Result<()> {
        match finished {
            Finished::Commit {
                done,
                seconds,
                bytes,
            } => {
                self.commits -= 1;
                self.committed_ms = self.clock.uptime_ms;
                self.unflushed = true;
                self.untrimmed = true;
                self.commit_seconds += (seconds - self.commit_seconds) / 8.0;
                self.metrics.commit(seconds, bytes);
                let staged_us = self.committing_us.pop_front();
                self.shard.note_staged(staged_us);
                self.shard.finish_commit(done)?;
                // Before the writers are answered: what they ask next may be about this.
                let changes = self.shard.take_changes();
                self.subscriptions.changes(self.clock.wall, changes);
                Ok(())
            }
            Finished::Cold {
                done,
                name,
                seconds,
            } => {
                self.metrics.cold_work(name, seconds);
                let _ = self.shard.finish_work(done)?;
                self.take_cold_work();
                Ok(())
            }
            Finished::Work(done) => {
                if self.shard.finish_work(done)? == Progress::Full {
                    self.work_after_ms = self.clock.uptime_ms + 1_000;
                }
                Ok(())
            }
        }
    }

    fn look_after_rooms(&mut self) -> io::Result<()> {
        if self.clock.uptime_ms >= self.work_after_ms
            && let Some(work) = self.shard.take_work()
        {
            self.workers.work(work);
        }
        if self.clock.uptime_ms < self.tick_ms {
            return Ok(());
        }
        let idle_ms = self.clock.uptime_ms.saturating_sub(self.committed_ms);
        if self.unflushed && idle_ms >= IDLE_FLUSH_MS {
            self.unflushed = false;
            self.shard.request_flush();
        }
        // A while later the flush is over, and what it freed is free.
        if self.untrimmed && idle_ms >= 2 * IDLE_FLUSH_MS {
            self.untrimmed = false;
            memory::give_back();
        }
        self.take_cold_work();
        let next = self.shard.tick(self.clock.wall);
        self.limiter.sweep(Millis(self.clock.uptime_ms));
        self.loaded_most = self.loaded_most.max(self.shard.loaded());
        if self.shard.loaded() + LOADED_TRIM < self.loaded_most {
            self.loaded_most = self.shard.loaded();
            self.untrimmed = true;
        }
        let until = next.map_or(1_000, |at| at.since(self.clock.wall).clamp(TICK_MS, 1_000));
        self.tick_ms = self.clock.uptime_ms + until;
        Ok(())
    }

    fn accept(&mut self) {
        for _ in 0..ACCEPT_STEP {
            let Some(listener) = &self.listener else {
                return;
            };
            match listener.accept() {
                Ok((socket, address)) => {
                    let _ = socket.set_nodelay(true);
                    self.accepted(socket, address.ip());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    // Out of file handles, most likely: those in use must come back first.
                    tracing::warn!(%error, "a connection was not accepted");
                    break;
                }
            }
        }
        // The listener is edge-triggered, so what is left must be asked for.
        self.rearm_listener();
    }

    fn accepted(&mut self, socket: mio::net::TcpStream, ip: IpAddr) {
        let peer = Peer::new(ip, &self.trusted_proxies);
        if let Err(failure) = self.admit_connect(peer) {
            if self.gateway.greets() {
                // Nothing can be said before the handshake.
                return self.metrics.error(failure.code);
            }
            return self.turn_away(&mut Socket::Tcp(socket), &failure);
        }
        if !self.gateway.greets() {
            self.open(Socket::Tcp(socket), peer);
        } else if !self.gateway.greet(socket, peer) {
            // Nothing can be said before the handshake, which is what there is no room for.
            self.metrics.error(Code::Overloaded);
        }
    }

    fn rearm_listener(&mut self) {
        if let Some(listener) = &mut self.listener
            && let Err(error) =
                self.poll
                    .registry()
                    .reregister(listener, LISTENER, Interest::READABLE)
        {
            tracing::error!(%error, "the listener could not be polled");
        }
    }

    /// Takes a connection on; returns its place.
    fn open(&mut self, mut socket: Socket, peer: Peer) -> Option<usize> {
        let most = self.limits.http_connections_max.min(Place::CONNECTIONS_MAX);
        if self.conns.len() >= most {
            let failure = Failure::new(Code::Overloaded, "http.connections_max is reached");
            self.turn_away(&mut socket, &failure);
            return None;
        }
        let account = match self.admit_connection(peer) {
            Ok(account) => account,
            Err(failure) => {
                self.turn_away(&mut socket, &failure);
                return None;
            }
        };
        self.generation = next_generation(self.generation);
        let deadline_ms = self.clock.uptime_ms + self.limits.http_idle_timeout_ms;
        let entry = self.conns.vacant_entry();
        let at = entry.key();
        let interests = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self
            .poll
            .registry()
            .register(&mut socket, Token(at), interests)
        {
            tracing::warn!(%error, "a connection could not be polled");
            self.close_account(account);
            return None;
        }
        let mut conn = Conn::new(socket, peer, self.generation, deadline_ms);
        conn.account = account;
        entry.insert(conn);
        self.deadline_ms = self.deadline_ms.min(deadline_ms);
        self.metrics.connections(self.conns.len());
        Some(at)
    }

    /// Tells a connection that there is no room for it, before any work is done for it.
    fn turn_away(&mut self, socket: &mut Socket, failure: &Failure) {
        self.metrics.error(failure.code);
        self.out.clear();
        let context = Context {
            close: true,
            ..Context::default()
        };
        let envelope = envelope::<D::File>(&mut self.clock, None, context.after(failure));
        http::error(&mut self.out, &envelope, failure.code, &failure.message);
        let _ = socket.write(&self.out);
    }

    /// Takes a connection on whose first bytes have been read.
    fn open_with(&mut self, socket: mio::net::TcpStream, peer: Peer, first: &[u8]) {
        if let Some(at) = self.open(Socket::Tcp(socket), peer)
            && !first.is_empty()
        {
            self.conns[at].input.extend_from_slice(first);
            self.metrics.received(first.len() as u64);
            self.receive(at);
        }
    }

    /// Returns who sends a request: the connection's peer, or whom a trusted proxy names.
    pub(super) fn client(&self, at: usize, fields: &[httparse::Header<'_>]) -> Peer {
        let peer = self.conns[at].peer;
        if !peer.proxy {
            return peer;
        }
        let fields = fields.iter().map(|field| (field.name, field.value));
        proxy::forwarded(peer, &self.trusted_proxies, fields)
    }

    /// Returns the address of who sends a request.
    pub(super) fn client_ip(&self, at: usize, fields: &[httparse::Header<'_>]) -> IpAddr {
        self.client(at, fields).ip
    }

    fn ready(&mut self, at: usize, event: &Event) {
        let Some(conn) = self.conns.get_mut(at) else {
            return;
        };
        conn.readable |= event.is_readable();
        conn.hung_up |= event.is_read_closed();
        if event.is_writable() && !conn.output.is_empty() {
            self.flush(at);
        }
        if event.is_readable() {
            self.receive(at);
        }
    }

    /// Sends what the connection still has; goes on with what waited for that.
    fn flush(&mut self, at: usize) {
        let uptime_ms = self.clock.uptime_ms;
        let Some(conn) = self.conns.get_mut(at) else {
            return;
        };
        match conn.output.flush(&mut conn.socket) {
            Err(_) => return self.close(at),
            Ok(sent) => {
                self.metrics.sent(sent);
                if !conn.output.is_empty() {
                    if sent > 0 {
                        conn.deadline_ms = uptime_ms + self.limits.reader_stall_timeout_ms;
                    }
                    return;
                }
            }
        }
        match conn.state {
            State::Sse(sse) => {
                self.await_heartbeat(at, sse.ends_ms);
                self.follow(at);
            }
            State::Closing => {
                self.drain(at);
                self.receive(at);
            }
            State::Receiving => {
                self.set_deadline(at, uptime_ms + self.limits.http_idle_timeout_ms);
                self.receive(at);
            }
            State::Live(_) => {
                self.await_sound(at);
                self.tell_rooms(at);
                self.receive(at);
            }
            State::Waiting(..) | State::Parked(_) | State::LongPoll(_) | State::Draining => {}
        }
    }

    /// Sends the answer in `self.out`, and more parts after it.
    fn send(&mut self, at: usize) {
        let Some(conn) = self.conns.get_mut(at) else {
            return;
        };
        let mut rest = &self.out[..];
        if conn.output.is_empty() {
            match conn.socket.write(rest) {
                Ok(sent) => {
                    self.metrics.sent(sent as u64);
                    rest = &rest[sent..];
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return self.close(at),
            }
        }
        if !rest.is_empty() {
            conn.output.push(Bytes::copy_from_slice(rest));
            let deadline_ms = self.clock.uptime_ms + self.limits.reader_stall_timeout_ms;
            self.set_deadline(at, deadline_ms);
        }
    }

    /// Sends the answer in `self.out` and goes back to receiving, or ends the connection.
    fn answer(&mut self, at: usize, context: Context) {
        if let Some(conn) = self.conns.get_mut(at) {
            conn.state = if context.close {
                State::Closing
            } else {
                State::Receiving
            };
        }
        self.send(at);
        self.after_answer(at);
    }

    fn after_answer(&mut self, at: usize) {
        let Some(conn) = self.conns.get(at) else {
            return;
        };
        if conn.output.is_empty() {
            if matches!(conn.state, State::Closing) {
                self.drain(at);
            } else {
                let deadline_ms = self.clock.uptime_ms + self.limits.http_idle_timeout_ms;
                self.set_deadline(at, deadline_ms);
            }
        }
    }

    /// Ends a connection whose last answer has left.
    fn drain(&mut self, at: usize) {
        let Some(conn) = self.conns.get_mut(at) else {
            return;
        };
        if conn.ended {
            return self.close(at);
        }
        conn.socket.shutdown_write();
        conn.state = State::Draining;
        conn.input = Vec::new();
        let deadline_ms = self.clock.uptime_ms + DRAIN_MS;
        self.set_deadline(at, deadline_ms);
    }

    fn close(&mut self, at: usize) {
        self.unpark(at);
        let mut conn = self.conns.remove(at);
        self.received_held -= conn.held;
        let _ = self.poll.registry().deregister(&mut conn.socket);
        self.close_account(conn.account.take());
        self.metrics.connections(self.conns.len());
        if self.conns.is_empty() {
            self.deadline_ms = u64::MAX;
        }
    }

    fn set_deadline(&mut self, at: usize, deadline_ms: u64) {
        if let Some(conn) = self.conns.get_mut(at) {
            conn.deadline_ms = deadline_ms;
            self.deadline_ms = self.deadline_ms.min(deadline_ms);
        }
    }

    /// Sends the replies that have become durable.
    fn reply(&mut self) {
        // The WebSocket whose answers gather in `self.out`.
        let mut gathering = None;
        while let Some((ticket, reply)) = self.shard.poll_reply() {
            if let Reply::Events(appended) = &reply {
                self.note_reaction(appended);
            }
            let Place {
                at,
                generation,
                command,
            } = Place::of(ticket);
            let conn = self.conns.get(at);
            let Some(conn) = conn.filter(|conn| conn.generation == generation) else {
                continue;
            };
            let is_live = matches!(conn.state, State::Live(_));
            if !is_live && !matches!(conn.state, State::Waiting(..)) {
                // A WebSocket may end while its commands wait for the disk.
                continue;
            }
            if gathering.is_some_and(|gathers| gathers != at || !is_live) {
                self.send_gathered(gathering.take());
            }
            if !is_live {
                self.answer_reply(at, reply);
                self.resume(at);
                continue;
            }
            if gathering.replace(at).is_none() {
                self.out.clear();
            }
            self.answer_live(at, command, reply);
        }
        self.send_gathered(gathering);
        self.tell_marks();
    }

    fn send_gathered(&mut self, gathered: Option<usize>) {
        if let Some(at) = gathered {
            self.send(at);
            self.resume(at);
        }
    }

    /// Lets the subscriptions do what they can, and answers what they have decided.
    fn notify(&mut self) {
        for (ticket, reply) in self.subscriptions.turn(&mut self.shard, self.clock.wall) {
            let Place { at, generation, .. } = Place::of(ticket);
            if self
                .conns
                .get(at)
                .is_some_and(|conn| conn.generation == generation)
            {
                self.answer_subscription(at, &reply);
                self.resume(at);
            }
        }
    }

    /// Feeds the SQL view, and answers what it was asked.
    fn answer_views(&mut self) {
        let (now, uptime_ms) = (self.clock.wall, self.clock.uptime_ms);
        for (ticket, answer) in self.views.turn(&mut self.shard, now, uptime_ms) {
            let Some(answer) = self.take_reactions(ticket, answer) else {
                continue;
            };
            let Place {
                at,
                generation,
                command,
            } = Place::of(ticket);
            let conn = self.conns.get(at);
            let Some(conn) = conn.filter(|conn| conn.generation == generation) else {
                continue;
            };
            if conn.live().is_some() {
                self.answer_recent(at, command, answer);
            } else {
                self.answer_view(at, answer);
                self.resume(at);
            }
        }
    }

    /// Gives replicas what they lack, and answers what they were asked.
    fn feed_replicas(&mut self) {
        let (now, uptime_ms) = (self.clock.wall, self.clock.uptime_ms);
        let limits = Arc::clone(self.tables.query_limits());
        let turned = self.replicas.turn(&mut self.shard, &limits, now, uptime_ms);
        for answered in turned {
            self.replica_answered(answered);
        }
        self.tell_sync_callers();
    }

    /// Counts how the replica is.
    fn show_replicas(&self) {
        let (now, uptime_ms) = (self.clock.wall, self.clock.uptime_ms);
        self.metrics
            .replica_status(&self.replicas.status(now, uptime_ms));
    }

    /// Looks at what arrived while a connection was waiting.
    fn resume(&mut self, at: usize) {
        let Some(conn) = self.conns.get(at) else {
            return;
        };
        let draining = matches!(conn.state, State::Draining);
        let open = conn.takes_requests() || draining || !self.is_held(at);
        if open && (conn.readable || conn.ended || !conn.input.is_empty()) {
            self.receive(at);
        }
    }

    /// Answers a request that failed and ends the connection.
    fn refuse(&mut self, at: usize, context: Context, code: Code, message: &str) {
        self.answer_error(
            at,
            Context {
                close: true,
                ..context
            },
            code,
            message,
        );
    }

    fn answer_error(&mut self, at: usize, context: Context, code: Code, message: &str) {
        self.metrics.error(code);
        self.out.clear();
        http::error(
            &mut self.out,
            &envelope(&mut self.clock, self.conns.get(at), context),
            code,
            message,
        );
        self.answer(at, context);
    }

    /// Returns the next of a row of numbers that need only differ.
    fn draw(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random ^ self.clock.wall.0
    }

    fn slot_of(&self, at: usize) -> Option<SlotId> {
        self.conns.get(at)?.reads()
    }
}

fn envelope<'a, F>(
    clock: &'a mut Clock,
    conn: Option<&'a Conn<F>>,
    context: Context,
) -> Envelope<'a> {
    Envelope {
        date: clock.date(),
        cors: page::cors(conn.and_then(|conn| conn.page.as_deref()), context.cors),
        close: context.close,
        head: context.head,
        pace: context.pace,
    }
}
