//! A large room's fan-out on every core.
//!
//! The loop encodes a frame once and says who gets it, as it does for few readers; what is shared
//! out is the writing alone, which is nearly all that a delivery costs. A slice of the readers is
//! sent one frame each, and the ordinary pass then goes over the same readers: it finds those at
//! the tail who have it all, and everybody else where any reader may stand.

mod pool;

use std::io;

use bytes::Bytes;
use floe_log::Disk;

use self::pool::{Pool, Sending};
use super::conn::{Place, Sse, State};
use super::readers::{Frame, Pass};
use super::socket::Socket;
use super::{Reactor, live::SharedFrames};
use crate::shard::{SlotId, Ticket};

/// How large rooms are sent to.
#[derive(Debug)]
pub struct FanOut {
    /// Threads that send, the loop's own included.
    threads: usize,
    /// Its helpers, once there was something for them.
    pool: Option<Pool>,
    /// What one slice sends, between two of them.
    sends: Vec<Send>,
}

/// Bytes for a connection.
#[derive(Debug)]
struct Send {
    at: usize,
    generation: u32,
    bytes: Bytes,
}

/// Readers that a pass must still have for threads to be worth waking.
const READERS_MIN: usize = 256;
/// Readers of one slice for each thread.
const SLICE_PER_THREAD: usize = 128;
/// Cores from which a room is sent to by all of them unasked. With fewer, whoever takes a core takes it
/// from the readers or the disk.
const CORES_MIN: usize = 4;
/// Threads at most.
const THREADS_MAX: usize = 64;

impl FanOut {
    /// Sends with so many threads. Where it is 0, with one for each core of a machine that has enough of
    /// them, and with the loop alone elsewhere.
    pub fn new(threads: usize) -> Self {
        Self {
            threads: threads_of(threads),
            pool: None,
            sends: Vec::new(),
        }
    }

    /// Sends with so many threads from now on.
    pub fn set_threads(&mut self, threads: usize) {
        let threads = threads_of(threads);
        if threads != self.threads {
            *self = Self {
                threads,
                ..Self::new(threads)
            };
        }
    }

    /// Returns how many of the readers left of a pass are sent to together, 0 if none are.
    pub fn slice(&self, left: usize) -> usize {
        if self.threads < 2 || left < READERS_MIN {
            return 0;
        }
        left.min(self.threads * SLICE_PER_THREAD)
    }

    fn pool(&mut self) -> &Pool {
        let helpers = self.threads - 1;
        self.pool.get_or_insert_with(|| Pool::start(helpers))
    }
}

fn threads_of(setting: usize) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    match setting {
        0 => Some(cores())
            .filter(|cores| *cores >= CORES_MIN)
            .unwrap_or(1),
        threads => threads,
    }
    .min(THREADS_MAX)
}

impl<D: Disk> Reactor<D> {
    /// Sends the next readers of a pass what all of them get.
    pub(super) fn send_ahead(&mut self, pass: &mut Pass, slice: usize) {
        if self.shard.is_gone(pass.slot) {
            return;
        }
        let mut sends = std::mem::take(&mut self.fan_out.sends);
        let (slot, shared) = (pass.slot, &mut pass.shared);
        for reader in &pass.readers[pass.at..pass.at + slice] {
            let Place { at, generation, .. } = Place::of(*reader);
            let bytes = self.next_shared(*reader, slot, &mut shared.frame, &mut shared.live);
            if let Some(bytes) = bytes {
                sends.push(Send {
                    at,
                    generation,
                    bytes,
                });
            }
        }
        self.send_together(&mut sends);
        self.fan_out.sends = sends;
    }

    /// Takes a reader to what it is sent next, and returns that.
    fn next_shared(
        &mut self,
        reader: Ticket,
        slot: SlotId,
        frame: &mut Option<Frame>,
        frames: &mut SharedFrames,
    ) -> Option<Bytes> {
        let Place { at, generation, .. } = Place::of(reader);
        let conn = self.conns.get(at);
        let conn = conn.filter(|conn| conn.generation == generation && conn.output.is_empty())?;
        match conn.state {
            State::Sse(sse) => self.next_of_sse(at, sse, frame),
            State::Live(_) => self.next_told(at, slot, frames),
            State::Receiving
            | State::Waiting(..)
            | State::Parked(_)
            | State::LongPoll(_)
            | State::Closing
            | State::Draining => None,
        }
    }

    /// Takes the reader of an event stream past the events that it is sent next. What ends it, or
    /// cannot be read, is left to the pass.
    fn next_of_sse(&mut self, at: usize, sse: Sse, shared: &mut Option<Frame>) -> Option<Bytes> {
        let edge = self.shard.room(sse.slot).visible();
        if sse.next == edge.tail {
            return None;
        }
        let frame = self.shared_frame(sse, shared).ok()?;
        if frame.ends || frame.bytes.is_empty() {
            return None;
        }
        let bytes = frame.bytes.clone();
        self.moved(at, &frame);
        Some(bytes)
    }

    /// Sends to all of them, on all threads, and takes note of what became of it.
    fn send_together(&mut self, sends: &mut Vec<Send>) {
        let mut sendings = Vec::with_capacity(sends.len());
        for send in sends.drain(..) {
            let Send {
                at,
                generation,
                bytes,
            } = send;
            let conn = self.conns.get_mut(at);
            if let Some(conn) = conn.filter(|conn| conn.generation == generation) {
                sendings.push(Sending {
                    at,
                    socket: std::mem::replace(&mut conn.socket, Socket::Lent),
                    bytes,
                    sent: Ok(0),
                });
            }
        }
        if sendings.is_empty() {
            return;
        }
        let back = self.fan_out.pool().send(sendings);
        self.metrics.fanned_out();
        // All come home before any is closed, which may look at others.
        let mut outcomes = Vec::with_capacity(back.len());
        for Sending {
            at,
            socket,
            bytes,
            sent,
        } in back
        {
            if let Some(conn) = self.conns.get_mut(at) {
                conn.socket = socket;
                outcomes.push((at, bytes, sent));
            }
        }
        for (at, bytes, sent) in outcomes {
            self.note_shared(at, bytes, sent);
        }
    }

    /// Takes note of what a socket took of bytes that others are sent too; what it did not is kept,
    /// and not copied.
    pub(super) fn note_shared(&mut self, at: usize, mut bytes: Bytes, sent: io::Result<usize>) {
        match sent {
            Ok(sent) => {
                self.metrics.delivered(sent as u64);
                if sent == bytes.len() {
                    return;
                }
                let _ = bytes.split_to(sent);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return self.close(at),
        }
        let Some(conn) = self.conns.get_mut(at) else {
            return;
        };
        conn.output.push(bytes);
        let deadline_ms = self.clock.uptime_ms + self.limits.reader_stall_timeout_ms;
        self.set_deadline(at, deadline_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_readers_are_sent_to_by_the_loop_alone_and_many_in_bounded_slices() {
        let alone = FanOut::new(1);
        assert_eq!(alone.slice(100_000), 0);
        let two = FanOut::new(2);
        assert_eq!(two.slice(READERS_MIN - 1), 0);
        assert_eq!(two.slice(READERS_MIN), 2 * SLICE_PER_THREAD);
        assert_eq!(
            FanOut::new(1_000).slice(100_000),
            THREADS_MAX * SLICE_PER_THREAD
        );
        assert_eq!(FanOut::new(8).slice(300), 300);
    }
}
