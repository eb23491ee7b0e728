//! A claim per rule.

use std::sync::Arc;

use floe_proto::{Code, Millis, Offset};

use super::*;

const T0: Millis = Millis(1_000_000);
const LEASE_MS: u64 = 30_000;

/// A host in small: it answers backfills from a list of streams and keeps what is persisted.
struct Host {
    set: Subscriptions,
    now: Millis,
    random: u128,
    streams: Vec<(Box<str>, u64)>,
    stored: std::collections::BTreeMap<Arc<str>, Vec<u8>>,
    /// Effects of the last request besides its answer.
    seen: Vec<Effect>,
}

impl Host {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        Self {
            set: Subscriptions::new(limits),
            now: T0,
            random: 0,
            streams: Vec::new(),
            stored: Default::default(),
            seen: Vec::new(),
        }
    }

    fn handle(&mut self, input: Input<'_>) -> Vec<Effect> {
        self.seen.clear();
        let random = &mut self.random;
        let mut draw = || {
            *random += 1;
            *random
        };
        self.set.handle(self.now, &mut draw, input);
        self.drain()
    }

    fn drain(&mut self) -> Vec<Effect> {
        while let Some(effect) = self.set.poll_effect() {
            match &effect {
                Effect::Persist { id, value } => {
                    drop(self.stored.insert(id.clone(), value.clone()))
                }
                Effect::Forget { id } => drop(self.stored.remove(id)),
                Effect::Backfill(backfill) => {
                    let streams = self.find(backfill);
                    let input = Input::Found {
                        backfill: backfill.number,
                        streams,
                        done: true,
                    };
                    self.set.handle(self.now, &mut || 99, input);
                }
                Effect::AppendWake { .. } | Effect::SendWebhook(_) | Effect::Reply { .. } => {}
            }
            self.seen.push(effect);
        }
        std::mem::take(&mut self.seen)
    }

    fn find(&self, backfill: &Backfill) -> Vec<(Box<str>, Option<u64>)> {
        let tail = |path: &str| {
            let found = self.streams.iter().find(|(name, _)| **name == *path);
            found.map(|(_, tail)| *tail)
        };
        let named = backfill
            .streams
            .iter()
            .map(|path| (path.clone(), tail(path)));
        let matched = self.streams.iter().filter(|(path, _)| {
            let pattern = backfill.pattern.as_ref();
            pattern.is_some_and(|pattern| pattern.matches(path))
        });
        named
            .chain(matched.map(|(path, tail)| (path.clone(), Some(*tail))))
            .collect()
    }

    fn ask(&mut self, id: &str, request: Request) -> Reply {
        let input = Input::Request {
            ticket: 5,
            id: id.into(),
            request,
        };
        let mut replies = self.handle(input);
        let effect = replies
            .iter()
            .position(|effect| matches!(effect, Effect::Reply { .. }));
        let at = effect.expect("every request is answered");
        let Effect::Reply { ticket: 5, reply } = replies.remove(at) else {
            panic!("an answer to another request")
        };
        self.seen = replies;
        reply
    }

    fn create(&mut self, path: &str, tail: u64) -> Vec<Effect> {
        self.streams.push((path.into(), tail));
        self.handle(Input::StreamCreated { path, tail })
    }

    fn append(&mut self, path: &str, tail: u64) -> Vec<Effect> {
        let stream = self
            .streams
            .iter_mut()
            .find(|(name, _)| **name == *path)
            .unwrap();
        let from = std::mem::replace(&mut stream.1, tail);
        self.handle(Input::StreamAdvanced { path, from, tail })
    }

    fn pass(&mut self, ms: u64) -> Vec<Effect> {
        self.now = self.now.plus(ms);
        self.handle(Input::Wake)
    }

    fn claim(&mut self) -> Claim {
        let worker = "w1".into();
        let Reply::Claimed(claim) = self.ask("pull", Request::Claim { worker }) else {
            panic!("not claimed")
        };
        claim
    }

    fn view(&mut self, id: &str) -> View {
        let Reply::Found(view) = self.ask(id, Request::Get) else {
            panic!("no such subscription")
        };
        view
    }

    /// Stops and starts again with what was persisted.
    fn restart(&mut self) -> Vec<Effect> {
        self.set = Subscriptions::new(Limits::default());
        for value in self.stored.clone().into_values() {
            self.set.restore(self.now, &mut || 77, &value).unwrap();
        }
        self.drain()
    }
}

