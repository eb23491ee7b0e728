//! The workloads over channels: fan-out, many rooms, idle sockets, storms, appends by HTTP.

use std::rc::Rc;

use super::channels::{ChannelAppends, ChannelWork};
use super::engine::Engine;
use super::meter::Kind;
use super::plan::Transport;
use super::process::Memory;
use super::record::Record;
use super::report::{Report, Unit};
use super::request::Appends;
use super::role::Role;
use super::roles::{
    AppendRole, ChannelRole, FollowRole, ListenRole, Pace, SpeakRole, Spoken, Streams,
    SubscribeRole,
};
use super::run::{PREPARE_LIMIT, Run, RunError, Window, gather, prepared, wind_down};
use super::workloads::{conclude, expect_complete, idle, measure, note_memory_per_item};

/// One channel, many readers.
pub(super) fn fan_out(run: &Run) -> Result<Report, RunError> {
    let spoken = spoken(run)?;
    let names = create(run, 1)?;
    let before = run.pid.and_then(Memory::of);
    let mut engine = run.engine()?;
    for _ in 0..run.plan.readers {
        let role: Box<dyn Role> = match run.plan.transport {
            Transport::WebSocket => Box::new(ListenRole::new(&names[0], 0)),
            Transport::Channel => Box::new(ListenRole::new(&names[0], 0).in_channel()),
            Transport::Sse => Box::new(SubscribeRole::new(&names[0], 0)),
            Transport::Stream => Box::new(FollowRole::channel(&names[0])),
        };
        engine.add(role);
    }
    let writers = run.plan.writers;
    engine.shared.written = vec![0; writers];
    for writer in 0..writers {
        let role = SpeakRole::new(spoken, writer as u16, &names);
        engine.add(Box::new(role.with_pace(pace(run, writer))));
    }
    let report = measure(run, &mut engine, before, Unit::Each(Kind::Delivery))?;
    expect_complete(run, &mut engine, run.plan.readers as u64)?;
    delete(run, names)?;
    conclude(engine, report)
}

/// Many channels, each with one reader; each writer has its share of them.
pub(super) fn many_rooms(run: &Run) -> Result<Report, RunError> {
    let spoken = spoken(run)?;
    let names = create(run, run.plan.rooms)?;
    let before = run.pid.and_then(Memory::of);
    let mut engine = run.engine()?;
    for name in &names {
        engine.add(Box::new(ListenRole::new(name, 0)));
    }
    engine.shared.written = vec![0];
    let share = names.len().div_ceil(run.plan.writers.max(1)).max(1);
    for (writer, names) in names.chunks(share).enumerate() {
        // Each channel has one writer, which is number 0 to its reader.
        let role = SpeakRole::new(spoken, 0, names);
        engine.add(Box::new(role.with_pace(pace(run, writer))));
    }
    let report = measure(run, &mut engine, before, Unit::Each(Kind::Delivery))?;
    expect_complete(run, &mut engine, 1)?;
    delete(run, names)?;
    conclude(engine, report)
}

/// WebSockets that have joined channels in which nothing happens.
pub(super) fn idle_sockets(run: &Run) -> Result<Report, RunError> {
    let names = create(run, run.plan.rooms)?;
    let before = run.pid.and_then(Memory::of);
    let mut engine = run.engine()?;
    for reader in 0..run.plan.readers {
        engine.add(Box::new(ListenRole::new(&names[reader % names.len()], 0)));
    }
    gather(&mut engine)?;
    let report = idle(run, &mut engine, before, run.plan.readers as u64)?;
    delete(run, names)?;
    conclude(engine, report)
}

/// WebSockets that come back all at once, each with the cursor from before it missed something.
pub(super) fn storm(run: &Run) -> Result<Report, RunError> {
    let spoken = spoken(run)?;
    let names = create(run, 1)?;
    let mut filling = run.engine()?;
    filling.shared.written = vec![0];
    filling.shared.operations_left = run.plan.missed.div_ceil(spoken.batch as u64);
    run.finish(filling, Box::new(SpeakRole::new(spoken, 0, &names)))?;
    let before = run.pid.and_then(Memory::of);
    let mut engine = run.engine()?;
    let window = Window::open(&mut engine, run.pid, before);
    let since_ns = engine.shared.now_ns();
    let readers = run.plan.readers;
    for _ in 0..readers {
        let role = ListenRole::new(&names[0], 0).healing(run.plan.missed, since_ns);
        engine.add(Box::new(role));
    }
    let healed = engine.run_until(run.plan.catch_up_limit, |shared| shared.healed >= readers)?;
    let mut report = window.close(&mut engine, run, Unit::Each(Kind::Heal));
    note_memory_per_item(run, &mut report, before, readers as u64);
    if !healed {
        let missing = readers - engine.shared.healed;
        let what = format!("{missing} clients did not catch up");
        engine.shared.note_error(&what);
    }
    delete(run, names)?;
    conclude(engine, report)
}

