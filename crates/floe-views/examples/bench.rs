//! How fast a view is written, and how fast it answers.
//!
//! `cargo run --release -p floe-views --example bench -- [EVENTS [CHANNELS [words|none|trigrams [PART [chat]]]]]`
//!
//! With PART only questions are asked whose name has it. With `chat` every fourth message answers an
//! earlier one, and every fifth mentions one to three users.

use std::time::{Duration, Instant};

use floe_proto::{
    Among, ChannelId, ChannelMeta, ChannelQuery, Event, EventKind, EventQuery, Millis, Retention,
    Scope, Search, SearchMode, UnreadQuery,
};
use floe_views::{Change, Options, Projector, Reader};

/// Events in one batch of the projector.
const BATCH: usize = 20_000;
/// Words that there are; the n-th is said n times less often than the first.
const WORDS: u64 = 50_000;
/// Authors that there are; four of five events are from the first hundredth.
const AUTHORS: u64 = 10_000;
/// Milliseconds from event to event.
const STEP_MS: u64 = 40;
/// Time of the first event.
const START_MS: u64 = 1_700_000_000_000;
/// Questions of each kind.
const ROUNDS: usize = 300;

fn main() {
    let mut args = std::env::args().skip(1);
    let mut number = |default: u64| {
        args.next()
            .map_or(default, |n| n.parse().expect("a number"))
    };
    let (events, channels) = (number(1_000_000), number(1_000));
    let index = args.next().unwrap_or_else(|| "words".to_owned());
    let part = args.next().unwrap_or_default();
    let is_chat = args.next().is_some_and(|word| word == "chat");
    let options = Options {
        words: index != "none",
        trigrams: index == "trigrams",
        ..Options::default()
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("views.db");

    let mut projector = Projector::open(&path, &options).expect("a view");
    let mut source = Source::new(channels, part, is_chat);
    let (mut spent, mut cpu) = (Duration::ZERO, Duration::ZERO);
    let mut done = 0;
    while done < events {
        let batch = source.batch(BATCH.min((events - done) as usize));
        let changes: Vec<_> = batch
            .iter()
            .map(|(meta, first_seq, events)| Change {
                meta: meta.clone(),
                first_seq: *first_seq,
                events,
                purged: false,
            })
            .collect();
        let (start, cpu_before) = (Instant::now(), cpu_time());
        let applied = projector.apply(&changes).expect("a batch");
        spent += start.elapsed();
        cpu += cpu_time() - cpu_before;
        done += applied.events;
    }
    let file = std::fs::metadata(&path).map_or(0, |file| file.len());
    println!(
        "{index}: {done} events in batches of {BATCH}: {:.0} k/s, {:.2} µs CPU each; {} bytes each",
        done as f64 / spent.as_secs_f64() / 1e3,
        cpu.as_secs_f64() * 1e6 / done as f64,
        file / done,
    );

    let reader = Reader::open(&path, &options).expect("a reader");
    println!(
        "{:<58} p50 and p99 in ms, elapsed and on the CPU",
        "questions"
    );
    ask(&reader, &mut source, channels, events);
}

/// Asks every kind of question.
fn ask(reader: &Reader, source: &mut Source, channels: u64, events: u64) {
    let end = START_MS + events * STEP_MS;
    let per_channel = events / channels;
    for everywhere in [false, true] {
        let place = if everywhere { "namespace" } else { "channel" };
        for newest_first in [true, false] {
            let order = if newest_first { "newest" } else { "oldest" };
            for (name, filter) in filters() {
                let label = format!("{place}, {order} first: {name}");
                let query = |source: &mut Source| {
                    let mut query = EventQuery {
                        newest_first,
                        ..EventQuery::new(source.scope(everywhere, channels), 50)
                    };
                    filter(&mut query, source, per_channel, end);
                    query
                };
                let page_two = |source: &mut Source| {
                    let mut query = query(source);
                    query.page = reader.events(&query).expect("a page").next;
                    query
                };
                measure(&label, source, query, |query| {
                    let page = reader.events(query).expect("an answer");
                    (page.items.len(), page.next.is_some())
                });
                measure(&format!("{label}, page 2"), source, page_two, |query| {
                    let page = reader.events(query).expect("an answer");
                    (page.items.len(), page.next.is_some())
                });
            }
        }
        for (name, text) in searches() {
            let question = |source: &mut Source| Search {
                scope: source.scope(everywhere, channels),
                text: text(source).into(),
                mode: SearchMode::Words,
                limit: 50,
                page: None,
            };
            measure(
                &format!("{place}, search: {name}"),
                source,
                question,
                |search| {
                    reader
                        .search(search)
                        .map_or((0, false), |page| (page.items.len(), page.next.is_some()))
                },
            );
        }
    }
    let list = |_: &mut Source| ChannelQuery {
        owner: "acme".into(),
        with_deleted: false,
        limit: 50,
        page: None,
    };
    measure("list of channels", source, list, |list| {
        let page = reader.channels(list).expect("an answer");
        (page.items.len(), page.next.is_some())
    });
    let unread = |source: &mut Source| UnreadQuery {
        user: source.author().into(),
        channels: (0..20)
            .map(|_| (channel(source.below(channels)), source.below(per_channel)))
            .collect(),
    };
    measure(
        "unread and mentions of 20 channels",
        source,
        unread,
        |query| {
            let counts = reader.unread(query).expect("an answer");
            let mentions: u32 = counts.iter().map(|count| count.mentions).sum();
            (mentions as usize, false)
        },
    );
    let thread = |source: &mut Source| EventQuery {
        among: Among::RepliesTo(source.below(per_channel) + 1),
        ..EventQuery::new(source.scope(false, channels), 50)
    };
    let mentions = |source: &mut Source| EventQuery {
        newest_first: true,
        among: Among::Mentioning(source.author().into()),
        ..EventQuery::new(source.scope(true, channels), 50)
    };
    measure(
        "namespace, mentions of one user",
        source,
        mentions,
        |query| {
            let (page, _) = reader.messages(query).expect("an answer");
            (page.items.len(), page.next.is_some())
        },
    );
    measure("answers to one message", source, thread, |query| {
        let (page, _) = reader.messages(query).expect("an answer");
        (page.items.len(), page.next.is_some())
    });
    let one = |source: &mut Source| (channel(source.below(channels)), source.below(per_channel));
    measure("one event", source, one, |(channel, seq)| {
        let event = reader
            .event(*channel, *seq, false, None)
            .expect("an answer");
        (usize::from(event.is_some()), false)
    });
}

type Filter = fn(&mut EventQuery, &mut Source, u64, u64);

fn filters() -> Vec<(&'static str, Filter)> {
    vec![
        ("no filter", |_, _, _, _| {}),
        ("afterSeq", |query, source, per_channel, _| {
            query.after_seq = Some(source.below(per_channel));
        }),
        ("afterSeq near the end", |query, _, per_channel, _| {
            query.after_seq = Some(per_channel * 9 / 10);
        }),
        ("beforeSeq", |query, source, per_channel, _| {
            query.before_seq = Some(source.below(per_channel) + 1);
        }),
        ("beforeSeq near the start", |query, _, per_channel, _| {
            query.before_seq = Some(per_channel / 10);
        }),
        ("authorId, any", |query, source, _, _| {
            query.author_id = Some(source.author().into());
        }),
        ("authorId, rare", |query, source, _, _| {
            query.author_id = Some(format!("user-{}", AUTHORS - 1 - source.below(100)).into());
        }),
        ("authorId, unknown", |query, _, _, _| {
            query.author_id = Some("nobody".into());
        }),
        ("afterDate", |query, source, _, end| {
            query.after_date = Some(Millis(START_MS + source.below(end - START_MS)));
        }),
        ("beforeDate", |query, source, _, end| {
            query.before_date = Some(Millis(START_MS + source.below(end - START_MS)));
        }),
        ("a minute", |query, source, _, end| {
            let after = START_MS + source.below(end - START_MS);
            query.after_date = Some(Millis(after));
            query.before_date = Some(Millis(after + 60_000));
        }),
        ("contentContains, frequent", |query, _, _, _| {
            query.content_contains = Some("bace".into());
        }),
        ("contentContains, rare", |query, source, _, _| {
            query.content_contains =
                Some(format!("{} ", word(40_000 + source.below(5_000))).into());
        }),
        ("contentContains, nothing", |query, _, _, _| {
            query.content_contains = Some("nowhere to be found".into());
        }),
        ("all at once", |query, source, per_channel, end| {
            query.after_seq = Some(source.below(per_channel / 2));
            query.before_seq = Some(per_channel);
            query.author_id = Some(source.author().into());
            query.after_date = Some(Millis(START_MS + source.below((end - START_MS) / 2)));
            query.before_date = Some(Millis(end));
            query.content_contains = Some("bace".into());
        }),
    ]
}

type Text = fn(&mut Source) -> String;

fn searches() -> Vec<(&'static str, Text)> {
    vec![
        ("most frequent word", |_| word(0)),
        ("frequent word", |source| word(source.below(100))),
        ("any word", |source| word(source.below(WORDS))),
        ("three frequent words", |source| {
            format!("{} {} {}", word(0), word(1), word(source.below(10)))
        }),
        ("frequent and rare", |source| {
            format!("{} {}", word(0), word(10_000 + source.below(10_000)))
        }),
        ("beginning of a word", |source| {
            word(source.below(1_000))[..3].to_owned()
        }),
        ("one letter", |_| "w".to_owned()),
        ("unknown word", |_| "nowhere".to_owned()),
        ("five words", |source| {
            (0..5).map(|_| source.word() + " ").collect()
        }),
    ]
}

/// Asks many questions of a kind and prints how long they took.
fn measure<Q>(
    label: &str,
    source: &mut Source,
    mut question: impl FnMut(&mut Source) -> Q,
    mut answer: impl FnMut(&Q) -> (usize, bool),
) {
    if !label.contains(&source.part) {
        return;
    }
    let (mut times, mut cpu) = (Vec::with_capacity(ROUNDS), Vec::with_capacity(ROUNDS));
    let (mut items, mut more) = (0, 0);
    for _ in 0..ROUNDS {
        let question = question(source);
        let (start, cpu_start) = (Instant::now(), cpu_time());
        let (found, goes_on) = answer(&question);
        times.push(start.elapsed());
        cpu.push(cpu_time() - cpu_start);
        items += found;
        more += usize::from(goes_on && found < 50);
    }
    times.sort();
    cpu.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "{label:<58} {:7.3} {:7.3}  CPU {:7.3} {:7.3} ms  {:4.1} items, {:3.0} % cut short",
        ms(times[ROUNDS / 2]),
        ms(times[ROUNDS * 99 / 100]),
        ms(cpu[ROUNDS / 2]),
        ms(cpu[ROUNDS * 99 / 100]),
        items as f64 / ROUNDS as f64,
        more as f64 / ROUNDS as f64 * 100.0,
    );
}

