//! Which events of a channel were deleted.

use floe_proto::codec::{Put, Reader};

/// Runs of deleted events that a channel keeps apart; a deletion that would need one more is
/// refused. Neighbours are one run.
pub const HIDDEN_RANGES_MAX: usize = 65_536;

/// The deleted units of a channel, and where what was said of them may lie.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Hidden {
    /// First unit and the one after the last of each run: ascending, never touching.
    ranges: Vec<(u64, u64)>,
    /// From the first to behind the last edit or reaction that is kept.
    annotations: Option<(u64, u64)>,
    /// The newest deletion. An edit of a deleted message lies before its deletion.
    deletion: u64,
}

impl Hidden {
    /// Notes edits or reactions.
    pub fn annotate(&mut self, first: u64, units: u64) {
        let from = self.annotations.map_or(first, |(from, _)| from);
        self.annotations = Some((from, first.saturating_add(units)));
    }

    /// Hides a unit; `deletion` is the unit that says so.
    pub fn hide(&mut self, unit: u64, deletion: u64) {
        self.deletion = deletion;
        let at = self.after(unit);
        let joins_before = at > 0 && self.ranges[at - 1].1 >= unit;
        if joins_before && self.ranges[at - 1].1 > unit {
            return;
        }
        let joins_after = self.ranges.get(at).is_some_and(|next| next.0 == unit + 1);
        match (joins_before, joins_after) {
            (true, true) => {
                self.ranges[at - 1].1 = self.ranges[at].1;
                self.ranges.remove(at);
            }
            (true, false) => self.ranges[at - 1].1 = unit + 1,
            (false, true) => self.ranges[at].0 = unit,
            (false, false) => self.ranges.insert(at, (unit, unit + 1)),
        }
    }

    /// Whether no more than the bound would be kept with this unit, too.
    pub fn has_space_for(&self, unit: u64) -> bool {
        let at = self.after(unit);
        self.ranges.len() < HIDDEN_RANGES_MAX
            || (at > 0 && self.ranges[at - 1].1 >= unit)
            || self.ranges.get(at).is_some_and(|next| next.0 == unit + 1)
    }

    pub fn contains(&self, unit: u64) -> bool {
        let at = self.after(unit);
        at > 0 && unit < self.ranges[at - 1].1
    }

    pub fn intersects(&self, from: u64, to: u64) -> bool {
        let at = self.ranges.partition_point(|range| range.1 <= from);
        self.ranges.get(at).is_some_and(|range| range.0 < to) && from < to
    }

    /// Whether a unit of a range is hidden, or may say something of one that is or that lies
    /// before `start`.
    pub fn redacts(&self, from: u64, to: u64, start: u64) -> bool {
        self.intersects(from, to) || self.annotates_hidden(from, to, start)
    }

    fn annotates_hidden(&self, from: u64, to: u64, start: u64) -> bool {
        let Some((mut first, mut end)) = self.annotations else {
            return false;
        };
        if start == 0 {
            let Some((hidden, _)) = self.ranges.first() else {
                return false;
            };
            first = first.max(*hidden);
            end = end.min(self.deletion);
        }
        first.max(from) < end.min(to)
    }

    /// Forgets units that are kept no more.
    pub fn forget_before(&mut self, start: u64) {
        let gone = self.ranges.partition_point(|range| range.1 <= start);
        self.ranges.drain(..gone);
        if let Some(first) = self.ranges.first_mut() {
            first.0 = first.0.max(start);
        }
        self.annotations = self
            .annotations
            .filter(|(_, end)| *end > start)
            .map(|(first, end)| (first.max(start), end));
    }

    /// Index of the first run that begins after a unit.
    fn after(&self, unit: u64) -> usize {
        self.ranges.partition_point(|range| range.0 <= unit)
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_varint(self.ranges.len() as u64);
        let mut last = 0;
        for (from, to) in &self.ranges {
            out.put_varint(from - last);
            out.put_varint(to - from);
            last = *to;
        }
        let (first, end) = self.annotations.unwrap_or_default();
        out.put_varint(first);
        out.put_varint(end - first);
        out.put_varint(self.deletion);
    }

    pub fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let mut hidden = Self::default();
        let mut last = 0_u64;
        for at in 0..reader.varint()? {
            let from = last.checked_add(reader.varint()?)?;
            let to = from.checked_add(reader.varint()?)?;
            if to == from || (at > 0 && from == last) {
                return None;
            }
            hidden.ranges.push((from, to));
            last = to;
        }
        let first = reader.varint()?;
        let end = first.checked_add(reader.varint()?)?;
        hidden.annotations = (end > first).then_some((first, end));
        hidden.deletion = reader.varint()?;
        Some(hidden)
    }
}
