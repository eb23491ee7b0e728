//! What simulated worlds have found in the shard, in as few steps as it takes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use floe_core::{Append, ContentType, Create, Lifetime, Start};
use floe_log::sim::{Rng, SimDisk};
use floe_log::{Options, Payload};
use floe_proto::{Code, Millis};
use floe_server::Limits;
use floe_server::shard::{ForkOf, NewRoom, Shard, Ticket};

const NOW: Millis = Millis(1_000_000);

fn open(disk: &SimDisk) -> Shard<SimDisk> {
    let options = Options {
        wal_segment_bytes: 64 << 10,
        hash_key: Some([7; 16]),
        ..Options::default()
    };
    let limits = Arc::new(Limits::default());
    let (mut shard, _) = Shard::open(disk.clone(), options, limits).unwrap();
    shard.ensure_registry(NOW).unwrap();
    commit(&mut shard);
    shard
}

fn commit(shard: &mut Shard<SimDisk>) {
    while let Some(job) = shard.take_commit() {
        shard.finish_commit(job.run()).unwrap();
    }
}

fn create(shard: &mut Shard<SimDisk>, name: &[u8], source: Option<&[u8]>) {
    create_with(shard, name, source, Lifetime::Unlimited, b"");
}

fn create_with(
    shard: &mut Shard<SimDisk>,
    name: &[u8],
    source: Option<&[u8]>,
    lifetime: Lifetime,
    bytes: &[u8],
) {
    let create = Create::new(ContentType::new("text/plain"), lifetime);
    let new = NewRoom {
        create,
        fork: source.map(|source| ForkOf {
            source,
            at: None,
            beyond: 0,
        }),
        json: false,
        payload: Payload { bytes, lens: &[] },
    };
    shard.create(NOW, Ticket(1), name, new);
}

fn append(shard: &mut Shard<SimDisk>, name: &[u8], bytes: &[u8]) {
    let append = Append {
        content_type: Some("text/plain"),
        units: bytes.len() as u64,
        ..Append::default()
    };
    shard.append(NOW, Ticket(2), name, &append, Payload { bytes, lens: &[] });
}

fn listed(shard: &mut Shard<SimDisk>, registry: &[u8]) -> String {
    // The first look at it puts a false last event right.
    let _ = shard.describe(NOW, registry);
    commit(shard);
    let Ok(plan) = shard.plan_read(NOW, registry, Start::Oldest) else {
        return String::new();
    };
    let events = shard.fetch(plan.slot, 0, 1 << 20).unwrap();
    String::from_utf8(events.to_vec().unwrap()).unwrap()
}

fn is_there(shard: &mut Shard<SimDisk>, name: &[u8]) -> bool {
    shard.describe(NOW, name).is_ok()
}

#[test]
fn a_reader_of_a_stream_whose_delete_is_staged_is_told_that_it_is_gone() {
    let mut shard = open(&SimDisk::new());
    create(&mut shard, b"a", None);
    commit(&mut shard);
    let plan = shard.plan_read(NOW, b"a", Start::Now).unwrap();
    shard.add_reader(plan.slot, Ticket(9));
    append(&mut shard, b"a", b"data");
    let job = shard.take_commit().unwrap();
    shard.delete(NOW, Ticket(3), b"a");
    shard.finish_commit(job.run()).unwrap();
    let (slot, _) = shard.poll_advanced().unwrap();
    let failure = shard.fetch(slot, 0, 100).unwrap_err();
    assert_eq!(failure.code, Code::NotFound);
}

#[test]
fn the_registry_agrees_with_the_streams_wherever_a_crash_cuts_the_log() {
    agrees_wherever_cut(b"a", b"__registry__");
}

#[test]
fn each_namespaces_registry_agrees_with_its_streams_wherever_a_crash_cuts_the_log() {
    agrees_wherever_cut(b"\0acme\0a", b"\0acme\0__registry__");
}

fn agrees_wherever_cut(name: &[u8], registry: &[u8]) {
    let mut cuts = [0; 3];
    for seed in 0..300 {
        let disk = SimDisk::new();
        let mut shard = open(&disk);
        create_with(&mut shard, name, None, Lifetime::Unlimited, &[b'x'; 900]);
        let job = shard.take_commit().unwrap();
        // The writes are there, and the sync is not.
        disk.die_after(2);
        assert!(job.run().error().is_some());
        let mut shard = open(&disk.crash(&mut Rng::new(seed)));
        let there = is_there(&mut shard, name);
        let told = listed(&mut shard, registry).matches("insert").count();
        let untold = listed(&mut shard, registry).matches("delete").count();
        assert_eq!(told - untold, usize::from(there), "seed {seed}");
        cuts[told + untold] += 1;
    }
    assert!(cuts.iter().all(|count| *count > 0), "{cuts:?}");
}

