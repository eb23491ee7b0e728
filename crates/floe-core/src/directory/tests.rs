use proptest::prelude::*;

use super::*;

const NOW: Millis = Millis(1_000_000);

fn namespace(name: &str) -> Namespace {
    name.parse().unwrap()
}

fn entry(name: &str) -> NamespaceEntry {
    NamespaceEntry::new(namespace(name), NOW, SigningSecret([7; 32]))
}

fn key(id: &str, in_namespace: Option<&str>, rights: Rights) -> KeyEntry {
    let mut digest = [0; 32];
    digest[..id.len()].copy_from_slice(id.as_bytes());
    KeyEntry {
        id: id.into(),
        name: "".into(),
        digest,
        namespace: in_namespace.map(namespace),
        grants: [(KeyEntry::EVERYWHERE.into(), rights)].into(),
        user: None,
        created_at: NOW,
        expires_at: None,
        rotated: None,
        last_used_at: None,
    }
}

fn operator(id: &str) -> KeyEntry {
    key(id, None, Rights::ALL)
}

fn of_user(id: &str, in_namespace: &str, user: &str) -> KeyEntry {
    KeyEntry {
        user: Some(user.into()),
        ..key(id, Some(in_namespace), Rights::READ)
    }
}

fn revoke(in_namespace: Option<&str>, what: Revoked) -> Command {
    Command::Revoke(Revocation {
        namespace: in_namespace.map(namespace),
        what,
        revoked_at: NOW,
        until: NOW.plus(1_000),
    })
}

fn directory(commands: impl IntoIterator<Item = Command>) -> Directory {
    let mut directory = Directory::new(Limits::default());
    for command in commands {
        directory.decide(NOW, &command, false).unwrap();
        directory.apply(NOW, command);
    }
    directory
}

/// Stores everything and takes it up again.
fn restarted(directory: &Directory) -> Directory {
    let mut again = Directory::new(directory.limits);
    for drawer in Drawer::all() {
        again.restore(&directory.encode(drawer)).unwrap();
    }
    again
}

fn same(one: &Directory, other: &Directory) -> bool {
    one.namespaces == other.namespaces
        && one.deleting == other.deleting
        && one.keys == other.keys
        && one.revocations == other.revocations
        && one.closed == other.closed
}

#[test]
fn the_first_key_must_be_one_that_can_look_after_the_server() {
    let directory = Directory::new(Limits::default());
    let decide =
        |key: KeyEntry, elsewhere| directory.decide(NOW, &Command::CreateKey(key), elsewhere);
    let weak = key("weak", None, Rights::READ);
    let narrow = key("narrow", Some("acme"), Rights::ALL);
    let short = KeyEntry {
        expires_at: Some(NOW.plus(1)),
        ..operator("short")
    };
    for refused in [weak, narrow, short] {
        assert_eq!(decide(refused.clone(), false), Err(Refusal::FirstKey));
        assert_eq!(decide(refused, true), Ok(()));
    }
    assert_eq!(decide(operator("one"), false), Ok(()));
}

#[test]
fn the_last_operator_stays() {
    let directory = directory([
        Command::CreateKey(operator("one")),
        Command::CreateKey(KeyEntry {
            user: Some("ann".into()),
            ..operator("two")
        }),
        Command::CreateKey(key("other", Some("acme"), Rights::ALL)),
        Command::DeleteKey("one".into()),
    ]);
    let user = || Revoked::User("ann".into());
    for last in [Command::DeleteKey("two".into()), revoke(None, user())] {
        let refused = directory.decide(NOW, &last, false);
        assert_eq!(refused, Err(Refusal::LastOperator));
        assert_eq!(directory.decide(NOW, &last, true), Ok(()));
    }
    for harmless in [
        Command::DeleteKey("other".into()),
        revoke(Some("acme"), user()),
        revoke(None, Revoked::Token("x".into())),
    ] {
        assert_eq!(directory.decide(NOW, &harmless, false), Ok(()));
    }
}

#[test]
fn a_server_that_had_a_key_stays_closed() {
    let mut directory = directory([Command::CreateKey(operator("one"))]);
    directory.apply(NOW, Command::DeleteKey("one".into()));
    assert_eq!(directory.keys().count(), 0);
    assert!(directory.is_closed() && restarted(&directory).is_closed());
    assert!(!Directory::new(Limits::default()).is_closed());
}

