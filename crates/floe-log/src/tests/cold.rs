//! Segments move to a store, are read from there, and leave it again.

use std::sync::Arc;

use floe_proto::{Millis, RoomId};

use super::model::{Concat, bytes_of, read_through};
use crate::sim::{SimDisk, SimStore};
use crate::{ColdOptions, Disk, FetchError, Log, Options, Payload, ReadError, StoreError, verify};

fn options() -> Options {
    Options {
        wal_segment_bytes: 64 << 10,
        record_bytes_max: 200 << 10,
        segment_bytes_max: 256 << 10,
        hash_key: Some([7; 16]),
        ..Options::default()
    }
}

fn everything_is_cold() -> ColdOptions {
    ColdOptions {
        hot_bytes_max: 0,
        age_min_ms: 0,
        segment_bytes_min: 0,
        part_bytes: 128 << 10,
        block_bytes: 64 << 10,
        ..ColdOptions::default()
    }
}

/// A log on a disk, with a store and a clock.
struct Fixture {
    disk: SimDisk,
    store: SimStore,
    log: Log<SimDisk>,
    cold: ColdOptions,
    now: u64,
}

impl Fixture {
    fn new() -> Self {
        Self::with(everything_is_cold())
    }

    fn with(cold: ColdOptions) -> Self {
        let (disk, store) = (SimDisk::new(), SimStore::new(1));
        let log = open(&disk, &store, &cold);
        Self {
            disk,
            store,
            log,
            cold,
            now: 1_000_000,
        }
    }

    fn create(&mut self, name: &[u8], bytes: &[u8]) -> RoomId {
        let name = self.log.hash("tenant", name);
        let payload = Payload { bytes, lens: &[] };
        let created = self.log.create(name, Millis(self.now), b"new", payload);
        created.unwrap().0
    }

    fn append(&mut self, room: RoomId, bytes: &[u8]) {
        let payload = Payload { bytes, lens: &[] };
        let appended = self.log.append(room, Millis(self.now), b"", payload);
        appended.unwrap();
    }

    /// Flushes, and does all work that there is.
    fn settle(&mut self) {
        self.log.request_flush();
        loop {
            if let Some(job) = self.log.take_commit() {
                self.log.finish_commit(job.run()).unwrap();
            }
            let work = self.log.take_work();
            let Some(work) = work.or_else(|| self.log.take_cold_work(Millis(self.now))) else {
                return;
            };
            let done = work.run();
            let _ = self.log.finish_work(done).unwrap();
        }
    }

    fn read(&mut self, room: RoomId) -> Result<Vec<u8>, ReadError> {
        let (mut bytes, mut next) = (Vec::new(), 0);
        while next < self.log.end(room).unwrap() {
            let chunk = read_through(&mut self.log, room, next, u64::MAX, 1 << 20)?;
            bytes.extend(bytes_of(&chunk.parts));
            next = chunk.next;
        }
        Ok(bytes)
    }

    /// Fetches what a read wants; says how that went.
    fn fetch(&mut self, room: RoomId) -> Result<(), FetchError> {
        let Err(ReadError::Cold(want)) = self.log.read(room, 0, u64::MAX, 1 << 20) else {
            panic!("it is not cold");
        };
        self.log.want_cold(want)?;
        let done = self.log.take_fetch().unwrap().run();
        let _ = self.log.finish_work(done).unwrap();
        self.log.poll_fetched().unwrap().1
    }

    fn restart(&mut self) {
        let blank = SimDisk::new();
        self.log = open(&blank, &self.store, &self.cold);
        self.log = open(&self.disk, &self.store, &self.cold);
    }

    fn files(&self, kind: &str) -> usize {
        let names = self.disk.list().unwrap().into_iter();
        names.filter(|name| name.starts_with(kind)).count()
    }
}

fn open(disk: &SimDisk, store: &SimStore, cold: &ColdOptions) -> Log<SimDisk> {
    let (mut log, _) = Log::open(disk.clone(), options(), Arc::new(Concat)).unwrap();
    log.use_store(Arc::new(store.clone()), cold.clone());
    log
}

