//! The routes, in one table.

use crate::access::Office;
use crate::http::Method;

/// What a route is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Say who asks.
    Whoami,
    /// List namespaces.
    ListNamespaces,
    /// Make a namespace.
    CreateNamespace,
    /// Show a namespace.
    DescribeNamespace,
    /// Change a namespace's settings.
    ChangeNamespace,
    /// Delete a namespace.
    DeleteNamespace,
    /// Give a namespace a new secret to sign tokens with.
    RotateSecret,
    /// List API keys.
    ListKeys,
    /// Make an API key.
    CreateKey,
    /// Show an API key.
    DescribeKey,
    /// End an API key.
    DeleteKey,
    /// Give an API key a new secret.
    RotateKey,
    /// Sign a token.
    SignToken,
    /// Become a member of the room of an invitation.
    AcceptInvitation,
    /// List revocations.
    ListRevocations,
    /// Revoke something.
    Revoke,
    /// Draw a ticket for one connection.
    DrawTicket,
}

/// One route.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint {
    /// Its method.
    pub method: Method,
    /// Its path, with its parameter in braces.
    pub path: &'static str,
    /// What it is for.
    pub operation: Operation,
    /// Who may ask it.
    pub office: Office,
    /// Query parameters; others are refused.
    pub params: &'static [&'static str],
}

/// Every route of this surface.
pub const ROUTES: [Endpoint; 17] = {
    use Method::{Delete, Get, Patch, Post};
    use Office::{Admin, Everyone, Known, Manager, Operator};
    use Operation as Do;
    const PAGE: &[&str] = &["limit", "after"];
    const SCOPED: &[&str] = &["namespace", "limit", "after"];
    [
        route(Get, "/v1/whoami", Do::Whoami, Everyone, &[]),
        route(Get, "/v1/namespaces", Do::ListNamespaces, Operator, PAGE),
        route(Post, "/v1/namespaces", Do::CreateNamespace, Operator, &[]),
        route(Get, NAMESPACE, Do::DescribeNamespace, Operator, &[]),
        route(Patch, NAMESPACE, Do::ChangeNamespace, Operator, &[]),
        route(Delete, NAMESPACE, Do::DeleteNamespace, Operator, &["rooms"]),
        route(Post, ROTATE_SECRET, Do::RotateSecret, Admin, &[]),
        route(Get, "/v1/keys", Do::ListKeys, Admin, SCOPED),
        route(Post, "/v1/keys", Do::CreateKey, Admin, &[]),
        route(Get, "/v1/keys/{id}", Do::DescribeKey, Admin, &[]),
        route(Delete, "/v1/keys/{id}", Do::DeleteKey, Admin, &[]),
        route(Post, "/v1/keys/{id}/rotate", Do::RotateKey, Admin, &[]),
        route(Post, "/v1/tokens", Do::SignToken, Manager, &[]),
        route(
            Post,
            "/v1/invitations/accept",
            Do::AcceptInvitation,
            Known,
            &[],
        ),
        route(Get, "/v1/revocations", Do::ListRevocations, Admin, SCOPED),
        route(Post, "/v1/revocations", Do::Revoke, Admin, &[]),
        route(Post, "/v1/tickets", Do::DrawTicket, Known, &[]),
    ]
};

const NAMESPACE: &str = "/v1/namespaces/{namespace}";
const ROTATE_SECRET: &str = "/v1/namespaces/{namespace}/rotate-secret";

const fn route(
    method: Method,
    path: &'static str,
    operation: Operation,
    office: Office,
    params: &'static [&'static str],
) -> Endpoint {
    Endpoint {
        method,
        path,
        operation,
        office,
        params,
    }
}

/// Returns whether a path is one of this surface, known or not.
#[must_use]
pub fn owns(path: &str) -> bool {
    let Some(rest) = path.strip_prefix("/v1/") else {
        return false;
    };
    let first = rest.split_once('/').map_or(rest, |(first, _)| first);
    matches!(
        first,
        "whoami" | "namespaces" | "keys" | "tokens" | "invitations" | "revocations" | "tickets"
    )
}

/// Why no route was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Miss {
    Path,
    Method,
}

/// Finds the route of a request, and what stands in the place of its path's parameter.
pub(super) fn find(path: &str, method: Method) -> Result<(&'static Endpoint, &str), Miss> {
    let mut miss = Miss::Path;
    for endpoint in &ROUTES {
        if let Some(capture) = capture(endpoint.path, path) {
            if endpoint.method == method {
                return Ok((endpoint, capture));
            }
            miss = Miss::Method;
        }
    }
    Err(miss)
}

fn capture<'a>(template: &str, path: &'a str) -> Option<&'a str> {
    let mut capture = "";
    let mut segments = path.split('/');
    for expected in template.split('/') {
        let segment = segments.next()?;
        if expected.starts_with('{') {
            capture = segment;
        } else if segment != expected {
            return None;
        }
    }
    segments.next().is_none().then_some(capture)
}
