//! Bytes copied both ways between a client and the event loop.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::Held;

/// Copies both ways until both have ended. While nothing is under way it owns no buffer.
///
/// A client that says it has nothing more to send still gets its answer. The event loop's end is
/// the end of all: what a client sends after it is of no matter.
pub(super) struct Pipe<C, L> {
    client: C,
    local: L,
    up: Flow,
    down: Flow,
    stall_timeout: Duration,
    /// The connection's place, if it is one of its own.
    held: Option<Held>,
    timer: Option<(Wait, Pin<Box<Sleep>>)>,
}

/// One direction.
#[derive(Debug, Default)]
struct Flow {
    /// What was read and not taken yet.
    left: Bytes,
    stage: Stage,
    /// Whether the receiver does not take what it is sent.
    blocked: bool,
    /// Whether it took something since the last look.
    moved: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    Copying,
    /// The sender has ended, and the receiver is to know.
    Ending,
    Done,
}

/// What the pipe does not wait for any longer than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// The client does not take what it is sent.
    Stall,
    /// The client is to read the last answer, and to go.
    Linger,
}

/// Bytes that one direction moves at once.
const STEP_BYTES: usize = 32 << 10;
/// How long a client may stay once the event loop has ended the connection.
const LINGER: Duration = Duration::from_secs(2);

thread_local! {
    static STEP: RefCell<Vec<u8>> = RefCell::new(vec![0; STEP_BYTES]);
}

impl<C, L> Pipe<C, L> {
    /// Joins a client and its connection to the event loop. A client that takes nothing for
    /// `stall_timeout` is given up.
    pub(super) fn new(client: C, local: L, stall_timeout: Duration, held: Option<Held>) -> Self {
        Self {
            client,
            local,
            up: Flow::default(),
            down: Flow::default(),
            stall_timeout,
            held,
            timer: None,
        }
    }

    /// Waits for what must happen soon, if anything must; ready when it is too late.
    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let wait = if self.down.stage == Stage::Done {
            Some((Wait::Linger, LINGER))
        } else {
            let stalls = self.down.blocked;
            stalls.then_some((Wait::Stall, self.stall_timeout))
        };
        let moved = std::mem::take(&mut self.down.moved);
        let Some((wait, time)) = wait else {
            self.timer = None;
            return Poll::Pending;
        };
        let is_set = |timer: &(Wait, _)| timer.0 == wait && !(moved && wait == Wait::Stall);
        if !self.timer.as_ref().is_some_and(is_set) {
            self.timer = Some((wait, Box::pin(sleep(time))));
        }
        match &mut self.timer {
            Some((_, timer)) => timer.as_mut().poll(context),
            None => Poll::Pending,
        }
    }
}

impl<C, L> Future for Pipe<C, L>
where
    C: AsyncRead + AsyncWrite + Unpin,
    L: AsyncRead + AsyncWrite + Unpin,
{
    type Output = io::Result<()>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let up = this.up.poll(context, &mut this.client, &mut this.local);
        if let Poll::Ready(Err(error)) = up {
            if !matches!(error.kind(), io::ErrorKind::BrokenPipe) {
                return Poll::Ready(Err(error));
            }
            // The event loop has heard enough; what it said is still to be sent.
            this.up = Flow {
                stage: Stage::Done,
                ..Flow::default()
            };
        }
        if let Poll::Ready(Err(error)) = this.down.poll(context, &mut this.local, &mut this.client)
        {
            return Poll::Ready(Err(error));
        }
        if this.down.stage == Stage::Done
            && let Some(held) = &mut this.held
        {
            held.finish();
        }
        if this.up.stage == Stage::Done && this.down.stage == Stage::Done {
            return Poll::Ready(Ok(()));
        }
        ready!(this.poll_late(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Flow {
    /// Moves what can be moved; ready once the sender has ended and the receiver knows.
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        loop {
            self.blocked = true;
            while !self.left.is_empty() {
                let len = ready!(Pin::new(&mut *to).poll_write(context, &self.left))?;
                if len == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.left.advance(len);
                self.moved = true;
            }
            self.left = Bytes::new();
            match self.stage {
                Stage::Copying => match self.poll_step(context, from, to)? {
                    Poll::Ready(()) => {}
                    Poll::Pending => {
                        ready!(Pin::new(&mut *to).poll_flush(context))?;
                        self.blocked = false;
                        return Poll::Pending;
                    }
                },
                Stage::Ending => {
                    ready!(Pin::new(&mut *to).poll_shutdown(context))?;
                    self.stage = Stage::Done;
                }
                Stage::Done => {
                    self.blocked = false;
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }

    /// Reads once and writes what the receiver takes at once.
    fn poll_step(
        &mut self,
        context: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        STEP.with_borrow_mut(|step| {
            let mut buffer = ReadBuf::new(step);
            match ready!(Pin::new(from).poll_read(context, &mut buffer)) {
                Ok(()) => {}
                Err(error) if is_end(&error) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            let read = buffer.filled();
            if read.is_empty() {
                self.stage = Stage::Ending;
                return Poll::Ready(Ok(()));
            }
            let taken = match Pin::new(to).poll_write(context, read) {
                Poll::Ready(taken) => taken?,
                Poll::Pending => 0,
            };
            self.moved |= taken > 0;
            self.left = Bytes::copy_from_slice(&read[taken..]);
            Poll::Ready(Ok(()))
        })
    }
}

/// Returns whether the failure of a read is but the end: of TLS without a farewell, which HTTP does
/// not need; of a local socket whose owner closed it with something unread.
fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
    )
}
