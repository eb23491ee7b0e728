//! Live rooms against the server itself, over drops and restarts.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cutting_proxy;
mod real_server;

use std::time::Duration;

use cutting_proxy::CuttingProxy;
use floe_client::live::{Join, Live, LiveError, LiveOptions, News, Room, SetMemory};
use floe_client::{Client, CreateOptions, RetryPolicy};
use real_server::RealServer;
use serde_json::json;

#[tokio::test]
async fn history_comes_first_and_then_what_happens() {
    let server = RealServer::start();
    let channel = server.new_channel();
    let live = Live::new(&server.url()).unwrap();
    let writer = live.join(joining(&channel)).await.unwrap();
    assert_eq!(writer.append("one").await.unwrap().seq, 1);
    let ack = writer.append_all(&["two", "three"]).await.unwrap();
    assert_eq!((ack.seq, ack.count, ack.duplicate), (3, 2, false));

    let other = Live::new(&server.url()).unwrap();
    let join = joining(&channel).from_start();
    let mut reader = other.join(join).await.unwrap();
    assert_eq!(contents(&mut reader, 3).await, ["one", "two", "three"]);
    let News::Live { seq } = reader.next().await.unwrap().unwrap() else {
        panic!("history is over");
    };
    assert_eq!(seq, 3);
    writer.append("four").await.unwrap();
    assert_eq!(contents(&mut reader, 1).await, ["four"]);

    let join = joining(&channel).limit(2);
    drop(reader);
    let mut late = other.join(join).await.unwrap();
    assert_eq!(contents(&mut late, 2).await, ["three", "four"]);
}

#[tokio::test]
async fn a_reader_misses_nothing_and_a_writer_writes_once_although_connections_break() {
    let server = RealServer::start();
    let channel = server.new_channel();
    let proxy = CuttingProxy::start(server.address());
    let live = Live::new(&proxy.url()).unwrap();
    let mut reader = live.join(joining(&channel).from_start()).await.unwrap();
    let writing = Live::new(&proxy.url()).unwrap();
    let writer = writing.join(joining(&channel)).await.unwrap();
    let expected: Vec<_> = (0..60).map(|number| number.to_string()).collect();
    let written = expected.clone();
    let writing = tokio::spawn(async move {
        let mut newest = 0;
        for (number, content) in written.iter().enumerate() {
            if number % 7 == 3 {
                // The answer is cut off, and the append sent again.
                proxy.cut_answers();
            }
            let ack = writer.append(content).await.unwrap();
            assert_eq!(ack.seq, newest + 1);
            newest = ack.seq;
        }
        assert!(proxy.cuts() >= 5);
    });
    assert_eq!(contents(&mut reader, expected.len()).await, expected);
    writing.await.unwrap();
}

