use super::super::caller::{Grants, Room, RoomPattern};
use super::*;

const NOW: Millis = Millis(1_800_000_000_000);

fn acme() -> Namespace {
    "acme".parse().unwrap()
}

fn secret() -> Secret {
    Secret::new(Some("one"), &[7; 32]).unwrap()
}

#[test]
fn tokens_of_our_own_say_what_they_were_given() {
    let namespace = acme();
    let read = (RoomPattern::parse("stream/a/**").unwrap(), Rights::READ);
    let grants = Grants::new([read]);
    let claims = Claims {
        namespace: &namespace,
        user: Some("tess"),
        grants: &grants,
        id: "t1",
        issued_at: NOW,
        ends_at: NOW.plus(5_000),
        purpose: Purpose::Share,
    };
    let token = sign(&claims, &secret());
    let mut issuers = Issuers::default();
    assert_eq!(issuers.verify(&token, NOW), Err(TokenError::UnknownIssuer));
    issuers.set_own(&namespace, [secret()]);
    assert!(issuers.is_empty());
    let verified = issuers.verify(&token, NOW).unwrap();
    assert_eq!(verified.purpose, Purpose::Share);
    let caller = verified.caller;
    assert_eq!(caller.namespace, Some(namespace.clone()));
    assert_eq!(caller.user.as_deref(), Some("tess"));
    assert_eq!(caller.grants.in_room(Room::Stream(b"a/b")), Rights::READ);
    assert_eq!(caller.grants.in_room(Room::Stream(b"b")), Rights::NONE);
    let other = Secret::new(Some("one"), &[8; 32]).unwrap();
    issuers.set_own(&namespace, [other]);
    assert_eq!(issuers.verify(&token, NOW), Err(TokenError::Signature));
}
