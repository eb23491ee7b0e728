//! The workloads: who takes part, when counting begins and ends, and what costs are divided by.

use std::rc::Rc;
use std::time::Duration;

use super::engine::Engine;
use super::exchange::fetch_tail;
use super::meter::Kind;
use super::plan::Workload;
use super::process::Memory;
use super::report::{Report, Unit};
use super::request::{Appends, Shape, StreamAppends};
use super::roles::{AppendRole, FollowRole, Manage, Pace, PollRole, ReadRole, Streams};
use super::rooms;
use super::run::{Run, RunError, Window, gather, wind_down};
use super::tables;
use super::view;
use super::voice;

/// Runs what the plan says.
pub(crate) fn run(run: &Run) -> Result<Report, RunError> {
    match run.plan.workload {
        Workload::Append => append(run),
        Workload::Create => create(run),
        Workload::Read => read(run),
        Workload::Sse => live(run, Live::Sse),
        Workload::LongPoll => live(run, Live::LongPoll),
        Workload::Mixed => mixed(run),
        Workload::Storm => storm(run),
        Workload::IdleReaders => idle_readers(run),
        Workload::IdleStreams => idle_streams(run),
        Workload::Live => rooms::fan_out(run),
        Workload::LiveRooms => rooms::many_rooms(run),
        Workload::LiveIdle => rooms::idle_sockets(run),
        Workload::LiveStorm => rooms::storm(run),
        Workload::LiveChurn => rooms::churn(run),
        Workload::ChannelAppend => rooms::append(run),
        Workload::Query | Workload::Search => view::ask(run),
        Workload::Tables => tables::run(run),
        Workload::Voice => voice::talk(run),
    }
}

/// How live readers follow.
#[derive(Debug, Clone, Copy)]
enum Live {
    Sse,
    LongPoll,
}

impl Live {
    const fn unit(self) -> Kind {
        match self {
            Self::Sse => Kind::Delivery,
            Self::LongPoll => Kind::Round,
        }
    }
}

fn append(run: &Run) -> Result<Report, RunError> {
    run.create_streams(run.plan.streams)?;
    let mut engine = run.engine()?;
    add_appenders(run, &mut engine, run.shape());
    let before = run.pid.and_then(Memory::of);
    let report = measure(run, &mut engine, before, Unit::Each(Kind::Append))?;
    run.delete_streams(run.plan.streams)?;
    conclude(engine, report)
}

fn create(run: &Run) -> Result<Report, RunError> {
    let mut engine = run.engine()?;
    let streams = run.plan.streams;
    run.add_managers(&mut engine, Manage::Create, streams);
    gather(&mut engine)?;
    let before = run.pid.and_then(Memory::of);
    let window = Window::open(&mut engine, run.pid, before);
    engine.start()?;
    engine.run_until(CREATE_LIMIT, |shared| shared.completed >= streams)?;
    let mut report = window.close(&mut engine, run, Unit::Each(Kind::Create));
    note_memory_per_item(run, &mut report, before, streams);
    wind_down(&mut engine)?;
    run.delete_streams(streams)?;
    conclude(engine, report)
}

fn read(run: &Run) -> Result<Report, RunError> {
    let expected = fill_for_reading(run)?;
    let mut engine = run.engine()?;
    for _ in 0..run.plan.connections {
        engine.add(Box::new(ReadRole::new(0, expected)));
    }
    let before = run.pid.and_then(Memory::of);
    let report = measure(run, &mut engine, before, Unit::Megabyte)?;
    run.delete_streams(1)?;
    conclude(engine, report)
}

fn live(run: &Run, live: Live) -> Result<Report, RunError> {
    let shape = run.checked_shape()?;
    run.create_streams(1)?;
    let tail = fetch_tail(&run.target, 0)?;
    let before = run.pid.and_then(Memory::of);
    let mut engine = run.engine()?;
    for _ in 0..run.plan.readers {
        match live {
            Live::Sse => engine.add(Box::new(FollowRole::new(&run.target, 0, &tail))),
            Live::LongPoll => engine.add(Box::new(PollRole::new(0, &tail))),
        }
    }
    add_writers(run, &mut engine, shape);
    let report = measure(run, &mut engine, before, Unit::Each(live.unit()))?;
    expect_complete(run, &mut engine, run.plan.readers as u64)?;
    run.delete_streams(1)?;
    conclude(engine, report)
}

