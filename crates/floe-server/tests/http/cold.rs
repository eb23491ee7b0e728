//! The cold tier over HTTP, with a folder as the store.

use std::fs;
use std::path::{Path, PathBuf};

use floe_server::{ColdPlace, Settings};
use tempfile::TempDir;

use crate::harness::{TestServer, delete, eventually, get, head, offset, post, put};

/// A store in a folder that a test can take away.
pub struct Store {
    folder: TempDir,
}

impl Store {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("cold")
    }

    fn away(&self) -> PathBuf {
        self.folder.path().join("away")
    }

    /// A server all of whose segments move at once.
    pub fn serve(&self) -> TestServer {
        TestServer::with(|settings| self.set(settings))
    }

    fn set(&self, settings: &mut Settings) {
        settings.log.flush_bytes = 100_000;
        settings.log.record_bytes_max = 1 << 20;
        settings.cold.place = Some(ColdPlace::Folder(self.path()));
        settings.cold.options.hot_bytes_max = 0;
        settings.cold.options.age_min_ms = 0;
        settings.cold.options.segment_bytes_min = 0;
        settings.cold.options.part_bytes = 128 << 10;
        settings.cold.options.block_bytes = 64 << 10;
    }

    /// Takes the store away, as if its disk or network had failed.
    pub fn fail(&self) {
        fs::rename(self.path(), self.away()).unwrap();
        fs::write(self.path(), b"no folder").unwrap();
    }

    pub fn work_again(&self) {
        fs::remove_file(self.path()).unwrap();
        fs::rename(self.away(), self.path()).unwrap();
    }

    fn objects(&self) -> Vec<PathBuf> {
        fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
            // A folder may go while it is looked at.
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            for path in entries.map(|entry| entry.path()) {
                match path.is_dir() {
                    true => walk(&path, found),
                    false => found.push(path),
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.path(), &mut found);
        found
    }
}

/// Message number `n`, of ten thousand bytes and one.
fn message(n: usize) -> String {
    format!("{n:05}{}\n", "x".repeat(9_995))
}

/// Appends messages `from..to` and waits until all segments are cold.
fn fill(server: &TestServer, stream: &str, messages: std::ops::Range<usize>) {
    let uploads = server.metric("floe_cold_uploads_total");
    for n in messages {
        server.expect(204, post(stream).text(&message(n)));
    }
    eventually("segments move", || {
        server.metric("floe_cold_uploads_total") > uploads && segment_files(server) == 0
    });
}

pub fn segment_files(server: &TestServer) -> usize {
    let names = fs::read_dir(server.folder()).unwrap().flatten();
    let names = names.map(|entry| entry.file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("seg-")).count()
}

#[test]
fn cold_streams_read_as_if_nothing_had_happened() {
    let store = Store::new();
    let server = store.serve();
    server.expect(201, put("log").text(""));
    fill(&server, "log", 0..45);
    let whole: String = (0..45).map(message).collect();
    let described = server.expect(200, head("log"));
    assert_eq!(
        described.header("stream-next-offset"),
        Some(&*offset(450_045))
    );

    assert_eq!(server.read_all("log"), whole.as_bytes());
    assert!(server.metric("floe_cold_fetches_total") > 0.0);
    let middle = server.expect(200, get(&format!("log?offset={}", offset(10_001))));
    assert!(middle.text().starts_with("00001x"));
    let polled = server.expect(
        200,
        get(&format!("log?offset={}&live=long-poll", offset(20_002))),
    );
    assert!(polled.text().starts_with("00002x"));

    let (text, end) = server.follow("log", "-1").until_up_to_date();
    assert_eq!(text, whole);
    assert_eq!(end.next(), offset(450_045));

    server.expect(
        201,
        put("fork")
            .field("stream-forked-from", "/v1/stream/log")
            .field("stream-fork-offset", offset(30_003)),
    );
    server.expect(204, post("fork").text("its own"));
    let fork = String::from_utf8(server.read_all("fork")).unwrap();
    assert_eq!(fork, whole[..30_003].to_owned() + "its own");
}

