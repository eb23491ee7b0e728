//! Creating rooms and forks.

use floe_core::{ContentType, Create, Fork, Record, Room};
use floe_log::{Disk, Payload};
use floe_proto::{Code, Millis, Namespace};

use super::{
    Failure, NAMESPACE, Reply, Shard, SlotId, Ticket, data_size, is_internal, stage_failure,
};

/// A fork as a command names it.
#[derive(Debug, Clone, Copy)]
pub struct ForkOf<'a> {
    /// Name of the source.
    pub source: &'a [u8],
    /// Unit to fork at; `None` is the tail.
    pub at: Option<u64>,
    /// Units to inherit beyond it.
    pub beyond: u64,
}

/// What a command to create asks for.
#[derive(Debug)]
pub struct NewRoom<'a> {
    /// The configuration; its fork is resolved by the shard.
    pub create: Create,
    /// What it should be a fork of.
    pub fork: Option<ForkOf<'a>>,
    /// Whether the payload was read as JSON messages.
    pub json: bool,
    /// Its first data.
    pub payload: Payload<'a>,
}

impl<D: Disk> Shard<D> {
    /// Creates a room, or finds it as asked for; replies [`Reply::Created`].
    pub fn create(&mut self, now: Millis, ticket: Ticket, name: &[u8], new: NewRoom<'_>) {
        let outcome = match self.find(now, name) {
            Ok(Some(slot)) => self.create_again(now, ticket, slot, &new),
            Ok(None) => self.create_new(now, ticket, name, new),
            Err(failure) => Err(failure),
        };
        if let Err(failure) = outcome {
            self.refuse(ticket, failure);
        }
    }

    fn create_again(
        &mut self,
        now: Millis,
        ticket: Ticket,
        id: SlotId,
        new: &NewRoom<'_>,
    ) -> Result<(), Failure> {
        let source = match new.fork {
            None => None,
            Some(fork) => {
                let source = self.find_source(now, fork.source)?;
                let at = fork.at.map(|at| at.saturating_add(fork.beyond));
                Some((self.slots[source.0 as usize].room.id(), at))
            }
        };
        let room = &self.slots[id.0 as usize].room;
        let reply = match room.decide_create(&new.create, source) {
            Ok(()) => Reply::Created {
                new: false,
                edge: room.staged(),
                content_type: room.content_type().clone(),
            },
            Err(error) => Reply::Failed(Failure::new(Code::Exists, error.to_string())),
        };
        self.answer(Some(id), ticket, reply);
        Ok(())
    }

    fn create_new(
        &mut self,
        now: Millis,
        ticket: Ticket,
        name: &[u8],
        new: NewRoom<'_>,
    ) -> Result<(), Failure> {
        let NewRoom {
            mut create,
            fork,
            json,
            payload,
        } = new;
        if self.log.len() >= self.limits.streams_max {
            return Err(Failure::new(
                Code::LimitReached,
                "the server holds streams.max streams",
            ));
        }
        let (namespace, _) = Namespace::split(name);
        self.check_new_room(namespace, payload.bytes.len() as u64)?;
        let source = match fork {
            Some(fork) => Some(self.resolve_fork(now, &mut create, fork)?),
            None => None,
        };
        let is_json = create
            .content_type
            .as_ref()
            .is_some_and(ContentType::is_json);
        if is_json != json && !payload.bytes.is_empty() {
            let message = "a fork with a body must name the content type of its source";
            return Err(Failure::new(Code::ContentTypeRequired, message));
        }
        if let Some(source) = source {
            // Before the fork itself: a crash between the two must not leave a fork whose source
            // does not know of it.
            let added = Record::ForkAdded(self.log.next_room());
            let lsn = self.stage(source, &added, Payload::NONE, now)?;
            self.queue(lsn, source, None);
        }
        let content_type = create.content_type.as_ref();
        let content_type = content_type.map_or(ContentType::DEFAULT, ContentType::as_str);
        self.tell_created(name, content_type, now)?;
        let id = self.stage_create(now, name, &create, is_json, payload)?;
        self.has_come_true(name);
        let room = &self.slots[id.0 as usize].room;
        let reply = Reply::Created {
            new: true,
            edge: room.staged(),
            content_type: room.content_type().clone(),
        };
        if let Some(pending) = self.pending.back_mut() {
            pending.reply = Some((ticket, reply));
        }
        Ok(())
    }

    /// Fills in what a fork takes from its source, and returns the source.
    fn resolve_fork(
        &mut self,
        now: Millis,
        create: &mut Create,
        fork: ForkOf<'_>,
    ) -> Result<SlotId, Failure> {
        let source = self.find_source(now, fork.source)?;
        let room = &self.slots[source.0 as usize].room;
        let resolved: Fork = room
            .decide_fork(create.content_type.as_ref(), fork.at, fork.beyond)
            .map_err(|error| Failure::new(error.code(), error.to_string()))?;
        create
            .content_type
            .get_or_insert_with(|| room.content_type().clone());
        create.lifetime.get_or_insert(room.lifetime());
        create.fork = Some(resolved);
        Ok(source)
    }

    fn find_source(&mut self, now: Millis, name: &[u8]) -> Result<SlotId, Failure> {
        if is_internal(name) {
            return Err(Failure::not_found());
        }
        self.find(now, name)?.ok_or_else(Failure::not_found)
    }

    /// Stages a create and loads the room; the reply is for the caller to add.
    pub(super) fn stage_create(
        &mut self,
        now: Millis,
        name: &[u8],
        create: &Create,
        is_json: bool,
        payload: Payload<'_>,
    ) -> Result<SlotId, Failure> {
        let hash = self.log.hash(NAMESPACE, name);
        let record = create.record(name, now);
        self.meta.clear();
        record.encode(&mut self.meta);
        let size = data_size(is_json, &payload);
        let (room, lsn) = self
            .log
            .create(hash, now, &self.meta, payload)
            .map_err(|error| stage_failure(&error))?;
        let room = Room::create(room, &record, size, now).expect("a create record makes a room");
        let id = self.insert(room, hash, false);
        let slot = &mut self.slots[id.0 as usize];
        slot.used_s = super::seconds(now);
        slot.in_flight += 1;
        self.count_created(id, size.bytes);
        self.queue(lsn, id, None);
        Ok(id)
    }
}