#[test]
fn each_namespace_lists_its_own_streams_by_their_paths() {
    let disk = SimDisk::new();
    let mut shard = open(&disk);
    create(&mut shard, b"a", None);
    create(&mut shard, b"\0acme\0b", None);
    shard.delete(NOW, Ticket(3), b"\0acme\0b");
    create(&mut shard, b"\0acme\0a", None);
    commit(&mut shard);
    let own = listed(&mut shard, b"__registry__");
    let other = listed(&mut shard, b"\0acme\0__registry__");
    let keys = |text: &str| {
        let events: Vec<serde_json::Value> =
            serde_json::from_str(&format!("[{}]", text.trim_end_matches(','))).unwrap();
        let keys = events.iter().map(|event| event["key"].to_string());
        keys.collect::<Vec<_>>()
    };
    assert_eq!(keys(&own), ["\"a\""]);
    assert_eq!(keys(&other), ["\"b\"", "\"b\"", "\"a\""]);
    // Nothing is put right that is right.
    let mut shard = open(&disk.crash(&mut Rng::new(1)));
    assert_eq!(listed(&mut shard, b"\0acme\0__registry__"), other);
    assert_eq!(listed(&mut shard, b"\0beta\0__registry__"), "");
}

#[test]
fn a_source_kept_for_its_forks_ends_with_the_last_wherever_a_crash_cuts_the_log() {
    let mut ends = [0; 2];
    for seed in 0..300 {
        let disk = SimDisk::new();
        let mut shard = open(&disk);
        create(&mut shard, b"source", None);
        create(&mut shard, b"fork", Some(b"source"));
        shard.delete(NOW, Ticket(3), b"source");
        commit(&mut shard);
        // Larger than a sector, so that its parts are lost one by one.
        append(&mut shard, b"fork", &[b'x'; 300]);
        shard.delete(NOW, Ticket(3), b"fork");
        let job = shard.take_commit().unwrap();
        disk.die_after(2);
        assert!(job.run().error().is_some());
        let mut shard = open(&disk.crash(&mut Rng::new(seed)));
        let fork = is_there(&mut shard, b"fork");
        let code = shard.describe(NOW, b"source").unwrap_err().code;
        let wanted = if fork { Code::Gone } else { Code::NotFound };
        assert_eq!(code, wanted, "seed {seed}");
        ends[usize::from(fork)] += 1;
    }
    assert!(ends.iter().all(|count| *count > 0), "{ends:?}");
}

#[test]
fn a_stream_expires_by_itself_after_a_restart_and_a_write() {
    let disk = SimDisk::new();
    let mut shard = open(&disk);
    create_with(&mut shard, b"a", None, Lifetime::Ttl(10), b"");
    commit(&mut shard);
    shard.close().unwrap();
    let mut shard = open(&disk);
    let flush = shard.take_work().unwrap();
    append(&mut shard, b"a", b"data");
    shard.finish_work(flush.run()).unwrap();
    while let Some(work) = shard.take_work() {
        shard.finish_work(work.run()).unwrap();
    }
    assert_eq!(shard.rooms(), 2);
    shard.tick(NOW.plus(10_000));
    assert_eq!(shard.rooms(), 1);
}

#[test]
fn nobody_is_told_of_a_delete_before_it_is_durable() {
    let mut shard = open(&SimDisk::new());
    create(&mut shard, b"source", None);
    create(&mut shard, b"fork", Some(b"source"));
    commit(&mut shard);
    while shard.poll_reply().is_some() {}
    shard.delete(NOW, Ticket(3), b"source");
    create(&mut shard, b"other", Some(b"source"));
    shard.delete(NOW, Ticket(4), b"source");
    let failure = shard.plan_read(NOW, b"source", Start::Oldest).unwrap_err();
    shard.refuse(Ticket(5), failure);
    assert_eq!(shard.poll_reply(), None);
    commit(&mut shard);
    let told = std::iter::from_fn(|| shard.poll_reply().map(|(ticket, _)| ticket.0));
    assert_eq!(told.collect::<Vec<_>>(), [3, 1, 4, 5]);
}
