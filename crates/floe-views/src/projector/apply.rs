//! One batch, in one transaction.

use std::borrow::Cow;

use floe_proto::{Event, EventKind};
use rusqlite::{CachedStatement, Connection, OptionalExtension as _};

use crate::index::Pending;
use crate::{ViewError, key};

use super::channel::{self, ChannelState};
use super::mentions::{self, Mentioning};
use super::names::Names;
use super::pins::{self, Pinning};
use super::{Applied, Change, Projector, WATERMARK, trim};
use crate::split::Split;

/// Applies a batch.
pub fn apply(projector: &mut Projector, changes: &[Change<'_>]) -> Result<Applied, ViewError> {
    let Projector {
        db,
        options,
        channels,
        names,
        index,
    } = projector;
    let tx = db.transaction()?;
    let mut applied = Applied::default();
    let mut pending = Pending::default();
    let mut insert = tx.prepare_cached(
        "INSERT INTO events (row, ns, author, created_at, content, reply_to, data)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let mut ordered: Vec<&Change<'_>> = changes.iter().collect();
    // Rows of one channel lie side by side in most indexes.
    ordered.sort_by_key(|change| change.meta.id);
    for change in ordered {
        let id = change.meta.id;
        if change.purged {
            channel::mark_purged(&tx, id)?;
            channels.forget(id);
            continue;
        }
        let known = match channels.get(&tx, id)? {
            Some(known) => known,
            None => {
                let ns = names.namespace(&tx, &change.meta.owner)?;
                ChannelState::create(&tx, &change.meta, ns)?
            }
        };
        if change.meta.head > key::SEQ_MAX {
            return Err(ViewError::Full);
        }
        let mut applying = Applying {
            db: &tx,
            names,
            pending: &mut pending,
            insert: &mut insert,
            state: known,
            applied: &mut applied,
        };
        applying.change(change)?;
        let state = applying.state;
        state.write(&tx, &change.meta)?;
        channels.put(id, state);
    }
    drop(insert);
    index.write(&tx, pending)?;
    trim::trim(&tx, index, options.trim_rows_max, &mut applied)?;
    if applied.events > 0 {
        tx.prepare_cached("DELETE FROM state WHERE name = ?1")?
            .execute([WATERMARK])?;
    }
    tx.commit()?;
    Ok(applied)
}

/// The events of one channel on their way into the view.
struct Applying<'a, 'd, 'e> {
    db: &'d Connection,
    names: &'a mut Names,
    pending: &'a mut Pending<'e>,
    insert: &'a mut CachedStatement<'d>,
    state: ChannelState,
    applied: &'a mut Applied,
}

impl<'e> Applying<'_, '_, 'e> {
    fn change(&mut self, change: &Change<'e>) -> Result<(), ViewError> {
        let channel = change.meta.id;
        // What retention has taken away does not come any more.
        let lost_up_to = change.meta.start.saturating_sub(1);
        let expected = self.state.applied.max(lost_up_to) + 1;
        if !change.events.is_empty() && change.first_seq > expected {
            return Err(ViewError::Gap {
                channel,
                expected,
                found: change.first_seq,
            });
        }
        for (seq, json) in (change.first_seq..).zip(Split(change.events)) {
            let json = json.ok_or(ViewError::NotEvents { channel, seq })?;
            if seq <= self.state.applied {
                self.applied.repeated += 1;
            } else {
                match Event::parse(json) {
                    Some(event) if event.seq == seq => self.event(event)?,
                    Some(_) => return Err(ViewError::NotEvents { channel, seq }),
                    None => self.applied.unknown += 1,
                }
                self.state.applied = seq;
                self.applied.events += 1;
            }
        }
        self.state.applied = self.state.applied.max(lost_up_to);
        Ok(())
    }

    fn event(&mut self, event: Event<'e>) -> rusqlite::Result<()> {
        let author = self
            .names
            .author(self.db, self.state.ns, &event.author_id)?;
        // An event can only be about one that was there before it.
        let target = event.target_seq.filter(|target| *target < event.seq);
        match (event.kind, target) {
            (EventKind::Message, _) => self.message(event, author),
            (EventKind::Edit, Some(target)) => self.edit(event, author, target),
            (EventKind::Reaction, Some(target)) => self.reaction(&event, author, target),
            (EventKind::Deletion, Some(target)) => self.deletion(&event, author, target),
            (EventKind::Pin, Some(target)) => self.pin(&event, author, target),
            (
                EventKind::Edit | EventKind::Reaction | EventKind::Deletion | EventKind::Pin,
                None,
            ) => Ok(()),
        }
    }

    fn message(&mut self, event: Event<'e>, author: i64) -> rusqlite::Result<()> {
        let row = self.row(event.seq);
        let at = event.created_at.0;
        self.state.behind_ms = self
            .state
            .behind_ms
            .max(self.state.last_at.saturating_sub(at));
        self.state.last_at = self.state.last_at.max(at);
        let content = event.content.unwrap_or_default();
        let data = event.data.as_deref();
        let ns = self.state.ns;
        // A message can only answer one that was there before it.
        let answered = event.reply_to.filter(|answered| *answered < event.seq);
        let answered = answered.map(|answered| self.row(answered));
        self.insert
            .execute((row, ns, author, at as i64, &*content, answered, data))?;
        if let Some(answered) = answered {
            self.db
                .prepare_cached(
                    "INSERT INTO reply_counts (event, replies) VALUES (?1, 1)
                     ON CONFLICT (event) DO UPDATE SET replies = replies + 1",
                )?
                .execute([answered])?;
        }
        let message = Mentioning {
            row,
            ns,
            created_at: at as i64,
            content: &content,
            data,
        };
        message.note(self.db, self.names)?;
        self.pending.add(row, ns, at as i64, content);
        Ok(())
    }

    fn pin(&mut self, event: &Event<'e>, author: i64, target: u64) -> rusqlite::Result<()> {
        let target = self.row(target);
        if self.message_at(target)?.is_none() {
            return Ok(());
        }
        if event.removed {
            return pins::unpin(self.db, target);
        }
        let by = Pinning {
            row: self.row(event.seq),
            author,
            created_at: event.created_at.0 as i64,
        };
        pins::pin(self.db, target, by)
    }

    fn edit(&mut self, event: Event<'e>, author: i64, target: u64) -> rusqlite::Result<()> {
        let target = self.row(target);
        let Some(message) = self.message_at(target)? else {
            return Ok(());
        };
        self.db
            .prepare_cached(
                "INSERT OR IGNORE INTO versions (event, row, author, created_at, content)
                 SELECT row, row, author, created_at, content FROM events
                 WHERE row = ?1 AND edited_at IS NULL",
            )?
            .execute([target])?;
        let content = text(&event.content);
        let at = event.created_at.0 as i64;
        self.db
            .prepare_cached(
                "INSERT INTO versions (event, row, author, created_at, content)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute((target, self.row(event.seq), author, at, content))?;
        self.set_content(target, message, Some(at), event.content.unwrap_or_default())
    }

    fn set_content(
        &mut self,
        row: i64,
        message: Message,
        edited_at: Option<i64>,
        content: Cow<'e, str>,
    ) -> rusqlite::Result<()> {
        self.db
            .prepare_cached("UPDATE events SET content = ?2, edited_at = ?3 WHERE row = ?1")?
            .execute((row, &*content, edited_at))?;
        mentions::renew(self.db, self.names, row, &content)?;
        if message == Message::There {
            self.pending.change(row, Some(content));
        }
        Ok(())
    }

    fn reaction(&mut self, event: &Event<'e>, author: i64, target: u64) -> rusqlite::Result<()> {
        let target = self.row(target);
        if self.message_at(target)?.is_none() {
            return Ok(());
        }
        let reaction = text(&event.content);
        if event.removed {
            return self.take_back(target, reaction, author);
        }
        let row = self.row(event.seq);
        let added = self
            .db
            .prepare_cached(
                "INSERT OR IGNORE INTO reactions (event, reaction, author, row)
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute((target, reaction, author, row))?;
        if added > 0 {
            self.db
                .prepare_cached(
                    "INSERT INTO reaction_counts (event, reaction, since, authors)
                     VALUES (?1, ?2, ?3, 1)
                     ON CONFLICT (event, reaction) DO UPDATE SET authors = authors + 1",
                )?
                .execute((target, reaction, row))?;
        }
        Ok(())
    }

    fn take_back(&self, target: i64, reaction: &str, author: i64) -> rusqlite::Result<()> {
        let removed = self
            .db
            .prepare_cached(
                "DELETE FROM reactions WHERE event = ?1 AND reaction = ?2 AND author = ?3",
            )?
            .execute((target, reaction, author))?;
        if removed > 0 {
            for sql in [
                "UPDATE reaction_counts SET authors = authors - 1
                 WHERE event = ?1 AND reaction = ?2",
                "DELETE FROM reaction_counts
                 WHERE event = ?1 AND reaction = ?2 AND authors <= 0",
            ] {
                self.db.prepare_cached(sql)?.execute((target, reaction))?;
            }
        }
        Ok(())
    }

    fn deletion(&mut self, event: &Event<'e>, author: i64, target: u64) -> rusqlite::Result<()> {
        let target = self.row(target);
        let at = event.created_at.0 as i64;
        let new = self
            .db
            .prepare_cached(
                "INSERT OR IGNORE INTO deletions (target, row, author, created_at)
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute((target, self.row(event.seq), author, at))?;
        if new == 0 {
            return Ok(());
        }
        if self.message_at(target)?.is_some() {
            let answered: Option<i64> = self
                .db
                .prepare_cached(
                    "UPDATE events SET deleted_at = ?2 WHERE row = ?1 RETURNING reply_to",
                )?
                .query_row((target, at), |found| found.get(0))?;
            if let Some(answered) = answered {
                self.db
                    .prepare_cached(
                        "UPDATE reply_counts SET replies = replies - 1 WHERE event = ?1",
                    )?
                    .execute([answered])?;
            }
            self.pending.change(target, None);
            return Ok(());
        }
        self.delete_version(target, at)?;
        self.delete_reaction(target)?;
        pins::undo(self.db, target)
    }

    /// Takes an edit away: what was there before it is there again.
    fn delete_version(&mut self, row: i64, at: i64) -> rusqlite::Result<()> {
        let event: Option<i64> = self
            .db
            .prepare_cached("UPDATE versions SET deleted_at = ?2 WHERE row = ?1 RETURNING event")?
            .query_row((row, at), |found| found.get(0))
            .optional()?;
        let Some(event) = event else { return Ok(()) };
        let Some(message) = self.message_at(event)? else {
            return Ok(());
        };
        let newest: (i64, i64, String) = self
            .db
            .prepare_cached(
                "SELECT row, created_at, content FROM versions
                 WHERE event = ?1 AND deleted_at IS NULL ORDER BY row DESC LIMIT 1",
            )?
            .query_row([event], |found| {
                Ok((found.get(0)?, found.get(1)?, found.get(2)?))
            })?;
        let (version, at, content) = newest;
        let edited_at = (version != event).then_some(at);
        self.set_content(event, message, edited_at, content.into())
    }

    /// Takes a reaction back whose event was deleted.
    fn delete_reaction(&self, row: i64) -> rusqlite::Result<()> {
        let found: Option<(i64, String, i64)> = self
            .db
            .prepare_cached("SELECT event, reaction, author FROM reactions WHERE row = ?1")?
            .query_row([row], |found| {
                Ok((found.get(0)?, found.get(1)?, found.get(2)?))
            })
            .optional()?;
        match found {
            Some((target, reaction, author)) => self.take_back(target, &reaction, author),
            None => Ok(()),
        }
    }

    fn row(&self, seq: u64) -> i64 {
        key::row(self.state.no, seq)
    }

    fn message_at(&self, row: i64) -> rusqlite::Result<Option<Message>> {
        self.db
            .prepare_cached("SELECT deleted_at IS NOT NULL FROM events WHERE row = ?1")?
            .query_row([row], |found| {
                Ok(if found.get(0)? {
                    Message::Deleted
                } else {
                    Message::There
                })
            })
            .optional()
    }
}

/// What became of a message so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    /// It can be read and found.
    There,
    /// It was deleted; what happens to it now cannot be seen by everyone.
    Deleted,
}

fn text<'e>(content: &'e Option<Cow<'_, str>>) -> &'e str {
    content.as_deref().unwrap_or_default()
}
