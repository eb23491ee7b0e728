//! Channels over HTTP: every operation in every form, what is refused, and what outlives a crash.

mod access;
mod append;
mod cold;
mod create;
mod delete;
mod edit;
mod hidden;
mod kept;
mod live;
mod messages;
mod model;
mod query;
mod read;
mod refused;
mod remove;
mod replies;
mod retention;
mod rooms;
mod search;
mod stream;
mod tokens;
mod traps;
pub mod views;

use serde_json::Value;

use crate::harness::Events;

/// Returns the `events` of an answer.
#[track_caller]
fn events(body: &Value) -> &[Value] {
    body["events"]
        .as_array()
        .unwrap_or_else(|| panic!("{body}"))
}

/// Returns the sequence numbers of the `events` of an answer.
#[track_caller]
fn seqs(body: &Value) -> Vec<u64> {
    let seqs = events(body).iter().map(|event| event["seq"].as_u64());
    seqs.map(Option::unwrap).collect()
}

/// Returns the contents of the `events` of an answer; those without are empty.
#[track_caller]
fn contents(body: &Value) -> Vec<&str> {
    let contents = events(body).iter().map(|event| event["content"].as_str());
    contents.map(Option::unwrap_or_default).collect()
}

/// Returns the names of an object's fields.
#[track_caller]
fn fields(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names
}

/// Reads the events of a channel that is followed as a stream, up to its tail.
#[track_caller]
fn until_tail(stream: &mut Events) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        let step = stream.step().expect("the answer ended");
        let data = step.data.as_deref().unwrap_or("[]");
        all.extend(serde_json::from_str::<Vec<Value>>(data).unwrap());
        if step.is_up_to_date() {
            return all;
        }
    }
}
