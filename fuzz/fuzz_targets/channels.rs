//! Requests about channels, and the bytes of their log: method and target, header fields, body,
//! split by line ends.
#![no_main]

use floe_proto::Millis;
use floe_surfaces::access::{Access, Known, authorize};
use floe_surfaces::channels::{Bounds, Hidden, read_request, redact, split_events};
use floe_surfaces::http::Method;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (head, body) = match data.windows(2).position(|two| two == b"\n\n") {
        Some(at) => (&data[..at], &data[at + 2..]),
        None => (data, &[][..]),
    };
    log_bytes(body);
    let mut lines = head.split(|byte| *byte == b'\n');
    let Ok(start) = std::str::from_utf8(lines.next().unwrap_or_default()) else {
        return;
    };
    let (method, target) = start.split_once(' ').unwrap_or((start, ""));
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let fields = lines.filter_map(|line| {
        let at = line.iter().position(|byte| *byte == b':')?;
        let name = std::str::from_utf8(&line[..at]).ok()?;
        Some((name, line[at + 1..].trim_ascii()))
    });
    let bounds = Bounds::default();
    match read_request(Method::parse(method), path, query, fields, body, &bounds) {
        Ok(asked) => {
            let known = Known {
                owner: "acme",
                secret: "secret",
                deleted: false,
            };
            let open = Access::default();
            let now = Millis(1_800_000_000_000);
            let _ = authorize(&open, &asked.credentials, &asked.ask, Some(known), now);
        }
        Err(reject) => assert!(reject.code.http_status() >= 400 && !reject.message.is_empty()),
    }
});

fn log_bytes(bytes: &[u8]) {
    let events = split_events(bytes).count() as u64;
    for mode in [Hidden::Stub, Hidden::Omit, Hidden::Mark] {
        let redacted = redact(bytes, &|seq| seq % 2 == 0, mode);
        assert!(redacted.events <= events && redacted.hidden <= events);
    }
}
