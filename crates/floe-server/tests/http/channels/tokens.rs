//! Tokens of channels: what they open, what ends them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{contents, events};
use crate::harness::{
    Channel, Request, Response, TestServer, delete, eventually, get, patch, post, put,
};

/// Hours of tokens count from here: 2024-01-01 UTC.
const EPOCH_S: u64 = 1_704_067_200;

fn sign(server: &TestServer, channel: &Channel, body: &Value) -> Response {
    server.send(post(&channel.at("/tokens")).value(body))
}

/// What a request needs of its bearer, and the request.
fn deeds(channel: &Channel) -> Vec<(&'static [&'static str], Request)> {
    const READ: &[&str] = &["read"];
    const APPEND: &[&str] = &["append"];
    const DELETE: &[&str] = &["delete:own", "delete:any"];
    const ENTER: &[&str] = &["read", "append"];
    let id = &channel.id;
    let body = json!({ "content": "x" });
    let kept = json!({ "channelId": id, "content": "x", "targetSeq": 5 });
    vec![
        (READ, get(&channel.at(""))),
        (READ, get(&channel.at("/events"))),
        (READ, get(&channel.at("/events/1"))),
        (READ, get(&channel.at("/query"))),
        (READ, get(&channel.at("/search?mode=substring&q=x"))),
        (READ, get(&channel.at("/poll?afterSeq=0"))),
        (READ, get(&channel.at("/presence"))),
        (READ, post("/channel/read").value(&kept)),
        (READ, get(&channel.stream())),
        (READ, crate::harness::head(&channel.stream())),
        (APPEND, post(&channel.at("/events")).value(&body)),
        (APPEND, patch(&channel.at("/events/1")).value(&body)),
        (APPEND, put(&channel.at("/events/1/reactions/up"))),
        (APPEND, delete(&channel.at("/events/1/reactions/up"))),
        (APPEND, post("/channel/append").value(&kept)),
        (DELETE, delete(&channel.at("/events/2"))),
        (DELETE, post("/channel/delete-event").value(&kept)),
        (ENTER, get(&channel.at("/realtime"))),
    ]
}

#[test]
fn a_token_opens_what_its_rights_say_and_nothing_else() {
    const RIGHTS: [&str; 5] = ["read", "append", "read:deleted", "delete:own", "delete:any"];
    let server = TestServer::start();
    for chosen in 1..1_u32 << RIGHTS.len() {
        let rights: Vec<_> = (0..RIGHTS.len())
            .filter(|at| chosen >> at & 1 == 1)
            .map(|at| RIGHTS[at])
            .collect();
        let channel = server.channel();
        server.expect(201, channel.says_all("tim", &["1", "2", "3", "4", "5"]));
        server.expect(200, get(&channel.at("/query?waitFor=5")));
        let token = server.token(&channel, &rights, "tim");
        for (needed, request) in deeds(&channel) {
            let target = format!("{} {}", request.method, request.target);
            let answer = server.send(request.token(&token));
            if needed.iter().any(|right| rights.contains(right)) {
                assert!(answer.status < 300, "{rights:?} {target} {answer:?}");
            } else if target.starts_with("HEAD") {
                assert_eq!(answer.status, 403, "{rights:?} {target}");
            } else {
                assert_eq!(
                    (answer.status, answer.code().as_str()),
                    (403, "FORBIDDEN"),
                    "{rights:?} {target}"
                );
            }
        }
        let sse = get(&channel.at(&format!("/subscribe?token={token}")));
        let mut connection = server.connect();
        connection.write(sse.bytes());
        let expected = if rights.contains(&"read") { 200 } else { 403 };
        assert_eq!(connection.head().status, expected, "{rights:?}");
    }
}

