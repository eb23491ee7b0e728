//! The directory of namespaces, keys and revocations under crashes, with rooms beside it.
//!
//! Everything goes into one log, so what a crash leaves of the directory is what it was after some
//! of the changes that were asked for, one after another: after all of them that were answered at
//! least, and never after a part of one. A namespace that is being deleted goes on to its end, and
//! one that is forgotten has no room left.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use floe_core::directory::{
    Command, Directory, Drawer, KeyEntry, Limits as Bounds, NamespaceEntry, Revocation, Revoked,
    SettingsChange, SigningSecret,
};
use floe_core::{ContentType, Create, Lifetime};
use floe_log::sim::{Rng, SimDisk};
use floe_log::{Options, Payload};
use floe_proto::{Millis, Namespace, Rights};
use floe_server::Limits;
use floe_server::directory::{DirectoryHost, Outcome};
use floe_server::shard::{ForkOf, NewRoom, Reply, Shard, Ticket};

use crate::world::Violation;

/// A server's directory and rooms on a simulated disk, and what they should be.
#[derive(Debug)]
pub struct DirectoryWorld {
    rng: Rng,
    now: Millis,
    disk: SimDisk,
    limits: Arc<Limits>,
    shard: Shard<SimDisk>,
    host: DirectoryHost,
    /// What was asked for, in order, and when.
    asked: Vec<(Millis, Command)>,
    /// How many of those must survive.
    floor: usize,
    /// What each answer tells of: so many commands, or a room.
    open: BTreeMap<u64, Tells>,
    /// Every room that was ever asked for.
    rooms: Vec<Room>,
    next: u64,
    /// How often each thing happened.
    pub counts: BTreeMap<&'static str, u64>,
}

#[derive(Debug)]
enum Tells {
    Commands(usize),
    Room(usize),
}

#[derive(Debug)]
struct Room {
    name: Vec<u8>,
    namespace: Namespace,
    /// Commands that were asked for before it.
    after: usize,
    answered: bool,
}

const NAMESPACES: [&str; 4] = ["acme", "umbra", "third", "fourth"];
const USERS: [&str; 3] = ["ann", "bob", "cid"];
/// Longer than any run.
const LONG_MS: u64 = 300 * 24 * 3_600_000;

/// Runs one seed for some steps; returns how often each thing happened.
///
/// # Errors
/// The first promise that is not kept.
pub fn run(seed: u64, steps: u64) -> Result<BTreeMap<&'static str, u64>, Violation> {
    let mut world = DirectoryWorld::new(seed)?;
    for _ in 0..steps {
        world.step()?;
    }
    world.rest()?;
    Ok(world.counts)
}

impl DirectoryWorld {
    fn new(seed: u64) -> Result<Self, Violation> {
        let mut rng = Rng::new(seed);
        let (disk, limits) = (SimDisk::new(), Arc::new(Limits::default()));
        let now = Millis(1_800_000_000_000);
        let wal_segment_bytes = [16 << 10, 64 << 10][rng.below(2) as usize];
        let (shard, host) = open(&disk, &limits, wal_segment_bytes, now)?;
        Ok(Self {
            rng,
            now,
            disk,
            limits,
            shard,
            host,
            asked: Vec::new(),
            floor: 0,
            open: BTreeMap::new(),
            rooms: Vec::new(),
            next: 1,
            counts: BTreeMap::new(),
        })
    }

    fn step(&mut self) -> Result<(), Violation> {
        self.now = self.now.plus(self.rng.below(50));
        match self.rng.below(100) {
            0..30 => self.command(),
            30..50 => self.create_room(),
            50..65 => self.turn(),
            65..80 => self.clear()?,
            80..92 => self.commit(),
            92..95 => {
                let ops = 1 + self.rng.below(6);
                self.disk.die_after(ops);
            }
            _ => self.crash()?,
        }
        if self.disk.is_dead() {
            self.crash()?;
        }
        Ok(())
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    fn ticket(&mut self, tells: Tells) -> Ticket {
        self.next += 1;
        self.open.insert(self.next, tells);
        Ticket(self.next)
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.rng.below(from.len() as u64) as usize]
    }

    fn namespace(&mut self) -> Namespace {
        let name = self.pick(&NAMESPACES);
        name.parse().expect("it is a name")
    }

    fn secret(&mut self) -> SigningSecret {
        SigningSecret([self.rng.below(256) as u8; 32])
    }

