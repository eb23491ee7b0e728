//! Communities on a simulated disk: people come and go, are put out, kept out and timed out, make rooms
//! and speak in them, while the server crashes.
//!
//! A [`Town`] has waddles in two namespaces. It asks the shard as the server's loop does, decides by a
//! [`Model`](model::Model) of its own what must come of it, and compares: every answer, what everyone may do
//! in every room, the state that the shard has folded, what readers of the log make of it, and what
//! was said. After a crash all of that has to be some moment of the past, and none before what
//! somebody was told.

mod act;
mod host;
mod look;
pub mod model;
mod say;
mod truth;

use std::collections::BTreeMap;

use floe_log::sim::Rng;
use floe_proto::community::WaddleId;
use floe_proto::{ChannelId, Millis, Namespace};
use floe_server::shard::Reply;

use crate::trace::Trace;
use crate::world::Violation;
use act::Asked;
use host::Host;
use model::{Bounds, PLACES, USERS};
use truth::Truth;

/// A simulated server of communities, and the people in them.
#[derive(Debug)]
pub struct Town {
    rng: Rng,
    now: u64,
    host: Host,
    bounds: Bounds,
    truth: Truth,
    asked: BTreeMap<u64, Asked>,
    next_ticket: u64,
    /// All rooms that were ever made, with the place of their waddle and whether they are for voices.
    rooms: Vec<(ChannelId, usize, bool)>,
    words: u64,
    /// What happened.
    pub trace: Trace,
    /// How often each thing happened.
    pub counts: BTreeMap<&'static str, u64>,
}

/// Why a life of the server ended.
#[derive(Debug)]
enum End {
    /// As the town wished.
    Crash,
    /// Something is wrong.
    Violation(Violation),
}

impl From<Violation> for End {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

impl End {
    fn into_violation(self) -> Violation {
        match self {
            Self::Crash => "the disk failed though nobody told it to".into(),
            Self::Violation(violation) => violation,
        }
    }
}

impl Town {
    /// Makes the town of a seed.
    pub fn new(seed: u64, verbose: bool) -> Self {
        let mut rng = Rng::new(seed);
        let bounds = Bounds {
            members: [3, 100][rng.below(2) as usize],
            bans: [1, 100][rng.below(2) as usize],
            rooms: [2, 100][rng.below(2) as usize],
        };
        let host = Host::new(&bounds, &mut rng);
        let mut trace = Trace::new(verbose);
        trace.note(format!("seed {seed}: {bounds:?}, {:?}", host.options));
        Self {
            rng,
            now: 1_800_000_000_000,
            host,
            bounds,
            truth: Truth::default(),
            asked: BTreeMap::new(),
            next_ticket: 1,
            rooms: Vec::new(),
            words: 0,
            trace,
            counts: BTreeMap::new(),
        }
    }

    /// Makes the disk say that it has synced what it has not.
    pub fn let_disk_lie(&mut self) {
        self.host.disk.lies = true;
    }

    /// Lives for some steps, and then makes sure that everything is as it should be.
    ///
    /// # Errors
    /// The first thing that is not.
    pub fn run(&mut self, steps: u64) -> Result<(), Violation> {
        self.open()?;
        for _ in 0..steps {
            match self.step() {
                Ok(()) => {}
                Err(End::Crash) => self.crash()?,
                Err(End::Violation(violation)) => return Err(violation),
            }
        }
        if self.host.is_faulty {
            self.crash()?;
        }
        self.host.disk.sim.set_bytes_max(None);
        self.rest().map_err(End::into_violation)?;
        let disk = self.host.disk.sim.trace();
        self.trace.mix(&disk.to_le_bytes());
        Ok(())
    }

    fn step(&mut self) -> Result<(), End> {
        if self.host.disk.sim.is_dead() && self.rng.chance(1, 3) {
            return Err(End::Crash);
        }
        self.now += self.rng.below(40);
        match self.rng.below(1000) {
            0..330 => self.act()?,
            330..450 => self.say()?,
            450..453 => self.end_waddle()?,
            453..490 => self.check_rights()?,
            490..630 => self.host.take_commit(&mut self.trace),
            630..670 => self.host.take_work(&mut self.trace),
            670..940 => self.work()?,
            940..955 => self.tick(),
            955..965 => self.wait_long(),
            965..972 => self.host.change_space(&mut self.rng, &mut self.trace),
            972..980 => self.host.doom(&mut self.rng, &mut self.trace),
            980..987 => self.rest()?,
            987..991 => self.restart()?,
            _ => return Err(End::Crash),
        }
        self.hear()
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    fn now(&self) -> Millis {
        Millis(self.now)
    }

    fn user(&mut self) -> &'static str {
        USERS[self.rng.below(USERS.len() as u64) as usize]
    }

    /// Draws somebody who may well belong to a waddle.
    fn somebody(&mut self, place: usize) -> &'static str {
        let waddle = self.truth.staged().waddles.get(&place);
        let members = waddle.map_or_else(Vec::new, |waddle| waddle.members.keys().collect());
        if members.is_empty() || self.rng.chance(1, 3) {
            return self.user();
        }
        members[self.rng.below(members.len() as u64) as usize]
    }

