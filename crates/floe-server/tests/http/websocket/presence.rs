//! Who is in a room.

use serde_json::{Value, json};

use super::{Channel, Client, TestServer, channel, get, put};
use crate::harness::eventually;
use floe_surfaces::ws::Opcode;

fn member(user: &str) -> Value {
    json!({"presence": "member", "user": user})
}

/// Returns the users of `members` or `set`, and checks what each must have.
#[track_caller]
fn users(list: &Value) -> Vec<&str> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|member| {
            assert!(member["since"].as_str().unwrap().ends_with('Z'), "{member}");
            member["user"].as_str().unwrap()
        })
        .collect()
}

/// Reads presence frames until a count is reached; returns who is there by then.
#[track_caller]
fn there(client: &mut Client, room: &str, wanted: &[&str]) {
    let mut known: Vec<String> = Vec::new();
    loop {
        let frame = client.wait_for(|frame| frame["type"] == "presence" && frame["room"] == room);
        if frame.get("members").is_some() {
            known = users(&frame["members"])
                .into_iter()
                .map(str::to_owned)
                .collect();
        } else {
            let left = frame["left"].as_array().unwrap();
            known.retain(|user| !left.iter().any(|left| left == user.as_str()));
            for user in users(&frame["set"]) {
                if !known.iter().any(|known| known == user) {
                    known.push(user.to_owned());
                }
            }
        }
        known.sort();
        assert_eq!(frame["count"], known.len(), "{frame}");
        if known == wanted {
            return;
        }
    }
}

/// Returns who is there as HTTP has it.
#[track_caller]
fn by_http(server: &TestServer, channel: &Channel) -> Vec<String> {
    let read = server.expect(200, get(&channel.path("/presence"))).json();
    let members = users(&read["members"]);
    assert_eq!(read["count"], members.len());
    members.into_iter().map(str::to_owned).collect()
}

#[test]
fn everybody_comes_first_and_then_what_changes() {
    let server = TestServer::start();
    let channel = channel(&server);
    let mut ann = Client::of(&server);
    ann.join(
        &channel.room,
        json!({"presence": "member", "user": "ann", "data": {"color": "teal"}}),
    );
    let first = ann.next_of("presence");
    assert_eq!(users(&first["members"]), ["ann"]);
    assert_eq!(first["members"][0]["data"], json!({"color": "teal"}));
    assert_eq!(first["count"], 1);
    let mut watcher = Client::of(&server);
    watcher.join(&channel.room, json!({"presence": "watch"}));
    assert_eq!(watcher.next_of("presence"), first);
    let mut bob = Client::of(&server);
    bob.join(&channel.room, member("bob"));
    assert_eq!(users(&bob.next_of("presence")["members"]), ["ann", "bob"]);
    for client in [&mut ann, &mut watcher] {
        let delta = client.next_of("presence");
        assert_eq!(users(&delta["set"]), ["bob"]);
        assert_eq!((&delta["left"], &delta["count"]), (&json!([]), &json!(2)));
        assert!(delta["version"].as_u64() > first["version"].as_u64());
        assert_eq!(delta["set"][0].get("data"), None);
    }
    let ack = bob.ask(json!({"type": "presence", "room": channel.room, "data": [1]}));
    assert_eq!(ack["type"], "ack");
    let delta = ann.next_of("presence");
    assert_eq!(
        (users(&delta["set"]), &delta["set"][0]["data"]),
        (vec!["bob"], &json!([1]))
    );
    assert_eq!(by_http(&server, &channel), ["ann", "bob"]);
    // Leaving that is said is at once.
    bob.ask(json!({"type": "leave", "room": channel.room}));
    let delta = ann.next_of("presence");
    assert_eq!(
        (&delta["left"], &delta["count"]),
        (&json!(["bob"]), &json!(1))
    );
    assert_eq!(by_http(&server, &channel), ["ann"]);
    // Who watches was never there.
    watcher.ask(json!({"type": "leave", "room": channel.room}));
    assert_eq!(
        ann.so_far()
            .iter()
            .filter(|frame| frame["type"] == "presence")
            .count(),
        0
    );
    watcher.refused(
        json!({"type": "presence", "room": channel.room, "data": 1}),
        "NOT_JOINED",
    );
}

