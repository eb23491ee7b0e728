use floe_core::channel::SlowPolicy;
use proptest::prelude::*;

use floe_proto::token::ChannelToken;
use floe_proto::{ChannelId, Rights};

use super::*;
use crate::channels::{
    Append, Ask, Change, Create, Edit, Filter, Found, List, Place, Presences, React, Read, Token,
};

const CHANNEL: ChannelId = ChannelId([1; 6]);
const OTHER: ChannelId = ChannelId([2; 6]);
const SECRET: &str = "5ec0";
const NOW: Millis = Millis(1_800_000_000_000);

const KNOWN: Known<'_> = Known {
    owner: "acme",
    secret: Some(SECRET),
    deleted: false,
    access: None,
    standing: None,
};

fn access() -> Access {
    let keys = KeyRing::parse(
        "acme:read:acme-read acme:write:acme-write acme:read,write:acme-both\n\
         acme:admin:acme-admin umbra:admin:umbra-admin *:admin:root:with:colons \
         acme:admin,read-deleted:acme-all",
    );
    Access {
        keys: keys.unwrap(),
        ..Access::default()
    }
}

/// Does what a host does with a request.
fn authorize(
    access: &Access,
    credentials: &Credentials<'_>,
    ask: &Ask<'_>,
    known: Option<Known<'_>>,
    now: Millis,
) -> Result<Grant, Denied> {
    let wanted = Wanted::of(ask);
    let caller = if credentials.token().is_some() || wanted.deed == Deed::Nothing {
        Caller::anonymous()
    } else {
        access.authenticate(credentials, now)?
    };
    let session = Session::new(caller, None)?;
    super::authorize(&session, credentials.token(), &wanted, known, now)
}

fn key(authorization: &str) -> Credentials<'_> {
    Credentials::read([("Authorization", authorization.as_bytes())].into_iter())
}

fn shown(token: &str) -> Credentials<'_> {
    Credentials::read([("x-channel-token", token.as_bytes())].into_iter())
}

fn token(rights: Rights) -> String {
    made(rights).sign(SECRET)
}

fn made(rights: Rights) -> ChannelToken {
    let ends = Millis(NOW.0 + 1_000);
    ChannelToken::new(CHANNEL, rights, "tess", ends).unwrap()
}

fn all_rights() -> String {
    token(Rights::TOKEN)
}

fn namespace(name: Option<&str>) -> Option<Box<str>> {
    name.map(Into::into)
}

fn create(name: Option<&str>) -> Ask<'static> {
    Ask::Create(Create {
        namespace: namespace(name),
        name: "n".into(),
        retention: floe_proto::Retention::default(),
        slow: SlowPolicy::Disconnect,
    })
}

fn list(name: Option<&str>) -> Ask<'static> {
    Ask::List(List {
        namespace: namespace(name),
        limit: 1,
        page: None,
    })
}

fn query(place: Place) -> Ask<'static> {
    Ask::Query(Found {
        place,
        what: Filter {
            after_seq: None,
            before_seq: None,
            author_id: None,
            content_contains: None,
            after_date: None,
            before_date: None,
            newest_first: false,
            limit: 1,
            page: None,
        },
        wait_for: None,
    })
}

fn read() -> Ask<'static> {
    Ask::Read(
        CHANNEL,
        Read {
            after_seq: None,
            before_seq: None,
            limit: 1,
            newest_first: false,
        },
    )
}

fn append() -> Ask<'static> {
    Ask::Append(
        CHANNEL,
        Append {
            author_id: Some("mallory".into()),
            messages: vec![crate::channels::Said {
                content: "x".into(),
                reply_to: None,
                data: None,
            }],
            batch: false,
            key: None,
        },
    )
}

fn delete() -> Ask<'static> {
    Ask::Delete {
        channel: CHANNEL,
        seq: 1,
        author_id: None,
    }
}

fn remove(name: Option<&str>) -> Ask<'static> {
    Ask::Remove {
        channel: CHANNEL,
        namespace: namespace(name),
    }
}

fn sign() -> Ask<'static> {
    Ask::Token(
        CHANNEL,
        Token {
            namespace: None,
            rights: Rights::TOKEN,
            author: "a".into(),
            expires_in_seconds: 1,
        },
    )
}

