//! Waddles over plain HTTP: who belongs, as what, and what that allows in the rooms of one.

mod ends;
mod members;
mod model;
mod rights;
mod rooms;
mod search;
mod shown;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use floe_core::voice::Media;
use floe_server::{IssuerSettings, Settings};
use floe_surfaces::access::jwt::{Issuer, KeySet, Secret};
use serde_json::{Value, json};

use crate::harness::{Channel, Request, Response, TestServer, get, post, put};
use crate::websocket::Client;

/// `admin` looks after the namespace, `app` reads and writes there without being anyone.
const KEYS: &str =
    "acme:admin:admin acme:read,write:app acme:read:eye beta:admin:stranger *:admin:root";

/// Signs for whoever the server believes.
const SECRET: &[u8; 32] = b"0123456789abcdef0123456789abcdef";

/// A server of waddles, in the namespace `acme`.
pub struct Town {
    pub server: TestServer,
}

impl Town {
    pub fn start() -> Self {
        Self::with(|_| {})
    }

    pub fn with(set: impl FnOnce(&mut Settings)) -> Self {
        let server = TestServer::with(|settings| {
            believe(settings);
            set(settings);
        });
        Self { server }
    }

    /// A server whose voice rooms have such media.
    pub fn carrying(media: Box<dyn Media>, set: impl FnOnce(&mut Settings)) -> Self {
        let server = TestServer::carrying(media, |settings| {
            believe(settings);
            set(settings);
        });
        Self { server }
    }

    /// A server with the waddle `birds` of ann, whose channel is the one that is returned.
    pub fn birds() -> (Self, Channel) {
        let town = Self::start();
        town.found("birds");
        let channel = town.channel("birds", &json!({ "name": "general" }));
        (town, channel)
    }

    /// Makes a waddle of ann's.
    #[track_caller]
    pub fn found(&self, id: &str) {
        let body = json!({ "id": id, "name": id });
        self.send("ann", post("/v1/waddles").value(&body))
            .expect(201);
    }

    /// Makes a channel of a waddle as ann.
    #[track_caller]
    pub fn channel(&self, waddle: &str, body: &Value) -> Channel {
        let made = post(&format!("/v1/waddles/{waddle}/channels")).value(body);
        let made = self.send("ann", made).expect(201).json();
        Channel {
            id: made["id"].as_str().unwrap().to_owned(),
            secret: String::new(),
        }
    }

    /// Lets a user come in.
    #[track_caller]
    pub fn join(&self, who: &str, waddle: &str) {
        self.send(who, post(&format!("/v1/waddles/{waddle}/join")))
            .expect(200);
    }

    /// Gives a user a role, as ann.
    #[track_caller]
    pub fn put(&self, who: &str, waddle: &str, role: &str) {
        let at = format!("/v1/waddles/{waddle}/members/{who}");
        self.send("ann", put(&at).value(&json!({ "role": role })))
            .expect(200);
    }

    pub fn send(&self, who: &str, request: Request) -> Response {
        self.server.send(by(who, request))
    }

    /// Returns the status alone, of an answer that may have no end.
    pub fn status(&self, who: &str, request: Request) -> u16 {
        let mut connection = self.server.connect();
        connection.write(by(who, request).bytes());
        connection.head().status
    }

    #[track_caller]
    pub fn read(&self, who: &str, target: &str) -> Value {
        self.send(who, get(target)).expect(200).json()
    }

    pub fn client(&self, who: &str) -> Client {
        Client::with_key(&self.server, &key(who))
    }
}

/// Has keys, and the tokens of [`token`], open what they say.
fn believe(settings: &mut Settings) {
    settings.api_keys = KEYS.into();
    let keys = KeySet::of_secrets([Secret::new(None, SECRET).unwrap()]);
    settings.access.issuers.push(IssuerSettings {
        issuer: Issuer::new("tests", keys),
        jwks: None,
    });
}

/// Shows who asks: a key of that name, or the token of the user who is called so.
pub fn by(who: &str, request: Request) -> Request {
    match who {
        "nobody" => request,
        _ => request.key(&key(who)),
    }
}

fn key(who: &str) -> String {
    match who {
        "admin" | "app" | "eye" | "stranger" | "root" => who.to_owned(),
        user => token(user),
    }
}

/// Makes the token of a user who may read and write in every room of the namespace, as far as that
/// goes, and make new ones.
fn token(user: &str) -> String {
    let encode = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let rights = [
        "read",
        "append",
        "delete:own",
        "delete:any",
        "presence",
        "create",
    ];
    let claims = json!({
        "iss": "tests", "sub": user, "exp": 4_000_000_000_u64,
        "floe": { "namespace": "acme", "rooms": { "**": rights } },
    });
    let text = format!("{}.{}", encode(&json!({ "alg": "HS256" })), encode(&claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    let signature = hmac::sign(&key, text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}
