//! What webhooks and wake streams receive.

use floe_core::subscription::{LinkView, Notification, StreamState, WakeEvent};
use serde::Serialize;

use super::callback_url;

/// Returns the body of a webhook request: the bytes to sign and to send.
#[must_use]
pub fn notification_body(notification: &Notification) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body<'a> {
        subscription_id: &'a str,
        wake_id: &'a str,
        generation: u64,
        streams: Vec<StreamBody<'a>>,
        callback_url: String,
        callback_token: &'a str,
    }
    bytes(&Body {
        subscription_id: &notification.subscription_id,
        wake_id: &notification.wake_id,
        generation: notification.generation,
        streams: streams(&notification.streams),
        callback_url: callback_url(&notification.base, &notification.subscription_id),
        callback_token: &notification.token,
    })
}

/// Returns the JSON message to append to a wake stream.
#[must_use]
pub fn wake_event_body(event: &WakeEvent) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body<'a> {
        r#type: &'static str,
        subscription_id: &'a str,
        stream: &'a str,
        generation: u64,
        ts: u64,
    }
    bytes(&Body {
        r#type: "wake",
        subscription_id: &event.subscription_id,
        stream: &event.stream,
        generation: event.generation,
        ts: event.at.0,
    })
}

/// A linked stream as the holder of a wake is told.
#[derive(Serialize)]
pub(super) struct StreamBody<'a> {
    #[serde(flatten)]
    link: LinkBody<'a>,
    tail_offset: String,
    has_pending: bool,
}

/// A link as clients see it.
#[derive(Serialize)]
pub(super) struct LinkBody<'a> {
    path: &'a str,
    link_type: &'static str,
    acked_offset: String,
}

impl<'a> LinkBody<'a> {
    pub fn new(link: &'a LinkView) -> Self {
        Self {
            path: &link.path,
            link_type: if link.explicit { "explicit" } else { "glob" },
            acked_offset: link.acked.to_string(),
        }
    }
}

pub(super) fn streams(states: &[StreamState]) -> Vec<StreamBody<'_>> {
    let bodies = states.iter().map(|state| StreamBody {
        link: LinkBody::new(&state.link),
        tail_offset: state.tail.to_string(),
        has_pending: state.has_pending(),
    });
    bodies.collect()
}

pub(super) fn bytes(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("texts and numbers always serialize")
}
