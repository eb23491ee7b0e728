//! Whatever comes in, there is an answer, which is JSON, and no panic.

use proptest::prelude::*;

use super::super::http::read_request;
use super::*;
use crate::http::Method as HttpMethod;

/// JSON of any kind, not deep.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(|real| serde_json::json!(real)),
        "[a-z_]{0,6}".prop_map(Into::into),
        ".{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            proptest::collection::btree_map("[a-zA-Z]{1,8}", inner, 0..6).prop_map(|members| {
                members
                    .into_iter()
                    .collect::<serde_json::Map<_, _>>()
                    .into()
            }),
        ]
    })
}

/// A payload of a method with some of its members put out of shape.
fn payload() -> impl Strategy<Value = (&'static MethodInfo, serde_json::Value)> {
    let method = (0..METHODS.len()).prop_map(|at| &METHODS[at]);
    (
        method,
        proptest::collection::vec((any::<prop::sample::Index>(), json()), 0..3),
    )
        .prop_map(|(info, changes)| {
            let mut payload: serde_json::Value = serde_json::from_str(info.example).unwrap();
            let members = payload.as_object_mut().unwrap();
            for (at, value) in changes {
                let names: Vec<_> = info.params.iter().map(|param| param.name).collect();
                if !names.is_empty() {
                    members.insert((*at.get(&names)).to_owned(), value);
                }
            }
            (info, payload)
        })
}

fn is_answered(refusal: &Refusal) {
    let answer = written(|out| write_refusal(out, refusal));
    assert!(answer.contains(r#""code":"#), "{answer}");
    assert!(
        answer.len() < 2_000,
        "what is refused is not given back: {}",
        answer.len()
    );
}

proptest! {
    #[test]
    fn any_bytes_are_an_action_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Err(refusal) = read_frame(&bytes) {
            is_answered(&refusal);
        }
        if let Err(refusal) = read_rpc(&bytes) {
            is_answered(&refusal);
        }
    }

    #[test]
    fn any_json_is_an_action_or_is_refused(frame in json(), action in "[a-zA-Z_]{0,12}") {
        let mut frame = frame;
        if let Some(members) = frame.as_object_mut() {
            members.insert("action".into(), action.into());
        }
        if let Err(refusal) = read_frame(frame.to_string().as_bytes()) {
            is_answered(&refusal);
        }
    }

    #[test]
    fn any_payload_is_a_call_or_names_its_field((info, payload) in payload()) {
        let frame = serde_json::json!({
            "action": "rpc", "method": info.name, "payload": payload, "requestId": 7, "updateId": "u",
        });
        match read_frame(frame.to_string().as_bytes()) {
            Ok(Action::Rpc(rpc)) => {
                prop_assert_eq!(rpc.label.info.name, info.name);
                prop_assert_eq!(rpc.label.ids.request_id.as_deref(), Some("7"));
                prop_assert_eq!(rpc.needs().0, info.needs);
            }
            Ok(Action::Ping) => panic!("an rpc is no ping"),
            Err(refusal) => {
                is_answered(&refusal);
                prop_assert_eq!(refusal.method, Some(info.name));
                prop_assert_eq!(refusal.code(), Code::InvalidRequest);
                prop_assert_eq!(refusal.ids.request_id.as_deref(), Some("7"));
                let message = &refusal.error.message;
                let named = info.params.iter().any(|param| message.contains(param.name));
                prop_assert!(named, "{}: {}", info.name, message);
            }
        }
    }

    #[test]
    fn any_request_is_read_or_refused(
        path in "/(v1/rooms/.{0,20}|connect|schema|v1/sql|v1/rooms/a/rpc)",
        query in "(room_id=)?.{0,20}",
        body in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        for method in [HttpMethod::Get, HttpMethod::Post, HttpMethod::Delete] {
            let _ = read_request(method, &path, &query, std::iter::empty(), &body);
        }
    }

    #[test]
    fn whatever_is_in_an_answer_it_is_json(text in ".{0,20}", at in any::<u64>(), bytes in any::<i64>()) {
        let error = TableError {
            table: Some(text.clone().into()),
            column: Some(text.clone().into()),
            row: Some(usize::MAX),
            ..TableError::new(Code::Constraint, text.clone())
        };
        written(|out| write_refusal(out, &Refusal::of(&label("insertRow", "1"), error.clone())));
        let values = vec![(Box::from(text.as_str()), Value::Integer(bytes))];
        let applied = Applied {
            results: vec![Mutated {
                rows: at,
                row: Some(Row(values)),
                key: Some(text.clone().into()),
                failed: vec![error],
            }],
            first_seq: at,
            count: at,
            schema_changed: true,
        };
        for info in METHODS {
            let label = label(info.name, "1");
            written(|out| write_mutated(out, &label, &applied));
        }
        let entry = Entry { key: &text, value: "1", version: at, expires_at: None };
        for kind in [MemoryKind::Cursors, MemoryKind::Presence, MemoryKind::Memory] {
            let update = MemoryUpdate { kind, snapshot: false, version: at };
            let gone = [text.as_str()].into_iter();
            written(|out| write_memory_update(out, &update, [entry].into_iter(), gone));
        }
    }
}
