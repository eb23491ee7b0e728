//! Who is let in from other machines: nobody, before somebody can be told from everybody.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

const EVERYWHERE: &str = "--listen=0.0.0.0:0";
const HERE: &str = "--listen=127.0.0.1:0";
const REFUSED: &str =
    "lets other machines in, and without keys everyone may do everything; set api_keys";

/// A server that has been started, and may have ended already.
struct Server {
    child: Child,
    log: BufReader<ChildStderr>,
    /// What it has logged so far.
    said: Vec<Value>,
    address: String,
}

impl Server {
    /// Starts a server and waits until it listens.
    fn start(data: &Path, arguments: &[&str]) -> Self {
        let mut server = Self::launch(data, arguments);
        let listening = server.hears("listening");
        let address = listening["address"].as_str().unwrap();
        server.address = address.replace("0.0.0.0", "127.0.0.1");
        server
    }

    /// Returns what a server says that does not start.
    fn refused(data: &Path, arguments: &[&str]) -> String {
        let mut server = Self::launch(data, arguments);
        let mut said = String::new();
        server.log.read_to_string(&mut said).unwrap();
        let status = server.child.wait().unwrap();
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(!said.contains("\"listening\""), "{said}");
        said
    }

    fn launch(data: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
        // What those who run the tests have set is not meant for these servers.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("FLOE_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .args(["serve", "--log-format=json", "--data"])
            .arg(data)
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self {
            child,
            log,
            said: Vec::new(),
            address: String::new(),
        }
    }

    /// Reads the log up to a message; returns its line.
    #[track_caller]
    fn hears(&mut self, message: &str) -> Value {
        loop {
            let mut line = String::new();
            let len = self.log.read_line(&mut line).unwrap();
            assert_ne!(len, 0, "{:#?}", self.said);
            let line: Value = serde_json::from_str(&line).unwrap();
            self.said.push(line.clone());
            if line["message"] == message {
                return line;
            }
        }
    }

    /// Sends a request; returns the status and body of the answer.
    fn ask(&self, method: &str, path: &str, key: Option<&str>, body: &str) -> (u16, Value) {
        let key = key.map(|key| format!("Authorization: Bearer {key}\r\n"));
        let mut socket = TcpStream::connect(&self.address).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\
             Content-Type: application/json\r\n{}\r\n{body}",
            body.len(),
            key.unwrap_or_default()
        );
        socket.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    /// Makes a key; returns its id and secret.
    fn make(&self, by: Option<&str>, body: &Value) -> (String, String) {
        let (status, answer) = self.ask("POST", "/v1/keys", by, &body.to_string());
        assert_eq!(status, 201, "{answer}");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&answer["key"]["id"]), text(&answer["secret"]))
    }

    fn stop(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn operator() -> Value {
    let rights = ["admin", "manage", "create", "append", "read", "presence"];
    json!({ "namespace": "*", "rights": rights })
}

#[test]
fn a_key_in_the_log_lets_a_server_listen_beyond_its_machine() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    // Where there is no log there is no key, and nothing is left behind.
    assert!(Server::refused(&data, &[EVERYWHERE]).contains(REFUSED));
    assert!(!data.exists());

    let here = Server::start(&data, &[HERE]);
    assert_eq!(here.ask("PUT", "/v1/stream/a", None, "").0, 201);
    here.stop();
    // A log without a key is as good as none.
    assert!(Server::refused(&data, &[EVERYWHERE]).contains(REFUSED));

    let here = Server::start(&data, &[HERE]);
    let (_, key) = here.make(None, &operator());
    here.stop();
    let server = Server::start(&data, &[EVERYWHERE]);
    let told = server
        .said
        .iter()
        .find(|line| line["message"] == "other machines are let in: there are keys in the log");
    assert_eq!(told.unwrap()["keys"], 1);
    for (method, path) in [
        ("GET", "/v1/stream/a"),
        ("PUT", "/v1/stream/b"),
        ("GET", "/v1/channels"),
        ("GET", "/v1/keys"),
        ("GET", "/v1/namespaces"),
    ] {
        assert_eq!(server.ask(method, path, None, "{}").0, 401, "{path}");
    }
    assert_eq!(server.ask("GET", "/v1/stream/a", Some(&key), "").0, 200);
}

