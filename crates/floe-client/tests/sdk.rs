//! The SDK against a small server that fails on request.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod small_server;

use std::time::Duration;

use floe_client::{
    AppendError, Client, CreateError, CreateOptions, Follow, Offset, ProducerError, ReadError,
    RetryPolicy, Stream,
};
use small_server::{Fault, SmallServer};

#[tokio::test]
async fn what_was_appended_is_read_back() {
    let (_, stream) = new_stream("text/plain").await;
    let tail = stream.append("one ").await.unwrap();
    stream.append("two").await.unwrap();
    assert_eq!(read_all(&stream, Offset::START).await, "one two");
    assert_eq!(read_all(&stream, tail).await, "two");
    let info = stream.head().await.unwrap();
    assert_eq!(
        (info.content_type.as_str(), info.is_closed),
        ("text/plain", false)
    );
}

#[tokio::test]
async fn creating_again_finds_the_stream_or_a_conflict() {
    let (_, stream) = new_stream("text/plain").await;
    let options = CreateOptions::default();
    assert!(!stream.create(&options).await.unwrap().is_new);
    let other = stream.with_content_type("application/json");
    let error = other.create(&options).await.unwrap_err();
    let CreateError::Exists(refusal) = error else {
        panic!("{error:?}");
    };
    assert_eq!(refusal.code, "EXISTS");
}

#[tokio::test]
async fn a_producer_writes_once_although_answers_are_lost() {
    let (server, stream) = new_stream("text/plain").await;
    let mut producer = stream.producer("p", 0);
    let mut duplicates = 0;
    for number in 0..6 {
        if number % 2 == 0 {
            server.inject(Fault::LoseAnswer);
            server.inject(Fault::Overloaded);
        }
        let appended = producer.append(number.to_string()).await.unwrap();
        duplicates += u32::from(appended.is_duplicate);
    }
    assert_eq!(read_all(&stream, Offset::START).await, "012345");
    assert_eq!(duplicates, 3);
}

#[tokio::test]
async fn an_append_without_an_answer_is_settled_by_the_next_call() {
    let (server, stream) = new_stream("text/plain").await;
    let stream = stream.with_retry_policy(RetryPolicy {
        tries_max: 1,
        ..RetryPolicy::default()
    });
    let mut producer = stream.producer("p", 0);
    server.inject(Fault::LoseAnswer);
    let error = producer.append("a").await.unwrap_err();
    assert!(matches!(error, ProducerError::Unreachable(_)), "{error:?}");
    producer.append("b").await.unwrap();
    assert_eq!(read_all(&stream, Offset::START).await, "ab");
}

#[tokio::test]
async fn a_fenced_producer_learns_the_epoch_that_fenced_it() {
    let (_, stream) = new_stream("text/plain").await;
    let mut old = stream.producer("p", 0);
    old.append("a").await.unwrap();
    stream.producer("p", 3).append("b").await.unwrap();
    let error = old.append("c").await.unwrap_err();
    assert!(
        matches!(error, ProducerError::Fenced { epoch: 3 }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_closed_stream_takes_no_more_and_ends_its_followers() {
    let (_, stream) = new_stream("text/plain").await;
    stream.producer("p", 0).close("all").await.unwrap();
    let error = stream.append("more").await.unwrap_err();
    let AppendError::Closed { next_offset } = error else {
        panic!("{error:?}");
    };
    assert_eq!(next_offset, Some(Offset::from("0001")));
    for how in [Follow::Auto, Follow::Events, Follow::LongPoll] {
        let mut follower = stream.follow(Offset::START, how);
        assert_eq!(follower.next().await.unwrap().unwrap().data, "all");
        assert_eq!(follower.next().await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_follower_misses_nothing_when_its_answers_end() {
    for (content_type, how) in [
        ("text/plain", Follow::Events),
        ("application/octet-stream", Follow::Events),
        ("text/plain", Follow::LongPoll),
        ("application/octet-stream", Follow::Auto),
    ] {
        let (server, stream) = new_stream(content_type).await;
        let mut follower = stream.follow(Offset::NOW, how);
        assert!(follower.next().await.unwrap().unwrap().is_empty());
        let writer = stream.clone();
        let faults = server.clone();
        let writing = tokio::spawn(async move {
            for number in 0..10 {
                if number % 3 == 0 {
                    faults.inject(Fault::EndEvents);
                }
                writer.append(format!("{number}")).await.unwrap();
            }
            writer.close().await.unwrap();
        });
        let mut data = String::new();
        while let Some(chunk) = follower.next().await.unwrap() {
            data.push_str(std::str::from_utf8(&chunk.data).unwrap());
        }
        assert_eq!(data, "0123456789", "{content_type} {how:?}");
        writing.await.unwrap();
    }
}

#[tokio::test]
async fn json_comes_as_whole_values() {
    let (_, stream) = new_stream("application/json").await;
    stream.append(r#"{"a": 1}"#).await.unwrap();
    let mut follower = stream.follow(Offset::START, Follow::Auto);
    let chunk = follower.next().await.unwrap().unwrap();
    let values: Vec<_> = chunk
        .json_values()
        .unwrap()
        .iter()
        .map(|value| value.get())
        .collect();
    assert_eq!(values, [r#"{"a": 1}"#]);
    stream.append("[2]").await.unwrap();
    let chunk = follower.next().await.unwrap().unwrap();
    assert_eq!(chunk.json_values().unwrap()[0].get(), "[2]");
}

#[tokio::test]
async fn a_missing_stream_is_told_apart_from_a_missing_server() {
    let (server, _) = new_stream("text/plain").await;
    let missing = Client::new(&server.url()).unwrap().stream("other");
    let error = missing.read(Offset::START).next().await.unwrap_err();
    assert!(matches!(error, ReadError::Missing), "{error:?}");
    let error = missing.append("x").await.unwrap_err();
    assert!(matches!(error, AppendError::Missing), "{error:?}");

    let policy = RetryPolicy {
        tries_max: 2,
        delay_max: Duration::from_millis(1),
        ..RetryPolicy::default()
    };
    let nobody = Stream::at("http://127.0.0.1:1/v1/stream/x").unwrap();
    let error = nobody.with_retry_policy(policy).head().await.unwrap_err();
    assert!(
        matches!(error, floe_client::HeadError::Unreachable(_)),
        "{error:?}"
    );
}

async fn new_stream(content_type: &str) -> (SmallServer, Stream) {
    let server = SmallServer::start();
    let client = Client::new(&server.url()).unwrap();
    let stream = client.stream("s").with_content_type(content_type);
    let created = stream.create(&CreateOptions::default()).await.unwrap();
    assert!(created.is_new);
    (server, stream)
}

async fn read_all(stream: &Stream, offset: Offset) -> String {
    let (mut reader, mut all) = (stream.read(offset), String::new());
    while let Some(chunk) = reader.next().await.unwrap() {
        all.push_str(std::str::from_utf8(&chunk.data).unwrap());
    }
    all
}