/// Events at random, always the same.
struct Source {
    /// What the names of questions must have.
    part: String,
    random: u64,
    heads: Vec<u64>,
    now_ms: u64,
    /// Whether messages answer others and mention users.
    is_chat: bool,
}

impl Source {
    fn new(channels: u64, part: String, is_chat: bool) -> Self {
        Self {
            part,
            is_chat,
            random: 0x9e37_79b9_7f4a_7c15,
            heads: vec![0; channels as usize],
            now_ms: START_MS,
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % bound
    }

    /// Small numbers more often than large ones.
    fn zipf(&mut self, bound: u64) -> u64 {
        let unit = self.below(1 << 32) as f64 / (1_u64 << 32) as f64;
        ((bound as f64).powf(unit) - 1.0) as u64
    }

    fn word(&mut self) -> String {
        word(self.zipf(WORDS))
    }

    fn author(&mut self) -> String {
        let bound = if self.below(5) == 0 {
            AUTHORS
        } else {
            AUTHORS / 100
        };
        format!("user-{}", self.below(bound))
    }

    fn scope(&mut self, everywhere: bool, channels: u64) -> Scope {
        if everywhere {
            Scope::Namespace("acme".into())
        } else {
            Scope::Channel(channel(self.below(channels)))
        }
    }

    /// Draws what happened next, channel by channel.
    fn batch(&mut self, len: usize) -> Vec<(ChannelMeta, u64, Vec<u8>)> {
        let mut drawn: Vec<(u64, u64)> = (0..len)
            .map(|_| {
                self.now_ms += STEP_MS;
                (self.below(self.heads.len() as u64), self.now_ms)
            })
            .collect();
        drawn.sort();
        let mut batch: Vec<(ChannelMeta, u64, Vec<u8>)> = Vec::new();
        for (number, at) in drawn {
            let seq = self.heads[number as usize] + 1;
            self.heads[number as usize] = seq;
            let id = channel(number);
            if batch.last().is_none_or(|(meta, _, _)| meta.id != id) {
                batch.push((meta(number), seq, Vec::new()));
            }
            let words = 4 + self.below(17);
            let mut content: Vec<_> = (0..words).map(|_| self.word()).collect();
            let reply_to = (self.is_chat && seq > 1 && self.below(4) == 0).then(|| {
                // What was said of late is answered more often.
                seq - 1 - self.zipf(seq - 1).min(seq - 2)
            });
            if self.is_chat && self.below(5) == 0 {
                for _ in 0..=self.below(3) {
                    content.push(format!("<@{}>", self.author()));
                }
            }
            let event = Event {
                seq,
                kind: EventKind::Message,
                author_id: self.author().into(),
                content: Some(content.join(" ").into()),
                target_seq: None,
                reply_to,
                data: None,
                removed: false,
                created_at: Millis(at),
                deleted: false,
            };
            if let Some((meta, _, bytes)) = batch.last_mut() {
                meta.head = seq;
                event.write_json(id, bytes);
                bytes.push(b',');
            }
        }
        batch
    }
}

fn channel(number: u64) -> ChannelId {
    let [_, _, id @ ..] = (number + 1).to_be_bytes();
    ChannelId(id)
}

fn meta(number: u64) -> ChannelMeta {
    ChannelMeta {
        id: channel(number),
        name: format!("channel {number}").into(),
        owner: "acme".into(),
        created_at: Millis(START_MS),
        deleted_at: None,
        head: 0,
        start: 1,
        retention: Retention::default(),
    }
}

/// The n-th most frequent word.
fn word(n: u64) -> String {
    const SYLLABLES: [&str; 16] = [
        "ba", "ce", "di", "fo", "gu", "la", "me", "ni", "po", "ru", "sa", "te", "vi", "wo", "xu",
        "ka",
    ];
    let mut word = String::new();
    let mut left = n + 16;
    while left > 0 {
        word.push_str(SYLLABLES[(left % 16) as usize]);
        left /= 16;
    }
    word
}

/// CPU time of this thread so far.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
