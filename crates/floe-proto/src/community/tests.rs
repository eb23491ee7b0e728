use super::*;
use crate::{ChannelId, Millis};

fn all() -> Vec<Change> {
    let member = Member {
        role: Role::Moderator,
        joined_at: Millis(1_700_000_000_123),
        timed_out_until: Some(Millis(1_700_000_060_000)),
    };
    let ban = Ban {
        by: "ann".into(),
        at: Millis(1_700_000_000_123),
        until: None,
        reason: Some("\"spam\"".into()),
    };
    let room = CommunityRoom {
        kind: RoomKind::Voice,
        name: "lounge".into(),
        read: Role::Member,
        write: Role::Moderator,
        created_at: Millis(1_700_000_000_123),
        participants_max: Some(5),
    };
    let id = ChannelId([1, 2, 3, 4, 5, 6]);
    vec![
        Change::About(About {
            name: "Penguins".into(),
            join: Policy::Invite,
        }),
        Change::Member {
            user: "bob".into(),
            member: Some(member),
            cause: Cause::Added,
        },
        Change::Member {
            user: "bob".into(),
            member: None,
            cause: Cause::Kicked,
        },
        Change::Ban {
            user: "eve".into(),
            ban: Some(ban),
        },
        Change::Ban {
            user: "eve".into(),
            ban: None,
        },
        Change::Room {
            id,
            room: Some(room),
        },
        Change::Room { id, room: None },
    ]
}

#[test]
fn changes_come_back_from_their_bytes() {
    let mut bytes = Vec::new();
    encode_changes(&all(), &mut bytes);
    assert_eq!(decode_changes(&bytes), Some(all()));
    for end in 0..bytes.len() {
        assert_eq!(decode_changes(&bytes[..end]), None, "{end}");
    }
    bytes.push(0);
    assert_eq!(decode_changes(&bytes), None);
}

#[test]
fn messages_are_those_of_the_state_protocol() {
    let changes: Vec<_> = all().into_iter().map(|change| (change, true)).collect();
    let signed = Signed {
        waddle: "penguins",
        first_seq: 7,
        now: Millis(1_700_000_000_123),
        user: Some("ann"),
        reason: None,
    };
    let (mut out, mut lens) = (Vec::new(), Vec::new());
    write_messages(&changes, &signed, &mut out, &mut lens);
    assert_eq!(
        lens.iter().map(|len| *len as usize).sum::<usize>(),
        out.len()
    );
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<&str> = {
        let mut rest = &*text;
        let cut = lens.iter().map(|len| {
            let (line, after) = rest.split_at(*len as usize);
            rest = after;
            line
        });
        cut.collect()
    };
    let headers = r#""txid":"7","timestamp":"2023-11-14T22:13:20.123Z","user":"ann""#;
    assert_eq!(
        lines[1],
        format!(
            r#"{{"type":"member","key":"bob","value":{{"role":"moderator","joinedAt":"2023-11-14T22:13:20.123Z","timedOutUntil":"2023-11-14T22:14:20.000Z"}},"headers":{{"operation":"insert",{headers},"cause":"added"}}}},"#
        )
    );
    assert_eq!(
        lines[6],
        format!(
            r#"{{"type":"channel","key":"010203040506","headers":{{"operation":"delete",{headers}}}}},"#
        )
    );
    for line in lines {
        let json = line.strip_suffix(',').unwrap();
        let read: Message<'_> = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), json);
    }
}

#[test]
fn ids_are_plain() {
    for (text, is_one) in [
        ("penguins", true),
        ("a-b_C9", true),
        ("", false),
        ("a/b", false),
        ("a.b", false),
        ("ä", false),
        (&*"x".repeat(64), true),
        (&*"x".repeat(65), false),
    ] {
        assert_eq!(text.parse::<WaddleId>().is_ok(), is_one, "{text}");
    }
    assert_eq!(
        WaddleId::of_path(b"__waddle__/penguins").map(|id| id.path()),
        Some("__waddle__/penguins".to_owned())
    );
    assert_eq!(WaddleId::of_path(b"__waddle__/a/b"), None);
}

#[test]
fn each_role_may_what_the_one_below_may() {
    for pair in Role::ALL.windows(2) {
        assert!(pair[0] < pair[1]);
        assert!(pair[1].rights().contains(pair[0].rights()));
        assert_eq!(Role::of_word(pair[1].as_str()), Some(pair[1]));
    }
}
