//! Messages as chats have them: said once, listed as they are now, reacted to, pinned, answered, read.

use serde_json::{Value, json};

use crate::harness::{Channel, Request, Response, TestServer, delete, get, patch, post, put};

fn say(channel: &Channel, user: &str, more: Value) -> Request {
    let mut body = json!({ "userId": user });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    post(&channel.at("/messages")).value(&body)
}

#[track_caller]
fn said(server: &TestServer, channel: &Channel, user: &str, content: &str) -> Value {
    let said = say(channel, user, json!({ "content": content }));
    server.expect(201, said).json()
}

/// Sequences and contents of a page.
#[track_caller]
fn shown(page: &Value) -> Vec<(u64, &str)> {
    let messages = page["messages"]
        .as_array()
        .unwrap_or_else(|| panic!("{page}"));
    let shown = messages.iter().map(|message| {
        (
            message["sequence"].as_u64().unwrap(),
            message["content"].as_str().unwrap(),
        )
    });
    shown.collect()
}

#[track_caller]
fn code(answer: &Response) -> String {
    answer.json()["code"].as_str().unwrap().to_owned()
}

#[test]
fn a_message_is_said_once_and_shown_as_it_is_now() {
    let server = TestServer::start();
    let channel = server.channel();
    let data = json!({ "attachments": [{ "url": "https://example.org/a.png" }] });
    let hello = json!({ "content": "hello", "nonce": "n1", "data": data });
    let first = server
        .expect(201, say(&channel, "ann", hello.clone()))
        .json();
    assert_eq!(
        first,
        json!({
            "sequence": 1, "id": format!("{}-1", channel.id), "channelId": channel.id,
            "author": "ann", "content": "hello", "createdAt": first["createdAt"], "data": data,
            "nonce": "n1",
        })
    );
    // The same nonce of the same user is the same message; of another user it is another.
    assert_eq!(
        server
            .expect(200, say(&channel, "ann", hello.clone()))
            .json(),
        first
    );
    assert_eq!(
        server.expect(201, say(&channel, "bob", hello)).json()["sequence"],
        2
    );

    let at = |rest: &str| channel.at(&format!("/messages/1{rest}"));
    let edit = json!({ "userId": "ann", "content": "hello!" });
    let edited = server.expect(200, patch(&at("")).value(&edit)).json();
    assert_eq!(
        (&edited["sequence"], &edited["eventSequence"]),
        (&json!(1), &json!(3))
    );
    for user in ["bob", "cy"] {
        server.expect(
            200,
            put(&at(&format!("/reactions/%F0%9F%91%8D?userId={user}"))),
        );
    }
    server.expect(200, put(&at("/reactions/eyes?userId=bob")));
    server.expect(200, delete(&at("/reactions/eyes?userId=bob")));
    server.expect(200, put(&at("/pin?userId=mod")));
    let answer = json!({ "content": "hi <@ann>", "replyTo": 1 });
    server.expect(201, say(&channel, "cy", answer));

    let page = server.ask(&channel, "/messages?after=0&waitFor=9&userId=cy");
    assert_eq!(
        shown(&page),
        [(1, "hello!"), (2, "hello"), (9, "hi <@ann>")]
    );
    assert_eq!(
        (&page["sequence"], &page["hasMore"]),
        (&json!(9), &json!(false))
    );
    let message = &page["messages"][0];
    assert_eq!(
        message["reactions"],
        json!({ "counts": { "👍": 2 }, "byMe": ["👍"] })
    );
    assert_eq!(
        (&message["replies"], &message["pinned"]),
        (&json!(1), &json!(true))
    );
    assert_eq!(
        (&message["pinnedBy"], &message["editedAt"]),
        (&json!("mod"), &edited["editedAt"])
    );
    assert_eq!(message["data"], data);
    let page = server.ask(&channel, "/messages?userId=ann");
    assert_eq!(page["messages"][2]["reactions"]["byMe"], json!([]));

    let thread = server.ask(&channel, "/messages/1/thread");
    assert_eq!(shown(&thread), [(9, "hi <@ann>")]);
    assert_eq!(shown(&server.ask(&channel, "/pins")), [(1, "hello!")]);
    let versions = server.ask(&channel, "/messages/1/versions");
    let contents = versions["versions"].as_array().unwrap().iter();
    let contents: Vec<_> = contents
        .map(|version| version["content"].as_str().unwrap())
        .collect();
    assert_eq!(contents, ["hello", "hello!"]);
    let versions = server.ask(&channel, "/messages/2/versions");
    assert_eq!(versions["versions"].as_array().unwrap().len(), 1);

    // Deleted, it is gone from everywhere, and so is what is taken back.
    server.expect(200, delete(&channel.at("/messages/9?userId=cy")));
    server.expect(200, delete(&at("/pin?userId=mod")));
    let page = server.ask(&channel, "/messages?waitFor=11");
    assert_eq!(shown(&page), [(2, "hello"), (1, "hello!")]);
    assert_eq!(
        (
            &page["messages"][1]["replies"],
            &page["messages"][1]["pinned"]
        ),
        (&json!(0), &json!(false))
    );
    assert_eq!(shown(&server.ask(&channel, "/pins")), []);
    assert_eq!(shown(&server.ask(&channel, "/messages/1/thread")), []);
    // Who may see deleted messages asks for them.
    let token = server.token(&channel, &["read", "read:deleted"], "mod");
    let shown_to_mod = |query: &str| {
        let request = get(&channel.at(&format!("/messages?limit=1{query}")));
        server.expect(200, request.token(&token)).json()
    };
    let page = shown_to_mod("&deleted=true");
    assert_eq!(shown(&page), [(9, "hi <@ann>")]);
    assert_eq!(page["messages"][0]["deleted"], true);
    assert_eq!(shown(&shown_to_mod("")), [(2, "hello")]);
    let page = server.ask(&channel, "/messages?deleted=true&limit=1");
    assert_eq!(shown(&page), [(2, "hello")]);
}

