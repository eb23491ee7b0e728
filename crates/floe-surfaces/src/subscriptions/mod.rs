//! Subscriptions of the Durable Streams protocol, under the reserved `__ds` prefix.
//!
//! [`read_request`] turns a request into one of [`floe_core::subscription`], [`write_reply`] turns
//! the reply into an answer. [`notification_body`] and [`wake_event_body`] are what a webhook and
//! a wake stream receive, and [`WebhookUrl`] decides which addresses a webhook may have.

mod address;
mod body;
mod key;
mod reject;
mod reply;
mod request;
mod webhook_url;

pub use address::is_public;
pub use body::{notification_body, wake_event_body};
pub use key::PublicKey;
pub use reject::{Reject, write_reject};
pub use reply::write_reply;
pub use request::{Asked, BODY_BYTES_MAX, Context, read_request};
pub use webhook_url::{UrlError, WebhookUrl};

use floe_proto::Namespace;

use crate::http::STREAM_ROOT;

/// Returns the base of absolute addresses: the configured one, else from the request's `Host`,
/// encrypted as the request was.
///
/// A `Host` that is none, or that is not sent, leaves `local`, the address listened on.
#[must_use]
pub fn base_url(configured: Option<&str>, secure: bool, host: Option<&str>, local: &str) -> String {
    let is_host = |host: &&str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        !host.is_empty() && host.bytes().all(allowed)
    };
    match configured {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => {
            let scheme = if secure { "https" } else { "http" };
            format!("{scheme}://{}", host.filter(is_host).unwrap_or(local))
        }
    }
}

/// Returns the base of addresses in a namespace; those of the default one have no prefix.
#[must_use]
pub fn base_in(base: &str, namespace: &Namespace) -> String {
    if namespace.is_default() {
        base.to_owned()
    } else {
        format!("{base}/n/{namespace}")
    }
}

fn callback_url(base: &str, id: &str) -> String {
    let mut url = format!("{base}{STREAM_ROOT}__ds/subscriptions/");
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url.push_str("/callback");
    url
}

fn jwks_url(base: &str) -> String {
    format!("{base}{STREAM_ROOT}__ds/jwks.json")
}

#[cfg(test)]
mod tests;