/// Whatever names the channel, by the right that a token needs for it; `None` is beyond tokens.
fn in_channel() -> Vec<(Ask<'static>, Option<Rights>)> {
    let edit = Edit {
        seq: 1,
        author_id: None,
        content: "x".into(),
    };
    let react = React {
        seq: 1,
        author_id: None,
        reaction: "+1".into(),
        removed: false,
    };
    let presences = Presences {
        limit: 1,
        after: None,
    };
    vec![
        (read(), Some(Rights::READ)),
        (Ask::Describe(CHANNEL), Some(Rights::READ)),
        (query(Place::Channel(CHANNEL)), Some(Rights::READ)),
        (Ask::Presence(CHANNEL, presences), Some(Rights::READ)),
        (
            Ask::Subscribe {
                channel: CHANNEL,
                after_seq: 0,
            },
            Some(Rights::READ),
        ),
        (
            Ask::Poll {
                channel: CHANNEL,
                after_seq: 0,
                limit: 1,
            },
            Some(Rights::READ),
        ),
        (
            Ask::Event {
                channel: CHANNEL,
                seq: 1,
                wait_for: None,
            },
            Some(Rights::READ),
        ),
        (append(), Some(Rights::APPEND)),
        (Ask::Edit(CHANNEL, edit), Some(Rights::APPEND)),
        (Ask::React(CHANNEL, react), Some(Rights::APPEND)),
        (delete(), Some(Rights::DELETE_OWN)),
        (remove(None), None),
        (sign(), None),
        (Ask::Secret(CHANNEL), None),
        (Ask::Change(CHANNEL, Change::default()), None),
    ]
}

fn decide(
    access: &Access,
    credentials: &Credentials<'_>,
    ask: &Ask<'_>,
    known: Option<Known<'_>>,
) -> Result<Grant, Code> {
    authorize(access, credentials, ask, known, NOW).map_err(|denied| denied.code)
}

#[test]
fn without_keys_everything_is_open_and_deleted_events_stay_deleted() {
    let open = Access::default();
    let nobody = Credentials::default();
    for (ask, _) in in_channel() {
        let grant = decide(&open, &nobody, &ask, Some(KNOWN)).unwrap();
        assert_eq!(grant.namespace.as_str(), "acme");
        assert_eq!(grant.author, None);
        assert!(!grant.rights.contains(Rights::READ_DELETED));
        assert!(grant.rights.contains(Rights::READ.with(Rights::DELETE_ANY)));
        assert_eq!(decide(&open, &nobody, &ask, None), Err(Code::NotFound));
    }
    let grant = decide(&open, &nobody, &list(None), None).unwrap();
    assert_eq!(grant.namespace.as_str(), NAMESPACE_DEFAULT);
    let grant = decide(&open, &nobody, &create(Some("umbra")), None).unwrap();
    assert_eq!(grant.namespace.as_str(), "umbra");
}

#[test]
fn without_keys_a_token_still_limits_its_bearer() {
    let open = Access::default();
    let weak = token(Rights::READ);
    assert!(decide(&open, &shown(&weak), &read(), Some(KNOWN)).is_ok());
    for (ask, code) in [
        (append(), Code::Forbidden),
        (delete(), Code::Forbidden),
        (remove(None), Code::Forbidden),
        (create(None), Code::Forbidden),
        (list(None), Code::Forbidden),
    ] {
        assert_eq!(decide(&open, &shown(&weak), &ask, Some(KNOWN)), Err(code));
    }
    for wrong in ["x", "BAA", &weak[..weak.len() - 1]] {
        assert_eq!(
            decide(&open, &shown(wrong), &read(), Some(KNOWN)),
            Err(Code::Unauthorized)
        );
    }
}

