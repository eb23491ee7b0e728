//! How things end: time-outs of connections, and the stop of the whole loop.

use std::io;

use floe_log::Disk;
use floe_proto::Code;

use super::Reactor;
use super::conn::{Context, State};
use crate::media::MediaHost;
use crate::workers::Finished;

impl<D: Disk> Reactor<D> {
    /// Ends what has waited too long.
    pub(super) fn time_out(&mut self) {
        let now_ms = self.clock.uptime_ms;
        if now_ms < self.deadline_ms {
            return;
        }
        let mut next_ms = u64::MAX;
        let due: Vec<usize> = self
            .conns
            .iter()
            .filter(|(_, conn)| {
                let due = conn.deadline_ms <= now_ms;
                if !due {
                    next_ms = next_ms.min(conn.deadline_ms);
                }
                due
            })
            .map(|(at, _)| at)
            .collect();
        self.deadline_ms = next_ms;
        for at in due {
            self.time_out_one(at);
            self.resume(at);
        }
    }

    fn time_out_one(&mut self, at: usize) {
        let Some(conn) = self.conns.get(at) else {
            return;
        };
        let stalled = !conn.output.is_empty();
        if stalled && conn.live().is_some() {
            self.metrics.error(Code::SlowConsumer);
            self.ending = Some(Code::SlowConsumer.as_str());
        }
        match conn.state {
            _ if stalled => self.close(at),
            State::LongPoll(_) => self.end_long_poll(at),
            State::Sse(sse) => self.time_out_sse(at, sse.ends_ms),
            State::Live(_) => self.time_out_live(at),
            State::Receiving if !conn.input.is_empty() => {
                self.refuse(
                    at,
                    Context::default(),
                    Code::RequestTimeout,
                    "the request took longer than http.request_timeout_ms",
                );
            }
            // A reply always comes; the disk decides when.
            State::Waiting(..) => self.set_deadline(at, u64::MAX),
            State::Parked(_) => self.end_parked(at),
            State::Receiving | State::Closing | State::Draining => self.close(at),
        }
    }

    /// One turn of stopping; returns whether everything is done.
    pub(super) fn stop_turn(&mut self) -> bool {
        if self.stop_ms.is_none() {
            self.stop_ms = Some(self.clock.uptime_ms + self.limits.stop_timeout_ms);
            if let Some(mut listener) = self.listener.take() {
                let _ = self.poll.registry().deregister(&mut listener);
            }
            self.gateway.stop();
            self.end_voices();
            let all: Vec<usize> = self.conns.iter().map(|(at, _)| at).collect();
            for at in all {
                let Some(conn) = self.conns.get(at) else {
                    continue;
                };
                match conn.state {
                    State::LongPoll(_) => self.end_long_poll(at),
                    State::Sse(_) => self.end_sse(at),
                    State::Live(_) => {
                        self.dismiss(at, Code::Stopping, "the server is stopping");
                    }
                    State::Receiving if conn.input.is_empty() && conn.output.is_empty() => {
                        self.close(at)
                    }
                    State::Parked(_) => self.end_parked(at),
                    State::Receiving | State::Waiting(..) | State::Closing | State::Draining => {}
                }
            }
        }
        let idle = self.conns.iter().all(|(_, conn)| {
            conn.output.is_empty() && matches!(conn.state, State::Receiving | State::Draining)
        });
        let late = self
            .stop_ms
            .is_some_and(|stop_ms| self.clock.uptime_ms >= stop_ms);
        let unwritten = self.flush_all();
        let idle = idle && !unwritten && !self.tables.is_busy() && !self.recordings.are_under_way();
        if late && unwritten {
            let keys = self.buffers.usage().keys;
            tracing::error!(keys, "buffered values were not written before the stop");
        }
        (idle || late) && !self.shard.is_busy() && self.commits == 0
    }

    /// Closes everything, the log last.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.conns.clear();
        self.gateway.finish();
        self.media = MediaHost::default();
        self.recordings.stop();
        self.views.stop(&mut self.shard);
        let now = self.table_time();
        self.tables.stop(&mut self.shard, now);
        self.replicas.stop(&mut self.shard);
        self.workers.stop();
        for finished in self.workers.take_finished() {
            if let Finished::Work(done) | Finished::Cold { done, .. } = finished {
                let _ = self.shard.finish_work(done)?;
            }
        }
        self.shard.close()
    }
}
