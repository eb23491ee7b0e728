//! What clients think of.

use floe_log::sim::Rng;

use crate::command::{Append, Body, Command, Create, Fork};
use crate::model::{Life, Model, Stream};

/// Full names of streams in two namespaces; few, so that they are used again.
pub const NAMES: [&str; 13] = [
    "a",
    "b",
    "c/1",
    "c/2",
    "d",
    "e",
    "f",
    "g/h/i",
    "j",
    "\0acme\0a",
    "\0acme\0b",
    "\0acme\0c/1",
    "\0acme\0k",
];
/// Full names of the listings of those streams.
pub const REGISTRIES: [&str; 2] = ["__registry__", "\0acme\0__registry__"];
/// Names of the server's own values.
pub const VALUES: [&str; 3] = ["__ds/one", "__ds/two", "__ds/three"];

const CONTENT_TYPES: [Option<&str>; 6] = [
    None,
    Some("application/octet-stream"),
    Some("text/plain"),
    Some("text/plain; charset=utf-8"),
    Some("application/json"),
    Some("Application/JSON; charset=utf-8"),
];
const PRODUCERS: [&str; 4] = ["p", "q", "r", "s"];

/// Draws requests; no two bodies are alike.
#[derive(Debug, Default)]
pub struct Draw {
    tag: u64,
}

impl Draw {
    /// Draws a request that makes some sense for what is there.
    pub fn command(&mut self, model: &Model, now: u64, rng: &mut Rng) -> Command {
        let name = pick(&NAMES, rng).to_owned();
        let known = model.find(&name).map(|(_, stream)| stream);
        match (known, rng.below(100)) {
            (None, 0..70) | (Some(_), 0..6) => {
                Command::Create(self.create(name, known, model, now, rng))
            }
            (_, 70..76) => Command::Delete { name },
            _ => Command::Append(self.append(name, known, rng)),
        }
    }

    /// Draws a value.
    pub fn value(&mut self, rng: &mut Rng) -> Vec<u8> {
        self.bytes(rng)
    }

    fn create(
        &mut self,
        name: String,
        known: Option<&Stream>,
        model: &Model,
        now: u64,
        rng: &mut Rng,
    ) -> Create {
        if let Some(known) = known
            && rng.chance(1, 2)
        {
            return again(name, known, model);
        }
        let own = |source: &&str| namespace(source) == namespace(&name);
        let sources: Vec<&str> = NAMES.into_iter().filter(own).collect();
        let source = pick(&sources, rng);
        let found = model.find(source).map(|(_, stream)| stream);
        let fork = match found {
            Some(stream) if rng.chance(1, 2) => Some(draw_fork(source, stream, rng)),
            None if rng.chance(1, 10) => Some(Fork {
                source: source.to_owned(),
                at: None,
                beyond: 0,
            }),
            Some(_) | None => None,
        };
        let content_type = match (&fork, found) {
            (Some(_), Some(_)) if rng.chance(1, 2) => None,
            (Some(_), Some(stream)) if rng.chance(9, 10) => {
                let like = |it: &Option<&str>| it.is_some_and(|it| same_type(it, stream));
                CONTENT_TYPES.into_iter().find(like).flatten()
            }
            _ => CONTENT_TYPES[rng.below(CONTENT_TYPES.len() as u64) as usize],
        };
        let life = match rng.below(10) {
            0..2 => Some(Life::Ttl([1, 5, 30, 600][rng.below(4) as usize])),
            2 => Some(Life::Until(now + rng.below(60_000))),
            _ => None,
        };
        let body = match rng.below(3) {
            0 => self.body(content_type, rng),
            _ => Body::NONE,
        };
        Create {
            name,
            content_type,
            life,
            closed: rng.chance(1, 20),
            fork,
            body,
        }
    }

    fn append(&mut self, name: String, known: Option<&Stream>, rng: &mut Rng) -> Append {
        let own = known.and_then(|stream| {
            CONTENT_TYPES
                .into_iter()
                .flatten()
                .find(|it| same_type(it, stream))
        });
        let content_type = match own {
            Some(own) if rng.chance(49, 50) => own,
            Some(_) | None => CONTENT_TYPES[1 + rng.below(5) as usize].unwrap_or("text/plain"),
        };
        let close = rng.chance(1, 25);
        let mut body = self.body(Some(content_type), rng);
        if body.is_empty() || (close && rng.chance(1, 2)) {
            body = if close {
                Body::NONE
            } else {
                self.one(content_type, rng)
            };
        }
        Append {
            name,
            content_type,
            body,
            close,
            seq: rng.chance(1, 8).then(|| draw_seq(known, rng)),
            producer: rng.chance(1, 2).then(|| draw_producer(known, rng)),
        }
    }

