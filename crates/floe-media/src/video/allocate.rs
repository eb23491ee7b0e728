//! How good each picture is, of those that one participant receives.

/// One picture that a participant is to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// Whether it is a screen; those come before cameras.
    pub is_screen: bool,
    /// What each of its layers takes, in bits a second, the least good first; none sends nothing.
    pub costs: Vec<Option<u64>>,
    /// The best layer that is wanted.
    pub best: usize,
    /// The layer that is shown by now.
    pub shown: Option<usize>,
}

/// What a better layer must fit with, in percent, so that pictures do not go up and down.
const MARGIN_PERCENT: u64 = 115;

/// Chooses a layer for each picture, such that all of them together fit what a participant can receive.
///
/// The sound comes first, then the least layer of each picture, whatever it takes; then screens become
/// better, then cameras, all of them by one before any by two. `None` where a picture has no layer.
pub fn allocate(estimate: u64, sound: u64, wants: &[Want]) -> Vec<Option<usize>> {
    let budget = estimate.saturating_sub(sound);
    let mut chosen: Vec<Option<usize>> = wants.iter().map(Want::least).collect();
    let spent = wants.iter().zip(&chosen);
    let mut spent: u64 = spent
        .filter_map(|(want, layer)| want.cost((*layer)?))
        .fold(0, u64::saturating_add);
    for is_screen in [true, false] {
        let mut has_risen = true;
        while has_risen {
            has_risen = false;
            let of_kind = wants.iter().zip(chosen.iter_mut());
            for (want, layer) in of_kind.filter(|(want, _)| want.is_screen == is_screen) {
                let Some((next, spends)) = want.after(*layer, spent) else {
                    continue;
                };
                if spends <= budget {
                    *layer = Some(next);
                    spent = spends;
                    has_risen = true;
                }
            }
        }
    }
    chosen
}

/// Returns what all pictures take at their best, in bits a second.
pub fn desired(sound: u64, wants: &[Want]) -> u64 {
    let best = wants.iter().filter_map(|want| {
        let costs = want.costs.iter().take(want.best + 1);
        costs.flatten().max()
    });
    let pictures = best.fold(0_u64, |sum, cost| sum.saturating_add(*cost));
    sound.saturating_add(pictures / 100 * MARGIN_PERCENT)
}

impl Want {
    fn least(&self) -> Option<usize> {
        self.costs.iter().position(Option::is_some)
    }

    /// Returns what a layer counts for.
    fn cost(&self, layer: usize) -> Option<u64> {
        let cost = (*self.costs.get(layer)?)?;
        Some(match Some(layer) > self.shown {
            true => cost.saturating_mul(MARGIN_PERCENT) / 100,
            false => cost,
        })
    }

    /// Returns the next better layer, and what all pictures take with it.
    fn after(&self, layer: Option<usize>, spent: u64) -> Option<(usize, u64)> {
        let layer = layer?;
        let better = (layer + 1..self.costs.len().min(self.best.saturating_add(1)))
            .find(|next| self.costs[*next].is_some())?;
        let rest = spent.saturating_sub(self.cost(layer)?);
        Some((better, rest.saturating_add(self.cost(better)?)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn camera(costs: &[u64], shown: Option<usize>) -> Want {
        Want {
            is_screen: false,
            costs: costs.iter().copied().map(Some).collect(),
            best: 2,
            shown,
        }
    }

    #[test]
    fn cameras_become_better_together_and_a_screen_before_them() {
        let shown = Some(2);
        let two = [
            camera(&[100, 300, 900], shown),
            camera(&[100, 300, 900], shown),
        ];
        assert_eq!(allocate(1_000, 0, &two), [Some(1), Some(1)]);
        assert_eq!(allocate(1_000, 500, &two), [Some(1), Some(0)]);
        let mut three = two.to_vec();
        three.push(Want {
            is_screen: true,
            ..camera(&[200, 800], shown)
        });
        assert_eq!(allocate(1_000, 0, &three), [Some(0), Some(0), Some(1)]);
        assert_eq!(allocate(0, 0, &three), [Some(0), Some(0), Some(0)]);
    }

    #[test]
    fn to_become_better_takes_more_than_to_stay_so() {
        let up = |estimate, shown| allocate(estimate, 0, &[camera(&[100, 1_000], shown)])[0];
        assert_eq!(up(1_100, Some(0)), Some(0));
        assert_eq!(up(1_150, Some(0)), Some(1));
        assert_eq!(up(1_000, Some(1)), Some(1));
        assert_eq!(up(999, Some(1)), Some(0));
    }

    #[test]
    fn layers_that_send_nothing_are_passed_over() {
        let want = Want {
            costs: vec![None, Some(100), None, Some(500)],
            best: 3,
            ..camera(&[], None)
        };
        let chosen = |estimate| allocate(estimate, 0, std::slice::from_ref(&want))[0];
        assert_eq!(chosen(0), Some(1));
        assert_eq!(chosen(1_000), Some(3));
        let silent = camera(&[], None);
        assert_eq!(allocate(1_000, 0, &[silent]), [None]);
    }

    fn wants() -> impl Strategy<Value = Vec<Want>> {
        let layers =
            proptest::collection::vec(proptest::option::weighted(0.8, 1..3_000_000_u64), 0..4);
        let want = (
            any::<bool>(),
            layers,
            0..4_usize,
            proptest::option::of(0..4_usize),
        );
        let want = want.prop_map(|(is_screen, costs, best, shown)| Want {
            is_screen,
            costs,
            best,
            shown,
        });
        proptest::collection::vec(want, 0..12)
    }

    fn takes(wants: &[Want], chosen: &[Option<usize>]) -> u64 {
        let each = wants.iter().zip(chosen);
        each.filter_map(|(want, layer)| want.costs[(*layer)?]).sum()
    }

    proptest! {
        #[test]
        fn nothing_above_the_least_is_chosen_that_does_not_fit(
            wants in wants(), estimate in 0..20_000_000_u64, sound in 0..1_000_000_u64,
        ) {
            let chosen = allocate(estimate, sound, &wants);
            let least: Vec<_> = wants.iter().map(Want::least).collect();
            prop_assert!(
                chosen == least || takes(&wants, &chosen) + sound <= estimate,
            );
            for (want, (layer, least)) in wants.iter().zip(chosen.iter().zip(&least)) {
                prop_assert_eq!(layer.is_some(), least.is_some());
                prop_assert!(*layer == *least || layer.unwrap() <= want.best);
            }
        }

        #[test]
        fn how_good_screens_are_does_not_depend_on_how_good_cameras_may_be(
            wants in wants(), estimate in 0..20_000_000_u64,
        ) {
            let mut modest = wants.clone();
            for want in modest.iter_mut().filter(|want| !want.is_screen) {
                want.best = 0;
            }
            let screens = |chosen: Vec<Option<usize>>| {
                let each = wants.iter().zip(chosen);
                each.filter(|(want, _)| want.is_screen).map(|(_, layer)| layer).collect::<Vec<_>>()
            };
            prop_assert_eq!(
                screens(allocate(estimate, 0, &wants)),
                screens(allocate(estimate, 0, &modest)),
            );
        }

        #[test]
        fn where_sound_takes_all_only_the_least_remain(
            wants in wants(), estimate in 0..20_000_000_u64,
        ) {
            let least: Vec<_> = wants.iter().map(Want::least).collect();
            prop_assert_eq!(allocate(estimate, estimate, &wants), least);
        }
    }
}
