//! Deleting events: whose, once, and of what.

use serde_json::json;

use super::{contents, events, seqs};
use crate::harness::{Channel, Request, TestServer, delete, get, patch, post, put};

fn delete_as(channel: &Channel, seq: u64, author: &str) -> Request {
    delete(&channel.at(&format!("/events/{seq}?authorId={author}")))
}

fn delete_by(channel: &Channel, seq: u64, token: &str) -> Request {
    delete(&channel.at(&format!("/events/{seq}"))).token(token)
}

#[test]
fn a_deletion_is_an_event_that_names_its_target() {
    let server = TestServer::start();
    let channel = server.channel();
    server.say(&channel, "ann", "oops");
    let marker = server.expect(201, delete_as(&channel, 1, "ann")).json()["event"].clone();
    let expected = json!({
        "id": format!("{}-2", channel.id),
        "seq": 2,
        "type": "deletion",
        "authorId": "ann",
        "targetSeq": 1,
        "createdAt": marker["createdAt"],
    });
    assert_eq!(marker, expected);
    let read = server.ask(&channel, "/events");
    assert_eq!(seqs(&read), [1, 2]);
    let stub = &events(&read)[0];
    let expected = json!({
        "id": format!("{}-1", channel.id),
        "seq": 1,
        "type": "message",
        "createdAt": stub["createdAt"],
        "deleted": true,
    });
    assert_eq!(*stub, expected);
    assert_eq!(events(&read)[1], marker);
}

#[test]
fn who_may_delete_their_own_may_not_delete_what_others_said() {
    let server = TestServer::start();
    let channel = server.channel();
    server.say(&channel, "ann", "of ann");
    server.say(&channel, "bob", "of bob");
    let own = server.token(&channel, &["delete:own"], "ann");
    let any = server.token(&channel, &["delete:any"], "moderator");
    let none = server.token(&channel, &["read", "append"], "ann");
    server
        .send(delete_by(&channel, 1, &none))
        .refused(403, "FORBIDDEN");
    server
        .send(delete_by(&channel, 2, &own))
        .refused(403, "FORBIDDEN");
    // What the request says of the author does not matter.
    let lying = delete(&channel.at("/events/2?authorId=bob")).token(&own);
    server.send(lying).refused(403, "FORBIDDEN");
    assert_eq!(
        contents(&server.ask(&channel, "/events")),
        ["of ann", "of bob"]
    );
    let marker = server.expect(201, delete_by(&channel, 1, &own)).json();
    assert_eq!(marker["event"]["authorId"], "ann");
    let marker = server.expect(201, delete_by(&channel, 2, &any)).json();
    assert_eq!(marker["event"]["authorId"], "moderator");
    assert_eq!(contents(&server.ask(&channel, "/events")), [""; 4]);
}

#[test]
fn an_event_is_deleted_once() {
    let server = TestServer::start();
    let channel = server.channel();
    server.say(&channel, "ann", "oops");
    server.expect(201, delete_as(&channel, 1, "ann"));
    server
        .send(delete_as(&channel, 1, "ann"))
        .refused(409, "EXISTS");
    server
        .send(delete_as(&channel, 1, "bob"))
        .refused(409, "EXISTS");
    // A deletion stays.
    server
        .send(delete_as(&channel, 2, "ann"))
        .refused(400, "INVALID_REQUEST");
    server
        .send(delete_as(&channel, 3, "ann"))
        .refused(404, "NOT_FOUND");
    server
        .send(delete_as(&channel, u64::MAX, "ann"))
        .refused(404, "NOT_FOUND");
    server
        .send(delete_as(&channel, 0, "ann"))
        .refused(400, "INVALID_REQUEST");
    assert_eq!(server.ask(&channel, "")["metadata"]["headSeq"], 2);
}

#[test]
fn one_of_many_at_once_deletes() {
    let server = TestServer::start();
    let channel = server.channel();
    server.say(&channel, "ann", "oops");
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| server.send(delete_as(&channel, 1, "ann")).status))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let done = statuses.iter().filter(|status| **status == 201).count();
    let refused = statuses.iter().filter(|status| **status == 409).count();
    assert_eq!((done, refused), (1, 7), "{statuses:?}");
    assert_eq!(server.ask(&channel, "")["metadata"]["headSeq"], 2);
}

#[test]
fn a_deleted_edit_gives_back_the_version_before() {
    let server = TestServer::start();
    let channel = server.channel();
    server.say(&channel, "ann", "first");
    for content in ["second", "third"] {
        let body = json!({ "authorId": "ann", "content": content });
        server.expect(201, patch(&channel.at("/events/1")).value(&body));
    }
    server.expect(201, delete_as(&channel, 3, "ann"));
    let found = server.ask(&channel, "/events/1?waitFor=4");
    assert_eq!(found["event"]["content"], "second");
    let versions: Vec<_> = found["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| version["content"].as_str().unwrap())
        .collect();
    assert_eq!(versions, ["first", "second"]);
    let read = server.ask(&channel, "/events");
    assert_eq!(contents(&read), ["first", "second", "", ""]);
    assert_eq!(events(&read)[2]["deleted"], true);
}

#[test]
fn a_deleted_reaction_is_taken_back() {
    let server = TestServer::start();
    let channel = server.channel();
    server.say(&channel, "ann", "hello");
    server.expect(201, put(&channel.at("/events/1/reactions/up?authorId=bob")));
    server.expect(201, delete_as(&channel, 2, "bob"));
    let found = server.ask(&channel, "/events/1?waitFor=3");
    assert_eq!(found["event"]["reactions"], json!([]));
}

#[test]
fn nothing_is_said_of_what_is_deleted() {
    let server = TestServer::start();
    let channel = server.channel();
    server.say(&channel, "ann", "oops");
    server.expect(201, delete_as(&channel, 1, "ann"));
    let edit = patch(&channel.at("/events/1")).json(r#"{"authorId":"ann","content":"again"}"#);
    server.send(edit).refused(404, "NOT_FOUND");
    server
        .send(put(&channel.at("/events/1/reactions/up?authorId=bob")))
        .refused(404, "NOT_FOUND");
    server
        .send(get(&channel.at("/events/1?waitFor=2")))
        .refused(404, "NOT_FOUND");
}

#[test]
fn a_deletion_outlives_restarts_and_crashes() {
    let server = TestServer::start();
    let channel = server.channel();
    server.fill(&channel, 5);
    server.expect(201, delete_as(&channel, 2, "ann"));
    let expected = ["1", "", "3", "4", "5", ""];
    let crashed = server.crashed();
    assert_eq!(contents(&crashed.ask(&channel, "/events")), expected);
    assert_eq!(
        contents(&crashed.ask(&channel, "/query?waitFor=6")),
        ["1", "3", "4", "5"]
    );
    let server = server.restart();
    assert_eq!(contents(&server.ask(&channel, "/events")), expected);
    server
        .send(delete_as(&channel, 2, "ann"))
        .refused(409, "EXISTS");
}

#[test]
fn what_holds_in_the_kept_form_holds_here() {
    let server = TestServer::start();
    let channel = server.channel();
    server.fill(&channel, 3);
    let body = json!({ "channelId": channel.id, "targetSeq": 2, "authorId": "ann" });
    server.expect(200, post("/channel/delete-event").value(&body));
    server
        .send(post("/channel/delete-event").value(&body))
        .refused(409, "EXISTS");
    let body = json!({ "channelId": channel.id });
    let read = server
        .expect(200, post("/channel/read").value(&body))
        .json();
    assert_eq!(seqs(&read), [1, 3, 4]);
}