#[test]
fn a_forgotten_namespace_takes_its_keys_and_no_others() {
    let mut directory = directory([
        Command::CreateKey(operator("one")),
        Command::CreateNamespace(entry("acme")),
        Command::CreateKey(key("two", Some("acme"), Rights::READ)),
        Command::CreateKey(key("three", Some("umbra"), Rights::READ)),
    ]);
    directory.apply(NOW, Command::DeleteNamespace(namespace("acme")));
    assert_eq!(directory.keys().count(), 3);
    directory.apply(NOW, Command::ForgetNamespace(namespace("acme")));
    let left: Vec<_> = directory.keys().map(|key| &*key.id).collect();
    assert_eq!(left, ["one", "three"]);
    assert!(same(&directory, &restarted(&directory)));
    for (name, refusal) in [
        ("acme", Refusal::NoNamespace),
        ("default", Refusal::DefaultNamespace),
    ] {
        let command = Command::DeleteNamespace(namespace(name));
        assert_eq!(directory.decide(NOW, &command, false), Err(refusal));
    }
}

#[test]
fn a_namespace_that_is_being_deleted_takes_nothing_and_its_name_is_not_free() {
    let acme = || namespace("acme");
    let mut directory = directory([
        Command::CreateKey(operator("one")),
        Command::CreateNamespace(entry("acme")),
        Command::CreateNamespace(entry("umbra")),
        Command::CreateKey(key("two", Some("acme"), Rights::READ)),
    ]);
    let forget = Command::ForgetNamespace(acme());
    let early = directory.decide(NOW, &forget, false);
    assert_eq!(early, Err(Refusal::NotBeingDeleted));
    directory.apply(NOW, Command::DeleteNamespace(acme()));
    let mut directory = restarted(&directory);
    assert_eq!(directory.deleting(), Some(&acme()));
    assert!(directory.is_deleting("acme") && !directory.is_deleting("umbra"));
    for refused in [
        Command::CreateNamespace(entry("acme")),
        Command::DeleteNamespace(acme()),
        Command::ChangeNamespace {
            name: acme(),
            change: SettingsChange::default(),
            secret: SigningSecret([8; 32]),
        },
        Command::RotateSecret {
            name: acme(),
            secret: SigningSecret([8; 32]),
            old_until: NOW,
        },
        Command::CreateKey(key("three", Some("acme"), Rights::READ)),
        Command::RotateKey {
            id: "two".into(),
            digest: [9; 32],
            old_until: NOW,
        },
    ] {
        let decided = directory.decide(NOW, &refused, false);
        assert_eq!(decided, Err(Refusal::BeingDeleted), "{refused:?}");
    }
    directory.decide(NOW, &forget, false).unwrap();
    directory.apply(NOW, forget);
    let directory = restarted(&directory);
    assert_eq!(directory.deleting(), None);
    let again = Command::CreateNamespace(entry("acme"));
    assert_eq!(directory.decide(NOW, &again, false), Ok(()));
}

#[test]
fn a_rotated_secret_leaves_the_one_before_for_a_while() {
    let rotate = |secret, overlap_ms| Command::RotateSecret {
        name: namespace("acme"),
        secret: SigningSecret([secret; 32]),
        old_until: NOW.plus(overlap_ms),
    };
    let mut directory = directory([Command::CreateNamespace(entry("acme")), rotate(8, 10)]);
    let secrets = |directory: &Directory| {
        let entry = directory.namespace(&namespace("acme")).unwrap();
        (entry.secret_number, entry.secret, entry.old_secret)
    };
    let old = Some((SigningSecret([7; 32]), NOW.plus(10)));
    let expected = (2, SigningSecret([8; 32]), old);
    assert_eq!(secrets(&directory), expected);
    assert_eq!(secrets(&restarted(&directory)), expected);
    directory.tick(NOW.plus(60_000));
    assert_eq!(secrets(&directory).2, None);
    assert!(!directory.is_stored());
    // Without an overlap nothing is left of the old one.
    directory.apply(NOW, rotate(9, 0));
    let expected = (3, SigningSecret([9; 32]), None);
    assert_eq!(secrets(&directory), expected);
    assert_eq!(secrets(&restarted(&directory)), expected);
    let of = |name: &str| Command::RotateSecret {
        name: namespace(name),
        secret: SigningSecret([1; 32]),
        old_until: NOW,
    };
    let refused = directory.decide(NOW, &of("umbra"), false);
    assert_eq!(refused, Err(Refusal::NoNamespace));
    assert_eq!(directory.decide(NOW, &of("default"), false), Ok(()));
    directory.apply(NOW, of("default"));
    let made = directory.namespace(&Namespace::default()).unwrap();
    assert_eq!(made.secret_number, 1);
}

