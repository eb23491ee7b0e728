//! A ban, a kick, a role or a time-out holds on every surface at once, and for who listens already.

use serde_json::json;

use super::{Town, by};
use crate::harness::{Channel, delete, eventually, get, patch, post, put};

/// Returns the waddle's own log as a stream.
const LOG: &str = "/v1/stream/__waddle__/birds";

/// Returns what each surface says to somebody who reads, and who writes, in a channel of the waddle.
fn statuses(town: &Town, who: &str, channel: &Channel) -> (Vec<u16>, Vec<u16>) {
    let reads = [
        get(&channel.at("")),
        get(&channel.at("/events")),
        get(&channel.at("/poll?afterSeq=0")),
        get(&channel.at("/subscribe?afterSeq=0")),
        get(&channel.at("/presence")),
        get(&channel.at("/query")),
        get(&channel.at("/search?q=hello")),
        get(&channel.at("/events/1")),
        get(&format!("/v1/stream/{}?offset=-1", channel.stream())),
        get(&format!(
            "/v1/stream/{}?offset=-1&live=sse",
            channel.stream()
        )),
        get(&format!("{LOG}?offset=-1")),
        get(&format!("{LOG}?offset=-1&live=sse")),
    ];
    let writes = [
        channel.says(who, "said"),
        put(&channel.at("/events/1/reactions/up")).json("{}"),
    ];
    let ask = |requests: Vec<_>| {
        let requests = requests.into_iter();
        requests
            .map(|request| town.status(who, request))
            .collect::<Vec<_>>()
    };
    (ask(reads.into()), ask(writes.into()))
}

fn all(statuses: &[u16], wanted: impl Fn(u16) -> bool) -> bool {
    statuses.iter().all(|status| wanted(*status))
}

#[test]
fn a_ban_holds_on_every_surface() {
    let (town, channel) = Town::birds();
    town.join("bob", "birds");
    town.send("bob", channel.says("bob", "hello")).expect(201);
    let served = |status: u16| (200..300).contains(&status);
    let (reads, writes) = statuses(&town, "bob", &channel);
    assert!(
        all(&reads, served) && all(&writes, served),
        "{reads:?} {writes:?}"
    );
    let found = |who: &str| {
        let page = town.read(who, "/v1/search?q=hello");
        let in_channels = town.read(who, "/v1/channels");
        let queried = town.read(who, "/v1/query");
        [
            page["events"].as_array().unwrap().len(),
            in_channels["channels"].as_array().unwrap().len(),
            queried["events"].as_array().unwrap().len().min(1),
        ]
    };
    eventually("the view has it", || found("bob") == [1, 1, 1]);

    let mut client = town.client("bob");
    let room = format!("channel/{}", channel.id);
    client.join(&room, json!({ "events": true }));
    client.append(&room, "bob", "by socket");
    town.send("ann", put("/v1/waddles/birds/bans/bob").json("{}"))
        .expect(200);
    let closed = client.wait_for(|frame| frame["type"] == "closed");
    assert_eq!(
        (&closed["room"], &closed["code"]),
        (&json!(room), &json!("BANNED"))
    );
    client.refused(
        json!({ "type": "append", "room": room, "authorId": "bob", "content": "x" }),
        "FORBIDDEN",
    );
    client.refused(json!({ "type": "join", "room": room }), "FORBIDDEN");
    client.refused(
        json!({ "type": "join", "room": "stream/__waddle__/birds" }),
        "FORBIDDEN",
    );
    let (reads, writes) = statuses(&town, "bob", &channel);
    assert!(
        all(&reads, |status| status == 403) && all(&writes, |status| status == 403),
        "{reads:?} {writes:?}"
    );
    assert_eq!(found("bob"), [0, 0, 0]);
    assert_eq!(found("ann"), [1, 1, 1]);
    // Nobody writes the waddle's log, member or not.
    for who in ["ann", "admin", "bob"] {
        let status = town.status(who, post(LOG).json("{}"));
        assert_eq!(status, 405, "{who}");
        assert_eq!(town.status(who, put(LOG).json("[]")), 405, "{who}");
        assert_eq!(town.status(who, delete(LOG)), 405, "{who}");
    }
}

/// Something that takes bob's right to listen away.
type Taking = fn(&Town, &Channel);

