//! Settings as an operator has them: a file, the environment, SIGHUP.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// A server with a file of settings, whose log is read.
struct Server {
    child: Child,
    log: BufReader<ChildStderr>,
    address: String,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("floe.toml");
        std::fs::write(&file, settings).unwrap();
        let mut child = floe()
            .args(["serve", "--listen=127.0.0.1:0", "--log-format=json"])
            .arg("--data")
            .arg(folder.path().join("data"))
            .arg("--config")
            .arg(&file)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut server = Self {
            child,
            log,
            address: String::new(),
            file,
            _folder: folder,
        };
        let listening = server.hears("listening");
        server.address = listening["address"].as_str().unwrap().to_owned();
        server
    }

    /// Reads the log up to a message; returns its line.
    fn hears(&mut self, message: &str) -> serde_json::Value {
        self.hears_all(message).pop().unwrap()
    }

    /// Reads the log up to a message; returns all lines.
    fn hears_all(&mut self, message: &str) -> Vec<serde_json::Value> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.log.read_line(&mut line).unwrap(), 0, "{lines:#?}");
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            let is_it = line["message"] == message;
            lines.push(line);
            if is_it {
                return lines;
            }
        }
    }

    fn change(&self, settings: &str) {
        std::fs::write(&self.file, settings).unwrap();
        kill_process(Pid::from_child(&self.child), Signal::HUP).unwrap();
    }

    fn connect(&self) -> Connection {
        let socket = TcpStream::connect(&self.address).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        Connection(BufReader::new(socket))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection that stays open.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn write(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// Asks for something and returns the status of the answer.
    fn ask(&mut self, method: &str, path: &str, body: &str) -> u16 {
        self.write(&format!(
            "{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        let head = self.head();
        let len = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse::<usize>().unwrap())
        });
        let mut body = vec![0; len.unwrap_or(0)];
        self.0.read_exact(&mut body).unwrap();
        head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(self.0.read_line(&mut head).unwrap(), 0, "{head}");
        }
        head
    }

    /// Reads up to something that must come.
    fn reads(&mut self, wanted: &str) {
        let mut read = Vec::new();
        while !read.ends_with(wanted.as_bytes()) {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            read.push(byte[0]);
        }
    }
}

