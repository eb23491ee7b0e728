//! Who may administer what, and who may hand on what.

use floe_proto::{Code, Namespace, Rights};

use super::caller::{Caller, Grants, RoomPattern, Session, Source};
use super::decide::{Deed, Denied, Wanted, authorize};

/// Whom an act of administration is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Office {
    /// Everyone, known or not.
    Everyone,
    /// Everyone who showed something, and everyone where nothing need be shown.
    Known,
    /// Those who manage what they hand on; which that is, [`may_sign`] decides.
    Manager,
    /// Those who look after the namespace.
    Admin,
    /// Those who look after the whole server.
    Operator,
}

/// Of what a request is, as it says itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Of one namespace.
    One(Namespace),
    /// Of all namespaces.
    All,
}

impl Scope {
    /// Reads a scope: the name of a namespace, or `*`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "*" => Some(Self::All),
            name => name.parse().ok().map(Self::One),
        }
    }
}

/// Decides whether a caller holds an office where they ask for it; returns the namespace that they
/// act in, `None` for all of them.
///
/// # Errors
/// What to answer instead.
pub fn admit(
    session: &Session,
    office: Office,
    named: Option<&Scope>,
) -> Result<Option<Namespace>, Denied> {
    let caller = session.caller();
    match office {
        Office::Everyone => {}
        Office::Known | Office::Manager => {
            if caller.source == Source::Anonymous {
                return Err(Denied::NO_CREDENTIALS);
            }
        }
        Office::Admin | Office::Operator => {
            let wanted = Wanted::of_namespace(Deed::Administer);
            // Who looks after nothing learns nothing about which namespace it would take.
            authorize(session, None, &wanted, None, floe_proto::Millis(0))?;
        }
    }
    if office == Office::Operator && !caller.is_operator() {
        return Err(Denied::NO_OPERATOR);
    }
    match named {
        None => Ok(session.namespace().cloned()),
        Some(Scope::All) if session.namespace().is_none() => Ok(None),
        Some(Scope::One(named)) if session.opens(named.as_str()) => Ok(Some(named.clone())),
        Some(Scope::One(_) | Scope::All) => Err(Denied::OTHER_NAMESPACE),
    }
}

/// Decides whether a caller may give these grants to another: nobody gives more than they have.
///
/// Where nothing need be shown everything may be given, the sight of deleted events included, which
/// nobody could ever give otherwise.
///
/// # Errors
/// When the caller lacks some of it.
pub fn may_give(caller: &Caller, grants: &Grants) -> Result<(), Denied> {
    if caller.source == Source::Open || lacks(caller, grants, Rights::NONE).next().is_none() {
        return Ok(());
    }
    Err(Denied::GIVES_TOO_MUCH)
}

/// Decides whether a caller may sign a token with these grants for a user, who may be nobody.
/// `manages` says of a pattern whether the caller's place in that very room lets them give so much.
///
/// Who speaks under a name of their own and does not look after the namespace signs for nobody
/// else: they could speak as them.
///
/// # Errors
/// When the caller lacks some of it, or may not sign for this user.
pub fn may_sign(
    caller: &Caller,
    user: Option<&str>,
    grants: &Grants,
    mut manages: impl FnMut(&RoomPattern, Rights) -> bool,
) -> Result<(), Denied> {
    if caller.source == Source::Open {
        return Ok(());
    }
    let admin = caller.grants.in_namespace().contains(Rights::ADMIN);
    let needed = if admin { Rights::NONE } else { Rights::MANAGE };
    let lacking = lacks(caller, grants, needed);
    if !lacking
        .into_iter()
        .all(|(pattern, rights)| manages(&pattern, rights))
    {
        return Err(Denied::GIVES_TOO_MUCH);
    }
    let own = caller.user.as_deref();
    if !admin && own.is_some() && user.is_some() && own != user {
        return Err(Denied::OTHER_USER);
    }
    Ok(())
}

/// Returns those of the grants that a caller has not, where giving takes a right of its own.
fn lacks<'a>(
    caller: &'a Caller,
    grants: &'a Grants,
    giving: Rights,
) -> impl Iterator<Item = (RoomPattern, Rights)> + 'a {
    let has = &caller.grants;
    let everywhere = (RoomPattern::All, grants.in_namespace());
    let all = std::iter::once(everywhere).filter(|(_, rights)| *rights != Rights::NONE);
    let rooms = grants.rooms().iter().cloned();
    all.chain(rooms).filter_map(move |(pattern, rights)| {
        let covering = has.rooms().iter();
        let covering = covering.filter(|(own, _)| own.includes(&pattern));
        let sum = covering.fold(has.in_namespace(), |sum, (_, rights)| sum.with(*rights));
        let needed = rights.with(giving);
        (!sum.contains(needed)).then_some((pattern, needed))
    })
}