    fn draw(&mut self) -> Command {
        let name = self.namespace();
        let id: Box<str> = format!("k{}", self.rng.below(24)).into();
        let old_until = self.now.plus(LONG_MS);
        match self.rng.below(16) {
            0..3 => Command::CreateNamespace(NamespaceEntry::new(name, self.now, self.secret())),
            3 => Command::ChangeNamespace {
                name,
                change: SettingsChange {
                    quotas: [("rooms".into(), Some(self.rng.below(9)))].into(),
                    ..SettingsChange::default()
                },
                secret: self.secret(),
            },
            4 => Command::RotateSecret {
                name,
                secret: self.secret(),
                old_until,
            },
            5 => Command::DeleteNamespace(name),
            6..11 => Command::CreateKey(KeyEntry {
                id,
                name: "".into(),
                digest: [self.rng.below(256) as u8; 32],
                namespace: self.rng.chance(4, 5).then_some(name),
                grants: [(KeyEntry::EVERYWHERE.into(), Rights::ALL)].into(),
                user: self.rng.chance(2, 3).then(|| self.pick(&USERS).into()),
                created_at: self.now,
                expires_at: None,
                rotated: None,
                last_used_at: None,
            }),
            11 => Command::RotateKey {
                id,
                digest: [self.rng.below(256) as u8; 32],
                old_until,
            },
            12 => Command::DeleteKey(id),
            _ => Command::Revoke(Revocation {
                namespace: self.rng.chance(3, 4).then_some(name),
                what: match self.rng.chance(1, 4) {
                    true => Revoked::Token(id),
                    false => Revoked::User(self.pick(&USERS).into()),
                },
                revoked_at: self.now,
                until: self.now.plus(LONG_MS),
            }),
        }
    }

    fn command(&mut self) {
        let command = self.draw();
        let directory = self.host.directory();
        if directory.decide(self.now, &command, true).is_err() {
            return;
        }
        self.count(match &command {
            Command::Revoke(_) => "revocation",
            Command::DeleteNamespace(_) => "deletion",
            Command::RotateSecret { .. } => "secret",
            Command::CreateKey(_) => "key",
            Command::CreateNamespace(_)
            | Command::ChangeNamespace { .. }
            | Command::ForgetNamespace(_)
            | Command::RotateKey { .. }
            | Command::DeleteKey(_) => "other command",
        });
        self.apply(command);
        let ticket = self.ticket(Tells::Commands(self.asked.len()));
        self.host.answer(ticket, Outcome::Deleted);
    }

    fn apply(&mut self, command: Command) {
        let applied = self.host.apply(&mut self.shard, self.now, command.clone());
        if applied.is_ok() {
            self.asked.push((self.now, command));
        }
    }

    /// Makes a room, perhaps as a fork, in a namespace that takes one.
    fn create_room(&mut self) {
        let namespace = self.namespace();
        if self.host.directory().is_deleting(namespace.as_str()) {
            return;
        }
        let at = self.rooms.len();
        let name = namespace.qualify(format!("r{at}").as_bytes()).into_owned();
        let mut same = self.rooms.iter().rev();
        let source = same.find(|room| room.namespace == namespace);
        let source = source.map(|room| room.name.clone());
        let source = source.filter(|_| self.rng.chance(1, 3));
        let ticket = self.ticket(Tells::Room(at));
        let create = Create::new(ContentType::new("text/plain"), Lifetime::Unlimited);
        let new = NewRoom {
            create,
            fork: source.as_deref().map(|source| ForkOf {
                source,
                at: None,
                beyond: 0,
            }),
            json: false,
            payload: Payload::NONE,
        };
        self.shard.create(self.now, ticket, &name, new);
        self.rooms.push(Room {
            name,
            namespace,
            after: self.asked.len(),
            answered: false,
        });
    }

    /// Lets the directory store what has changed, and takes what is answered.
    fn turn(&mut self) {
        for (ticket, _) in self.host.turn(&mut self.shard, self.now) {
            if let Some(Tells::Commands(count)) = self.open.remove(&ticket.0) {
                self.floor = self.floor.max(count);
                self.count("answer");
            }
        }
        while let Some((ticket, reply)) = self.shard.poll_reply() {
            if let (Some(Tells::Room(at)), Reply::Created { .. }) =
                (self.open.remove(&ticket.0), reply)
            {
                self.rooms[at].answered = true;
                // What stood before it in the log survives with it; that much was staged by then.
                self.count("room");
            }
        }
    }

    /// Goes on with the deletion of namespaces.
    fn clear(&mut self) -> Result<(), Violation> {
        let cleared = self
            .host
            .clear(&mut self.shard, self.now, |_, _| Ok(()))
            .map(|cleared| cleared.namespace.clone());
        if let Some(namespace) = cleared {
            self.check_empty(&namespace)?;
            self.apply(Command::ForgetNamespace(namespace.clone()));
            self.host.end_clearing(&namespace);
            self.count("forgotten");
        }
        Ok(())
    }