#[test]
fn with_keys_nobody_comes_in_without_one() {
    let access = access();
    for credentials in [
        Credentials::default(),
        key("ApiKey nope"),
        key("ApiKey "),
        key("Basic acme-admin"),
        key("ApiKey acme-admin2"),
        key("ApiKey acme-admi"),
        Credentials::read([("authorization", &b"ApiKey \xff"[..])].into_iter()),
    ] {
        for (ask, _) in in_channel() {
            for known in [Some(KNOWN), None] {
                assert_eq!(
                    decide(&access, &credentials, &ask, known),
                    Err(Code::Unauthorized),
                    "{credentials:?} {ask:?}"
                );
            }
        }
        for ask in [create(None), list(None), query(Place::Namespace(None))] {
            assert_eq!(
                decide(&access, &credentials, &ask, None),
                Err(Code::Unauthorized)
            );
        }
        assert!(decide(&access, &credentials, &Ask::Ping, None).is_ok());
        assert!(decide(&access, &credentials, &Ask::Preflight, None).is_ok());
    }
}

#[test]
fn a_key_is_read_in_every_spelling_of_its_scheme() {
    for text in [
        "ApiKey acme-admin",
        "apikey acme-admin",
        "Bearer acme-admin",
        "BEARER  acme-admin ",
    ] {
        assert!(
            decide(&access(), &key(text), &list(None), None).is_ok(),
            "{text}"
        );
    }
    let root = key("ApiKey root:with:colons");
    let grant = decide(&access(), &root, &read(), Some(KNOWN)).unwrap();
    assert_eq!(grant.namespace.as_str(), "acme");
}

#[test]
fn no_key_deletes_or_sees_anything_of_another_namespace() {
    let access = access();
    let stranger = key("ApiKey umbra-admin");
    for (ask, _) in in_channel() {
        let there = authorize(&access, &stranger, &ask, Some(KNOWN), NOW);
        let not_there = authorize(&access, &stranger, &ask, None, NOW);
        assert_eq!(there, not_there, "the answers must not differ: {ask:?}");
        assert_eq!(there.unwrap_err().code, Code::NotFound);
        let deleted = Known {
            deleted: true,
            ..KNOWN
        };
        assert_eq!(
            authorize(&access, &stranger, &ask, Some(deleted), NOW),
            not_there
        );
    }
    // Naming the victim's namespace, or one's own, changes nothing.
    for name in ["acme", "umbra"] {
        let decided = decide(&access, &stranger, &remove(Some(name)), Some(KNOWN));
        assert_eq!(decided, Err(Code::NotFound));
    }
    let owner = key("ApiKey acme-admin");
    assert_eq!(
        decide(&access, &owner, &remove(Some("umbra")), Some(KNOWN)),
        Err(Code::NotFound)
    );
    assert!(decide(&access, &owner, &remove(Some("acme")), Some(KNOWN)).is_ok());
}

#[test]
fn a_list_shows_one_namespace_and_never_all() {
    let access = access();
    let acme = key("ApiKey acme-read");
    for ask in [list(None), query(Place::Namespace(None))] {
        assert_eq!(
            decide(&access, &acme, &ask, None)
                .unwrap()
                .namespace
                .as_str(),
            "acme"
        );
    }
    for ask in [
        list(Some("umbra")),
        query(Place::Namespace(Some("umbra".into()))),
        create(Some("umbra")),
    ] {
        assert_eq!(decide(&access, &acme, &ask, None), Err(Code::Forbidden));
    }
    let root = key("ApiKey root:with:colons");
    assert_eq!(
        decide(&access, &root, &list(None), None)
            .unwrap()
            .namespace
            .as_str(),
        NAMESPACE_DEFAULT
    );
    assert_eq!(
        decide(&access, &root, &list(Some("umbra")), None)
            .unwrap()
            .namespace
            .as_str(),
        "umbra"
    );
}

#[test]
fn a_read_only_key_changes_nothing() {
    let access = access();
    let reader = key("ApiKey acme-read");
    assert_eq!(
        decide(&access, &reader, &create(None), None),
        Err(Code::Forbidden)
    );
    for (ask, needs) in in_channel() {
        let expected = needs == Some(Rights::READ);
        let decided = decide(&access, &reader, &ask, Some(KNOWN));
        assert_eq!(decided.is_ok(), expected, "{ask:?}");
        assert!(expected || decided == Err(Code::Forbidden));
    }
}

