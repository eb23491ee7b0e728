use proptest::prelude::*;

use super::*;

const METHODS: [Method; 8] = [
    Method::Get,
    Method::Head,
    Method::Put,
    Method::Post,
    Method::Patch,
    Method::Delete,
    Method::Options,
    Method::Other,
];

fn path() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        Just(ID.to_owned()),
        "(channels|events|query|search|poll|presence|reactions|tokens|create|append|read|delete|7|0)",
        ".{0,6}",
    ];
    (
        prop_oneof![Just("/v1/"), Just("/channel/"), Just("/log/"), Just("/")],
        proptest::collection::vec(segment, 0..7),
    )
        .prop_map(|(prefix, segments)| format!("{prefix}{}", segments.join("/")))
}

fn query() -> impl Strategy<Value = Option<String>> {
    let name = "(afterSeq|limit|page|waitFor|q|token|authorId|afterDate|order|.{0,4})";
    let pair =
        (name, "[-0-9a-f%+:TZ \u{e4}&=]{0,30}").prop_map(|(name, value)| format!("{name}={value}"));
    proptest::option::of(proptest::collection::vec(pair, 0..4).prop_map(|pairs| pairs.join("&")))
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let name = "(channelId|logId|content|authorId|events|namespace|name|retention|limit|afterSeq|targetSeq|permissions|rights|author|displayName|slow)";
    let value = prop_oneof![
        Just(format!("\"{ID}\"")),
        "[0-9]{1,22}",
        "\"(read|append|write|conflate|a|\\\\u0041|\\\\ud800)\"",
        Just("[\"read\"]".to_owned()),
        Just("[{\"content\":\"a\"}]".to_owned()),
        Just("[[[[{}]]]]".to_owned()),
        Just("{\"maxEvents\":1}".to_owned()),
        Just("null".to_owned()),
    ];
    let member = (name, value).prop_map(|(name, value)| format!("\"{name}\":{value}"));
    prop_oneof![
        proptest::collection::vec(member, 0..6).prop_map(|members| format!(
            "{{{}}}",
            members.join(",")
        )
        .into_bytes()),
        proptest::collection::vec(any::<u8>(), 0..60),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever comes is understood or refused with a code of the 400s and words, and what is
    /// understood keeps within the bounds.
    #[test]
    fn hostile_requests_never_panic(
        method in proptest::sample::select(&METHODS[..]),
        path in path(),
        query in query(),
        body in body(),
        token in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..8)),
        key in proptest::option::of("[ -~]{0,12}"),
    ) {
        let mut fields: Vec<(&str, &[u8])> = Vec::new();
        if let Some(token) = &token {
            fields.push(("X-Channel-Token", token));
        }
        if let Some(key) = &key {
            fields.push(("authorization", key.as_bytes()));
            fields.push(("last-event-id", key.as_bytes()));
        }
        let bounds = Bounds::default();
        match read_request(method, &path, query.as_deref(), fields.into_iter(), &body, &bounds) {
            Ok(Asked { ask: Ask::Append(_, append), credentials, .. }) => {
                prop_assert!(!append.messages.is_empty());
                let shown = credentials.token().or(credentials.bearer()).is_some();
                prop_assert!(append.author_id.is_some() || shown);
                prop_assert!(append.author_id.is_none() || credentials.token().is_none());
            }
            Ok(Asked { ask: Ask::Read(_, read), .. }) => {
                prop_assert!((1..=bounds.limit_max).contains(&read.limit));
            }
            Ok(_) => {}
            Err(reject) => {
                prop_assert!((400..500).contains(&reject.code.http_status()));
                prop_assert!(!reject.message.is_empty());
                let mut out = Vec::new();
                write_reject(&mut out, &ENVELOPE, &reject);
                prop_assert!(!out.is_empty());
            }
        }
    }
}
