use floe_proto::{ChannelId, Code};
use serde_json::Value;

use super::*;
use crate::http::{Envelope, Method};

mod answers;
mod document;
mod hostile;
mod kept;
mod rest;

const ID: &str = "3f9ac2017b5e";
const CHANNEL: ChannelId = ChannelId([0x3f, 0x9a, 0xc2, 0x01, 0x7b, 0x5e]);
const TOKEN: (&str, &[u8]) = ("x-channel-token", b"some token");

const ENVELOPE: Envelope<'_> = Envelope {
    date: "now",
    cors: crate::http::Cors::Unasked,
    close: false,
    head: false,
    pace: crate::limits::Pace::NONE,
};

/// A request, written down.
#[derive(Clone, Copy)]
struct Sent<'a> {
    method: Method,
    target: &'a str,
    fields: &'a [(&'a str, &'a [u8])],
    body: &'a str,
}

const fn get(target: &str) -> Sent<'_> {
    Sent {
        method: Method::Get,
        target,
        fields: &[],
        body: "",
    }
}

const fn send<'a>(method: Method, target: &'a str, body: &'a str) -> Sent<'a> {
    Sent {
        method,
        target,
        fields: &[],
        body,
    }
}

const fn post<'a>(target: &'a str, body: &'a str) -> Sent<'a> {
    send(Method::Post, target, body)
}

impl<'a> Sent<'a> {
    const fn with(self, fields: &'a [(&'a str, &'a [u8])]) -> Self {
        Self { fields, ..self }
    }

    fn read(self) -> Result<Asked<'a>, Reject> {
        let (path, query) = match self.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (self.target, None),
        };
        let fields = self.fields.iter().copied();
        let body = self.body.as_bytes();
        read_request(self.method, path, query, fields, body, &Bounds::default())
    }

    fn ask(self) -> Result<Ask<'a>, (Code, String)> {
        self.read()
            .map(|asked| asked.ask)
            .map_err(|reject| (reject.code, reject.message.into_owned()))
    }

    /// Reads a request that is refused with `INVALID_REQUEST`, and returns the message.
    fn invalid(self) -> String {
        let (code, message) = self.ask().unwrap_err();
        assert_eq!(code, Code::InvalidRequest, "{}: {message}", self.target);
        message
    }
}

fn parts(answer: &[u8]) -> (u16, String, Value) {
    let text = std::str::from_utf8(answer).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = if body.is_empty() {
        Value::Null
    } else {
        serde_json::from_str(body).unwrap()
    };
    (status, head.to_owned(), body)
}
