//! What a log should hold, kept in plain maps, and a fold that is simple to predict.

use std::collections::BTreeMap;

use floe_proto::{Millis, NameHash, RoomId};

use crate::disk::{Disk, DiskFile};
use crate::sim::Rng;
use crate::{
    Chunk, FetchError, Fold, FoldError, Folded, Log, Part, Payload, ReadError, RecordView,
};

/// A state that is all metas, one after another. A meta `K` and eight bytes sets what to keep.
pub(super) struct Concat;

impl Fold for Concat {
    fn fold(
        &self,
        _: RoomId,
        state: Option<&[u8]>,
        records: &mut dyn Iterator<Item = RecordView<'_>>,
    ) -> Result<Folded, FoldError> {
        let mut state = state.unwrap_or(&[0; 8]).to_vec();
        for record in records {
            match record.meta {
                [b'K', keep @ ..] if keep.len() == 8 => state[..8].copy_from_slice(keep),
                meta => state.extend_from_slice(meta),
            }
        }
        let keep_from = u64::from_le_bytes(state[..8].try_into().unwrap());
        Ok(Folded {
            wake_at: (keep_from > 0).then_some(Millis(keep_from)),
            state,
            keep_from,
        })
    }
}

/// One thing that a host stages.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Create {
        name: u64,
        room: RoomId,
        messages: bool,
        meta: Vec<u8>,
    },
    Append {
        name: u64,
        meta: Vec<u8>,
        messages: bool,
        units: Vec<Vec<u8>>,
    },
    Keep {
        name: u64,
        from: u64,
    },
    Delete {
        name: u64,
    },
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Model {
    pub(super) rooms: BTreeMap<u64, ModelRoom>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ModelRoom {
    pub(super) room: RoomId,
    pub(super) messages: bool,
    pub(super) metas: Vec<u8>,
    pub(super) keep_from: u64,
    /// Messages, or single bytes.
    pub(super) units: Vec<Vec<u8>>,
}

impl Model {
    pub(super) fn apply(&mut self, op: &Op) {
        match op {
            Op::Create {
                name,
                room,
                messages,
                meta,
            } => {
                let room = ModelRoom {
                    room: *room,
                    messages: *messages,
                    metas: meta.clone(),
                    keep_from: 0,
                    units: Vec::new(),
                };
                assert!(self.rooms.insert(*name, room).is_none());
            }
            Op::Append {
                name, meta, units, ..
            } => {
                let room = self.rooms.get_mut(name).unwrap();
                room.metas.extend_from_slice(meta);
                room.units.extend_from_slice(units);
            }
            Op::Keep { name, from } => self.rooms.get_mut(name).unwrap().keep_from = *from,
            Op::Delete { name } => {
                self.rooms.remove(name).unwrap();
            }
        }
    }

    /// Compares a log with the model; the error says what differs.
    pub(super) fn compare<D: Disk>(&self, log: &mut Log<D>, rng: &mut Rng) -> Result<(), String> {
        if log.len() != self.rooms.len() {
            return Err(format!(
                "{} rooms instead of {}",
                log.len(),
                self.rooms.len()
            ));
        }
        for (&name, room) in &self.rooms {
            let hash = name_hash(log, name);
            room.compare(log, hash, rng)
                .map_err(|error| format!("room {name} ({}): {error}", room.room.0))?;
        }
        Ok(())
    }
}

impl ModelRoom {
    fn compare<D: Disk>(
        &self,
        log: &mut Log<D>,
        name: NameHash,
        rng: &mut Rng,
    ) -> Result<(), String> {
        if log.find(name) != Some(self.room) {
            return Err(format!("found {:?}", log.find(name)));
        }
        if log.end(self.room) != Some(self.units.len() as u64) {
            return Err(format!(
                "end {:?}, not {}",
                log.end(self.room),
                self.units.len()
            ));
        }
        let folded = log.state(self.room).map_err(|error| error.to_string())?;
        if folded.keep_from != self.keep_from || folded.state[8..] != self.metas {
            return Err(format!("state {folded:?}"));
        }
        let from = match rng.below(3) {
            0 => 0,
            1 => self.keep_from,
            _ => rng.below(self.units.len() as u64 + 1),
        };
        match self.compare_from(log, from, rng) {
            // The store has failed a fetch.
            Err(ReadError::Cold(_)) => Ok(()),
            Err(ReadError::Gone { first }) if from < first && first <= self.keep_from => Ok(()),
            result => result.map_err(|error| error.to_string())?,
        }
    }

    fn compare_from<D: Disk>(
        &self,
        log: &mut Log<D>,
        mut from: u64,
        rng: &mut Rng,
    ) -> Result<Result<(), String>, ReadError> {
        let end = self.units.len() as u64;
        while from < end {
            let bytes_max = [1, 7, 100, 5000, 1 << 30][rng.below(5) as usize];
            let to = match rng.below(3) {
                0 => end,
                _ => from + 1 + rng.below(end - from),
            };
            let chunk = read_through(log, self.room, from, to, bytes_max)?;
            if chunk.next <= from || chunk.next > to {
                return Ok(Err(format!("read {from}..{to} went to {}", chunk.next)));
            }
            let bytes = bytes_of(&chunk.parts);
            let units = &self.units[from as usize..chunk.next as usize];
            if units.len() > 1 && bytes.len() > bytes_max {
                return Ok(Err(format!("read {} of {bytes_max} bytes", bytes.len())));
            }
            if bytes != units.concat() {
                return Ok(Err(format!("read {from}..{to} gave other bytes")));
            }
            from = chunk.next;
        }
        Ok(Ok(()))
    }
}

/// Reads, fetching what is cold; [`ReadError::Cold`] when the store fails a fetch.
pub(super) fn read_through<D: Disk>(
    log: &mut Log<D>,
    room: RoomId,
    from: u64,
    to: u64,
    bytes_max: usize,
) -> Result<Chunk<D::File>, ReadError> {
    loop {
        let want = match log.read(room, from, to, bytes_max) {
            Err(ReadError::Cold(want)) => want,
            other => return other,
        };
        let Ok(id) = log.want_cold(want) else {
            return Err(ReadError::Cold(want));
        };
        // Another thread may have this very fetch under way; here it only would not end.
        let mut works = Vec::new();
        while let Some(work) = log.take_fetch() {
            works.push(work);
        }
        if works.is_empty() {
            return Err(ReadError::Cold(want));
        }
        for work in works {
            let done = work.run();
            log.finish_work(done).unwrap();
        }
        while let Some((ended, result)) = log.poll_fetched() {
            match result {
                Ok(()) => {}
                Err(FetchError::Unavailable(_)) if ended == id => {
                    return Err(ReadError::Cold(want));
                }
                Err(FetchError::Unavailable(_)) => {}
                Err(FetchError::Io(_)) => return Err(ReadError::Cold(want)),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

pub(super) fn bytes_of<F: DiskFile>(parts: &[Part<F>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        match part {
            Part::Memory(part) => bytes.extend_from_slice(part),
            Part::File { file, at, len } => {
                let mut buffer = vec![0; *len as usize];
                file.read_exact_at(&mut buffer, *at).unwrap();
                bytes.extend_from_slice(&buffer);
            }
        }
    }
    bytes
}

pub(super) fn name_hash<D: Disk>(log: &Log<D>, name: u64) -> NameHash {
    log.hash("tenant", &name.to_le_bytes())
}

/// Draws an operation that the model allows; `tag` is unlike all others.
pub(super) fn draw(model: &Model, tag: u64, rng: &mut Rng) -> Op {
    let names: Vec<u64> = model.rooms.keys().copied().collect();
    let meta = tag.to_le_bytes()[..3].to_vec();
    if names.is_empty() || (names.len() < 12 && rng.chance(1, 8)) {
        let name = (0..).find(|name| !model.rooms.contains_key(name)).unwrap();
        return Op::Create {
            name,
            room: RoomId(0),
            messages: rng.chance(1, 2),
            meta,
        };
    }
    let name = names[rng.below(names.len() as u64) as usize];
    let room = &model.rooms[&name];
    match rng.below(40) {
        0 | 1 => Op::Delete { name },
        2 => Op::Keep {
            name,
            from: room.keep_from + rng.below(room.units.len() as u64 - room.keep_from + 1),
        },
        _ => {
            let count = [0, 1, 1, 1, 3, 200][rng.below(6) as usize];
            let size = [1, 10, 10, 40, 700][rng.below(5) as usize];
            // Now and then a room has units of both kinds.
            let messages = room.messages != rng.chance(1, 50);
            let units = (0..count)
                .map(|_| {
                    let len = if messages {
                        1 + rng.below(size) as usize
                    } else {
                        1
                    };
                    (0..len).map(|_| rng.next_u64() as u8).collect()
                })
                .collect();
            Op::Append {
                name,
                meta,
                messages,
                units,
            }
        }
    }
}

/// Stages an operation; fills in the room that a creation got.
pub(super) fn stage<D: Disk>(
    log: &mut Log<D>,
    model: &Model,
    op: &mut Op,
    now: Millis,
) -> Result<(), crate::StageError> {
    match op {
        Op::Create {
            name, room, meta, ..
        } => {
            let name = name_hash(log, *name);
            (*room, _) = log.create(name, now, meta, Payload::NONE)?;
        }
        Op::Append {
            name,
            meta,
            messages,
            units,
        } => {
            let room = &model.rooms[name];
            let bytes = units.concat();
            let lens: Vec<u32> = units.iter().map(|unit| unit.len() as u32).collect();
            let lens = if *messages { &lens[..] } else { &[] };
            log.append(
                room.room,
                now,
                meta,
                Payload {
                    bytes: &bytes,
                    lens,
                },
            )?;
        }
        Op::Keep { name, from } => {
            let mut meta = vec![b'K'];
            meta.extend_from_slice(&from.to_le_bytes());
            log.append(model.rooms[name].room, now, &meta, Payload::NONE)?;
        }
        Op::Delete { name } => {
            let room = model.rooms[name].room;
            log.delete(room, name_hash(log, *name), now)?;
        }
    }
    Ok(())
}
