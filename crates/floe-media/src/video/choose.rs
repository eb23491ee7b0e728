//! Whose picture each slot of a participant shows.

/// What is to be in one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish<T> {
    /// Whatever the room has.
    Any,
    /// This picture, while there is one.
    This(Option<T>),
}

/// Chooses pictures for slots, each of which wishes for something and shows something by now.
///
/// `pictures` are those that the participant can see, the most important first. A picture is in one
/// slot; of two that wish for the same, the first has it. What is shown already stays where it is.
pub fn choose<T: Copy + PartialEq>(
    pictures: &[T],
    slots: &[(Wish<T>, Option<T>)],
) -> Vec<Option<T>> {
    let mut chosen: Vec<Option<T>> = vec![None; slots.len()];
    for (at, (wish, _)) in slots.iter().enumerate() {
        if let Wish::This(Some(picture)) = wish
            && pictures.contains(picture)
            && !chosen.contains(&Some(*picture))
        {
            chosen[at] = Some(*picture);
        }
    }
    let is_free = |wish: &Wish<T>| matches!(wish, Wish::Any);
    let free = slots.iter().filter(|(wish, _)| is_free(wish)).count();
    let rest = pictures.iter().filter(|one| !chosen.contains(&Some(**one)));
    let mut rest: Vec<T> = rest.take(free).copied().collect();
    for (at, (wish, shown)) in slots.iter().enumerate() {
        if is_free(wish)
            && let Some(found) = rest.iter().position(|one| Some(*one) == *shown)
        {
            chosen[at] = Some(rest.remove(found));
        }
    }
    let mut rest = rest.into_iter();
    for (at, (wish, _)) in slots.iter().enumerate() {
        if is_free(wish) && chosen[at].is_none() {
            chosen[at] = rest.next();
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pictures_keep_their_slots_and_newcomers_take_what_is_free() {
        let any = |shown| (Wish::Any, shown);
        assert_eq!(
            choose(&[1, 2, 3], &[any(None), any(Some(1)), any(Some(9))]),
            [Some(2), Some(1), Some(3)]
        );
        assert_eq!(
            choose(&[3, 1, 2], &[any(Some(1)), any(Some(2))]),
            [Some(1), Some(3)],
            "the least important gives way"
        );
        assert_eq!(choose(&[1], &[any(None), any(None)]), [Some(1), None]);
    }

    #[test]
    fn what_is_asked_for_is_shown_once_and_waited_for() {
        let this = |picture| (Wish::This(Some(picture)), None);
        assert_eq!(
            choose(
                &[1, 2, 3],
                &[(Wish::Any, Some(3)), this(3), this(3), this(7)]
            ),
            [Some(1), Some(3), None, None]
        );
    }

    fn slots() -> impl Strategy<Value = Vec<(Wish<u8>, Option<u8>)>> {
        let wish = prop_oneof![
            Just(Wish::Any),
            proptest::option::of(0..8_u8).prop_map(Wish::This),
        ];
        proptest::collection::vec((wish, proptest::option::of(0..8_u8)), 0..6)
    }

    proptest! {
        #[test]
        fn no_picture_is_twice_and_no_slot_is_free_while_one_is_left(
            pictures in proptest::sample::subsequence((0..8_u8).collect::<Vec<_>>(), 0..8)
                .prop_shuffle(),
            slots in slots(),
        ) {
            let chosen = choose(&pictures, &slots);
            prop_assert_eq!(chosen.len(), slots.len());
            let shown: Vec<u8> = chosen.iter().flatten().copied().collect();
            for (at, one) in shown.iter().enumerate() {
                prop_assert!(pictures.contains(one) && !shown[..at].contains(one));
            }
            let has_free = chosen
                .iter()
                .zip(&slots)
                .any(|(chosen, (wish, _))| *wish == Wish::Any && chosen.is_none());
            prop_assert!(!has_free || shown.len() == pictures.len());
            let settled: Vec<_> = slots.iter().map(|(wish, _)| *wish).zip(chosen.clone()).collect();
            prop_assert_eq!(choose(&pictures, &settled), chosen, "nothing moves again");
        }
    }
}
