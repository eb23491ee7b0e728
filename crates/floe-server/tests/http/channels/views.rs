//! The SQL view: read your writes, its lag, and that it can be lost at any time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use floe_views::Folder;
use rusqlite::Connection as Sqlite;
use serde_json::{Value, json};

use super::{contents, events, seqs};
use crate::harness::{Channel, ChildServer, TestServer, delete, eventually, get, patch, post, put};

/// Returns the file that is the view.
fn file(folder: &Path) -> PathBuf {
    let view = Folder::new(folder.join("view"));
    view.file(view.newest().unwrap().unwrap())
}

fn open(folder: &Path) -> Sqlite {
    Sqlite::open(file(folder)).unwrap()
}

/// Removes the view as if there had never been one.
fn remove(folder: &Path) {
    std::fs::remove_dir_all(folder.join("view")).unwrap();
}

/// Keeps the view from being written for as long as it lives.
pub struct Stopped(Sqlite);

impl Stopped {
    pub fn new(server: &TestServer) -> Self {
        let db = open(server.folder());
        db.busy_timeout(Duration::from_secs(10)).unwrap();
        db.execute_batch("BEGIN IMMEDIATE").unwrap();
        Self(db)
    }

    pub fn go_on(self) {
        self.0.execute_batch("ROLLBACK").unwrap();
    }
}

/// A server with a bit of everything; returns what the view must say of it.
fn furnished(server: &TestServer) -> (Channel, Vec<(String, Value)>) {
    let channel = server.channel_of("acme", "one");
    let other = server.channel_of("acme", "two");
    let gone = server.channel_of("acme", "gone");
    server.fill(&channel, 20);
    server.fill(&other, 3);
    server.fill(&gone, 3);
    let edit = json!({ "authorId": "ann", "content": "edited" });
    server.expect(201, patch(&channel.at("/events/2")).value(&edit));
    server.expect(201, put(&channel.at("/events/3/reactions/up?authorId=bob")));
    server.expect(201, delete(&channel.at("/events/4?authorId=ann")));
    server.expect(200, delete(&gone.at("")));
    server.expect(200, get(&channel.at("/query?waitFor=23")));
    server.expect(200, get(&other.at("/query?waitFor=3")));
    (channel.clone(), said(server, &channel))
}

/// What the view says, once it has everything.
fn said(server: &TestServer, channel: &Channel) -> Vec<(String, Value)> {
    let targets = [
        "/v1/channels?namespace=acme".to_owned(),
        "/v1/query?namespace=acme&limit=100".to_owned(),
        channel.at("/query?limit=100&waitFor=23"),
        channel.at("/events/2?waitFor=23"),
        channel.at("/search?mode=substring&q=1&waitFor=23"),
    ];
    let ask = |target: String| {
        let mut body = server.expect(200, get(&target)).json();
        body["lag"] = Value::Null;
        // Events of one moment are in an order that another view need not have.
        if let Some(events) = body["events"].as_array_mut()
            && target.starts_with("/v1/query")
        {
            events.sort_by_key(|event| (event["createdAt"].to_string(), event["id"].to_string()));
        }
        (target, body)
    };
    targets.into_iter().map(ask).collect()
}

#[test]
fn a_writer_reads_its_own_writes() {
    let server = TestServer::start();
    let channel = server.channel();
    for seq in 1..=100_u64 {
        let said = server.say(&channel, "ann", &format!("number {seq}"));
        let wait = if seq % 2 == 0 {
            format!("{seq}")
        } else {
            said["id"].as_str().unwrap().to_owned()
        };
        let target = channel.at(&format!("/query?order=desc&limit=1&waitFor={wait}"));
        assert_eq!(seqs(&server.expect(200, get(&target)).json()), [seq]);
        let target = channel.at(&format!("/events/{seq}?waitFor={seq}"));
        assert_eq!(server.expect(200, get(&target)).json()["event"]["seq"], seq);
        let id = said["id"].as_str().unwrap();
        let target = format!("/v1/query?order=desc&limit=1&waitFor={id}");
        assert_eq!(seqs(&server.expect(200, get(&target)).json()), [seq]);
    }
}

#[test]
fn who_waits_for_an_event_that_is_yet_to_come_gets_it() {
    let server = TestServer::start();
    let channel = server.channel();
    let mut waiting = server.connect();
    waiting.write(get(&channel.at("/query?waitFor=2")).bytes());
    server.say(&channel, "ann", "one");
    server.say(&channel, "ann", "two");
    assert_eq!(
        contents(&waiting.answer().expect(200).json()),
        ["one", "two"]
    );
}