fn pull() -> Put {
    Put {
        target: Target::PullWake {
            wake_stream: "wake/pool".into(),
        },
        pattern: Some("events/*".into()),
        ..Put::default()
    }
}

fn webhook() -> Put {
    Put {
        target: Target::Webhook {
            url: "https://worker.example/hook".into(),
            base: "http://floe.example".into(),
        },
        ..pull()
    }
}

fn pulling() -> Host {
    let mut host = Host::new();
    assert!(matches!(
        host.ask("pull", Request::Put(pull())),
        Reply::Created(_)
    ));
    host
}

fn hooked() -> Host {
    let mut host = Host::new();
    assert!(matches!(
        host.ask("hook", Request::Put(webhook())),
        Reply::Created(_)
    ));
    host
}

fn ack_of(claim: &Claim, acks: &[(&str, u64)], done: bool) -> Ack {
    Ack {
        token: claim.token.clone(),
        wake_id: claim.wake_id.clone(),
        generation: claim.generation,
        acks: acks
            .iter()
            .map(|(path, at)| ((*path).into(), Offset(*at)))
            .collect(),
        done,
    }
}

fn callback_of(sent: &Notification, acks: &[(&str, u64)], done: bool) -> Request {
    Request::Callback(Ack {
        token: sent.token.clone(),
        wake_id: sent.wake_id.clone(),
        generation: sent.generation,
        acks: acks
            .iter()
            .map(|(path, at)| ((*path).into(), Offset(*at)))
            .collect(),
        done,
    })
}

fn sent(effects: &[Effect]) -> Option<Notification> {
    effects.iter().find_map(|effect| {
        let Effect::SendWebhook(notification) = effect else {
            return None;
        };
        Some(notification.clone())
    })
}

fn announced(effects: &[Effect]) -> Option<WakeEvent> {
    effects.iter().find_map(|effect| {
        let Effect::AppendWake { event, .. } = effect else {
            return None;
        };
        Some(event.clone())
    })
}

fn answer(host: &mut Host, sent: &Notification, outcome: Outcome) -> Vec<Effect> {
    host.handle(Input::WebhookAnswered {
        id: sent.subscription_id.clone(),
        wake_id: sent.wake_id.clone(),
        generation: sent.generation,
        outcome,
    })
}

fn refused(reply: Reply) -> Code {
    let Reply::Refused(refusal) = reply else {
        panic!("not refused: {reply:?}")
    };
    refusal.code()
}

fn link(path: &str, explicit: bool, acked: u64) -> LinkView {
    LinkView {
        path: path.into(),
        explicit,
        acked: Offset(acked),
    }
}

#[test]
fn an_equal_put_confirms_and_another_is_refused() {
    let mut host = pulling();
    assert!(matches!(
        host.ask("pull", Request::Put(pull())),
        Reply::Confirmed(_)
    ));
    for other in [
        Put {
            lease_ms: 1_000,
            ..pull()
        },
        Put {
            description: Some("x".into()),
            ..pull()
        },
        Put {
            pattern: Some("events/**".into()),
            ..pull()
        },
        Put {
            streams: vec!["a".into()],
            ..pull()
        },
        webhook(),
    ] {
        assert_eq!(refused(host.ask("pull", Request::Put(other))), Code::Exists);
    }
}

#[test]
fn order_slashes_and_repeats_of_streams_do_not_make_another_subscription() {
    let mut host = Host::new();
    let first = Put {
        streams: vec!["b".into(), "/a/".into()],
        ..pull()
    };
    let second = Put {
        streams: vec!["a".into(), "b".into(), "a".into()],
        ..pull()
    };
    assert!(matches!(
        host.ask("s", Request::Put(first)),
        Reply::Created(_)
    ));
    assert!(matches!(
        host.ask("s", Request::Put(second)),
        Reply::Confirmed(_)
    ));
}

