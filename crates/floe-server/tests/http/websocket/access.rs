//! Keys and tokens: who may join and write, and in whose name.

use serde_json::{Value, json};

use super::{Channel, Client, TestServer, channel, channel_by, contents, get, post, upgrade};

const KEYS: &str = "acme:read:k-reads acme:write:k-writes acme:admin:k-admin other:admin:k-other";

fn guarded() -> (TestServer, Channel) {
    let server = TestServer::with(|settings| KEYS.clone_into(&mut settings.api_keys));
    let channel = channel_by(&server, &json!({"name": "room"}), |request| {
        request.field("Authorization", "ApiKey k-admin")
    });
    (server, channel)
}

/// Asks for a token.
#[track_caller]
fn token(server: &TestServer, channel: &Channel, rights: &[&str], author: &str) -> String {
    let asked = json!({"rights": rights, "author": author}).to_string();
    let request = post(&channel.path("/tokens"))
        .field("Authorization", "ApiKey k-admin")
        .json(&asked);
    let made = server.expect(201, request).json();
    made["token"].as_str().unwrap().to_owned()
}

fn join(room: &str, token: Option<&str>) -> Value {
    json!({"type": "join", "room": room, "token": token})
}

fn say(room: &str, author: Option<&str>, content: &str) -> Value {
    json!({"type": "append", "room": room, "authorId": author, "content": content})
}

#[test]
fn whoever_shows_nothing_gets_in_nowhere_and_may_show_something_in_the_next_frame() {
    let (server, channel) = guarded();
    let mut client = Client::of(&server);
    client.refused(join(&channel.room, None), "UNAUTHORIZED");
    client.refused(join("channel/0123456789ab", None), "UNAUTHORIZED");
    client.refused(say(&channel.room, Some("ann"), "hi"), "UNAUTHORIZED");
    let read = token(&server, &channel, &["read"], "ann");
    let joined = client.ask(join(&channel.room, Some(&read)));
    assert_eq!(
        (&joined["type"], &joined["user"]),
        (&json!("joined"), &json!("ann"))
    );
}

#[test]
fn a_key_opens_the_channels_of_its_namespace_as_far_as_its_rights_go() {
    let (server, channel) = guarded();
    let room = channel.room.as_str();
    let mut reader = Client::with_key(&server, "k-reads");
    reader.join(room, json!({}));
    reader.refused(say(room, Some("ann"), "hi"), "FORBIDDEN");
    let set = json!({"type": "memory", "room": room, "op": "set", "key": "a", "value": 1});
    reader.refused(set, "FORBIDDEN");
    let list = json!({"type": "memory", "room": room, "op": "list"});
    assert_eq!(reader.ask(list)["type"], "memory");
    let mut writer = Client::with_key(&server, "k-writes");
    writer.refused(join(room, None), "FORBIDDEN");
    let mut quiet = join(room, None);
    quiet["events"] = json!(false);
    for (more, value) in [("memory", json!(true)), ("presence", json!("watch"))] {
        let mut curious = quiet.clone();
        curious[more] = value;
        writer.refused(curious, "FORBIDDEN");
    }
    assert_eq!(writer.ask(quiet)["type"], "joined");
    assert_eq!(writer.ask(say(room, Some("ann"), "written"))["seq"], 1);
    let list = json!({"type": "memory", "room": room, "op": "list"});
    writer.refused(list, "FORBIDDEN");
    let members = json!({"type": "members", "room": room});
    writer.refused(members, "FORBIDDEN");
    assert_eq!(contents(&reader.events_until(room, 1)), ["written"]);
    assert!(writer.so_far().is_empty());
    // Behind the wall it is not there.
    let mut stranger = Client::with_key(&server, "k-other");
    stranger.refused(join(room, None), "NOT_FOUND");
    stranger.refused(say(room, Some("ann"), "hi"), "NOT_FOUND");
    let wrong = upgrade().field("Authorization", "ApiKey k-wrong");
    server.send(wrong).refused(401, "UNAUTHORIZED");
    let mut nobody = Client::of(&server);
    nobody.refused(join(room, None), "UNAUTHORIZED");
}

#[test]
fn the_author_of_a_token_goes_before_whatever_its_bearer_says() {
    let (server, channel) = guarded();
    let room = channel.room.as_str();
    let both = token(&server, &channel, &["read", "append", "delete:own"], "bob");
    let mut client = Client::of(&server);
    let mut asked = join(room, Some(&both));
    asked["user"] = json!("root");
    asked["presence"] = json!("member");
    assert_eq!(client.ask(asked)["user"], "bob");
    assert_eq!(client.next_of("presence")["members"][0]["user"], "bob");
    client.ask(say(room, Some("root"), "one"));
    client.ask(json!({"type": "append", "room": room, "events": [
        {"content": "two", "authorId": "root"},
    ]}));
    let events = client.events_until(room, 2);
    assert_eq!(
        (&events[0]["authorId"], &events[1]["authorId"]),
        (&json!("bob"), &json!("bob"))
    );
    client.ask(json!({"type": "typing", "room": room, "typing": true}));
    assert_eq!(client.next_of("typing")["users"], json!(["bob"]));
    // A key lets its bearer speak for others.
    let mut admin = Client::with_key(&server, "k-admin");
    let said = admin.ask(say(room, Some("ann"), "three"));
    assert_eq!(said["seq"], 3);
    // What is another's stays.
    let delete =
        |seq: u64| json!({"type": "append", "room": room, "kind": "deletion", "targetSeq": seq});
    client.refused(delete(3), "FORBIDDEN");
    assert_eq!(client.ask(delete(1))["type"], "ack");
    let edit = json!({
        "type": "append", "room": room, "kind": "edit", "targetSeq": 3, "content": "mine",
    });
    client.refused(edit, "FORBIDDEN");
}

