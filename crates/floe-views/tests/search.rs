//! What a search finds.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Channel, View, apply, apply_from, in_channel, in_namespace, search};
use floe_proto::{Millis, Search, SearchMode};
use floe_views::{Change, Options, QueryError, Reader};

/// Contents of all pages, however many it takes.
fn found(reader: &Reader, mut search: Search) -> Vec<String> {
    let mut contents = Vec::new();
    loop {
        let page = reader.search(&search).unwrap();
        for item in page.items {
            contents.push(item.event.content.unwrap().into_owned());
        }
        search.page = page.next;
        if search.page.is_none() {
            return contents;
        }
    }
}

fn substring(scope: floe_proto::Scope, text: &str) -> Search {
    Search {
        mode: SearchMode::Substring,
        ..search(scope, text)
    }
}

#[test]
fn words_are_found_where_they_are_and_nowhere_else() {
    let view = View::new();
    let mut projector = view.projector();
    let mut one = Channel::new(1, "acme");
    one.say("ann", "the quick brown fox");
    one.say("ann", "the lazy dog");
    let mut two = Channel::new(2, "acme");
    two.say("bob", "a quick dog");
    let mut other = Channel::new(3, "rival");
    other.say("ann", "quick quick quick");
    apply(&mut projector, &[&one, &two, &other]);
    let reader = view.reader();
    let find = |scope, text: &str| found(&reader, search(scope, text));
    assert_eq!(find(in_channel(&one), "quick"), ["the quick brown fox"]);
    assert_eq!(
        find(in_namespace("acme"), "quick"),
        ["a quick dog", "the quick brown fox"]
    );
    assert_eq!(find(in_namespace("acme"), "dog quick"), ["a quick dog"]);
    assert_eq!(
        find(in_namespace("acme"), "THE Qui"),
        ["the quick brown fox"]
    );
    assert_eq!(find(in_namespace("rival"), "quick"), ["quick quick quick"]);
    assert!(find(in_namespace("acme"), "rown").is_empty());
    assert!(find(in_namespace("nobody"), "quick").is_empty());

    let page = reader.search(&search(in_channel(&one), "fox")).unwrap();
    assert_eq!(
        page.items[0].snippet.as_deref(),
        Some("the quick brown \u{2}fox\u{3}")
    );
    assert!(page.items[0].rank.unwrap() > 0.0);
}

#[test]
fn only_what_is_there_now_is_found() {
    let view = View::new();
    let mut projector = view.projector();
    let mut channel = Channel::new(1, "acme");
    let edited = channel.say("ann", "apple");
    let deleted = channel.say("ann", "apple pie");
    channel.delete("ann", deleted);
    apply(&mut projector, &[&channel]);
    let reader = view.reader();
    let find = |text: &str| found(&reader, search(in_namespace("acme"), text));
    assert_eq!(find("apple"), ["apple"]);

    let next = channel.meta.head + 1;
    let edit = channel.edit("ann", edited, "banana");
    channel.edit("ann", deleted, "apple tart");
    apply_from(&mut projector, next, &[&channel]);
    assert_eq!(find("apple"), [""; 0]);
    assert_eq!(find("banana"), ["banana"]);

    let next = channel.meta.head + 1;
    channel.delete("ann", edit);
    apply_from(&mut projector, next, &[&channel]);
    assert_eq!(find("banana"), [""; 0]);
    assert_eq!(find("apple"), ["apple"]);

    channel.meta.deleted_at = Some(Millis(1));
    apply_from(&mut projector, channel.meta.head + 1, &[&channel]);
    assert_eq!(find("apple"), [""; 0]);
    channel.meta.deleted_at = None;
    channel.meta.start = 2;
    apply_from(&mut projector, channel.meta.head + 1, &[&channel]);
    assert_eq!(find("apple"), [""; 0]);
    let purge = Change {
        meta: channel.meta.clone(),
        first_seq: 1,
        events: b"",
        purged: true,
    };
    projector.apply(&[purge]).unwrap();
    let db = rusqlite::Connection::open(view.path()).unwrap();
    for table in ["events", "documents", "versions", "deletions", "channels"] {
        let rows: i64 = db
            .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(rows, 0, "{table}");
    }
}

