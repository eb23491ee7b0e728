//! Random histories, compared with a plain model on every way of reading: before and after restarts,
//! crashes and lost views.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{contents, events, seqs};
use crate::harness::{Channel, TestServer, delete, get, patch, post, put};

/// What a message has become.
#[derive(Debug, Default, Clone)]
struct Message {
    author: String,
    /// Events that said what it says, oldest first; those that were deleted are none.
    versions: BTreeMap<u64, String>,
    reactions: BTreeMap<String, BTreeSet<String>>,
    deleted: bool,
}

/// What a channel should show.
#[derive(Debug, Default, Clone)]
struct Model {
    head: u64,
    messages: BTreeMap<u64, Message>,
    /// Edits and reactions: what they are about, and who did what.
    about: BTreeMap<u64, (u64, Option<(String, String)>)>,
    deleted: BTreeSet<u64>,
}

/// Numbers that look random and are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn pick<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.roll(all.len() as u64) as usize]
    }
}

const AUTHORS: [&str; 3] = ["ann", "bob", "cy"];
const REACTIONS: [&str; 2] = ["up", "down"];

/// Does one thing to the channel and to the model.
fn step(server: &TestServer, channel: &Channel, model: &mut Model, dice: &mut Dice) {
    let author = dice.pick(&AUTHORS).to_owned();
    let target = 1 + dice.roll(model.head.max(1));
    let message = model.messages.get(&target).cloned();
    let is_live = message.as_ref().is_some_and(|message| !message.deleted);
    match dice.roll(10) {
        0..=4 => {
            let text = format!("text {}", dice.roll(1_000));
            let event = server.say(channel, &author, &text);
            model.head += 1;
            assert_eq!(event["seq"], model.head);
            let message = Message {
                author,
                versions: BTreeMap::from([(model.head, text)]),
                ..Message::default()
            };
            model.messages.insert(model.head, message);
        }
        5 => {
            let text = format!("edit {}", dice.roll(1_000));
            let author = message.map_or(author, |message| message.author);
            let body = json!({ "authorId": author, "content": text });
            let answer = server.send(patch(&channel.at(&format!("/events/{target}"))).value(&body));
            assert_eq!(answer.status == 201, is_live, "{answer:?}");
            if is_live {
                model.head += 1;
                let message = model.messages.get_mut(&target).unwrap();
                message.versions.insert(model.head, text);
                model.about.insert(model.head, (target, None));
            }
        }
        6 | 7 => {
            let reaction = dice.pick(&REACTIONS);
            let rest = format!("/events/{target}/reactions/{reaction}?authorId={author}");
            let adds = dice.roll(3) > 0;
            let request = if adds {
                put(&channel.at(&rest))
            } else {
                delete(&channel.at(&rest))
            };
            let answer = server.send(request);
            assert_eq!(answer.status == 201, is_live, "{answer:?}");
            if is_live {
                model.head += 1;
                let message = model.messages.get_mut(&target).unwrap();
                let authors = message.reactions.entry(reaction.to_owned()).or_default();
                let changes = if adds {
                    authors.insert(author.clone())
                } else {
                    authors.remove(&author)
                };
                // A reaction that was there already is not the event's that came later.
                let own = (adds && changes).then(|| (reaction.to_owned(), author));
                model.about.insert(model.head, (target, own));
            }
        }
        _ => {
            let is_deletable =
                model.messages.contains_key(&target) || model.about.contains_key(&target);
            let is_free = is_deletable && !model.deleted.contains(&target);
            let rest = format!("/events/{target}?authorId={author}");
            let answer = server.send(delete(&channel.at(&rest)));
            assert_eq!(answer.status == 201, is_free, "{answer:?}");
            if is_free {
                model.head += 1;
                model.delete(target);
            }
        }
    }
}

impl Model {
    fn delete(&mut self, target: u64) {
        self.deleted.insert(target);
        if let Some(message) = self.messages.get_mut(&target) {
            message.deleted = true;
            return;
        }
        let (about, reaction) = self.about[&target].clone();
        let message = self.messages.get_mut(&about).unwrap();
        message.versions.remove(&target);
        if let Some((reaction, author)) = reaction {
            message
                .reactions
                .entry(reaction)
                .or_default()
                .remove(&author);
        }
    }

    fn hides(&self, seq: u64) -> bool {
        let about = self.about.get(&seq);
        self.deleted.contains(&seq) || about.is_some_and(|(about, _)| self.deleted.contains(about))
    }

    /// Compares all that the server shows.
    fn check(&self, server: &TestServer, channel: &Channel) {
        let head = self.head;
        let read = server.ask(channel, "/events?limit=1000");
        assert_eq!(seqs(&read), (1..=head).collect::<Vec<_>>());
        for event in events(&read) {
            let seq = event["seq"].as_u64().unwrap();
            assert_eq!(event["deleted"] == true, self.hides(seq), "{event}");
            assert_eq!(
                event["content"].is_null() && event["targetSeq"].is_null(),
                self.hides(seq)
            );
        }
        let stream = server.expect(200, get(&channel.stream())).json();
        assert_eq!(stream, read["events"]);
        let body = json!({ "channelId": channel.id, "limit": 100 });
        let kept = server
            .expect(200, post("/channel/read").value(&body))
            .json();
        let shown: Vec<_> = (1..=head)
            .filter(|seq| !self.hides(*seq))
            .take(100)
            .collect();
        assert_eq!(seqs(&kept), shown);
        let found = server.ask(channel, &format!("/query?limit=1000&waitFor={head}"));
        let live = self.messages.iter().filter(|(_, message)| !message.deleted);
        let expected: Vec<_> = live
            .map(|(seq, message)| (*seq, message.versions.values().last().unwrap().as_str()))
            .collect();
        let shown: Vec<_> = seqs(&found).into_iter().zip(contents(&found)).collect();
        assert_eq!(shown, expected);
        for event in events(&found) {
            let message = &self.messages[&event["seq"].as_u64().unwrap()];
            assert_eq!(counts(event), counted(message), "{event}");
            assert_eq!(
                event["editedAt"].is_null(),
                message.versions.len() == 1,
                "{event}"
            );
        }
    }
}

fn counts(event: &Value) -> BTreeMap<String, u64> {
    let reactions = event["reactions"].as_array().unwrap().iter();
    reactions
        .map(|one| {
            (
                one["reaction"].as_str().unwrap().into(),
                one["count"].as_u64().unwrap(),
            )
        })
        .collect()
}

fn counted(message: &Message) -> BTreeMap<String, u64> {
    let all = message.reactions.iter();
    all.map(|(reaction, authors)| (reaction.clone(), authors.len() as u64))
        .filter(|(_, count)| *count > 0)
        .collect()
}

#[test]
fn every_way_of_reading_agrees_with_a_plain_model() {
    for seed in 1..=6_u64 {
        println!("seed {seed}");
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut server = TestServer::with(|settings| {
            settings.limits.room_idle_timeout_ms = 0;
            settings.limits.read_chunk_bytes_max = 1 << 20;
        });
        let channel = server.channel();
        let mut model = Model::default();
        for round in 0..4 {
            for _ in 0..40 {
                step(&server, &channel, &mut model, &mut dice);
            }
            model.check(&server, &channel);
            match (round + seed) % 4 {
                0 => server = server.restart(),
                1 => {
                    let crashed = server.crashed();
                    model.check(&crashed, &channel);
                }
                2 => {
                    server = server.restart_after(|folder| {
                        std::fs::remove_dir_all(folder.join("view")).unwrap();
                    });
                }
                _ => server = server.crashed(),
            }
            model.check(&server, &channel);
        }
    }
}
