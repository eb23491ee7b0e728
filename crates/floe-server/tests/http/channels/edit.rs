//! Editing messages and reacting to them.

use serde_json::{Value, json};

use super::{contents, events, seqs};
use crate::harness::{Channel, Request, TestServer, delete, get, patch, put};

fn edit(channel: &Channel, seq: u64, author: &str, content: &str) -> Request {
    let body = json!({ "authorId": author, "content": content });
    patch(&channel.at(&format!("/events/{seq}"))).value(&body)
}

fn react(channel: &Channel, seq: u64, author: &str, reaction: &str) -> Request {
    put(&channel.at(&format!(
        "/events/{seq}/reactions/{reaction}?authorId={author}"
    )))
}

fn unreact(channel: &Channel, seq: u64, author: &str, reaction: &str) -> Request {
    delete(&channel.at(&format!(
        "/events/{seq}/reactions/{reaction}?authorId={author}"
    )))
}

#[test]
fn an_edit_is_an_event_and_the_newest_version_in_the_view() {
    let server = TestServer::start();
    let channel = server.channel();
    let first = server.say(&channel, "ann", "helo");
    let event = server.expect(201, edit(&channel, 1, "ann", "hello")).json()["event"].clone();
    let expected = json!({
        "id": format!("{}-2", channel.id),
        "seq": 2,
        "type": "edit",
        "authorId": "ann",
        "content": "hello",
        "targetSeq": 1,
        "createdAt": event["createdAt"],
    });
    assert_eq!(event, expected);
    server.expect(201, edit(&channel, 1, "ann", "hello!"));
    let log = server.ask(&channel, "/events");
    assert_eq!(contents(&log), ["helo", "hello", "hello!"]);
    let found = server.ask(&channel, "/events/1?waitFor=3");
    assert_eq!(found["event"]["content"], "hello!");
    assert_eq!(found["event"]["editedAt"], events(&log)[2]["createdAt"]);
    assert_eq!(found["event"]["createdAt"], first["createdAt"]);
    let versions = json!({ "events": found["versions"] });
    assert_eq!(contents(&versions), ["helo", "hello", "hello!"]);
    assert_eq!(seqs(&versions), [1, 2, 3]);
    // A query is about messages, with their newest content.
    let found = server.ask(&channel, "/query?waitFor=3");
    assert_eq!((seqs(&found), contents(&found)), (vec![1], vec!["hello!"]));
    let found = server.ask(&channel, "/query?contentContains=helo");
    assert_eq!(contents(&found), [""; 0]);
}

#[test]
fn only_messages_are_edited_and_by_their_author() {
    let server = TestServer::start();
    let channel = server.channel();
    server.say(&channel, "ann", "hello");
    let bob = server.token(&channel, &["read", "append"], "bob");
    let moderator = server.token(&channel, &["append", "delete:any"], "eve");
    let by = |token: &str| {
        let body = json!({ "content": "changed" });
        patch(&channel.at("/events/1")).token(token).value(&body)
    };
    server.send(by(&bob)).refused(403, "FORBIDDEN");
    assert_eq!(server.ask(&channel, "")["metadata"]["headSeq"], 1);
    server.expect(201, by(&moderator));
    server
        .send(edit(&channel, 2, "ann", "x"))
        .refused(400, "INVALID_REQUEST");
    server
        .send(edit(&channel, 9, "ann", "x"))
        .refused(404, "NOT_FOUND");
    server
        .send(edit(&channel, 0, "ann", "x"))
        .refused(400, "INVALID_REQUEST");
    assert_eq!(server.ask(&channel, "")["metadata"]["headSeq"], 2);
}

#[test]
fn reactions_are_counted_by_author_and_taken_back() {
    let server = TestServer::start();
    let channel = server.channel();
    server.say(&channel, "ann", "hello");
    let thumb = "%F0%9F%91%8D";
    let event = server.expect(201, react(&channel, 1, "bob", thumb)).json()["event"].clone();
    assert_eq!(
        (&event["type"], &event["content"], &event["targetSeq"]),
        (&json!("reaction"), &json!("\u{1f44d}"), &json!(1))
    );
    assert_eq!(event.get("removed"), None);
    // The same of the same author counts once.
    server.expect(201, react(&channel, 1, "bob", thumb));
    server.expect(201, react(&channel, 1, "cy", thumb));
    server.expect(201, react(&channel, 1, "cy", "heart"));
    let reactions = |seq: u64| -> Value {
        server.ask(&channel, &format!("/events/1?waitFor={seq}"))["event"]["reactions"].clone()
    };
    let expected = json!([
        { "reaction": "\u{1f44d}", "count": 2 },
        { "reaction": "heart", "count": 1 },
    ]);
    assert_eq!(reactions(5), expected);
    let event = server
        .expect(201, unreact(&channel, 1, "bob", thumb))
        .json()["event"]
        .clone();
    assert_eq!(
        (&event["type"], &event["removed"]),
        (&json!("reaction"), &json!(true))
    );
    // What is not there is not counted down.
    server.expect(201, unreact(&channel, 1, "bob", thumb));
    server.expect(201, unreact(&channel, 1, "cy", "heart"));
    assert_eq!(
        reactions(8),
        json!([{ "reaction": "\u{1f44d}", "count": 1 }])
    );
    let found = server.ask(&channel, "/query");
    assert_eq!(events(&found)[0]["reactions"], reactions(8));
}

#[test]
fn a_reaction_is_any_short_text() {
    let server = TestServer::start();
    let channel = server.channel();
    server.say(&channel, "ann", "hello");
    for (sent, expected) in [
        ("a%2Fb", "a/b"),
        ("%20", " "),
        ("%22%5C", "\"\\"),
        ("+1", "+1"),
    ] {
        let event = server.expect(201, react(&channel, 1, "bob", sent)).json();
        assert_eq!(event["event"]["content"], expected);
    }
    let longest = "%F0%9F%91%8D".repeat(64);
    server.expect(201, react(&channel, 1, "bob", &longest));
    for bad in [
        format!("{longest}a"),
        "%ff".to_owned(),
        "%".to_owned(),
        String::new(),
    ] {
        let refused = server.send(react(&channel, 1, "bob", &bad));
        assert_eq!(refused.status, 400, "{bad} {refused:?}");
    }
}

#[test]
fn versions_and_reactions_outlive_a_view_that_is_made_anew() {
    let server = TestServer::start();
    let channel = server.channel();
    server.say(&channel, "ann", "one");
    server.expect(201, edit(&channel, 1, "ann", "two"));
    server.expect(201, react(&channel, 1, "bob", "up"));
    let mut before = server.ask(&channel, "/events/1?waitFor=3");
    let server = server.restart_after(|folder| {
        std::fs::remove_dir_all(folder.join("view")).unwrap();
    });
    server.expect(200, get("/v1/channels"));
    let mut after = server.ask(&channel, "/events/1?waitFor=3");
    for found in [&mut before, &mut after] {
        found["lag"] = Value::Null;
    }
    assert_eq!(after, before);
}
