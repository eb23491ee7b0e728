//! Rooms with tables over HTTP.

mod access;
mod buffered;
mod cold;
mod durable;
mod full;
mod log;
mod many;
mod memory;
mod methods;
mod replica;
mod routes;
mod traps;

use serde_json::{Value, json};

use crate::harness::{Request, Response, TestServer, post};

/// A room with tables, and who asks it.
pub struct Room<'s> {
    server: &'s TestServer,
    root: String,
    key: Option<String>,
}

impl<'s> Room<'s> {
    pub fn new(server: &'s TestServer, name: &str) -> Self {
        Self {
            server,
            root: format!("/v1/rooms/{name}"),
            key: None,
        }
    }

    /// The same room, asked by somebody else.
    pub fn by(&self, key: &str) -> Self {
        Self {
            server: self.server,
            root: self.root.clone(),
            key: Some(key.to_owned()),
        }
    }

    pub fn path(&self, last: &str) -> String {
        format!("{}/{last}", self.root)
    }

    /// A call of a method, as a request.
    pub fn request(&self, method: &str, payload: &Value) -> Request {
        let call = json!({"method": method, "payload": payload, "requestId": "r1"});
        let request = post(&self.path("rpc")).value(&call);
        match &self.key {
            Some(key) => request.key(key),
            None => request,
        }
    }

    #[track_caller]
    pub fn send(&self, method: &str, payload: &Value) -> Response {
        self.server.send(self.request(method, payload))
    }

    /// Calls a method that must succeed.
    #[track_caller]
    pub fn call(&self, method: &str, payload: &Value) -> Value {
        let answer = self.send(method, payload).expect(200).json();
        assert_eq!(answer["requestId"], "r1", "{answer}");
        assert_eq!(answer["action"], method, "{answer}");
        answer
    }

    /// Calls a method that must fail so.
    #[track_caller]
    pub fn refused(&self, method: &str, payload: &Value, status: u16, code: &str) -> Value {
        let answer = self.send(method, payload).expect(status).json();
        assert_eq!(answer["code"], code, "{answer}");
        answer
    }

    /// Returns the rows of a query.
    #[track_caller]
    pub fn rows(&self, sql: &str) -> Value {
        let answer = self.call("executeSQL", &json!({ "sql": sql }));
        answer["data"].clone()
    }

    /// Returns the one number that a query has.
    #[track_caller]
    pub fn number(&self, sql: &str) -> i64 {
        self.rows(&format!("SELECT ({sql}) AS n"))[0]["n"]
            .as_i64()
            .unwrap()
    }

    /// Makes the table `notes`.
    #[track_caller]
    pub fn with_notes(self) -> Self {
        self.call("createTable", &notes());
        self
    }

    /// Inserts a note; returns the seq of its message.
    #[track_caller]
    pub fn note(&self, text: &str) -> u64 {
        self.call("insertRow", &note(text))["seq"].as_u64().unwrap()
    }
}

pub fn note(text: &str) -> Value {
    json!({"table": "notes", "values": {"text": text}})
}

pub fn notes() -> Value {
    json!({
        "name": "notes",
        "columns": [
            {"name": "id", "type": "INTEGER", "primaryKey": true},
            {"name": "text", "type": "TEXT", "notNull": true},
            {"name": "mark", "type": "INTEGER", "unique": true},
        ],
    })
}

/// Returns the files of rooms in a server's folder that end so.
pub fn files(folder: &std::path::Path, end: &str) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder.join("tables")) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths
        .filter(|path| path.to_str().unwrap().ends_with(end))
        .collect();
    paths.sort();
    paths
}
