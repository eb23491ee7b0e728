//! The bodies of requests about waddles.

use floe_core::community::Community;
use floe_proto::community::{Policy, Role, RoomKind};
use floe_proto::{Code, Millis};
use serde::de::{Deserialize, DeserializeOwned, Deserializer};

use super::BODY_BYTES_MAX;
use super::request::End;
use crate::http::Reject;

/// A new waddle.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Waddle {
    pub id: Option<Box<str>>,
    pub name: Box<str>,
    #[serde(default)]
    pub join: Policy,
    pub owner: Option<Box<str>>,
    pub user_id: Option<Box<str>>,
}

/// What changes of a waddle.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct About {
    pub name: Option<Box<str>>,
    pub join: Option<Policy>,
    pub user_id: Option<Box<str>>,
}

/// Nothing but who acts.
#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Actor {
    pub user_id: Option<Box<str>>,
}

/// What a member is to be.
#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Membership {
    #[serde(default)]
    pub role: Role,
    pub user_id: Option<Box<str>>,
}

/// For how long, and why.
#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Term {
    seconds: Option<u64>,
    until: Option<Box<str>>,
    pub reason: Option<Box<str>>,
    pub user_id: Option<Box<str>>,
}

impl Term {
    /// Returns when it ends, where it does.
    pub(super) fn end(&self) -> Result<Option<End>, Reject> {
        match (self.seconds, self.until.as_deref()) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(Reject::invalid("`seconds` or `until`, not both")),
            (Some(seconds @ 1..=SECONDS_MAX), None) => Ok(Some(End::After { seconds })),
            (Some(_), None) => {
                let message = format!("`seconds` is a number from 1 to {SECONDS_MAX}");
                Err(Reject::invalid(message))
            }
            (None, Some(until)) => {
                let at = Millis::parse_rfc3339(until);
                let at = at.ok_or_else(|| Reject::invalid("`until` is a moment in RFC 3339"))?;
                Ok(Some(End::At(at)))
            }
        }
    }
}

/// A hundred years; what is to last longer has no end.
const SECONDS_MAX: u64 = 100 * 366 * 86_400;

/// A new room.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Room {
    pub name: Box<str>,
    #[serde(default = "text")]
    pub kind: RoomKind,
    #[serde(default)]
    pub read: Role,
    pub write: Option<Role>,
    pub participants_max: Option<u32>,
    pub user_id: Option<Box<str>>,
}

const fn text() -> RoomKind {
    RoomKind::Text
}

/// What changes of a room. A field that is not there differs from one that is null.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RoomPatch {
    pub name: Option<Box<str>>,
    pub read: Option<Role>,
    pub write: Option<Role>,
    #[serde(default, deserialize_with = "known")]
    pub participants_max: Option<Option<u32>>,
    pub user_id: Option<Box<str>>,
}

fn known<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Option<u32>>, D::Error> {
    Option::deserialize(field).map(Some)
}

/// Reads a body that must be there.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Reject> {
    if body.len() > BODY_BYTES_MAX {
        let message = format!("the body has at most {BODY_BYTES_MAX} bytes");
        return Err(Reject::new(Code::BodyTooLarge, message));
    }
    serde_json::from_slice(body).map_err(|error| {
        let code = if error.is_data() {
            Code::InvalidRequest
        } else {
            Code::InvalidJson
        };
        Reject::new(code, error.to_string())
    })
}

/// Reads a body that may be left out.
pub(super) fn parse_or_default<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, Reject> {
    if body.is_empty() {
        return Ok(T::default());
    }
    parse(body)
}

/// Checks the reason that an act gives.
pub(super) fn checked_reason(reason: Option<Box<str>>) -> Result<Option<Box<str>>, Reject> {
    let max = Community::REASON_CHARS_MAX;
    match reason {
        Some(text) if text.chars().count() > max => {
            let message = format!("a reason has up to {max} characters");
            Err(Reject::invalid(message))
        }
        reason => Ok(reason.filter(|text| !text.is_empty())),
    }
}
