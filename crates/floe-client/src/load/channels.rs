//! Channels of a run: made before it, deleted after it, appended to by HTTP.

use super::plan::Form;
use super::request::Appends;
use super::tables::{CREATE_TABLE, post};
use super::target::Target;

/// What is done to channels before and after a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ChannelWork {
    /// Make this many, and keep their identities.
    Create(u64),
    /// Delete these.
    Delete(Vec<String>),
    /// Make the table of a run in these rooms.
    CreateTables(Vec<String>),
    /// Remove these rooms.
    RemoveRooms(Vec<String>),
}

impl ChannelWork {
    /// Returns how many requests it takes.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Create(count) => *count,
            Self::Delete(names) | Self::CreateTables(names) | Self::RemoveRooms(names) => {
                names.len() as u64
            }
        }
    }

    /// Appends request `number`.
    pub(crate) fn put(&self, out: &mut Vec<u8>, target: &Target, number: u64) {
        let (fields, namespace) = (&target.fields, namespace(target));
        let request = match self {
            Self::Create(_) => {
                let body = format!(r#"{{"name":"bench-{number}","namespace":"{namespace}"}}"#);
                format!(
                    "POST /v1/channels HTTP/1.1\r\n{fields}\r\nContent-Type: application/json\r\n\
                     Content-Length: {}\r\n\r\n{body}",
                    body.len()
                )
            }
            Self::Delete(names) => {
                let name = names.get(number as usize).map_or("", String::as_str);
                format!("DELETE /v1/channels/{name} HTTP/1.1\r\n{fields}\r\n\r\n")
            }
            Self::CreateTables(names) => {
                let name = names.get(number as usize).map_or("", String::as_str);
                post(&format!("/v1/rooms/{name}/rpc"), fields, CREATE_TABLE)
            }
            Self::RemoveRooms(names) => {
                let name = names.get(number as usize).map_or("", String::as_str);
                format!("DELETE /v1/rooms/{name} HTTP/1.1\r\n{fields}\r\n\r\n")
            }
        };
        out.extend_from_slice(request.as_bytes());
    }
}

/// Returns the namespace of a run's channels, which no other run has.
pub(crate) fn namespace(target: &Target) -> &str {
    let run = target.path_prefix.rsplit('/').next();
    run.unwrap_or_default().trim_end_matches('-')
}

/// Appends to channels by HTTP.
#[derive(Debug, Clone)]
pub(crate) struct ChannelAppends {
    /// The request up to the first event's content, by channel.
    starts: Vec<Vec<u8>>,
    between: &'static [u8],
    end: &'static [u8],
    message_bytes: usize,
    batch: usize,
    body_bytes: u64,
}

impl ChannelAppends {
    /// Events of `message_bytes` characters; the kept form has one event in a request.
    pub(crate) fn new(
        target: &Target,
        names: &[String],
        form: Form,
        message_bytes: usize,
        batch: usize,
    ) -> Self {
        let (batch, between, end): (_, &[u8], &[u8]) = match (form, batch) {
            (Form::V1, 2..) => (batch, b"\"},{\"content\":\"", b"\"}]}"),
            (Form::V1 | Form::Kept, _) => (1, b"", b"\"}"),
        };
        let opening = match (form, batch) {
            (Form::V1, 2..) => r#"{"authorId":"bench","events":[{"content":""#.to_owned(),
            (Form::V1, _) => r#"{"authorId":"bench","content":""#.to_owned(),
            (Form::Kept, _) => {
                r#"{"channelId":"CHANNEL_ID_0","authorId":"bench","content":""#.into()
            }
        };
        let body_bytes =
            opening.len() + message_bytes * batch + between.len() * (batch - 1) + end.len();
        let start = |name: &String| {
            let path = match form {
                Form::V1 => format!("/v1/channels/{name}/events"),
                Form::Kept => "/channel/append".to_owned(),
            };
            format!(
                "POST {path} HTTP/1.1\r\n{}\r\nContent-Type: application/json\r\n\
                 Content-Length: {body_bytes}\r\n\r\n{}",
                target.fields,
                opening.replace("CHANNEL_ID_0", name)
            )
            .into_bytes()
        };
        Self {
            starts: names.iter().map(start).collect(),
            between,
            end,
            message_bytes,
            batch,
            body_bytes: body_bytes as u64,
        }
    }
}

impl Appends for ChannelAppends {
    fn put(&self, out: &mut Vec<u8>, number: u64, put: &mut dyn FnMut(&mut Vec<u8>, usize)) {
        out.extend_from_slice(&self.starts[number as usize]);
        for at in 0..self.batch {
            if at > 0 {
                out.extend_from_slice(self.between);
            }
            put(out, self.message_bytes);
        }
        out.extend_from_slice(self.end);
    }

    fn messages(&self) -> u64 {
        self.batch as u64
    }

    fn body_bytes(&self) -> u64 {
        self.body_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::request::put_filler;

    #[test]
    fn a_body_is_json_of_the_length_that_the_head_says() {
        let target = Target::parse("http://127.0.0.1:1", "r").unwrap();
        let names = ["0123456789ab".to_owned()];
        for (form, batch, events) in [(Form::V1, 1, 1), (Form::V1, 3, 3), (Form::Kept, 3, 1)] {
            let appends = ChannelAppends::new(&target, &names, form, 40, batch);
            let mut out = Vec::new();
            appends.put(&mut out, 0, &mut put_filler);
            let text = String::from_utf8(out).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(
                head.ends_with(&format!("Content-Length: {}", body.len())),
                "{head}"
            );
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            let found = body["events"].as_array().map_or(1, Vec::len);
            assert_eq!((found, appends.messages()), (events, events as u64));
        }
    }
}