#[test]
fn pages_go_both_ways_and_on() {
    let server = TestServer::start();
    let channel = server.channel();
    server.fill(&channel, 7);
    let ask = |query: &str| server.ask(&channel, &format!("/messages?waitFor=7&{query}"));
    assert_eq!(shown(&ask("limit=2")), [(7, "7"), (6, "6")]);
    assert_eq!(shown(&ask("limit=2&before=6")), [(5, "5"), (4, "4")]);
    assert_eq!(shown(&ask("limit=2&after=2")), [(3, "3"), (4, "4")]);
    assert_eq!(shown(&ask("after=2&before=4&order=desc")), [(3, "3")]);
    let first = ask("limit=4");
    assert_eq!(first["hasMore"], true);
    let next = first["next"].as_str().unwrap();
    let second = ask(&format!("limit=4&page={next}"));
    assert_eq!(shown(&second), [(3, "3"), (2, "2"), (1, "1")]);
    assert_eq!(
        (&second["hasMore"], &second["next"]),
        (&json!(false), &Value::Null)
    );
}

#[test]
fn what_cannot_be_is_refused() {
    let server = TestServer::start();
    let channel = server.channel();
    said(&server, &channel, "ann", "one");
    let refused = |status, request| code(&server.expect(status, request));
    for body in [
        json!({ "content": "x" }),
        json!({ "content": "", "userId": "ann" }),
        json!({ "content": "x", "userId": "ann", "nonce": [] }),
        json!({ "content": "x", "userId": "ann", "nonce": "" }),
        json!({ "content": "x", "userId": "ann", "more": 1 }),
    ] {
        let request = post(&channel.at("/messages")).value(&body);
        assert_eq!(refused(400, request), "INVALID_REQUEST", "{body}");
    }
    let edit = json!({ "userId": "bob", "content": "theirs" });
    let token = server.token(&channel, &["read", "append", "delete:own"], "bob");
    let as_bob = |request: Request| request.field("X-Channel-Token", &token);
    // A token says who its bearer is, whatever the request says.
    let edit = as_bob(patch(&channel.at("/messages/1")).value(&edit));
    assert_eq!(refused(403, edit), "FORBIDDEN");
    let pin = as_bob(put(&channel.at("/messages/1/pin?userId=ann")));
    assert_eq!(refused(403, pin), "FORBIDDEN");
    let mine = as_bob(say(&channel, "ann", json!({ "content": "mine" })));
    assert_eq!(server.expect(201, mine).json()["author"], "bob");
    assert_eq!(
        refused(404, put(&channel.at("/messages/9/pin?userId=ann"))),
        "NOT_FOUND"
    );
    assert_eq!(
        refused(404, get(&channel.at("/messages/9/versions"))),
        "NOT_FOUND"
    );
    let read = json!({ "userId": "ann", "sequence": 9 });
    assert_eq!(
        refused(400, post(&channel.at("/read")).value(&read)),
        "INVALID_REQUEST"
    );
    assert_eq!(refused(400, get("/v1/reads")), "INVALID_REQUEST");
    assert_eq!(
        refused(400, get("/v1/reads?userId=ann&channels=x")),
        "INVALID_REQUEST"
    );
}