#[test]
fn a_rotated_key_has_two_secrets_for_a_while() {
    let rotate = Command::RotateKey {
        id: "one".into(),
        digest: [9; 32],
        old_until: NOW.plus(10),
    };
    let mut directory = directory([Command::CreateKey(operator("one")), rotate]);
    let old = operator("one").digest;
    let found = directory.key("one").unwrap();
    assert_eq!(
        (found.digest, found.rotated),
        ([9; 32], Some((old, NOW.plus(10))))
    );
    directory.tick(NOW.plus(60_000));
    assert_eq!(directory.key("one").unwrap().rotated, None);
    assert!(same(&directory, &restarted(&directory)));
}

#[test]
fn a_revocation_covers_what_was_there_and_nothing_later_or_elsewhere() {
    let directory = directory([
        Command::CreateKey(operator("one")),
        Command::CreateKey(of_user("two", "acme", "ann")),
        Command::CreateKey(of_user("three", "umbra", "ann")),
        revoke(Some("acme"), Revoked::User("ann".into())),
        revoke(Some("acme"), Revoked::Token("t".into())),
        revoke(None, Revoked::Token("all".into())),
    ]);
    let left: Vec<_> = directory.keys().map(|key| &*key.id).collect();
    assert_eq!(left, ["one", "three"]);
    let (acme, umbra) = (namespace("acme"), namespace("umbra"));
    let shown = |namespace, user, token, issued_at| Shown {
        namespace,
        user,
        token,
        issued_at,
    };
    let cover = |shown| directory.revocations().cover(&shown);
    let (before, after) = (Some(NOW), Some(NOW.plus(1)));
    for (expected, shown) in [
        (true, shown(Some(&acme), Some("ann"), None, before)),
        (true, shown(Some(&acme), Some("ann"), Some("x"), None)),
        (false, shown(Some(&acme), Some("ann"), None, after)),
        (false, shown(Some(&umbra), Some("ann"), None, before)),
        (false, shown(None, Some("ann"), None, before)),
        (false, shown(Some(&acme), Some("bob"), None, before)),
        (true, shown(Some(&acme), Some("bob"), Some("t"), after)),
        (false, shown(Some(&umbra), None, Some("t"), before)),
        (true, shown(Some(&umbra), None, Some("all"), after)),
        (true, shown(None, None, Some("all"), None)),
        (false, shown(None, None, None, None)),
    ] {
        assert_eq!(cover(shown), expected, "{shown:?}");
    }
}

#[test]
fn what_has_lapsed_is_forgotten() {
    let mut directory = directory([revoke(None, Revoked::Token("t".into()))]);
    directory.tick(NOW.plus(999));
    assert!(!directory.revocations().is_empty());
    directory.tick(NOW.plus(61_000));
    assert!(directory.revocations().is_empty());
    assert!(same(&directory, &restarted(&directory)));
}

#[test]
fn the_last_use_of_a_key_is_stored_once_a_minute() {
    let mut directory = directory([Command::CreateKey(operator("one"))]);
    while directory.poll_unstored().is_some() {}
    directory.tick(NOW.plus(60_000));
    for ms in 60_001..60_100 {
        directory.note_used(NOW.plus(ms), "one");
        directory.tick(NOW.plus(ms));
        assert!(directory.is_stored());
    }
    directory.tick(NOW.plus(120_000));
    let (drawer, bytes) = directory.poll_unstored().unwrap();
    assert!(directory.is_stored());
    let mut again = Directory::new(Limits::default());
    again.restore(&bytes).unwrap();
    assert_eq!(
        again.key("one").unwrap().last_used_at,
        Some(NOW.plus(60_099))
    );
    directory.store_again(drawer);
    assert!(!directory.is_stored());
}