#[test]
fn a_confirm_from_another_address_moves_the_callbacks() {
    let mut host = hooked();
    let base: Box<str> = "https://floe.example".into();
    let url = "https://worker.example/hook".into();
    let moved = Put {
        target: Target::Webhook {
            url,
            base: base.clone(),
        },
        ..webhook()
    };
    assert!(matches!(
        host.ask("hook", Request::Put(moved)),
        Reply::Confirmed(_)
    ));
    assert_eq!(sent(&host.create("events/a", 1)).unwrap().base, base);
}

#[test]
fn existing_streams_are_linked_at_their_tails() {
    let mut host = Host::new();
    host.streams = vec![
        ("events/a".into(), 5),
        ("other".into(), 7),
        ("named".into(), 9),
    ];
    let put = Put {
        streams: vec!["named".into(), "later".into()],
        ..pull()
    };
    let Reply::Created(view) = host.ask("pull", Request::Put(put)) else {
        panic!()
    };
    let expected = [
        link("events/a", false, 5),
        link("later", true, 0),
        link("named", true, 9),
    ];
    assert_eq!(view.streams, expected);
    assert_eq!(announced(&host.seen), None);
}

#[test]
fn a_stream_created_later_is_pending_from_its_beginning() {
    let mut host = pulling();
    let event = announced(&host.create("events/a", 2)).unwrap();
    assert_eq!(
        (&*event.stream, event.generation, event.at),
        ("events/a", 1, T0)
    );
    let claim = host.claim();
    let state = StreamState {
        link: link("events/a", false, 0),
        tail: Offset(2),
    };
    assert_eq!(claim.streams, [state]);
    assert!(claim.streams[0].has_pending());
}

#[test]
fn an_append_to_a_stream_not_yet_linked_links_it_before_the_append() {
    let mut host = Host::new();
    let input = Input::Request {
        ticket: 1,
        id: "pull".into(),
        request: Request::Put(pull()),
    };
    host.set.handle(T0, &mut || 1, input);
    let input = Input::StreamAdvanced {
        path: "events/a",
        from: 5,
        tail: 6,
    };
    host.set.handle(T0, &mut || 1, input);
    host.streams = vec![("events/a".into(), 6)];
    host.drain();
    assert_eq!(host.view("pull").streams, [link("events/a", false, 5)]);
}

#[test]
fn an_answer_older_than_an_append_changes_nothing() {
    let mut host = Host::new();
    let put = Put {
        streams: vec!["a".into()],
        ..pull()
    };
    let input = Input::Request {
        ticket: 1,
        id: "pull".into(),
        request: Request::Put(put),
    };
    host.set.handle(T0, &mut || 1, input);
    let input = Input::StreamAdvanced {
        path: "a",
        from: 5,
        tail: 6,
    };
    host.set.handle(T0, &mut || 1, input);
    // The host looked before the stream was there.
    host.drain();
    assert_eq!(host.view("pull").streams, [link("a", true, 5)]);
}

#[test]
fn one_wake_at_a_time_and_another_once_it_is_done() {
    let mut host = pulling();
    assert!(announced(&host.create("events/a", 1)).is_some());
    assert_eq!(announced(&host.create("events/b", 1)), None);
    let claim = host.claim();
    host.append("events/a", 2);
    let reply = host.ask(
        "pull",
        Request::Ack(ack_of(&claim, &[("events/a", 1), ("events/b", 1)], true)),
    );
    assert_eq!(reply, Reply::Acked { next_wake: true });
    let event = announced(&host.seen).unwrap();
    assert_eq!((&*event.stream, event.generation), ("events/a", 2));
    let claim = host.claim();
    let reply = host.ask(
        "pull",
        Request::Ack(ack_of(&claim, &[("events/a", 2)], true)),
    );
    assert_eq!(reply, Reply::Acked { next_wake: false });
    assert_eq!(host.set.poll_wake(), None);
}

#[test]
fn only_one_worker_holds_the_lease() {
    let mut host = pulling();
    let worker = || Request::Claim {
        worker: "w2".into(),
    };
    assert_eq!(refused(host.ask("pull", worker())), Code::NoPendingWork);
    host.create("events/a", 1);
    host.claim();
    let expected = Refusal::AlreadyClaimed {
        holder: "w1".into(),
        generation: 1,
    };
    assert_eq!(host.ask("pull", worker()), Reply::Refused(expected));
}

