//! Which of the streams that one browser sends at once is the better.

use str0m::media::Rid;

/// Streams of one picture at once, at most; more are not forwarded.
pub const LAYERS_MAX: usize = 3;

/// Puts the names of streams in order, the least first.
///
/// Names say it where they are those in use; else it is the order of the offer.
pub fn in_order(rids: &[Rid]) -> Vec<Rid> {
    let has_quarter = rids.iter().any(|rid| matches!(&**rid, "q" | "f"));
    let rank = |rid: &Rid| match &**rid {
        "low" | "lo" | "l" | "q" | "0" | "r0" => Some(0),
        "medium" | "mid" | "m" | "1" | "r1" => Some(1),
        "h" if has_quarter => Some(1),
        "high" | "hi" | "h" | "f" | "2" | "r2" => Some(2),
        _ => None,
    };
    let mut ordered = rids.to_vec();
    if rids.iter().all(|rid| rank(rid).is_some()) {
        ordered.sort_by_key(rank);
    }
    ordered.dedup();
    ordered.truncate(LAYERS_MAX);
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(names: &[&str]) -> Vec<String> {
        let rids: Vec<Rid> = names.iter().map(|name| Rid::from(*name)).collect();
        in_order(&rids).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_in_use_say_which_is_better_and_else_the_order_does() {
        assert_eq!(
            ordered(&["high", "medium", "low"]),
            ["low", "medium", "high"]
        );
        assert_eq!(ordered(&["f", "h", "q"]), ["q", "h", "f"]);
        assert_eq!(ordered(&["h", "l", "m"]), ["l", "m", "h"]);
        assert_eq!(ordered(&["2", "0"]), ["0", "2"]);
        assert_eq!(ordered(&["big", "small"]), ["big", "small"]);
        assert_eq!(ordered(&["a", "b", "c", "d"]), ["a", "b", "c"]);
        assert_eq!(ordered(&[]), Vec::<String>::new());
    }
}
