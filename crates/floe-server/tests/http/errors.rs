//! Every refusal has a code and says what is wrong.

use floe_proto::Code;

use crate::harness::{Request, TestServer, delete, get, head, options, post, put};

fn refusals() -> Vec<(Request, u16, &'static str)> {
    let fork = |source: &str| put("new").field("Stream-Forked-From", source);
    vec![
        (get("none"), 404, "NOT_FOUND"),
        (post("none").text("x"), 404, "NOT_FOUND"),
        (delete("none"), 404, "NOT_FOUND"),
        (get("log?offset=x"), 400, "INVALID_OFFSET"),
        (get("log?live=sse"), 400, "INVALID_OFFSET"),
        (get("log?offset=-1&live=x"), 400, "INVALID_REQUEST"),
        (put("log"), 409, "EXISTS"),
        (put("new").field("Stream-TTL", "x"), 400, "INVALID_REQUEST"),
        (
            put("new").field("Stream-Expires-At", "x"),
            400,
            "INVALID_REQUEST",
        ),
        (put("new").json("{"), 400, "INVALID_JSON"),
        (
            put("new").field("Stream-Fork-Offset", "x"),
            400,
            "INVALID_FORK",
        ),
        (fork("none"), 404, "NOT_FOUND"),
        (
            fork("log").content_type("text/html"),
            409,
            "CONTENT_TYPE_MISMATCH",
        ),
        (post("log").text(""), 400, "EMPTY_BODY"),
        (post("log").body("x"), 400, "CONTENT_TYPE_REQUIRED"),
        (post("log").json("1"), 409, "CONTENT_TYPE_MISMATCH"),
        (post("list").json("[]"), 400, "INVALID_JSON"),
        (
            post("log").text("x").field("Stream-Seq", "a"),
            409,
            "SEQUENCE_REGRESSION",
        ),
        (
            post("log").text("x").field("Producer-Id", "p"),
            400,
            "INVALID_REQUEST",
        ),
        (
            post("log").text("x").producer("p", 0, 0),
            403,
            "PRODUCER_FENCED",
        ),
        (
            post("log").text("x").producer("p", 2, 1),
            400,
            "PRODUCER_EPOCH_START",
        ),
        (
            post("log").text("x").producer("p", 1, 9),
            409,
            "PRODUCER_GAP",
        ),
        (post("closed").text("x"), 409, "CLOSED"),
        (get("gone"), 410, "GONE"),
        (post("gone").text("x"), 410, "GONE"),
        (delete("gone"), 410, "GONE"),
        (put("gone"), 409, "EXISTS"),
        (get("/"), 0, ""),
        (post("/"), 405, "METHOD_NOT_ALLOWED"),
        (delete("/healthz"), 405, "METHOD_NOT_ALLOWED"),
        (put("/metrics"), 405, "METHOD_NOT_ALLOWED"),
        (options("/healthz"), 405, "METHOD_NOT_ALLOWED"),
        (get("/v1/stream"), 404, "UNKNOWN_ROUTE"),
        (get("/v1/stream/"), 404, "UNKNOWN_ROUTE"),
        (get("/nowhere"), 404, "UNKNOWN_ROUTE"),
        (get("__ds"), 404, "UNKNOWN_ROUTE"),
        (get("__ds/nothing"), 404, "UNKNOWN_ROUTE"),
        (post("__registry__").json("1"), 405, "METHOD_NOT_ALLOWED"),
        (Request::new("PATCH", "log"), 405, "METHOD_NOT_ALLOWED"),
        (post("log").text(&"x".repeat(2_000)), 413, "BODY_TOO_LARGE"),
        (get(&"x".repeat(2_000)), 414, "PATH_TOO_LONG"),
        (
            get("log").field("X", "x".repeat(20_000)),
            431,
            "HEAD_TOO_LARGE",
        ),
        (get("log?offset=now&live=sse"), 429, "LIMIT_REACHED"),
        (get("__ds/subscriptions/none"), 404, "NOT_FOUND"),
        (put("__ds/subscriptions/s").json("{"), 400, "INVALID_JSON"),
        (
            put("__ds/subscriptions/s").json("{}"),
            400,
            "INVALID_REQUEST",
        ),
        (post("__ds/subscriptions/s"), 405, "METHOD_NOT_ALLOWED"),
        (
            post("__ds/subscriptions/s/ack").json("{}"),
            401,
            "UNAUTHORIZED",
        ),
    ]
}

fn prepared() -> TestServer {
    let server = TestServer::with(|settings| {
        settings.limits.http_body_bytes_max = 1_000;
        settings.limits.readers_max = 0;
    });
    server.expect(201, put("log").content_type("text/plain"));
    server.expect(204, post("log").text("x").field("Stream-Seq", "b"));
    server.expect(200, post("log").text("x").producer("p", 1, 0));
    server.expect(201, put("list").content_type("application/json"));
    server.expect(201, put("closed").text("x").closed());
    server.expect(201, put("gone").content_type("text/plain"));
    server.expect(201, put("fork").field("Stream-Forked-From", "gone"));
    server.expect(204, delete("gone"));
    server
}

#[test]
fn every_refusal_is_json_with_a_stable_code() {
    let server = prepared();
    let known: Vec<_> = Code::ALL
        .iter()
        .map(|code| (code.http_status(), code.as_str()))
        .collect();
    for (request, status, code) in refusals().into_iter().filter(|(_, status, _)| *status > 0) {
        assert!(known.contains(&(status, code)), "{status} {code}");
        let described = format!(
            "{} {}",
            request.method,
            &request.target[..request.target.len().min(80)]
        );
        let refused = server.send(request.clone());
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (status, code),
            "{described}"
        );
        let message = refused.json()["message"].as_str().unwrap().to_owned();
        assert!(
            message.len() > 5 && !message.ends_with('.'),
            "{described}: {message}"
        );
        let keeps = !matches!(status, 413 | 431);
        assert_eq!(refused.header("connection").is_none(), keeps, "{described}");
    }
}

#[test]
fn a_refusal_leaves_the_connection_usable() {
    let server = prepared();
    let mut connection = server.connect();
    for (request, status, _) in refusals() {
        if matches!(status, 0 | 413 | 431) {
            continue;
        }
        connection.ask(&request).expect(status);
        if request.method == "GET" && !request.target.contains("live=") && status != 404 {
            // The same refusal without its body.
            let described = connection.ask(&head(&request.target));
            assert!(
                described.status == status || described.status == 200,
                "{described:?}"
            );
        }
    }
    assert_eq!(connection.ask(&get("log")).expect(200).text(), "xx");
}

#[test]
fn every_refusal_is_counted_under_its_code() {
    let server = prepared();
    for code in [
        "NOT_FOUND",
        "INVALID_OFFSET",
        "EXISTS",
        "CLOSED",
        "PRODUCER_GAP",
        "UNAUTHORIZED",
    ] {
        let name = format!("floe_errors_total{{code=\"{code}\"}}");
        let before = server.metric(&name);
        let (request, _, _) = refusals()
            .into_iter()
            .find(|(_, _, one)| *one == code)
            .unwrap();
        for _ in 0..3 {
            server.send(request.clone());
        }
        assert_eq!(server.metric(&name), before + 3.0, "{code}");
    }
}
