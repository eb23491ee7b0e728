//! What the protocol's requests mean, and which are refused.

use super::*;

type Field = (&'static str, &'static str);

fn parse<'a>(
    method: Method,
    query: Option<&'a str>,
    fields: &'a [Field],
    body: &'a [u8],
    scratch: &'a mut Scratch,
) -> Result<Request<'a>, Reject> {
    let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
    read_request(RequestHead { method, query }, fields, body, scratch)
}

fn code_of(method: Method, query: Option<&str>, fields: &[Field], body: &[u8]) -> Option<Code> {
    let mut scratch = Scratch::default();
    parse(method, query, fields, body, &mut scratch)
        .err()
        .map(|reject| reject.code)
}

fn read_of(query: &str) -> Result<Read<'_>, Code> {
    read(query, None).map_err(|reject| reject.code)
}

#[test]
fn offsets_are_the_servers_own_or_one_of_two_words() {
    let plain = Read {
        start: Start::Oldest,
        live: Live::No,
        cursor: None,
        if_none_match: None,
    };
    assert_eq!(read_of(""), Ok(plain));
    assert_eq!(read_of("offset=-1&x=y"), Ok(plain));
    assert_eq!(
        read_of("offset=now"),
        Ok(Read {
            start: Start::Now,
            ..plain
        })
    );
    assert_eq!(
        read_of("offset=0000000000000012"),
        Ok(Read {
            start: Start::At(12),
            ..plain
        })
    );
    for query in [
        "offset=",
        "offset",
        "offset=12",
        "offset=0,1",
        "offset=%20",
        "offset=now&offset=now",
    ] {
        assert_eq!(read_of(query), Err(Code::InvalidOffset), "{query}");
    }
}

#[test]
fn a_live_read_needs_an_offset_and_may_bring_a_cursor() {
    assert_eq!(read_of("live=sse"), Err(Code::InvalidOffset));
    assert_eq!(read_of("live=long-poll"), Err(Code::InvalidOffset));
    assert_eq!(read_of("offset=-1&live=maybe"), Err(Code::InvalidRequest));
    let read = read_of("offset=-1&live=long-poll&cursor=17").unwrap();
    assert_eq!((read.live, read.cursor), (Live::LongPoll, Some(17)));
    assert_eq!(read_of("offset=-1&live=sse&cursor=x").unwrap().cursor, None);
}

#[test]
fn appends_need_a_body_with_a_type_or_a_close() {
    let typed: &[Field] = &[("Content-Type", "text/plain")];
    assert_eq!(code_of(Method::Post, None, typed, b"x"), None);
    assert_eq!(
        code_of(Method::Post, None, typed, b""),
        Some(Code::EmptyBody)
    );
    assert_eq!(
        code_of(Method::Post, None, &[], b"x"),
        Some(Code::ContentTypeRequired)
    );
    assert_eq!(
        code_of(Method::Post, None, &[("stream-closed", "TRUE")], b""),
        None
    );
    assert_eq!(
        code_of(Method::Post, None, &[("stream-closed", "1")], b""),
        Some(Code::EmptyBody)
    );
    let json: &[Field] = &[("content-type", "application/json")];
    assert_eq!(
        code_of(Method::Post, None, json, b"[]"),
        Some(Code::InvalidJson)
    );
    assert_eq!(
        code_of(Method::Post, None, json, b"{"),
        Some(Code::InvalidJson)
    );
    assert_eq!(code_of(Method::Put, None, json, b"[]"), None);
}

#[test]
fn producer_fields_come_together_and_are_whole_numbers() {
    let code = |fields: &[Field]| {
        let mut all = vec![("Content-Type", "text/plain")];
        all.extend_from_slice(fields);
        code_of(Method::Post, None, &all, b"x")
    };
    let id = ("Producer-Id", "p");
    assert_eq!(
        code(&[
            id,
            ("Producer-Epoch", "0"),
            ("Producer-Seq", "9007199254740991")
        ]),
        None
    );
    for fields in [
        &[id][..],
        &[id, ("Producer-Epoch", "0")],
        &[("Producer-Epoch", "0"), ("Producer-Seq", "0")],
        &[
            ("Producer-Id", ""),
            ("Producer-Epoch", "0"),
            ("Producer-Seq", "0"),
        ],
        &[id, ("Producer-Epoch", "-1"), ("Producer-Seq", "0")],
        &[id, ("Producer-Epoch", "0"), ("Producer-Seq", "1.5")],
        &[id, ("Producer-Epoch", "+1"), ("Producer-Seq", "0")],
        &[
            id,
            ("Producer-Epoch", "0"),
            ("Producer-Seq", "9007199254740992"),
        ],
    ] {
        assert_eq!(code(fields), Some(Code::InvalidRequest), "{fields:?}");
    }
}

