//! Crashes, and the look at what is left.

use std::collections::BTreeMap;
use std::sync::Arc;

use floe_core::{Lifetime, Start};
use floe_proto::Millis;
use floe_server::shard::Shard;

use super::{Violation, World, is_disk_failure};
use crate::draw::{NAMES, REGISTRIES, VALUES};
use crate::model::{Life, Model, Op};

/// All that can be seen of a server.
#[derive(Debug, Default)]
struct View {
    streams: BTreeMap<&'static str, Seen>,
    values: BTreeMap<&'static str, Option<Vec<u8>>>,
}

#[derive(Debug)]
enum Seen {
    There {
        created_at: u64,
        content_type: String,
        life: Life,
        tail: u64,
        closed: bool,
        bytes: Vec<u8>,
    },
    Kept,
    Absent,
}

impl World {
    /// Starts the server on a disk that nobody has used.
    pub(super) fn start(&mut self) -> Result<(), Violation> {
        self.open()?;
        self.look_around()
    }

    /// Loses power, or only the process, and starts again.
    pub(super) fn crash(&mut self) -> Result<(), Violation> {
        let kill = !self.disk.sim.is_dead() && self.rng.chance(1, 4);
        let cut = self.truth.count() - self.truth.floor();
        let jobs: Vec<&str> = self.jobs.iter().map(|job| job.name()).collect();
        self.trace.note(format!(
            "crash, kill {kill}, {cut} changes open, jobs {jobs:?}"
        ));
        self.count(if kill { "kill" } else { "power loss" });
        for job in jobs_on_their_way(&self.jobs) {
            self.count(job);
        }
        if !kill {
            // Before the jobs notice that they are over.
            self.disk.sim = self.disk.sim.crash(&mut self.rng);
        }
        self.jobs.clear();
        self.shard = None;
        self.disk.sim.set_bytes_max(None);
        self.disk.sim.fail_sync_after(u64::MAX / 2);
        self.disk.sim.die_after(u64::MAX / 2);
        self.faulty = false;
        self.work_rests = 0;
        self.forget_asked();
        self.passes.clear();
        self.strays = std::mem::take(&mut self.readers).into_values().collect();
        self.open()?;
        self.look_around()
    }

    /// Ends the server well, and starts again.
    pub(super) fn reopen(&mut self) -> Result<(), Violation> {
        self.trace.note("stop and start".into());
        self.count("restart");
        self.jobs.clear();
        let shard = self.shard.take().expect("the server runs");
        shard
            .close()
            .map_err(|error| format!("the log does not close: {error}"))?;
        self.forget_asked();
        self.passes.clear();
        self.strays = std::mem::take(&mut self.readers).into_values().collect();
        self.open()?;
        self.look_around()
    }

    fn open(&mut self) -> Result<(), Violation> {
        loop {
            if self.rng.chance(1, 4) {
                self.disk.sim.die_after(1 + self.rng.below(12));
            }
            let opened = Shard::open(self.disk.clone(), self.options.clone(), self.limits.clone());
            match opened {
                Ok((mut shard, recovery)) if !self.disk.sim.is_dead() => {
                    self.trace.note(format!("open: {recovery:?}"));
                    self.disk.sim.die_after(u64::MAX / 2);
                    let now = Millis(self.now);
                    if let Some(cold) = &self.cold {
                        let store = Arc::new(self.store.clone());
                        shard.use_store(store, cold.clone());
                    }
                    shard
                        .ensure_registry(now)
                        .map_err(|failure| format!("no registry: {failure:?}"))?;
                    self.shard = Some(shard);
                    return Ok(());
                }
                Ok(_) => {}
                Err(_) if self.disk.sim.is_dead() => {}
                Err(error) => return Err(format!("what is left does not open: {error}")),
            }
            self.trace.note("power fails during recovery".into());
            self.count("crash in recovery");
            self.disk.sim = self.disk.sim.crash(&mut self.rng);
        }
    }

    /// Compares all that there is with what there may be.
    fn look_around(&mut self) -> Result<(), Violation> {
        let view = self.view()?;
        let now = self.now;
        let floor = self.truth.floor();
        let adopted = self.truth.adopt(|model| view.compare(model, now));
        let count = adopted.map_err(|differences| {
            let differences = differences.join("\n    ");
            format!("no past from {floor} on explains what is there:\n    {differences}")
        })?;
        self.trace
            .note(format!("changes up to {count} survived, {floor} had to"));
        for (uid, stream) in self.truth.staged().streams.clone() {
            if matches!(view.streams[&*stream.name], Seen::There { .. })
                && let Life::Ttl(_) = stream.life
            {
                let surely = stream.touched_surely;
                self.truth.fate(Op::Touch { uid, now, surely });
            }
        }
        self.commit_all()
            .map_err(|error| format!("a commit after a start failed: {error}"))?;
        for name in NAMES {
            match self.settle(name) {
                Ok(_) => {}
                Err(super::End::Violation(violation)) => return Err(violation),
                Err(super::End::Crash) => return Err(format!("{name} cannot be looked at")),
            }
        }
        for name in REGISTRIES {
            // The first look at a registry puts a false last event right.
            let _ = self.shard().describe(Millis(now), name.as_bytes());
        }
        self.commit_all()
            .map_err(|error| format!("a commit after a start failed: {error}"))?;
        self.check_registries(false)
    }

