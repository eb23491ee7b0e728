//! `docs/ERRORS.md` is made from the codes: `UPDATE_DOCS=1 cargo test -p floe-proto` writes it.

use std::fmt::Write as _;

use floe_proto::{Code, Retry};

#[test]
fn the_table_of_errors_is_the_codes() {
    let mut table = String::from(
        "# Errors\n\n\
         Every failed request has a JSON body `{\"code\":\"…\",\"message\":\"…\"}`. The code is stable and for\n\
         programs, the message is for people and may change. A failed request has changed nothing.\n\n\
         | Code | HTTP | WebSocket | Try again? | Meaning |\n|---|---|---|---|---|\n",
    );
    for code in Code::ALL {
        let retry = match code.retry() {
            Retry::Never => "no",
            Retry::Later => "later",
            Retry::Reconnect => "on a new connection",
        };
        let row = (
            code.as_str(),
            code.http_status(),
            code.close_code(),
            retry,
            code.meaning(),
        );
        let _ = writeln!(
            table,
            "| `{}` | {} | {} | {} | {} |",
            row.0, row.1, row.2, row.3, row.4
        );
    }
    table.push_str(
        "\nWebSocket close codes below 4500 mean come back, from 4500 on stop. Answers with status 429,\n\
         503 and 507 carry `Retry-After`.\n",
    );
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/ERRORS.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &table).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == table,
        "docs/ERRORS.md is out of date: UPDATE_DOCS=1 cargo test -p floe-proto"
    );
}
