//! Requests about subscriptions, and addresses of webhooks.
#![no_main]

use floe_surfaces::http::Method;
use floe_surfaces::subscriptions::{Context, WebhookUrl, is_public, read_request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|parts: (u8, &str, &str, &[u8])| {
    let (method, path, text, body) = parts;
    let methods = ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH"];
    let method = Method::parse(methods[usize::from(method) % methods.len()]);
    let context = Context {
        base: "http://floe.test",
        development: false,
    };
    if let Err(reject) = read_request(method, path, Some(text), body, &context) {
        assert!(reject.code.http_status() >= 400);
    }
    if let Ok(url) = WebhookUrl::parse(text, false) {
        assert!(url.secure && !url.local);
        if let Ok(address) = url.host.parse() {
            assert!(is_public(address));
        }
    }
});
