//! How long an HTTP/2 connection has had no request under way.
//!
//! Its answers to pings say that somebody is there, not that anybody wants anything.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::lock;

/// What a connection is doing.
#[derive(Debug)]
pub(super) struct Activity {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    /// Requests under way, up to the ends of their answers.
    requests: usize,
    /// When the last of them ended.
    since: Instant,
}

/// One request under way, until it is dropped.
#[derive(Debug)]
pub(super) struct Busy(Arc<Activity>);

impl Activity {
    /// Begins without any request.
    pub(super) fn new() -> Arc<Self> {
        let state = State {
            requests: 0,
            since: Instant::now(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            changed: Notify::new(),
        })
    }

    /// Begins a request.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        lock(&self.state).requests += 1;
        self.changed.notify_one();
        Busy(Arc::clone(self))
    }

    /// Waits until there has been no request for as long as `timeout` says.
    ///
    /// Nothing is lost by dropping it and calling it again.
    pub(super) async fn idle(&self, timeout: impl Fn() -> Duration) {
        loop {
            let Some(since) = self.idle_since() else {
                self.changed.notified().await;
                continue;
            };
            tokio::select! {
                () = tokio::time::sleep_until(since + timeout()) => {
                    if self.idle_since() == Some(since) {
                        return;
                    }
                }
                () = self.changed.notified() => {}
            }
        }
    }

    fn idle_since(&self) -> Option<Instant> {
        let state = lock(&self.state);
        (state.requests == 0).then_some(state.since)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.requests -= 1;
        state.since = Instant::now();
        drop(state);
        self.0.changed.notify_one();
    }
}

/// The body of an answer, with which its request ends.
#[derive(Debug)]
pub(super) struct Counted<B> {
    body: B,
    _busy: Busy,
}

impl<B> Counted<B> {
    pub(super) const fn new(body: B, busy: Busy) -> Self {
        Self { body, _busy: busy }
    }
}

impl<B: Body + Unpin> Body for Counted<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(200);

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            let ended = tokio::time::timeout(Duration::from_secs(20), test).await;
            ended.expect("it waited too long");
        });
    }

    #[test]
    fn a_connection_is_idle_a_time_after_its_last_request_and_not_while_one_is_under_way() {
        run(async {
            let activity = Activity::new();
            let (first, second) = (activity.begin(), activity.begin());
            let idle = activity.idle(|| LIMIT);
            let mut idle = std::pin::pin!(idle);
            drop(first);
            let waited = tokio::time::timeout(3 * LIMIT, idle.as_mut()).await;
            assert!(waited.is_err(), "a request is under way");
            let ended = Instant::now();
            drop(second);
            idle.await;
            assert!(ended.elapsed() >= LIMIT);
        });
    }

    #[test]
    fn a_connection_that_asks_nothing_is_idle_from_its_start() {
        run(async {
            let began = Instant::now();
            Activity::new().idle(|| LIMIT).await;
            assert!(began.elapsed() >= LIMIT);
        });
    }
}