#[test]
fn who_waits_too_long_is_told() {
    let server = TestServer::with(|settings| settings.limits.query_wait_ms = 150);
    let channel = server.channel();
    server.fill(&channel, 1);
    for target in [
        channel.at("/query?waitFor=2"),
        channel.at("/search?mode=substring&q=x&waitFor=2"),
        channel.at("/events/1?waitFor=2"),
        format!("/v1/query?waitFor={}-2", channel.id),
    ] {
        server.send(get(&target)).refused(503, "VIEW_BEHIND");
    }
    server.expect(200, get(&channel.at("/query?waitFor=1")));
}

#[test]
fn the_lag_is_told_while_the_view_stands_still_and_appends_go_on() {
    let server = TestServer::with(|settings| settings.limits.query_wait_ms = 200);
    let channel = server.channel();
    server.fill(&channel, 2);
    let before = server.ask(&channel, "/query?waitFor=2");
    assert_eq!(before["lag"], json!({ "events": 0, "ms": 0 }));
    assert_eq!(server.metric("floe_view_lag_events"), 0.0);
    assert_eq!(server.metric("floe_view_events_total"), 2.0);
    let stopped = Stopped::new(&server);
    let mut follower = server.subscribe(&channel, 2);
    for _ in 0..5 {
        server.say(&channel, "ann", "more");
        follower.message().unwrap();
    }
    std::thread::sleep(Duration::from_millis(20));
    let behind = server.ask(&channel, "/query");
    assert_eq!(contents(&behind), ["1", "2"]);
    assert_eq!(behind["lag"]["events"], 5);
    assert!(behind["lag"]["ms"].as_u64().unwrap() >= 10, "{behind}");
    assert_eq!(server.metric("floe_view_lag_events"), 5.0);
    assert!(server.metric("floe_view_lag_seconds") > 0.0);
    server
        .send(get(&channel.at("/query?waitFor=7")))
        .refused(503, "VIEW_BEHIND");
    server.send(get("/v1/channels")).refused(503, "VIEW_BEHIND");
    assert_eq!(seqs(&server.ask(&channel, "/events")).len(), 7);
    stopped.go_on();
    let server_lag = || server.metric("floe_view_lag_events");
    eventually("the view catches up", || server_lag() == 0.0);
    let after = server.ask(&channel, "/query?waitFor=7");
    assert_eq!(
        (contents(&after).len(), &after["lag"]),
        (7, &json!({ "events": 0, "ms": 0 }))
    );
    assert_eq!(server.metric("floe_view_events_total"), 7.0);
    assert!(server.metric("floe_view_batch_seconds_count") >= 2.0);
    assert_eq!(server.metric("floe_view_lag_seconds"), 0.0);
}

#[test]
fn too_many_questions_are_refused_and_the_rest_answered() {
    let server = TestServer::with(|settings| settings.limits.query_open_max = 3);
    let channel = server.channel();
    let mut waiting: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for connection in &mut waiting {
        connection.write(get(&channel.at("/query?waitFor=1")).bytes());
    }
    eventually("all wait", || {
        let answer = server.send(get(&channel.at("/query")));
        answer.status == 503 && answer.code() == "OVERLOADED"
    });
    server.say(&channel, "ann", "one");
    for connection in &mut waiting {
        assert_eq!(contents(&connection.answer().expect(200).json()), ["one"]);
    }
    server.expect(200, get(&channel.at("/query")));
}

#[test]
fn one_who_waits_and_goes_is_no_burden() {
    let server = TestServer::with(|settings| {
        settings.limits.query_open_max = 3;
        settings.limits.query_wait_ms = 300;
    });
    let channel = server.channel();
    for _ in 0..3 {
        let mut connection = server.connect();
        connection.write(get(&channel.at("/query?waitFor=9")).bytes());
    }
    eventually("they are forgotten", || {
        server.send(get(&channel.at("/query"))).status == 200
    });
}

#[test]
fn a_view_that_was_deleted_comes_back_whole() {
    let server = TestServer::start();
    let (channel, before) = furnished(&server);
    let server = server.restart_after(remove);
    assert_eq!(said(&server, &channel), before);
    let server = server.restart_after(|folder| {
        let file = file(folder);
        std::fs::remove_file(&file).unwrap();
        std::fs::write(file, "").unwrap();
    });
    assert_eq!(said(&server, &channel), before);
}