#[test]
fn keys_that_open_nothing_any_more_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let here = Server::start(folder.path(), &[HERE, "--api-keys=*:admin:k-root"]);
    let by = Some("k-root");
    let (id, secret) = here.make(by, &operator());
    let ends = json!({ "namespace": "acme", "rights": ["read"], "expiresInSeconds": 1 });
    let (_, ending) = here.make(by, &ends);
    let path = format!("/v1/keys/{id}");
    assert_eq!(here.ask("DELETE", &path, by, "").0, 204);
    assert_eq!(here.ask("GET", "/v1/whoami", Some(&secret), "").0, 401);
    while here.ask("GET", "/v1/whoami", Some(&ending), "").0 != 401 {
        std::thread::sleep(Duration::from_millis(50));
    }
    here.stop();
    assert!(Server::refused(folder.path(), &[EVERYWHERE]).contains(REFUSED));
    // Nobody may come in, and so it may be said that everyone may: it is closed all the same.
    let server = Server::start(folder.path(), &[EVERYWHERE, "--open"]);
    assert_eq!(server.ask("GET", "/v1/stream/a", None, "").0, 401);
}

#[test]
fn settings_without_keys_are_read_again_only_by_a_server_that_keeps_one() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let file = folder.path().join("floe.toml");
    let config = format!("--config={}", file.display());
    let reload = |server: &mut Server, text: &str, message: &str| {
        std::fs::write(&file, text).unwrap();
        kill_process(Pid::from_child(&server.child), Signal::HUP).unwrap();
        server.hears(message);
    };
    let keys = "api_keys = \"*:admin:k-root\"\n";
    std::fs::write(&file, keys).unwrap();
    let mut server = Server::start(&data, &[EVERYWHERE, &config]);
    let refused = "settings not read again; all stay as they were";
    reload(&mut server, "streams_max = 5\n", refused);
    assert_eq!(server.ask("PUT", "/v1/stream/a", None, "").0, 401);
    // What the file says of the address holds after a restart; the server listens where it did.
    drop(server);
    let listen = "listen = \"0.0.0.0:0\"\n";
    std::fs::write(&file, format!("{listen}{keys}")).unwrap();
    let mut server = Server::start(&data, &[&config]);
    reload(&mut server, "listen = \"127.0.0.1:0\"\n", refused);
    assert_eq!(server.ask("PUT", "/v1/stream/a", None, "").0, 401);

    let (_, key) = server.make(Some("k-root"), &operator());
    reload(&mut server, listen, "settings read again");
    assert_eq!(server.ask("PUT", "/v1/stream/a", Some("k-root"), "").0, 401);
    assert_eq!(server.ask("PUT", "/v1/stream/a", None, "").0, 401);
    assert_eq!(server.ask("PUT", "/v1/stream/a", Some(&key), "").0, 201);
}

#[test]
fn a_check_says_what_it_cannot_know() {
    let folder = tempfile::tempdir().unwrap();
    let check = |data: &Path| {
        Command::new(env!("CARGO_BIN_EXE_floe"))
            .args(["config", "check", EVERYWHERE, "--data"])
            .arg(data)
            .env_remove("FLOE_OPEN")
            .env_remove("FLOE_API_KEYS")
            .env_remove("FLOE_CONFIG")
            .output()
            .unwrap()
    };
    let none = check(&folder.path().join("none"));
    assert_eq!(none.status.code(), Some(1));
    let some = check(folder.path());
    assert!(some.status.success(), "{some:?}");
    let told = String::from_utf8(some.stderr).unwrap();
    assert!(
        told.starts_with("floe: unless there is a key in its log"),
        "{told}"
    );
    assert!(told.contains(REFUSED), "{told}");
}
