//! Every route, asked by everybody.

use floe_surfaces::access::Office;
use floe_surfaces::admin::{Endpoint, Operation, ROUTES};
use floe_surfaces::http::Method;
use serde_json::json;

use super::{guarded, make};
use crate::harness::{Request, options};

/// Returns a request for a route that is good but for who asks.
fn request(endpoint: &Endpoint) -> Request {
    let method = match endpoint.method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Patch => "PATCH",
        Method::Delete => "DELETE",
        other => panic!("{other:?}"),
    };
    // What admins may do by a namespace's name they may do with their own.
    let namespace = match endpoint.office {
        Office::Admin => "acme",
        _ => "nonesuch",
    };
    let target = endpoint
        .path
        .replace("{namespace}", namespace)
        .replace("{id}", "nonesuch");
    let request = Request::new(method, &target);
    match endpoint.operation {
        Operation::CreateNamespace => request.value(&json!({ "name": "made" })),
        Operation::ChangeNamespace => request.value(&json!({ "quotas": {} })),
        Operation::CreateKey => request.value(&json!({ "rights": ["read"] })),
        Operation::SignToken => request.value(&json!({ "user": "u", "rights": ["append"] })),
        Operation::AcceptInvitation => request.value(&json!({ "invitation": "x" })),
        Operation::Revoke => request.value(&json!({ "token": "x" })),
        _ => request,
    }
}

#[test]
fn each_route_is_for_those_who_hold_its_office() {
    let server = guarded();
    let reader = make(
        &server,
        "k-acme",
        &json!({ "rights": ["read"], "user": "ann" }),
    );
    for endpoint in &ROUTES {
        let status = |key: Option<&str>, prefix: &str| {
            let mut request = request(endpoint);
            request.target = format!("{prefix}{}", request.target);
            let request = match key {
                Some(key) => request.key(key),
                None => request,
            };
            server.send(request).status
        };
        let path = (endpoint.path, endpoint.method);
        let (nobody, wrong) = (status(None, ""), status(Some("wrong"), ""));
        let (weak, admin) = (status(Some(&reader.secret), ""), status(Some("k-acme"), ""));
        let (root, foreign) = (
            status(Some("k-root"), ""),
            status(Some("k-umbra"), "/n/acme"),
        );
        assert_eq!(wrong, 401, "{path:?}");
        assert_eq!(foreign, 403, "{path:?}");
        let passes = |status: u16| !matches!(status, 401 | 403);
        let (weak_may, admin_may) = match endpoint.office {
            Office::Everyone | Office::Known => (true, true),
            Office::Manager | Office::Admin => (false, true),
            Office::Operator => (false, false),
        };
        let has_no_name = endpoint.operation == Operation::AcceptInvitation;
        assert_eq!(
            nobody == 401,
            endpoint.office != Office::Everyone,
            "{path:?}"
        );
        assert_eq!(passes(weak), weak_may, "{path:?} {weak}");
        assert_eq!(passes(admin), admin_may && !has_no_name, "{path:?} {admin}");
        assert_eq!(passes(root), !has_no_name, "{path:?} {root}");
    }
}

#[test]
fn browsers_may_ask_about_every_route() {
    let server = guarded();
    for endpoint in &ROUTES {
        let answer = server.expect(204, options(endpoint.path).field("Origin", "https://a"));
        let methods = answer.header("access-control-allow-methods").unwrap();
        assert!(methods.contains("PATCH") && methods.contains("DELETE"));
    }
}
