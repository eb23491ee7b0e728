//! Administration: namespaces, API keys, tokens, invitations, revocations, tickets, the audit log.

mod audit;
mod clearing;
mod keys;
mod namespaces;
mod pages;
mod revoking;
mod routes;
mod secrets;
mod tickets;
mod tokens;

use serde_json::{Value, json};

use crate::harness::{Request, Response, TestServer, delete, get, post};

/// Keys of the settings: an operator, the admins of two namespaces, and somebody weak.
const KEYS: &str =
    "*:admin,read-deleted:k-root acme:admin:k-acme umbra:admin:k-umbra acme:read:k-weak";

fn guarded() -> TestServer {
    TestServer::with(|settings| settings.api_keys = KEYS.into())
}

/// A key that was made.
#[derive(Debug, Clone)]
struct Made {
    id: String,
    secret: String,
}

impl Made {
    #[track_caller]
    fn of(answer: &Response) -> Self {
        let body = answer.json();
        Self {
            id: body["key"]["id"].as_str().unwrap().to_owned(),
            secret: body["secret"].as_str().unwrap().to_owned(),
        }
    }
}

/// Makes a key as somebody.
#[track_caller]
fn make(server: &TestServer, by: &str, body: &Value) -> Made {
    Made::of(&server.expect(201, post("/v1/keys").key(by).value(body)))
}

/// Signs a token as somebody.
#[track_caller]
fn sign(server: &TestServer, by: &str, body: &Value) -> Value {
    let request = post("/v1/tokens").key(by).value(body);
    server.expect(201, request).json()
}

fn bearer(request: Request, token: &str) -> Request {
    request.field("Authorization", format!("Bearer {token}"))
}

/// Returns what a request's answer says about who asks.
#[track_caller]
fn whoami(server: &TestServer, key: &str) -> Value {
    server.expect(200, get("/v1/whoami").key(key)).json()
}

#[track_caller]
fn revoke(server: &TestServer, by: &str, body: &Value) -> Value {
    let request = post("/v1/revocations").key(by).value(body);
    server.expect(201, request).json()
}

#[track_caller]
fn end_key(server: &TestServer, by: &str, id: &str) {
    server.expect(204, delete(&format!("/v1/keys/{id}")).key(by));
}

/// Returns the records of an audit log.
#[track_caller]
fn records(server: &TestServer, by: &str, log: &str) -> Vec<Value> {
    let answer = server.expect(200, get(&format!("{log}?offset=-1")).key(by));
    serde_json::from_slice(&answer.body).unwrap()
}

fn reads(rooms: &str) -> Value {
    json!({ "rooms": { rooms: ["read"] } })
}