#[test]
fn a_view_that_is_no_database_is_made_anew() {
    let server = TestServer::start();
    let (channel, before) = furnished(&server);
    let server = server.restart_after(|folder| {
        std::fs::write(file(folder), "this is no database ".repeat(1_000)).unwrap();
    });
    // Nothing of it is on the way of an append.
    let other = server.channel();
    server.say(&other, "ann", "x");
    assert_eq!(said(&server, &channel), before);
}

#[test]
fn a_view_with_damaged_pages_is_made_anew() {
    let server = TestServer::start();
    let (channel, before) = furnished(&server);
    let server = server.restart_after(|folder| {
        let db = open(folder);
        db.pragma_update(None, "wal_checkpoint", "TRUNCATE")
            .unwrap_or_default();
        drop(db);
        let mut bytes = std::fs::read(file(folder)).unwrap();
        let page = usize::from(u16::from_be_bytes([bytes[16], bytes[17]]));
        let page = if page == 1 { 65_536 } else { page };
        // All but the first page, which names what there is.
        bytes[page..].fill(0xa5);
        std::fs::write(file(folder), bytes).unwrap();
    });
    let other = server.channel();
    server.say(&other, "ann", "x");
    eventually("the view is back", || {
        server.send(get(&channel.at("/query?waitFor=23"))).status == 200
    });
    assert_eq!(said(&server, &channel), before);
}

#[test]
fn a_view_that_was_cut_short_is_made_anew() {
    let server = TestServer::start();
    let (channel, before) = furnished(&server);
    let server = server.restart_after(|folder| {
        let file = std::fs::File::options()
            .write(true)
            .open(file(folder))
            .unwrap();
        let bytes = file.metadata().unwrap().len();
        file.set_len(bytes / 2 + 17).unwrap();
    });
    eventually("the view is back", || {
        server.send(get(&channel.at("/query?waitFor=23"))).status == 200
    });
    assert_eq!(said(&server, &channel), before);
}

#[test]
fn a_view_that_says_it_lacks_what_it_has_is_made_anew() {
    let server = TestServer::start();
    let (channel, before) = furnished(&server);
    let server = server.restart_after(|folder| {
        let db = open(folder);
        let sql = "UPDATE channels SET applied = applied - 2; DELETE FROM state;";
        db.execute_batch(sql).unwrap();
    });
    eventually("the view is whole", || {
        let found = server.send(get(&channel.at("/query?waitFor=23")));
        found.status == 200 && found.json()["lag"]["events"] == 0
    });
    assert_eq!(said(&server, &channel), before);
}

#[test]
fn a_view_whose_damage_only_a_question_meets_is_made_anew() {
    let server = TestServer::start();
    let (channel, before) = furnished(&server);
    let server = server.restart_after(|folder| {
        let db = open(folder);
        let root: i64 = db
            .query_row(
                "SELECT rootpage FROM sqlite_schema WHERE name = 'events'",
                [],
                |row| row.get(0),
            )
            .unwrap();
        let size: i64 = db
            .pragma_query_value(None, "page_size", |row| row.get(0))
            .unwrap();
        drop(db);
        let mut bytes = std::fs::read(file(folder)).unwrap();
        let (root, size) = (root as usize, size as usize);
        bytes[(root - 1) * size..root * size].fill(0xa5);
        std::fs::write(file(folder), bytes).unwrap();
    });
    eventually("the view is back", || {
        server.send(get(&channel.at("/query?waitFor=23"))).status == 200
    });
    assert_eq!(said(&server, &channel), before);
}

#[test]
fn without_a_view_the_log_serves_and_questions_are_told() {
    let server = TestServer::with(|settings| settings.limits.query_wait_ms = 200);
    let (channel, before) = furnished(&server);
    let server = server.restart_after(|folder| {
        remove(folder);
        // A file in the place of its folder lets nobody make one.
        std::fs::write(folder.join("view"), "x").unwrap();
    });
    let other = server.channel();
    assert_eq!(server.say(&other, "ann", "meanwhile")["seq"], 1);
    assert_eq!(seqs(&server.ask(&channel, "/events?limit=100")).len(), 23);
    let mut follower = server.subscribe(&channel, 22);
    assert_eq!(follower.message().unwrap().seq(), 23);
    assert_eq!(server.ask(&channel, "")["metadata"]["headSeq"], 23);
    for target in [
        channel.at("/query"),
        channel.at("/query?waitFor=23"),
        channel.at("/events/2"),
        channel.at("/search?mode=substring&q=x"),
        "/v1/query?namespace=acme".to_owned(),
        "/v1/channels?namespace=acme".to_owned(),
    ] {
        let answer = server.send(get(&target));
        let code = answer.code();
        assert_eq!(answer.status, 503, "{target}");
        assert!(
            matches!(code.as_str(), "VIEW_UNAVAILABLE" | "VIEW_BEHIND"),
            "{target} {code}"
        );
    }
    assert!(server.metric("floe_view_failures_total") >= 1.0);
    std::fs::remove_file(server.folder().join("view")).unwrap();
    eventually("the view is back", || {
        server.send(get(&channel.at("/query?waitFor=23"))).status == 200
    });
    assert_eq!(said(&server, &channel), before);
    assert_eq!(
        contents(&server.ask(&other, "/query?waitFor=1")),
        ["meanwhile"]
    );
}

