//! The workloads over the SQL view: a fill of channels, then questions.

use std::io::{Read as _, Write as _};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::channels::{ChannelAppends, namespace};
use super::meter::Kind;
use super::plan::{Form, Workload};
use super::process::Memory;
use super::report::{Report, Unit};
use super::request::Appends;
use super::response::{Piece, ResponseParser};
use super::roles::{AppendRole, AskRole, Streams};
use super::rooms::{create, delete};
use super::run::{PREPARE_LIMIT, Run, RunError, gather, prepared};
use super::wire::Wire;
use super::workloads::{conclude, measure};

/// Fills the view and asks it.
pub(super) fn ask(run: &Run) -> Result<Report, RunError> {
    let names = create(run, run.plan.rooms)?;
    let each = run
        .plan
        .events
        .div_ceil(run.plan.rooms)
        .div_ceil(BATCH as u64);
    fill(run, &names, each)?;
    for name in &names {
        wait_for(run, name, each * BATCH as u64)?;
    }
    let questions: Rc<[Vec<u8>]> = questions(run, &names).into();
    let before = run.pid.and_then(Memory::of);
    let mut engine = run.engine()?;
    for connection in 0..run.plan.connections as u64 {
        engine.add(Box::new(AskRole::new(&questions, connection)));
    }
    let report = measure(run, &mut engine, before, Unit::Each(Kind::Query))?;
    delete(run, names)?;
    conclude(engine, report)
}

/// Appends `each` batches of events made of words to every channel.
fn fill(run: &Run, names: &[String], each: u64) -> Result<(), RunError> {
    let mut engine = run.engine()?;
    let appends: Rc<dyn Appends> = Rc::new(Prose {
        appends: ChannelAppends::new(
            &run.target,
            names,
            Form::V1,
            run.plan.message_bytes.max(WORD_BYTES),
            BATCH,
        ),
    });
    let count = names.len() as u64;
    let operations = each * count;
    engine.shared.operations_left = operations;
    let streams = Streams::Turn {
        next: 0,
        step: 1,
        count,
    };
    engine.add(Box::new(AppendRole::new(&appends, streams, 1)));
    gather(&mut engine)?;
    engine.start()?;
    engine.run_until(PREPARE_LIMIT, |shared| shared.completed >= operations)?;
    prepared(engine)
}

/// Appends to channels whose events are words, so that there is something to search for.
struct Prose {
    appends: ChannelAppends,
}

impl Appends for Prose {
    fn put(&self, out: &mut Vec<u8>, number: u64, _: &mut dyn FnMut(&mut Vec<u8>, usize)) {
        self.appends.put(out, number, &mut put_words);
    }

    fn messages(&self) -> u64 {
        self.appends.messages()
    }

    fn body_bytes(&self) -> u64 {
        self.appends.body_bytes()
    }
}

/// Appends words of [`WORD_BYTES`] with their space, `word0000` being the most frequent.
fn put_words(out: &mut Vec<u8>, bytes: usize) {
    let end = out.len() + bytes;
    while out.len() + WORD_BYTES <= end {
        // Some words are frequent and most are rare, as in all languages.
        let rank = (WORDS as f64).powf(fastrand::f64()) as u64 - 1;
        out.extend_from_slice(format!("word{rank:04} ").as_bytes());
    }
    out.resize(end, b'.');
}

/// Waits until the view has event `seq` of a channel.
fn wait_for(run: &Run, name: &str, seq: u64) -> Result<(), RunError> {
    let path = format!("/v1/channels/{name}/query?limit=1&waitFor={seq}");
    let deadline = Instant::now() + PREPARE_LIMIT;
    loop {
        match get(run, &path)? {
            200 => return Ok(()),
            // It is behind.
            503 if Instant::now() < deadline => std::thread::sleep(RETRY_DELAY),
            status => {
                let errors = [(format!("view answered {status}"), 1)].into();
                return Err(RunError::Prepare { errors });
            }
        }
    }
}

fn get(run: &Run, path: &str) -> std::io::Result<u16> {
    let mut connection = Wire::connect(&run.target, ANSWER_LIMIT)?;
    let fields = &run.target.fields;
    let request = format!("GET {path} HTTP/1.1\r\n{fields}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer)?;
    let piece = ResponseParser::default().poll_piece(&mut &answer[..]);
    match piece.map_err(std::io::Error::other)? {
        Some(Piece::Head(head)) => Ok(head.status),
        Some(Piece::Body(_) | Piece::End) | None => Err(std::io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Returns the requests that are asked: each query string, in a channel or across all of them.
fn questions(run: &Run, names: &[String]) -> Vec<Vec<u8>> {
    let (what, defaults) = if run.plan.workload == Workload::Search {
        ("search", SEARCHES)
    } else {
        ("query", QUERIES)
    };
    let given: Vec<&str> = match run.plan.questions.is_empty() {
        true => defaults.to_vec(),
        false => run.plan.questions.iter().map(String::as_str).collect(),
    };
    let mut requests = Vec::new();
    for (at, question) in given.iter().cycle().take(given.len() * SPREAD).enumerate() {
        let middle = fastrand::u64(..=run.plan.events / run.plan.rooms);
        let question = question
            .replace("NAMESPACE", namespace(&run.target))
            .replace("SEQ", &middle.to_string())
            .replace("WORD", &format!("word{:04}", fastrand::usize(..WORDS)));
        let path = match question.contains("namespace=") {
            true => format!("/v1/{what}?{question}"),
            false => format!("/v1/channels/{}/{what}?{question}", names[at % names.len()]),
        };
        let fields = &run.target.fields;
        requests.push(format!("GET {path} HTTP/1.1\r\n{fields}\r\n\r\n").into());
    }
    requests
}

/// Every filter by itself, combined, and across channels.
const QUERIES: &[&str] = &[
    "limit=50",
    "limit=50&order=desc",
    "limit=50&afterSeq=SEQ",
    "limit=50&beforeSeq=SEQ&order=desc",
    "limit=50&authorId=bench&afterSeq=SEQ",
    "limit=50&contentContains=WORD",
    "limit=50&afterDate=2020-01-01T00:00:00Z",
    "limit=50&beforeDate=2020-01-01T00:00:00Z",
    "limit=50&authorId=bench&contentContains=WORD&order=desc",
    "namespace=NAMESPACE&limit=50",
    "namespace=NAMESPACE&limit=50&order=desc",
    "namespace=NAMESPACE&limit=50&authorId=bench&order=desc",
];

/// One word, two, and across channels.
const SEARCHES: &[&str] = &[
    "q=WORD&limit=50",
    "q=WORD+WORD&limit=50",
    "namespace=NAMESPACE&q=WORD&limit=50",
    "namespace=NAMESPACE&q=WORD+WORD&limit=50",
];

/// Events of one append.
const BATCH: usize = 500;
/// Bytes of a word and its space.
const WORD_BYTES: usize = 9;
/// Words that there are.
const WORDS: usize = 10_000;
/// Requests made of each question, each with numbers and words of its own.
const SPREAD: usize = 50;
const RETRY_DELAY: Duration = Duration::from_millis(200);
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_has_the_length_that_was_asked_for() {
        for bytes in [9, 10, 100] {
            let mut out = Vec::new();
            put_words(&mut out, bytes);
            assert_eq!(out.len(), bytes);
            assert!(out.starts_with(b"word"));
        }
    }
}
