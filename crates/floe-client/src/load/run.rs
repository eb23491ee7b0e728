//! One run: prepare, warm up, measure, wind down, report.

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::engine::Engine;
use super::meter::Kind;
use super::plan::Plan;
use super::process::{CpuTime, Memory, raise_file_limit};
use super::report::{CostReport, OperationReport, Report, ServerReport, Unit};
use super::request::{Appends, RequestTemplate, Shape, StreamAppends};
use super::role::Role;
use super::roles::{AppendRole, Manage, ManageRole, Streams};
use super::target::{Target, TargetError};
use super::workloads;

/// Does what `plan` says with the server at `url`, whose process is `pid` if it is known, and shows
/// `bearer` with every request.
///
/// One thread does it all; the call returns when the run is over.
pub fn run(
    plan: &Plan,
    url: &str,
    bearer: Option<&str>,
    pid: Option<u32>,
) -> Result<Report, RunError> {
    raise_file_limit();
    let run_name = format!("bench-{:x}", fastrand::u64(..));
    let mut target = Target::parse(url, &run_name)?;
    if let Some(bearer) = bearer {
        target = target.with_bearer(bearer);
    }
    let run = Run {
        plan: plan.clone(),
        target,
        pid,
    };
    workloads::run(&run)
}

/// Why a run gave no report.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The URL cannot be used.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The server cannot be reached, or the system refused something.
    #[error("the run failed")]
    Io(#[from] io::Error),
    /// A message is too small for what readers check.
    #[error("messages need at least {message_bytes_min} bytes for what readers check")]
    MessageTooSmall {
        /// Bytes that they need.
        message_bytes_min: usize,
    },
    /// Live readers cannot check base64.
    #[error("live readers need text/plain or application/json, not {content_type}")]
    ContentType {
        /// What was asked for.
        content_type: String,
    },
    /// Not everybody came to the start.
    #[error("only {ready} of {connections} connections got ready: {errors:?}")]
    NotReady {
        /// Connections that did.
        ready: usize,
        /// Connections that should have.
        connections: usize,
        /// What went wrong meanwhile.
        errors: BTreeMap<String, u64>,
    },
    /// The server has no media, so nobody could hear anything.
    #[error("this server carries no sound (see `media` in its settings)")]
    NoMedia,
    /// The streams could not be made.
    #[error("preparing failed: {errors:?}")]
    Prepare {
        /// What went wrong.
        errors: BTreeMap<String, u64>,
    },
}

/// A plan with its server.
pub(crate) struct Run {
    pub(crate) plan: Plan,
    pub(crate) target: Target,
    pub(crate) pid: Option<u32>,
}

impl Run {
    pub(crate) fn engine(&self) -> Result<Engine, RunError> {
        Ok(Engine::new(self.target.clone())?)
    }

    pub(crate) fn shape(&self) -> Shape {
        Shape {
            content_type: self.plan.content_type.clone(),
            message_bytes: self.plan.message_bytes,
            batch: self.plan.batch,
        }
    }

    /// Returns the shape of messages that live readers can check.
    pub(crate) fn checked_shape(&self) -> Result<Shape, RunError> {
        let shape = self.shape();
        let content_type = shape.content_type.to_ascii_lowercase();
        if !content_type.starts_with("text/") && content_type != "application/json" {
            return Err(RunError::ContentType { content_type });
        }
        if !shape.holds_record() {
            return Err(RunError::MessageTooSmall {
                message_bytes_min: super::record::Record::LEN + 2,
            });
        }
        Ok(shape)
    }

    /// Creates streams `0..count`.
    pub(crate) fn create_streams(&self, count: u64) -> Result<(), RunError> {
        self.manage(Manage::Create, count)
    }

    /// Deletes streams `0..count`, unless they are to stay.
    pub(crate) fn delete_streams(&self, count: u64) -> Result<(), RunError> {
        match self.plan.keep_streams {
            true => Ok(()),
            false => self.manage(Manage::Delete, count),
        }
    }

    /// Adds the roles that create or delete streams `0..count`.
    pub(crate) fn add_managers(&self, engine: &mut Engine, what: Manage, count: u64) {
        let template = Rc::new(match what {
            Manage::Create => RequestTemplate::create(&self.target, &self.plan.content_type),
            Manage::Delete => RequestTemplate::delete(&self.target),
        });
        let connections = (self.plan.connections as u64).min(count).max(1);
        for connection in 0..connections {
            let streams = (connection, connections, count);
            let role = ManageRole::new(what, &template, streams, self.plan.pipeline);
            engine.add(Box::new(role));
        }
    }