    fn commit(&mut self) {
        if let Some(job) = self.shard.take_commit()
            && self.shard.finish_commit(job.run()).is_err()
        {
            // The process ends, as with a failed disk it must.
            self.disk.die_after(0);
            return;
        }
        if self.rng.chance(1, 10) {
            self.shard.request_flush();
            if let Some(work) = self.shard.take_work() {
                let _ = self.shard.finish_work(work.run());
            }
        }
    }

    fn crash(&mut self) -> Result<(), Violation> {
        self.count("crash");
        self.disk = self.disk.crash(&mut self.rng);
        self.open.clear();
        let wal_segment_bytes = [16 << 10, 64 << 10][self.rng.below(2) as usize];
        let opened = open(&self.disk, &self.limits, wal_segment_bytes, self.now)?;
        (self.shard, self.host) = opened;
        self.compare()?;
        // What was restored as a whole is stored before anything else.
        let _ = self.host.turn(&mut self.shard, self.now);
        Ok(())
    }

    /// Compares what is left with what there may be.
    fn compare(&mut self) -> Result<(), Violation> {
        let found = shape(self.host.directory());
        let mut directory = Directory::new(Bounds::default());
        let mut survived = (self.floor == 0 && shape(&directory) == found).then_some(0);
        for (at, (now, command)) in self.asked.iter().enumerate() {
            directory.apply(*now, command.clone());
            if at + 1 >= self.floor && shape(&directory) == found {
                survived = Some(at + 1);
            }
        }
        let Some(survived) = survived else {
            let (floor, count) = (self.floor, self.asked.len());
            let after = &self.asked[floor..];
            return Err(format!(
                "the directory is none of those from {floor} to {count}: {:?}, after {after:?}",
                self.host.directory()
            ));
        };
        if survived < self.asked.len() {
            self.count("lost");
        }
        self.asked.truncate(survived);
        self.floor = survived;
        self.compare_rooms()
    }

    fn compare_rooms(&mut self) -> Result<(), Violation> {
        let mut there = BTreeSet::new();
        for at in 0..self.rooms.len() {
            let Room {
                name,
                namespace,
                after,
                answered,
            } = &self.rooms[at];
            let later = self.asked.iter().skip(*after);
            let mut later = later.map(|(_, command)| command);
            let ended = later.clone().any(
                |command| matches!(command, Command::DeleteNamespace(name) if name == namespace),
            );
            let forgotten = later.any(
                |command| matches!(command, Command::ForgetNamespace(name) if name == namespace),
            );
            let found = self.shard.describe(self.now, name).is_ok();
            let shown = String::from_utf8_lossy(name).into_owned();
            if *answered && !ended && !found {
                return Err(format!("{shown:?} is missing"));
            }
            if forgotten && found {
                return Err(format!("{shown:?} outlives its namespace"));
            }
            if found {
                there.insert(at);
            }
        }
        // What a crash has lost was never there.
        for (at, room) in self.rooms.iter_mut().enumerate() {
            room.answered &= there.contains(&at);
            room.after = room.after.min(self.asked.len());
        }
        Ok(())
    }

    fn check_empty(&mut self, namespace: &Namespace) -> Result<(), Violation> {
        let mut rooms = self.shard.room_ids().into_iter();
        match rooms.find(|room| self.shard.lies_in(*room, namespace.as_str())) {
            Some(room) => Err(format!("room {} is left in {namespace}", room.0)),
            None => Ok(()),
        }
    }

    /// Lets everything come to its end.
    fn rest(&mut self) -> Result<(), Violation> {
        self.crash()?;
        for _ in 0..10_000 {
            self.now = self.now.plus(20);
            self.turn();
            self.commit();
            self.clear()?;
            let stored = !self.host.is_ahead(self.shard.durable());
            if stored && self.host.directory().deleting().is_none() {
                self.floor = self.asked.len();
                self.crash()?;
                return match self.floor == self.asked.len() {
                    true => Ok(()),
                    false => Err("what was durable is lost".into()),
                };
            }
        }
        Err("a namespace is deleted for ever".into())
    }
}

fn open(
    disk: &SimDisk,
    limits: &Arc<Limits>,
    wal_segment_bytes: u32,
    now: Millis,
) -> Result<(Shard<SimDisk>, DirectoryHost), Violation> {
    let options = Options {
        wal_segment_bytes,
        hash_key: Some([7; 16]),
        ..Options::default()
    };
    let opened = Shard::open(disk.clone(), options, Arc::clone(limits));
    let (mut shard, _) = opened.map_err(|error| format!("the log does not open: {error}"))?;
    let host = DirectoryHost::open(&mut shard, now);
    let host = host.map_err(|error| format!("the directory does not open: {error}"))?;
    Ok((shard, host))
}

/// Returns all that a directory holds.
fn shape(directory: &Directory) -> Vec<Vec<u8>> {
    let drawers = Drawer::all();
    drawers.map(|drawer| directory.encode(drawer)).collect()
}
