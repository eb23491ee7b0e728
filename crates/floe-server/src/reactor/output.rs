//! What a connection still has to send.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice, Write as _};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use floe_log::{DiskFile, Part};

use super::socket::Socket;
use crate::recordings::Lent;

/// Bytes waiting for a socket to take them; nothing is allocated while there are none.
#[derive(Debug)]
#[expect(
    clippy::box_collection,
    reason = "idle connections are many, and this is one word of each"
)]
pub struct Output<F>(Option<Box<VecDeque<Piece<F>>>>);

#[derive(Debug)]
enum Piece<F> {
    Memory(Bytes),
    File {
        file: Arc<F>,
        at: u64,
        len: u64,
    },
    Copy {
        file: std::fs::File,
        at: u64,
        len: u64,
        #[expect(dead_code, reason = "it is let go of once all is sent")]
        held: Option<Arc<()>>,
    },
}

/// Slices given to one system call.
const SLICES_MAX: usize = 32;

impl<F: DiskFile> Output<F> {
    /// Nothing to send.
    pub const fn new() -> Self {
        Self(None)
    }

    /// Returns whether everything has been taken.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Adds bytes.
    pub fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.0
                .get_or_insert_default()
                .push_back(Piece::Memory(bytes));
        }
    }

    /// Adds what a read found.
    pub fn push_part(&mut self, part: Part<F>) {
        match part {
            Part::Memory(bytes) => self.push(bytes),
            Part::File { file, at, len } => {
                if len > 0 {
                    self.0
                        .get_or_insert_default()
                        .push_back(Piece::File { file, at, len });
                }
            }
        }
    }

    /// Adds a file that is none of the log's.
    pub fn push_file(&mut self, file: std::fs::File, len: u64) {
        if len > 0 {
            let queue = self.0.get_or_insert_default();
            queue.push_back(Piece::Copy {
                file,
                at: 0,
                len,
                held: None,
            });
        }
    }

    /// Adds a part of a recording.
    pub fn push_lent(&mut self, lent: Lent) {
        let Lent {
            file,
            at,
            len,
            held,
            ..
        } = lent;
        if len > 0 {
            let queue = self.0.get_or_insert_default();
            queue.push_back(Piece::Copy {
                file,
                at,
                len,
                held,
            });
        }
    }

    /// Sends as much as the socket takes; returns the bytes sent.
    pub fn flush(&mut self, socket: &mut Socket) -> io::Result<u64> {
        let mut sent = 0;
        while let Some(queue) = &mut self.0 {
            let taken = match queue.front() {
                None => {
                    self.0 = None;
                    break;
                }
                Some(Piece::Memory(_)) => write_memory(queue, socket),
                Some(Piece::File { file, at, len }) => {
                    let read = |buffer: &mut [u8]| file.read_exact_at(buffer, *at);
                    send_file(socket, read, *len)
                }
                Some(Piece::Copy { file, at, len, .. }) => {
                    let read = |buffer: &mut [u8]| FileExt::read_exact_at(file, buffer, *at);
                    send_file(socket, read, *len)
                }
            };
            match taken {
                Ok(bytes) => {
                    advance(queue, bytes);
                    sent += bytes;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }
}

fn write_memory<F>(queue: &VecDeque<Piece<F>>, socket: &mut Socket) -> io::Result<u64> {
    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
    let mut count = 0;
    for (slice, piece) in slices.iter_mut().zip(queue) {
        let Piece::Memory(bytes) = piece else { break };
        *slice = IoSlice::new(bytes);
        count += 1;
    }
    match socket.write_vectored(&slices[..count])? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        bytes => Ok(bytes as u64),
    }
}

/// Sends from a file, by way of a buffer.
///
/// `sendfile` would save the copy, and cost more all the same: the kernel hands a file over page
/// by page.
fn send_file(
    socket: &mut Socket,
    read: impl FnOnce(&mut [u8]) -> io::Result<()>,
    len: u64,
) -> io::Result<u64> {
    thread_local! {
        static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    BUFFER.with_borrow_mut(|buffer| {
        buffer.resize(COPY_BYTES, 0);
        let copied = &mut buffer[..COPY_BYTES.min(len as usize)];
        read(copied)?;
        Ok(socket.write(copied)? as u64)
    })
}

/// Bytes of a file that are copied and sent at once.
const COPY_BYTES: usize = 256 << 10;

/// Drops the first `bytes` bytes of the queue.
fn advance<F>(queue: &mut VecDeque<Piece<F>>, mut bytes: u64) {
    while bytes > 0 {
        let Some(piece) = queue.front_mut() else {
            return;
        };
        let len = match piece {
            Piece::Memory(memory) => memory.len() as u64,
            Piece::File { len, .. } | Piece::Copy { len, .. } => *len,
        };
        if bytes >= len {
            queue.pop_front();
            bytes -= len;
            continue;
        }
        match piece {
            Piece::Memory(memory) => {
                let _ = memory.split_to(bytes as usize);
            }
            Piece::File { at, len, .. } | Piece::Copy { at, len, .. } => {
                *at += bytes;
                *len -= bytes;
            }
        }
        return;
    }
}
