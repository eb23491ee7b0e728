//! The `OpenAPI` document against the routes, the reading of requests and the answers.

mod rooms;

use std::collections::BTreeSet;

use floe_core::channel::SlowPolicy;
use floe_proto::{Millis, Page};
use serde_json::Map;

use super::answers::{LAG, answer, bytes, event, found, meta};
use super::*;
use crate::admin;
use crate::channels::answer::OPENAPI;
use crate::channels::route::{Endpoint, KEPT, PING, V1};
use crate::community::{RoomPath, http, voice_http, voice_recordings};

fn document() -> Value {
    serde_json::from_str(OPENAPI).unwrap()
}

/// Follows references.
fn resolve<'a>(document: &'a Value, mut value: &'a Value) -> &'a Value {
    while let Some(reference) = value["$ref"].as_str() {
        let pointer = reference.strip_prefix('#').unwrap();
        value = document
            .pointer(pointer)
            .unwrap_or_else(|| panic!("{reference} leads nowhere"));
    }
    value
}

fn routes() -> Vec<(String, Form, Endpoint)> {
    let under = |prefix: &str, form, table: &[Endpoint]| {
        let one = |endpoint: &Endpoint| (format!("{prefix}{}", endpoint.path), form, *endpoint);
        table.iter().map(one).collect::<Vec<_>>()
    };
    [
        under("/v1/", Form::V1, &V1),
        under("/channel/", Form::Channel, &KEPT),
        under("/log/", Form::Log, &KEPT),
        under("/", Form::Channel, &[PING]),
    ]
    .concat()
}

fn word(method: Method) -> &'static str {
    match method {
        Method::Get => "get",
        Method::Put => "put",
        Method::Post => "post",
        Method::Patch => "patch",
        Method::Delete => "delete",
        Method::Head | Method::Options | Method::Other => panic!("no route has this method"),
    }
}

fn operation<'a>(document: &'a Value, path: &str, endpoint: &Endpoint) -> &'a Value {
    &document["paths"][path][word(endpoint.method)]
}

fn parameters<'a>(document: &'a Value, operation: &'a Value, place: &str) -> Vec<&'a Value> {
    let all = operation["parameters"].as_array();
    let all = all.map(Vec::as_slice).unwrap_or_default();
    all.iter()
        .map(|parameter| resolve(document, parameter))
        .filter(|parameter| parameter["in"] == place)
        .collect()
}

#[test]
fn every_route_is_in_the_document_and_nothing_else() {
    let document = document();
    let channels = routes().into_iter();
    let channels = channels.map(|(path, _, endpoint)| (path, word(endpoint.method).to_owned()));
    let others = admin::ROUTES.iter();
    let others = others.map(|route| (route.path.to_owned(), word(route.method).to_owned()));
    let waddles = http::ROUTES.iter();
    let waddles = waddles.map(|(method, path)| ((*path).to_owned(), word(*method).to_owned()));
    let rooms = RoomPath::ROUTES.iter().chain(&voice_http::ROUTES);
    let rooms = rooms.chain(&voice_recordings::ROUTES);
    let rooms = rooms.map(|(method, path)| ((*path).to_owned(), word(*method).to_owned()));
    let others = others.chain(waddles).chain(rooms);
    let routes: BTreeSet<_> = channels.chain(others).collect();
    let mut documented = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            documented.insert((path.clone(), method.clone()));
        }
    }
    assert_eq!(routes, documented);
}

#[test]
fn every_parameter_of_a_route_is_in_the_document_and_no_other() {
    let document = document();
    for (path, form, endpoint) in routes() {
        let operation = operation(&document, &path, &endpoint);
        let names = |place| -> BTreeSet<String> {
            let parameters = parameters(&document, operation, place);
            let name = |parameter: &&Value| parameter["name"].as_str().unwrap().to_owned();
            parameters.iter().map(name).collect()
        };
        let other_form = if form == Form::Log {
            "channelId"
        } else {
            "logId"
        };
        let taken = endpoint.params.iter().filter(|name| **name != other_form);
        assert_eq!(
            names("query"),
            taken.map(|name| (*name).to_owned()).collect(),
            "{path}"
        );
        let in_path = path
            .split('/')
            .filter_map(|segment| Some(segment.strip_prefix('{')?.strip_suffix('}')?.to_owned()));
        assert_eq!(names("path"), in_path.collect(), "{path}");
    }
}

