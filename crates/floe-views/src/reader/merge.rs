//! Rows of many channels in the order of their times, each channel from its own part.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rusqlite::{Connection, OptionalExtension as _, Statement};

use super::page::{Filling, Place};

/// A part of one channel, between two rows that do not belong to it.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// The row before the first.
    pub after: i64,
    /// The row after the last.
    pub before: i64,
}

/// Offers the rows of all parts to a page.
///
/// Times must not go back within a part.
pub fn merge(
    db: &Connection,
    mut parts: Vec<Part>,
    newest_first: bool,
    page: &mut Filling<'_>,
) -> rusqlite::Result<()> {
    let order = if newest_first { "DESC" } else { "ASC" };
    let mut first = db.prepare_cached(&format!(
        "SELECT created_at, row FROM events WHERE row > ?1 AND row < ?2
         ORDER BY row {order} LIMIT 1"
    ))?;
    let mut heap = BinaryHeap::with_capacity(parts.len());
    let direction = if newest_first { 1 } else { -1 };
    let rank = |place: Place| Place {
        at: place.at * direction,
        row: place.row * direction,
    };
    for (index, part) in parts.iter().enumerate() {
        if let Some(place) = next(&mut first, *part)? {
            heap.push((rank(place), Reverse(index)));
        }
    }
    while let Some((ranked, Reverse(index))) = heap.pop() {
        let place = rank(ranked);
        if !page.offer(place)? {
            return Ok(());
        }
        let Some(part) = parts.get_mut(index) else {
            continue;
        };
        if newest_first {
            part.before = place.row;
        } else {
            part.after = place.row;
        }
        if let Some(place) = next(&mut first, *part)? {
            heap.push((rank(place), Reverse(index)));
        }
    }
    Ok(())
}

/// Returns the first place of a part.
fn next(first: &mut Statement<'_>, part: Part) -> rusqlite::Result<Option<Place>> {
    first
        .query_row((part.after, part.before), |found| {
            Ok(Place {
                at: found.get(0)?,
                row: found.get(1)?,
            })
        })
        .optional()
}