#[test]
fn no_token_manages_channels() {
    let server = TestServer::start();
    let channel = server.channel();
    let all = ["read", "append", "read:deleted", "delete:own", "delete:any"];
    let token = server.token(&channel, &all, "tim");
    let kept = json!({ "namespace": "default", "name": "x", "channelId": channel.id });
    let signed = json!({ "rights": ["read"], "author": "x" });
    for request in [
        post("/v1/channels").json(r#"{"name":"x"}"#),
        get("/v1/channels"),
        get("/v1/query"),
        get("/v1/search?q=x"),
        patch(&channel.at("")).json(r#"{"slow":"conflate"}"#),
        delete(&channel.at("")),
        post(&channel.at("/tokens")).value(&signed),
        post(&channel.at("/secret")),
        post("/channel/create").value(&kept),
        post("/channel/list").value(&kept),
        post("/channel/delete").value(&kept),
        post("/log/create").value(&kept),
    ] {
        let target = request.target.clone();
        let answer = server.send(request.token(&token));
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (403, "FORBIDDEN"),
            "{target}"
        );
    }
    assert_eq!(
        server.expect(200, get("/v1/channels")).json()["channels"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    server.expect(200, get(&channel.at("/events")).token(&token));
}

#[test]
fn a_tokens_author_goes_before_what_the_request_says() {
    let server = TestServer::start();
    let channel = server.channel();
    let token = server.token(&channel, &["append", "delete:own"], "tim");
    for body in [
        json!({ "content": "x" }),
        json!({ "content": "x", "authorId": "ann" }),
        json!({ "content": "x", "authorId": 7 }),
    ] {
        let event = server.expect(201, post(&channel.at("/events")).token(&token).value(&body));
        assert_eq!(event.json()["event"]["authorId"], "tim");
    }
    let reacted = put(&channel.at("/events/1/reactions/up?authorId=ann")).token(&token);
    assert_eq!(
        server.expect(201, reacted).json()["event"]["authorId"],
        "tim"
    );
    let body = json!({ "channelId": channel.id, "content": "x", "authorId": "ann" });
    let event = server.expect(200, post("/channel/append").token(&token).value(&body));
    assert_eq!(event.json()["event"]["authorId"], "tim");
}

#[test]
fn a_token_has_the_bytes_of_the_contract() {
    let server = TestServer::start();
    let channel = server.channel();
    let body = json!({ "rights": ["read", "delete:any"], "author": "t\u{ef}m", "expiresInSeconds": 5_000 });
    let answer = sign(&server, &channel, &body).expect(201).json();
    let bytes = URL_SAFE_NO_PAD
        .decode(answer["token"].as_str().unwrap())
        .unwrap();
    assert_eq!(bytes[0], 4);
    let id: String = bytes[1..7]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(id, channel.id);
    assert_eq!((bytes[7], bytes[8]), (1 | 16, 4));
    assert_eq!(&bytes[9..13], "t\u{ef}m".as_bytes());
    let hours = u64::from(u32::from_be_bytes([0, bytes[13], bytes[14], bytes[15]]));
    let mac = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, channel.secret.as_bytes());
    assert_eq!(
        bytes[16..],
        aws_lc_rs::hmac::sign(&mac, &bytes[..16]).as_ref()[..12]
    );
    // What is told of its end is what the bytes say.
    let ends_s = EPOCH_S + hours * 3_600;
    let told = answer["expiresAt"].as_str().unwrap();
    let found = server.ask(
        &channel,
        &format!(
            "/query?afterDate={told}&beforeDate={}",
            (ends_s + 1) * 1_000
        ),
    );
    assert_eq!(contents(&found), [""; 0]);
    assert!(told.ends_with(":00:00.000Z"), "{told}");
    let now_s = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_secs();
    assert!((now_s + 4_990..=now_s + 5_000 + 3_600).contains(&ends_s));
}

/// Signs a token that no server would, with the channel's own secret.
fn forged(channel: &Channel, id: &str, rights: u8, author: &[u8], ends_s: u64) -> String {
    let mut bytes = vec![4];
    for at in (0..12).step_by(2) {
        bytes.push(u8::from_str_radix(&id[at..at + 2], 16).unwrap());
    }
    bytes.extend([rights, author.len() as u8]);
    bytes.extend_from_slice(author);
    bytes.extend_from_slice(&(((ends_s - EPOCH_S) / 3_600) as u32).to_be_bytes()[1..]);
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, channel.secret.as_bytes());
    let signature = aws_lc_rs::hmac::sign(&key, &bytes);
    bytes.extend_from_slice(&signature.as_ref()[..12]);
    URL_SAFE_NO_PAD.encode(bytes)
}

#[test]
fn a_token_ends_when_it_says() {
    let server = TestServer::start();
    let channel = server.channel();
    let now_s = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_secs();
    let over = forged(&channel, &channel.id, 3, b"tim", now_s);
    server
        .send(get(&channel.at("/events")).token(&over))
        .refused(401, "UNAUTHORIZED");
    let lives = forged(&channel, &channel.id, 3, b"tim", now_s + 3_600);
    server.expect(200, get(&channel.at("/events")).token(&lives));
}

#[test]
fn what_is_no_token_of_the_channel_opens_nothing() {
    let server = TestServer::start();
    let channel = server.channel();
    let other = server.channel();
    let now_s = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_secs();
    let good = forged(&channel, &channel.id, 1, b"tim", now_s + 7_200);
    server.expect(200, get(&channel.at("/events")).token(&good));
    let mut flipped = URL_SAFE_NO_PAD.decode(&good).unwrap();
    let bits = flipped.len() * 8;
    for bit in (0..bits).step_by(3) {
        flipped[bit / 8] ^= 1 << (bit % 8);
        let token = URL_SAFE_NO_PAD.encode(&flipped);
        let answer = server.send(get(&channel.at("/events")).token(&token));
        assert!(matches!(answer.status, 401 | 403), "{bit} {answer:?}");
        flipped[bit / 8] ^= 1 << (bit % 8);
    }
    for token in [
        "x".to_owned(),
        "AAAA".to_owned(),
        "=".to_owned(),
        good[..good.len() - 1].to_owned(),
        format!("{good}A"),
        format!("{good}=="),
        "A".repeat(5_000),
        "\u{fffd}".to_owned(),
        // Signed with the right secret, for another channel; or with no author.
        forged(&channel, &other.id, 31, b"tim", now_s + 7_200),
        forged(&other, &channel.id, 31, b"tim", now_s + 7_200),
        forged(&channel, &channel.id, 31, b"", now_s + 7_200),
        forged(&channel, &channel.id, 31, &[b'a'; 33], now_s + 7_200),
        forged(&channel, &channel.id, 31, &[0xff, 0xfe], now_s + 7_200),
        forged(&channel, &channel.id, 255, b"tim", now_s + 7_200),
    ] {
        let answer = server.send(get(&channel.at("/events")).token(&token));
        assert!(matches!(answer.status, 401 | 403), "{token} {answer:?}");
        let answer = server.send(get(&channel.stream()).token(&token));
        assert!(matches!(answer.status, 401 | 403), "{token} {answer:?}");
    }
}

#[test]
fn a_new_secret_ends_all_tokens_signed_with_the_old_one() {
    let server = TestServer::start();
    let channel = server.channel();
    let old = server.token(&channel, &["read"], "tim");
    let rotated = server.expect(200, post(&channel.at("/secret"))).json();
    assert_eq!(rotated["channelId"], channel.id.as_str());
    let secret = rotated["secret"].as_str().unwrap().to_owned();
    assert!(secret.len() == 64 && secret != channel.secret);
    let new = server.token(&channel, &["read"], "tim");
    let check = |server: &TestServer| {
        server
            .send(get(&channel.at("/events")).token(&old))
            .refused(401, "UNAUTHORIZED");
        server.expect(200, get(&channel.at("/events")).token(&new));
    };
    check(&server);
    check(&server.crashed());
    check(&server.restart());
}

#[test]
fn a_new_secret_ends_whoever_follows_by_a_token_of_the_old_one() {
    let server = TestServer::start();
    let channel = server.channel();
    server.fill(&channel, 1);
    let token = server.token(&channel, &["read"], "tim");
    let mut stays = server.subscribe(&channel, 1);
    let follow = |target: &str| server.connect().follow(&get(target).token(&token));
    let mut sse = follow(&channel.at("/subscribe?afterSeq=1"));
    let mut kept = follow(&format!(
        "/channel/subscribe?channelId={}&afterSeq=1",
        channel.id
    ));
    for events in [&mut sse, &mut kept] {
        assert_eq!(events.message().unwrap().kind, "connected");
    }
    let mut stream = follow(&format!("{}?offset=now&live=sse", channel.stream()));
    assert!(stream.step().unwrap().is_up_to_date());
    let wait = |target: &str| {
        let mut connection = server.connect();
        connection.write(get(target).token(&token).bytes());
        connection
    };
    let mut poll = wait(&channel.at("/poll?afterSeq=1"));
    let mut stream_poll = wait(&format!("{}?offset=now&live=long-poll", channel.stream()));
    eventually("all wait", || server.metric("floe_live_readers") == 6.0);
    server.expect(200, post(&channel.at("/secret")));
    server.say(&channel, "ann", "not for tim");
    for events in [&mut sse, &mut kept] {
        let closed = events.message().unwrap();
        assert_eq!(
            (closed.kind.as_str(), &closed.json()["code"]),
            ("closed", &json!("UNAUTHORIZED"))
        );
        assert_eq!(events.message(), None);
    }
    assert_eq!(stream.step(), None);
    poll.answer().refused(401, "UNAUTHORIZED");
    assert!(!stream_poll.answer().text().contains("not for tim"));
    // Who needs no token goes on.
    assert_eq!(stays.message().unwrap().json()["content"], "not for tim");
}

#[test]
fn a_token_is_the_bearers_whole_worth() {
    let server = TestServer::with(|settings| settings.api_keys = "*:admin:root".into());
    let created = server.expect(
        201,
        post("/v1/channels").key("root").json(r#"{"name":"x"}"#),
    );
    let channel = Channel::of(&created);
    let body = json!({ "rights": ["read"], "author": "tim" });
    let signed = server.expect(201, post(&channel.at("/tokens")).key("root").value(&body));
    let token = signed.json()["token"].as_str().unwrap().to_owned();
    // Showing the key, too, allows no more, and a wrong key no less.
    let both = || channel.says("ann", "x").token(&token);
    server.send(both().key("root")).refused(403, "FORBIDDEN");
    server.expect(200, get(&channel.at("/events")).token(&token).key("wrong"));
    server.expect(
        200,
        get(&channel.at("/events")).field("X-Log-Token", &token),
    );
    let target = channel.at(&format!("/poll?token={token}"));
    let mut waiting = server.connect();
    waiting.write(get(&target).bytes());
    server.expect(201, channel.says("ann", "x").key("root"));
    assert_eq!(contents(&waiting.answer().expect(200).json()), ["x"]);
    let target = format!("{}?token={token}", channel.stream());
    server.send(get(&target)).expect(200);
    // Where a route takes no token in its query, it is not read.
    let target = channel.at(&format!("/events?token={token}"));
    assert!(server.send(get(&target)).status >= 400);
}

#[test]
fn tokens_are_refused_with_reasons() {
    let server = TestServer::start();
    let channel = server.channel();
    for body in [
        json!({ "rights": [], "author": "tim" }),
        json!({ "rights": ["fly"], "author": "tim" }),
        json!({ "rights": "read", "author": "tim" }),
        json!({ "rights": [1], "author": "tim" }),
        json!({ "author": "tim" }),
        json!({ "rights": ["read"] }),
        json!({ "rights": ["read"], "author": "" }),
        json!({ "rights": ["read"], "author": "a".repeat(33) }),
        json!({ "rights": ["read"], "author": "\u{20ac}".repeat(11) }),
        json!({ "rights": ["read"], "author": "tim", "expiresInSeconds": 0 }),
        json!({ "rights": ["read"], "author": "tim", "expiresInSeconds": -5 }),
        json!({ "rights": ["read"], "author": "tim", "expiresInSeconds": u64::MAX }),
        json!({ "rights": ["read"], "author": "tim", "more": 1 }),
    ] {
        sign(&server, &channel, &body).refused(400, "INVALID_REQUEST");
    }
    let longest = json!({ "rights": ["read"], "author": "a".repeat(32) });
    let token = sign(&server, &channel, &longest).expect(201).json();
    let token = token["token"].as_str().unwrap();
    assert!(
        events(
            &server
                .expect(200, get(&channel.at("/events")).token(token))
                .json()
        )
        .is_empty()
    );
}
