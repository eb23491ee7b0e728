//! Administration over HTTP: namespaces, API keys, tokens, invitations, revocations, tickets.
//!
//! [`read_request`] makes an [`Ask`] of a request whose path this surface [`owns`]. Who may ask it is
//! [`Endpoint::office`]'s and [`admit`](crate::access::admit)'s to say; the host does it, and writes what
//! came of it with what [`answer`] has. All routes stand in [`ROUTES`].

pub mod answer;
mod request;
mod route;

pub use request::{
    Ask, Asked, Invite, ListPage, NewKey, NewRevocation, NewToken, Reject, Rooms, Use, read_request,
};
pub use route::{Endpoint, Operation, ROUTES, owns};

#[cfg(test)]
mod tests;