impl RoomPattern {
    /// Returns whether it covers every room that `other` covers. It may say no where that is hard to
    /// tell, and never says yes where it is not so.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) | (Self::Channels, Self::Channels | Self::Channel(_)) => true,
            (Self::Channel(one), Self::Channel(other)) => one == other,
            (Self::Voices, Self::Voices | Self::Voice(_)) => true,
            (Self::Voice(one), Self::Voice(other)) => one == other,
            (Self::Streams(one), Self::Streams(other)) | (Self::Rooms(one), Self::Rooms(other)) => {
                includes(one.as_str(), other.as_str())
            }
            (
                Self::Streams(_)
                | Self::Channels
                | Self::Channel(_)
                | Self::Rooms(_)
                | Self::Voices
                | Self::Voice(_),
                _,
            ) => false,
        }
    }
}

/// Compares globs segment by segment, from their ends: in a row of the table stands for each rest of
/// `other` whether the rest of `one` that was looked at last includes it.
fn includes(one: &str, other: &str) -> bool {
    let other: Vec<&str> = other.split('/').collect();
    // The empty rest of a glob includes nothing but the empty rest.
    let mut after = vec![false; other.len() + 1];
    after[other.len()] = true;
    for segment in one.rsplit('/') {
        let mut row = vec![false; other.len() + 1];
        for at in (0..=other.len()).rev() {
            let next = other.get(at).copied();
            row[at] = match segment {
                "**" => after[at] || (next.is_some() && row[at + 1]),
                "*" => next.is_some_and(|next| next != "**") && after[at + 1],
                literal => next == Some(literal) && after[at + 1],
            };
        }
        after = row;
    }
    after[0]
}

impl Denied {
    const NO_OPERATOR: Self = Self::new(
        Code::Forbidden,
        "this takes a key of all namespaces with the right `admin`",
    );
    const GIVES_TOO_MUCH: Self = Self::new(
        Code::Forbidden,
        "nobody gives more than they have, and a token takes `manage` where it opens something",
    );
    const OTHER_USER: Self = Self::new(
        Code::Forbidden,
        "who speaks under a name signs tokens for no other, but for those who read",
    );
}

#[cfg(test)]
mod tests {
    use floe_core::subscription::Pattern;
    use proptest::prelude::*;

    use super::*;

    fn grants(all: &[(&str, Rights)]) -> Grants {
        let all = all.iter();
        Grants::new(all.map(|(text, rights)| (RoomPattern::parse(text).unwrap(), *rights)))
    }

    fn caller(all: &[(&str, Rights)]) -> Caller {
        Caller {
            namespace: Some("acme".parse().unwrap()),
            grants: grants(all),
            source: Source::Key("k".into()),
            ..Caller::open()
        }
    }

    #[test]
    fn a_pattern_includes_what_lies_in_it() {
        for (one, other, expected) in [
            ("**", "stream/**", true),
            ("**", "channel/*", true),
            ("stream/**", "**", false),
            ("stream/**", "stream/a/*/**", true),
            ("stream/a/**", "stream/a", true),
            ("stream/a/**", "stream/**", false),
            ("stream/a/*", "stream/a/b", true),
            ("stream/a/*", "stream/a/**", false),
            ("stream/*/b", "stream/a/b", true),
            ("stream/*/**", "stream/**", false),
            ("stream/**/z", "stream/**/y/z", true),
            ("stream/a", "stream/*", false),
            ("channel/*", "channel/010101010101", true),
            ("channel/010101010101", "channel/*", false),
            ("channel/*", "stream/a", false),
            ("voice/*", "voice/00000000000a", true),
            ("voice/00000000000a", "voice/*", false),
            ("voice/*", "channel/*", false),
        ] {
            let parse = |text| RoomPattern::parse(text).unwrap();
            assert_eq!(
                parse(one).includes(&parse(other)),
                expected,
                "{one} {other}"
            );
        }
    }

    #[test]
    fn nobody_gives_more_than_they_have() {
        let read_append = Rights::READ.with(Rights::APPEND);
        let has = caller(&[("stream/a/**", read_append), ("**", Rights::PRESENCE)]);
        for (wanted, expected) in [
            (grants(&[("stream/a/b", read_append)]), true),
            (
                grants(&[("stream/a/b", Rights::READ.with(Rights::PRESENCE))]),
                true,
            ),
            (grants(&[("**", Rights::PRESENCE)]), true),
            (grants(&[("**", Rights::READ)]), false),
            (grants(&[("stream/b", Rights::READ)]), false),
            (grants(&[("stream/a/b", Rights::MANAGE)]), false),
            (grants(&[]), true),
        ] {
            assert_eq!(may_give(&has, &wanted).is_ok(), expected, "{wanted:?}");
        }
        let all = grants(&[("**", Rights::ALL)]);
        assert!(may_give(&Caller::open(), &all).is_ok());
        assert!(may_give(&caller(&[("**", Rights::ALL)]), &all).is_ok());
    }