/// Routes of administration: their parameters, names and examples.
#[test]
fn administration_is_documented_as_it_is_read() {
    let document = document();
    let mut names = BTreeSet::new();
    for route in &admin::ROUTES {
        let operation = &document["paths"][route.path][word(route.method)];
        assert!(names.insert(operation["operationId"].as_str().unwrap().to_owned()));
        let named = |place| -> BTreeSet<&str> {
            let found = parameters(&document, operation, place).into_iter();
            found.map(|one| one["name"].as_str().unwrap()).collect()
        };
        let taken = route.params.iter().copied();
        assert_eq!(named("query"), taken.collect(), "{}", route.path);
        let mut target = route.path.to_owned();
        for parameter in parameters(&document, operation, "path") {
            let name = format!("{{{}}}", parameter["name"].as_str().unwrap());
            target = target.replace(&name, parameter["example"].as_str().unwrap());
        }
        assert!(!target.contains('{'), "{target}");
        let content = &operation["requestBody"]["content"]["application/json"];
        let body = content.get("example").map(Value::to_string);
        let body = body.unwrap_or_default();
        if !body.is_empty() {
            conforms(
                &document,
                &content["schema"],
                &content["example"],
                route.path,
            );
        }
        let fields = std::iter::empty();
        let asked = admin::read_request(route.method, &target, None, fields, body.as_bytes());
        assert!(asked.is_ok(), "{target} {body}: {asked:?}");
    }
}

/// Routes of waddles: their parameters, names and examples.
#[test]
fn waddles_are_documented_as_they_are_read() {
    let document = document();
    let mut names = BTreeSet::new();
    for (method, path) in http::ROUTES {
        let operation = &document["paths"][path][word(method)];
        assert!(names.insert(operation["operationId"].as_str().unwrap().to_owned()));
        let mut target = path.to_owned();
        for parameter in parameters(&document, operation, "path") {
            let name = format!("{{{}}}", parameter["name"].as_str().unwrap());
            target = target.replace(&name, parameter["example"].as_str().unwrap());
        }
        assert!(!target.contains('{'), "{target}");
        let content = &operation["requestBody"]["content"]["application/json"];
        let body = content.get("example").map(Value::to_string);
        let body = body.unwrap_or_default();
        if !body.is_empty() {
            conforms(&document, &content["schema"], &content["example"], path);
        }
        let named: Vec<_> = parameters(&document, operation, "query")
            .into_iter()
            .map(|one| one["name"].as_str().unwrap())
            .collect();
        let example = |name: &str| match name {
            "limit" => "5",
            "role" => "admin",
            _ => "x",
        };
        let query: Vec<_> = named
            .iter()
            .filter(|name| **name != "user" || body.is_empty())
            .map(|name| format!("{name}={}", example(name)))
            .collect();
        let query = query.join("&");
        let fields = std::iter::empty();
        let asked = http::read_request(method, &target, &query, fields, body.as_bytes());
        assert!(asked.is_ok(), "{target}?{query} {body}: {asked:?}");
        references(&document, operation);
    }
}

#[test]
fn every_operation_has_a_name_of_its_own_its_answers_and_its_failures() {
    let document = document();
    let mut names = BTreeSet::new();
    for (path, _, endpoint) in routes() {
        let operation = operation(&document, &path, &endpoint);
        let name = operation["operationId"].as_str().unwrap();
        assert!(names.insert(name.to_owned()), "{name}");
        assert!(operation["security"].is_array(), "{name}");
        let responses = operation["responses"].as_object().unwrap();
        assert!(
            responses.keys().any(|status| status.starts_with('2')),
            "{name}"
        );
        let open = operation["security"].as_array().unwrap().is_empty();
        for status in ["400", "401", "403"] {
            assert!(open || responses.contains_key(status), "{name} {status}");
        }
    }
    references(&document, &document);
}

