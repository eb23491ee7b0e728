//! How fast the tables of a room are written and made again, and what an open file costs.
//!
//! `cargo run --release -p floe-views --example tables -- [ROWS [FILES]]`

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use floe_proto::table::{Call, Mutation, OnConflict, Row, Value};
use floe_proto::{Millis, RoomId};
use floe_views::tables::{Messages, Resting, RoomFile, TableFolder, TableOptions};

/// Bytes that are applied at a time when a file is made again.
const PIECE_BYTES: usize = 1 << 20;
/// Batches written to each of the files that are written in turn.
const TURNS: u64 = 10;

fn main() {
    let mut args = std::env::args().skip(1);
    let mut number = |default: u64| {
        args.next()
            .map_or(default, |n| n.parse().expect("a number"))
    };
    let (rows, files) = (number(100_000), number(200));
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let folder = TableFolder::new(temporary.path());
    let mut log = Messages::default();
    for (room, calls) in [(RoomId(1), 1), (RoomId(2), 100)] {
        let mut file = open(&folder, room, 0);
        log.clear();
        create(&mut file, &mut log);
        let started = Instant::now();
        for first in (0..rows).step_by(calls) {
            file.begin().expect("a batch");
            for row in first..(first + calls as u64).min(rows) {
                let done = file.run(&insert(row), Millis(row), &mut log);
                done.expect("a row");
            }
            file.commit().expect("a batch");
        }
        let per_second = rows as f64 / started.elapsed().as_secs_f64();
        println!("inserts in batches of {calls}: {per_second:.0}/s");
    }
    let mut file = open(&folder, RoomId(3), u64::MAX);
    let started = Instant::now();
    let (mut seq, mut from, mut to) = (1, 0, 0);
    for (at, len) in log.lens.iter().enumerate() {
        to += *len as usize;
        if to - from >= PIECE_BYTES || at + 1 == log.len() {
            file.apply(seq, &log.bytes[from..to]).expect("messages");
            (seq, from) = (at as u64 + 2, to);
        }
    }
    let per_second = rows as f64 / started.elapsed().as_secs_f64();
    println!("rows made again from the log: {per_second:.0}/s");

    let before = resident_kib();
    let opened: Vec<RoomFile> = (0..files)
        .map(|number| {
            let mut file = open(&folder, RoomId(100 + number), 0);
            log.clear();
            create(&mut file, &mut log);
            file.begin().expect("a batch");
            file.run(&insert(0), Millis(0), &mut log).expect("a row");
            file.commit().expect("a batch");
            file
        })
        .collect();
    let each = resident_kib().saturating_sub(before) / files.max(1);
    println!("memory of each of {} open files: {each} KiB", opened.len());
    turns(&folder, opened);
}

/// Writes to each of some files in turn: as they are, and with each opened for it and closed again.
/// What it takes is CPU time.
fn turns(folder: &TableFolder, mut opened: Vec<RoomFile>) {
    let mut log = Messages::default();
    let options = TableOptions::default();
    let started = cpu_time();
    for number in 1..=TURNS {
        for file in &mut opened {
            log.clear();
            write(file, number, &mut log);
        }
    }
    let count = TURNS as u32 * opened.len() as u32;
    let each = (cpu_time() - started) / count;
    println!("a batch of one row, in each of the open files in turn: {each:.1?}");
    let mut resting: VecDeque<Resting> = (opened
        .into_iter()
        .map(|file| file.rest().expect("a file at rest")))
    .collect();
    for (how, is_known) in [("of which nothing is known", false), ("that rests", true)] {
        let [mut opening, mut writing, mut closing] = [Duration::ZERO; 3];
        for number in 1..=TURNS {
            for room in (100..).map(RoomId).take(resting.len()) {
                log.clear();
                let known = resting.pop_front().expect("a file at rest");
                let started = cpu_time();
                let mut file = if is_known {
                    RoomFile::reopen(folder, room, u64::MAX, known, &options).expect("a file")
                } else {
                    open(folder, room, u64::MAX)
                };
                let opened = cpu_time();
                write(&mut file, number, &mut log);
                let written = cpu_time();
                resting.push_back(file.rest().expect("a file at rest"));
                closing += cpu_time() - written;
                opening += opened - started;
                writing += written - opened;
            }
        }
        let [opening, writing, closing] = [opening, writing, closing].map(|all| all / count);
        println!(
            "a batch of one row in a file {how}: opened {opening:.1?}, written {writing:.1?}, closed {closing:.1?}"
        );
    }
}

/// CPU time of this thread so far.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn write(file: &mut RoomFile, number: u64, log: &mut Messages) {
    file.begin().expect("a batch");
    file.run(&insert(number), Millis(number), log)
        .expect("a row");
    file.commit().expect("a batch");
}

fn open(folder: &TableFolder, room: RoomId, tail: u64) -> RoomFile {
    RoomFile::open(folder, room, tail, &TableOptions::default()).expect("a file")
}

fn create(file: &mut RoomFile, log: &mut Messages) {
    let table = r#"{"name":"notes","columns":[{"name":"id","type":"INTEGER","primaryKey":true},
        {"name":"title","type":"TEXT"},{"name":"done","type":"BOOLEAN","default":0}]}"#;
    let table = serde_json::from_str(table).expect("a table");
    let call = Call {
        mutations: vec![Mutation::CreateTable(table)],
        ..Call::default()
    };
    file.begin().expect("a batch");
    file.run(&call, Millis(0), log).expect("a table");
    file.commit().expect("a batch");
}

fn insert(number: u64) -> Call {
    let title = Value::Text(format!("note {number} of a room, about as long as one is").into());
    Call {
        mutations: vec![Mutation::Insert {
            table: "notes".into(),
            rows: vec![Row(vec![("title".into(), title)])],
            on_conflict: OnConflict::Fail,
            each: false,
        }],
        user: Some("ann".into()),
        ..Call::default()
    }
}

/// Memory of this process; 0 where the system does not tell.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix("VmRSS:"));
    let digits = line.and_then(|line| line.trim().strip_suffix(" kB"));
    digits.and_then(|kib| kib.parse().ok()).unwrap_or(0)
}