#[test]
fn what_a_user_has_read_outlives_a_restart_and_only_goes_forward() {
    let server = TestServer::start();
    let (one, two) = (server.channel(), server.channel());
    for content in ["a", "b <@bob>", "c"] {
        said(&server, &one, "ann", content);
    }
    said(&server, &one, "bob", "mine <@bob>");
    said(&server, &two, "ann", "hello");
    let last = json!({ "content": "for you", "data": { "mentions": ["bob"] } });
    server.expect(201, say(&two, "ann", last));
    let mark = |channel: &Channel, seq| {
        let body = json!({ "userId": "bob", "sequence": seq });
        post(&channel.at("/read")).value(&body)
    };
    assert_eq!(
        server.expect(200, mark(&one, 1)).json(),
        json!({ "channelId": one.id, "sequence": 1 })
    );
    server.expect(200, mark(&two, 1));
    server.ask(&two, "/query?waitFor=2");
    server.ask(&one, "/query?waitFor=4");
    let asked = format!("/v1/reads?userId=bob&channels={},{}", one.id, two.id);
    let counts = |server: &TestServer, asked: &str| -> Vec<(String, [u64; 4])> {
        let answer = server.expect(200, get(asked)).json();
        assert_eq!(answer["userId"], "bob");
        let channels = answer["channels"].as_array().unwrap().iter();
        let mut counts: Vec<_> = channels
            .map(|counts| {
                let numbers = ["sequence", "head", "unread", "mentions"];
                (
                    counts["channelId"].as_str().unwrap().to_owned(),
                    numbers.map(|name| counts[name].as_u64().unwrap()),
                )
            })
            .collect();
        counts.sort();
        counts
    };
    let mut expected = vec![
        (one.id.clone(), [1, 4, 2, 1]),
        (two.id.clone(), [1, 2, 1, 1]),
    ];
    expected.sort();
    assert_eq!(counts(&server, &asked), expected);
    let server = server.restart();
    server.ask(&two, "/query?waitFor=2");
    server.ask(&one, "/query?waitFor=4");
    assert_eq!(counts(&server, "/v1/reads?userId=bob"), expected);
    // What is deleted need not be read.
    server.expect(200, delete(&one.at("/messages/2?userId=ann")));
    server.expect(200, mark(&two, 2));
    assert_eq!(server.expect(200, mark(&two, 1)).json()["sequence"], 2);
    server.ask(&one, "/query?waitFor=5");
    let mut expected = vec![
        (one.id.clone(), [1, 5, 1, 0]),
        (two.id.clone(), [2, 2, 0, 0]),
    ];
    expected.sort();
    assert_eq!(counts(&server, &asked), expected);
}