#[test]
fn an_ack_extends_the_lease_and_silence_ends_it() {
    let mut host = pulling();
    host.create("events/a", 1);
    let claim = host.claim();
    host.pass(LEASE_MS - 1);
    let reply = host.ask("pull", Request::Ack(ack_of(&claim, &[], false)));
    assert_eq!(reply, Reply::Acked { next_wake: false });
    assert_eq!(host.set.poll_wake(), Some(host.now.plus(LEASE_MS)));
    assert_eq!(host.pass(LEASE_MS - 1), []);
    let event = announced(&host.pass(1)).unwrap();
    assert_eq!(event.generation, 2);
    let late = Request::Ack(ack_of(&claim, &[("events/a", 1)], true));
    assert_eq!(refused(host.ask("pull", late)), Code::Fenced);
    assert_eq!(host.view("pull").streams, [link("events/a", false, 0)]);
}

#[test]
fn a_release_wakes_again_while_work_is_pending() {
    let mut host = pulling();
    host.create("events/a", 1);
    let claim = host.claim();
    let release = ack_of(&claim, &[("events/a", 1)], false);
    assert_eq!(
        host.ask("pull", Request::Release(release.clone())),
        Reply::Released
    );
    assert_eq!(announced(&host.seen).unwrap().generation, 2);
    assert_eq!(
        refused(host.ask("pull", Request::Release(release))),
        Code::Fenced
    );
}

#[test]
fn acks_beyond_the_tail_are_refused_and_older_ones_do_not_go_back() {
    let mut host = pulling();
    host.create("events/a", 3);
    let claim = host.claim();
    let beyond = Request::Ack(ack_of(&claim, &[("events/a", 4)], true));
    assert_eq!(refused(host.ask("pull", beyond)), Code::InvalidOffset);
    for at in [2, 1] {
        host.ask(
            "pull",
            Request::Ack(ack_of(&claim, &[("events/a", at), ("gone", 9)], false)),
        );
    }
    assert_eq!(host.view("pull").streams, [link("events/a", false, 2)]);
}

#[test]
fn a_foreign_token_is_unauthorized_and_a_stale_one_fenced() {
    let mut host = pulling();
    host.create("events/a", 1);
    let claim = host.claim();
    let good = ack_of(&claim, &[], false);
    for (ack, code) in [
        (
            Ack {
                token: "".into(),
                ..good.clone()
            },
            Code::Unauthorized,
        ),
        (
            Ack {
                token: claim.token.replace("ds_1_", "ds_x_").into(),
                ..good.clone()
            },
            Code::Unauthorized,
        ),
        (
            Ack {
                wake_id: "w_0".into(),
                ..good.clone()
            },
            Code::Fenced,
        ),
        (
            Ack {
                generation: 2,
                ..good.clone()
            },
            Code::Fenced,
        ),
    ] {
        assert_eq!(refused(host.ask("pull", Request::Ack(ack))), code);
    }
    host.ask("pull", Request::Release(good.clone()));
    assert_eq!(refused(host.ask("pull", Request::Ack(good))), Code::Fenced);
}

#[test]
fn a_deleted_subscription_takes_nothing_and_its_successor_knows_no_old_token() {
    let mut host = pulling();
    host.create("events/a", 1);
    let claim = host.claim();
    assert_eq!(host.ask("pull", Request::Delete), Reply::Deleted);
    assert_eq!(host.seen, [Effect::Forget { id: "pull".into() }]);
    assert!(host.set.is_empty() && !host.set.watches("events/a"));
    assert_eq!(host.set.poll_wake(), None);
    let ack = Request::Ack(ack_of(&claim, &[("events/a", 1)], true));
    assert_eq!(refused(host.ask("pull", ack.clone())), Code::NotFound);
    assert_eq!(host.ask("pull", Request::Delete), Reply::Deleted);
    host.ask("pull", Request::Put(pull()));
    host.append("events/a", 2);
    assert_eq!(refused(host.ask("pull", ack)), Code::Unauthorized);
}