#[test]
fn a_user_with_several_connections_is_one_member() {
    let server = TestServer::with(|settings| settings.limits.presence_grace_ms = 0);
    let channel = channel(&server);
    let mut watcher = Client::of(&server);
    watcher.join(&channel.room, json!({"presence": "watch"}));
    let mut tabs: Vec<_> = (0..3)
        .map(|_| {
            let mut tab = Client::of(&server);
            tab.join(&channel.room, member("ann"));
            tab
        })
        .collect();
    there(&mut watcher, &channel.room, &["ann"]);
    tabs[0].ask(json!({"type": "leave", "room": channel.room}));
    tabs.remove(1);
    tabs[1].ask(json!({"type": "ping"}));
    assert_eq!(by_http(&server, &channel), ["ann"]);
    for frame in watcher.so_far() {
        assert_eq!(
            frame.get("left").unwrap_or(&json!([])),
            &json!([]),
            "{frame}"
        );
    }
    drop(tabs);
    there(&mut watcher, &channel.room, &[]);
}

#[test]
fn a_page_that_reloads_within_the_grace_time_has_not_left() {
    let server = TestServer::with(|settings| settings.limits.presence_grace_ms = 60_000);
    let channel = channel(&server);
    let mut watcher = Client::of(&server);
    watcher.join(&channel.room, json!({"presence": "watch"}));
    let mut page = Client::of(&server);
    page.join(&channel.room, member("ann"));
    there(&mut watcher, &channel.room, &["ann"]);
    let since = server.expect(200, get(&channel.path("/presence"))).json();
    // As browsers do it: a close frame with 1001; and as networks do it.
    page.send(Opcode::Close, &[0x03, 0xe9]);
    page.ends_with(1001);
    let mut page = Client::of(&server);
    page.join(&channel.room, member("ann"));
    drop(page);
    let mut page = Client::of(&server);
    page.join(&channel.room, member("ann"));
    assert_eq!(
        server.expect(200, get(&channel.path("/presence"))).json(),
        since
    );
    let frames = watcher.so_far();
    assert!(
        frames.iter().all(|frame| frame["type"] != "presence"),
        "{frames:?}"
    );
}

#[test]
fn whoever_does_not_come_back_within_the_grace_time_has_left() {
    let server = TestServer::with(|settings| settings.limits.presence_grace_ms = 50);
    let channel = channel(&server);
    let mut watcher = Client::of(&server);
    watcher.join(&channel.room, json!({"presence": "watch"}));
    let mut page = Client::of(&server);
    page.join(&channel.room, member("ann"));
    there(&mut watcher, &channel.room, &["ann"]);
    drop(page);
    there(&mut watcher, &channel.room, &[]);
    assert_eq!(by_http(&server, &channel), Vec::<String>::new());
}

#[test]
fn members_come_in_pages_sorted_by_user() {
    let server = TestServer::start();
    let channel = channel(&server);
    let mut clients: Vec<_> = ["cem", "ann", "eve", "bob", "dan", "fay"]
        .iter()
        .map(|user| {
            let mut client = Client::of(&server);
            client.join(&channel.room, member(user));
            client
        })
        .collect();
    let asker = &mut clients[0];
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let mut asked = json!({"type": "members", "room": channel.room, "limit": 2});
        if let Some(after) = after {
            asked["after"] = after;
        }
        let page = asker.ask(asked);
        assert_eq!(
            (&page["type"], &page["count"]),
            (&json!("members"), &json!(6))
        );
        assert_eq!(users(&page["members"]).len(), 2);
        all.extend(users(&page["members"]).into_iter().map(str::to_owned));
        after = page.get("next").cloned();
        if after.is_none() {
            break;
        }
    }
    assert_eq!(all, ["ann", "bob", "cem", "dan", "eve", "fay"]);
    assert_eq!(by_http(&server, &channel), all);
    for limit in [0, 1_001] {
        let asked = json!({"type": "members", "room": channel.room, "limit": limit});
        asker.refused(asked, "INVALID_REQUEST");
    }
    let mut stranger = Client::of(&server);
    let asked = json!({"type": "members", "room": channel.room});
    stranger.refused(asked, "NOT_JOINED");
}