    /// Appends to stream 0 until it has `messages` of `shape`, as records if they hold one.
    pub(crate) fn fill(&self, shape: Shape, messages: u64, records: bool) -> Result<(), RunError> {
        let mut engine = self.engine()?;
        engine.shared.written = vec![0];
        engine.shared.operations_left = messages.div_ceil(shape.batch as u64);
        let appends: Rc<dyn Appends> = Rc::new(StreamAppends::new(&self.target, shape));
        let streams = Streams::Turn {
            next: 0,
            step: 1,
            count: 1,
        };
        let mut role = AppendRole::new(&appends, streams, 1);
        if records {
            role = role.with_records(0);
        }
        self.finish(engine, Box::new(role))
    }

    pub(crate) fn finish(&self, mut engine: Engine, role: Box<dyn Role>) -> Result<(), RunError> {
        let operations = engine.shared.operations_left;
        engine.add(role);
        gather(&mut engine)?;
        engine.start()?;
        engine.run_until(PREPARE_LIMIT, |shared| shared.completed >= operations)?;
        prepared(engine)
    }

    fn manage(&self, what: Manage, count: u64) -> Result<(), RunError> {
        let mut engine = self.engine()?;
        self.add_managers(&mut engine, what, count);
        gather(&mut engine)?;
        engine.start()?;
        engine.run_until(PREPARE_LIMIT, |shared| shared.completed >= count)?;
        prepared(engine)
    }
}

/// Waits until every connection is ready.
pub(crate) fn gather(engine: &mut Engine) -> Result<(), RunError> {
    let connections = engine.len();
    if engine.run_until(GATHER_LIMIT, |shared| shared.ready >= connections)? {
        return Ok(());
    }
    Err(RunError::NotReady {
        ready: engine.shared.ready,
        connections,
        errors: std::mem::take(&mut engine.shared.errors),
    })
}

/// Lets no new work begin and waits for what has begun.
pub(crate) fn wind_down(engine: &mut Engine) -> Result<(), RunError> {
    engine.shared.running = false;
    if !engine.run_until(WIND_DOWN_LIMIT, |shared| shared.in_flight == 0)? {
        engine.shared.note_error("requests without an answer");
    }
    Ok(())
}

/// The time between two looks at both processes.
pub(crate) struct Window {
    pid: Option<u32>,
    started: Instant,
    server: Option<CpuTime>,
    own: CpuTime,
    memory_before: Option<Memory>,
}

impl Window {
    /// Begins to count.
    pub(crate) fn open(engine: &mut Engine, pid: Option<u32>, before: Option<Memory>) -> Self {
        engine.shared.measuring = true;
        Self {
            pid,
            memory_before: before,
            server: pid.and_then(CpuTime::of),
            own: CpuTime::own(),
            started: Instant::now(),
        }
    }

    /// Ends counting; the report takes its errors from the engine when the run is over.
    pub(crate) fn close(self, engine: &mut Engine, run: &Run, unit: Unit) -> Report {
        let seconds = self.started.elapsed().as_secs_f64();
        let own = CpuTime::own().micros - self.own.micros;
        let server = self.pid.and_then(CpuTime::of);
        let memory_after = self.pid.and_then(Memory::of);
        engine.shared.measuring = false;
        let meters = &engine.shared.meters;
        let (unit_name, units) = match unit {
            Unit::Each(kind) => (kind.as_str(), meters.of(kind).count as f64),
            Unit::Megabyte => ("MB", meters.of(Kind::Pass).bytes as f64 / 1e6),
            Unit::Item(count) => ("item", count as f64),
        };
        let server = self.server.zip(server).map(|(before, after)| ServerReport {
            cost: CostReport::new(after.micros - before.micros, seconds, units),
            memory_before: self.memory_before,
            memory_after,
            rss_bytes_per_item: None,
        });
        Report {
            url: run.target.url.clone(),
            plan: run.plan.clone(),
            seconds,
            operations: meters
                .seen()
                .map(|(kind, meter)| (kind.as_str(), OperationReport::new(meter, seconds)))
                .collect(),
            unit: unit_name,
            units,
            server,
            generator: CostReport::new(own, seconds, units),
            extra: BTreeMap::new(),
            reconnects: engine.shared.reconnects,
            errors: BTreeMap::new(),
        }
    }
}

pub(crate) fn prepared(mut engine: Engine) -> Result<(), RunError> {
    wind_down(&mut engine)?;
    match engine.shared.errors.is_empty() {
        true => Ok(()),
        false => Err(RunError::Prepare {
            errors: engine.shared.errors,
        }),
    }
}

const GATHER_LIMIT: Duration = Duration::from_secs(60);
pub(crate) const PREPARE_LIMIT: Duration = Duration::from_secs(3600);
const WIND_DOWN_LIMIT: Duration = Duration::from_secs(20);
