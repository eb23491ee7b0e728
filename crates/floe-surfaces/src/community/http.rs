//! Waddles over plain HTTP: who belongs to one, as what, and which rooms it has.
//!
//! [`ROUTES`] says which methods and paths there are, [`read_request`] what one of them wants, and
//! the `write_…` and `…_json` functions how an answer looks.

mod answer;
mod body;
mod query;
mod request;

pub use answer::{
    Listed, ban_json, bans_json, member_json, members_json, outline_json, room_json, rooms_json,
    waddle_json, waddles_json, write_done, write_json,
};
pub use request::{Ask, Asked, End, NewRoom, Page, RoomChange, Seek, read_request};

use crate::http::Method;

/// Path under which waddles are found.
pub const ROOT: &str = "/v1/waddles";

/// Largest body of a request about a waddle.
pub const BODY_BYTES_MAX: usize = 16 << 10;

/// Every route of the surface, with its parameters in braces.
pub const ROUTES: [(Method, &str); 21] = [
    (Method::Post, "/v1/waddles"),
    (Method::Get, "/v1/waddles"),
    (Method::Get, "/v1/waddles/{waddle}"),
    (Method::Patch, "/v1/waddles/{waddle}"),
    (Method::Delete, "/v1/waddles/{waddle}"),
    (Method::Get, "/v1/waddles/{waddle}/members"),
    (Method::Put, "/v1/waddles/{waddle}/members/{user}"),
    (Method::Delete, "/v1/waddles/{waddle}/members/{user}"),
    (Method::Post, "/v1/waddles/{waddle}/join"),
    (Method::Post, "/v1/waddles/{waddle}/leave"),
    (Method::Get, "/v1/waddles/{waddle}/bans"),
    (Method::Put, "/v1/waddles/{waddle}/bans/{user}"),
    (Method::Delete, "/v1/waddles/{waddle}/bans/{user}"),
    (Method::Put, "/v1/waddles/{waddle}/timeouts/{user}"),
    (Method::Delete, "/v1/waddles/{waddle}/timeouts/{user}"),
    (Method::Post, "/v1/waddles/{waddle}/channels"),
    (Method::Get, "/v1/waddles/{waddle}/channels"),
    (Method::Get, "/v1/waddles/{waddle}/channels/{channel}"),
    (Method::Patch, "/v1/waddles/{waddle}/channels/{channel}"),
    (Method::Delete, "/v1/waddles/{waddle}/channels/{channel}"),
    (Method::Get, "/v1/waddles/{waddle}/search"),
];

/// Returns whether a path is one of this surface, known or not.
#[must_use]
pub fn owns(path: &str) -> bool {
    let rest = path.strip_prefix(ROOT);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests;
