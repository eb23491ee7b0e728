//! Questions about many rooms with tables, which the replica answers, and how the replica is.

use floe_log::Disk;
use floe_proto::table::TableError;
use floe_surfaces::access::{Deed, Grant, Session};
use floe_surfaces::tables::{self, GlobalQuery, Label};
use floe_views::replica::GlobalRows;
use serde_json::json;

use super::TableExpect;
use crate::reactor::Reactor;
use crate::reactor::conn::{Context, Expect};
use crate::replica::GlobalAsk;
use crate::shard::Failure;

impl<D: Disk> Reactor<D> {
    /// Asks the replica about those of the rooms that the caller may read. Whoever may survey the
    /// namespace may read all of them, and whoever names some is told of each that is refused.
    pub(super) fn ask_global(
        &mut self,
        at: usize,
        context: Context,
        session: &Session,
        grant: &Grant,
        query: GlobalQuery,
    ) -> Result<(), Failure> {
        let mut refused = Vec::new();
        let rooms = query.rooms.map(|named| {
            let mut rooms = Vec::with_capacity(named.len());
            for room in named {
                match self.admit_stream(session, room.path(), Deed::Read) {
                    Ok(_) => rooms.push(room.as_str().into()),
                    Err(failure) => refused.push((room.as_str().into(), failure)),
                }
            }
            rooms
        });
        let ask = GlobalAsk {
            namespace: grant.namespace.as_str().into(),
            rooms,
            sql: query.sql,
            params: query.params,
        };
        let expect = Expect::Tables(TableExpect::Global(refused));
        let ticket = self.wait(at, context, Some(Box::new(expect)));
        let uptime_ms = self.clock.uptime_ms;
        let asked = self
            .replicas
            .ask(&mut self.shard, ticket, ask, &self.limits, uptime_ms);
        if let Err(failure) = asked {
            self.take_expected(at);
            return Err(failure);
        }
        Ok(())
    }

    /// Answers a question about many rooms.
    pub(in crate::reactor) fn answer_global(
        &mut self,
        at: usize,
        outcome: Result<GlobalRows, TableError>,
    ) {
        let Some((context, Some(expect))) = self.take_expected(at) else {
            return;
        };
        let Expect::Tables(TableExpect::Global(refused)) = *expect else {
            unreachable!("only who asked about many rooms waits for the replica");
        };
        let found = match outcome {
            Ok(found) => found,
            Err(error) => {
                let failure = Failure::new(error.code, error.message);
                return self.answer_failure(at, context, &failure);
            }
        };
        let missing = Failure::new(floe_proto::Code::NotFound, "there is no such room");
        let missing = found.missing.iter().map(|room| (&**room, &missing));
        let refused = refused.iter().map(|(room, failure)| (&**room, failure));
        let errors = refused.chain(missing);
        let errors = errors.map(|(room, failure)| (room, failure.code, &*failure.message));
        let columns = found.rows.columns.iter();
        let columns =
            columns.map(|column| (&*column.name, column.kind.as_deref().unwrap_or("ANY")));
        let rows = tables::GlobalRows {
            total: found.rows.count as u64,
            rooms: found.asked,
            data: &found.rows.data,
            truncated: found.rows.truncated,
        };
        let mut json = Vec::new();
        tables::write_global(&mut json, &rows, columns, errors);
        self.show(at, context, |out, envelope| {
            tables::write_json(out, envelope, &json);
        });
    }

    /// Answers with how the replica is, and how far a whole sync has come that somebody asked for.
    pub(super) fn show_sync(&mut self, at: usize, context: Context, label: &Label) {
        let mut json = Vec::new();
        tables::write_data(&mut json, label, &self.sync_json());
        self.show(at, context, |out, envelope| {
            tables::write_json(out, envelope, &json);
        });
    }

    /// Returns how the replica is, as JSON.
    pub(in crate::reactor) fn sync_json(&self) -> Vec<u8> {
        let (now, uptime_ms) = (self.clock.wall, self.clock.uptime_ms);
        let mut status = self.replicas.status(now, uptime_ms).to_json();
        if let Some(progress) = self.replicas.progress() {
            status["progress"] = json!({
                "done": progress.done,
                "rooms": progress.rooms,
                "complete": progress.complete,
            });
        }
        status.to_string().into_bytes()
    }
}
