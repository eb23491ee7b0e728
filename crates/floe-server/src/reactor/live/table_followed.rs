//! Of which tables a connection is told the row changes, and how far it has been told.

use std::sync::Arc;

/// Tables whose row changes are wanted, each with the place up to which they were told.
///
/// Tables at the same place are one group, which moves as one. So whoever follows all tables from the
/// same message on is told of all changes in the order of the log; a table that has more to tell than
/// the others is told first, until it has come to their place.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// By place, ascending; no two have the same.
    groups: Vec<Group>,
}

/// Tables that have been told up to the same place.
#[derive(Debug)]
struct Group {
    /// Their names in lower case, ascending.
    tables: Arc<[Box<str>]>,
    /// Messages of the room that were looked at for them.
    place: u64,
}

/// What is to be told next.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stretch<'a> {
    /// Row changes of these.
    pub tables: &'a Arc<[Box<str>]>,
    /// From behind this message on.
    pub from: u64,
    /// Up to here, where others take part; `u64::MAX` if there are none.
    pub to: u64,
}

impl Followed {
    /// Returns how many tables there are.
    pub fn len(&self) -> usize {
        self.groups.iter().map(|group| group.tables.len()).sum()
    }

    /// Returns the place up to which everything was told that is told at all; `None` without tables.
    pub fn place(&self) -> Option<u64> {
        self.groups.last().map(|group| group.place)
    }

    /// Returns whether a table is among them.
    pub fn has(&self, table: &str) -> bool {
        self.place_of(table).is_some()
    }

    /// Returns the place up to which a table was told.
    pub fn place_of(&self, table: &str) -> Option<u64> {
        let table = table.to_ascii_lowercase();
        let mut groups = self.groups.iter();
        let of = groups.find(|group| group.tables.iter().any(|known| **known == *table));
        of.map(|group| group.place)
    }

    /// Adds a table of which everything behind `place` is wanted; one that is there moves.
    pub fn follow(&mut self, table: &str, place: u64) {
        let table = table.to_ascii_lowercase().into_boxed_str();
        self.unfollow(&table);
        match self
            .groups
            .binary_search_by_key(&place, |group| group.place)
        {
            Ok(at) => {
                let group = &mut self.groups[at];
                group.tables = joined(&group.tables, &[table]);
            }
            Err(at) => {
                let tables = Arc::from([table]);
                self.groups.insert(at, Group { tables, place });
            }
        }
    }

    /// Takes a table away.
    pub fn unfollow(&mut self, table: &str) {
        let table = table.to_ascii_lowercase();
        for group in &mut self.groups {
            if group.tables.iter().any(|known| **known == *table) {
                let others = group.tables.iter().filter(|known| ***known != *table);
                group.tables = others.cloned().collect();
            }
        }
        self.groups.retain(|group| !group.tables.is_empty());
    }

    /// Returns what is to be told next.
    pub fn next(&self) -> Option<Stretch<'_>> {
        let first = self.groups.first()?;
        Some(Stretch {
            tables: &first.tables,
            from: first.place,
            to: self.groups.get(1).map_or(u64::MAX, |group| group.place),
        })
    }

    /// Notes that the [next](Self::next) to be told were told up to a place.
    pub fn moved(&mut self, place: u64) {
        let Some(first) = self.groups.first_mut() else {
            return;
        };
        first.place = place;
        while let [first, second, ..] = &mut self.groups[..]
            && first.place >= second.place
        {
            second.tables = joined(&first.tables, &second.tables);
            second.place = first.place;
            self.groups.remove(0);
        }
    }
}

fn joined(some: &[Box<str>], others: &[Box<str>]) -> Arc<[Box<str>]> {
    let mut all: Vec<Box<str>> = some.iter().chain(others).cloned().collect();
    all.sort_unstable();
    all.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(followed: &Followed) -> Option<(Vec<&str>, u64, u64)> {
        let Stretch { tables, from, to } = followed.next()?;
        Some((tables.iter().map(|table| &**table).collect(), from, to))
    }

    #[test]
    fn tables_at_one_place_are_told_together() {
        let mut followed = Followed::default();
        assert_eq!((next(&followed), followed.place()), (None, None));
        followed.follow("b", 7);
        followed.follow("A", 7);
        assert_eq!(next(&followed), Some((vec!["a", "b"], 7, u64::MAX)));
        followed.moved(9);
        assert_eq!(next(&followed), Some((vec!["a", "b"], 9, u64::MAX)));
        assert_eq!((followed.place(), followed.len()), (Some(9), 2));
    }

    #[test]
    fn a_table_that_is_behind_comes_to_the_others_and_no_further() {
        let mut followed = Followed::default();
        followed.follow("a", 9);
        followed.follow("b", 3);
        followed.follow("c", 5);
        assert_eq!(next(&followed), Some((vec!["b"], 3, 5)));
        followed.moved(4);
        assert_eq!(next(&followed), Some((vec!["b"], 4, 5)));
        followed.moved(5);
        assert_eq!(next(&followed), Some((vec!["b", "c"], 5, 9)));
        assert_eq!(followed.place(), Some(9), "newer tables begin there");
        followed.moved(9);
        assert_eq!(next(&followed), Some((vec!["a", "b", "c"], 9, u64::MAX)));
    }

    #[test]
    fn no_table_is_there_twice() {
        let mut followed = Followed::default();
        followed.follow("notes", 9);
        followed.follow("Notes", 4);
        assert_eq!(next(&followed), Some((vec!["notes"], 4, u64::MAX)));
        assert!(followed.has("NOTES") && !followed.has("note"));
        followed.unfollow("nOtes");
        assert_eq!((next(&followed), followed.len()), (None, 0));
    }
}
