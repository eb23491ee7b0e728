//! The workloads over rooms with tables: mutations, SQL, live queries, buffered writes, readers of the
//! replica, and how far it is behind.

mod requests;

use std::io;
use std::rc::Rc;

use super::channels::ChannelWork;
use super::engine::Engine;
use super::exchange::{exchange, fetch_tail_at};
use super::meter::Kind;
use super::plan::TableWork;
use super::process::Memory;
use super::record::Record;
use super::report::{Report, Unit};
use super::request::Appends;
use super::roles::{AppendRole, AskRole, BufferRole, LagRole, Streams, WatchRole};
use super::rooms::{pace, work};
use super::run::{PREPARE_LIMIT, Run, RunError, Window, gather, prepared, wind_down};
use super::workloads::{conclude, measure};

pub(super) use requests::{CREATE_TABLE, Change, TableAppends, Updates, connect_path, post};

/// Runs what the plan says.
pub(super) fn run(run: &Run) -> Result<Report, RunError> {
    let has_records = matches!(run.plan.tables, TableWork::Live | TableWork::Buffer);
    if has_records && run.plan.message_bytes < Record::LEN {
        return Err(RunError::MessageTooSmall {
            message_bytes_min: Record::LEN,
        });
    }
    let rooms = match run.plan.tables {
        TableWork::Mutate | TableWork::ReplicaLag => run.plan.rooms,
        TableWork::Sql | TableWork::Live | TableWork::Buffer | TableWork::Replica => 1,
    };
    let names: Vec<_> = (0..rooms).map(|number| name(run, number)).collect();
    work(run, ChannelWork::CreateTables(names.clone()))?;
    let report = match run.plan.tables {
        TableWork::Mutate => mutate(run, &names),
        TableWork::Sql => sql(run, &names),
        TableWork::Live => live(run, &names),
        TableWork::Buffer => buffer(run, &names),
        TableWork::Replica => replica(run, &names),
        TableWork::ReplicaLag => replica_lag(run, &names),
    }?;
    if !run.plan.keep_streams {
        work(run, ChannelWork::RemoveRooms(names))?;
    }
    Ok(report)
}

/// Returns the name of a room of this run.
fn name(run: &Run, number: u64) -> String {
    let prefix = run.target.path_prefix.rsplit('/').next();
    format!("{}{number}", prefix.unwrap_or_default())
}

/// Inserts rows.
fn mutate(run: &Run, names: &[String]) -> Result<Report, RunError> {
    let mut engine = run.engine()?;
    add_inserters(run, &mut engine, names);
    let before = run.pid.and_then(Memory::of);
    let report = measure(run, &mut engine, before, Unit::Each(Kind::Mutation))?;
    conclude(engine, report)
}

fn add_inserters(run: &Run, engine: &mut Engine, names: &[String]) {
    let change = Change::Insert {
        batch: run.plan.batch,
    };
    let appends = TableAppends::new(&run.target, names, &change, run.plan.message_bytes);
    let appends: Rc<dyn Appends> = Rc::new(appends);
    let count = names.len() as u64;
    for connection in 0..run.plan.connections as u64 {
        let streams = Streams::Turn {
            next: connection % count,
            step: run.plan.connections as u64,
            count,
        };
        let role = AppendRole::new(&appends, streams, run.plan.pipeline);
        engine.add(Box::new(role));
    }
}