#[test]
fn a_start_asks_nothing_of_the_store() {
    let store = Store::new();
    let server = store.serve();
    server.expect(201, put("log").text(""));
    fill(&server, "log", 0..30);
    store.fail();
    let server = server.restart();
    server.expect(204, post("log").text("more"));
    let tail = server.expect(200, get(&format!("log?offset={}", offset(300_030))));
    assert_eq!(tail.text(), "more");
    server.expect(200, head("log"));
}

#[test]
fn a_store_that_is_down_fails_cold_reads_alone() {
    let store = Store::new();
    let server = store.serve();
    server.expect(201, put("log").text(""));
    fill(&server, "log", 0..30);
    store.fail();

    let refused = server.send(get("log?offset=-1"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    refused.refused(503, "COLD_UNAVAILABLE");
    server
        .send(get("log?offset=-1&live=sse"))
        .refused(503, "COLD_UNAVAILABLE");
    server
        .send(get("log?offset=-1&live=long-poll"))
        .refused(503, "COLD_UNAVAILABLE");

    for n in 30..60 {
        server.expect(204, post("log").text(&message(n)));
    }
    let tail = server.expect(200, get(&format!("log?offset={}", offset(59 * 10_001))));
    assert_eq!(tail.text(), message(59));
    eventually("uploads fail", || {
        server.metric("floe_cold_failures_total") > 1.0
            && server.metric("floe_cold_lag_bytes") > 100_000.0
    });

    store.work_again();
    eventually("uploads go on", || segment_files(&server) == 0);
    eventually("reads work", || {
        server.send(get("log?offset=-1")).status == 200
    });
    let whole: String = (0..60).map(message).collect();
    assert_eq!(server.read_all("log"), whole.as_bytes());
}

#[test]
fn what_was_deleted_leaves_the_store() {
    let store = Store::new();
    let server = store.serve();
    server.expect(201, put("stays").text("hello"));
    server.expect(201, put("log").text(""));
    fill(&server, "log", 0..30);
    let before = store.objects().len();
    server.expect(204, delete("log"));
    server.expect(201, put("other").text(""));
    fill(&server, "other", 0..11);
    eventually("objects go", || store.objects().len() < before);
    assert_eq!(server.read_all("stays"), b"hello");
    let whole: String = (0..11).map(message).collect();
    assert_eq!(server.read_all("other"), whole.as_bytes());
}

#[test]
fn objects_that_nothing_names_are_removed_after_a_start_and_others_are_not() {
    let store = Store::new();
    let server = store.serve();
    server.expect(201, put("log").text(""));
    fill(&server, "log", 0..30);
    let object = store.objects().pop().unwrap();
    let of_this_log = object.parent().unwrap().parent().unwrap();
    let orphan = of_this_log.join("000000ff-0123456789abcdef");
    fs::create_dir_all(&orphan).unwrap();
    fs::write(orphan.join("0000"), b"left by a crash").unwrap();
    fs::write(of_this_log.join("README"), b"not ours").unwrap();
    let server = server.restart();
    eventually("the orphan goes", || !orphan.exists());
    assert!(of_this_log.join("README").exists());
    let whole: String = (0..30).map(message).collect();
    assert_eq!(server.read_all("log"), whole.as_bytes());
}

#[test]
fn a_damaged_object_is_not_served() {
    let store = Store::new();
    let server = store.serve();
    server.expect(201, put("log").text(""));
    fill(&server, "log", 0..30);
    for object in store.objects() {
        let mut bytes = fs::read(&object).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&object, bytes).unwrap();
    }
    server.send(get("log?offset=-1")).refused(500, "CORRUPT");
    server.expect(204, post("log").text("more"));
}