#[test]
fn everything_is_bounded() {
    let limits = Limits {
        namespaces_max: 1,
        keys_max: 3,
        namespace_keys_max: 2,
        revocations_max: 2,
        namespace_revocations_max: 1,
        ..Limits::default()
    };
    let mut directory = Directory::new(limits);
    for command in [
        Command::CreateNamespace(entry("acme")),
        Command::CreateKey(operator("one")),
        Command::CreateKey(operator("two")),
        revoke(None, Revoked::Token("t".into())),
    ] {
        directory.decide(NOW, &command, false).unwrap();
        directory.apply(NOW, command);
    }
    let user = || Revoked::User("u".into());
    for command in [
        Command::CreateNamespace(entry("umbra")),
        Command::CreateKey(operator("three")),
        revoke(None, user()),
    ] {
        let code = directory.decide(NOW, &command, false).unwrap_err().code();
        assert_eq!(code, Code::LimitReached, "{command:?}");
    }
    directory.apply(
        NOW,
        Command::CreateKey(key("four", Some("acme"), Rights::READ)),
    );
    let fifth = Command::CreateKey(key("five", Some("acme"), Rights::READ));
    let refused = directory.decide(NOW, &fifth, false).unwrap_err();
    assert_eq!(refused.to_string(), "there are 3 keys, which is the most");
    directory.apply(NOW, revoke(Some("acme"), user()));
    assert!(
        directory
            .decide(NOW, &revoke(Some("umbra"), user()), false)
            .is_err()
    );
    // What has lapsed no longer counts.
    let later = NOW.plus(1_000);
    assert!(
        directory
            .decide(later, &revoke(Some("umbra"), user()), false)
            .is_ok()
    );
}

#[test]
fn nothing_that_is_printed_is_secret() {
    let directory = directory([
        Command::CreateNamespace(NamespaceEntry {
            secret: SigningSecret([0xAB; 32]),
            ..entry("acme")
        }),
        Command::CreateKey(KeyEntry {
            digest: [0xAB; 32],
            ..operator("one")
        }),
    ]);
    let printed = format!("{directory:?} {:?}", directory.key("one"));
    assert!(!printed.contains("171"), "{printed}");
}

#[test]
fn the_bytes_of_a_drawer_are_fixed() {
    let mut directory = directory([
        Command::CreateNamespace(NamespaceEntry {
            settings: NamespaceSettings {
                origins: vec!["https://a".into()],
                retention: floe_proto::Retention {
                    max_events: Some(300),
                    ..Default::default()
                },
                quotas: [("rooms".into(), 5)].into(),
            },
            ..entry("acme")
        }),
        Command::CreateKey(operator("one")),
    ]);
    directory.closed = false;
    let hex = |drawer| -> String {
        let bytes = directory.encode(drawer);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let name = namespace("acme");
    assert_eq!(
        hex(drawer_of_namespace(&name)),
        format!(
            "0102460461636d6540420f000000000020{}010968747470733a2f2f610001ac02000105726f6f6d7305",
            "07".repeat(32)
        )
    );
    assert_eq!(
        hex(drawer_of_key("one")),
        format!(
            "010339036f6e650020{}{}0001022a2aff030040420f0000000000000000",
            "6f6e65",
            "00".repeat(29)
        )
    );
    let before = directory.namespace(&name).unwrap().clone();
    let rotated = hex_of(&before, |entry| {
        entry.rotate(NOW, SigningSecret([8; 32]), NOW.plus(1));
        entry.deleting_since = Some(NOW);
    });
    assert_eq!(
        rotated,
        format!("0220{}41420f000000000001c0843d", "07".repeat(32))
    );
    let numbers = [
        drawer_of_namespace(&name).number(),
        drawer_of_key("one").number(),
    ];
    assert_eq!(numbers, [188, 15]);
}

/// Returns what a change adds to the bytes of a namespace.
fn hex_of(before: &NamespaceEntry, change: impl FnOnce(&mut NamespaceEntry)) -> String {
    let mut after = before.clone();
    change(&mut after);
    let fixed = codec::encode_namespace(before).len();
    let bytes = codec::encode_namespace(&after);
    bytes[fixed..]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn names() -> impl Strategy<Value = Option<&'static str>> {
    prop::sample::select(vec![None, Some("default"), Some("acme"), Some("umbra")])
}

fn ids() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c", "d", "e"])
}