fn mixed(run: &Run) -> Result<Report, RunError> {
    let shape = run.checked_shape()?;
    let appended_to = run.plan.streams.max(1);
    run.create_streams(appended_to + 1)?;
    let tail = fetch_tail(&run.target, 0)?;
    let before = run.pid.and_then(Memory::of);
    let mut engine = run.engine()?;
    for _ in 0..run.plan.readers {
        engine.add(Box::new(FollowRole::new(&run.target, 0, &tail)));
    }
    for _ in 0..run.plan.poll_readers {
        engine.add(Box::new(PollRole::new(0, &tail)));
    }
    for scanner in 0..run.plan.scanners {
        // At a pace: as fast as it can, a scan of a short stream would be all that is measured.
        let pace = Pace::shared(run.plan.scans_per_second, run.plan.scanners, scanner);
        engine.add(Box::new(ReadRole::new(0, 0).with_pace(Some(pace))));
    }
    add_writers(run, &mut engine, shape.clone());
    add_appenders_to(run, &mut engine, shape, 1);
    let report = measure(run, &mut engine, before, Unit::Each(Kind::Append))?;
    let live = run.plan.readers + run.plan.poll_readers;
    expect_complete(run, &mut engine, live as u64)?;
    run.delete_streams(appended_to + 1)?;
    conclude(engine, report)
}

fn storm(run: &Run) -> Result<Report, RunError> {
    let shape = run.checked_shape()?;
    run.create_streams(1)?;
    let tail = fetch_tail(&run.target, 0)?;
    let one = Shape { batch: 1, ..shape };
    run.fill(one, run.plan.missed, true)?;
    let before = run.pid.and_then(Memory::of);
    let mut engine = run.engine()?;
    let window = Window::open(&mut engine, run.pid, before);
    let since_ns = engine.shared.now_ns();
    for _ in 0..run.plan.readers {
        let role = FollowRole::new(&run.target, 0, &tail).healing(run.plan.missed, since_ns);
        engine.add(Box::new(role));
    }
    let readers = run.plan.readers;
    let healed = engine.run_until(run.plan.catch_up_limit, |shared| shared.healed >= readers)?;
    let mut report = window.close(&mut engine, run, Unit::Each(Kind::Heal));
    note_memory_per_item(run, &mut report, before, readers as u64);
    if !healed {
        let missing = readers - engine.shared.healed;
        engine
            .shared
            .note_error(&format!("{missing} clients did not catch up"));
    }
    run.delete_streams(1)?;
    conclude(engine, report)
}

fn idle_readers(run: &Run) -> Result<Report, RunError> {
    run.create_streams(1)?;
    let tail = fetch_tail(&run.target, 0)?;
    let before = run.pid.and_then(Memory::of);
    let mut engine = run.engine()?;
    for _ in 0..run.plan.readers {
        engine.add(Box::new(FollowRole::new(&run.target, 0, &tail)));
    }
    gather(&mut engine)?;
    let readers = run.plan.readers as u64;
    let report = idle(run, &mut engine, before, readers)?;
    run.delete_streams(1)?;
    conclude(engine, report)
}

fn idle_streams(run: &Run) -> Result<Report, RunError> {
    let before = run.pid.and_then(Memory::of);
    run.create_streams(run.plan.streams)?;
    let mut engine = run.engine()?;
    let report = idle(run, &mut engine, before, run.plan.streams)?;
    run.delete_streams(run.plan.streams)?;
    conclude(engine, report)
}

pub(super) fn idle(
    run: &Run,
    engine: &mut Engine,
    before: Option<Memory>,
    items: u64,
) -> Result<Report, RunError> {
    engine.run_for(run.plan.settle)?;
    let window = Window::open(engine, run.pid, before);
    engine.run_for(run.plan.duration)?;
    let mut report = window.close(engine, run, Unit::Item(items));
    note_memory_per_item(run, &mut report, before, items);
    Ok(report)
}

