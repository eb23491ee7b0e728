//! Answers about waddles.

use floe_core::community::Community;
use floe_proto::ChannelId;
use floe_proto::community::{Ban, CommunityRoom, Member, Role};
use serde_json::{Map, Value, json};

use crate::http::{Answer, Envelope};

/// A waddle in a list of those that a user has joined.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'a> {
    /// What it is called in paths.
    pub id: &'a str,
    /// The waddle.
    pub community: &'a Community,
    /// What the user is there.
    pub role: Option<Role>,
}

/// Writes an answer whose body is JSON.
pub fn write_json(out: &mut Vec<u8>, envelope: &Envelope<'_>, status: u16, body: &[u8]) {
    Answer::start(out, envelope, status)
        .field("Content-Type", b"application/json")
        .field("Cache-Control", b"no-store")
        .body(body);
}

/// Writes the answer to what left nothing to show.
pub fn write_done(out: &mut Vec<u8>, envelope: &Envelope<'_>) {
    Answer::start(out, envelope, 204)
        .field("Cache-Control", b"no-store")
        .no_body(true);
}

/// Returns a waddle as those see it who are in it.
#[must_use]
pub fn waddle_json(listed: &Listed<'_>) -> Value {
    let Listed {
        id,
        community,
        role,
    } = *listed;
    let mut waddle = json!({
        "id": id,
        "name": community.about().name,
        "join": community.about().join,
        "createdAt": community.created_at().rfc3339(),
        "memberCount": community.members().len(),
    });
    if let (Some(role), Some(fields)) = (role, waddle.as_object_mut()) {
        fields.insert("role".into(), role.as_str().into());
    }
    waddle
}

/// Returns a waddle as those see it who may come in and are not.
#[must_use]
pub fn outline_json(id: &str, community: &Community) -> Value {
    json!({
        "id": id,
        "name": community.about().name,
        "join": community.about().join,
        "memberCount": community.members().len(),
    })
}

/// Returns a list of waddles.
#[must_use]
pub fn waddles_json(waddles: Vec<Value>) -> Value {
    json!({ "waddles": waddles })
}

/// Returns a member.
#[must_use]
pub fn member_json(user: &str, member: &Member) -> Value {
    of_user(user, serde_json::to_value(member))
}

/// Returns a part of the list of members, and after whom the next one begins.
#[must_use]
pub fn members_json(count: usize, members: Vec<Value>, next: Option<&str>) -> Value {
    json!({ "count": count, "members": members, "next": next })
}

/// Returns a ban.
#[must_use]
pub fn ban_json(user: &str, ban: &Ban) -> Value {
    of_user(user, serde_json::to_value(ban))
}

/// Returns a part of the list of bans, and after whom the next one begins.
#[must_use]
pub fn bans_json(bans: Vec<Value>, next: Option<&str>) -> Value {
    json!({ "bans": bans, "next": next })
}

/// Returns a room.
#[must_use]
pub fn room_json(id: ChannelId, room: &CommunityRoom) -> Value {
    let mut fields = Map::new();
    fields.insert("id".into(), id.to_string().into());
    extend(fields, serde_json::to_value(room))
}

/// Returns a list of rooms.
#[must_use]
pub fn rooms_json(rooms: Vec<Value>) -> Value {
    json!({ "channels": rooms })
}

fn of_user(user: &str, value: serde_json::Result<Value>) -> Value {
    let mut fields = Map::new();
    fields.insert("user".into(), user.into());
    extend(fields, value)
}

/// Adds the fields of a value, which has a JSON form.
fn extend(mut fields: Map<String, Value>, value: serde_json::Result<Value>) -> Value {
    if let Ok(Value::Object(more)) = value {
        fields.extend(more);
    }
    Value::Object(fields)
}