#[test]
fn payload_leaves_the_folder_and_can_still_be_read() {
    let mut fixture = Fixture::new();
    let room = fixture.create(b"room", &[7; 150_000]);
    fixture.settle();
    assert_eq!((fixture.files("seg-"), fixture.files("cold-")), (0, 1));
    assert!(fixture.log.stats().segment_bytes < 1_000);
    assert!(fixture.store.bytes() > 150_000);
    fixture.restart();
    let asked = fixture.store.requests();
    assert_eq!(fixture.log.state(room).unwrap().state[8..], *b"new");
    assert_eq!(fixture.log.end(room), Some(150_000));
    assert_eq!(fixture.store.requests(), asked);
    assert!(fixture.read(room).unwrap() == [7; 150_000]);
    // It spans two parts, each of which is one request; then the cache has it.
    assert_eq!(fixture.store.requests(), asked + 2);
    assert!(fixture.read(room).unwrap() == [7; 150_000]);
    assert_eq!(fixture.store.requests(), asked + 2);
}

#[test]
fn only_what_is_old_large_and_too_much_moves() {
    let mut fixture = Fixture::with(ColdOptions {
        hot_bytes_max: 100_000,
        age_min_ms: 1_000,
        segment_bytes_min: 30_000,
        ..everything_is_cold()
    });
    let old = fixture.create(b"old", &[7; 60_000]);
    fixture.settle();
    assert_eq!(fixture.files("cold-"), 0);
    fixture.now += 1_000;
    fixture.settle();
    // There is space for it.
    assert_eq!(
        (fixture.files("cold-"), fixture.log.cold_stats().lag_bytes),
        (0, 0)
    );
    let young = fixture.create(b"young", &[8; 60_000]);
    fixture.settle();
    assert_eq!((fixture.files("seg-"), fixture.files("cold-")), (1, 1));
    assert!(fixture.log.read(young, 0, u64::MAX, 100).is_ok());
    assert!(matches!(
        fixture.log.read(old, 0, u64::MAX, 100),
        Err(ReadError::Cold(_))
    ));
    fixture.create(b"small", &[9; 50_000]);
    fixture.settle();
    assert_eq!(fixture.files("cold-"), 1, "nothing else is old");
    fixture.now += 1_000;
    fixture.settle();
    assert_eq!(fixture.files("cold-"), 2);
}

#[test]
fn a_store_that_is_down_stops_nothing_else() {
    let mut fixture = Fixture::new();
    let cold = fixture.create(b"cold", &[7; 60_000]);
    fixture.settle();
    fixture.store.set_down(true);
    let hot = fixture.create(b"hot", &[8; 60_000]);
    fixture.settle();
    assert_eq!((fixture.files("seg-"), fixture.files("cold-")), (1, 1));
    assert!(fixture.log.cold_stats().lag_bytes > 60_000);
    assert!(fixture.read(hot).unwrap() == [8; 60_000]);
    fixture.append(cold, b"more");
    assert!(fixture.log.read(cold, 60_000, u64::MAX, 100).is_ok());
    assert!(matches!(
        fixture.fetch(cold),
        Err(FetchError::Unavailable(_))
    ));
    // For a moment nobody asks again.
    let asked = fixture.store.requests();
    assert!(matches!(
        fixture.fetch(cold),
        Err(FetchError::Unavailable(_))
    ));
    fixture.settle();
    assert_eq!(fixture.store.requests(), asked);

    fixture.store.set_down(false);
    fixture.now += 60_000;
    fixture.settle();
    assert_eq!(fixture.files("seg-"), 0);
    assert!(fixture.read(cold).unwrap() == [&[7; 60_000][..], b"more"].concat());
}

#[test]
fn what_is_deleted_leaves_the_store() {
    let mut fixture = Fixture::new();
    let rooms = [b"a", b"b", b"c"].map(|name| fixture.create(name, &[name[0]; 60_000]));
    fixture.settle();
    let before = fixture.store.bytes();
    for (room, name) in [(rooms[0], b"a"), (rooms[2], b"c")] {
        let hash = fixture.log.hash("tenant", name);
        fixture.log.delete(room, hash, Millis(2)).unwrap();
    }
    fixture.settle();
    fixture.settle();
    assert!(fixture.store.bytes() < before / 2);
    assert!(fixture.read(rooms[1]).unwrap() == [b'b'; 60_000]);
    let hash = fixture.log.hash("tenant", b"b");
    fixture.log.delete(rooms[1], hash, Millis(2)).unwrap();
    fixture.settle();
    fixture.settle();
    assert_eq!(fixture.store.bytes(), 0);
    assert_eq!(fixture.log.segments(), []);
}