#[test]
fn deleting_answers_a_request_that_still_waits() {
    let mut host = Host::new();
    for (ticket, request) in [(1, Request::Put(pull())), (2, Request::Delete)] {
        let input = Input::Request {
            ticket,
            id: "pull".into(),
            request,
        };
        host.set.handle(T0, &mut || 1, input);
    }
    let replies: Vec<_> = host
        .drain()
        .into_iter()
        .filter(|e| matches!(e, Effect::Reply { .. }))
        .collect();
    let lost = Effect::Reply {
        ticket: 1,
        reply: Reply::Refused(Refusal::NotFound),
    };
    assert_eq!(
        replies,
        [
            lost,
            Effect::Reply {
                ticket: 2,
                reply: Reply::Deleted
            }
        ]
    );
}

#[test]
fn a_name_wins_over_the_pattern_and_gives_way_to_it() {
    let mut host = pulling();
    host.create("events/a", 0);
    let streams = vec!["events/a".into(), "extra".into()];
    assert_eq!(
        host.ask("pull", Request::AddStreams(streams)),
        Reply::StreamsAdded
    );
    assert_eq!(
        host.view("pull").streams,
        [link("events/a", true, 0), link("extra", true, 0)]
    );
    for path in ["events/a", "extra", "absent"] {
        let reply = host.ask("pull", Request::RemoveStream(path.into()));
        assert_eq!(reply, Reply::StreamRemoved);
    }
    assert_eq!(host.view("pull").streams, [link("events/a", false, 0)]);
}

#[test]
fn streams_added_by_name_start_at_their_tails() {
    let mut host = pulling();
    host.streams = vec![("extra".into(), 4)];
    host.ask("pull", Request::AddStreams(vec!["extra".into()]));
    assert_eq!(host.view("pull").streams, [link("extra", true, 4)]);
    assert!(announced(&host.append("extra", 5)).is_some());
}

#[test]
fn a_deleted_stream_takes_its_position_along() {
    let mut host = pulling();
    host.streams = vec![("named".into(), 4)];
    host.ask("pull", Request::AddStreams(vec!["named".into()]));
    host.create("events/a", 1);
    host.streams.clear();
    for path in ["named", "events/a"] {
        host.handle(Input::StreamDeleted { path });
    }
    assert_eq!(host.view("pull").streams, [link("named", true, 0)]);
    let worker = "w".into();
    assert_eq!(
        refused(host.ask("pull", Request::Claim { worker })),
        Code::NoPendingWork
    );
    assert_eq!(announced(&host.create("named", 2)).unwrap().generation, 2);
}

#[test]
fn a_webhook_that_says_done_acks_what_it_was_told() {
    let mut host = hooked();
    let first = sent(&host.create("events/a", 2)).unwrap();
    assert_eq!((first.generation, first.timeout_ms), (1, LEASE_MS));
    assert_eq!(sent(&host.append("events/a", 3)), None);
    let second = sent(&answer(&mut host, &first, Outcome::Done)).unwrap();
    assert_eq!(second.generation, 2);
    assert_eq!(
        second.streams,
        [StreamState {
            link: link("events/a", false, 2),
            tail: Offset(3)
        }]
    );
    assert_eq!(sent(&answer(&mut host, &second, Outcome::Done)), None);
    assert_eq!(host.view("hook").streams, [link("events/a", false, 3)]);
    assert_eq!(answer(&mut host, &second, Outcome::Failed), []);
}

#[test]
fn a_callback_acks_and_a_second_one_is_fenced() {
    let mut host = hooked();
    let first = sent(&host.create("events/a", 2)).unwrap();
    answer(&mut host, &first, Outcome::Accepted);
    let callback = callback_of(&first, &[("events/a", 2)], true);
    assert_eq!(
        host.ask("hook", callback.clone()),
        Reply::Acked { next_wake: false }
    );
    assert_eq!(refused(host.ask("hook", callback)), Code::Fenced);
}

