//! The binary as a user runs it: a server, and every tool against it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

#[test]
fn lines_come_back_as_they_went_in() {
    let server = Server::start();
    let url = server.stream("lines");
    let appended = floe(&["append", &url, "--create", "--lines"], "one\ntwo\nthree");
    assert_eq!(text(&appended), "0000000000000013\n");
    let printed = floe(&["tail", &url, "--no-follow"], "");
    assert_eq!(text(&printed), "one\ntwo\nthree");
    let rest = floe(
        &[
            "tail",
            &url,
            "--no-follow",
            "--offset",
            "0000000000000008",
            "--json",
        ],
        "",
    );
    assert_eq!(
        text(&rest),
        "{\"next_offset\":\"0000000000000013\",\"text\":\"three\"}\n"
    );
}

#[test]
fn a_closed_json_stream_is_followed_to_its_end() {
    let server = Server::start();
    let url = server.stream("values");
    let values = "{\"a\": 1.0}\n[1, 2]\n\"x\"\n";
    floe(&["append", &url, "--create", "--json", "--close"], values);
    assert_eq!(text(&floe(&["tail", &url], "")), values);
    let refused = floe_output(&["append", &url, "--json"], "1");
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(refused.stderr).unwrap(),
        "floe: the stream is closed\n"
    );
}

#[test]
fn a_stopped_server_leaves_a_whole_folder_that_inspect_can_read() {
    let server = Server::start();
    floe(&["append", &server.stream("kept"), "--create"], "bytes");
    let folder = server.stop();
    let folder = folder.path().to_str().unwrap();
    let verified = floe(&["inspect", folder, "--verify"], "");
    assert!(text(&verified).ends_with("bytes checked, all as written\n"));
    let contents = text(&floe(&["inspect", folder, "--json"], ""));
    let contents: serde_json::Value = serde_json::from_str(&contents).unwrap();
    let streams = contents["streams"].as_array().unwrap();
    let kept = streams.iter().find(|stream| stream["name"] == "kept");
    assert_eq!(kept.unwrap()["newest_offset"], "0000000000000005");
    let missing = floe_output(&["inspect", "/nowhere/at/all"], "");
    assert_eq!(missing.status.code(), Some(1));
}

#[test]
fn a_rebuilt_view_is_taken_by_a_server_that_runs_and_by_one_that_starts() {
    let server = Server::start();
    let channel = post(&server.url, "/v1/channels", "{\"name\":\"rebuilt\"}");
    let id = channel["metadata"]["channelId"].as_str().unwrap();
    let events = format!("/v1/channels/{id}/events");
    for seq in 1..=3 {
        let event = format!("{{\"authorId\":\"ann\",\"content\":\"event {seq}\"}}");
        post(&server.url, &events, &event);
    }
    let found = format!("/v1/channels/{id}/query?waitFor=3");
    assert_eq!(count(&get(&server.url, &found)), 3);
    let data = server.folder.path().to_str().unwrap().to_owned();
    let rebuilt = floe(&["views", "rebuild", &data], "");
    let said = String::from_utf8(rebuilt.stderr).unwrap();
    assert_eq!(said, "rebuilt: 1 channels, 3 events\n");
    // The server takes the new file with the next event.
    post(
        &server.url,
        &events,
        "{\"authorId\":\"ann\",\"content\":\"event 4\"}",
    );
    let found = format!("/v1/channels/{id}/query?waitFor=4");
    assert_eq!(count(&get(&server.url, &found)), 4);
    let folder = server.stop();
    assert!(!folder.path().join("view/view-000001.sqlite").exists());
    assert!(folder.path().join("view/view-000002.sqlite").exists());
}

fn post(url: &str, path: &str, body: &str) -> serde_json::Value {
    ask(url, "POST", path, body)
}

fn get(url: &str, path: &str) -> serde_json::Value {
    ask(url, "GET", path, "")
}

fn ask(url: &str, method: &str, path: &str, body: &str) -> serde_json::Value {
    let address = url.strip_prefix("http://").unwrap();
    let mut socket = std::net::TcpStream::connect(address).unwrap();
    let len = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {len}\r\nConnection: close"
    );
    write!(socket, "{head}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap()
}

fn count(answer: &serde_json::Value) -> usize {
    answer["events"].as_array().unwrap().len()
}

#[test]
fn bench_measures_the_server_that_it_is_told() {
    let server = Server::start();
    let pid = server.child.id().to_string();
    let url = server.url.clone();
    let options = ["--duration=0.3", "--warm-up=0.1", "--json", "--pid", &pid];
    let report = floe(&[&["bench", "append", &url][..], &options].concat(), "");
    let report: serde_json::Value = serde_json::from_slice(&report.stdout).unwrap();
    assert!(report["operations"]["append"]["count"].as_u64().unwrap() > 0);
    assert!(
        report["server"]["memory_after"]["rss_bytes"]
            .as_u64()
            .unwrap()
            > 0
    );
    assert_eq!(report["errors"], serde_json::json!({}));
    let live = ["bench", "sse", &url, "--readers=20", "--rate=100"];
    let report = floe(&[&live[..], &options].concat(), "");
    let report: serde_json::Value = serde_json::from_slice(&report.stdout).unwrap();
    assert!(report["operations"]["delivery"]["count"].as_u64().unwrap() > 0);
}

