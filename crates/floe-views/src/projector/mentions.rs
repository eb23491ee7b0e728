//! Who is mentioned where.

use floe_proto::mentions;
use rusqlite::{Connection, OptionalExtension as _};

use super::names::Names;

/// A message, as far as mentions go.
#[derive(Debug, Clone, Copy)]
pub struct Mentioning<'m> {
    /// Its row.
    pub row: i64,
    /// Number of its namespace.
    pub ns: i64,
    /// When it was created.
    pub created_at: i64,
    /// Its newest content.
    pub content: &'m str,
    /// What it carries besides.
    pub data: Option<&'m str>,
}

impl Mentioning<'_> {
    /// Notes whom a new message mentions.
    pub fn note(&self, db: &Connection, names: &mut Names) -> rusqlite::Result<()> {
        for user in mentions(self.content, self.data) {
            let user = names.author(db, self.ns, &user)?;
            db.prepare_cached(
                "INSERT OR IGNORE INTO mentions (user, row, created_at) VALUES (?1, ?2, ?3)",
            )?
            .execute((user, self.row, self.created_at))?;
        }
        Ok(())
    }
}

/// Notes whom a message mentions now that it has another content.
pub fn renew(db: &Connection, names: &mut Names, row: i64, content: &str) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM mentions WHERE row = ?1")?
        .execute([row])?;
    let known: Option<(i64, i64, Option<String>)> = db
        .prepare_cached("SELECT ns, created_at, data FROM events WHERE row = ?1")?
        .query_row([row], |found| {
            Ok((found.get(0)?, found.get(1)?, found.get(2)?))
        })
        .optional()?;
    let Some((ns, created_at, data)) = known else {
        return Ok(());
    };
    let message = Mentioning {
        row,
        ns,
        created_at,
        content,
        data: data.as_deref(),
    };
    message.note(db, names)
}

/// Notes whom the messages of a file mention that was written before mentions were noted.
pub fn fill(db: &Connection) -> rusqlite::Result<()> {
    let mut names = Names::default();
    let mut rows = db.prepare(
        "SELECT row, ns, created_at, content FROM events WHERE instr(content, '<@') > 0",
    )?;
    let mut rows = rows.query([])?;
    while let Some(found) = rows.next()? {
        let message = Mentioning {
            row: found.get(0)?,
            ns: found.get(1)?,
            created_at: found.get(2)?,
            content: found.get_ref(3)?.as_str().unwrap_or_default(),
            data: None,
        };
        message.note(db, &mut names)?;
    }
    Ok(())
}