#[test]
fn a_callback_may_come_before_the_answer_and_after_a_lost_one() {
    let mut host = hooked();
    let first = sent(&host.create("events/a", 2)).unwrap();
    host.ask("hook", callback_of(&first, &[("events/a", 1)], false));
    assert_eq!(answer(&mut host, &first, Outcome::Failed), []);
    let reply = host.ask("hook", callback_of(&first, &[("events/a", 2)], true));
    assert_eq!(reply, Reply::Acked { next_wake: false });

    let second = sent(&host.append("events/a", 3)).unwrap();
    answer(&mut host, &second, Outcome::Failed);
    assert!(host.view("hook").failed);
    host.ask("hook", callback_of(&second, &[("events/a", 3)], true));
    assert!(!host.view("hook").failed);
    assert_eq!(host.set.poll_wake(), None);
}

#[test]
fn a_failed_webhook_is_sent_again_on_a_schedule_that_survives_a_restart() {
    let mut host = hooked();
    let first = sent(&host.create("events/a", 2)).unwrap();
    answer(&mut host, &first, Outcome::Failed);
    let at = host.view("hook").next_attempt_at.unwrap();
    assert!((800..=1_200).contains(&at.since(host.now)));
    assert_eq!(sent(&host.restart()), None);
    assert_eq!(host.set.poll_wake(), Some(at));
    let again = sent(&host.pass(at.since(host.now))).unwrap();
    assert_eq!((again.generation, &again.wake_id), (1, &first.wake_id));
    answer(&mut host, &again, Outcome::Failed);
    let at = host.view("hook").next_attempt_at.unwrap();
    assert!((1_600..=2_400).contains(&at.since(host.now)));
}

#[test]
fn an_overdue_answer_counts_as_a_failure_of_an_older_generation() {
    let mut host = hooked();
    let first = sent(&host.create("events/a", 2)).unwrap();
    assert_eq!(sent(&host.pass(LEASE_MS)), None);
    assert!(host.view("hook").failed);
    assert_eq!(answer(&mut host, &first, Outcome::Done), []);
    assert_eq!(sent(&host.pass(1_200)).unwrap().generation, 2);
}

#[test]
fn a_webhook_that_never_calls_back_is_woken_after_its_lease() {
    let mut host = hooked();
    let first = sent(&host.create("events/a", 2)).unwrap();
    answer(&mut host, &first, Outcome::Accepted);
    assert_eq!(sent(&host.pass(LEASE_MS - 1)), None);
    assert_eq!(sent(&host.pass(1)).unwrap().generation, 2);
}

#[test]
fn operations_of_the_other_type_are_refused() {
    let mut host = pulling();
    host.ask("hook", Request::Put(webhook()));
    let worker = "w".into();
    assert_eq!(
        refused(host.ask("hook", Request::Claim { worker })),
        Code::InvalidRequest
    );
    assert_eq!(
        refused(host.ask("hook", Request::Ack(Ack::default()))),
        Code::InvalidRequest
    );
    assert_eq!(
        refused(host.ask("pull", Request::Callback(Ack::default()))),
        Code::InvalidRequest
    );
}

#[test]
fn state_is_persisted_before_anything_that_depends_on_it() {
    let mut host = pulling();
    let effects = host.create("events/a", 1);
    assert!(matches!(
        &effects[..],
        [Effect::Persist { .. }, Effect::AppendWake { .. }]
    ));
    host.claim();
    assert!(matches!(&host.seen[..], [Effect::Persist { .. }]));
}

#[test]
fn appends_under_a_wake_and_heartbeats_are_not_written() {
    let mut host = pulling();
    host.create("events/a", 1);
    let claim = host.claim();
    assert_eq!(host.append("events/a", 2), []);
    host.ask("pull", Request::Ack(ack_of(&claim, &[], false)));
    assert_eq!(host.seen, []);
}

#[test]
fn a_restart_keeps_the_claim_and_learns_of_missed_appends() {
    let mut host = pulling();
    host.create("events/a", 1);
    let claim = host.claim();
    host.streams[0].1 = 9;
    host.pass(LEASE_MS / 2);
    host.restart();
    assert_eq!(host.set.poll_wake(), Some(host.now.plus(LEASE_MS)));
    let reply = host.ask(
        "pull",
        Request::Ack(ack_of(&claim, &[("events/a", 8)], true)),
    );
    assert_eq!(reply, Reply::Acked { next_wake: true });
}