fn commands() -> impl Strategy<Value = Command> {
    let made = prop::sample::select(vec!["default", "acme", "umbra", "third"]);
    let rights = (0..512_u16).prop_map(|bits| Rights::from_bits(bits).unwrap());
    let user = prop::option::of(prop::sample::select(vec!["ann", "bob"]));
    let what = (ids(), any::<bool>()).prop_map(|(name, token)| match token {
        true => Revoked::Token(name.into()),
        false => Revoked::User(if name < "c" { "ann" } else { "bob" }.into()),
    });
    prop_oneof![
        made.clone()
            .prop_map(|name| Command::CreateNamespace(entry(name))),
        made.clone()
            .prop_map(|name| Command::DeleteNamespace(namespace(name))),
        made.clone()
            .prop_map(|name| Command::ForgetNamespace(namespace(name))),
        (made.clone(), 0..50_u64).prop_map(|(name, ms)| Command::RotateSecret {
            name: namespace(name),
            secret: SigningSecret([ms as u8; 32]),
            old_until: NOW.plus(ms),
        }),
        (made, 0..5_u64).prop_map(|(name, rooms)| Command::ChangeNamespace {
            name: namespace(name),
            change: SettingsChange {
                quotas: [("rooms".into(), (rooms > 0).then_some(rooms))].into(),
                ..SettingsChange::default()
            },
            secret: SigningSecret([8; 32]),
        }),
        (ids(), names(), rights, user, prop::option::of(0..50_u64)).prop_map(
            |(id, name, rights, user, life)| Command::CreateKey(KeyEntry {
                user: user.map(Into::into),
                expires_at: life.map(|ms| NOW.plus(ms)),
                ..key(id, name, rights)
            })
        ),
        (ids(), any::<[u8; 32]>(), 0..50_u64).prop_map(|(id, digest, ms)| Command::RotateKey {
            id: id.into(),
            digest,
            old_until: NOW.plus(ms),
        }),
        ids().prop_map(|id| Command::DeleteKey(id.into())),
        (names(), what, 0..50_u64).prop_map(|(name, what, ms)| Command::Revoke(Revocation {
            namespace: name.map(namespace),
            what,
            revoked_at: NOW.plus(ms),
            until: NOW.plus(2 * ms),
        })),
    ]
}

/// What a directory does, written down once more as plain lists.
#[derive(Debug, Default)]
struct Model {
    namespaces: Vec<(Namespace, BTreeMap<Box<str>, u64>)>,
    deleting: Vec<Namespace>,
    keys: Vec<KeyEntry>,
    closed: bool,
}

const MODEL_LIMITS: Limits = Limits {
    namespaces_max: 3,
    keys_max: 4,
    namespace_keys_max: 3,
    revocations_max: 4,
    namespace_revocations_max: 3,
    used_store_ms: 10,
};

impl Model {
    fn operators(&self, now: Millis) -> Vec<Box<str>> {
        let keys = self.keys.iter();
        let keys = keys.filter(|key| key.is_operator() && key.expires_at.is_none_or(|at| at > now));
        keys.map(|key| key.id.clone()).collect()
    }

    /// Returns whether a command would change something in a namespace that is being deleted.
    fn ends(&self, command: &Command) -> bool {
        let key_of = |id: &str| self.keys.iter().find(|key| &*key.id == id);
        let of = match command {
            Command::CreateNamespace(entry) => Some(&entry.name),
            Command::ChangeNamespace { name, .. }
            | Command::RotateSecret { name, .. }
            | Command::DeleteNamespace(name) => Some(name),
            Command::CreateKey(key) => key.namespace.as_ref(),
            Command::RotateKey { id, .. } => key_of(id).and_then(|key| key.namespace.as_ref()),
            Command::ForgetNamespace(name) => return !self.deleting.contains(name),
            Command::DeleteKey(_) | Command::Revoke(_) => None,
        };
        of.is_some_and(|name| self.deleting.contains(name))
    }