#[test]
fn what_a_crash_left_in_the_store_is_removed() {
    let mut fixture = Fixture::new();
    let room = fixture.create(b"room", &[7; 60_000]);
    fixture.log.request_flush();
    // The upload is done, and power fails before the manifest says so.
    let work = loop {
        if let Some(job) = fixture.log.take_commit() {
            fixture.log.finish_commit(job.run()).unwrap();
        }
        if let Some(work) = fixture.log.take_work() {
            let done = work.run();
            let _ = fixture.log.finish_work(done).unwrap();
            continue;
        }
        let work = fixture.log.take_cold_work(Millis(fixture.now)).unwrap();
        if work.name() == "cool" {
            break work;
        }
        let done = work.run();
        let _ = fixture.log.finish_work(done).unwrap();
    };
    // The file that stays is made and synced, and its folder; then comes the manifest.
    fixture.disk.die_after(6);
    let done = work.run();
    assert!(fixture.log.finish_work(done).is_err());
    let left = fixture.store.keys();
    assert!(!left.is_empty());
    fixture.disk.revive();
    fixture.now += 1;
    fixture.restart();
    fixture.settle();
    let keys = fixture.store.keys();
    assert!(!keys.is_empty() && left.iter().all(|key| !keys.contains(key)));
    assert!(fixture.read(room).unwrap() == [7; 60_000]);
}

#[test]
fn a_damaged_or_lost_object_is_found_and_not_served() {
    let mut fixture = Fixture::new();
    let room = fixture.create(b"room", &[7; 60_000]);
    fixture.settle();
    let store = || -> Option<Arc<dyn crate::ObjectStore>> { None };
    let unchecked = verify(&fixture.disk, store(), &mut |_, _| {}).unwrap();
    assert_eq!(
        (unchecked.objects_unchecked, unchecked.damage.len()),
        (1, 0)
    );
    let checked = |fixture: &Fixture| {
        let store = Arc::new(fixture.store.clone());
        verify(&fixture.disk, Some(store), &mut |_, _| {}).unwrap()
    };
    let whole = checked(&fixture);
    assert_eq!((whole.objects_checked, whole.damage.len()), (1, 0));

    let key = fixture.store.keys().remove(0);
    fixture.store.flip(&key, 30_000, 1);
    assert!(matches!(fixture.fetch(room), Err(FetchError::Corrupt(_))));
    assert_eq!(checked(&fixture).damage.len(), 1);
    fixture.store.lose(&key);
    assert!(matches!(fixture.fetch(room), Err(FetchError::Missing)));
    assert_eq!(checked(&fixture).damage.len(), 1);
}

#[test]
fn an_object_that_is_not_what_was_sent_is_no_object() {
    #[derive(Debug)]
    struct Garbling(SimStore);
    impl crate::ObjectStore for Garbling {
        fn put(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
            let mut bytes = bytes.to_vec();
            bytes[9] ^= 1;
            self.0.put(key, &bytes)
        }
        fn read(&self, key: &str, at: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
            self.0.read(key, at, buffer)
        }
        fn remove(&self, key: &str) -> Result<(), StoreError> {
            self.0.remove(key)
        }
        fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
            self.0.list(prefix)
        }
    }
    let mut fixture = Fixture::new();
    let store = Arc::new(Garbling(fixture.store.clone()));
    fixture.log.use_store(store, everything_is_cold());
    let room = fixture.create(b"room", &[7; 60_000]);
    fixture.settle();
    assert_eq!((fixture.files("seg-"), fixture.files("cold-")), (1, 0));
    assert_eq!(fixture.log.cold_stats().failures, 1);
    assert!(fixture.read(room).unwrap() == [7; 60_000]);
    // What was stored in vain is removed.
    fixture.now += 60_000;
    let sweep = fixture.log.take_cold_work(Millis(fixture.now)).unwrap();
    assert_eq!(sweep.name(), "sweep");
    let done = sweep.run();
    let _ = fixture.log.finish_work(done).unwrap();
    assert_eq!(fixture.store.bytes(), 0);
}

#[test]
fn without_a_store_cold_data_is_there_and_not_readable() {
    let mut fixture = Fixture::new();
    let room = fixture.create(b"room", &[7; 60_000]);
    fixture.settle();
    let blank = SimDisk::new();
    fixture.log = open(&blank, &fixture.store, &fixture.cold);
    let (mut log, _) = Log::open(fixture.disk.clone(), options(), Arc::new(Concat)).unwrap();
    let Err(ReadError::Cold(want)) = log.read(room, 0, u64::MAX, 100) else {
        panic!("it is not cold");
    };
    assert!(matches!(
        log.want_cold(want),
        Err(FetchError::Unavailable(_))
    ));
    assert_eq!(log.end(room), Some(60_000));
}