#[test]
fn an_unclaimed_wake_is_announced_again_after_a_restart_and_to_a_new_wake_stream() {
    let mut host = pulling();
    let first = announced(&host.create("events/a", 1)).unwrap();
    assert_eq!(announced(&host.restart()), Some(first.clone()));
    assert_eq!(announced(&host.create("wake/pool", 0)), Some(first));
}

#[test]
fn wake_streams_are_covered_by_no_pattern() {
    let mut host = Host::new();
    host.streams = vec![("wake/b".into(), 0)];
    for id in ["a", "b"] {
        let wake_stream = format!("wake/{id}").into();
        let put = Put {
            target: Target::PullWake { wake_stream },
            pattern: Some("**".into()),
            ..pull()
        };
        host.ask(id, Request::Put(put));
    }
    assert_eq!(announced(&host.append("wake/b", 1)), None);
    assert_eq!(announced(&host.create("wake/a", 1)), None);
    host.ask("a", Request::AddStreams(vec!["wake/b".into()]));
    assert!(announced(&host.append("wake/b", 2)).is_some());
}

#[test]
fn idle_links_give_way_and_come_back_where_they_were() {
    let mut host = Host::with(Limits {
        links_max: 3,
        idle_links_max: 1,
        ..Limits::default()
    });
    host.ask("pull", Request::Put(pull()));
    for path in ["events/a", "events/b", "events/c"] {
        host.create(path, 1);
    }
    assert_eq!(host.create("events/d", 1), []);
    assert_eq!(host.view("pull").links_refused, 1);
    let claim = host.claim();
    let acks = [("events/a", 1), ("events/b", 1), ("events/c", 1)];
    host.ask("pull", Request::Ack(ack_of(&claim, &acks, true)));
    assert_eq!(host.view("pull").streams, [link("events/c", false, 1)]);
    host.append("events/a", 2);
    assert_eq!(
        host.view("pull").streams,
        [link("events/a", false, 1), link("events/c", false, 1)]
    );
}

#[test]
fn what_was_processed_last_stays_in_the_list() {
    let limits = Limits {
        idle_links_max: 2,
        ..Limits::default()
    };
    let mut host = Host::with(limits);
    host.streams = ["x", "y", "z"]
        .map(|name| (format!("events/{name}").into(), 5))
        .to_vec();
    host.ask("pull", Request::Put(pull()));
    assert_eq!(
        host.view("pull").streams,
        [link("events/x", false, 5), link("events/y", false, 5)]
    );
    host.create("events/a", 1);
    let claim = host.claim();
    host.ask(
        "pull",
        Request::Ack(ack_of(&claim, &[("events/a", 1)], true)),
    );
    assert_eq!(
        host.view("pull").streams,
        [link("events/a", false, 1), link("events/y", false, 5)]
    );
    host.create("events/b", 0);
    assert_eq!(
        host.view("pull").streams,
        [link("events/a", false, 1), link("events/b", false, 0)]
    );
}