/// WebSockets of one channel that come, go and come back, while it is written to; the server's memory
/// must not grow with the clients that were there.
pub(super) fn churn(run: &Run) -> Result<Report, RunError> {
    let spoken = spoken(run)?;
    let names = create(run, 1)?;
    let mut engine = run.engine()?;
    let stay_ns = run.plan.stay.as_nanos() as u64;
    for number in 0..run.plan.readers {
        let role = ListenRole::new(&names[0], 0).churning(number, stay_ns);
        engine.add(Box::new(match run.plan.transport {
            Transport::Channel => role.in_channel(),
            Transport::WebSocket | Transport::Sse | Transport::Stream => role,
        }));
    }
    engine.shared.written = vec![0];
    let role = SpeakRole::new(spoken, 0, &names);
    engine.add(Box::new(role.with_pace(pace(run, 0))));
    gather(&mut engine)?;
    engine.start()?;
    // By then everybody has been there and gone a few times.
    engine.run_for(run.plan.warm_up.max(run.plan.stay * 4))?;
    let before = run.pid.and_then(Memory::of);
    let window = Window::open(&mut engine, run.pid, before);
    engine.run_for(run.plan.duration)?;
    let mut report = window.close(&mut engine, run, Unit::Each(Kind::Heal));
    if let (Some(before), Some(after)) = (before, run.pid.and_then(Memory::of)) {
        let gained = after.rss_bytes.saturating_sub(before.rss_bytes);
        report.extra.insert("gained_bytes", gained as f64);
        if gained > run.plan.growth_bytes_max {
            engine
                .shared
                .note_error("the server's memory grew more than it may");
        }
    }
    wind_down(&mut engine)?;
    expect_complete(run, &mut engine, run.plan.readers as u64)?;
    delete(run, names)?;
    conclude(engine, report)
}

/// Appends to channels by HTTP.
pub(super) fn append(run: &Run) -> Result<Report, RunError> {
    let names = create(run, run.plan.rooms)?;
    let plan = &run.plan;
    let appends: Rc<dyn Appends> = Rc::new(ChannelAppends::new(
        &run.target,
        &names,
        plan.form,
        plan.message_bytes,
        plan.batch,
    ));
    let before = run.pid.and_then(Memory::of);
    let mut engine = run.engine()?;
    for connection in 0..plan.connections as u64 {
        let streams = Streams::Turn {
            next: connection % plan.rooms,
            step: plan.connections as u64,
            count: plan.rooms,
        };
        engine.add(Box::new(AppendRole::new(&appends, streams, plan.pipeline)));
    }
    let report = measure(run, &mut engine, before, Unit::Each(Kind::Append))?;
    delete(run, names)?;
    conclude(engine, report)
}

/// Makes channels and returns their identities.
pub(super) fn create(run: &Run, count: u64) -> Result<Vec<String>, RunError> {
    work(run, ChannelWork::Create(count))
}

/// Deletes channels, unless they are to stay.
pub(super) fn delete(run: &Run, names: Vec<String>) -> Result<(), RunError> {
    match run.plan.keep_streams {
        true => Ok(()),
        false => work(run, ChannelWork::Delete(names)).map(drop),
    }
}

pub(super) fn work(run: &Run, work: ChannelWork) -> Result<Vec<String>, RunError> {
    let mut engine: Engine = run.engine()?;
    let (count, work) = (work.len(), Rc::new(work));
    let connections = count.clamp(1, CONNECTIONS_MAX);
    for connection in 0..connections {
        engine.add(Box::new(ChannelRole::new(&work, connection, connections)));
    }
    gather(&mut engine)?;
    engine.start()?;
    engine.run_until(PREPARE_LIMIT, |shared| shared.completed >= count)?;
    let names = std::mem::take(&mut engine.shared.names);
    prepared(engine)?;
    Ok(names)
}

fn spoken(run: &Run) -> Result<Spoken, RunError> {
    if run.plan.message_bytes < Record::LEN {
        return Err(RunError::MessageTooSmall {
            message_bytes_min: Record::LEN,
        });
    }
    Ok(Spoken {
        content_bytes: run.plan.message_bytes,
        batch: run.plan.batch,
        pipeline: run.plan.pipeline,
    })
}

pub(super) fn pace(run: &Run, writer: usize) -> Option<Pace> {
    run.plan
        .appends_per_second
        .map(|rate| Pace::shared(rate, run.plan.writers, writer))
}

/// Connections that make and delete channels.
const CONNECTIONS_MAX: u64 = 16;