/// Gathers everybody, warms up, counts for the plan's time and lets what has begun end.
pub(super) fn measure(
    run: &Run,
    engine: &mut Engine,
    before: Option<Memory>,
    unit: Unit,
) -> Result<Report, RunError> {
    gather(engine)?;
    // Long-poll readers are ready once they have asked; the server needs a moment to park them.
    engine.run_for(PARK_TIME)?;
    engine.start()?;
    engine.run_for(run.plan.warm_up)?;
    let window = Window::open(engine, run.pid, before);
    let last = run
        .plan
        .operations
        .map_or(u64::MAX, |count| engine.shared.completed + count);
    engine.run_until(run.plan.duration, |shared| shared.completed >= last)?;
    let report = window.close(engine, run, unit);
    wind_down(engine)?;
    Ok(report)
}

/// Appenders of the plan's streams, numbered from `first`.
fn add_appenders_to(run: &Run, engine: &mut Engine, shape: Shape, first: u64) {
    let appends: Rc<dyn Appends> = Rc::new(StreamAppends::new(&run.target, shape));
    let count = run.plan.streams;
    for connection in 0..run.plan.connections as u64 {
        let streams = match run.plan.random_streams {
            true => Streams::Random {
                random: fastrand::Rng::with_seed(connection),
                count,
            },
            false => Streams::Turn {
                next: connection % count,
                step: run.plan.connections as u64,
                count,
            },
        };
        let role = AppendRole::new(&appends, streams, run.plan.pipeline).with_first_stream(first);
        engine.add(Box::new(role));
    }
}

fn add_appenders(run: &Run, engine: &mut Engine, shape: Shape) {
    add_appenders_to(run, engine, shape, 0);
}

/// Writers of stream 0, whose messages are records.
fn add_writers(run: &Run, engine: &mut Engine, shape: Shape) {
    let appends: Rc<dyn Appends> = Rc::new(StreamAppends::new(&run.target, shape));
    let writers = run.plan.writers;
    engine.shared.written = vec![0; writers];
    for writer in 0..writers {
        let pace = run
            .plan
            .appends_per_second
            .map(|rate| Pace::shared(rate, writers, writer));
        let streams = Streams::Turn {
            next: 0,
            step: 1,
            count: 1,
        };
        let role = AppendRole::new(&appends, streams, run.plan.pipeline)
            .with_records(writer as u16)
            .with_pace(pace);
        engine.add(Box::new(role));
    }
}

/// Puts enough into stream 0; returns the bytes of one pass, zero if framing hides them.
fn fill_for_reading(run: &Run) -> Result<u64, RunError> {
    run.create_streams(1)?;
    let mut shape = run.shape();
    shape.batch = (FILL_BYTES / shape.message_bytes).max(1);
    let messages_each = shape.batch as u64;
    let appends = run.plan.stream_bytes.div_ceil(shape.body_bytes() as u64);
    let expected = match shape.content_type.eq_ignore_ascii_case("application/json") {
        true => 0,
        false => appends * shape.body_bytes() as u64,
    };
    run.fill(shape, appends * messages_each, false)?;
    Ok(expected)
}

/// Waits until every live reader has received every message that was acknowledged.
pub(super) fn expect_complete(
    run: &Run,
    engine: &mut Engine,
    readers: u64,
) -> Result<(), RunError> {
    let expected = engine.shared.written.iter().sum::<u64>() * readers;
    engine.run_until(run.plan.catch_up_limit, |shared| {
        shared.received >= expected
    })?;
    let received = engine.shared.received;
    if received < expected {
        let missing = expected - received;
        engine
            .shared
            .note_error(&format!("{missing} messages never delivered"));
    }
    Ok(())
}

pub(super) fn note_memory_per_item(
    run: &Run,
    report: &mut Report,
    before: Option<Memory>,
    items: u64,
) {
    let after = run.pid.and_then(Memory::of);
    if let (Some(server), Some(before), Some(after)) = (&mut report.server, before, after) {
        let gained = after.rss_bytes as f64 - before.rss_bytes as f64;
        server.memory_after = Some(after);
        server.rss_bytes_per_item = Some(gained / items as f64);
    }
}

pub(super) fn conclude(engine: Engine, report: Report) -> Result<Report, RunError> {
    Ok(Report {
        errors: engine.shared.errors,
        reconnects: engine.shared.reconnects,
        ..report
    })
}

const PARK_TIME: Duration = Duration::from_millis(300);
const CREATE_LIMIT: Duration = Duration::from_secs(3600);
/// Bytes of one append that fills a stream for reading.
const FILL_BYTES: usize = 1 << 20;