#[test]
fn a_view_that_vanishes_while_the_server_runs_comes_back_whole() {
    let server = TestServer::start();
    let (channel, before) = furnished(&server);
    remove(server.folder());
    // The next thing that comes is taken to the file that is gone, or to the new one.
    let other = server.channel_of("other", "x");
    server.say(&other, "ann", "x");
    eventually("the view is whole", || {
        let found = server.send(get("/v1/query?namespace=acme&limit=100"));
        found.status == 200 && events(&found.json()).len() == events(&before[1].1).len()
    });
    assert_eq!(said(&server, &channel), before);
    assert!(file(server.folder()).exists());
}

#[test]
fn a_view_that_was_rebuilt_beside_the_server_is_taken() {
    let server = TestServer::start();
    let (channel, before) = furnished(&server);
    let view = Folder::new(server.folder().join("view"));
    // As `floe views rebuild` does, but that it has nothing yet.
    let building = view.begin().unwrap();
    drop(floe_views::Projector::open(building, &floe_views::Options::default()).unwrap());
    let number = view.publish().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..50 {
                server.say(&channel, "ann", "more");
            }
        });
    });
    let found = server.ask(&channel, "/query?limit=1000&waitFor=73");
    let taken = || {
        eventually("all is there", || {
            let found = server.ask(&channel, "/query?limit=1000&waitFor=73");
            events(&found).len() == events(&before[2].1).len() + 50
        });
    };
    taken();
    assert!(events(&found).len() <= events(&before[2].1).len() + 50);
    assert_eq!(view.newest().unwrap(), Some(number));
    let server = server.restart();
    let found = server.ask(&channel, "/query?limit=1000&waitFor=73");
    assert_eq!(events(&found).len(), events(&before[2].1).len() + 50);
}