#[test]
fn a_signal_changes_limits_and_drops_nobody_and_a_broken_file_changes_nothing() {
    let mut server = Server::start("streams_max = 3\nlog = \"info\"\n");
    let mut writer = server.connect();
    assert_eq!(writer.ask("PUT", "/v1/stream/a", ""), 201);
    let mut reader = server.connect();
    reader.write("GET /v1/stream/a?offset=-1&live=sse HTTP/1.1\r\nHost: a\r\n\r\n");
    reader.reads("\"upToDate\":true}");
    let mut socket = server.connect();
    socket.write(
        "GET /v1/live HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert!(socket.head().starts_with("HTTP/1.1 101 "));
    socket.reads("\"type\":\"welcome\"");

    server.change(
        "streams_max = 1\nhttp_body_bytes_max = 4\ndata = \"elsewhere\"\nlog_format = \"text\"\n",
    );
    let read_again = server.hears("settings read again");
    assert_eq!(read_again["changed"], "http_body_bytes_max streams_max");
    // Flags go before the file, so neither the folder nor the form of the log has changed.
    assert_eq!(writer.ask("PUT", "/v1/stream/b", ""), 429);

    server.change("streams_max = many\nreadrs_max = 5\n");
    let told = server.hears_all("settings not read again; all stay as they were");
    let told: Vec<_> = told
        .iter()
        .map(|line| line["message"].as_str().unwrap())
        .collect();
    assert!(told[0].contains("floe.toml:1: "), "{told:?}");
    assert!(
        told[1].ends_with("floe.toml:2: readrs_max is no setting; did you mean readers_max?"),
        "{told:?}"
    );
    assert_eq!(told.len(), 3);
    assert_eq!(writer.ask("PUT", "/v1/stream/b", ""), 429);

    server.change("wal_bytes_max = 1_000_000_000\nlog = \"debug\"\n");
    let told = server.hears_all("settings read again");
    assert_eq!(told[0]["setting"], "wal_bytes_max");
    assert_eq!(told[0]["level"], "WARN");
    assert_eq!(told[1]["changed"], "log http_body_bytes_max streams_max");
    assert_eq!(writer.ask("PUT", "/v1/stream/b", ""), 201);

    // All three are there still.
    assert_eq!(writer.ask("POST", "/v1/stream/a", "at last"), 204);
    reader.reads("at last");
    socket.write("\x01\x02");
    assert_eq!(writer.ask("GET", "/metrics", ""), 200);
}

#[test]
fn a_wrong_file_is_no_start_and_a_check_says_all_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "stream_max = 5\nreaders_max = \"x\"\n");
    let expected = format!(
        "floe: the settings are not as they must be\n  \
         {file}:1: stream_max is no setting; did you mean streams_max?\n  \
         {file}:2: readers_max: expected a whole number, found a string; it stands without quotes\n"
    );
    let data = folder.path().join("data");
    for command in [&["config", "check"][..], &["serve"], &[]] {
        let output = floe()
            .args(command)
            .args(["--config", &file, "--data"])
            .arg(&data)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert_eq!(stderr(&output), expected);
    }
    assert!(!data.exists());
    let file = write(folder.path(), "streams_max = 5\nreaders_max = 6\n");
    let output = floe().args(["config", "check", "--config", &file]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(stdout(&output), format!("{file} is good: 2 settings\n"));
    // The command line is another matter.
    let output = floe().args(["serve", "--streams-max=x"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--streams-max"), "{output:?}");
}

#[test]
fn the_environment_goes_before_the_file_and_may_name_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(
        folder.path(),
        "streams_max = 5\nreaders_max = 6\norigins = [\"https://a.example\"]\nopen = true\n",
    );
    let print = |more: &[&str]| {
        let output = floe()
            .args(["config", "print", "--readers-max=8"])
            .args(more)
            .env("FLOE_CONFIG", &file)
            .env("FLOE_STREAMS_MAX", "7")
            .env("FLOE_OPEN", "no")
            .env("FLOE_API_KEYS", "*:admin:topsecret")
            .env("FLOE_MEMORY_KEY_MAX", "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(
            stderr(&output),
            "floe: FLOE_MEMORY_KEY_MAX is no setting; did you mean FLOE_MEMORY_KEYS_MAX?\n"
        );
        let text = stdout(&output);
        assert!(!text.contains("topsecret"), "{text}");
        text
    };
    let text = print(&[]);
    let line = |key: &str| {
        let line = text.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        line("streams_max"),
        "streams_max 7 environment FLOE_STREAMS_MAX"
    );
    assert_eq!(line("readers_max"), "readers_max 8 flag");
    assert_eq!(
        line("origins"),
        format!("origins [\"https://a.example\"] file {file}:3")
    );
    assert_eq!(line("open"), "open false environment FLOE_OPEN");
    assert_eq!(
        line("api_keys"),
        "api_keys \"(set)\" environment FLOE_API_KEYS"
    );
    assert_eq!(line("log_format"), "log_format \"text\" default");
    // As a file it is the same, with nothing but the file.
    let again = write(folder.path(), &print(&["--toml"]));
    let json = |output: Output| -> Vec<(String, serde_json::Value)> {
        let all: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
        let all = all["settings"].as_array().unwrap().iter();
        all.map(|one| {
            (
                one["name"].as_str().unwrap().to_owned(),
                one["value"].clone(),
            )
        })
        .filter(|(name, _)| name != "api_keys")
        .collect()
    };
    let first: serde_json::Value = serde_json::from_str(&print(&["--json"])).unwrap();
    let output = floe()
        .args(["config", "print", "--json", "--config", &again])
        .output();
    let second = json(output.unwrap());
    assert!(second.len() > 50);
    for (name, value) in second {
        let all = first["settings"].as_array().unwrap();
        let before = all.iter().find(|one| one["name"] == name.as_str());
        assert_eq!(before.unwrap()["value"], value, "{name}");
    }
}

#[test]
fn the_environment_alone_may_be_wrong_too() {
    let output = floe()
        .args(["config", "check"])
        .env("FLOE_LISTEN", "0.0.0.0:1")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(
        told.contains("\n  FLOE_LISTEN: listen: 0.0.0.0:1 lets other machines in"),
        "{told}"
    );
    for open in ["true", "1"] {
        let output = floe()
            .args(["config", "check", "--listen=0.0.0.0:1"])
            .env("FLOE_OPEN", open)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

#[test]
fn manual_and_completions_know_the_commands() {
    let folder = tempfile::tempdir().unwrap();
    let output = floe().arg("man").arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    for page in [
        "floe-config.1",
        "floe-config-check.1",
        "floe-config-print.1",
    ] {
        assert!(folder.path().join(page).exists(), "{page}");
    }
    let output = floe().args(["completions", "bash"]).output().unwrap();
    assert!(stdout(&output).contains("config__subcmd__print"));
}

fn floe() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
    // What those who run the tests have set is not meant for these servers.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FLOE_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Writes a file of settings and returns its path.
fn write(folder: &Path, text: &str) -> String {
    let file = folder.join("floe.toml");
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
