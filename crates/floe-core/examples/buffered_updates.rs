//! How many updates the write buffer takes, and what it writes of them.
//!
//! `cargo run --release -p floe-core --example buffered_updates`
//!
//! The clock is a number: updates come 100 000 a second for ten seconds, so what is measured is the
//! time that they take, not the time that they are given.
#![expect(
    clippy::disallowed_types,
    reason = "a measurement reads the clock; the core does not"
)]

use std::time::Instant;

use floe_core::buffer::{BufferError, BufferLimits, Buffers, Durable, Increment, Number, Update};
use floe_proto::{Millis, RoomId};

/// Updates of a second.
const PER_SECOND: u64 = 100_000;
const SECONDS: u64 = 10;

fn main() -> Result<(), BufferError> {
    for keys in [1, 100, 1_000] {
        measure("updates", keys, |buffers, key, number, now| {
            let value = number.to_string();
            let update = Update {
                key,
                value: &value,
                interval_ms: None,
            };
            buffers.update(RoomId(1), &update, now)
        })?;
        measure("increments", keys, |buffers, key, _, now| {
            let increment = Increment {
                key,
                by: Number::Whole(1),
                interval_ms: None,
                durable: Durable::Absent,
            };
            buffers.increment(RoomId(1), &increment, now).map(drop)
        })?;
    }
    Ok(())
}

fn measure(
    what: &str,
    keys: u64,
    change: impl Fn(&mut Buffers, &str, u64, Millis) -> Result<(), BufferError>,
) -> Result<(), BufferError> {
    let start = Millis(1_000_000);
    let mut buffers = Buffers::new(BufferLimits::default(), start);
    let names: Vec<String> = (0..keys).map(|key| format!("slider/{key}")).collect();
    let began = Instant::now();
    for (number, key) in (0..PER_SECOND * SECONDS).zip(names.iter().cycle()) {
        let now = start.plus(number * 1_000 / PER_SECOND);
        change(&mut buffers, key, number, now)?;
        if buffers.next_due().is_some_and(|due| due <= now) {
            for flush in buffers.take_due(now) {
                buffers.finish(flush.id, true, now);
            }
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let usage = buffers.usage();
    println!(
        "{keys:>5} keys: {:>9.0} {what}/s, {} writes of {} in {SECONDS} s of {PER_SECOND}/s",
        usage.updates as f64 / seconds,
        usage.writes,
        usage.updates,
    );
    Ok(())
}
