//! Channels, as a client of the REST form has them.

use serde_json::{Value, json};

use super::{Events, Request, Response, TestServer, get, patch, post};

/// A channel and what signs its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    pub id: String,
    pub secret: String,
}

impl Channel {
    /// Takes a channel from the answer to a create.
    #[track_caller]
    pub fn of(created: &Response) -> Self {
        let body = created.json();
        let metadata = &body["metadata"];
        let id = metadata["channelId"]
            .as_str()
            .or_else(|| metadata["logId"].as_str());
        Self {
            id: id.unwrap_or_else(|| panic!("{body}")).to_owned(),
            secret: body["secret"].as_str().unwrap().to_owned(),
        }
    }

    /// Returns the channel's path with something behind it.
    pub fn at(&self, rest: &str) -> String {
        format!("/v1/channels/{}{rest}", self.id)
    }

    /// Returns the name of the channel as a stream.
    pub fn stream(&self) -> String {
        format!("__channel__/{}", self.id)
    }

    /// Returns a request to append.
    pub fn says(&self, author: &str, content: &str) -> Request {
        let body = json!({ "authorId": author, "content": content });
        post(&self.at("/events")).value(&body)
    }

    /// Returns a request to append several at once.
    pub fn says_all(&self, author: &str, contents: &[&str]) -> Request {
        let events: Vec<_> = contents
            .iter()
            .map(|content| json!({ "content": content }))
            .collect();
        post(&self.at("/events")).value(&json!({ "authorId": author, "events": events }))
    }
}

impl TestServer {
    /// Makes a channel in the default namespace.
    #[track_caller]
    pub fn channel(&self) -> Channel {
        self.channel_with(&json!({ "name": "room" }))
    }

    /// Makes a channel of a namespace.
    #[track_caller]
    pub fn channel_of(&self, namespace: &str, name: &str) -> Channel {
        self.channel_with(&json!({ "namespace": namespace, "name": name }))
    }

    /// Makes a channel as the body says.
    #[track_caller]
    pub fn channel_with(&self, body: &Value) -> Channel {
        Channel::of(&self.expect(201, post("/v1/channels").value(body)))
    }

    /// Appends a message, which must be new.
    #[track_caller]
    pub fn say(&self, channel: &Channel, author: &str, content: &str) -> Value {
        self.expect(201, channel.says(author, content)).json()["event"].clone()
    }

    /// Appends messages `1` to `count` of ann.
    #[track_caller]
    pub fn fill(&self, channel: &Channel, count: u64) {
        let contents: Vec<_> = (1..=count).map(|number| number.to_string()).collect();
        for part in contents.chunks(1_000) {
            let part: Vec<_> = part.iter().map(String::as_str).collect();
            self.expect(201, channel.says_all("ann", &part));
        }
    }

    /// Signs a token.
    #[track_caller]
    pub fn token(&self, channel: &Channel, rights: &[&str], author: &str) -> String {
        let body = json!({ "rights": rights, "author": author });
        let signed = self.expect(201, post(&channel.at("/tokens")).value(&body));
        signed.json()["token"].as_str().unwrap().to_owned()
    }

    /// Waits until all that was begun of a channel is durable, by a change that changes nothing.
    #[track_caller]
    pub fn settle(&self, channel: &Channel) {
        let slow = self.ask(channel, "")["metadata"]["slow"].clone();
        let body = json!({ "slow": slow });
        self.expect(200, patch(&channel.at("")).value(&body));
    }

    /// Asks something of a channel that must be answered with 200; returns the answer's body.
    #[track_caller]
    pub fn ask(&self, channel: &Channel, rest: &str) -> Value {
        self.expect(200, get(&channel.at(rest))).json()
    }

    /// Begins to follow a channel.
    #[track_caller]
    pub fn subscribe(&self, channel: &Channel, after_seq: u64) -> Events {
        let target = channel.at(&format!("/subscribe?afterSeq={after_seq}"));
        let mut events = self.connect().follow(&get(&target));
        let connected = events.message().unwrap();
        assert_eq!(
            (connected.kind.as_str(), &connected.id),
            ("connected", &None)
        );
        assert_eq!(connected.json()["channelId"], channel.id.as_str());
        events
    }
}
