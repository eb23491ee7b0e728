//! Who asks, where that is not only a matter of looking: keys of issuers that are fetched, somebody
//! else who is asked, and what is remembered of both.
//!
//! [`floe_surfaces::access`] decides. What stands here brings it what it decides with, from one
//! thread of its own that runs only where there is something to fetch; the event loop never waits,
//! requests do.

mod check;
mod fetch;
mod recall;
mod recogniser;
mod settings;
mod sources;

pub use recogniser::{Asker, ErrandId, Miss, Recogniser, Times, Turned};
pub use settings::{
    AccessError, AccessSettings, AccessWebhookSettings, IssuerSettings, JwksSettings,
};

use floe_surfaces::access::jwt::Issuers;

/// Returns issuers without any in them, whose signatures can be checked.
pub fn no_issuers() -> Issuers {
    Issuers::new(check::check)
}
