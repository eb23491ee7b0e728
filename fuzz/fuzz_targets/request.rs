//! Requests of the streams protocol: method and target, header fields, body, split by line ends.
#![no_main]

use floe_surfaces::http::{Method, Route};
use floe_surfaces::streams::{Request, RequestHead, Scratch, read_request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (head, body) = match data.windows(2).position(|two| two == b"\n\n") {
        Some(at) => (&data[..at], &data[at + 2..]),
        None => (data, &[][..]),
    };
    let mut lines = head.split(|byte| *byte == b'\n');
    let Ok(start) = std::str::from_utf8(lines.next().unwrap_or_default()) else {
        return;
    };
    let (method, target) = start.split_once(' ').unwrap_or((start, ""));
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    if let Route::Stream(name) = Route::parse(path) {
        assert!(!name.is_empty() && name.len() <= path.len());
    }
    let fields = lines.filter_map(|line| {
        let at = line.iter().position(|byte| *byte == b':')?;
        let name = std::str::from_utf8(&line[..at]).ok()?;
        Some((name, line[at + 1..].trim_ascii()))
    });
    let head = RequestHead {
        method: Method::parse(method),
        query,
    };
    match read_request(head, fields, body, &mut Scratch::default()) {
        Ok(Request::Append { append, body }) => {
            assert_eq!(append.units, body.units());
            assert!(append.close || append.units > 0);
        }
        Ok(_) => {}
        Err(reject) => assert!(reject.code.http_status() >= 400 && !reject.message.is_empty()),
    }
});
