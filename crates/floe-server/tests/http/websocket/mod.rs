//! The live protocol: many rooms over one WebSocket.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test fails on whatever it does not expect"
)]

mod access;
mod appending;
mod auth;
pub mod client;
mod compression;
mod crowd;
mod formats;
mod handshake;
mod hostile;
mod joining;
mod memory;
mod presence;
mod reloading;
mod sharing;
mod slow;
mod stopping;

use serde_json::{Value, json};

use client::Heard;
pub use client::{Client, upgrade};

use crate::harness::{Request, TestServer, delete, get, post, put};

/// A channel, as whoever made it knows it.
struct Channel {
    id: String,
    room: String,
}

/// Makes a channel on a server that is open to everyone.
#[track_caller]
fn channel(server: &TestServer) -> Channel {
    channel_by(server, &json!({"name": "room"}), |request| request)
}

/// Makes a channel in some way.
#[track_caller]
fn channel_by(
    server: &TestServer,
    asked: &Value,
    with: impl FnOnce(Request) -> Request,
) -> Channel {
    let request = with(post("/v1/channels").json(&asked.to_string()));
    let made = server.expect(201, request).json();
    let id = made["metadata"]["channelId"].as_str().unwrap().to_owned();
    Channel {
        room: format!("channel/{id}"),
        id,
    }
}

impl Channel {
    fn path(&self, rest: &str) -> String {
        format!("/v1/channels/{}{rest}", self.id)
    }

    /// Appends by HTTP.
    #[track_caller]
    fn post(&self, server: &TestServer, author: &str, content: &str) -> Value {
        let event = json!({"authorId": author, "content": content});
        let request = post(&self.path("/events")).json(&event.to_string());
        server.expect(201, request).json()["event"].clone()
    }

    /// Appends `count` events by HTTP, with their numbers as content.
    #[track_caller]
    fn fill(&self, server: &TestServer, from: u64, count: u64) {
        let events: Vec<_> = (from..from + count)
            .map(|number| json!({"content": number.to_string()}))
            .collect();
        let batch = json!({"authorId": "ann", "events": events});
        let request = post(&self.path("/events")).json(&batch.to_string());
        server.expect(201, request);
    }

    /// Returns all events as HTTP shows them.
    #[track_caller]
    fn read(&self, server: &TestServer) -> Vec<Value> {
        let read = server
            .expect(200, get(&self.path("/events?limit=1000")))
            .json();
        read["events"].as_array().unwrap().clone()
    }
}

/// Returns the sequence numbers of events.
fn seqs(events: &[Value]) -> Vec<u64> {
    events
        .iter()
        .map(|event| event["seq"].as_u64().unwrap())
        .collect()
}

/// Returns the contents of events.
fn contents(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["content"].as_str().unwrap())
        .collect()
}
