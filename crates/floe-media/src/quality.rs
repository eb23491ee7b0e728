//! How well media reach somebody.

use std::time::Duration;

use floe_core::voice::Quality;

/// What was measured on one connection in one interval.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Measure {
    /// The part that was lost on the way to the server.
    pub lost_in: Option<f32>,
    /// The part that was lost on the way to the browser, as it says.
    pub lost_out: Option<f32>,
    /// How long the way there and back is.
    pub round_trip: Option<Duration>,
}

/// Makes one word of many measures.
///
/// It gets worse with the first measure that is, and better by one step at a time, after
/// [`CALM`] measures in a row that are better by a margin.
#[derive(Debug, Clone, Copy, Default)]
pub struct Grading {
    grade: Grade,
    /// Measures in a row that were better by a margin.
    calm: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Grade {
    #[default]
    Good,
    Fair,
    Poor,
}

/// From when on it is no longer good.
const FAIR: Bound = Bound {
    lost: 0.03,
    round_trip: Duration::from_millis(300),
};
/// From when on it is poor.
const POOR: Bound = Bound {
    lost: 0.10,
    round_trip: Duration::from_millis(600),
};
/// What of a bound it must stay below to be better again, of a hundred.
const MARGIN: u16 = 67;
/// All of a bound.
const WHOLE: u16 = 100;
/// For how many measures.
const CALM: u8 = 3;

struct Bound {
    lost: f32,
    round_trip: Duration,
}

impl Grading {
    /// Takes in a measure, and returns the word.
    pub fn judge(&mut self, measure: &Measure) -> Quality {
        let plain = grade(measure, WHOLE);
        if plain >= self.grade {
            self.grade = plain;
            self.calm = 0;
        } else if grade(measure, MARGIN) < self.grade {
            self.calm += 1;
            if self.calm == CALM {
                self.calm = 0;
                self.grade = match self.grade {
                    Grade::Poor => Grade::Fair,
                    Grade::Fair | Grade::Good => Grade::Good,
                };
            }
        } else {
            self.calm = 0;
        }
        self.word()
    }

    /// Returns the word that the measures so far make.
    pub const fn word(&self) -> Quality {
        match self.grade {
            Grade::Good => Quality::Good,
            Grade::Fair => Quality::Fair,
            Grade::Poor => Quality::Poor,
        }
    }
}

fn grade(measure: &Measure, part: u16) -> Grade {
    let is_over = |bound: &Bound| {
        let lost = [measure.lost_in, measure.lost_out];
        let is_lost = lost
            .iter()
            .flatten()
            .any(|lost| *lost * f32::from(WHOLE) >= bound.lost * f32::from(part));
        let is_late = measure
            .round_trip
            .is_some_and(|taken| taken * WHOLE.into() >= bound.round_trip * part.into());
        is_lost || is_late
    };
    if is_over(&POOR) {
        Grade::Poor
    } else if is_over(&FAIR) {
        Grade::Fair
    } else {
        Grade::Good
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lost(part: f32) -> Measure {
        Measure {
            lost_out: Some(part),
            ..Measure::default()
        }
    }

    fn words(parts: &[f32]) -> Vec<Quality> {
        let mut grading = Grading::default();
        parts
            .iter()
            .map(|part| grading.judge(&lost(*part)))
            .collect()
    }

    #[test]
    fn it_gets_worse_at_once_and_better_step_by_step() {
        use Quality::{Fair, Good, Poor};
        assert_eq!(
            words(&[0.0, 0.04, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
            [Good, Fair, Poor, Poor, Poor, Fair, Fair, Fair, Good, Good]
        );
    }

    #[test]
    fn at_a_bound_it_does_not_go_to_and_fro() {
        let around: Vec<f32> = (0..40)
            .map(|turn| if turn % 2 == 0 { 0.031 } else { 0.029 })
            .collect();
        assert!(words(&around).iter().all(|word| *word == Quality::Fair));
    }

    #[test]
    fn what_comes_late_is_as_bad_as_what_is_lost() {
        let late = |ms| Measure {
            round_trip: Some(Duration::from_millis(ms)),
            lost_in: Some(0.0),
            ..Measure::default()
        };
        let judge = |ms| Grading::default().judge(&late(ms));
        assert_eq!(judge(299), Quality::Good);
        assert_eq!(judge(300), Quality::Fair);
        assert_eq!(judge(600), Quality::Poor);
        assert_eq!(Grading::default().judge(&Measure::default()), Quality::Good);
    }

    proptest! {
        #[test]
        fn what_stays_so_is_judged_so_in_the_end(
            before in proptest::collection::vec(0.0..1.0_f32, 0..30),
            after in prop_oneof![0.0..0.019_f32, 0.03..0.066_f32, 0.1..1.0_f32],
        ) {
            let mut grading = Grading::default();
            for part in before {
                grading.judge(&lost(part));
            }
            let word = (0..10).map(|_| grading.judge(&lost(after))).last();
            prop_assert_eq!(word, Some(Grading::default().judge(&lost(after))));
        }
    }
}
