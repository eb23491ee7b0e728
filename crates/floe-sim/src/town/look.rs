//! All that can be seen of a server, and the comparison with what there may be.

use std::collections::BTreeMap;

use floe_core::Start;
use floe_core::community::Community;
use floe_proto::ChannelId;
use serde_json::Value;

use super::model::{Ban, Entry, Member, Model, PLACES, USERS, Waddle};
use super::{End, Town, waddle_name};
use crate::world::Violation;

/// What is there.
#[derive(Debug, Default)]
pub struct Seen {
    waddles: BTreeMap<usize, Waddle>,
    rooms: BTreeMap<ChannelId, Sight>,
}

/// What is there of a room.
#[derive(Debug)]
enum Sight {
    Absent,
    /// Deleted, and kept for a while.
    Kept,
    There(Vec<(&'static str, String)>),
}

impl Town {
    /// Looks at everything; nothing may be on its way.
    pub(super) fn see(&mut self) -> Result<Seen, End> {
        let mut seen = Seen::default();
        for place in 0..PLACES.len() {
            let slot = self.slot(place, None)?;
            let Some(slot) = slot else {
                continue;
            };
            let name = waddle_name(place);
            let log = self.read_whole(&name)?;
            let room = self.host.shard().room(slot);
            let Some(community) = room.community() else {
                return Err(format!("{place} is no waddle").into());
            };
            let waddle = waddle_of(community, room.visible().tail)?;
            let told = replay(&log).map_err(|what| format!("the log of {place}: {what}"))?;
            if told != waddle {
                let what = format!("the log of {place} tells {told:?}, not {waddle:?}");
                return Err(what.into());
            }
            seen.waddles.insert(place, waddle);
        }
        for (id, place, voice) in self.rooms.clone() {
            let slot = self.slot(place, Some((id, voice)))?;
            let sight = match slot {
                None => Sight::Absent,
                Some(_) if voice => Sight::There(Vec::new()),
                Some(slot) if self.host.shard().room(slot).is_gone() => Sight::Kept,
                Some(_) => Sight::There(self.said(id)?),
            };
            seen.rooms.insert(id, sight);
        }
        Ok(seen)
    }

    /// Reads what was said in a channel.
    fn said(&mut self, id: ChannelId) -> Result<Vec<(&'static str, String)>, End> {
        let bytes = self.read_whole(id.room_name().as_bytes())?;
        let events = messages(&bytes).map_err(|what| format!("{id}: {what}"))?;
        let said = events.iter().map(|event| {
            let content = event["content"].as_str().unwrap_or_default();
            Ok((user(&event["authorId"])?, content.to_owned()))
        });
        Ok(said.collect::<Result<_, Violation>>()?)
    }

    /// Reads all visible bytes of a room.
    fn read_whole(&mut self, name: &[u8]) -> Result<Vec<u8>, End> {
        let now = self.now();
        let plan = self.host.shard().plan_read(now, name, Start::Oldest);
        let plan = plan.map_err(|failure| self.unreadable(&failure))?;
        let (mut next, mut bytes) = (plan.span.from, Vec::new());
        while next < plan.span.edge.tail {
            let fetched = self.host.shard().fetch(plan.slot, next, 5_000);
            let fetched = fetched.map_err(|failure| self.unreadable(&failure))?;
            let read = fetched.to_vec();
            let read = read.map_err(|error| {
                let what = format!("a room cannot be read: {error}");
                self.host.blame(&what, &mut self.trace)
            })?;
            bytes.extend(read);
            next = fetched.next;
        }
        Ok(bytes)
    }
}

impl Seen {
    /// Compares it with a moment of the past.
    ///
    /// # Errors
    /// What differs.
    pub fn compare(&self, model: &Model, now: u64) -> Result<(), Violation> {
        for place in 0..PLACES.len() {
            let (found, wanted) = (self.waddles.get(&place), model.waddles.get(&place));
            if found != wanted {
                return Err(format!("{place} is {found:?}, not {wanted:?}"));
            }
        }
        for (id, sight) in &self.rooms {
            let room = model.rooms.get(id);
            let is_so = match (sight, room) {
                (Sight::Absent, None) => true,
                (Sight::Absent, Some(room)) => room.may_be_purged(now),
                (Sight::Kept, Some(room)) => room.ended_at.is_some(),
                (Sight::There(said), Some(room)) => room.ended_at.is_none() && room.said == *said,
                (Sight::Kept | Sight::There(_), None) => false,
            };
            if !is_so {
                return Err(format!("room {id} is {sight:?}, not {room:?}"));
            }
        }
        Ok(())
    }
}

/// Puts a waddle, as the server has folded it, in the model's words.
fn waddle_of(community: &Community, told: u64) -> Result<Waddle, Violation> {
    let about = community.about();
    let mut waddle = Waddle {
        name: about.name.to_string(),
        invite: about.join.as_str() == "invite",
        told,
        ..Waddle::default()
    };
    for (name, member) in community.members() {
        let member = Member {
            role: member.role as u8,
            since: member.joined_at.0,
            quiet_until: member.timed_out_until.map(|until| until.0),
        };
        waddle.members.insert(one_of(name)?, member);
    }
    for (name, ban) in community.bans() {
        let ban = Ban {
            by: ban.by.to_string(),
            at: ban.at.0,
            until: ban.until.map(|until| until.0),
            reason: ban.reason.as_deref().map(Into::into),
        };
        waddle.bans.insert(one_of(name)?, ban);
    }
    for (id, room) in community.rooms() {
        let entry = Entry {
            voice: room.kind.as_str() == "voice",
            name: room.name.to_string(),
            read: room.read as u8,
            write: room.write as u8,
            since: room.created_at.0,
        };
        waddle.rooms.insert(*id, entry);
    }
    Ok(waddle)
}

/// Makes of a waddle's log what any reader of it would.
fn replay(log: &[u8]) -> Result<Waddle, Violation> {
    let mut waddle = Waddle::default();
    for message in messages(log)? {
        waddle.told += 1;
        let value = match message["headers"]["operation"].as_str() {
            Some("insert" | "update") => Some(&message["value"]),
            Some("delete") => None,
            other => return Err(format!("the operation is {other:?}")),
        };
        match message["type"].as_str() {
            Some("waddle") => {
                let value = value.ok_or("what it is was deleted")?;
                waddle.name = text(&value["name"])?;
                waddle.invite = value["join"] == "invite";
            }
            Some("member") => {
                let user = user(&message["key"])?;
                let member = value.map(|value| {
                    Ok::<_, Violation>(Member {
                        role: role(&value["role"])?,
                        since: moment(&value["joinedAt"])?.ok_or("no `joinedAt`")?,
                        quiet_until: moment(&value["timedOutUntil"])?,
                    })
                });
                put(&mut waddle.members, user, member.transpose()?)?;
            }
            Some("ban") => {
                let user = user(&message["key"])?;
                let ban = value.map(|value| {
                    Ok::<_, Violation>(Ban {
                        by: text(&value["by"])?,
                        at: moment(&value["at"])?.ok_or("no `at`")?,
                        until: moment(&value["until"])?,
                        reason: value["reason"].as_str().map(Into::into),
                    })
                });
                put(&mut waddle.bans, user, ban.transpose()?)?;
            }
            Some("channel") => {
                let id = text(&message["key"])?;
                let id = id.parse().map_err(|_| format!("{id} is no room"))?;
                let entry = value.map(|value| {
                    Ok::<_, Violation>(Entry {
                        voice: value["kind"] == "voice",
                        name: text(&value["name"])?,
                        read: role(&value["read"])?,
                        write: role(&value["write"])?,
                        since: moment(&value["createdAt"])?.ok_or("no `createdAt`")?,
                    })
                });
                put(&mut waddle.rooms, id, entry.transpose()?)?;
            }
            other => return Err(format!("the type is {other:?}")),
        }
    }
    Ok(waddle)
}

/// Puts or takes away what a message is about; nothing is taken away that was not there.
fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) -> Result<(), Violation> {
    match value {
        Some(value) => drop(map.insert(key, value)),
        None => {
            let gone = map.remove(&key);
            gone.ok_or("it tells of the end of what never was")?;
        }
    }
    Ok(())
}

fn messages(bytes: &[u8]) -> Result<Vec<Value>, Violation> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let array = format!("[{}]", text.strip_suffix(',').unwrap_or(text));
    serde_json::from_str(&array).map_err(|error| error.to_string())
}

fn text(value: &Value) -> Result<String, Violation> {
    let text = value.as_str().map(Into::into);
    text.ok_or_else(|| format!("{value} is no text"))
}

fn user(value: &Value) -> Result<&'static str, Violation> {
    one_of(value.as_str().unwrap_or_default())
}

fn one_of(name: &str) -> Result<&'static str, Violation> {
    let found = USERS.into_iter().find(|user| *user == name);
    found.ok_or_else(|| format!("nobody is called {name:?}"))
}

fn role(value: &Value) -> Result<u8, Violation> {
    match value.as_str() {
        Some("member") => Ok(1),
        Some("moderator") => Ok(2),
        Some("admin") => Ok(3),
        Some("owner") => Ok(4),
        _ => Err(format!("{value} is no role")),
    }
}

fn moment(value: &Value) -> Result<Option<u64>, Violation> {
    let Some(text) = value.as_str() else {
        return Ok(None);
    };
    let moment: jiff::Timestamp = text.parse().map_err(|_| format!("{text} is no moment"))?;
    Ok(Some(moment.as_millisecond() as u64))
}