#[test]
fn a_token_goes_no_further_than_it_says() {
    let (server, channel) = guarded();
    let other = channel_by(&server, &json!({"name": "other"}), |request| {
        request.field("Authorization", "ApiKey k-admin")
    });
    let room = channel.room.as_str();
    let read = token(&server, &channel, &["read"], "ann");
    let append = token(&server, &channel, &["append"], "ann");
    let elsewhere = token(&server, &other, &["read", "append"], "ann");
    let mut client = Client::of(&server);
    client.refused(join(room, Some(&elsewhere)), "FORBIDDEN");
    client.refused(join(room, Some("nonsense")), "UNAUTHORIZED");
    let mut forged = read.clone();
    let end = if forged.ends_with('A') { "B" } else { "A" };
    forged.replace_range(read.len() - 1.., end);
    client.refused(join(room, Some(&forged)), "UNAUTHORIZED");
    client.refused(join(room, Some(&append)), "FORBIDDEN");
    client.ask(join(room, Some(&read)));
    client.refused(say(room, None, "hi"), "FORBIDDEN");
    let typing = json!({"type": "typing", "room": room, "typing": true});
    client.refused(typing, "FORBIDDEN");
    // One that may only append hears nothing.
    let mut writer = Client::of(&server);
    let mut quiet = join(room, Some(&append));
    quiet["events"] = json!(false);
    assert_eq!(writer.ask(quiet)["type"], "joined");
    assert_eq!(writer.ask(say(room, None, "hi"))["seq"], 1);
    assert!(writer.so_far().is_empty());
    // Who shows a token is judged by it, whatever key there is besides.
    let mut admin = Client::with_key(&server, "k-admin");
    admin.ask(join(room, Some(&read)));
    admin.refused(say(room, Some("ann"), "hi"), "FORBIDDEN");
}

#[test]
fn a_token_may_come_with_the_handshake() {
    let (server, channel) = guarded();
    let both = token(&server, &channel, &["read", "append"], "ann");
    let mut request = upgrade();
    request.target = format!("/v1/live?token={both}");
    let (mut client, _) = Client::greet(&server, &request);
    assert_eq!(client.frame()["type"], "welcome");
    assert_eq!(client.ask(say(&channel.room, None, "unjoined"))["seq"], 1);
    assert_eq!(
        client.join(&channel.room, json!({"after": 0}))["user"],
        "ann"
    );
    assert_eq!(client.events_until(&channel.room, 1)[0]["authorId"], "ann");
}

#[test]
fn another_secret_ends_the_rooms_of_those_whom_the_old_one_let_in() {
    let (server, channel) = guarded();
    let room = channel.room.as_str();
    let old = token(&server, &channel, &["read", "append"], "ann");
    let mut bearer = Client::of(&server);
    bearer.ask(join(room, Some(&old)));
    bearer.next_of("live");
    let mut keyed = Client::with_key(&server, "k-admin");
    keyed.join(room, json!({}));
    let rotate = post(&channel.path("/secret")).field("Authorization", "ApiKey k-admin");
    server.expect(200, rotate);
    let closed = bearer.next_of("closed");
    assert_eq!(
        (&closed["room"], &closed["code"]),
        (&json!(room), &json!("UNAUTHORIZED"))
    );
    bearer.refused(join(room, Some(&old)), "UNAUTHORIZED");
    bearer.refused(say(room, None, "hi"), "UNAUTHORIZED");
    let new = token(&server, &channel, &["read", "append"], "ann");
    bearer.ask(join(room, Some(&new)));
    bearer.ask(say(room, None, "back"));
    assert_eq!(contents(&keyed.events_until(room, 1)), ["back"]);
}

#[test]
fn deleted_events_are_shown_to_whoever_may_see_them() {
    let server = TestServer::start();
    let channel = channel(&server);
    channel.fill(&server, 0, 1);
    let mut author = Client::of(&server);
    author.ask(json!({
        "type": "append", "room": channel.room, "kind": "deletion", "targetSeq": 1,
        "authorId": "ann",
    }));
    let asked = json!({"rights": ["read", "read:deleted"], "author": "mod"}).to_string();
    let made = server
        .expect(201, post(&channel.path("/tokens")).json(&asked))
        .json();
    let mut moderator = Client::of(&server);
    let mut ordinary = Client::of(&server);
    // Both at once, so that what is encoded for one is not taken for the other.
    moderator.join(&channel.room, json!({"after": 0, "token": made["token"]}));
    ordinary.join(&channel.room, json!({"after": 0}));
    let seen = moderator.events_until(&channel.room, 2);
    assert_eq!(
        (&seen[0]["content"], &seen[0]["deleted"]),
        (&json!("0"), &json!(true))
    );
    let stub = ordinary.events_until(&channel.room, 2);
    assert_eq!(
        (stub[0].get("content"), &stub[0]["deleted"]),
        (None, &json!(true))
    );
    channel.fill(&server, 1, 2);
    author.ask(json!({
        "type": "append", "room": channel.room, "authorId": "ann",
        "events": [{"content": "5"}, {"content": "6"}],
    }));
    let read = server
        .expect(200, get(&channel.path("/events?afterSeq=2")))
        .json();
    assert_eq!(
        json!(ordinary.events_until(&channel.room, 6)),
        read["events"]
    );
    assert_eq!(
        json!(moderator.events_until(&channel.room, 6)),
        read["events"]
    );
}
