//! Rooms with tables over HTTP.

mod buffered;
mod memory;
mod methods;

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

    /// Makes the table `notes`.
    #[track_caller]
    pub fn with_notes(self) -> Self {
        self.call("createTable", &notes());
        self
    }

    /// Inserts a note; returns the seq of its message.
    #[track_caller]
    pub fn note(&self, text: &str) -> u64 {
        let payload = json!({"table": "notes", "values": {"text": text}});
        self.call("insertRow", &payload)["seq"].as_u64().unwrap()
    }
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
