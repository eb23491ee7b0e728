//! The file: older versions, newer ones, damage, and how questions find their rows.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;

use common::{Channel, View, apply, contents, in_channel, in_namespace, query, search};
use floe_proto::{Among, ChannelId, Code, EventKind, EventQuery};
use floe_views::{Options, Projector, QueryError, Reader, ViewError};
use rusqlite::Connection;

/// Newest version of the file.
const VERSION: i64 = 3;

fn version_1(view: &View) {
    let db = Connection::open(view.path()).unwrap();
    db.execute_batch(include_str!("golden/v1.sql")).unwrap();
}

fn version_2(view: &View) {
    version_1(view);
    let db = Connection::open(view.path()).unwrap();
    db.execute_batch(include_str!("golden/v2.sql")).unwrap();
}

#[test]
fn a_file_of_version_2_tells_of_mentions_answers_and_pins() {
    let view = View::new();
    version_2(&view);
    let mut projector = view.projector();
    let reader = view.reader();
    let mentioning = |user: &str| EventQuery {
        among: Among::Mentioning(user.into()),
        ..query(in_namespace("acme"))
    };
    // What was there before is looked through for mentions.
    assert_eq!(contents(&reader, mentioning("bob")), ["hello <@bob> world"]);
    assert_eq!(contents(&reader, mentioning("ann")), [""; 0]);

    let mut channel = Channel::new(3, "acme");
    channel.say("ann", "first");
    channel.say("bob", "<@ann> yes");
    let answer = channel.log.last_mut().unwrap();
    answer.reply_to = Some(1);
    answer.data = Some(r#"{"mentions":["cy"]}"#.into());
    channel.push(EventKind::Pin, "ann", None, Some(1));
    apply(&mut projector, &[&channel]);
    let page = reader.events(&query(in_channel(&channel))).unwrap();
    let [first, answer] = page.items.as_slice() else {
        panic!("{page:?}");
    };
    assert_eq!((first.replies, first.pin.as_ref().unwrap().seq), (1, 3));
    assert_eq!(answer.event.reply_to, Some(1));
    assert_eq!(answer.event.data.as_deref(), Some(r#"{"mentions":["cy"]}"#));
    for user in ["ann", "cy"] {
        assert_eq!(contents(&reader, mentioning(user)), ["<@ann> yes"]);
    }
}

#[test]
fn a_file_of_version_1_is_brought_up_to_date() {
    let view = View::new();
    version_1(&view);
    let mut projector = view.projector();
    let one = ChannelId([1, 0, 0, 0, 0, 1]);
    assert_eq!(projector.applied(one).unwrap(), Some(6));
    let reader = view.reader();
    let all = contents(&reader, query(in_namespace("acme")));
    assert_eq!(all, ["hello world", "東京 'quoted' 100%"]);
    let hits = reader
        .search(&search(in_namespace("acme"), "hello"))
        .unwrap();
    let [hit] = hits.items.as_slice() else {
        panic!("{hits:?}");
    };
    assert_eq!(hit.snippet.as_deref(), Some("\u{2}hello\u{3} world"));
    assert_eq!(hit.reactions, [("+1".into(), 1)]);
    let found = |text| reader.search(&search(in_namespace("acme"), text)).unwrap();
    assert_eq!(found("secret").items, []);
    assert_eq!(found("wrold").items, []);
    assert_eq!(found("京").items.len(), 1);

    let mut two = Channel::new(2, "rival");
    two.say("ann", "hello rival");
    two.say("ann", "hello again");
    assert_eq!(apply(&mut projector, &[&two]).events, 1);
    assert_eq!(
        contents(&reader, query(in_channel(&two))),
        ["hello rival", "hello again"]
    );
}

#[test]
fn a_file_brought_up_to_date_is_like_a_new_one() {
    let schema = |view: &View| -> Vec<(String, Option<String>)> {
        drop(view.projector());
        let db = Connection::open(view.path()).unwrap();
        let version: i64 = db
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .unwrap();
        assert_eq!(version, VERSION);
        let mut statement = db
            .prepare("SELECT name, sql FROM sqlite_schema ORDER BY name")
            .unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    };
    let (one, two, new) = (View::new(), View::new(), View::new());
    version_1(&one);
    version_2(&two);
    let expected = schema(&new);
    assert_eq!(schema(&one), expected);
    assert_eq!(schema(&two), expected);
}

#[test]
fn a_newer_file_and_a_foreign_one_are_left_as_they_are() {
    let view = View::new();
    drop(view.projector());
    let db = Connection::open(view.path()).unwrap();
    db.pragma_update(None, "user_version", VERSION + 1).unwrap();
    drop(db);
    let refused = Projector::open(view.path(), &view.options).unwrap_err();
    assert!(matches!(refused, ViewError::Newer { found: 4, known: 3 }));
    assert!(!refused.is_corrupt());
    assert_eq!(
        refused.to_string(),
        "the view has version 4, and this program knows versions up to 3"
    );

    let view = View::new();
    let db = Connection::open(view.path()).unwrap();
    db.execute_batch("CREATE TABLE theirs (x)").unwrap();
    drop(db);
    let refused = Projector::open(view.path(), &view.options).unwrap_err();
    assert!(matches!(refused, ViewError::Foreign) && !refused.is_corrupt());
}

#[test]
fn damage_is_told_from_other_failures() {
    let view = View::new();
    fs::write(
        view.path(),
        "this is not a database, and long enough to be one ".repeat(100),
    )
    .unwrap();
    let refused = Projector::open(view.path(), &view.options).unwrap_err();
    assert!(refused.is_corrupt(), "{refused:?}");
    let refused = Reader::open(view.path(), &view.options)
        .and_then(|reader| reader.applied(ChannelId([0; 6])))
        .unwrap_err();
    assert!(refused.is_corrupt(), "{refused:?}");
    assert_eq!(refused.code(), Code::ViewUnavailable);

    let view = View::new();
    let mut channel = Channel::new(1, "acme");
    for number in 0..2_000 {
        channel.say("ann", &format!("message number {number}"));
    }
    apply(&mut view.projector(), &[&channel]);
    let mut bytes = fs::read(view.path()).unwrap();
    for page in bytes.chunks_mut(4_096).skip(1) {
        page.fill(0xa5);
    }
    fs::write(view.path(), bytes).unwrap();
    let refused = Projector::open(view.path(), &view.options)
        .and_then(|mut projector| projector.applied(channel.meta.id))
        .unwrap_err();
    assert!(refused.is_corrupt(), "{refused:?}");

    let nowhere = Reader::open(view.folder.path().join("nothing"), &view.options);
    let refused = nowhere.map(|_| ()).unwrap_err();
    assert!(matches!(refused, QueryError::Unavailable(_)) && !refused.is_corrupt());
}

#[test]
fn a_question_ends_when_its_time_is_over() {
    let view = View::with(Options {
        query_timeout_ms: 0,
        scan_max: u32::MAX,
        page_items_max: u32::MAX,
        page_bytes_max: usize::MAX,
        ..Options::default()
    });
    let mut channel = Channel::new(1, "acme");
    for number in 0..20_000 {
        channel.say("ann", &format!("message number {number}"));
    }
    apply(&mut view.projector(), &[&channel]);
    let mut slow = query(in_namespace("acme"));
    slow.content_contains = Some("nowhere".into());
    let refused = view.reader().events(&slow).unwrap_err();
    assert!(matches!(refused, QueryError::Timeout { timeout_ms: 0 }));
    assert_eq!(refused.code(), Code::QueryTimeout);
}

#[test]
fn a_reader_cannot_write_and_the_public_views_have_no_secret() {
    let view = View::new();
    let mut channel = Channel::new(1, "acme");
    channel.say("ann", "hello");
    let gone = channel.say("bob", "gone");
    channel.delete("bob", gone);
    apply(&mut view.projector(), &[&channel]);
    let db = Connection::open(view.path()).unwrap();
    let metadata: (String, String, Option<String>) = db
        .query_row(
            "SELECT id, owner_namespace, secret FROM channel_metadata",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .unwrap();
    assert_eq!(metadata, ("010000000001".into(), "acme".into(), None));
    let events: Vec<(String, String, i64, String, String, i64)> = db
        .prepare("SELECT id, channel_id, seq, author_id, content, created_at FROM channel_events")
        .unwrap()
        .query_map([], |row| {
            let (id, channel, seq) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok((id, channel, seq, row.get(3)?, row.get(4)?, row.get(5)?))
        })
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let expected = (
        "010000000001-1".to_owned(),
        "010000000001".to_owned(),
        1,
        "ann".to_owned(),
        "hello".to_owned(),
        10_010,
    );
    assert_eq!(events, [expected]);
}

/// The plans of the questions that must never look at everything. The texts are those of the
/// reader but for their columns; the reader names most indexes itself, and SQLite refuses a text
/// whose index cannot serve it.
#[test]
fn questions_are_served_by_an_index() {
    let view = View::new();
    drop(view.projector());
    let db = Connection::open(view.path()).unwrap();
    for (sql, plan) in [
        (
            "SELECT content FROM events WHERE row > 1 AND row < 9 ORDER BY row DESC",
            "SEARCH events USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
        ),
        (
            "SELECT row FROM events INDEXED BY events_by_author
             WHERE author = 1 AND row > 1 AND row < 9 ORDER BY row DESC",
            "SEARCH events USING COVERING INDEX events_by_author (author=? AND rowid>? AND rowid<?)",
        ),
        (
            "SELECT created_at, row FROM events INDEXED BY events_by_time
             WHERE ns = 1 AND created_at > 1 AND created_at < 9 AND (created_at, row) < (5, 5)
             ORDER BY created_at DESC, row DESC",
            "SEARCH events USING COVERING INDEX events_by_time (ns=? AND created_at>? AND created_at<?)",
        ),
        (
            "SELECT created_at, row FROM events INDEXED BY events_by_author_and_time
             WHERE author = 1 AND created_at > 1 AND created_at < 9 AND (created_at, row) > (5, 5)
             ORDER BY created_at ASC, row ASC",
            "SEARCH events USING COVERING INDEX events_by_author_and_time (author=? AND created_at>? AND created_at<?)",
        ),
        (
            "SELECT id FROM channels INDEXED BY channels_of_namespace
             WHERE ns = 1 AND (created_at, id) > (1, 1) ORDER BY created_at, id",
            "SEARCH channels USING COVERING INDEX channels_of_namespace (ns=? AND (created_at,id)>(?,?))",
        ),
        (
            "SELECT word FROM dictionary WHERE ns = 1 AND word > 'a' AND word < 'b' ORDER BY word",
            "SEARCH dictionary USING PRIMARY KEY (ns=? AND word>? AND word<?)",
        ),
        (
            "SELECT doc FROM documents WHERE doc >= 1 AND doc < 9 AND row = 1",
            "SEARCH documents USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
        ),
        (
            "SELECT d.doc, d.row FROM words CROSS JOIN documents d ON d.doc = words.rowid
             WHERE words MATCH '\"a\" AND \"b\"' AND words.rowid > 1 AND words.rowid < 9
             ORDER BY words.rowid DESC",
            "SEARCH d USING INTEGER PRIMARY KEY (rowid=?)",
        ),
        (
            "SELECT no FROM channels WHERE purged OR trimmed < start ORDER BY no LIMIT 1",
            "SCAN channels USING INDEX channels_to_trim",
        ),
        (
            "UPDATE versions SET deleted_at = 1 WHERE row = 1",
            "SEARCH versions USING INDEX versions_by_row (row=?)",
        ),
        (
            "SELECT event FROM reactions WHERE row = 1",
            "SEARCH reactions USING COVERING INDEX reactions_by_row (row=?)",
        ),
        (
            "SELECT content FROM channel_events WHERE channel_id = '010000000001' AND seq > 5",
            "SEARCH e USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
        ),
    ] {
        let steps: Vec<String> = db
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap()
            .query_map([], |row| row.get(3))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert!(steps.iter().any(|step| step == plan), "{sql}\n{steps:#?}");
        assert!(
            !steps.iter().any(|step| step.contains("TEMP B-TREE")),
            "{sql}\n{steps:#?}"
        );
    }
}
