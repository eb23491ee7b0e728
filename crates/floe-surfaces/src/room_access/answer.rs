//! Answers about a room's rules.

use std::collections::BTreeMap;

use floe_core::access::RoomAccess;
use floe_proto::Rights;
use serde::Serialize;

use crate::http::{Answer, Envelope};

/// The rules of one room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules<'a> {
    /// The room, as a path names it.
    pub room: &'a str,
    /// How often they have changed.
    pub version: u64,
    /// What they say.
    pub access: &'a RoomAccess,
}

/// Writes the answer with the rules as they are.
pub fn write_rules(out: &mut Vec<u8>, envelope: &Envelope<'_>, rules: &Rules<'_>) {
    #[derive(Serialize)]
    struct Body<'a> {
        room: &'a str,
        version: u64,
        public: &'static str,
        owner: Option<&'a str>,
        members: BTreeMap<&'a str, &'static str>,
    }
    let Rules {
        room,
        version,
        access,
    } = *rules;
    let members = access.members.iter();
    let body = Body {
        room,
        version,
        public: match access.public.contains(Rights::READ) {
            true => "read",
            false => "none",
        },
        owner: access.owner.as_deref(),
        members: members
            .map(|(user, role)| (&**user, role.as_str()))
            .collect(),
    };
    let mut bytes = Vec::new();
    // Texts and numbers always serialize.
    let _ = serde_json::to_writer(&mut bytes, &body);
    Answer::start(out, envelope, 200)
        .field("Content-Type", b"application/json")
        .field("Cache-Control", b"no-store")
        .field("ETag", format!("\"{version}\"").as_bytes())
        .body(&bytes);
}