#[test]
fn hostile_text_is_text() {
    let view = View::with(Options {
        trigrams: true,
        ..Options::default()
    });
    let mut projector = view.projector();
    let mut channel = Channel::new(1, "acme");
    let texts = [
        "\"quoted\" AND (x OR y) NOT z NEAR(a b, 2)",
        "nul\0byte and \u{2}mark\u{3}",
        "👩‍👩‍👧 emoji 👍🏽",
        "東京タワーは高い",
        "שלום עולם مرحبا",
        "100% of_it \\ '; DROP TABLE events; --",
        "\u{e000}c1 \u{e000}n1 terms:x ^a + - * :",
        "İstanbul ǅ ﬁ ß",
    ];
    for text in texts {
        channel.say("ann", text);
    }
    apply(&mut projector, &[&channel]);
    let reader = view.reader();
    for scope in [in_channel(&channel), in_namespace("acme")] {
        for text in texts {
            assert_eq!(found(&reader, search(scope.clone(), text)), [text]);
            assert_eq!(found(&reader, substring(scope.clone(), text)), [text]);
        }
        for text in [
            "", " ", "\"", "***", "()", "👍", "\0", "\u{e000}", "-", "NOT", "AND OR",
        ] {
            reader.search(&search(scope.clone(), text)).unwrap();
            reader.search(&substring(scope.clone(), text)).unwrap();
        }
        let find = |text: &str| found(&reader, search(scope.clone(), text)).len();
        assert_eq!(find(""), 0);
        assert_eq!(find("\"*\" -"), 0);
        assert_eq!(find("タワー"), 1);
        assert_eq!(find("高タワー"), 0);
        assert_eq!(find("שלום"), 1);
        assert_eq!(find("istanbul"), 1);
        assert_eq!(find("c1"), 1);
        let part = |text: &str| found(&reader, substring(scope.clone(), text)).len();
        assert_eq!(part("%"), 1);
        assert_eq!(part("_it \\"), 1);
        assert_eq!(part("l\0b"), 1);
        assert_eq!(part("ワーは"), 1);
        assert_eq!(part("wörter"), 0);
        assert_eq!(part("EMOJI"), 0);
    }
    let long = "x".repeat(view.options.text_bytes_max + 1);
    assert!(matches!(
        reader.search(&search(in_namespace("acme"), &long)),
        Err(QueryError::TextTooLong { .. })
    ));
}

#[test]
fn what_is_switched_off_says_so_and_can_be_switched_on() {
    let mut view = View::with(Options {
        words: false,
        ..Options::default()
    });
    let mut channel = Channel::new(1, "acme");
    channel.say("ann", "needles in haystacks");
    apply(&mut view.projector(), &[&channel]);
    let ask = |view: &View, search: Search| view.reader().search(&search).map(|page| page.items);
    let words = search(in_namespace("acme"), "needles");
    let part = substring(in_namespace("acme"), "stack");
    assert!(matches!(
        ask(&view, words.clone()),
        Err(QueryError::IndexOff { index: "words" })
    ));
    assert!(matches!(
        ask(&view, part.clone()),
        Err(QueryError::IndexOff { index: "trigrams" })
    ));
    let inside = substring(in_channel(&channel), "stack");
    assert_eq!(ask(&view, inside).unwrap().len(), 1);

    for (words_on, trigrams_on) in [(true, false), (true, true), (false, true), (true, false)] {
        view.options.words = words_on;
        view.options.trigrams = trigrams_on;
        drop(view.projector());
        assert_eq!(
            ask(&view, words.clone()).is_ok_and(|it| it.len() == 1),
            words_on
        );
        assert_eq!(
            ask(&view, part.clone()).is_ok_and(|it| it.len() == 1),
            trigrams_on
        );
    }
}

#[test]
fn every_match_is_on_one_page_though_more_come_in_between() {
    let view = View::with(Options {
        candidates_max: 7,
        ..Options::default()
    });
    let mut projector = view.projector();
    let mut channel = Channel::new(1, "acme");
    for number in 0..50_usize {
        channel.say(
            "ann",
            &format!("{}n{number}", "word ".repeat(1 + number % 4)),
        );
    }
    apply(&mut projector, &[&channel]);
    let reader = view.reader();
    let mut ask = search(in_namespace("acme"), "word");
    ask.limit = 3;
    let mut contents = Vec::new();
    loop {
        let page = reader.search(&ask).unwrap();
        contents.extend(
            page.items
                .into_iter()
                .map(|item| item.event.content.unwrap()),
        );
        let next = channel.meta.head + 1;
        channel.say("bob", "word in between");
        apply_from(&mut projector, next, &[&channel]);
        ask.page = page.next;
        if ask.page.is_none() {
            break;
        }
    }
    assert_eq!(contents.len(), 50);
    contents.sort();
    contents.dedup();
    assert_eq!(contents.len(), 50);
    ask.page = Some("AAAA".into());
    assert!(matches!(reader.search(&ask), Err(QueryError::Page)));
}

#[test]
fn a_beginning_finds_all_words_that_begin_so() {
    let view = View::new();
    let mut projector = view.projector();
    let mut channel = Channel::new(1, "acme");
    for number in 0..30 {
        channel.say("ann", &format!("prefix{number:02}"));
    }
    apply(&mut projector, &[&channel]);
    let reader = view.reader();
    let find = |text: &str| found(&reader, search(in_channel(&channel), text)).len();
    assert_eq!(find("prefix"), 30);
    assert_eq!(find("prefix1"), 10);
    assert_eq!(find("prefix1 prefix1"), 0);
}
