//! API keys: what lies in another namespace is not there.

use serde_json::{Value, json};

use super::{contents, seqs};
use crate::harness::{Channel, Request, TestServer, delete, get, head, options, patch, post, put};

const KEYS: &str = "team:read:t-read team:write:t-write team:read,write:t-both team:admin:t-admin \
    other:admin:o-admin *:admin:root *:read:eye";

fn locked() -> TestServer {
    TestServer::with(|settings| settings.api_keys = KEYS.into())
}

fn create(server: &TestServer, key: &str, name: &str) -> Channel {
    let body = json!({ "name": name });
    Channel::of(&server.expect(201, post("/v1/channels").key(key).value(&body)))
}

/// Every request for one channel, and the right of a key that it needs.
fn deeds(channel: &Channel) -> Vec<(&'static str, Request)> {
    let token = json!({ "rights": ["read"], "author": "x" });
    let kept = json!({
        "channelId": channel.id, "logId": channel.id, "content": "x", "authorId": "ann",
        "targetSeq": 6,
    });
    let kept_token = json!({
        "channelId": channel.id, "namespace": "team", "permissions": ["read"], "displayName": "x",
    });
    let edit = json!({ "authorId": "ann", "content": "x" });
    let id = &channel.id;
    vec![
        ("read", get(&channel.at(""))),
        ("read", get(&channel.at("/events"))),
        ("read", get(&channel.at("/events/1"))),
        ("read", get(&channel.at("/query"))),
        ("read", get(&channel.at("/search?mode=substring&q=x"))),
        ("read", get(&channel.at("/poll?afterSeq=0"))),
        ("read", get(&channel.at("/presence"))),
        ("read", get(&channel.at("/subscribe?afterSeq=0"))),
        ("read", get(&format!("/channel/subscribe?channelId={id}"))),
        ("read", post("/channel/read").value(&kept)),
        ("read", post("/log/read").value(&kept)),
        ("read", get(&channel.stream())),
        ("read", head(&channel.stream())),
        (
            "read",
            get(&format!("{}?offset=-1&live=sse", channel.stream())),
        ),
        (
            "read",
            get(&format!("{}?offset=-1&live=long-poll", channel.stream())),
        ),
        ("read write", get(&channel.at("/realtime"))),
        ("write", channel.says("ann", "x")),
        ("write", channel.says_all("ann", &["x", "y"])),
        ("write", post("/channel/append").value(&kept)),
        ("write", post("/log/append").value(&kept)),
        ("write", patch(&channel.at("/events/1")).value(&edit)),
        (
            "write",
            put(&channel.at("/events/1/reactions/up?authorId=ann")),
        ),
        (
            "write",
            delete(&channel.at("/events/1/reactions/up?authorId=ann")),
        ),
        ("write", delete(&channel.at("/events/2?authorId=ann"))),
        ("write", post("/channel/delete-event").value(&kept)),
        (
            "admin",
            patch(&channel.at("")).json(r#"{"slow":"conflate"}"#),
        ),
        ("admin", post(&channel.at("/tokens")).value(&token)),
        ("admin", post("/channel/token/create").value(&kept_token)),
        ("admin", post(&channel.at("/secret"))),
        ("admin", delete(&channel.at(""))),
    ]
}

/// Sends a request; reads no further than the head of an answer without an end.
fn status(server: &TestServer, request: &Request) -> u16 {
    let mut connection = server.connect();
    connection.write(request.bytes());
    connection.head().status
}

#[test]
fn each_key_may_do_what_its_rights_say() {
    let server = locked();
    for (key, rights) in [
        ("t-read", "read"),
        ("t-write", "write"),
        ("t-both", "read write"),
        ("t-admin", "read write admin"),
        ("root", "read write admin"),
        ("eye", "read"),
    ] {
        let channel = create(&server, "t-admin", "x");
        let fill = channel.says_all("ann", &["1", "2", "3", "4", "5", "6"]);
        server.expect(201, fill.key("t-admin"));
        server.expect(200, get(&channel.at("/query?waitFor=6")).key("root"));
        for (needed, request) in deeds(&channel) {
            let target = format!("{key}: {} {}", request.method, request.target);
            let may = needed
                .split(' ')
                .any(|right| rights.split(' ').any(|has| has == right));
            let status = status(&server, &request.key(key));
            if may {
                assert!(status < 300, "{target} {status}");
            } else {
                assert_eq!(status, 403, "{target}");
            }
        }
    }
}

#[test]
fn without_a_good_key_nothing_is_there() {
    let server = locked();
    let channel = create(&server, "t-admin", "x");
    let none = Channel {
        id: "0123456789ab".into(),
        secret: String::new(),
    };
    let mut requests = vec![
        post("/v1/channels").json(r#"{"name":"x"}"#),
        get("/v1/channels"),
        get("/v1/query"),
        get("/v1/search?q=x"),
        post("/channel/create").json(r#"{"namespace":"team","name":"x"}"#),
        post("/channel/list").json(r#"{"namespace":"team"}"#),
        post("/log/list").json(r#"{"namespace":"team"}"#),
    ];
    requests.extend(deeds(&channel).into_iter().map(|(_, request)| request));
    requests.extend(deeds(&none).into_iter().map(|(_, request)| request));
    for request in requests {
        let target = format!("{} {}", request.method, request.target);
        assert_eq!(status(&server, &request), 401, "{target}");
        let wrong = request.clone().key("wrong");
        assert_eq!(status(&server, &wrong), 401, "{target}");
        for field in [
            "",
            "ApiKey",
            "ApiKey ",
            "Basic dDphZG1pbg==",
            "t-admin2",
            "Bearer",
        ] {
            let wrong = request.clone().field("Authorization", field);
            assert_eq!(status(&server, &wrong), 401, "{target} {field}");
        }
    }
    let bearer = get(&channel.at("")).field("Authorization", "Bearer t-admin");
    server.expect(200, bearer);
    for open in [
        "/ping",
        "/v1/openapi.json",
        "/healthz",
        "/",
        "/room",
        "/board",
        "/chat",
    ] {
        server.expect(200, get(open));
    }
    for (key, expected) in [("t-admin", 403), ("eye", 403), ("root", 200)] {
        assert_eq!(
            status(&server, &get("/metrics").key(key)),
            expected,
            "{key}"
        );
    }
    assert_eq!(status(&server, &get("/metrics")), 401);
    // A browser asks about headers without any credentials.
    for target in [
        channel.at("/events"),
        "/channel/append".into(),
        format!("/v1/stream/{}", channel.stream()),
    ] {
        let asked = options(&target).field("Origin", "https://a.example");
        assert_eq!(server.send(asked).status, 204, "{target}");
    }
}

#[test]
fn what_lies_in_another_namespace_is_as_if_it_were_not() {
    let server = locked();
    let channel = create(&server, "t-admin", "x");
    server.expect(201, channel.says("ann", "x").key("t-admin"));
    let none = Channel {
        id: "0123456789ab".into(),
        secret: String::new(),
    };
    let there = deeds(&channel).into_iter();
    for ((_, there), (_, none)) in there.zip(deeds(&none)) {
        let target = format!("{} {}", there.method, there.target);
        let (there, none) = (there.key("o-admin"), none.key("o-admin"));
        assert_eq!(status(&server, &there), 404, "{target}");
        if there.method == "HEAD" {
            continue;
        }
        let (there, none) = (server.send(there), server.send(none));
        assert_eq!(there.body, none.body, "{target}");
        assert_eq!(there.status, none.status, "{target}");
    }
    let metadata = server
        .expect(200, get(&channel.at("")).key("t-admin"))
        .json();
    assert_eq!(metadata["metadata"]["headSeq"], 1);
}

#[test]
fn a_key_surveys_its_own_namespace_and_names_no_other() {
    let server = locked();
    let ours = create(&server, "t-admin", "ours");
    let theirs = create(&server, "o-admin", "theirs");
    server.expect(201, ours.says("ann", "our words").key("t-admin"));
    server.expect(201, theirs.says("ann", "their words").key("o-admin"));
    for (channel, key) in [(&ours, "t-admin"), (&theirs, "o-admin")] {
        server.expect(200, get(&channel.at("/query?waitFor=1")).key(key));
    }
    let list = |key: &str, target: &str| -> Vec<String> {
        let body = server.expect(200, get(target).key(key)).json();
        let channels = body["channels"].as_array().unwrap().iter();
        channels
            .map(|channel| channel["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(list("t-read", "/v1/channels"), ["ours"]);
    assert_eq!(list("t-read", "/v1/channels?namespace=team"), ["ours"]);
    assert_eq!(list("o-admin", "/v1/channels"), ["theirs"]);
    assert_eq!(list("root", "/v1/channels?namespace=other"), ["theirs"]);
    assert_eq!(list("root", "/v1/channels"), [""; 0]);
    let query =
        |key: &str, target: &str| -> Value { server.expect(200, get(target).key(key)).json() };
    assert_eq!(contents(&query("t-read", "/v1/query")), ["our words"]);
    assert_eq!(
        contents(&query("o-admin", "/v1/query?contentContains=words")),
        ["their words"]
    );
    assert_eq!(
        contents(&query("root", "/v1/query?namespace=team")),
        ["our words"]
    );
    assert_eq!(
        contents(&query("t-read", "/v1/query?authorId=ann&afterSeq=0")),
        ["our words"]
    );
    for target in [
        "/v1/channels?namespace=other",
        "/v1/query?namespace=other",
        "/v1/search?namespace=other&q=words",
    ] {
        server
            .send(get(target).key("t-admin"))
            .refused(403, "FORBIDDEN");
    }
    let body = json!({ "namespace": "other", "name": "x" });
    for request in [
        post("/v1/channels").value(&body),
        post("/channel/create").value(&body),
        post("/channel/list").value(&body),
    ] {
        server
            .send(request.key("t-admin"))
            .refused(403, "FORBIDDEN");
    }
    // A key that only reads creates nothing, one that only writes lists nothing.
    let body = json!({ "name": "x" });
    server
        .send(post("/v1/channels").key("t-read").value(&body))
        .refused(403, "FORBIDDEN");
    for target in ["/v1/channels", "/v1/query", "/v1/search?q=words"] {
        server
            .send(get(target).key("t-write"))
            .refused(403, "FORBIDDEN");
    }
    assert_eq!(list("t-read", "/v1/channels"), ["ours"]);
    assert_eq!(list("o-admin", "/v1/channels"), ["theirs"]);
}

#[test]
fn a_page_of_one_namespace_shows_nothing_of_another() {
    let server = locked();
    for number in 0..4 {
        let ours = create(&server, "t-admin", &format!("{number}"));
        let theirs = create(&server, "o-admin", &format!("{number}"));
        server.expect(201, ours.says("ann", "ours").key("t-admin"));
        server.expect(201, theirs.says("ann", "theirs").key("o-admin"));
    }
    server.expect(200, get("/v1/channels").key("t-admin"));
    let first = server
        .expect(200, get("/v1/query?limit=2").key("o-admin"))
        .json();
    let next = first["next"].as_str().unwrap();
    server
        .send(get(&format!("/v1/query?limit=2&page={next}")).key("t-admin"))
        .refused(400, "INVALID_REQUEST");
    let first = server
        .expect(200, get("/v1/channels?limit=2").key("o-admin"))
        .json();
    let next = first["next"].as_str().unwrap();
    server
        .send(get(&format!("/v1/channels?limit=2&page={next}")).key("t-admin"))
        .refused(400, "INVALID_REQUEST");
}

#[test]
fn waiting_for_an_event_of_another_namespace_tells_nothing() {
    let server = TestServer::with(|settings| {
        settings.api_keys = KEYS.into();
        settings.limits.query_wait_ms = 300;
    });
    let theirs = create(&server, "o-admin", "theirs");
    server.expect(201, theirs.says("ann", "x").key("o-admin"));
    let ask = |id: &str, seq: u64| {
        let target = format!("/v1/query?waitFor={id}-{seq}");
        let answer = server.send(get(&target).key("t-read"));
        (answer.status, answer.text())
    };
    let none = ask("0123456789ab", 1);
    assert_eq!(ask(&theirs.id, 1), none);
    assert_eq!(ask(&theirs.id, 2), none);
    let target = format!("/v1/query?waitFor={}-1", theirs.id);
    assert_eq!(
        contents(&server.expect(200, get(&target).key("o-admin")).json()),
        ["x"]
    );
}

#[test]
fn keys_hold_for_streams_too_and_each_namespace_has_its_own() {
    let server = locked();
    for request in [put("plain").text("x"), get("plain")] {
        server.send(request).refused(401, "UNAUTHORIZED");
    }
    server.expect(201, put("plain").text("x").key("t-write"));
    server
        .send(get("plain").key("t-write"))
        .refused(403, "FORBIDDEN");
    server.expect(200, get("plain").key("t-read"));
    server
        .send(get("plain").key("o-admin"))
        .refused(404, "NOT_FOUND");
    server
        .send(get("plain").key("root"))
        .refused(404, "NOT_FOUND");
    // The same room, by the name of its namespace.
    let named = "/n/team/v1/stream/plain";
    server.expect(200, get(named).key("root"));
    server.expect(200, get(named).key("t-both"));
    for other in ["o-admin", "t-both"] {
        let wall = if other == "o-admin" {
            named
        } else {
            "/n/other/v1/stream/plain"
        };
        server.send(get(wall).key(other)).refused(403, "FORBIDDEN");
    }
    server
        .send(get("/n/nowhere/v1/stream/plain").key("t-both"))
        .refused(403, "FORBIDDEN");
    server
        .send(get("/n/a%20b/v1/stream/plain").key("root"))
        .refused(400, "INVALID_REQUEST");
    server.expect(201, put("plain").text("theirs").key("o-admin"));
    let read = |key: &str| server.expect(200, get("plain").key(key)).text();
    assert_eq!(
        (read("o-admin").as_str(), read("t-read").as_str()),
        ("theirs", "x")
    );
    let channel = create(&server, "t-admin", "x");
    let odd = format!("/v1/stream/__channel__%2F{}", channel.id);
    let odder = format!("/v1/stream/%5F_channel__/{}", channel.id);
    for target in [odd, odder] {
        let answer = server.send(get(&target));
        assert!(matches!(answer.status, 401 | 404), "{target} {answer:?}");
    }
    let upper = format!("__channel__/{}", channel.id.to_uppercase());
    assert!(server.send(get(&upper)).status >= 400);
}

#[test]
fn a_token_of_one_channel_never_opens_another() {
    let server = locked();
    let one = create(&server, "t-admin", "one");
    let two = create(&server, "t-admin", "two");
    server.expect(201, two.says("ann", "of two").key("t-admin"));
    let all = ["read", "append", "read:deleted", "delete:own", "delete:any"];
    let body = json!({ "rights": all, "author": "tim" });
    let signed = server.expect(201, post(&one.at("/tokens")).key("t-admin").value(&body));
    let token = signed.json()["token"].as_str().unwrap().to_owned();
    for (_, request) in deeds(&two) {
        let target = format!("{} {}", request.method, request.target);
        let status = status(&server, &request.token(&token));
        assert!(matches!(status, 401 | 403), "{target} {status}");
    }
    for rest in ["/subscribe", "/poll"] {
        let target = two.at(&format!("{rest}?token={token}"));
        server.send(get(&target)).refused(403, "FORBIDDEN");
    }
    let read = server
        .expect(200, get(&two.at("/events")).key("t-admin"))
        .json();
    assert_eq!((seqs(&read), contents(&read)), (vec![1], vec!["of two"]));
}

#[test]
fn bad_keys_in_the_settings_stop_the_start() {
    for keys in [
        "x",
        "a:b",
        "team:fly:key",
        "team::key",
        "team:read:",
        "a:read:k b:read:k",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let settings = floe_server::Settings {
            listen: "127.0.0.1:0".parse().unwrap(),
            data: folder.path().to_owned(),
            api_keys: keys.into(),
            ..floe_server::Settings::default()
        };
        let started = floe_server::Server::open(&settings);
        let message = started.err().map(|error| error.to_string());
        let message = message.unwrap_or_else(|| panic!("{keys} was taken"));
        assert!(!message.contains(":key"), "{message}");
    }
}
