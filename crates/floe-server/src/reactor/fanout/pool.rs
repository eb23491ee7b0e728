//! Threads that send the same bytes to many sockets, together with the event loop.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;

use crate::reactor::socket::Socket;

/// Helpers of the event loop in sending, which sleep between two of its slices.
///
/// Sockets are lent for one call of [`send`](Self::send), which ends once all of them are back. The
/// caller sends, too, so helpers that are late cost nothing: what they have not begun, it does.
#[derive(Debug)]
pub struct Pool {
    desk: Arc<Desk>,
    threads: Vec<JoinHandle<()>>,
}

/// One write to one socket.
#[derive(Debug)]
pub struct Sending {
    /// Place of the connection.
    pub at: usize,
    /// Its socket, lent by it.
    pub socket: Socket,
    /// What is sent.
    pub bytes: Bytes,
    /// How many of the bytes the socket took.
    pub sent: io::Result<usize>,
}

/// Where work lies.
#[derive(Debug, Default)]
struct Desk {
    work: Mutex<Work>,
    /// There is something to begin, or it is time to stop.
    begun: Condvar,
    /// Nothing is under way any more.
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Work {
    waiting: VecDeque<Vec<Sending>>,
    done: Vec<Vec<Sending>>,
    /// Chunks that a helper has and has not put back.
    under_way: usize,
    stopped: bool,
}

/// Sockets that one thread takes at once.
const CHUNK: usize = 16;

impl Pool {
    /// Starts so many helpers. Fewer run where the system grants no more, with a line in the log.
    pub fn start(helpers: usize) -> Self {
        let desk = Arc::<Desk>::default();
        let mut threads = Vec::with_capacity(helpers);
        for _ in 0..helpers {
            let desk = Arc::clone(&desk);
            let thread = std::thread::Builder::new()
                .name("floe-fanout".to_owned())
                .spawn(move || desk.help());
            match thread {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    tracing::warn!(%error, "a thread for sending was not started");
                    break;
                }
            }
        }
        Self { desk, threads }
    }

    /// Writes to every socket once; returns all of them, with what became of it, in any order.
    pub fn send(&self, sendings: Vec<Sending>) -> Vec<Sending> {
        let total = sendings.len();
        let mut chunks = VecDeque::with_capacity(total.div_ceil(CHUNK));
        let mut sendings = sendings.into_iter();
        loop {
            let chunk: Vec<_> = sendings.by_ref().take(CHUNK).collect();
            if chunk.is_empty() {
                break;
            }
            chunks.push_back(chunk);
        }
        let mut back = Vec::with_capacity(total);
        self.desk.lock().waiting = chunks;
        self.desk.begun.notify_all();
        while let Some(mut chunk) = self.desk.next_waiting() {
            send_all(&mut chunk);
            back.append(&mut chunk);
        }
        for mut chunk in self.desk.wait_for_rest() {
            back.append(&mut chunk);
        }
        back
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.desk.lock().stopped = true;
        self.desk.begun.notify_all();
        for thread in self.threads.drain(..) {
            // One that panicked has said so already.
            let _ = thread.join();
        }
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends for others until it is time to stop.
    fn help(&self) {
        while let Some(mut taken) = self.take() {
            send_all(&mut taken.chunk);
        }
    }

    /// Takes a chunk, and waits for one; returns none when it is time to stop.
    fn take(&self) -> Option<Taken<'_>> {
        let mut work = self.lock();
        loop {
            if work.stopped {
                return None;
            }
            if let Some(chunk) = work.waiting.pop_front() {
                work.under_way += 1;
                return Some(Taken { desk: self, chunk });
            }
            work = self
                .begun
                .wait(work)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes a chunk for the caller itself, without waiting.
    fn next_waiting(&self) -> Option<Vec<Sending>> {
        self.lock().waiting.pop_front()
    }

    /// Waits until no helper has a chunk; returns what they have sent.
    fn wait_for_rest(&self) -> Vec<Vec<Sending>> {
        let mut work = self.lock();
        while work.under_way > 0 {
            work = self
                .ended
                .wait(work)
                .unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::take(&mut work.done)
    }
}

/// A chunk that a helper has; it is put back whatever becomes of the helper.
struct Taken<'a> {
    desk: &'a Desk,
    chunk: Vec<Sending>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut work = self.desk.lock();
        work.done.push(std::mem::take(&mut self.chunk));
        work.under_way -= 1;
        if work.under_way == 0 {
            self.desk.ended.notify_one();
        }
    }
}

fn send_all(chunk: &mut [Sending]) {
    for sending in chunk {
        sending.sent = sending.socket.write(&sending.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::net::UnixStream;
    use std::io::Read;

    const MESSAGE: &[u8] = b"to everybody";

    fn sendings(count: usize) -> (Vec<Sending>, Vec<UnixStream>) {
        let pairs = (0..count).map(|at| {
            let (near, far) = UnixStream::pair().unwrap();
            let sending = Sending {
                at,
                socket: Socket::Local(near),
                bytes: Bytes::from_static(MESSAGE),
                sent: Ok(0),
            };
            (sending, far)
        });
        pairs.unzip()
    }

    #[test]
    fn everybody_gets_the_bytes_once_and_every_socket_comes_back() {
        for helpers in [0, 1, 3] {
            let pool = Pool::start(helpers);
            for count in [0, 1, CHUNK, 5 * CHUNK + 3] {
                let (sendings, ends) = sendings(count);
                let mut back = pool.send(sendings);
                back.sort_by_key(|sending| sending.at);
                let places: Vec<_> = back.iter().map(|sending| sending.at).collect();
                assert_eq!(places, (0..count).collect::<Vec<_>>());
                for (sending, mut end) in back.iter().zip(ends) {
                    assert_eq!(sending.sent.as_ref().unwrap(), &MESSAGE.len());
                    let mut got = [0; 64];
                    assert_eq!(end.read(&mut got).unwrap(), MESSAGE.len());
                    assert_eq!(&got[..MESSAGE.len()], MESSAGE);
                    let nothing = end.read(&mut got).unwrap_err();
                    assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
                }
            }
        }
    }

    #[test]
    fn a_full_socket_and_a_closed_one_are_told_from_the_others() {
        let pool = Pool::start(2);
        let (mut sendings, mut ends) = sendings(3);
        while sendings[0].socket.write(&[0; 4096]).is_ok() {}
        drop(ends.remove(1));
        let mut back = pool.send(sendings);
        back.sort_by_key(|sending| sending.at);
        let found: Vec<_> = back
            .iter()
            .map(|sending| sending.sent.as_ref().map_err(|error| error.kind()).copied())
            .collect();
        let expected = [
            Err(io::ErrorKind::WouldBlock),
            Err(io::ErrorKind::BrokenPipe),
            Ok(MESSAGE.len()),
        ];
        assert_eq!(found, expected);
    }
}
