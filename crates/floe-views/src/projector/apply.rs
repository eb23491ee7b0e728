//! One batch, in one transaction.

use std::borrow::Cow;

use floe_proto::{Event, EventKind};
use rusqlite::{Connection, OptionalExtension as _};

use crate::{ViewError, key};

use super::channel::{self, ChannelState};
use super::names::Names;
use super::split::Split;
use super::{Applied, Change, Projector, WATERMARK, trim};

/// Applies a batch.
pub fn apply(projector: &mut Projector, changes: &[Change<'_>]) -> Result<Applied, ViewError> {
    let Projector {
        db,
        options,
        channels,
        names,
    } = projector;
    let tx = db.transaction()?;
    let mut applied = Applied::default();
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
        let mut applying = Applying {
            db: &tx,
            names,
            state: known,
            applied: &mut applied,
        };
        applying.change(change)?;
        let state = applying.state;
        if state.behind_ms > known.behind_ms {
            tx.prepare_cached(
                "UPDATE namespaces SET behind_ms = max(behind_ms, ?2) WHERE no = ?1",
            )?
            .execute((state.ns, state.behind_ms as i64))?;
        }
        state.write(&tx, &change.meta)?;
        channels.put(id, state);
    }
    trim::trim(&tx, options.trim_rows_max, &mut applied)?;
    if applied.events > 0 {
        tx.prepare_cached("DELETE FROM state WHERE name = ?1")?
            .execute([WATERMARK])?;
    }
    tx.commit()?;
    Ok(applied)
}

/// The events of one channel on their way into the view.
struct Applying<'a> {
    db: &'a Connection,
    names: &'a mut Names,
    state: ChannelState,
    applied: &'a mut Applied,
}

