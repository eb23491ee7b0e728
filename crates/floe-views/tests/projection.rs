//! What the view makes of what happened.

mod common;

use common::{Channel, View, apply, apply_from, contents, in_channel, in_namespace, query};
use floe_proto::{ChannelQuery, Millis};
use floe_views::{Applied, Change, ViewError};

#[test]
fn later_events_change_what_is_there_and_are_no_rows() {
    let view = View::new();
    let mut projector = view.projector();
    let mut channel = Channel::new(1, "acme");
    let hello = channel.say("ann", "hello");
    let gone = channel.say("bob", "secret");
    channel.edit("ann", hello, "hello all");
    channel.react("bob", hello, "+1");
    channel.react("cy", hello, "+1");
    channel.react("cy", hello, "eyes");
    channel.unreact("bob", hello, "+1");
    channel.delete("bob", gone);
    let applied = apply(&mut projector, &[&channel]);
    assert_eq!(applied.events, 8);

    let reader = view.reader();
    let page = reader.events(&query(in_channel(&channel))).unwrap();
    assert_eq!(page.next, None);
    let [item] = page.items.as_slice() else {
        panic!("{page:?}");
    };
    assert_eq!(item.channel, channel.meta.id);
    assert_eq!(item.event.content.as_deref(), Some("hello all"));
    assert_eq!(item.event.author_id, "ann");
    assert_eq!(item.event.created_at, channel.log[0].created_at);
    assert_eq!(item.edited_at, Some(channel.log[2].created_at));
    assert_eq!(item.reactions, [("+1".into(), 1), ("eyes".into(), 1)]);

    let mut all = query(in_namespace("acme"));
    all.with_deleted = true;
    let page = reader.events(&all).unwrap();
    assert_eq!(page.items.len(), 2);
    assert!(page.items[1].event.deleted);
    assert_eq!(page.items[1].event.content.as_deref(), Some("secret"));

    let (_, versions) = reader
        .event(channel.meta.id, hello, false, None)
        .unwrap()
        .unwrap();
    let versions: Vec<_> = versions
        .iter()
        .map(|version| (version.seq, version.content.as_deref().unwrap()))
        .collect();
    assert_eq!(versions, [(1, "hello"), (3, "hello all")]);
    assert_eq!(
        reader.event(channel.meta.id, gone, false, None).unwrap(),
        None
    );
    assert!(
        reader
            .event(channel.meta.id, gone, true, None)
            .unwrap()
            .is_some()
    );
}

#[test]
fn a_batch_may_come_again_and_a_gap_may_not() {
    let view = View::new();
    let mut projector = view.projector();
    let mut channel = Channel::new(1, "acme");
    for number in 0..5 {
        channel.say("ann", &number.to_string());
    }
    apply(&mut projector, &[&channel]);
    channel.say("ann", "5");
    let again = apply_from(&mut projector, 3, &[&channel]);
    assert_eq!(
        again,
        Applied {
            events: 1,
            repeated: 3,
            ..Applied::default()
        }
    );
    drop(projector);

    let mut projector = view.projector();
    assert_eq!(projector.applied(channel.meta.id).unwrap(), Some(6));
    channel.say("ann", "6");
    channel.say("ann", "7");
    let events = channel.bytes(8);
    let mut change = Change {
        meta: channel.meta.clone(),
        first_seq: 8,
        events: &events,
        purged: false,
    };
    assert!(matches!(
        projector.apply(&[change.clone()]),
        Err(ViewError::Gap {
            expected: 7,
            found: 8,
            ..
        })
    ));
    assert_eq!(projector.applied(channel.meta.id).unwrap(), Some(6));
    change.meta.start = 8;
    projector.apply(&[change]).unwrap();
    assert_eq!(projector.applied(channel.meta.id).unwrap(), Some(8));
    let found = contents(&view.reader(), query(in_channel(&channel)));
    assert_eq!(found, ["7"]);
}

#[test]
fn a_failed_batch_leaves_nothing_behind() {
    let view = View::new();
    let mut projector = view.projector();
    let mut good = Channel::new(1, "acme");
    good.say("ann", "one");
    let bad = Channel::new(2, "acme");
    let events = good.bytes(1);
    let change = |channel: &Channel, events| Change {
        meta: channel.meta.clone(),
        first_seq: 1,
        events,
        purged: false,
    };
    let failed = projector.apply(&[change(&good, &events), change(&bad, b"{nonsense")]);
    assert!(matches!(failed, Err(ViewError::NotEvents { seq: 1, .. })));
    assert_eq!(projector.applied(good.meta.id).unwrap(), None);
    apply(&mut projector, &[&good]);
    assert_eq!(
        contents(&view.reader(), query(in_namespace("acme"))),
        ["one"]
    );
}

#[test]
fn a_purged_channel_is_gone_and_may_come_again() {
    let view = View::new();
    let mut projector = view.projector();
    let mut channel = Channel::new(1, "acme");
    channel.say("ann", "one");
    apply(&mut projector, &[&channel]);
    let purge = Change {
        meta: channel.meta.clone(),
        first_seq: 2,
        events: b"",
        purged: true,
    };
    let applied = projector.apply(&[purge]).unwrap();
    assert_eq!(applied.removed, 1);
    assert_eq!(projector.applied(channel.meta.id).unwrap(), None);
    let reader = view.reader();
    let channels = ChannelQuery {
        owner: "acme".into(),
        with_deleted: true,
        limit: 10,
        page: None,
    };
    assert_eq!(reader.channels(&channels).unwrap().items, []);
    assert!(contents(&reader, query(in_namespace("acme"))).is_empty());

    apply(&mut projector, &[&channel]);
    assert_eq!(
        reader.channels(&channels).unwrap().items,
        [channel.meta.clone()]
    );
    channel.meta.deleted_at = Some(Millis(77_000));
    apply(&mut projector, &[&channel]);
    assert!(contents(&reader, query(in_namespace("acme"))).is_empty());
    assert_eq!(reader.channels(&channels).unwrap().items, [channel.meta]);
}

#[test]
fn the_watermark_lasts_until_something_is_applied() {
    let view = View::new();
    let mut projector = view.projector();
    projector.set_watermark(77).unwrap();
    drop(projector);
    let mut projector = view.projector();
    assert_eq!(projector.watermark().unwrap(), 77);
    let mut channel = Channel::new(1, "acme");
    channel.say("ann", "one");
    apply(&mut projector, &[&channel]);
    assert_eq!(projector.watermark().unwrap(), 0);
}
