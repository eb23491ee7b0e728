//! Communities: WebSockets of one room each.

mod channel;
mod fallback;
mod moderated;
mod opening;
mod voice;
mod voice_media;
mod waddle;

use serde_json::{Value, json};

use crate::harness::{Request, TestServer};
use crate::websocket::{Client, upgrade};

/// Returns a request for a WebSocket.
pub fn socket(target: &str) -> Request {
    let mut request = upgrade();
    request.target = target.into();
    request
}

/// Has those who are lost from now on be gone soon.
#[track_caller]
pub fn shorten_grace(server: &TestServer) {
    let soon = |settings: &mut floe_server::Settings| settings.limits.presence_grace_ms = 300;
    server.reload(soon).unwrap();
    // Once the second is answered, the turn that began with the reload is over.
    for _ in 0..2 {
        server.expect(200, crate::harness::get("/healthz"));
    }
}

/// A connection to one room, after its welcome.
pub struct Member {
    pub client: Client,
    pub welcome: Value,
}

impl Member {
    /// Connects to an open server.
    #[track_caller]
    pub fn of(server: &TestServer, target: &str) -> Self {
        Self::with(server, &socket(target))
    }

    /// Connects as somebody.
    #[track_caller]
    pub fn with(server: &TestServer, request: &Request) -> Self {
        let (mut client, _) = Client::greet(server, request);
        let welcome = client.frame();
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        Self { client, welcome }
    }

    /// Asks for something that is done.
    #[track_caller]
    pub fn ask(&mut self, frame: Value) -> Value {
        let answer = self.client.ask(frame);
        assert_eq!(answer["type"], "ack", "{answer}");
        answer
    }

    /// Asks for something that is refused.
    #[track_caller]
    pub fn refused(&mut self, frame: Value, code: &str) -> Value {
        let answer = self.client.ask(frame);
        assert_eq!(
            (&answer["type"], &answer["code"]),
            (&json!("error"), &json!(code)),
            "{answer}"
        );
        answer
    }
}
