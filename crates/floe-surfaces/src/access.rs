//! Who may do what: who a caller is, and the one decision about them.
//!
//! A host reads the [`Credentials`] of a request, asks [`Access::authenticate`] who that is, and puts
//! the [`Caller`] into a namespace: that is a [`Session`], which it keeps for the connection. Before it
//! does anything for the caller it asks [`authorize`], a pure function over the session, what is
//! wanted and what is known of the room, and tells the caller nothing more than that says.

use floe_proto::{Code, Millis, Namespace};

mod caller;
mod credentials;
mod decide;
mod keys;

pub use caller::{Caller, Grants, Room, RoomPattern, RoomPatternError, Session, Source};
pub use credentials::Credentials;
pub use decide::{Deed, Denied, Grant, Known, Wanted, authorize};
pub use keys::{Key, KeyError, KeyRing};

/// The namespace of callers that name none, and whose credentials do not either.
pub const NAMESPACE_DEFAULT: &str = Namespace::DEFAULT;

/// Everything that callers are recognised by.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// API keys.
    pub keys: KeyRing,
}

impl Access {
    /// Returns whether nothing is configured that anyone could be recognised by, so that everyone
    /// may do everything.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.keys.is_empty()
    }

    /// Finds out who shows these credentials. Tickets are the host's to redeem, and channel tokens
    /// are judged with their channel.
    ///
    /// # Errors
    /// Refuses credentials that were meant to open something and do not.
    pub fn authenticate(
        &self,
        credentials: &Credentials<'_>,
        now: Millis,
    ) -> Result<Caller, Denied> {
        if self.is_open() {
            return Ok(Caller::open());
        }
        let Some(bearer) = credentials.bearer() else {
            return Ok(Caller::anonymous());
        };
        let key = self.keys.find(bearer);
        let caller = key.map(Key::caller).ok_or(WRONG_KEY)?;
        if caller.has_ended(now) {
            return Err(ENDED);
        }
        Ok(caller)
    }
}

const WRONG_KEY: Denied = Denied::new(Code::Unauthorized, "the API key or token is not known");
const ENDED: Denied = Denied::new(Code::Unauthorized, "the API key or token has ended");

#[cfg(test)]
mod tests;