#[test]
fn a_writing_key_appends_and_creates_and_manages_nothing() {
    let access = access();
    let writer = key("ApiKey acme-write");
    assert!(decide(&access, &writer, &create(None), None).is_ok());
    let grant = decide(&access, &writer, &append(), Some(KNOWN)).unwrap();
    let writes = Rights::APPEND.with(Rights::DELETE_OWN);
    assert!(grant.rights.contains(writes) && !grant.rights.intersects(Rights::READ));
    for ask in [read(), list(None), remove(None), sign()] {
        assert_eq!(
            decide(&access, &writer, &ask, Some(KNOWN)),
            Err(Code::Forbidden)
        );
    }
    let both = key("ApiKey acme-both");
    assert!(decide(&access, &both, &read(), Some(KNOWN)).is_ok());
    assert!(decide(&access, &both, &append(), Some(KNOWN)).is_ok());
}

#[test]
fn an_admin_sees_deleted_content_only_if_the_key_says_so() {
    let access = access();
    for (text, sees) in [("ApiKey acme-admin", false), ("ApiKey acme-all", true)] {
        let grant = decide(&access, &key(text), &read(), Some(KNOWN)).unwrap();
        assert_eq!(grant.rights.contains(Rights::READ_DELETED), sees);
        assert!(grant.rights.contains(Rights::DELETE_ANY));
    }
}

#[test]
fn a_token_opens_what_its_rights_say_in_its_channel_and_names_its_author() {
    let access = access();
    for (ask, needs) in in_channel() {
        let Some(needs) = needs else {
            let decided = decide(&access, &shown(&all_rights()), &ask, Some(KNOWN));
            assert_eq!(decided, Err(Code::Forbidden), "{ask:?}");
            continue;
        };
        let fitting = token(needs);
        let grant = decide(&access, &shown(&fitting), &ask, Some(KNOWN)).unwrap();
        let expected = Grant {
            namespace: "acme".parse().unwrap(),
            rights: needs.with(Rights::PRESENCE),
            author: Some("tess".into()),
            ends_at: Some(made(needs).expires_at()),
        };
        assert_eq!(grant, expected);
        let lacking = Rights::from_bits(Rights::TOKEN.bits() & !needs.bits()).unwrap();
        let lacking = if needs == Rights::DELETE_OWN {
            Rights::READ.with(Rights::APPEND)
        } else {
            lacking
        };
        assert_eq!(
            decide(&access, &shown(&token(lacking)), &ask, Some(KNOWN)),
            Err(Code::Forbidden),
            "{ask:?}"
        );
    }
    let any = token(Rights::DELETE_ANY);
    assert!(decide(&access, &shown(&any), &delete(), Some(KNOWN)).is_ok());
    for rights in [Rights::READ, Rights::APPEND] {
        let enter = Ask::Realtime(CHANNEL);
        assert!(decide(&access, &shown(&token(rights)), &enter, Some(KNOWN)).is_ok());
    }
}

#[test]
fn a_token_of_one_channel_never_opens_another() {
    let access = access();
    let theirs = ChannelToken::new(OTHER, Rights::TOKEN, "tess", Millis(NOW.0 + 1)).unwrap();
    // Signed with its own secret, with the victim's, whether the victim is there or not.
    for secret in ["another", SECRET] {
        let text = theirs.sign(secret);
        for known in [Some(KNOWN), None] {
            assert_eq!(
                decide(&access, &shown(&text), &read(), known),
                Err(Code::Forbidden)
            );
        }
    }
    let forged = ChannelToken::new(CHANNEL, Rights::TOKEN, "tess", Millis(NOW.0 + 1))
        .unwrap()
        .sign("guess");
    for known in [Some(KNOWN), None] {
        assert_eq!(
            decide(&access, &shown(&forged), &read(), known),
            Err(Code::Unauthorized)
        );
    }
}

#[test]
fn rotating_the_secret_ends_all_tokens_and_time_ends_each() {
    let access = access();
    let text = all_rights();
    let rotated = Known {
        secret: Some("new"),
        ..KNOWN
    };
    assert_eq!(
        decide(&access, &shown(&text), &read(), Some(rotated)),
        Err(Code::Unauthorized)
    );
    let ends = ChannelToken::verify(&text, SECRET, NOW)
        .unwrap()
        .expires_at();
    let at = |now: Millis| authorize(&access, &shown(&text), &read(), Some(KNOWN), now);
    assert!(at(Millis(ends.0 - 1)).is_ok());
    assert_eq!(at(ends).unwrap_err().code, Code::Unauthorized);
}

