//! A room's own rules over HTTP: who owns it, who is a member as what, and whether everyone reads.
//!
//! [`ROUTES`] says which methods and paths there are, [`read_request`] what one of them wants, and
//! [`write_rules`] answers with the rules as they are.

mod answer;
mod request;

pub use answer::{Rules, write_rules};
pub use request::{Ask, Asked, BODY_BYTES_MAX, Reject, RoomPath, read_request};

use crate::http::Method;

/// Path under which the rules of rooms are found.
pub const ACCESS_ROOT: &str = "/v1/access/";

/// Every route of the surface, with its parameters in braces.
pub const ROUTES: [(Method, &str); 4] = [
    (Method::Get, "/v1/access/{room}"),
    (Method::Put, "/v1/access/{room}"),
    (Method::Patch, "/v1/access/{room}"),
    (Method::Delete, "/v1/access/{room}/members/{user}"),
];

/// Returns whether a path is one of this surface, known or not.
#[must_use]
pub fn owns(path: &str) -> bool {
    path.starts_with(ACCESS_ROOT)
}

#[cfg(test)]
mod tests;