impl Applying<'_> {
    fn change(&mut self, change: &Change<'_>) -> Result<(), ViewError> {
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
                    Some(event) if event.seq == seq => self.event(&event)?,
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

    fn event(&mut self, event: &Event<'_>) -> rusqlite::Result<()> {
        let author = self
            .names
            .author(self.db, self.state.ns, &event.author_id)?;
        // An event can only be about one that was there before it.
        let target = event.target_seq.filter(|target| *target < event.seq);
        match (event.kind, target) {
            (EventKind::Message, _) => self.message(event, author),
            (EventKind::Edit, Some(target)) => self.edit(event, author, target),
            (EventKind::Reaction, Some(target)) => self.reaction(event, author, target),
            (EventKind::Deletion, Some(target)) => self.deletion(event, author, target),
            (EventKind::Edit | EventKind::Reaction | EventKind::Deletion, None) => Ok(()),
        }
    }

    fn message(&mut self, event: &Event<'_>, author: i64) -> rusqlite::Result<()> {
        let mut row = key::first_row(event.created_at, self.state.no, self.state.last_row);
        let mut insert = self.db.prepare_cached(
            "INSERT INTO events (row, ns, channel, seq, author, created_at, content)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (row) DO NOTHING",
        )?;
        let content = text(&event.content);
        // Another channel may have taken the row's place.
        while 0
            == insert.execute((
                row,
                self.state.ns,
                self.state.no,
                event.seq as i64,
                author,
                event.created_at.0 as i64,
                content,
            ))?
        {
            row += 1;
        }
        self.state.last_row = row;
        let behind_ms = key::behind_ms(row, event.created_at);
        self.state.behind_ms = self.state.behind_ms.max(behind_ms);
        Ok(())
    }

    fn edit(&mut self, event: &Event<'_>, author: i64, target: u64) -> rusqlite::Result<()> {
        let Some(row) = self.row_of(target)? else {
            return Ok(());
        };
        self.db
            .prepare_cached(
                "INSERT OR IGNORE INTO versions (event, seq, channel, author, created_at, content)
                 SELECT row, seq, channel, author, created_at, content FROM events
                 WHERE row = ?1 AND edited_at IS NULL",
            )?
            .execute([row])?;
        let content = text(&event.content);
        let at = event.created_at.0 as i64;
        self.db
            .prepare_cached(
                "INSERT INTO versions (event, seq, channel, author, created_at, content)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute((row, event.seq as i64, self.state.no, author, at, content))?;
        self.set_content(row, Some(at), content)
    }

    fn set_content(&self, row: i64, at: Option<i64>, content: &str) -> rusqlite::Result<()> {
        self.db
            .prepare_cached("UPDATE events SET content = ?2, edited_at = ?3 WHERE row = ?1")?
            .execute((row, content, at))?;
        Ok(())
    }

    fn reaction(&mut self, event: &Event<'_>, author: i64, target: u64) -> rusqlite::Result<()> {
        let Some(row) = self.row_of(target)? else {
            return Ok(());
        };
        let reaction = text(&event.content);
        if event.removed {
            return self.take_back(row, reaction, author);
        }
        let added = self
            .db
            .prepare_cached(
                "INSERT OR IGNORE INTO reactions (event, reaction, author, seq, channel)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute((row, reaction, author, event.seq as i64, self.state.no))?;
        if added > 0 {
            self.db
                .prepare_cached(
                    "INSERT INTO reaction_counts (event, reaction, since_seq, authors)
                     VALUES (?1, ?2, ?3, 1)
                     ON CONFLICT (event, reaction) DO UPDATE SET authors = authors + 1",
                )?
                .execute((row, reaction, event.seq as i64))?;
        }
        Ok(())
    }

    fn take_back(&self, row: i64, reaction: &str, author: i64) -> rusqlite::Result<()> {
        let removed = self
            .db
            .prepare_cached(
                "DELETE FROM reactions WHERE event = ?1 AND reaction = ?2 AND author = ?3",
            )?
            .execute((row, reaction, author))?;
        if removed > 0 {
            self.db
                .prepare_cached(
                    "UPDATE reaction_counts SET authors = authors - 1
                     WHERE event = ?1 AND reaction = ?2",
                )?
                .execute((row, reaction))?;
            self.db
                .prepare_cached(
                    "DELETE FROM reaction_counts
                     WHERE event = ?1 AND reaction = ?2 AND authors <= 0",
                )?
                .execute((row, reaction))?;
        }
        Ok(())
    }

    fn deletion(&mut self, event: &Event<'_>, author: i64, target: u64) -> rusqlite::Result<()> {
        let at = event.created_at.0 as i64;
        let key = (self.state.no, target as i64);
        let new = self
            .db
            .prepare_cached(
                "INSERT OR IGNORE INTO deletions (channel, target, seq, author, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute((key.0, key.1, event.seq as i64, author, at))?;
        if new == 0 {
            return Ok(());
        }
        if self.row_of(target)?.is_some() {
            self.db
                .prepare_cached(
                    "UPDATE events SET deleted_at = ?3 WHERE channel = ?1 AND seq = ?2",
                )?
                .execute((key.0, key.1, at))?;
            return Ok(());
        }
        self.delete_version(key)?;
        self.delete_reaction(key)
    }

    /// Takes an edit away: what was there before it is there again.
    fn delete_version(&self, key: (i64, i64)) -> rusqlite::Result<()> {
        let row: Option<i64> = self
            .db
            .prepare_cached("SELECT event FROM versions WHERE channel = ?1 AND seq = ?2")?
            .query_row(key, |row| row.get(0))
            .optional()?;
        let Some(row) = row else { return Ok(()) };
        self.db
            .prepare_cached("DELETE FROM versions WHERE event = ?1 AND seq = ?2")?
            .execute((row, key.1))?;
        let mut newest = self.db.prepare_cached(
            "SELECT seq, created_at, content FROM versions
             WHERE event = ?1 ORDER BY seq DESC LIMIT 2",
        )?;
        let versions = newest
            .query_map([row], |row| Ok((row.get(1)?, row.get(2)?)))?
            .collect::<rusqlite::Result<Vec<(i64, String)>>>()?;
        match versions.as_slice() {
            [(at, content), _, ..] => self.set_content(row, Some(*at), content),
            [(_, content)] => {
                self.db
                    .prepare_cached("DELETE FROM versions WHERE event = ?1")?
                    .execute([row])?;
                self.set_content(row, None, content)
            }
            [] => Ok(()),
        }
    }

    /// Takes a reaction back whose event was deleted.
    fn delete_reaction(&self, key: (i64, i64)) -> rusqlite::Result<()> {
        let found: Option<(i64, String, i64)> = self
            .db
            .prepare_cached(
                "SELECT event, reaction, author FROM reactions WHERE channel = ?1 AND seq = ?2",
            )?
            .query_row(key, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        match found {
            Some((row, reaction, author)) => self.take_back(row, &reaction, author),
            None => Ok(()),
        }
    }

    fn row_of(&self, seq: u64) -> rusqlite::Result<Option<i64>> {
        self.db
            .prepare_cached("SELECT row FROM events WHERE channel = ?1 AND seq = ?2")?
            .query_row((self.state.no, seq as i64), |row| row.get(0))
            .optional()
    }
}

fn text<'e>(content: &'e Option<Cow<'_, str>>) -> &'e str {
    content.as_deref().unwrap_or_default()
}
