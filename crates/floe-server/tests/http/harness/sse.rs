//! Server-sent events, as a browser reads them.

use serde_json::Value;

use super::{Connection, Response};

/// A reader of an event stream.
pub struct Events {
    connection: Connection,
    pub head: Response,
    /// Comments so far: signs of life.
    pub heartbeats: usize,
    text: String,
    ended: bool,
}

/// One event, as it stands on the wire.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub kind: String,
    pub id: Option<String>,
    pub data: String,
}

impl Message {
    /// Returns the data, which is JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Returns the id, which is a number.
    #[track_caller]
    pub fn seq(&self) -> u64 {
        self.id.as_deref().unwrap().parse().unwrap()
    }
}

/// A control event and the data event before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub data: Option<String>,
    pub control: Value,
}

impl Step {
    pub fn next(&self) -> &str {
        self.control["streamNextOffset"].as_str().unwrap()
    }

    pub fn is_up_to_date(&self) -> bool {
        self.control["upToDate"] == true
    }

    pub fn is_closed(&self) -> bool {
        self.control["streamClosed"] == true
    }
}

impl Events {
    pub fn new(connection: Connection, head: Response) -> Self {
        Self {
            connection,
            head,
            heartbeats: 0,
            text: String::new(),
            ended: false,
        }
    }

    /// Reads on to the next control event; `None` once the answer has ended.
    #[track_caller]
    pub fn step(&mut self) -> Option<Step> {
        let mut data = None;
        loop {
            let message = self.message()?;
            assert_eq!(message.id, None);
            match message.kind.as_str() {
                "data" => assert_eq!(data.replace(message.data), None, "two data events in a row"),
                "control" => {
                    let control = message.json();
                    return Some(Step { data, control });
                }
                other => panic!("an event of kind {other}"),
            }
        }
    }

    /// Reads until the reader is at the tail or the stream's end; returns the data.
    #[track_caller]
    pub fn until_up_to_date(&mut self) -> (String, Step) {
        let mut all = String::new();
        loop {
            let step = self.step().expect("the answer ended");
            all.push_str(step.data.as_deref().unwrap_or_default());
            if step.is_up_to_date() {
                return (all, step);
            }
        }
    }

    /// Returns the connection of an answer that has ended.
    #[track_caller]
    pub fn into_connection(mut self) -> Connection {
        assert_eq!(self.step(), None);
        self.connection
    }

    /// Reads the next event; `None` once the answer has ended.
    #[track_caller]
    pub fn message(&mut self) -> Option<Message> {
        if self.ended {
            return None;
        }
        let end = loop {
            if let Some(at) = self.text.find("\n\n") {
                break at;
            }
            match self.connection.chunk() {
                Some(chunk) => self.text.push_str(&String::from_utf8(chunk).unwrap()),
                None => {
                    self.ended = true;
                    assert_eq!(self.text, "", "an event without an end");
                    return None;
                }
            }
        };
        let event: String = self.text.drain(..end + 2).collect();
        if event == ":\n\n" {
            self.heartbeats += 1;
            return self.message();
        }
        let (mut kind, mut id, mut data) = (String::new(), None, Vec::new());
        for line in event.trim_end_matches('\n').split('\n') {
            let (field, value) = line.split_once(':').unwrap();
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => kind = value.to_owned(),
                "id" => id = Some(value.to_owned()),
                "data" => data.push(value),
                other => panic!("a field named {other}"),
            }
        }
        let data = data.join("\n");
        Some(Message { kind, id, data })
    }
}