    fn body(&mut self, content_type: Option<&str>, rng: &mut Rng) -> Body {
        match content_type {
            Some(it) if is_json(it) => {
                let count = [0, 1, 1, 2, 5, 40][rng.below(6) as usize];
                let messages: Vec<String> = (0..count).map(|_| self.message(rng)).collect();
                let array = count != 1 || messages[0].starts_with('[') || rng.chance(1, 2);
                Body::Messages { messages, array }
            }
            Some(_) | None => Body::Bytes(self.bytes(rng)),
        }
    }

    fn one(&mut self, content_type: &str, rng: &mut Rng) -> Body {
        if is_json(content_type) {
            Body::Messages {
                messages: vec![self.message(rng)],
                array: true,
            }
        } else {
            Body::Bytes(self.bytes(rng))
        }
    }

    fn message(&mut self, rng: &mut Rng) -> String {
        self.tag += 1;
        let tag = self.tag;
        match rng.below(4) {
            0 => format!("{tag}"),
            1 => format!("{{\"n\": {tag} , \"x\":[1,2]}}"),
            2 => format!("[{tag},\"],[\"]"),
            _ => format!("\"{tag}{}\"", "z".repeat(rng.below(100) as usize)),
        }
    }

    fn bytes(&mut self, rng: &mut Rng) -> Vec<u8> {
        self.tag += 1;
        let mut bytes = format!("<{}>", self.tag).into_bytes();
        let filler = match rng.below(20) {
            0 => rng.below(9000),
            1..5 => rng.below(600),
            _ => rng.below(40),
        };
        bytes.resize(bytes.len() + filler as usize, b'.');
        bytes
    }
}

/// Returns what stands before the path in a full name.
pub fn namespace(name: &str) -> &str {
    let (_, path) = floe_proto::Namespace::split(name.as_bytes());
    &name[..name.len() - path.len()]
}

/// A create that finds what is there, most of the time.
fn again(name: String, known: &Stream, model: &Model) -> Create {
    let source = known.source.and_then(|(uid, at)| {
        let source = model.streams.get(&uid)?;
        Some(Fork {
            source: source.name.clone(),
            at: Some(at),
            beyond: 0,
        })
    });
    Create {
        name,
        content_type: CONTENT_TYPES
            .into_iter()
            .flatten()
            .find(|it| same_type(it, known)),
        life: Some(known.life).filter(|life| *life != Life::Forever),
        closed: known.closed,
        fork: source,
        body: Body::NONE,
    }
}

fn draw_fork(source: &str, stream: &Stream, rng: &mut Rng) -> Fork {
    let tail = stream.tail();
    let (at, beyond) = match rng.below(10) {
        0..4 => (None, 0),
        4 => (Some(tail), 0),
        5 => (Some(0), 0),
        6 => (Some(tail + 1 + rng.below(3)), 0),
        7 => {
            let at = rng.below(tail + 1);
            (Some(at), rng.below(tail + 2 - at))
        }
        _ => (Some(rng.below(tail + 1)), 0),
    };
    Fork {
        source: source.to_owned(),
        at,
        beyond,
    }
}

fn draw_seq(known: Option<&Stream>, rng: &mut Rng) -> String {
    let last = known.and_then(|stream| stream.seq.as_deref());
    let last: u64 = last.map_or(0, |text| text.parse().expect("sequences are numbers"));
    let next = match rng.below(8) {
        0 => last,
        1 => last.saturating_sub(1),
        _ => last + 1 + rng.below(3),
    };
    format!("{next:06}")
}

fn draw_producer(known: Option<&Stream>, rng: &mut Rng) -> (String, u64, u64) {
    let id = pick(&PRODUCERS, rng);
    let state = known.and_then(|stream| stream.producers.get(id));
    let (epoch, next) = state.map_or((1, 0), |(epoch, last)| (*epoch, last + 1));
    let (epoch, seq) = match rng.below(24) {
        0 | 1 => (epoch, next.saturating_sub(1)),
        2 => (epoch, next.saturating_sub(2)),
        3 => (epoch, next + 1),
        4 | 5 => (epoch + 1, 0),
        6 => (epoch + 1, 1),
        7 => (epoch.saturating_sub(1), next),
        _ => (epoch, next),
    };
    (id.to_owned(), epoch, seq)
}

fn same_type(text: &str, stream: &Stream) -> bool {
    crate::model::media_type(text) == crate::model::media_type(&stream.content_type)
}

fn is_json(content_type: &str) -> bool {
    crate::model::media_type(content_type) == "application/json"
}

fn pick<'a>(of: &[&'a str], rng: &mut Rng) -> &'a str {
    of[rng.below(of.len() as u64) as usize]
}