    fn view(&mut self) -> Result<View, Violation> {
        let mut view = View::default();
        for name in NAMES {
            let seen = self.see(name).map_err(|what| format!("{name}: {what}"))?;
            view.streams.insert(name, seen);
        }
        for name in VALUES {
            let now = self.now();
            let value = self.shard().value(now, name.as_bytes());
            let value = value.map_err(|failure| format!("{name}: {failure:?}"))?;
            view.values.insert(name, value);
        }
        Ok(view)
    }

    fn see(&mut self, name: &str) -> Result<Seen, Violation> {
        let now = self.now();
        let mut found = self.shard().describe(now, name.as_bytes()).cloned();
        if found.as_ref().is_err_and(is_disk_failure) {
            // An expired stream cannot end before a flush has made room.
            self.work_all()?;
            found = self.shard().describe(now, name.as_bytes()).cloned();
        }
        // What a stream is may itself be cold; fetching makes files, as in `read_whole`.
        let mut died = false;
        while let Err(failure) = &found
            && failure.cold.is_some()
        {
            if self.disk.sim.is_dead() {
                self.disk.sim.revive();
                died = true;
            }
            let failure = failure.clone();
            self.fetch_surely(&failure)?;
            found = self.shard().describe(now, name.as_bytes()).cloned();
        }
        if died {
            self.disk.sim.die_after(0);
        }
        let room = match found {
            Ok(room) => room,
            Err(failure) => match failure.code.as_str() {
                "NOT_FOUND" => return Ok(Seen::Absent),
                "GONE" => return Ok(Seen::Kept),
                _ => return Err(format!("{failure:?}")),
            },
        };
        let bytes = self.read_whole(name)?;
        Ok(Seen::There {
            created_at: room.created_at().0,
            content_type: room.content_type().as_str().to_owned(),
            life: match room.lifetime() {
                Lifetime::Unlimited => Life::Forever,
                Lifetime::Ttl(seconds) => Life::Ttl(seconds),
                Lifetime::ExpiresAt(at) => Life::Until(at.0),
            },
            tail: room.visible().tail,
            closed: room.visible().closed,
            bytes,
        })
    }

    /// Reads all visible bytes of a stream.
    pub(super) fn read_whole(&mut self, name: &str) -> Result<Vec<u8>, Violation> {
        // Cold data is fetched into files, which a disk without power neither makes nor opens.
        let mut died = false;
        let read = self.read_pieces(name, &mut died);
        if died {
            self.disk.sim.die_after(0);
        }
        read
    }

    fn read_pieces(&mut self, name: &str, died: &mut bool) -> Result<Vec<u8>, Violation> {
        let now = self.now();
        let plan = self
            .shard()
            .plan_read(now, name.as_bytes(), Start::Oldest)
            .map_err(|failure| format!("{name} is not read: {failure:?}"))?;
        let (mut next, mut bytes) = (plan.span.from, Vec::new());
        while next < plan.span.edge.tail {
            if self.disk.sim.is_dead() {
                self.disk.sim.revive();
                *died = true;
            }
            let fetched = match self.shard().fetch(plan.slot, next, 5000) {
                Err(failure) if failure.cold.is_some() => {
                    self.fetch_surely(&failure)?;
                    continue;
                }
                Err(_) if self.disk.sim.is_dead() => continue,
                fetched => fetched,
            };
            let fetched = fetched
                .map_err(|failure| format!("{name} is not read from {next}: {failure:?}"))?;
            bytes.extend(fetched.to_vec().map_err(|error| error.to_string())?);
            next = fetched.next;
        }
        Ok(bytes)
    }
}

impl View {
    fn compare(&self, model: &Model, now: u64) -> Result<(), String> {
        for (name, seen) in &self.streams {
            let differs = |what: String| format!("{name} {what}");
            match model.find(name) {
                None => match seen {
                    Seen::Absent => {}
                    Seen::There { .. } | Seen::Kept => {
                        return Err(differs(format!("should not be there: {seen:?}")));
                    }
                },
                Some((uid, _)) => seen.compare(model, uid, now).map_err(differs)?,
            }
        }
        for (name, value) in &self.values {
            let wanted = model.values.get(*name);
            if value.as_ref() != wanted {
                return Err(format!("{name} is {value:?}, not {wanted:?}"));
            }
        }
        Ok(())
    }
}

impl Seen {
    fn compare(&self, model: &Model, uid: u64, now: u64) -> Result<(), String> {
        let stream = &model.streams[&uid];
        match self {
            Self::Absent if model.may_be_gone(uid, now) => Ok(()),
            Self::Absent => Err("is missing".into()),
            Self::Kept if model.may_be_kept(uid, now) => Ok(()),
            Self::Kept => Err("should not be deleted and kept for forks".into()),
            Self::There { .. } if !model.may_be_there(uid, now) => Err("should be gone".into()),
            Self::There {
                created_at,
                content_type,
                life,
                tail,
                closed,
                bytes,
            } => {
                let found = (*created_at, content_type, *life, *tail, *closed);
                let wanted = (
                    stream.created_at,
                    &stream.content_type,
                    stream.life,
                    stream.tail(),
                    stream.closed,
                );
                if found != wanted {
                    return Err(format!("is {found:?}, not {wanted:?}"));
                }
                if *bytes != stream.content.slice(0, *tail) {
                    return Err("holds other bytes".into());
                }
                Ok(())
            }
        }
    }
}

fn jobs_on_their_way(jobs: &[crate::jobs::Job]) -> Vec<&'static str> {
    let begun = jobs.iter().filter(|job| job.is_running());
    begun
        .map(|job| match job.name() {
            "commit" => "crash in commit",
            "flush" => "crash in flush",
            "merge" => "crash in merge",
            "prepare" => "crash in prepare",
            _ => "crash in other work",
        })
        .collect()
}