#[test]
fn bench_follows_asks_and_comes_back_to_channels() {
    let server = Server::start();
    let common = ["--warm-up=0.1", "--duration=0.3", "--json"];
    for (workload, operation, own) in [
        ("live", "delivery", &["--readers=10", "--rate=100"][..]),
        ("live-rooms", "delivery", &["--rooms=10", "--writers=2"]),
        ("live-storm", "heal", &["--clients=10", "--missed=20"]),
        ("live-churn", "heal", &["--clients=10", "--stay=0.1"]),
        ("channel-append", "append", &["--form=kept"]),
        ("query", "query", &["--events=2000", "--question=limit=5"]),
        ("search", "query", &["--events=2000"]),
    ] {
        let report = floe(
            &[&["bench", workload, &server.url], own, &common].concat(),
            "",
        );
        let report: serde_json::Value = serde_json::from_slice(&report.stdout).unwrap();
        let count = report["operations"][operation]["count"].as_u64();
        assert!(count.is_some_and(|count| count > 0), "{workload}: {report}");
        assert_eq!(report["errors"], serde_json::json!({}), "{workload}");
    }
}

#[test]
fn a_reader_that_has_had_enough_is_no_failure() {
    let server = Server::start();
    let url = server.stream("long");
    floe(&["append", &url, "--create"], &"x".repeat(1 << 20));
    let mut tail = command(&["tail", &url]).spawn().unwrap();
    let mut first = [0; 10];
    tail.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = tail.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stderr, b"");
}

#[test]
fn the_command_line_explains_itself() {
    let help = text(&floe(&["--help"], ""));
    for word in ["serve", "tail", "append", "inspect", "bench", "Exit codes:"] {
        assert!(help.contains(word), "{word} is missing in:\n{help}");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(text(&floe(&["completions", shell], "")).contains("floe"));
    }
    let folder = tempfile::tempdir().unwrap();
    floe(&["man", folder.path().to_str().unwrap()], "");
    assert!(Path::new(folder.path()).join("floe-tail.1").exists());
    let wrong = floe_output(&["tail"], "");
    assert_eq!(wrong.status.code(), Some(2));
}

/// A server on a port of its own.
struct Server {
    child: Child,
    url: String,
    folder: tempfile::TempDir,
}

#[test]
fn tools_speak_tls_and_trust_what_the_system_trusts() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
    let server = Server::start_with(&[flag("tls-cert", &certificate), flag("tls-key", &key)]);
    let port = server.url.rsplit_once(':').unwrap().1;
    let url = format!("https://localhost:{port}/v1/stream/news");
    let mut child = command(&["append", &url, "--create"])
        .env("SSL_CERT_FILE", &certificate)
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"hello").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output), "0000000000000005\n", "{output:?}");

    let common = ["--warm-up=0.1", "--duration=0.3", "--json"];
    for (workload, scheme, operation, own) in [
        ("append", "https", "append", &["--connections=4"][..]),
        ("sse", "https", "delivery", &["--readers=5", "--rate=100"]),
        ("live", "wss", "delivery", &["--readers=5", "--rate=100"]),
        (
            "query",
            "https",
            "query",
            &["--events=500", "--question=limit=5"],
        ),
    ] {
        let url = format!("{scheme}://localhost:{port}");
        let arguments = [&["bench", workload, &url], own, &common].concat();
        let bench = |trusted: &Path| {
            let mut bench = command(&arguments);
            bench.env("SSL_CERT_FILE", trusted).output().unwrap()
        };
        let output = bench(&certificate);
        assert!(output.status.success(), "{workload}: {output:?}");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let count = report["operations"][operation]["count"].as_u64();
        assert!(count.is_some_and(|count| count > 0), "{workload}: {report}");
        assert_eq!(report["errors"], serde_json::json!({}), "{workload}");
        if workload == "append" {
            // Whom nobody vouches for is not measured.
            let output = bench(&folder.path().join("none.pem"));
            assert!(!output.status.success(), "{output:?}");
        }
    }
}

impl Server {
    fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(settings: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_floe"))
            .args([
                "serve",
                "--listen=127.0.0.1:0",
                "--log-format=json",
                "--data",
            ])
            .arg(folder.path())
            .args(settings)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        log.read_line(&mut line).unwrap();
        let first: serde_json::Value = serde_json::from_str(&line).unwrap();
        // From here on nobody reads the log, which is nothing to the server.
        drop(log);
        Self {
            child,
            url: format!("http://{}", first["address"].as_str().unwrap()),
            folder,
        }
    }

    fn stream(&self, name: &str) -> String {
        format!("{}/v1/stream/{name}", self.url)
    }

    /// Stops the server and returns its folder.
    fn stop(mut self) -> tempfile::TempDir {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
        std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn floe_output(arguments: &[&str], input: &str) -> Output {
    let mut child = command(arguments).spawn().unwrap();
    // A tool that fails at once does not read its input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn floe(arguments: &[&str], input: &str) -> Output {
    let output = floe_output(arguments, input);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    output
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}