#[test]
fn lifetimes_are_plain_seconds_or_an_rfc_3339_time() {
    let lifetime = |fields: &[Field]| {
        let mut scratch = Scratch::default();
        match parse(Method::Put, None, fields, b"", &mut scratch) {
            Ok(Request::Create(create)) => Ok(create.create.lifetime),
            Ok(_) => panic!("a PUT creates"),
            Err(reject) => Err(reject.code),
        }
    };
    assert_eq!(
        lifetime(&[("Stream-TTL", "300")]),
        Ok(Some(Lifetime::Ttl(300)))
    );
    assert_eq!(lifetime(&[("Stream-TTL", "0")]), Ok(Some(Lifetime::Ttl(0))));
    for text in ["-1", "+1", "01", "1.0", "1e3", "", " "] {
        assert_eq!(
            lifetime(&[("Stream-TTL", text)]),
            Err(Code::InvalidRequest),
            "{text}"
        );
    }
    let at = Ok(Some(Lifetime::ExpiresAt(Millis(1_767_323_045_500))));
    assert_eq!(
        lifetime(&[("Stream-Expires-At", "2026-01-02T03:04:05.5Z")]),
        at
    );
    assert_eq!(
        lifetime(&[("Stream-Expires-At", "2026-01-02T04:04:05.5+01:00")]),
        at
    );
    for text in [
        "2099-01-01T00:00Z",
        "2099-01-01 00:00:00Z",
        "2099-01-01T00:00:00",
        "2099-01-01T00:00:00.Z",
        "2099-01-01T00:00:00+0100",
    ] {
        assert_eq!(
            lifetime(&[("Stream-Expires-At", text)]),
            Err(Code::InvalidRequest),
            "{text}"
        );
    }
    assert_eq!(
        lifetime(&[("Stream-Expires-At", "tomorrow")]),
        Err(Code::InvalidRequest)
    );
    let both = [
        ("Stream-TTL", "1"),
        ("Stream-Expires-At", "2026-01-02T03:04:05Z"),
    ];
    assert_eq!(lifetime(&both), Err(Code::InvalidRequest));
}

#[test]
fn forks_name_a_source_and_perhaps_where() {
    let fork = |fields: &[Field]| {
        let mut scratch = Scratch::default();
        match parse(Method::Put, None, fields, b"", &mut scratch) {
            Ok(Request::Create(create)) => Ok(create
                .fork
                .map(|fork| (fork.source.into_owned(), fork.at, fork.beyond))),
            Ok(_) => panic!("a PUT creates"),
            Err(reject) => Err(reject.code),
        }
    };
    let from = ("Stream-Forked-From", "/v1/stream/a%2Fb");
    let at = ("Stream-Fork-Offset", "0000000000000007");
    assert_eq!(fork(&[]), Ok(None));
    assert_eq!(fork(&[from]), Ok(Some((b"a/b".to_vec(), None, 0))));
    assert_eq!(
        fork(&[
            ("Stream-Forked-From", "c"),
            at,
            ("Stream-Fork-Sub-Offset", "2")
        ]),
        Ok(Some((b"c".to_vec(), Some(7), 2)))
    );
    assert_eq!(
        fork(&[from, ("Stream-Fork-Sub-Offset", "0")]),
        Ok(Some((b"a/b".to_vec(), None, 0)))
    );
    for fields in [
        &[at][..],
        &[("Stream-Fork-Sub-Offset", "0")],
        &[from, ("Stream-Fork-Sub-Offset", "1")],
        &[from, at, ("Stream-Fork-Sub-Offset", "-1")],
        &[from, at, ("Stream-Fork-Sub-Offset", "01")],
        &[from, ("Stream-Fork-Offset", "7")],
        &[("Stream-Forked-From", "")],
    ] {
        assert_eq!(fork(fields), Err(Code::InvalidFork), "{fields:?}");
    }
}