#[test]
fn a_server_without_a_view_stops_in_time() {
    let server = TestServer::start();
    let mut server = server.restart_after(|folder| {
        let file = file(folder);
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(file).unwrap();
    });
    server.channel();
    let started = std::time::Instant::now();
    server.stop();
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_view_of_a_newer_version_is_left_as_it_is() {
    let server = TestServer::with(|settings| settings.limits.query_wait_ms = 200);
    let (channel, before) = furnished(&server);
    let set = |folder: &Path, version: i64| {
        open(folder)
            .pragma_update(None, "user_version", version)
            .unwrap();
    };
    let version: i64 = open(server.folder())
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    let server = server.restart_after(|folder| set(folder, 9_999));
    server.say(&channel, "ann", "x");
    let answer = server.send(get(&channel.at("/query")));
    assert_eq!(answer.status, 503, "{answer:?}");
    let server = server.restart_after(|folder| set(folder, version));
    server.expect(200, get(&channel.at("/query?waitFor=24")));
    let after = said(&server, &channel);
    assert_eq!(events(&after[1].1).len(), events(&before[1].1).len() + 1);
}

#[test]
fn after_a_clean_stop_nothing_is_looked_for() {
    let server = TestServer::start();
    let (channel, before) = furnished(&server);
    server.expect(200, get("/v1/channels?namespace=acme"));
    // What nobody but a look at all rooms would find missing.
    let forget_last = |folder: &Path| {
        let db = open(folder);
        let changed = db
            .execute(
                "UPDATE channels SET applied = applied - 1 WHERE name = 'two'",
                [],
            )
            .unwrap();
        assert_eq!(changed, 1);
        let changed = db
            .execute("DELETE FROM events WHERE row = (SELECT no << 37 | 3 FROM channels WHERE name = 'two')", [])
            .unwrap();
        assert_eq!(changed, 1);
    };
    let server = server.restart_after(forget_last);
    let after = said(&server, &channel);
    assert_eq!(events(&after[1].1).len() + 1, events(&before[1].1).len());
    assert_eq!(server.metric("floe_view_events_total"), 0.0);
    // Once something is appended that the stop does not know of, all rooms are looked at.
    server.say(&channel, "ann", "x");
    server.expect(200, get(&channel.at("/query?waitFor=24")));
    let crashed = server.crashed();
    let after = said(&crashed, &channel);
    assert_eq!(events(&after[1].1).len(), events(&before[1].1).len() + 1);
}

#[test]
fn what_changed_of_channels_before_a_crash_is_in_the_view_after_it() {
    let server = TestServer::start();
    let channel = server.channel_of("acme", "short");
    let gone = server.channel_of("acme", "gone");
    server.fill(&channel, 10);
    server.fill(&gone, 3);
    for (channel, seq) in [(&channel, 10), (&gone, 3)] {
        server.expect(200, get(&channel.at(&format!("/query?waitFor={seq}"))));
    }
    let stopped = Stopped::new(&server);
    server.expect(200, delete(&gone.at("")));
    let body = json!({ "retention": { "maxEvents": 4 } });
    server.expect(200, patch(&channel.at("")).value(&body));
    eventually("the first events go", || {
        server.ask(&channel, "")["metadata"]["startSeq"] == 7
    });
    server.settle(&channel);
    let crashed = server.crashed();
    stopped.go_on();
    let list = crashed
        .expect(200, get("/v1/channels?namespace=acme"))
        .json();
    assert_eq!(list["channels"].as_array().map(Vec::len), Some(1), "{list}");
    assert_eq!(list["channels"][0]["retention"]["maxEvents"], 4);
    assert_eq!(list["channels"][0]["startSeq"], 7);
    let found = crashed.expect(200, get("/v1/query?namespace=acme")).json();
    assert_eq!(contents(&found), ["7", "8", "9", "10"]);
}

#[test]
fn a_channel_purged_before_a_crash_is_not_in_the_view_after_it() {
    let server = TestServer::with(|settings| settings.limits.channel_purge_after_ms = 100);
    let gone = server.channel_of("acme", "gone");
    let kept = server.channel_of("acme", "kept");
    server.fill(&gone, 3);
    server.fill(&kept, 1);
    server.expect(200, get(&gone.at("/query?waitFor=3")));
    server.expect(200, get(&kept.at("/query?waitFor=1")));
    let stopped = Stopped::new(&server);
    server.expect(200, delete(&gone.at("")));
    eventually("it is purged", || {
        server.send(get(&gone.at(""))).status == 404
    });
    let crashed = server.crashed();
    stopped.go_on();
    let list = crashed
        .expect(200, get("/v1/channels?namespace=acme"))
        .json();
    assert_eq!(list["channels"].as_array().map(Vec::len), Some(1), "{list}");
    let found = crashed.expect(200, get("/v1/query?namespace=acme")).json();
    assert_eq!(contents(&found), ["1"]);
}

#[test]
fn a_view_that_is_ahead_of_the_log_is_made_to_agree() {
    let server = TestServer::start();
    let (channel, before) = furnished(&server);
    let older = server.crashed();
    server.fill(&channel, 5);
    server.expect(200, get(&channel.at("/query?waitFor=28")));
    let folder = server.folder().to_owned();
    // As when a backup of the log is put back beside the view of later.
    let older = older.restart_after(|to| {
        remove(to);
        std::fs::create_dir(to.join("view")).unwrap();
        for entry in std::fs::read_dir(folder.join("view")).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), to.join("view").join(entry.file_name())).unwrap();
        }
    });
    assert_eq!(said(&older, &channel), before);
    older.say(&channel, "ann", "another 24");
    let found = older.ask(&channel, "/query?waitFor=24&afterSeq=20");
    assert_eq!(contents(&found), ["another 24"]);
}