    fn place(&mut self) -> usize {
        self.rng.below(PLACES.len() as u64) as usize
    }

    fn ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket
    }

    fn tick(&mut self) {
        let now = self.now();
        self.host.shard().tick(now);
        self.trace.note("tick".into());
    }

    fn wait_long(&mut self) {
        let seconds = [1, 6, 40, 700][self.rng.below(4) as usize];
        self.now += seconds * 1_000;
        self.trace.note(format!("{seconds} seconds pass"));
    }

    /// Lets one of the jobs go on.
    fn work(&mut self) -> Result<(), End> {
        if let Some(job) = self.host.work(&mut self.rng, &mut self.trace)? {
            self.count(job);
        }
        Ok(())
    }

    /// Takes all answers.
    fn hear(&mut self) -> Result<(), End> {
        while let Some((ticket, reply)) = self.host.shard().poll_reply() {
            self.answered(ticket.0, &reply)?;
        }
        while let Some((slot, readers)) = self.host.shard().poll_advanced() {
            let edge = self.host.shard().room(slot).visible();
            self.host.shard().give_back(slot, readers, edge);
        }
        Ok(())
    }

    fn answered(&mut self, ticket: u64, reply: &Reply) -> Result<(), Violation> {
        self.trace.note(format!("{ticket} is answered: {reply:?}"));
        let Some(asked) = self.asked.remove(&ticket) else {
            return Err(format!("{ticket} is answered twice"));
        };
        asked.expected.check(reply).map_err(|what| {
            let wish = &asked.wish;
            format!("{wish} is answered {reply:?}: {what}")
        })?;
        self.count(asked.expected.word());
        self.truth.require(asked.tells);
        Ok(())
    }

    /// Lets everything end that is on its way, and looks at all of it.
    fn rest(&mut self) -> Result<(), End> {
        self.trace.note("rest".into());
        self.settle_down()?;
        if let Some((ticket, asked)) = self.asked.iter().next() {
            let wish = &asked.wish;
            return Err(format!("{ticket}, {wish}, is never answered").into());
        }
        // Nothing is on its way, so the server has to stand by all of it.
        self.truth.require(self.truth.count());
        let seen = self.see()?;
        seen.compare(self.truth.staged(), self.now)?;
        self.check_everyones_rights()
    }

    fn settle_down(&mut self) -> Result<(), End> {
        for _ in 0..200 {
            self.host.commit_all(&mut self.trace)?;
            self.hear()?;
            if !self.host.work_once(&mut self.trace)? && !self.host.shard().is_busy() {
                return Ok(());
            }
        }
        Err("the log never comes to rest".to_owned().into())
    }

    /// Stops and starts the server, if it can come to rest.
    fn restart(&mut self) -> Result<(), End> {
        if self.host.is_faulty {
            return Ok(());
        }
        self.rest()?;
        self.trace.note("stop and start".into());
        self.count("restart");
        self.host.close()?;
        Ok(self.open()?)
    }

    /// Loses power, or only the process, and starts again.
    fn crash(&mut self) -> Result<(), Violation> {
        let open = self.truth.count() - self.truth.floor();
        let kill = self.host.crash(&mut self.rng);
        self.trace
            .note(format!("crash, kill {kill}, {open} changes open"));
        self.count(if kill { "kill" } else { "power loss" });
        self.asked.clear();
        self.open()
    }

    /// Starts the server, and compares all that there is with what there may be.
    fn open(&mut self) -> Result<(), Violation> {
        let crashes = self.host.open(self.now, &mut self.rng, &mut self.trace)?;
        for _ in 0..crashes {
            self.count("crash in recovery");
        }
        let seen = self.see().map_err(End::into_violation)?;
        let (now, floor) = (self.now, self.truth.floor());
        let adopted = self.truth.adopt(|model| seen.compare(model, now));
        let count = adopted.map_err(|differences| {
            let differences = differences.join("\n    ");
            format!("no past from {floor} on explains what is there:\n    {differences}")
        })?;
        self.trace
            .note(format!("changes up to {count} survived, {floor} had to"));
        self.host
            .commit_all(&mut self.trace)
            .and_then(|()| self.hear())
            .map_err(End::into_violation)?;
        // All of it is told from now on.
        self.truth.require(self.truth.count());
        self.check_everyones_rights().map_err(End::into_violation)
    }
}

/// The namespace of a place.
fn namespace(place: usize) -> Namespace {
    let (namespace, _) = PLACES[place];
    namespace.parse().unwrap_or_default()
}

/// The id of the waddle at a place.
fn waddle_id(place: usize) -> WaddleId {
    PLACES[place].1.parse().expect("it is one")
}

/// The full name of the room of the waddle at a place.
fn waddle_name(place: usize) -> Vec<u8> {
    let path = waddle_id(place).path();
    namespace(place).qualify(path.as_bytes()).into()
}