fn references(document: &Value, value: &Value) {
    match value {
        Value::Object(members) => {
            resolve(document, value);
            members
                .values()
                .for_each(|value| references(document, value));
        }
        Value::Array(values) => values.iter().for_each(|value| references(document, value)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Every status and code that the document promises is one that a code has.
#[test]
fn the_codes_in_the_document_have_the_status_they_stand_under() {
    let document = document();
    for (path, _, endpoint) in routes() {
        let operation = operation(&document, &path, &endpoint);
        for (status, response) in operation["responses"].as_object().unwrap() {
            if status.starts_with('2') {
                continue;
            }
            let description = resolve(&document, response)["description"]
                .as_str()
                .unwrap();
            let words = description.split('`').skip(1).step_by(2);
            let words: Vec<_> = words
                .filter(|word| {
                    word.bytes()
                        .all(|byte| byte == b'_' || byte.is_ascii_uppercase())
                })
                .collect();
            assert!(!words.is_empty(), "{path} {status}");
            for word in words {
                let code = Code::ALL.into_iter().find(|code| code.as_str() == word);
                assert_eq!(
                    code.unwrap().http_status().to_string(),
                    *status,
                    "{path} {word}"
                );
            }
        }
    }
}

/// Requests made of the document's own examples are understood.
#[test]
fn the_examples_are_understood() {
    let document = document();
    for (path, _, endpoint) in routes() {
        let operation = operation(&document, &path, &endpoint);
        let example = |parameter: &Value| {
            let text = parameter["example"].as_str();
            let encoded = text.map(|text| text.replace('+', "%2B").replace(' ', "+"));
            encoded.unwrap_or_else(|| parameter["example"].to_string())
        };
        let mut target = path.clone();
        for parameter in parameters(&document, operation, "path") {
            let name = format!("{{{}}}", parameter["name"].as_str().unwrap());
            target = target.replace(&name, &example(parameter));
        }
        let query: Vec<_> = parameters(&document, operation, "query")
            .into_iter()
            .map(|parameter| {
                format!(
                    "{}={}",
                    parameter["name"].as_str().unwrap(),
                    example(parameter)
                )
            })
            .collect();
        let target = format!("{target}?{}", query.join("&"));
        let headers: Vec<_> = parameters(&document, operation, "header")
            .into_iter()
            .map(|parameter| (parameter["name"].as_str().unwrap(), example(parameter)))
            .collect();
        let fields: Vec<(&str, &[u8])> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()))
            .collect();
        let example = &operation["requestBody"]["content"]["application/json"];
        let body = example.get("example").map(Value::to_string);
        let body = body.unwrap_or_default();
        if !body.is_empty() {
            conforms(&document, &example["schema"], &example["example"], &path);
        }
        let sent = send(endpoint.method, &target, &body).with(&fields);
        assert!(sent.ask().is_ok(), "{target} {body}: {:?}", sent.ask());
    }
}

/// Checks a value against as much of JSON Schema as the document uses for answers.
fn conforms(document: &Value, schema: &Value, value: &Value, at: &str) {
    let schema = resolve(document, schema);
    if let Some(choices) = schema["oneOf"].as_array() {
        let fits = |choice: &&Value| {
            let choice = resolve(document, choice);
            let required = choice["required"].as_array().unwrap();
            required
                .iter()
                .all(|name| value.get(name.as_str().unwrap()).is_some())
        };
        let chosen: Vec<_> = choices.iter().filter(fits).collect();
        assert_eq!(chosen.len(), 1, "{at}: {value}");
        return conforms(document, chosen[0], value, at);
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if schema.get("type").is_none() {
        return;
    }
    let kinds = match schema["type"].as_array() {
        Some(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        None => vec![schema["type"].as_str().unwrap()],
    };
    assert!(kinds.contains(&kind), "{at}: {value} is not {kinds:?}");
    if let Some(words) = schema["enum"].as_array() {
        assert!(words.contains(value), "{at}: {value}");
    }
    let nothing = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&nothing);
    if let Some(members) = value.as_object() {
        for (name, member) in members {
            let at = format!("{at}.{name}");
            match properties.get(name) {
                Some(schema) => conforms(document, schema, member, &at),
                None => assert_ne!(schema["additionalProperties"], false, "{at} is not there"),
            }
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            assert!(
                members.contains_key(name.as_str().unwrap()),
                "{at}: no {name}"
            );
        }
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        conforms(document, &schema["items"], item, &format!("{at}[{index}]"));
    }
}

#[test]
fn answers_are_as_the_document_says() {
    let document = document();
    let check = |method: &str, path: &str, write: &dyn Fn(&mut Vec<u8>)| {
        let (status, body) = answer(write);
        let responses = &document["paths"][path][method]["responses"];
        let response = resolve(&document, &responses[status.to_string()]);
        let schema = &response["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{method} {path} {status}");
        conforms(&document, schema, &body, path);
    };
    let secret = "5".repeat(64);
    let channels = Page {
        items: vec![meta()],
        next: Some("n".into()),
    };
    let page = Page {
        items: vec![found()],
        next: None,
    };
    let one = bytes(&event(7, "x"));
    let stub = bytes(&floe_proto::Event::stub(
        7,
        floe_proto::EventKind::Message,
        Millis(0),
    ));
    let channel = "/v1/channels/{channelId}";
    let path = |rest: &str| format!("{channel}{rest}");
    for (form, root) in [(Form::Channel, "/channel"), (Form::Log, "/log")] {
        let path = |rest: &str| format!("{root}/{rest}");
        check("post", &path("create"), &|out| {
            write_created(
                out,
                &ENVELOPE,
                form,
                &meta(),
                SlowPolicy::Disconnect,
                &secret,
            );
        });
        check("post", &path("list"), &|out| {
            write_channels(out, &ENVELOPE, form, &channels, LAG);
        });
        check("post", &path("append"), &|out| {
            write_event(out, &ENVELOPE, form, &one, false);
        });
        check("post", &path("read"), &|out| {
            write_events(out, &ENVELOPE, [&*one], false);
        });
        check("post", &path("delete"), &|out| {
            write_success(out, &ENVELOPE)
        });
        check("post", &path("token/create"), &|out| {
            write_token(out, &ENVELOPE, form, "t", Millis(0));
        });
        check("post", &path("read"), &|out| {
            write_error(out, &ENVELOPE, form, Code::InvalidJson, "why");
        });
    }
    check("get", "/ping", &|out| write_pong(out, &ENVELOPE, Millis(0)));
    check("post", "/v1/channels", &|out| {
        write_created(
            out,
            &ENVELOPE,
            Form::V1,
            &meta(),
            SlowPolicy::Conflate,
            &secret,
        );
    });
    check("get", "/v1/channels", &|out| {
        write_channels(out, &ENVELOPE, Form::V1, &channels, LAG);
    });
    check("get", channel, &|out| {
        write_channel(out, &ENVELOPE, Form::V1, &meta(), SlowPolicy::Conflate);
    });
    check("delete", channel, &|out| write_success(out, &ENVELOPE));
    for duplicate in [false, true] {
        check("post", &path("/events"), &|out| {
            write_event(out, &ENVELOPE, Form::V1, &one, duplicate);
        });
        check("post", &path("/events"), &|out| {
            write_batch(out, &ENVELOPE, Form::V1, &one, duplicate);
        });
    }
    check("get", &path("/events"), &|out| {
        write_events(out, &ENVELOPE, [&*one, &*stub], true);
    });
    check("get", &path("/poll"), &|out| {
        write_polled(out, &ENVELOPE, [&*one], 7, false);
    });
    check("get", &path("/events/{seq}"), &|out| {
        write_found(out, &ENVELOPE, &found(), &[event(7, "x")], LAG);
    });
    let message = event(7, "x");
    let edit = floe_proto::Event {
        kind: floe_proto::EventKind::Edit,
        target_seq: Some(3),
        ..event(8, "y")
    };
    let of_messages = path("/messages");
    let of_message = path("/messages/{sequence}");
    for duplicate in [false, true] {
        check("post", &of_messages, &|out| {
            messages::write_said(out, &ENVELOPE, CHANNEL, &message, Some("n"), duplicate);
        });
    }
    let lists = [
        of_messages.clone(),
        path("/messages/{sequence}/thread"),
        path("/pins"),
    ];
    for path in &lists {
        check("get", path, &|out| {
            messages::write_messages(out, &ENVELOPE, &page, 9, LAG);
        });
    }
    check("patch", &of_message, &|out| {
        messages::write_acted(out, &ENVELOPE, &edit);
    });
    for (kind, method, rest) in [
        (floe_proto::EventKind::Deletion, "delete", ""),
        (floe_proto::EventKind::Reaction, "put", "/reactions/{emoji}"),
        (floe_proto::EventKind::Pin, "put", "/pin"),
    ] {
        let event = floe_proto::Event {
            kind,
            ..edit.clone()
        };
        check(method, &format!("{of_message}{rest}"), &|out| {
            messages::write_acted(out, &ENVELOPE, &event);
        });
    }
    check("get", &path("/messages/{sequence}/versions"), &|out| {
        messages::write_message_versions(out, &ENVELOPE, &found(), &[], LAG);
    });
    check("post", &path("/read"), &|out| {
        messages::write_marked(out, &ENVELOPE, CHANNEL, 7);
    });
    check("get", "/v1/reads", &|out| {
        let counts = [floe_proto::Unread {
            channel: CHANNEL,
            after_seq: 3,
            applied: 9,
            unread: 2,
            mentions: 1,
        }];
        let unreads = messages::Unreads {
            user: "ann",
            counts: &counts,
            lag: LAG,
        };
        messages::write_unreads(out, &ENVELOPE, &unreads);
    });
    for root in ["/v1", channel] {
        check("get", &format!("{root}/query"), &|out| {
            write_queried(out, &ENVELOPE, &page, LAG);
        });
        check("get", &format!("{root}/search"), &|out| {
            write_hits(out, &ENVELOPE, &page, LAG);
        });
    }
    check("post", &path("/tokens"), &|out| {
        write_token(out, &ENVELOPE, Form::V1, "t", Millis(0));
    });
    check("post", &path("/secret"), &|out| {
        write_secret(out, &ENVELOPE, CHANNEL, &secret);
    });
    check("get", &path("/realtime"), &|out| {
        write_realtime(out, &ENVELOPE, CHANNEL, "ws://a/v1/live");
    });
    check("get", &path("/presence"), &|out| {
        let members = [Member {
            user: "ann",
            since: Millis(0),
            data: Some("[1]"),
        }];
        let presence = Presence {
            channel: CHANNEL,
            count: 1,
            members: &members,
            next: None,
        };
        write_presence(out, &ENVELOPE, &presence);
    });
    check("get", "/v1/limits", &|out| {
        let mut own = crate::limits::Limits::default();
        own.counts.push(crate::limits::CountState {
            scope: crate::limits::Scope::User,
            kind: crate::limits::CountKind::Readers,
            most: Some(3),
            used: 1,
            complete: false,
        });
        let told = crate::limits::Told {
            namespace: "acme",
            namespaces: vec![("acme".to_owned(), own.clone())],
            own,
            more: false,
            bounds: &[("readers.max", 1)],
        };
        crate::limits::write_limits(out, &ENVELOPE, &told);
    });
    check("get", "/v1/openapi.json", &|out| {
        write_openapi(out, &ENVELOPE)
    });
    check("get", &path("/query"), &|out| {
        write_error(out, &ENVELOPE, Form::V1, Code::ViewBehind, "why");
    });
}

/// Every command of the user guide is one that the server understands.
#[test]
fn the_commands_of_the_guide_are_understood() {
    let guide = include_str!("../../../../../docs/CHANNELS.md").replace("\\\n", " ");
    let commands = guide.lines().filter(|line| line.starts_with("curl "));
    let mut count = 0;
    for command in commands {
        let command = command
            .replace("'$ID'", ID)
            .replace("$ID", ID)
            .replace("$TOKEN", "t")
            .replace("$S/", "/v1/")
            .replace("$K/", "/");
        let (rest, body) = match command.split_once(" -d '") {
            Some((rest, body)) => (rest.to_owned(), body.strip_suffix('\'').unwrap()),
            None => (command.clone(), ""),
        };
        let method = match rest.split_once(" -X ") {
            Some((_, after)) => Method::parse(after.split(' ').next().unwrap()),
            None if body.is_empty() => Method::Get,
            None => Method::Post,
        };
        let target = rest
            .split([' ', '"'])
            .find(|word| word.starts_with('/'))
            .unwrap();
        let headers = rest.split(" -H ").skip(1);
        let fields: Vec<(&str, &[u8])> = headers
            .map(|header| {
                let header = header.split(&header[..1]).nth(1).unwrap();
                let (name, value) = header.split_once(": ").unwrap();
                (name, value.as_bytes())
            })
            .collect();
        let asked = send(method, target, body).with(&fields).read();
        assert!(asked.is_ok(), "{command}: {asked:?}");
        count += 1;
    }
    assert!(count > 30, "{count}");
}