    #[test]
    fn signing_takes_manage_and_no_other_name_than_ones_own() {
        let managed = Rights::READ.with(Rights::MANAGE);
        let rooms = caller(&[("stream/a/**", managed)]);
        let read = grants(&[("stream/a/b", Rights::READ)]);
        let nowhere = |_: &RoomPattern, _: Rights| false;
        assert!(may_sign(&rooms, None, &read, nowhere).is_ok());
        assert!(may_sign(&rooms, Some("ann"), &read, nowhere).is_ok());
        let ann = Caller {
            user: Some("ann".into()),
            ..rooms
        };
        for (user, expected) in [(None, true), (Some("ann"), true), (Some("bob"), false)] {
            assert_eq!(may_sign(&ann, user, &read, nowhere).is_ok(), expected);
        }
        let reader = caller(&[("**", Rights::READ)]);
        assert!(may_sign(&reader, None, &read, nowhere).is_err());
        // Whose room it is may give what its rules give them.
        let asked = |pattern: &RoomPattern, rights: Rights| {
            pattern.to_string() == "stream/a/b" && rights == managed
        };
        assert!(may_sign(&reader, None, &read, asked).is_ok());
        let admin = Caller {
            user: Some("ann".into()),
            ..caller(&[("**", Rights::READ.with(Rights::ADMIN))])
        };
        assert!(may_sign(&admin, Some("bob"), &read, nowhere).is_ok());
        let append = grants(&[("stream/a", Rights::APPEND)]);
        assert!(may_sign(&admin, None, &append, nowhere).is_err());
    }

    #[test]
    fn an_office_is_held_where_one_belongs() {
        let acme = || "acme".parse::<Namespace>().unwrap();
        let one = |name: &str| Some(Scope::parse(name).unwrap());
        let admin = Rights::ADMIN.with(Rights::READ);
        let session = |caller: Caller| Session::new(caller, None).unwrap();
        let own = session(caller(&[("**", admin)]));
        let weak = session(caller(&[("**", Rights::READ)]));
        let nobody = session(Caller::anonymous());
        let operator = session(Caller {
            namespace: None,
            ..caller(&[("**", admin)])
        });
        let decide = |session: &Session, office, named: Option<Scope>| {
            admit(session, office, named.as_ref()).map_err(|denied| denied.code)
        };
        use Office::{Admin, Everyone, Known, Operator};
        for (session, office, named, expected) in [
            (&own, Admin, None, Ok(Some(acme()))),
            (&own, Admin, one("acme"), Ok(Some(acme()))),
            (&own, Admin, one("umbra"), Err(Code::Forbidden)),
            (&own, Admin, one("*"), Err(Code::Forbidden)),
            (&own, Operator, None, Err(Code::Forbidden)),
            (&weak, Admin, None, Err(Code::Forbidden)),
            (&weak, Known, None, Ok(Some(acme()))),
            (&nobody, Everyone, None, Ok(None)),
            (&nobody, Known, None, Err(Code::Unauthorized)),
            (&nobody, Admin, None, Err(Code::Unauthorized)),
            (&nobody, Operator, one("acme"), Err(Code::Unauthorized)),
            (&operator, Operator, None, Ok(None)),
            (&operator, Admin, one("acme"), Ok(Some(acme()))),
            (&operator, Admin, one("*"), Ok(None)),
        ] {
            assert_eq!(
                decide(session, office, named.clone()),
                expected,
                "{office:?} {named:?}"
            );
        }
    }

    proptest! {
        /// What a glob includes, it covers.
        #[test]
        fn a_glob_covers_what_it_includes(
            one in prop::collection::vec("a|b|\\*|\\*\\*", 1..5),
            other in prop::collection::vec("a|b|\\*|\\*\\*", 1..5),
            path in prop::collection::vec("a|b|c", 1..6),
        ) {
            let (one, other) = (one.join("/"), other.join("/"));
            let path = path.join("/");
            let covers = |glob: &str| Pattern::new(glob).unwrap().matches(&path);
            if includes(&one, &other) && covers(&other) {
                prop_assert!(covers(&one), "{} {} {}", one, other, path);
            }
            prop_assert!(includes(&one, &one));
        }
    }
}
