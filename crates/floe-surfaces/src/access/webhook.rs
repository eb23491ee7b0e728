//! The authorisation webhook: somebody else is asked who shows what nothing here knows.
//!
//! The question says all that there is, once per credential and not per request, and the answer is a
//! whole [`Caller`]: what they may do where, and how long that holds. So what it comes to is decided
//! by the same rules as for everybody else, and nobody is asked again while it does.

use std::net::IpAddr;

use floe_proto::{Millis, Namespace};
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::{Caller, Source};
use super::jwt::{Issuers, is_reading, read_rooms};

/// Writes the body of a question.
///
/// `bearer` is what stood in `Authorization`, `namespace` what the request names, if it does, and
/// `peer` the address that it comes from, if that is known.
#[must_use]
pub fn question(
    bearer: Option<&str>,
    namespace: Option<&Namespace>,
    peer: Option<IpAddr>,
) -> String {
    let question = json!({
        "bearer": bearer,
        "namespace": namespace.map(Namespace::as_str),
        "peer": peer.map(|peer| peer.to_string()),
    });
    question.to_string()
}

/// Reads an answer; `None` where it says no.
///
/// # Errors
/// See [`AnswerError`]. It opens nothing.
pub fn read_answer(body: &[u8], now: Millis) -> Result<Option<Caller>, AnswerError> {
    let answer: Answer = serde_json::from_slice(body).map_err(|_| AnswerError::Shape)?;
    if !answer.allow {
        return Ok(None);
    }
    let namespace = answer.namespace.and_then(|name| name.parse().ok());
    let namespace = namespace.ok_or(AnswerError::Namespace)?;
    let rooms = answer.rooms.ok_or(AnswerError::Rooms)?;
    let grants = read_rooms(&rooms).map_err(|_| AnswerError::Rooms)?;
    let is_name = |user: &str| {
        (1..=Issuers::USER_BYTES_MAX).contains(&user.len()) && !user.contains(char::is_control)
    };
    match &answer.user {
        Some(user) if !is_name(user) => return Err(AnswerError::User),
        None if !is_reading(&grants) => return Err(AnswerError::NoUser),
        Some(_) | None => {}
    }
    let ends_at = |seconds: u64| now.plus(seconds.saturating_mul(1_000));
    Ok(Some(Caller {
        namespace: Some(namespace),
        user: answer.user.map(Into::into),
        grants,
        ends_at: answer.expires_in.map(ends_at),
        source: Source::Webhook { answered_at: now },
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    allow: bool,
    namespace: Option<String>,
    user: Option<String>,
    rooms: Option<Value>,
    expires_in: Option<u64>,
}

/// Why an answer opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Write it as documented.
    #[error("it is not `{{\"allow\": …}}`")]
    Shape,
    /// Name one: nobody is in all of them.
    #[error("`namespace` is missing or no name of one")]
    Namespace,
    /// Say what is allowed.
    #[error("`rooms` is missing, or not room patterns with rights")]
    Rooms,
    /// Call them otherwise.
    #[error(
        "`user` is empty, longer than {} bytes or has control characters",
        Issuers::USER_BYTES_MAX
    )]
    User,
    /// Whoever has no name could take any.
    #[error("what is allowed takes a `user`")]
    NoUser,
}

#[cfg(test)]
mod tests {
    use floe_proto::Rights;

    use super::super::Room;
    use super::*;

    const NOW: Millis = Millis(1_800_000_000_000);

    #[test]
    fn a_question_says_what_there_is() {
        let namespace: Namespace = "acme".parse().unwrap();
        let peer = "2001:db8::1".parse().unwrap();
        assert_eq!(
            question(Some("a\"b"), Some(&namespace), Some(peer)),
            r#"{"bearer":"a\"b","namespace":"acme","peer":"2001:db8::1"}"#
        );
        assert_eq!(
            question(None, None, None),
            r#"{"bearer":null,"namespace":null,"peer":null}"#
        );
    }

    #[test]
    fn an_answer_is_a_whole_caller() {
        let body = br#"{"allow":true,"namespace":"acme","user":"tess","expiresIn":60,
            "rooms":{"stream/a/**":["read","append"]},"more":1}"#;
        let caller = read_answer(body, NOW).unwrap().unwrap();
        assert_eq!(caller.namespace, "acme".parse().ok());
        assert_eq!(caller.user.as_deref(), Some("tess"));
        assert_eq!(caller.ends_at, Some(NOW.plus(60_000)));
        let both = Rights::READ.with(Rights::APPEND);
        assert_eq!(caller.grants.in_room(Room::Stream(b"a/b")), both);
        assert_eq!(caller.grants.in_room(Room::Stream(b"b")), Rights::NONE);
        assert_eq!(read_answer(br#"{"allow":false}"#, NOW), Ok(None));
    }

    #[test]
    fn what_is_no_clear_yes_opens_nothing() {
        for (body, why) in [
            ("", AnswerError::Shape),
            ("{}", AnswerError::Shape),
            (r#"{"allow":"yes"}"#, AnswerError::Shape),
            (r#"{"allow":true}"#, AnswerError::Namespace),
            (r#"{"allow":true,"namespace":"*"}"#, AnswerError::Namespace),
            (r#"{"allow":true,"namespace":"a"}"#, AnswerError::Rooms),
            (
                r#"{"allow":true,"namespace":"a","rooms":{"**":["fly"]}}"#,
                AnswerError::Rooms,
            ),
            (
                r#"{"allow":true,"namespace":"a","rooms":{"**":["append"]}}"#,
                AnswerError::NoUser,
            ),
            (
                r#"{"allow":true,"namespace":"a","rooms":{},"user":""}"#,
                AnswerError::User,
            ),
        ] {
            assert_eq!(read_answer(body.as_bytes(), NOW), Err(why), "{body}");
        }
    }
}