#[test]
fn killed_in_the_middle_the_view_is_whole_again() {
    let mut server = ChildServer::start();
    let mut channels = Vec::new();
    for round in 0..4_u64 {
        let created = server.expect(201, post("/v1/channels").json(r#"{"name":"x"}"#));
        channels.push(Channel::of(&created));
        let address = server.address().to_owned();
        let mut acknowledged = vec![0_u64; channels.len()];
        std::thread::scope(|scope| {
            let writers: Vec<_> = channels
                .iter()
                .map(|channel| scope.spawn(|| write_until_it_ends(&address, channel)))
                .collect();
            std::thread::sleep(Duration::from_millis(150 + 60 * round));
            server.kill();
            for (count, writer) in acknowledged.iter_mut().zip(writers) {
                *count = writer.join().unwrap();
            }
        });
        server = server.kill_and_restart();
        for (channel, acknowledged) in channels.iter().zip(acknowledged) {
            let log = all(&server, &channel.at("/events?limit=1000"), "afterSeq");
            let head = log.len() as u64;
            assert!(head >= acknowledged, "{head} {acknowledged}");
            assert_eq!(
                seqs(&json!({ "events": log })),
                (1..=head).collect::<Vec<_>>()
            );
            let target = channel.at(&format!("/query?limit=1000&waitFor={head}"));
            let view = all(&server, &target, "page");
            let messages: Vec<_> = log
                .iter()
                .map(|event| (&event["id"], &event["content"]))
                .collect();
            let found: Vec<_> = view
                .iter()
                .map(|event| (&event["id"], &event["content"]))
                .collect();
            assert_eq!(found, messages);
        }
        assert!(channels.len() as u64 == round + 1);
    }
}

/// Appends until the server is gone; returns the newest number that was acknowledged.
fn write_until_it_ends(address: &str, channel: &Channel) -> u64 {
    let Ok(socket) = std::net::TcpStream::connect(address) else {
        return 0;
    };
    let mut connection = crate::harness::Connection::new(socket);
    let mut last = 0;
    for number in 0.. {
        let request = channel.says_all("ann", &[&format!("{number} a"), &format!("{number} b")]);
        if !connection.try_write(request.bytes()) {
            break;
        }
        let Some(answer) = connection.try_answer("POST") else {
            break;
        };
        last = seqs(&answer.expect(201).json())[1];
    }
    last
}

/// Reads page by page, until nothing follows.
fn all(server: &ChildServer, target: &str, cursor: &str) -> Vec<Value> {
    let (mut all, mut from) = (Vec::new(), String::new());
    loop {
        let body = server.expect(200, get(&format!("{target}{from}"))).json();
        all.extend(events(&body).to_vec());
        if body["hasMore"] == false {
            return all;
        }
        from = match cursor {
            "page" => format!("&page={}", body["next"].as_str().unwrap()),
            _ => format!("&afterSeq={}", all.last().unwrap()["seq"]),
        };
    }
}

#[test]
fn a_question_at_once_after_a_start_is_answered_and_whole() {
    let mut server = TestServer::start();
    let (channel, before) = furnished(&server);
    for _ in 0..10 {
        server = server.restart();
        let found = server.ask(&channel, "/query?limit=100");
        assert_eq!(events(&found), events(&before[2].1));
        let crashed = server.crashed();
        let list = crashed
            .expect(200, get("/v1/channels?namespace=acme"))
            .json();
        assert_eq!(list["channels"], before[0].1["channels"]);
    }
    for _ in 0..10 {
        let fresh = TestServer::start();
        let channel = fresh.channel();
        assert_eq!(contents(&fresh.ask(&channel, "/query")), [""; 0]);
        fresh.expect(200, get("/v1/search?mode=words&q=x"));
    }
}

#[test]
fn a_channel_that_the_view_lacks_much_of_holds_up_no_other() {
    const EVENTS: u64 = 200_000;
    let server = TestServer::start();
    let flooded = server.channel();
    let quiet = server.channel();
    server.expect(200, get("/v1/channels"));
    let stopped = Stopped::new(&server);
    server.fill(&flooded, EVENTS);
    server.say(&quiet, "ann", "hello");
    stopped.go_on();
    let found = server.ask(&quiet, "/query?waitFor=1");
    assert_eq!(contents(&found), ["hello"]);
    let taken = server.metric("floe_view_events_total") as u64;
    assert!(taken < EVENTS * 3 / 4, "{taken}: it waited for the other");
    let target = flooded.at(&format!("/query?limit=1&order=desc&waitFor={EVENTS}"));
    assert_eq!(seqs(&server.expect(200, get(&target)).json()), [EVENTS]);
}

#[test]
fn what_is_appended_at_once_costs_the_view_no_more_than_one_by_one() {
    let server = TestServer::start();
    let channel = server.channel();
    // One moment has many events; a view that tries each place in it takes minutes.
    server.fill(&channel, 100_000);
    let found = server.ask(&channel, "/query?limit=1&order=desc&waitFor=100000");
    assert_eq!(seqs(&found), [100_000]);
}