#[test]
fn every_bound_is_refused_by_name() {
    let limits = Limits {
        subscriptions_max: 1,
        links_max: 2,
        ..Limits::default()
    };
    let mut host = Host::with(limits);
    let long: Box<str> = "x".repeat(3_000).into();
    let wake_stream = || Target::PullWake {
        wake_stream: "w".into(),
    };
    for (put, code) in [
        (
            Put {
                lease_ms: 999,
                ..pull()
            },
            Code::InvalidRequest,
        ),
        (
            Put {
                lease_ms: 600_001,
                ..pull()
            },
            Code::InvalidRequest,
        ),
        (
            Put {
                description: Some(long.clone()),
                ..pull()
            },
            Code::InvalidRequest,
        ),
        (
            Put {
                pattern: Some(long.clone()),
                ..pull()
            },
            Code::InvalidRequest,
        ),
        (
            Put {
                pattern: Some("a*".into()),
                ..pull()
            },
            Code::InvalidRequest,
        ),
        (
            Put {
                pattern: None,
                ..pull()
            },
            Code::InvalidRequest,
        ),
        (
            Put {
                target: wake_stream(),
                streams: vec!["__ds/x".into()],
                ..pull()
            },
            Code::InvalidRequest,
        ),
        (
            Put {
                streams: vec!["a//b".into()],
                ..pull()
            },
            Code::InvalidRequest,
        ),
        (Put::default(), Code::InvalidRequest),
        (
            Put {
                streams: vec!["a".into(), "b".into(), "c".into()],
                ..pull()
            },
            Code::LimitReached,
        ),
    ] {
        assert_eq!(
            refused(host.ask("pull", Request::Put(put.clone()))),
            code,
            "{put:?}"
        );
    }
    assert_eq!(
        refused(host.ask(&long, Request::Put(pull()))),
        Code::InvalidRequest
    );
    host.ask("pull", Request::Put(pull()));
    assert_eq!(
        refused(host.ask("more", Request::Put(pull()))),
        Code::LimitReached
    );
    host.ask("pull", Request::AddStreams(vec!["a".into(), "b".into()]));
    let more = Request::AddStreams(vec!["c".into()]);
    assert_eq!(refused(host.ask("pull", more)), Code::LimitReached);
    let worker = long;
    assert_eq!(
        refused(host.ask("pull", Request::Claim { worker })),
        Code::InvalidRequest
    );
}

#[test]
fn golden_bytes_of_a_claimed_subscription() {
    let mut host = Host::new();
    let put = Put {
        streams: vec!["b".into()],
        description: Some("d".into()),
        ..pull()
    };
    host.ask("pull", Request::Put(put));
    host.create("events/a", 300);
    host.claim();
    let value = host.stored.values().next().unwrap();
    let mut expected = b"\x01\x04pull".to_vec();
    expected.extend(T0.0.to_le_bytes());
    expected.extend(1u128.to_le_bytes());
    expected.extend(b"\x02\x09wake/pool\x01\x08events/*\x01\x01b\xb0\xea\x01\x01\x01d");
    expected.extend(b"\x01\x01\0\0\x02\x01b\x01\0\0\x08events/a\0\0\xac\x02\x01");
    expected.extend(2u128.to_le_bytes());
    expected.extend(3u128.to_le_bytes());
    expected.extend(b"\x01\x08events/a\xac\x02\x02");
    expected.extend(T0.plus(LEASE_MS).0.to_le_bytes());
    expected.extend(b"\x02w1");
    assert_eq!(*value, expected);
    host.restart();
    assert_eq!(host.stored.values().next(), Some(&expected));
}

#[test]
fn golden_bytes_of_a_webhook_that_waits_to_be_sent_again() {
    let mut host = hooked();
    let first = sent(&host.create("events/a", 1)).unwrap();
    answer(&mut host, &first, Outcome::Failed);
    let value = host.stored.values().next().unwrap();
    let mut expected = b"\x01\x04hook".to_vec();
    expected.extend(T0.0.to_le_bytes());
    expected.extend(1u128.to_le_bytes());
    expected.extend(b"\x01\x1bhttps://worker.example/hook\x13http://floe.example");
    expected.extend(b"\x01\x08events/*\0\xb0\xea\x01\0\x01\x01\x01\0\x01\x08events/a\0\0\x01\x01");
    expected.extend(2u128.to_le_bytes());
    expected.extend(3u128.to_le_bytes());
    expected.extend(b"\x01\x08events/a\x01\x05");
    expected.extend(T0.plus(804).0.to_le_bytes());
    assert_eq!(*value, expected);
}

#[test]
fn bytes_that_are_no_subscription_are_refused() {
    let mut host = pulling();
    host.create("events/a", 1);
    host.claim();
    let value = host.stored.values().next().unwrap().clone();
    let mut set = Subscriptions::new(Limits::default());
    for len in 0..value.len() {
        assert_eq!(set.restore(T0, &mut || 1, &value[..len]), Err(RestoreError));
    }
    for at in 0..value.len() {
        let mut value = value.clone();
        value[at] ^= 0xff;
        let _ = set.restore(T0, &mut || 1, &value);
    }
}