#[test]
fn who_shows_a_token_is_judged_by_it_whatever_else_is_shown() {
    let access = access();
    let weak = token(Rights::READ);
    let mut both = key("ApiKey acme-admin");
    both.query_token(Some(weak.as_str().into()));
    assert!(decide(&access, &both, &read(), Some(KNOWN)).is_ok());
    assert_eq!(
        decide(&access, &both, &append(), Some(KNOWN)),
        Err(Code::Forbidden)
    );
    assert_eq!(
        decide(&access, &both, &list(None), None),
        Err(Code::Forbidden)
    );
}

#[test]
fn a_deleted_channel_is_gone_for_those_who_could_see_it_and_still_described() {
    let access = access();
    let deleted = Some(Known {
        deleted: true,
        ..KNOWN
    });
    let text = all_rights();
    for credentials in [key("ApiKey acme-admin"), shown(&text)] {
        assert_eq!(
            decide(&access, &credentials, &read(), deleted),
            Err(Code::Gone)
        );
        let describe = Ask::Describe(CHANNEL);
        assert!(decide(&access, &credentials, &describe, deleted).is_ok());
    }
}

#[test]
fn wrong_settings_are_refused_and_no_key_is_ever_printed() {
    for (text, expected) in [
        ("acme", KeyError::Shape { entry: 1 }),
        ("acme:read", KeyError::Shape { entry: 1 }),
        ("a:read:k acme:read:", KeyError::Shape { entry: 2 }),
        (":read:hush", KeyError::Namespace { entry: 1 }),
        ("a/b:read:hush", KeyError::Namespace { entry: 1 }),
        ("acme:reed:hush", KeyError::Rights { entry: 1 }),
        ("acme::hush", KeyError::Rights { entry: 1 }),
        ("acme:read,:hush", KeyError::Rights { entry: 1 }),
        ("a:read:hush b:read:hush", KeyError::Twice { entry: 2 }),
    ] {
        let error = KeyRing::parse(text).unwrap_err();
        assert_eq!(error, expected, "{text}");
        assert!(!format!("{error} {error:?}").contains("hush"));
    }
    let many: Vec<_> = (0..=KeyRing::KEYS_MAX)
        .map(|at| format!("a:read:k{at}"))
        .collect();
    assert_eq!(
        KeyRing::parse(&many.join(" ")).unwrap_err(),
        KeyError::TooMany
    );
    let long = format!("a:read:{}", "k".repeat(KeyRing::KEY_BYTES_MAX + 1));
    assert_eq!(
        KeyRing::parse(&long).unwrap_err(),
        KeyError::Shape { entry: 1 }
    );
    let access = KeyRing::parse(" \n").unwrap();
    assert!(access.is_empty());
    let printed = format!("{:?} {:?}", self::access(), key("ApiKey acme-admin"));
    assert_eq!(
        printed,
        "Access { keys: KeyRing { keys: 7, .. }, stored: KeyRing { keys: 0, .. }, \
         closed: false, revoked: Revocations { all: {} }, issuers: Issuers { issuers: {}, own: 0, .. }, asks: false } \
         Credentials { bearer: true, token: false, share: false, ticket: false }"
    );
}

proptest! {
    /// With keys in place, made-up credentials open nothing.
    #[test]
    fn hostile_credentials_open_nothing(text in ".{0,60}", bytes: Vec<u8>) {
        let access = access();
        for value in [text.as_bytes(), &bytes] {
            for name in ["Authorization", "X-Channel-Token", "x-log-token"] {
                let credentials = Credentials::read([(name, value)].into_iter());
                for (ask, _) in in_channel() {
                    prop_assert!(decide(&access, &credentials, &ask, Some(KNOWN)).is_err());
                }
            }
        }
        let _ = KeyRing::parse(&text);
    }
}