#[tokio::test]
async fn rooms_go_on_after_a_restart_of_the_server() {
    let mut server = RealServer::start();
    let channel = server.new_channel();
    let live = Live::new(&server.url()).unwrap();
    let join = joining(&channel).from_start();
    let mut room = live.join(join).await.unwrap();
    room.append("before").await.unwrap();
    assert_eq!(contents(&mut room, 1).await, ["before"]);
    let stopped = tokio::task::spawn_blocking(move || {
        server.stop();
        server
    });
    let mut server = stopped.await.unwrap();
    let appending = tokio::spawn(async move {
        let ack = room.append("after").await;
        (room, ack)
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.run();
    let (mut room, ack) = appending.await.unwrap();
    assert_eq!(ack.unwrap().seq, 2);
    assert_eq!(contents(&mut room, 1).await, ["after"]);
}

#[tokio::test]
async fn members_see_each_other_and_what_the_room_remembers() {
    let server = RealServer::start();
    let channel = server.new_channel();
    let ann = Live::new(&server.url()).unwrap();
    let bob = Live::new(&server.url()).unwrap();
    let join = Join::channel(&channel).as_member("ann").memory("");
    let mut at_ann = ann.join(join).await.unwrap();
    let join = Join::channel(&channel)
        .as_member("bob")
        .data(json!({"color": "teal"}));
    let at_bob = bob.join(join).await.unwrap();
    at_bob
        .set("cursor/bob", json!({"x": 3}), SetMemory::default())
        .await
        .unwrap();
    at_bob.typing(true).await.unwrap();
    let (mut has_bob, mut has_value, mut has_typing) = (false, false, false);
    while !(has_bob && has_value && has_typing) {
        match next(&mut at_ann).await {
            News::Presence(presence) => {
                let members = presence.members.into_iter().flatten().chain(presence.set);
                has_bob |= members
                    .filter(|member| member.user == "bob")
                    .any(|member| member.data == Some(json!({"color": "teal"})));
            }
            News::Memory(memory) => {
                has_value |= memory
                    .set
                    .iter()
                    .any(|entry| entry.key == "cursor/bob" && entry.value == json!({"x": 3}));
            }
            News::Typing { users } => has_typing |= users == ["bob"],
            News::Events(_) | News::Live { .. } | _ => {}
        }
    }
    let taken = SetMemory {
        if_version: Some(0),
        ..SetMemory::default()
    };
    let error = at_ann.set("cursor/bob", json!(1), taken).await.unwrap_err();
    let LiveError::Refused(refusal) = error else {
        panic!("{error:?}");
    };
    assert_eq!(refusal.code, "FENCED");
}

#[tokio::test]
async fn streams_are_rooms_too() {
    let server = RealServer::start();
    let stream = Client::new(&server.url()).unwrap().stream("cpu/load");
    let stream = stream.with_content_type("application/json");
    stream.create(&CreateOptions::default()).await.unwrap();
    let live = Live::new(&server.url()).unwrap();
    let join = Join::stream("cpu/load").from_start();
    let mut room = live.join(join).await.unwrap();
    assert_eq!(room.append_json(&json!({"a": 1})).await.unwrap().seq, 1);
    let News::Events(events) = events(&mut room).await else {
        panic!("events are what there is");
    };
    assert_eq!((events.events[0].get(), events.next), (r#"{"a":1}"#, 1));
    stream.close().await.unwrap();
    while let Some(news) = room.next().await.unwrap() {
        assert!(matches!(news, News::Live { .. }), "{news:?}");
    }
}

#[tokio::test]
async fn what_nobody_takes_waits_on_the_server() {
    let server = RealServer::start();
    let channel = server.new_channel();
    let live = Live::new(&server.url()).unwrap();
    let writer = Live::new(&server.url()).unwrap();
    let writer = writer.join(joining(&channel)).await.unwrap();
    let content = "x".repeat(9_000);
    let batch = vec![content.as_str(); 50];
    let mut reader = live.join(joining(&channel).from_start()).await.unwrap();
    // About three times what may wait.
    for _ in 0..30 {
        writer.append_all(&batch).await.unwrap();
    }
    // The connection goes on meanwhile.
    assert_eq!(reader.append("last").await.unwrap().seq, 1501);
    let found = contents(&mut reader, 1501).await;
    assert_eq!(found.last().unwrap(), "last");
}

#[tokio::test]
async fn a_refusal_is_told_apart_from_a_missing_server() {
    let server = RealServer::start();
    let live = Live::new(&server.url()).unwrap();
    let error = live.join(Join::channel("0123456789ab")).await.unwrap_err();
    let LiveError::Refused(refusal) = error else {
        panic!("{error:?}");
    };
    assert_eq!((refusal.code.as_str(), refusal.status), ("NOT_FOUND", 404));

    let options = LiveOptions {
        retry: RetryPolicy {
            tries_max: 2,
            delay_max: Duration::from_millis(1),
            ..RetryPolicy::default()
        },
        ..LiveOptions::default()
    };
    let nobody = options.open("http://127.0.0.1:1").unwrap();
    let error = nobody.join(Join::channel("0123456789ab")).await;
    assert!(matches!(error, Err(LiveError::Unreachable(_))), "{error:?}");
}

/// A join in the name of somebody, who may then write.
fn joining(channel: &str) -> Join {
    Join::channel(channel).as_user("ann")
}

/// The contents of the next events, which must be the next.
async fn contents(room: &mut Room, count: usize) -> Vec<String> {
    let mut contents: Vec<String> = Vec::new();
    let mut newest = None;
    while contents.len() < count {
        let News::Events(events) = events(room).await else {
            panic!("events are what there is");
        };
        for event in events.channel_events().unwrap() {
            assert!(newest.is_none_or(|newest| event.seq == newest + 1));
            newest = Some(event.seq);
            contents.push(event.content.unwrap());
        }
        assert_eq!(newest, Some(events.next));
    }
    contents
}

async fn events(room: &mut Room) -> News {
    loop {
        let news = next(room).await;
        if matches!(news, News::Events(_)) {
            return news;
        }
    }
}

async fn next(room: &mut Room) -> News {
    let news = tokio::time::timeout(Duration::from_secs(20), room.next());
    news.await.unwrap().unwrap().unwrap()
}

#[test]
fn a_client_that_ends_before_its_append_is_on_disk_costs_the_server_nothing() {
    use floe_surfaces::ws::{Opcode, write_masked};
    use std::io::{Read as _, Write as _};

    let server = RealServer::start();
    let channel = server.new_channel();
    for round in 0..20 {
        let mut socket = std::net::TcpStream::connect(server.address()).unwrap();
        let handshake = "GET /v1/live HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let append = format!(
            r#"{{"type":"append","room":"channel/{channel}","authorId":"ann","content":"hi"}}"#
        );
        let mut bytes = handshake.as_bytes().to_vec();
        write_masked(&mut bytes, Opcode::Text, append.as_bytes(), [1, 2, 3, 4]);
        // A farewell, or a frame that breaks the rules.
        match round % 2 {
            0 => write_masked(&mut bytes, Opcode::Close, b"", [1, 2, 3, 4]),
            _ => bytes.extend_from_slice(&[0xff; 8]),
        }
        socket.write_all(&bytes).unwrap();
        let mut answer = Vec::new();
        // The end may come as a reset.
        let _ = socket.read_to_end(&mut answer);
        assert!(answer.starts_with(b"HTTP/1.1 101"));
    }
    server.new_channel();
}