#[test]
fn a_crowd_is_told_by_its_count_and_by_name_again_once_it_is_small() {
    let server = TestServer::with(|settings| settings.limits.presence_told_max = 3);
    let channel = channel(&server);
    let mut watcher = Client::of(&server);
    watcher.join(&channel.room, json!({"presence": "watch"}));
    let mut clients = Vec::new();
    for number in 0..6 {
        let mut client = Client::of(&server);
        client.join(&channel.room, member(&format!("user-{number}")));
        clients.push(client);
    }
    let crowd = watcher.wait_for(|frame| frame["count"] == 6);
    assert_eq!((&crowd["set"], &crowd["left"]), (&json!([]), &json!([])));
    // Whoever comes now is told how many there are.
    let mut late = Client::of(&server);
    late.join(&channel.room, json!({"presence": "watch"}));
    let first = late.next_of("presence");
    assert_eq!(first["count"], 6);
    assert_eq!(
        users(first.get("members").unwrap_or(&json!([]))),
        Vec::<&str>::new()
    );
    let page = late.ask(json!({"type": "members", "room": channel.room}));
    assert_eq!(users(&page["members"]).len(), 6);
    for watcher in [&mut watcher, &mut late] {
        watcher.so_far();
    }
    for mut client in clients.drain(3..) {
        client.ask(json!({"type": "leave", "room": channel.room}));
    }
    for watcher in [&mut watcher, &mut late] {
        let is_small = |frame: &Value| frame["type"] == "presence" && frame["count"] == 3;
        let small = watcher.wait_for(is_small);
        assert_eq!(
            users(&small["members"]),
            ["user-0", "user-1", "user-2"],
            "{small}"
        );
    }
}

#[test]
fn presence_has_bounds() {
    let server = TestServer::with(|settings| {
        settings.limits.presence_members_max = 2;
        settings.limits.presence_data_bytes_max = 20;
    });
    let channel = channel(&server);
    let join = |user: &str, data: Value| {
        json!({
            "type": "join", "room": channel.room, "presence": "member", "user": user, "data": data,
        })
    };
    let mut ann = Client::of(&server);
    ann.refused(join("ann", json!("x".repeat(20))), "BODY_TOO_LARGE");
    assert_eq!(ann.ask(join("ann", json!("x")))["type"], "joined");
    let large = json!({"type": "presence", "room": channel.room, "data": "x".repeat(20)});
    ann.refused(large, "BODY_TOO_LARGE");
    let mut bob = Client::of(&server);
    assert_eq!(bob.ask(join("bob", json!(null)))["type"], "joined");
    let mut cem = Client::of(&server);
    cem.refused(join("cem", json!(1)), "LIMIT_REACHED");
    assert_eq!(by_http(&server, &channel), ["ann", "bob"]);
    // Nothing of it stays: neither a reader nor a join.
    cem.refused(json!({"type": "leave", "room": channel.room}), "NOT_JOINED");
    assert_eq!(server.metric("floe_live_readers"), 2.0);
}

#[test]
fn streams_have_members_too() {
    let server = TestServer::start();
    server.expect(201, put("doc").json("[]"));
    let mut ann = Client::of(&server);
    ann.join("stream/doc", member("ann"));
    let mut bob = Client::of(&server);
    bob.join("stream/doc", member("bob"));
    there(&mut ann, "stream/doc", &["ann", "bob"]);
    drop(bob);
    eventually("a reader is gone", || {
        server.metric("floe_live_readers") == 1.0
    });
}

#[test]
fn a_member_of_many_rooms_leaves_all_with_its_connection() {
    let server = TestServer::with(|settings| settings.limits.presence_grace_ms = 0);
    let rooms: Vec<_> = (0..20).map(|_| channel(&server)).collect();
    let mut watcher = Client::of(&server);
    let mut member_of_all = Client::of(&server);
    for room in &rooms {
        watcher.join(&room.room, json!({"presence": "watch"}));
        member_of_all.join(&room.room, member("ann"));
    }
    drop(member_of_all);
    for room in &rooms {
        there(&mut watcher, &room.room, &[]);
        assert_eq!(by_http(&server, room), Vec::<String>::new());
    }
}