/// Fills a table and asks it.
fn sql(run: &Run, names: &[String]) -> Result<Report, RunError> {
    fill(run, names, run.plan.events)?;
    let rows = run.plan.events;
    let questions = (0..QUESTIONS).map(|_| {
        let row = fastrand::u64(1..=rows);
        let sql = fastrand::choice(SELECTS).copied().unwrap_or("SELECT 1");
        let sql = sql.replace("ROW", &row.to_string());
        let body = format!(r#"{{"method":"executeSQL","payload":{{"sql":"{sql}"}}}}"#);
        let path = format!("/v1/rooms/{}/rpc", names[0]);
        post(&path, &run.target.fields, &body).into_bytes()
    });
    let questions: Rc<[Vec<u8>]> = questions.collect();
    let mut engine = run.engine()?;
    for connection in 0..run.plan.connections as u64 {
        engine.add(Box::new(AskRole::new(&questions, connection)));
    }
    let before = run.pid.and_then(Memory::of);
    let report = measure(run, &mut engine, before, Unit::Each(Kind::Query))?;
    conclude(engine, report)
}

/// Inserts rows, [`FILL_ROWS`] at a time.
fn fill(run: &Run, names: &[String], rows: u64) -> Result<(), RunError> {
    let mut engine = run.engine()?;
    let change = Change::Insert { batch: FILL_ROWS };
    let appends = TableAppends::new(&run.target, names, &change, run.plan.message_bytes);
    let appends: Rc<dyn Appends> = Rc::new(appends);
    let operations = rows.div_ceil(FILL_ROWS as u64);
    engine.shared.operations_left = operations;
    let streams = Streams::Turn {
        next: 0,
        step: 1,
        count: 1,
    };
    engine.add(Box::new(AppendRole::new(&appends, streams, 1)));
    gather(&mut engine)?;
    engine.start()?;
    engine.run_until(PREPARE_LIMIT, |shared| shared.completed >= operations)?;
    prepared(engine)
}

/// Many followers of a query, one writer of its row.
fn live(run: &Run, names: &[String]) -> Result<Report, RunError> {
    fill(run, names, 1)?;
    let change = TableAppends::new(&run.target, names, &Change::Update, run.plan.message_bytes);
    let before = run.pid.and_then(Memory::of);
    let mut engine = run.engine()?;
    for _ in 0..run.plan.readers {
        engine.add(Box::new(WatchRole::new(&names[0], LIVE_QUERY)));
    }
    let appends: Rc<dyn Appends> = Rc::new(change.clone());
    let streams = Streams::Turn {
        next: 0,
        step: 1,
        count: 1,
    };
    engine.shared.written = vec![0];
    let pace = pace(run, 0);
    let writer = AppendRole::new(&appends, streams, 1)
        .with_records(0)
        .with_pace(pace);
    engine.add(Box::new(writer));
    let report = measure(run, &mut engine, before, Unit::Each(Kind::Delivery))?;
    // All must come to what was written last, however many results were passed over.
    let mut last = Vec::new();
    change.put(&mut last, 0, &mut |out, bytes| {
        let record = Record {
            writer: LAST_WRITER,
            sequence: 0,
            sent_ns: 0,
        };
        record.put(out, bytes);
    });
    let last = String::from_utf8(last).map_err(io::Error::other)?;
    let status = exchange(&run.target, &last)?;
    if status != 200 {
        engine.shared.note_status("mutation", status);
    }
    let readers = run.plan.readers;
    engine.run_until(run.plan.catch_up_limit, |shared| shared.healed >= readers)?;
    let missing = readers.saturating_sub(engine.shared.healed);
    if missing > 0 {
        let what = format!("{missing} subscribers without the last result");
        engine.shared.note_error(&what);
    }
    conclude(engine, report)
}

/// Updates one value of the write buffer, and counts what is written of it.
fn buffer(run: &Run, names: &[String]) -> Result<Report, RunError> {
    let updates = Updates::new(run.plan.message_bytes, run.plan.interval);
    let mut engine = run.engine()?;
    let connections = run.plan.connections;
    let appends: Rc<dyn Appends> = Rc::new(updates.over_http(&run.target, names));
    engine.shared.written = vec![0; connections];
    for connection in 0..connections {
        let rate = run.plan.appends_per_second;
        let pace = rate.map(|rate| super::roles::Pace::shared(rate, connections, connection));
        if run.plan.over_http {
            let streams = Streams::Turn {
                next: 0,
                step: 1,
                count: 1,
            };
            // No two values are alike: one that is what it was need not be written.
            let role = AppendRole::new(&appends, streams, run.plan.pipeline)
                .with_records(connection as u16)
                .with_pace(pace);
            engine.add(Box::new(role));
        } else {
            let writer = connection as u16;
            let pipeline = run.plan.pipeline;
            let role = BufferRole::new(&names[0], updates.clone(), writer, pipeline, pace);
            engine.add(Box::new(role));
        }
    }
    let before = run.pid.and_then(Memory::of);
    gather(&mut engine)?;
    engine.start()?;
    engine.run_for(run.plan.warm_up)?;
    let written = messages(run, &names[0])?;
    let window = Window::open(&mut engine, run.pid, before);
    engine.run_for(run.plan.duration)?;
    let mut report = window.close(&mut engine, run, Unit::Each(Kind::Update));
    let written = messages(run, &names[0])?.saturating_sub(written);
    wind_down(&mut engine)?;
    report.extra.insert("writes", written as f64);
    let intervals = report.seconds / run.plan.interval.as_secs_f64();
    report.extra.insert("intervals", intervals);
    if written > 0 {
        let each = report.units / written as f64;
        report.extra.insert("updates/write", each);
    }
    // One that was due before the window may be written in it, and one at its end.
    if written as f64 > intervals.ceil() + 2.0 {
        engine.shared.note_error("more writes than intervals");
    }
    if written == 0 && intervals >= 2.0 {
        engine.shared.note_error("nothing was written");
    }
    conclude(engine, report)
}

/// Returns how many messages a room's log has: offsets of JSON count them.
fn messages(run: &Run, name: &str) -> Result<u64, RunError> {
    let root = run.target.path_prefix.rsplit_once('/');
    let root = root.map_or("", |(root, _)| root);
    let path = format!("{root}/__room__/{name}");
    let tail = fetch_tail_at(&run.target, path.as_bytes())?;
    let tail = std::str::from_utf8(&tail).map_err(io::Error::other)?;
    Ok(tail.parse().map_err(io::Error::other)?)
}

/// Inserts rows without and with readers of the replica, in turn.
fn replica(run: &Run, names: &[String]) -> Result<Report, RunError> {
    let mut engine = run.engine()?;
    add_inserters(run, &mut engine, names);
    let questions = REPLICA_SELECTS.iter().map(|sql| {
        let body = format!(r#"{{"sql":"{sql}","rooms":["{}"]}}"#, names[0]);
        post("/v1/sql", &run.target.fields, &body).into_bytes()
    });
    let questions: Rc<[Vec<u8>]> = questions.collect();
    for reader in 0..run.plan.readers as u64 {
        engine.add(Box::new(AskRole::new(&questions, reader)));
    }
    let before = run.pid.and_then(Memory::of);
    engine.shared.asking = false;
    gather(&mut engine)?;
    engine.start()?;
    engine.run_for(run.plan.warm_up)?;
    let window = Window::open(&mut engine, run.pid, before);
    let phase = run.plan.duration / (2 * PAIRS);
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..PAIRS {
        for (asking, rates) in [false, true].into_iter().zip(&mut rates) {
            engine.shared.asking = asking;
            if asking {
                engine.start()?;
            }
            // What was asked before is answered meanwhile.
            engine.run_for(phase / 5)?;
            let (count, since_ns) = (mutations(&engine), engine.shared.now_ns());
            engine.run_for(phase * 4 / 5)?;
            let seconds = (engine.shared.now_ns() - since_ns) as f64 / 1e9;
            rates.push((mutations(&engine) - count) as f64 / seconds);
        }
    }
    let mut report = window.close(&mut engine, run, Unit::Each(Kind::Mutation));
    wind_down(&mut engine)?;
    let [alone, together] = rates.map(median);
    report.extra.insert("mutation/s, nobody asks", alone);
    report.extra.insert("mutation/s, readers ask", together);
    if alone > 0.0 {
        report.extra.insert("ratio", together / alone);
    }
    conclude(engine, report)
}

/// Inserts rows, and looks how long some of them take to the replica.
fn replica_lag(run: &Run, names: &[String]) -> Result<Report, RunError> {
    let mut engine = run.engine()?;
    add_inserters(run, &mut engine, names);
    let insert = Change::Insert { batch: 1 };
    let insert = TableAppends::new(&run.target, names, &insert, run.plan.message_bytes);
    let insert: Rc<dyn Appends> = Rc::new(insert);
    let path = format!("/v1/rooms/{}/rpc", names[0]);
    let question = post(&path, &run.target.fields, REPLICA_QUESTION);
    let question: Rc<[u8]> = question.into_bytes().into();
    for _ in 0..run.plan.readers {
        engine.add(Box::new(LagRole::new(&insert, &question)));
    }
    let before = run.pid.and_then(Memory::of);
    let report = measure(run, &mut engine, before, Unit::Each(Kind::Mutation))?;
    if engine.shared.meters.of(Kind::ReplicaLag).count == 0 {
        engine.shared.note_error("no row came to the replica");
    }
    conclude(engine, report)
}

fn mutations(engine: &Engine) -> u64 {
    engine.shared.meters.of(Kind::Mutation).count
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The writer of the record that a live run ends with.
pub(super) const LAST_WRITER: u16 = u16::MAX;
const LIVE_QUERY: &str = "SELECT note FROM bench WHERE id = 1";
/// By key, a page from some row on, the newest rows, and a count over all.
const SELECTS: &[&str] = &[
    "SELECT id, note FROM bench WHERE id = ROW",
    "SELECT id, note FROM bench WHERE id >= ROW ORDER BY id LIMIT 20",
    "SELECT id, note FROM bench ORDER BY id DESC LIMIT 20",
    "SELECT count(*) AS n, max(id) AS newest FROM bench",
];
const REPLICA_SELECTS: &[&str] = &[
    "SELECT id, note FROM bench ORDER BY id DESC LIMIT 20",
    "SELECT count(*) AS n, max(id) AS newest FROM bench",
];
/// Asks the replica how far it is, and nothing else.
const REPLICA_QUESTION: &str =
    r#"{"method":"executeSQL","payload":{"sql":"SELECT 1","source":"replica"}}"#;
/// Questions that are made before a run, each with a row of its own.
const QUESTIONS: usize = 200;
/// Rows of one insert that fills a table.
const FILL_ROWS: usize = 500;
/// Times that a rate is taken without readers and with them.
const PAIRS: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_one_of_the_values() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(Vec::new()), 0.0);
    }
}