    fn apply(&mut self, command: &Command) {
        match command {
            Command::CreateNamespace(entry) => {
                self.namespaces.push((entry.name.clone(), BTreeMap::new()));
            }
            Command::ChangeNamespace { name, change, .. } => {
                if !self.namespaces.iter().any(|(known, _)| known == name) {
                    self.namespaces.push((name.clone(), BTreeMap::new()));
                }
                let mut found = self.namespaces.iter_mut();
                let (_, quotas) = found.find(|(known, _)| known == name).unwrap();
                for (quota, value) in &change.quotas {
                    quotas.remove(quota);
                    quotas.extend(value.map(|value| (quota.clone(), value)));
                }
            }
            Command::RotateSecret { name, .. } => {
                if !self.namespaces.iter().any(|(known, _)| known == name) {
                    self.namespaces.push((name.clone(), BTreeMap::new()));
                }
            }
            Command::DeleteNamespace(name) => self.deleting.push(name.clone()),
            Command::ForgetNamespace(name) => {
                self.deleting.retain(|known| known != name);
                self.namespaces.retain(|(known, _)| known != name);
                self.keys.retain(|key| key.namespace.as_ref() != Some(name));
            }
            Command::CreateKey(key) => {
                self.closed = true;
                self.keys.push(key.clone());
            }
            Command::RotateKey {
                id,
                digest,
                old_until,
            } => {
                let mut found = self.keys.iter_mut();
                let key = found.find(|key| key.id == *id).unwrap();
                key.rotated = Some((key.digest, *old_until));
                key.digest = *digest;
            }
            Command::DeleteKey(id) => self.keys.retain(|key| key.id != *id),
            Command::Revoke(revocation) => self.keys.retain(|key| {
                let here = revocation.namespace.is_none() || revocation.namespace == key.namespace;
                let user = matches!(&revocation.what, Revoked::User(user) if key.user.as_ref() == Some(user));
                !(here && user && key.created_at <= revocation.revoked_at)
            }),
        }
    }
}

proptest! {
    /// A directory does what its plain model does, is bounded, never loses its last operator, and
    /// comes back from what it has stored.
    #[test]
    fn a_directory_is_as_its_model(
        commands in prop::collection::vec((commands(), 0..5_u64, any::<bool>()), 0..60),
    ) {
        let mut directory = Directory::new(MODEL_LIMITS);
        let mut model = Model::default();
        let mut stored = BTreeMap::new();
        let mut now = NOW;
        for (command, ms, elsewhere) in commands {
            now = now.plus(ms);
            let before = model.operators(now);
            if directory.decide(now, &command, elsewhere).is_ok() {
                prop_assert!(!model.ends(&command));
                model.apply(&command);
                directory.apply(now, command);
                prop_assert!(elsewhere || before.is_empty() || !model.operators(now).is_empty());
            }
            directory.note_used(now, "a");
            directory.tick(now);
            for key in &mut model.keys {
                let known = directory.key(&key.id).unwrap();
                key.last_used_at = known.last_used_at;
                // An old secret that has ended may be forgotten, another may not.
                if key.rotated.is_some_and(|(_, until)| until <= now) && known.rotated.is_none() {
                    key.rotated = None;
                }
            }
            model.keys.sort_by(|one, other| one.id.cmp(&other.id));
            prop_assert!(directory.keys().eq(&model.keys));
            model.namespaces.sort();
            let found = directory.namespaces();
            let found: Vec<_> = found
                .map(|entry| (entry.name.clone(), entry.settings.quotas.clone()))
                .collect();
            prop_assert_eq!(&found, &model.namespaces);
            model.deleting.sort();
            prop_assert!(directory.deleting.iter().eq(&model.deleting));
            prop_assert_eq!(directory.is_closed(), model.closed);
            prop_assert!(directory.namespaces().count() <= MODEL_LIMITS.namespaces_max);
            prop_assert!(directory.keys().count() <= MODEL_LIMITS.keys_max);
            let (matter, _) = directory.revocations().count(now, None);
            prop_assert!(matter <= MODEL_LIMITS.revocations_max);
            while let Some((drawer, bytes)) = directory.poll_unstored() {
                stored.insert(drawer, bytes);
            }
        }
        directory.note_used(now, "a");
        directory.tick(now.plus(MODEL_LIMITS.used_store_ms));
        while let Some((drawer, bytes)) = directory.poll_unstored() {
            stored.insert(drawer, bytes);
        }
        let mut again = Directory::new(MODEL_LIMITS);
        for bytes in stored.values() {
            again.restore(bytes).unwrap();
        }
        prop_assert!(same(&directory, &again));
    }

    #[test]
    fn any_bytes_are_a_drawer_or_not(bytes: Vec<u8>) {
        let mut directory = Directory::new(Limits::default());
        let _ = directory.restore(&bytes);
        let _ = directory.restore(&[&[1], &bytes[..]].concat());
    }
}
