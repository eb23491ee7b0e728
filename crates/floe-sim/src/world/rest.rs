//! Moments of quiet, in which everything must fit together.

use std::collections::BTreeMap;

use floe_core::Start;

use super::{End, Violation, World, is_disk_failure};
use crate::draw::{NAMES, REGISTRIES, VALUES, namespace};
use crate::jobs::Job;

impl World {
    /// Lets everything end that is on its way, and checks all that follows from it.
    pub(super) fn rest(&mut self) -> Result<(), End> {
        self.trace.note("rest".into());
        self.settle_down()?;
        self.check_quiet()?;
        Ok(())
    }

    /// Stops and starts the server, if it can come to rest.
    pub(super) fn restart(&mut self) -> Result<(), End> {
        if self.faulty {
            return Ok(());
        }
        self.settle_down()?;
        self.check_quiet()?;
        self.disk.sim.set_bytes_max(None);
        Ok(self.reopen()?)
    }

    /// Brings the run to an end in which the disk is well and has space.
    pub(super) fn rest_for_good(&mut self) -> Result<(), End> {
        if self.faulty {
            self.crash()?;
        }
        self.disk.sim.set_bytes_max(None);
        self.trace.note("the end".into());
        self.settle_down()?;
        self.check_quiet()?;
        self.check_space()?;
        // All that can expire by itself does, without anybody's help.
        self.now += 3_600_000;
        for _ in 0..4 {
            self.tick();
            self.settle_down()?;
        }
        for name in NAMES {
            if !self.settle(name)? {
                return Err(format!("{name} cannot expire, though there is space").into());
            }
        }
        self.check_registries(true)?;
        self.settle_down()?;
        Ok(self.check_quiet()?)
    }

    /// Writes again, now that there is space.
    fn check_space(&mut self) -> Result<(), End> {
        self.tight = false;
        for name in VALUES {
            let now = self.now();
            let kept = self
                .shard()
                .set_value(now, name.as_bytes(), b"there is space");
            if let Err(failure) = kept {
                return Err(format!("there is space, but {name} says {failure:?}").into());
            }
            let (name, value) = (name.to_owned(), b"there is space".to_vec());
            self.truth.wish(crate::model::Op::SetValue { name, value });
        }
        self.settle_down()
    }

    fn check_quiet(&mut self) -> Result<(), Violation> {
        if let Some(ticket) = self.asked.keys().next() {
            return Err(format!("{ticket} is never answered"));
        }
        // Nothing is on its way, so the server has to stand by all of it.
        self.truth.require(self.truth.count());
        self.check_readers()?;
        for name in VALUES {
            self.check_value(name)?;
        }
        self.check_registries(false)
    }

    /// Commits until nothing is left, and works until there is no more to do.
    fn settle_down(&mut self) -> Result<(), End> {
        for _ in 0..200 {
            self.commit_jobs()?;
            self.hear(true)?;
            let Some(work) = self.shard().take_work() else {
                if self.shard().is_busy() {
                    continue;
                }
                return Ok(());
            };
            let name = work.name();
            self.finish(name, Job::work(work).finish())?;
            if self.work_rests > 0 {
                self.commit_jobs()?;
                return self.hear(true);
            }
        }
        Err("the log never comes to rest".to_owned().into())
    }

    fn commit_jobs(&mut self) -> Result<(), End> {
        loop {
            self.take_commit();
            let Some(job) = (!self.jobs.is_empty()).then(|| self.jobs.remove(0)) else {
                return Ok(());
            };
            self.finish(job.name(), job.finish())?;
        }
    }

    /// Commits all that a start has staged.
    pub(super) fn commit_all(&mut self) -> Result<(), Violation> {
        let committed = self.commit_jobs().and_then(|()| self.hear(true));
        committed.map_err(End::into_violation)
    }

    /// Does all background work, too.
    pub(super) fn work_all(&mut self) -> Result<(), Violation> {
        self.settle_down().map_err(End::into_violation)
    }

    /// Compares the listings of all streams with the streams there are.
    ///
    /// Unless `exact`, streams whose life is over may be listed until somebody notices.
    pub(super) fn check_registries(&mut self, exact: bool) -> Result<(), Violation> {
        for registry in REGISTRIES {
            self.check_registry(registry, exact)
                .map_err(|what| format!("{registry:?}: {what}"))?;
        }
        Ok(())
    }

    fn check_registry(&mut self, registry: &'static str, exact: bool) -> Result<(), Violation> {
        let now = self.now();
        let shown = self.registries.get(registry).cloned().unwrap_or_default();
        let plan = self
            .shard()
            .plan_read(now, registry.as_bytes(), Start::Oldest);
        let bytes = match plan {
            Ok(_) => self.read_whole(registry)?,
            Err(failure) if is_disk_failure(&failure) && self.tight => return Ok(()),
            // It comes with the first stream of its namespace.
            Err(failure) if failure.code.as_str() == "NOT_FOUND" => Vec::new(),
            Err(failure) => return Err(format!("{failure:?}")),
        };
        if !bytes.starts_with(&shown) {
            return Err("it has lost events that were shown".into());
        }
        let own = namespace(registry);
        let (listed, last) = replay(own, &bytes)?;
        // Without space, a change may fail after its event, which is taken back when there is some.
        let in_doubt = |name: &str| self.tight && !exact && name == last;
        self.registries.insert(registry, bytes);
        let model = self.truth.staged();
        let streams = model.streams.iter();
        for (&uid, stream) in streams.filter(|(_, stream)| namespace(&stream.name) == own) {
            let may_end = model.may_be_gone(uid, now.0) || model.may_be_kept(uid, now.0);
            match listed.get(&stream.name) {
                _ if stream.soft_deleted || may_end || in_doubt(&stream.name) => {}
                None => return Err(format!("the registry does not list {}", stream.name)),
                Some(found) if *found != (stream.content_type.clone(), stream.created_at) => {
                    return Err(format!("the registry lists {} as {found:?}", stream.name));
                }
                Some(_) => {}
            }
        }
        for name in listed.keys() {
            let there = model.find(name).is_some_and(|(uid, stream)| {
                let is_over = stream.soft_deleted || (exact && model.may_be_gone(uid, now.0));
                !is_over
            });
            if !there && !in_doubt(name) {
                return Err(format!("the registry lists {name}, which is not there"));
            }
        }
        Ok(())
    }
}

/// Content type and time of birth of each stream that the registry lists.
type Listed = BTreeMap<String, (String, u64)>;

/// Reads the events of a registry; returns what it lists, by full name, and what it spoke of last.
fn replay(own: &str, bytes: &[u8]) -> Result<(Listed, String), Violation> {
    let mut last = String::new();
    let mut listed = BTreeMap::new();
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let array = format!("[{}]", text.strip_suffix(',').unwrap_or(text));
    let events: Vec<serde_json::Value> = serde_json::from_str(&array)
        .map_err(|error| format!("the registry is not JSON: {error}"))?;
    for event in events {
        let path = format!("{own}{}", event["key"].as_str().unwrap_or_default());
        last.clone_from(&path);
        let what = event["headers"]["operation"].as_str().unwrap_or_default();
        let value = &event["value"];
        let fits = match what {
            "insert" => {
                let content_type = value["contentType"].as_str().unwrap_or_default().to_owned();
                let created_at = value["createdAt"].as_u64().unwrap_or_default();
                listed.insert(path, (content_type, created_at)).is_none()
            }
            "delete" => listed.remove(&path).is_some(),
            _ => false,
        };
        if !fits {
            return Err(format!("the registry says {event} at the wrong moment"));
        }
    }
    Ok((listed, last))
}
