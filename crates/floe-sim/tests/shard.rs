//! What simulated worlds have found in the shard, in as few steps as it takes.

use std::sync::Arc;

use floe_core::{Append, ContentType, Create, Lifetime, Start};
use floe_log::sim::SimDisk;
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
    let mut create = Create::new(ContentType::new("text/plain"), Lifetime::Unlimited);
    create.lifetime = None;
    let new = NewRoom {
        create,
        fork: source.map(|source| ForkOf {
            source,
            at: None,
            beyond: 0,
        }),
        json: false,
        payload: Payload::NONE,
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
