//! A room's own rules: each role may the same on every surface, and whoever may no longer listen
//! hears nothing more.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use floe_server::IssuerSettings;
use floe_surfaces::access::jwt::{Issuer, KeySet, Secret};
use serde_json::{Value, json};

use crate::harness::{
    Channel, Request, Response, TestServer, delete, get, head, options, patch, post, put,
};
use crate::websocket::Client;

const KEYS: &str = "acme:admin:admin acme:read,write:nameless beta:admin:stranger *:admin:root";

/// A server with an operator, and users who show signed tokens.
struct Guarded {
    server: TestServer,
}

/// Signs for whoever the server believes.
const SECRET: &[u8; 32] = b"0123456789abcdef0123456789abcdef";

/// Makes the token of a user, who may make rooms, and else only what their own rules allow.
fn token(user: &str) -> String {
    let encode = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let claims = json!({
        "iss": "tests", "sub": user, "exp": 4_000_000_000_u64,
        "floe": { "namespace": "acme", "rooms": { "**": ["create"] } },
    });
    let text = format!("{}.{}", encode(&json!({ "alg": "HS256" })), encode(&claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    let signature = hmac::sign(&key, text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

impl Guarded {
    fn start() -> Self {
        let server = TestServer::with(|settings| {
            settings.api_keys = KEYS.into();
            let keys = KeySet::of_secrets([Secret::new(None, SECRET).unwrap()]);
            settings.access.issuers.push(IssuerSettings {
                issuer: Issuer::new("tests", keys),
                jwks: None,
            });
        });
        Self { server }
    }

    /// Returns the token of a user, or the key itself.
    fn key(&self, who: &str) -> String {
        if ["olga", "mod", "mia", "rea", "sam"].contains(&who) {
            token(who)
        } else {
            who.to_owned()
        }
    }

    #[track_caller]
    fn send(&self, who: &str, request: Request) -> Response {
        self.server.send(self.by(who, request))
    }

    /// Shows the key of a user; nobody shows none, and names the namespace.
    fn by(&self, who: &str, mut request: Request) -> Request {
        if who == "nobody" {
            request.target = format!("/n/acme{}", request.target);
            return request;
        }
        request.key(&self.key(who))
    }

    /// Returns the status alone, of an answer that may have no end.
    fn status(&self, who: &str, request: Request) -> u16 {
        let mut connection = self.server.connect();
        connection.write(self.by(who, request).bytes());
        connection.head().status
    }

    fn rules(&self, room: &str, body: &Value) -> Value {
        let changed = self.send("olga", put(&format!("/v1/access/{room}")).value(body));
        changed.expect(200).json()
    }

    fn client(&self, who: &str) -> Client {
        match who {
            "nobody" => Client::at(&self.server, "/n/acme/v1/live"),
            _ => Client::with_key(&self.server, &self.key(who)),
        }
    }
}

fn members() -> Value {
    json!({ "owner": "olga", "members": { "mod": "moderator", "mia": "member", "rea": "reader" } })
}

/// What each may do, from the role that it takes.
const RANKS: [(&str, u8); 6] = [
    ("olga", 4),
    ("mod", 3),
    ("mia", 2),
    ("rea", 1),
    ("sam", 0),
    ("nobody", 0),
];

#[test]
fn each_role_may_the_same_on_every_surface() {
    let guarded = Guarded::start();
    guarded.send("olga", put("room").json("[]")).expect(201);
    let made = guarded.send("olga", post("/v1/channels").json(r#"{"name":"room"}"#));
    let channel = Channel::of(&made.expect(201));
    guarded.rules("stream/room", &members());
    guarded.rules(&format!("channel/{}", channel.id), &members());
    for _ in 0..20 {
        guarded.send("olga", channel.says("x", "hers")).expect(201);
    }
    guarded
        .send("admin", get(&channel.at("/query?waitFor=20")))
        .expect(200);
    let requests = [
        (1, get("room?offset=-1")),
        (1, head("room")),
        (1, get("room?offset=-1&live=sse")),
        (2, post("room").json("1")),
        (1, get(&channel.at(""))),
        (1, get(&channel.at("/events"))),
        (1, get(&channel.at("/events/1"))),
        (1, get(&channel.at("/query"))),
        (1, get(&channel.at("/search?mode=substring&q=h"))),
        (1, get(&channel.at("/presence"))),
        (1, get(&channel.at("/poll?afterSeq=0"))),
        (1, get(&channel.at("/subscribe?afterSeq=0"))),
        (1, get(&format!("/v1/stream/{}", channel.stream()))),
        (1, get(&channel.at("/realtime"))),
        (2, channel.says("x", "said")),
        (2, put(&channel.at("/events/1/reactions/up?authorId=x"))),
        (4, get("/v1/access/stream/room")),
        (4, get(&format!("/v1/access/channel/{}", channel.id))),
        (4, patch("/v1/access/stream/room").json("{}")),
        (4, delete("/v1/access/stream/room/members/none")),
        (4, patch(&channel.at("")).json(r#"{"slow":"conflate"}"#)),
        (
            4,
            post(&channel.at("/tokens")).json(r#"{"rights":["read"],"author":"x"}"#),
        ),
        (9, get("/v1/channels")),
        (9, get("/v1/query")),
        (9, get("__registry__?offset=-1")),
    ];
    for (who, rank) in RANKS {
        for (needed, request) in &requests {
            let target = format!("{who}: {} {}", request.method, request.target);
            let status = guarded.status(who, request.clone());
            let refused = if who == "nobody" { 401 } else { 403 };
            if rank >= *needed {
                assert!(status < 300, "{target} {status}");
            } else {
                assert_eq!(status, refused, "{target}");
            }
        }
    }
    // Strangers of another namespace learn nothing, members or not.
    for (needed, request) in &requests[..21] {
        let status = guarded.status("stranger", request.clone());
        assert_eq!(status, 404, "{needed} {}", request.target);
    }
    guarded
        .send("mia", delete("room"))
        .refused(403, "FORBIDDEN");
    guarded.send("olga", delete("room")).expect(204);
}

#[test]
fn members_delete_their_own_and_moderators_anyones() {
    let guarded = Guarded::start();
    let made = guarded.send("olga", post("/v1/channels").json(r#"{"name":"room"}"#));
    let channel = Channel::of(&made.expect(201));
    guarded.rules(&format!("channel/{}", channel.id), &members());
    for who in ["olga", "mia", "mod", "mia"] {
        guarded.send(who, channel.says("somebody", "x")).expect(201);
    }
    let remove = |seq: u64| delete(&channel.at(&format!("/events/{seq}?authorId=olga")));
    guarded.send("mia", remove(1)).refused(403, "FORBIDDEN");
    guarded.send("rea", remove(2)).refused(403, "FORBIDDEN");
    assert!(guarded.status("mia", remove(2)) < 300);
    assert!(guarded.status("mod", remove(1)) < 300);
    let edit = |seq: u64| {
        let body = json!({ "authorId": "olga", "content": "mine" });
        patch(&channel.at(&format!("/events/{seq}"))).value(&body)
    };
    guarded.send("mia", edit(3)).refused(403, "FORBIDDEN");
    assert!(guarded.status("mia", edit(4)) < 300);
    // Whatever they say themselves, it is they who said it.
    let read = get(&format!("/v1/stream/{}?offset=-1", channel.stream()));
    let events = guarded.send("admin", read).expect(200).json();
    let authors = events.as_array().unwrap().iter();
    let authors: Vec<_> = authors
        .map(|event| event["authorId"].as_str().unwrap_or("-"))
        .collect();
    assert_eq!(authors, ["-", "-", "mod", "mia", "mia", "mod", "mia"]);
    // A key without a user lets its bearer say who speaks.
    let said = guarded
        .send("nameless", channel.says("guest", "x"))
        .expect(201);
    assert_eq!(said.json()["event"]["authorId"], "guest");
    let anonymous = post(&channel.at("/events")).json(r#"{"content":"x"}"#);
    let refused = guarded.send("nameless", anonymous.clone());
    refused.refused(400, "INVALID_REQUEST");
    let said = guarded.send("mia", anonymous).expect(201);
    assert_eq!(said.json()["event"]["authorId"], "mia");
}

#[test]
fn live_connections_do_what_their_role_allows_and_speak_in_their_own_name() {
    let guarded = Guarded::start();
    guarded.send("olga", put("room").json("[]")).expect(201);
    let made = guarded.send("olga", post("/v1/channels").json(r#"{"name":"room"}"#));
    let channel = Channel::of(&made.expect(201));
    for room in ["stream/room".to_owned(), format!("channel/{}", channel.id)] {
        guarded.rules(&room, &members());
        for (who, rank) in RANKS {
            let mut client = guarded.client(who);
            let join = json!({
                "type": "join", "room": room, "user": "else", "presence": "member", "memory": "",
            });
            let code = if who == "nobody" {
                "UNAUTHORIZED"
            } else {
                "FORBIDDEN"
            };
            if rank == 0 {
                client.refused(join, code);
                continue;
            }
            assert_eq!(client.ask(join)["user"], who);
            let append = match room.starts_with("stream") {
                true => json!({ "type": "append", "room": room, "data": 1 }),
                false => json!({
                    "type": "append", "room": room, "content": "x", "authorId": "else",
                }),
            };
            for frame in [
                append,
                json!({ "type": "typing", "room": room, "typing": true }),
                json!({ "type": "memory", "room": room, "op": "set", "key": who, "value": 1 }),
            ] {
                if rank >= 2 {
                    assert_eq!(client.ask(frame)["type"], "ack", "{who}");
                } else {
                    client.refused(frame, "FORBIDDEN");
                }
            }
            let typing = json!({ "type": "typing", "room": room, "typing": false });
            if rank >= 2 {
                client.ask(typing);
            }
        }
    }
    let events = guarded.send("olga", get(&channel.at("/events"))).json();
    let authors = events["events"].as_array().unwrap().iter();
    let authors: Vec<_> = authors
        .map(|event| event["authorId"].as_str().unwrap())
        .collect();
    assert_eq!(authors, ["olga", "mod", "mia"]);
}

#[test]
fn everyone_reads_a_public_room_and_lists_none() {
    let guarded = Guarded::start();
    guarded.send("olga", put("room").json("[1]")).expect(201);
    let made = guarded.send("olga", post("/v1/channels").json(r#"{"name":"room"}"#));
    let channel = Channel::of(&made.expect(201));
    guarded.send("olga", channel.says("x", "said")).expect(201);
    guarded
        .send("admin", get(&channel.at("/query?waitFor=1")))
        .expect(200);
    let own = format!("channel/{}", channel.id);
    for room in ["stream/room", &own] {
        let rules = guarded.rules(room, &json!({ "public": "read", "owner": "olga" }));
        assert_eq!(rules["public"], "read");
    }
    let reads = [
        get("room?offset=-1"),
        head("room"),
        get("room?offset=-1&live=long-poll"),
        get("room?offset=-1&live=sse"),
        get(&channel.at("")),
        get(&channel.at("/events")),
        get(&channel.at("/events/1")),
        get(&channel.at("/query")),
        get(&channel.at("/search?mode=substring&q=s")),
        get(&channel.at("/presence")),
        get(&channel.at("/poll?afterSeq=0")),
        get(&channel.at("/subscribe?afterSeq=0")),
        get(&format!("/v1/stream/{}?offset=-1", channel.stream())),
    ];
    let others = [
        post("room").json("1"),
        delete("room"),
        channel.says("x", "x"),
        put(&channel.at("/events/1/reactions/up?authorId=x")),
        delete(&channel.at("/events/1?authorId=olga")),
        get("/v1/access/stream/room"),
        get("/v1/channels"),
        get("/v1/query"),
        get("/v1/search?q=said"),
        get("__registry__?offset=-1"),
    ];
    for who in ["nobody", "sam"] {
        for request in &reads {
            let status = guarded.status(who, request.clone());
            assert_eq!(status, 200, "{who} {}", request.target);
        }
        for request in &others {
            let status = guarded.status(who, request.clone());
            let refused = if who == "nobody" { 401 } else { 403 };
            assert_eq!(status, refused, "{who} {}", request.target);
        }
        for room in ["stream/room", &own] {
            let mut client = guarded.client(who);
            let member = json!({
                "type": "join", "room": room, "user": "ghost", "presence": "member",
            });
            client.refused(member, "FORBIDDEN");
            let watch = json!({ "type": "join", "room": room, "presence": "watch" });
            assert_eq!(client.ask(watch)["type"], "joined");
            let typing = json!({ "type": "typing", "room": room, "typing": true });
            let refused = client.ask(typing);
            assert_eq!(refused["type"], "error", "{refused}");
            let set = json!({
                "type": "memory", "room": room, "op": "set", "key": "a", "value": 1,
            });
            client.refused(set, "FORBIDDEN");
        }
    }
    // A room of another namespace is public there.
    let there = guarded.send("stranger", get("room?offset=-1"));
    there.refused(404, "NOT_FOUND");
    guarded
        .send("stranger", get(&channel.at("")))
        .refused(404, "NOT_FOUND");
}

#[test]
fn whoever_loses_the_right_to_listen_is_ended_and_others_stay() {
    let guarded = Guarded::start();
    guarded.send("olga", put("room").json("[1]")).expect(201);
    let made = guarded.send("olga", post("/v1/channels").json(r#"{"name":"room"}"#));
    let channel = Channel::of(&made.expect(201));
    let own = format!("channel/{}", channel.id);
    let sse = |who: &str, target: &str| {
        let request = guarded.by(who, get(target));
        guarded.server.connect().follow(&request)
    };
    for room in ["stream/room", &own] {
        let public = json!({ "public": "read", "owner": "olga", "members": { "mia": "member" } });
        guarded.rules(room, &public);
    }
    let stream = "/v1/stream/room?offset=now&live=sse";
    let subscribe = channel.at("/subscribe?afterSeq=0");
    let mut ended = vec![sse("nobody", stream), sse("sam", stream)];
    let mut kept = vec![sse("mia", stream), sse("admin", stream)];
    for events in ended.iter_mut().chain(&mut kept) {
        events.step().unwrap();
    }
    let mut channel_ended = vec![sse("nobody", &subscribe), sse("sam", &subscribe)];
    let mut channel_kept = vec![sse("mia", &subscribe), sse("admin", &subscribe)];
    for events in channel_ended.iter_mut().chain(&mut channel_kept) {
        assert_eq!(events.message().unwrap().kind, "connected");
    }
    let mut poll = guarded.server.connect();
    poll.write(
        guarded
            .by("sam", get("room?offset=now&live=long-poll"))
            .bytes(),
    );
    let mut clients: Vec<_> = ["nobody", "sam", "mia"]
        .into_iter()
        .map(|who| (who, guarded.client(who)))
        .collect();
    for (_, client) in &mut clients {
        for room in ["stream/room", &own] {
            client.ask(json!({ "type": "join", "room": room }));
        }
    }
    for room in ["stream/room", &own] {
        let private = patch(&format!("/v1/access/{room}")).json(r#"{"public":"none"}"#);
        guarded.send("olga", private).expect(200);
    }
    for events in &mut ended {
        assert_eq!(events.step(), None);
    }
    for events in &mut channel_ended {
        assert_eq!(events.message().unwrap().kind, "closed");
        assert_eq!(events.message(), None);
    }
    assert_eq!(poll.head().status, 403);
    for (who, client) in &mut clients {
        if *who == "mia" {
            continue;
        }
        for _ in 0..2 {
            let closed = client.next_of("closed");
            let code = if *who == "nobody" {
                "UNAUTHORIZED"
            } else {
                "FORBIDDEN"
            };
            assert_eq!(closed["code"], code, "{who}");
        }
    }
    guarded.send("mia", post("room").json("2")).expect(204);
    guarded
        .send("mia", channel.says("x", "still here"))
        .expect(201);
    for events in &mut kept {
        assert_eq!(events.step().unwrap().data.as_deref(), Some("[2]"));
    }
    for events in &mut channel_kept {
        assert_eq!(events.message().unwrap().seq(), 1);
    }
    // A member goes, and then nobody is left but who has a key to it.
    for room in ["stream/room", &own] {
        let remove = delete(&format!("/v1/access/{room}/members/mia"));
        let rules = guarded.send("olga", remove).expect(200).json();
        assert_eq!(rules["members"], json!({}));
    }
    assert_eq!(kept[0].step(), None);
    assert_eq!(channel_kept[0].message().unwrap().kind, "closed");
    clients[2].1.next_of("closed");
    guarded
        .send("mia", post("room").json("3"))
        .refused(403, "FORBIDDEN");
    guarded.send("admin", post("room").json("3")).expect(204);
    assert_eq!(kept[1].step().unwrap().data.as_deref(), Some("[3]"));
}

#[test]
fn a_member_who_may_only_read_any_more_is_seen_no_longer() {
    let guarded = Guarded::start();
    guarded.send("olga", put("room").json("[1]")).expect(201);
    let mut public = members();
    public["public"] = json!("read");
    guarded.rules("stream/room", &public);
    let join =
        |presence: &str| json!({ "type": "join", "room": "stream/room", "presence": presence });
    let (mut seen, mut unseen) = (guarded.client("mia"), guarded.client("mia"));
    seen.ask(join("member"));
    unseen.ask(join("watch"));
    let remove = delete("/v1/access/stream/room/members/mia");
    guarded.send("olga", remove).expect(200);
    assert_eq!(seen.next_of("closed")["code"], "FORBIDDEN");
    let members = unseen.ask(json!({ "type": "members", "room": "stream/room" }));
    assert_eq!(members["count"], 0);
    unseen.refused(
        json!({ "type": "append", "room": "stream/room", "data": 2 }),
        "FORBIDDEN",
    );
    seen.refused(join("member"), "FORBIDDEN");
    assert_eq!(seen.ask(join("watch"))["type"], "joined");
    // A role that comes back is good at once.
    guarded.rules("stream/room", &public);
    let append = json!({ "type": "append", "room": "stream/room", "data": 2 });
    assert_eq!(seen.ask(append)["type"], "ack");
}

#[test]
fn rules_have_a_version_and_are_there_after_a_restart() {
    let mut guarded = Guarded::start();
    guarded.send("olga", put("room").json("[]")).expect(201);
    let at = "/v1/access/stream/room";
    let made = guarded.send("olga", get(at)).expect(200);
    assert_eq!(made.header("etag"), Some("\"1\""));
    assert_eq!(
        made.json(),
        json!({
            "room": "stream/room", "version": 1, "public": "none", "owner": "olga", "members": {},
        })
    );
    // A key without a user owns nothing.
    guarded.send("admin", put("plain").json("[]")).expect(201);
    let plain = guarded.send("admin", get("/v1/access/stream/plain")).json();
    assert_eq!(
        (&plain["version"], &plain["owner"]),
        (&json!(0), &Value::Null)
    );
    let add = |role: &str, version: &str| {
        patch(at)
            .field("If-Match", version)
            .value(&json!({ "members": { "mia": role } }))
    };
    let changed = guarded.send("olga", add("reader", "\"1\"")).expect(200);
    assert_eq!(changed.header("etag"), Some("\"2\""));
    guarded
        .send("olga", add("member", "\"1\""))
        .refused(409, "FENCED");
    guarded.send("olga", add("member", "\"2\"")).expect(200);
    let same = guarded.send("olga", add("member", "*")).expect(200);
    assert_eq!(same.json()["version"], 3);
    // What changed is in the audit log, and what did not is not.
    let log = guarded
        .send("admin", get("__audit__?offset=-1"))
        .expect(200);
    let log = log.json();
    let acts: Vec<_> = log.as_array().unwrap().iter().collect();
    assert_eq!(acts.len(), 2, "{log}");
    for (act, role) in acts.iter().zip(["reader", "member"]) {
        assert_eq!(act["act"], "room.rules");
        assert_eq!(act["by"]["user"], "olga");
        let target = json!({ "room": "stream/room", "members": { "mia": role } });
        assert_eq!(act["target"], target);
    }
    for (request, code) in [
        (put(at).json(r#"{"public":"write"}"#), "INVALID_REQUEST"),
        (put(at).json(r#"{"owner":""}"#), "INVALID_REQUEST"),
        (put(at).json("{"), "INVALID_JSON"),
        (post(at).json("{}"), "METHOD_NOT_ALLOWED"),
        (get("/v1/access/nothing"), "UNKNOWN_ROUTE"),
        (get("/v1/access/stream/__registry__"), "NOT_FOUND"),
        (get("/v1/access/stream/__ds/x"), "NOT_FOUND"),
    ] {
        let refused = guarded.send("olga", request);
        assert_eq!(refused.code(), code, "{refused:?}");
    }
    guarded
        .send("olga", get("/v1/access/stream/none"))
        .refused(403, "FORBIDDEN");
    guarded
        .send("admin", get("/v1/access/stream/none"))
        .refused(404, "NOT_FOUND");
    let asked = options(at).field("Origin", "https://a.example");
    guarded.server.expect(204, asked);
    guarded.server = guarded.server.restart();
    let kept = guarded.send("olga", get(at)).expect(200).json();
    assert_eq!(kept["members"], json!({ "mia": "member" }));
    assert_eq!(kept["version"], 3);
    guarded.send("mia", post("room").json("1")).expect(204);
    // A fork is its maker's own.
    let fork = put("copy").field("Stream-Forked-From", "/v1/stream/room");
    guarded.send("mia", fork).expect(201);
    let forked = guarded
        .send("mia", get("/v1/access/stream/copy"))
        .expect(200)
        .json();
    assert_eq!(
        (&forked["owner"], &forked["members"]),
        (&json!("mia"), &json!({}))
    );
}

#[test]
fn without_keys_anyone_may_and_nobody_owns() {
    let server = TestServer::start();
    server.expect(201, put("room").json("[]"));
    let at = "/v1/access/stream/room";
    assert_eq!(server.expect(200, get(at)).json()["owner"], Value::Null);
    let rules = server.expect(200, put(at).value(&members())).json();
    assert_eq!(rules["version"], 1);
    let server = server.restart();
    assert_eq!(server.expect(200, get(at)).json(), rules);
    server.expect(204, post("room").json("1"));
}