#[test]
fn who_listens_is_ended_by_what_takes_the_right_away_and_others_stay() {
    let (town, channel) = Town::birds();
    for who in ["bob", "cat"] {
        town.join(who, "birds");
    }
    town.send("ann", channel.says("ann", "hello")).expect(201);
    let subscribe = channel.at("/subscribe?afterSeq=0");
    let sse = |who: &str, target: &str| town.server.connect().follow(&by(who, get(target)));
    let poll = |who: &str, head: u64| {
        let mut connection = town.server.connect();
        let request = get(&channel.at(&format!("/poll?afterSeq={head}")));
        connection.write(by(who, request).bytes());
        connection
    };
    let room = format!("channel/{}", channel.id);
    let takes: [(&str, &str, Taking); 4] = [
        ("kick", "KICKED", |town, _| {
            let kick = delete("/v1/waddles/birds/members/bob");
            town.send("ann", kick).expect(204);
        }),
        ("leave", "FORBIDDEN", |town, _| {
            town.send("bob", post("/v1/waddles/birds/leave"))
                .expect(204);
        }),
        ("ban", "BANNED", |town, _| {
            let ban = put("/v1/waddles/birds/bans/bob").json("{}");
            town.send("ann", ban).expect(200);
        }),
        ("least role", "FORBIDDEN", |town, channel| {
            let at = format!("/v1/waddles/birds/channels/{}", channel.id);
            let change = patch(&at).json(r#"{"read":"moderator","write":"moderator"}"#);
            town.send("ann", change).expect(200);
        }),
    ];
    let mut head = 1;
    for (what, code, take) in takes {
        town.send("ann", delete("/v1/waddles/birds/bans/bob"));
        town.join("bob", "birds");
        town.put("cat", "birds", "moderator");
        let (mut ended, mut kept) = (sse("bob", &subscribe), sse("cat", &subscribe));
        for events in [&mut ended, &mut kept] {
            assert_eq!(events.message().unwrap().kind, "connected", "{what}");
        }
        let mut log = sse("bob", &format!("{LOG}?offset=now&live=sse"));
        log.step().unwrap();
        let mut polled = poll("bob", head);
        let (mut out, mut stays) = (town.client("bob"), town.client("cat"));
        for client in [&mut out, &mut stays] {
            client.join(&room, json!({ "events": true }));
        }
        take(&town, &channel);
        assert_eq!(polled.answer().refused(403, code).status, 403);
        loop {
            let message = ended.message().unwrap();
            if message.kind == "closed" {
                break;
            }
        }
        assert_eq!(ended.message(), None, "{what}");
        let closed = out.wait_for(|frame| frame["type"] == "closed");
        assert_eq!(closed["code"], code, "{what}");
        if what == "least role" {
            // They are a member still.
            assert!(log.step().unwrap().data.is_some());
        } else {
            while let Some(step) = log.step() {
                // Nobody who is out hears what comes after.
                assert!(!step.data.unwrap_or_default().contains("\"cat\""), "{what}");
            }
        }
        let said = town
            .send("cat", channel.says("cat", what))
            .expect(201)
            .json();
        head = said["event"]["seq"].as_u64().unwrap();
        stays.events_until(&room, head);
    }
}

#[test]
fn a_time_out_takes_the_right_to_write_and_gives_it_back_by_itself() {
    let (town, channel) = Town::birds();
    town.join("bob", "birds");
    let room = format!("channel/{}", channel.id);
    let mut client = town.client("bob");
    client.join(&room, json!({ "events": true }));
    client.append(&room, "bob", "before");
    let mut later = town.client("bob");
    let out = |seconds: u64| {
        let body = json!({ "seconds": seconds, "reason": "calm down" });
        let at = "/v1/waddles/birds/timeouts/bob";
        let member = town.send("ann", put(at).value(&body)).expect(200).json();
        assert!(member["timedOutUntil"].is_string(), "{member}");
    };
    out(3_600);
    let append = json!({ "type": "append", "room": room, "authorId": "bob", "content": "while" });
    client.refused(append.clone(), "FORBIDDEN");
    client.refused(
        json!({ "type": "typing", "room": room, "typing": true }),
        "FORBIDDEN",
    );
    town.send("bob", channel.says("bob", "x"))
        .refused(403, "FORBIDDEN");
    // Who comes while it lasts only reads.
    later.join(&room, json!({ "events": true }));
    later.refused(append.clone(), "FORBIDDEN");
    assert_eq!(town.status("bob", get(&channel.at("/events"))), 200);
    // A shorter one, and its end: on sockets that were there, and on one that came meanwhile.
    out(2);
    for client in [&mut client, &mut later] {
        eventually("the time-out is over", || {
            client.ask(append.clone())["type"] == "ack"
        });
    }
    town.send("bob", channel.says("bob", "after")).expect(201);
    out(3_600);
    client.refused(append.clone(), "FORBIDDEN");
    town.send("ann", delete("/v1/waddles/birds/timeouts/bob"))
        .expect(204);
    assert_eq!(client.ask(append)["type"], "ack");
}

#[test]
fn a_role_counts_from_the_moment_it_is_given() {
    let (town, channel) = Town::birds();
    town.join("bob", "birds");
    town.send("ann", channel.says("ann", "hers")).expect(201);
    let room = format!("channel/{}", channel.id);
    let mut client = town.client("bob");
    client.join(&room, json!({ "events": true }));
    let delete_hers = json!({
        "type": "append", "room": room, "kind": "deletion", "authorId": "bob", "targetSeq": 1,
    });
    client.refused(delete_hers.clone(), "FORBIDDEN");
    town.put("bob", "birds", "moderator");
    assert_eq!(client.ask(delete_hers)["type"], "ack");
    town.put("bob", "birds", "member");
    town.send("ann", channel.says("ann", "more")).expect(201);
    let delete_more = json!({
        "type": "append", "room": room, "kind": "deletion", "authorId": "bob", "targetSeq": 3,
    });
    client.refused(delete_more, "FORBIDDEN");
}
