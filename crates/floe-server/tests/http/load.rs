//! What a server gives up that has more to do than it can, and that it comes back from it.

use serde_json::json;

use crate::harness::{TestServer, eventually, get, head, post, put};
use crate::websocket::Client;

const BODY: &str = "application/octet-stream";

fn level(server: &TestServer) -> f64 {
    server.metric("floe_load_level")
}

fn bound(server: &TestServer, bytes: u64) {
    let set = |settings: &mut floe_server::Settings| {
        settings.limits.load_memory_bytes_max = bytes;
        settings.limits.load_late_ms_max = 0;
    };
    server.reload(set).unwrap();
}

#[test]
fn under_load_new_readers_and_messages_are_refused_and_those_there_are_stay() {
    let server = TestServer::start();
    let channel = server.channel();
    let room = format!("channel/{}", channel.id);
    server.expect(201, put("log").content_type(BODY));
    let mut there = Client::of(&server);
    there.join(&room, json!({"user": "ann", "presence": "member"}));
    assert_eq!(
        server.expect(200, get("/v1/health")).json(),
        json!({"status": "ok", "level": 0, "givenUp": "normal"})
    );

    // No process is as small as this.
    bound(&server, 1);
    eventually("everything is given up", || level(&server) == 3.0);
    assert_eq!(
        server.expect(200, get("/v1/health")).json(),
        json!({"status": "degraded", "level": 3, "givenUp": "no_messages"})
    );
    assert_eq!(server.expect(200, get("/healthz")).text(), "ok\n");
    let refused = server.expect(503, post("log").content_type(BODY).body(b"x"));
    assert_eq!(refused.header("retry-after"), Some("5"));
    server.expect(503, channel.says("ann", "hello"));
    let mut new = Client::of(&server);
    let refused = new.refused(json!({"type": "join", "room": room}), "OVERLOADED");
    assert_eq!(refused["retryAfterMs"], 5_000);
    server.expect(503, get(&channel.at("/subscribe?afterSeq=0")));
    server.expect(503, get("log?offset=-1&live=sse"));
    // What is there can be read, and who is there is heard.
    server.expect(200, head("log"));
    server.ask(&channel, "/events");
    assert_eq!(there.ask(json!({"type": "ping"}))["type"], "pong");
    let append = json!({
        "type": "append", "room": room, "authorId": "ann", "content": "hello",
    });
    there.refused(append.clone(), "OVERLOADED");
    let typing = json!({"type": "typing", "room": room, "typing": true});
    assert_eq!(there.ask(typing)["type"], "ack");

    bound(&server, 0);
    eventually("nothing is given up any more", || level(&server) == 0.0);
    assert_eq!(there.ask(append)["type"], "ack");
    new.join(&room, json!({}));
    server.expect(204, post("log").content_type(BODY).body(b"x"));
}
