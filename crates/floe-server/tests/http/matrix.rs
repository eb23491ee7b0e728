//! Every route × every kind of credential × own and foreign namespace.
//!
//! What each route needs stands in one table here, by hand, and the routes come from the surfaces'
//! own tables: a route without a row fails, and so does a row without a route.

use std::collections::BTreeSet;

use floe_proto::Rights;
use floe_surfaces::community::{common::RoomPath, voice_http, voice_recordings};
use floe_surfaces::http::Method;
use floe_surfaces::{admin, channels, community, room_access, tables};
use serde_json::{Value, json};

use crate::harness::{Channel, Request, TestServer, delete, post, put};
use crate::websocket::{Client, upgrade};

/// A voice room.
const VOICE: &str = "00000000000a";

const KEYS: &str = "acme:read:k-read acme:write:k-write acme:admin:k-admin other:read:o-read \
    other:admin:o-admin *:read:eye *:admin:root";

/// What a request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Nothing; credentials are not even looked at.
    Nothing,
    /// Nothing, but credentials that are shown must be good.
    GoodIfShown,
    /// To be known.
    Known,
    /// To be known by a name.
    User,
    /// One of these rights in the channel.
    Channel(Rights),
    /// One of these rights for the stream.
    Stream(Rights),
    /// One of these rights for the room with tables, which comes to be for whoever may append.
    Tables(Rights),
    /// One of these rights for the room with tables, whether it is there or not.
    AnyTables(Rights),
    /// One of these rights in the whole namespace.
    Namespace(Rights),
    /// All of these rights in the whole namespace.
    All(Rights),
    /// One of these rights in the whole namespace that the path names.
    Named(Rights),
    /// To look after the whole server.
    Operator,
    /// The token of a wake, which nobody here has: never a key.
    Wake,
    /// One of these rights for the waddle, of who is no user; a user is a stranger there.
    Waddle(Rights),
    /// One of these rights for the voice room, which comes to be for whoever may make rooms.
    Voice(Rights),
    /// One of these rights for the voice room, which whoever may make rooms has made by then: routes are
    /// gone through in order.
    MadeVoice(Rights),
    /// What a user may do who is a member of the waddle, and others by their rights there.
    Members(Rights),
    /// To be a user, or to manage the waddle.
    Membership,
    /// To be a user, or to manage the namespace.
    Joined,
}

/// What comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It is served, whatever the answer.
    Served,
    /// It is served, and what it is about is not there.
    NotThere,
    Unauthorized,
    Forbidden,
}

/// Who asks.
#[derive(Debug, Clone)]
struct Who {
    name: &'static str,
    shows: Shows,
    /// The one namespace that it opens; `None` is all.
    namespace: Option<&'static str>,
    rights: Rights,
}

#[derive(Debug, Clone)]
enum Shows {
    Nothing,
    Wrong,
    Bearer(String),
    /// A share link's token.
    Share(String),
    /// The token of the channel that is asked for.
    Token,
    /// The token of another channel.
    OtherToken,
}

const READ: Rights = Rights::READ;
const APPEND: Rights = Rights::APPEND;
const DELETE: Rights = Rights::DELETE_OWN.with(Rights::DELETE_ANY);
const CREATE: Rights = Rights::CREATE;
const MANAGE: Rights = Rights::MANAGE;
const ADMIN: Rights = Rights::ADMIN;
const MODERATE: Rights = Rights::MANAGE.with(Rights::DELETE_ANY);
const ENTER: Rights = Rights::READ.with(Rights::APPEND);

const WRITES: Rights = Rights::APPEND
    .with(Rights::DELETE_OWN)
    .with(Rights::PRESENCE)
    .with(Rights::CREATE);

fn people(server: &TestServer) -> Vec<Who> {
    let who = |name, shows, namespace, rights| Who {
        name,
        shows,
        namespace,
        rights,
    };
    let bearer = |key: &str| Shows::Bearer(key.to_owned());
    let signed = |asked: Value| {
        let made = server.expect(201, post("/v1/tokens").value(&asked).key("k-admin"));
        made.json()["token"].as_str().unwrap().to_owned()
    };
    let rooms = json!({"**": ["read"]});
    let user = Shows::Bearer(signed(json!({"user": "mia", "rooms": rooms})));
    let link = Shows::Share(signed(json!({"use": "share", "rooms": rooms})));
    vec![
        who("nobody", Shows::Nothing, None, Rights::NONE),
        who("someone wrong", Shows::Wrong, None, Rights::NONE),
        who(
            "reader",
            bearer("k-read"),
            Some("acme"),
            READ.with(Rights::PRESENCE),
        ),
        who("writer", bearer("k-write"), Some("acme"), WRITES),
        who("admin", bearer("k-admin"), Some("acme"), Rights::ALL),
        who(
            "foreign reader",
            bearer("o-read"),
            Some("other"),
            READ.with(Rights::PRESENCE),
        ),
        who(
            "foreign admin",
            bearer("o-admin"),
            Some("other"),
            Rights::ALL,
        ),
        who(
            "reader of all",
            bearer("eye"),
            None,
            READ.with(Rights::PRESENCE),
        ),
        who("operator", bearer("root"), None, Rights::ALL),
        who("user of a signed token", user, Some("acme"), READ),
        who("guest with a link", link, Some("acme"), READ),
        who("bearer of a token", Shows::Token, Some("acme"), READ),
        who(
            "bearer of another token",
            Shows::OtherToken,
            Some("acme"),
            Rights::NONE,
        ),
    ]
}

/// The table: what each route takes.
fn need(method: &str, route: &str) -> Option<Need> {
    use Need::{
        All, AnyTables, Channel, GoodIfShown, Known, Named, Namespace, Nothing, Operator, Stream,
        Tables, User, Wake,
    };
    let need = match (method, route) {
        (
            "GET",
            "/" | "/room" | "/board" | "/chat" | "/voice" | "/voice.js" | "/healthz" | "/v1/health"
            | "/ping" | "/v1/openapi.json",
        ) => Nothing,
        ("GET", "/metrics") => Operator,
        // What is told of is decided for each channel.
        ("GET", "/v1/whoami" | "/v1/limits" | "/v1/reads") => GoodIfShown,
        ("PUT", "/v1/stream/{path}") => Stream(CREATE),
        ("POST", "/v1/stream/{path}") => Stream(APPEND),
        ("GET" | "HEAD", "/v1/stream/{path}") => Stream(READ),
        ("DELETE", "/v1/stream/{path}") => Stream(MANAGE),
        ("GET", "/v1/stream/__registry__") => Namespace(READ),
        ("GET", "/v1/stream/__audit__") => Namespace(ADMIN),
        ("GET", "/v1/stream/__channel__/{channelId}") => Channel(READ),
        ("GET", "/v1/stream/__ds/jwks.json") => Nothing,
        ("PUT" | "GET" | "DELETE", "/v1/stream/__ds/subscriptions/{id}") => Namespace(MANAGE),
        ("POST", "/v1/stream/__ds/subscriptions/{id}/streams") => Namespace(MANAGE),
        ("DELETE", "/v1/stream/__ds/subscriptions/{id}/streams/{path}") => Namespace(MANAGE),
        ("POST", "/v1/stream/__ds/subscriptions/{id}/claim") => All(ENTER),
        ("POST", "/v1/stream/__ds/subscriptions/{id}/ack") => Wake,
        ("POST", "/v1/stream/__ds/subscriptions/{id}/release") => Wake,
        ("POST", "/v1/stream/__ds/subscriptions/{id}/callback") => Wake,
        ("POST", "/v1/channels" | "/channel/create" | "/log/create") => Namespace(CREATE),
        ("GET", "/v1/channels" | "/v1/query" | "/v1/search") => Namespace(READ),
        ("POST", "/channel/list" | "/log/list") => Namespace(READ),
        ("POST", "/v1/channels/{channelId}/events" | "/channel/append" | "/log/append") => {
            Channel(APPEND)
        }
        (
            "GET",
            "/v1/channels/{channelId}/events"
            | "/v1/channels/{channelId}/events/{seq}"
            | "/v1/channels/{channelId}/subscribe"
            | "/v1/channels/{channelId}/poll"
            | "/v1/channels/{channelId}/live"
            | "/v1/channels/{channelId}/query"
            | "/v1/channels/{channelId}/search"
            | "/v1/channels/{channelId}/presence"
            | "/v1/channels/{channelId}/messages"
            | "/v1/channels/{channelId}/messages/{sequence}/thread"
            | "/v1/channels/{channelId}/messages/{sequence}/versions"
            | "/v1/channels/{channelId}/pins"
            | "/v1/channels/{channelId}"
            | "/channel/subscribe"
            | "/log/subscribe",
        ) => Channel(READ),
        ("POST", "/channel/read" | "/log/read" | "/v1/channels/{channelId}/read") => Channel(READ),
        ("POST", "/v1/channels/{channelId}/messages") => Channel(APPEND),
        ("PATCH", "/v1/channels/{channelId}/messages/{sequence}") => Channel(APPEND),
        ("DELETE", "/v1/channels/{channelId}/messages/{sequence}") => Channel(DELETE),
        ("PUT" | "DELETE", "/v1/channels/{channelId}/messages/{sequence}/reactions/{emoji}") => {
            Channel(APPEND)
        }
        ("PUT" | "DELETE", "/v1/channels/{channelId}/messages/{sequence}/pin") => {
            Channel(Rights::DELETE_ANY)
        }
        ("GET", "/v1/channels/{channelId}/realtime") => Channel(ENTER),
        ("PATCH", "/v1/channels/{channelId}/events/{seq}") => Channel(APPEND),
        ("PUT" | "DELETE", "/v1/channels/{channelId}/events/{seq}/reactions/{reaction}") => {
            Channel(APPEND)
        }
        ("DELETE", "/v1/channels/{channelId}/events/{seq}") => Channel(DELETE),
        ("POST", "/channel/delete-event" | "/log/delete-event") => Channel(DELETE),
        ("PATCH" | "DELETE", "/v1/channels/{channelId}") => Channel(MANAGE),
        ("POST", "/v1/channels/{channelId}/tokens" | "/v1/channels/{channelId}/secret") => {
            Channel(MANAGE)
        }
        ("POST", "/channel/delete" | "/log/delete") => Channel(MANAGE),
        ("POST", "/channel/token/create" | "/log/token/create") => Channel(MANAGE),
        ("GET" | "PUT" | "PATCH", "/v1/access/{room}") => Stream(MANAGE),
        ("DELETE", "/v1/access/{room}/members/{user}") => Stream(MANAGE),
        ("POST", "/v1/waddles") => Namespace(CREATE),
        // Whose waddles: the user's own, or those of whom an operator names.
        ("GET", "/v1/waddles") => Need::Joined,
        ("POST", "/v1/waddles/{waddle}/join" | "/v1/waddles/{waddle}/leave") => Need::Membership,
        (
            "GET",
            "/v1/waddles/{waddle}"
            | "/v1/waddles/{waddle}/members"
            | "/v1/waddles/{waddle}/channels"
            | "/v1/waddles/{waddle}/channels/{channel}"
            | "/v1/waddles/{waddle}/search",
        ) => Need::Waddle(READ),
        ("GET", "/v1/waddles/{waddle}/bans")
        | ("PATCH" | "DELETE", "/v1/waddles/{waddle}")
        | ("PUT" | "DELETE", "/v1/waddles/{waddle}/members/{user}")
        | ("PUT" | "DELETE", "/v1/waddles/{waddle}/bans/{user}")
        | ("PUT" | "DELETE", "/v1/waddles/{waddle}/timeouts/{user}")
        | ("POST", "/v1/waddles/{waddle}/channels")
        | ("PATCH" | "DELETE", "/v1/waddles/{waddle}/channels/{channel}") => Need::Waddle(MANAGE),
        ("GET", "/connect" | "/websocket" | "/manifest" | "/v1/rooms/{room}/manifest") => {
            AnyTables(READ)
        }
        ("GET", "/schema" | "/backup" | "/download-client") => Stream(READ),
        (
            "GET",
            "/v1/rooms/{room}/schema" | "/v1/rooms/{room}/backup" | "/v1/rooms/{room}/client",
        ) => Stream(READ),
        ("POST", "/v1/rooms/{room}/rpc") => Tables(READ),
        ("DELETE", "/v1/rooms/{room}") => Stream(MANAGE),
        ("GET", "/v1/waddles/{waddle}/live" | "/v1/waddles/{waddle}/presence") => {
            Need::Members(READ)
        }
        ("POST", "/v1/waddles/{waddle}/broadcast") => Need::Members(Rights::DELETE_ANY),
        ("GET", "/v1/voice/{voiceId}") => Stream(READ),
        ("GET", "/v1/voice/{voiceId}/live") => Need::Voice(READ),
        ("POST", "/v1/voice/{voiceId}/participants/{user}/mute") => Stream(MODERATE),
        ("DELETE", "/v1/voice/{voiceId}/participants/{user}") => Stream(MODERATE),
        ("PUT" | "DELETE", "/v1/voice/{voiceId}/recording") => Stream(MODERATE),
        (
            "GET",
            "/v1/voice/{voiceId}/recordings"
            | "/v1/voice/{voiceId}/recordings/{recording}"
            | "/v1/voice/{voiceId}/recordings/{recording}/{file}",
        ) => Need::MadeVoice(MODERATE),
        ("DELETE", "/v1/voice/{voiceId}/recordings/{recording}") => Stream(MANAGE),
        ("POST", "/global-query" | "/v1/sql") => Namespace(READ),
        ("GET" | "POST", "/v1/namespaces") => Operator,
        ("GET" | "PATCH" | "DELETE", "/v1/namespaces/{namespace}") => Operator,
        ("POST", "/v1/namespaces/{namespace}/rotate-secret") => Named(ADMIN),
        ("GET" | "POST", "/v1/keys" | "/v1/revocations") => Namespace(ADMIN),
        ("GET" | "DELETE", "/v1/keys/{id}") => Namespace(ADMIN),
        ("POST", "/v1/keys/{id}/rotate") => Namespace(ADMIN),
        ("POST", "/v1/tokens") => Namespace(MANAGE),
        ("POST", "/v1/tickets") => Known,
        ("POST", "/v1/invitations/accept") => User,
        _ => return None,
    };
    Some(need)
}

/// Every route that the server has.
fn routes() -> BTreeSet<(&'static str, String)> {
    let word = |method: Method| match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Put => "PUT",
        Method::Post => "POST",
        Method::Patch => "PATCH",
        Method::Delete => "DELETE",
        Method::Options | Method::Other => unreachable!("no table has it"),
    };
    let fixed = [
        ("GET", "/"),
        ("GET", "/room"),
        ("GET", "/board"),
        ("GET", "/chat"),
        ("GET", "/voice"),
        ("GET", "/voice.js"),
        ("GET", "/healthz"),
        ("GET", "/v1/health"),
        ("GET", "/metrics"),
        ("GET", "/v1/limits"),
        ("PUT", "/v1/stream/{path}"),
        ("POST", "/v1/stream/{path}"),
        ("GET", "/v1/stream/{path}"),
        ("HEAD", "/v1/stream/{path}"),
        ("DELETE", "/v1/stream/{path}"),
        ("GET", "/v1/stream/__registry__"),
        ("GET", "/v1/stream/__audit__"),
        ("GET", "/v1/stream/__channel__/{channelId}"),
        ("GET", "/v1/stream/__ds/jwks.json"),
        ("PUT", "/v1/stream/__ds/subscriptions/{id}"),
        ("GET", "/v1/stream/__ds/subscriptions/{id}"),
        ("DELETE", "/v1/stream/__ds/subscriptions/{id}"),
        ("POST", "/v1/stream/__ds/subscriptions/{id}/streams"),
        (
            "DELETE",
            "/v1/stream/__ds/subscriptions/{id}/streams/{path}",
        ),
        ("POST", "/v1/stream/__ds/subscriptions/{id}/claim"),
        ("POST", "/v1/stream/__ds/subscriptions/{id}/ack"),
        ("POST", "/v1/stream/__ds/subscriptions/{id}/release"),
        ("POST", "/v1/stream/__ds/subscriptions/{id}/callback"),
    ];
    let fixed = fixed.map(|(method, path)| (method, path.to_owned()));
    let channels = channels::routes().map(|(method, path)| (word(method), path));
    let rules = room_access::ROUTES.map(|(method, path)| (word(method), path.to_owned()));
    let tables = tables::ROUTES.map(|(method, path)| (word(method), path.to_owned()));
    let waddles = community::http::ROUTES.map(|(method, path)| (word(method), path.to_owned()));
    let voice = voice_http::ROUTES.map(|(method, path)| (word(method), path.to_owned()));
    let recordings = voice_recordings::ROUTES.map(|(method, path)| (word(method), path.to_owned()));
    let live = RoomPath::ROUTES.map(|(method, path)| (word(method), path.to_owned()));
    let admin = admin::ROUTES.map(|route| (word(route.method), route.path.to_owned()));
    fixed
        .into_iter()
        .chain(channels)
        .chain(rules)
        .chain(tables)
        .chain(waddles)
        .chain(recordings)
        .chain(voice)
        .chain(live)
        .chain(admin)
        .collect()
}

/// Writes a request that is served where it is allowed.
fn request(method: &str, route: &str, channel: &Channel) -> Request {
    let path = route
        .replace("{channelId}", &channel.id)
        .replace(
            "{room}",
            if route.starts_with("/v1/rooms/") {
                "board"
            } else {
                "stream/news"
            },
        )
        .replace("{voiceId}", VOICE)
        .replace("{recording}", "none")
        .replace("{file}", "1-0.ogg")
        .replace("{path}", "news")
        .replace("{seq}", "1")
        .replace("{reaction}", "yes")
        .replace("{sequence}", "1")
        .replace("{emoji}", "yes")
        .replace("{user}", "mia")
        .replace("{namespace}", "acme")
        .replace("{waddle}", "birds")
        .replace("{channel}", "000000000000")
        .replace("{id}", "nothing");
    let id = &channel.id;
    let kept = |mut body: Value| {
        let name = if route.starts_with("/log/") {
            "logId"
        } else {
            "channelId"
        };
        body[name] = json!(id);
        body
    };
    let kept_route = route
        .strip_prefix("/channel")
        .or(route.strip_prefix("/log"));
    let body = match (method, kept_route.unwrap_or(route)) {
        ("POST", "/append") => kept(json!({"content": "x", "authorId": "a"})),
        ("POST", "/read") => kept(json!({})),
        ("POST", "/create") => json!({"namespace": "acme", "name": "n"}),
        ("POST", "/list") => json!({"namespace": "acme"}),
        ("POST", "/delete-event") => kept(json!({"targetSeq": 1, "authorId": "a"})),
        ("POST", "/delete") => kept(json!({"namespace": "acme"})),
        ("POST", "/token/create") => kept(json!({
            "namespace": "acme", "permissions": ["read"], "displayName": "a",
        })),
        ("POST", "/v1/waddles") => json!({"name": "n", "owner": "mia"}),
        ("POST", "/v1/channels" | "/v1/namespaces" | "/v1/waddles/{waddle}/channels") => {
            json!({"name": "n"})
        }
        ("PUT", "/v1/waddles/{waddle}/timeouts/{user}") => json!({"seconds": 5}),
        ("PATCH", "/v1/channels/{channelId}") => json!({"slow": "conflate"}),
        ("POST", "/v1/channels/{channelId}/events")
        | ("PATCH", "/v1/channels/{channelId}/events/{seq}") => {
            json!({"content": "x", "authorId": "a"})
        }
        ("POST", "/v1/channels/{channelId}/messages")
        | ("PATCH", "/v1/channels/{channelId}/messages/{sequence}") => json!({"content": "x"}),
        ("POST", "/v1/channels/{channelId}/read") => json!({"sequence": 1}),
        ("POST", "/v1/channels/{channelId}/tokens") => json!({"rights": ["read"], "author": "a"}),
        ("PUT", "/v1/stream/__ds/subscriptions/{id}") => {
            json!({"type": "pull-wake", "wake_stream": "wakes", "pattern": "x/*"})
        }
        ("POST", "/v1/stream/__ds/subscriptions/{id}/streams") => json!({"streams": ["news"]}),
        ("POST", "/v1/stream/__ds/subscriptions/{id}/claim") => json!({"worker": "w"}),
        (
            "POST",
            "/v1/stream/__ds/subscriptions/{id}/ack"
            | "/v1/stream/__ds/subscriptions/{id}/release"
            | "/v1/stream/__ds/subscriptions/{id}/callback",
        ) => json!({"wake_id": "w", "generation": 1}),
        ("POST", "/v1/rooms/{room}/rpc") => json!({"method": "listTasks"}),
        ("POST", "/global-query" | "/v1/sql") => json!({"sql": "SELECT 1"}),
        ("POST", "/v1/keys") => json!({"name": "n", "rights": ["read"]}),
        ("POST", "/v1/tokens") => json!({"user": "mia", "rights": ["read"]}),
        ("POST", "/v1/revocations") => json!({"user": "someone"}),
        ("POST", "/v1/invitations/accept") => json!({"invitation": "none"}),
        _ => json!({}),
    };
    let query = match route {
        "/connect" | "/websocket" | "/schema" | "/manifest" | "/backup" | "/download-client" => {
            "?room_id=board".to_owned()
        }
        "/channel/subscribe" => format!("?channelId={id}"),
        "/log/subscribe" => format!("?logId={id}"),
        "/v1/channels/{channelId}/events/{seq}" if method == "GET" => "?waitFor=1".to_owned(),
        "/v1/search" | "/v1/channels/{channelId}/search" | "/v1/waddles/{waddle}/search" => {
            "?q=x".to_owned()
        }
        route
            if route.contains("/events/{seq}/reactions/")
                || method == "DELETE" && route.contains("/events/") =>
        {
            "?authorId=a".to_owned()
        }
        // Who takes part in a voice room is told as events alone.
        "/v1/voice/{voiceId}/live" => String::new(),
        route if route.ends_with("/live") => "?poll=true".to_owned(),
        _ => String::new(),
    };
    let request = Request::new(method, &format!("{path}{query}"));
    match (method, route) {
        ("PUT" | "POST", "/v1/stream/{path}") => request.text("x"),
        ("GET" | "HEAD" | "DELETE", _) => request,
        _ => request.value(&body),
    }
}

/// Decides what must come of it, by the table alone.
fn verdict(need: Need, who: &Who, named: bool) -> Verdict {
    use Verdict::{Forbidden, NotThere, Served, Unauthorized};
    let foreign = who.namespace.is_some_and(|namespace| namespace != "acme");
    let is_bearer = matches!(who.shows, Shows::Bearer(_) | Shows::Share(_));
    let is_user = who.name == "user of a signed token";
    match need {
        Need::Nothing => return Served,
        // Whoever has no wake's token is refused, whoever they are.
        Need::Wake => return Unauthorized,
        Need::Channel(_) => {}
        // A socket, which may have been shown the token of a channel.
        Need::Voice(_) if matches!(who.shows, Shows::Token | Shows::OtherToken) => {
            return Forbidden;
        }
        // A channel's token is nothing to all else.
        _ if !is_bearer && !matches!(who.shows, Shows::Wrong) => {
            return match need {
                Need::GoodIfShown => Served,
                _ => Unauthorized,
            };
        }
        _ => {}
    }
    match who.shows {
        Shows::Wrong | Shows::Nothing => return Unauthorized,
        Shows::OtherToken => return Forbidden,
        Shows::Token | Shows::Bearer(_) | Shows::Share(_) => {}
    }
    if named && foreign {
        return Forbidden;
    }
    let (may, there) = match need {
        Need::Channel(rights) => (who.rights.intersects(rights), !foreign),
        Need::Stream(rights) => {
            // Without a name it is the stream in one's own namespace, or the default one.
            let there = named || who.namespace == Some("acme");
            (who.rights.intersects(rights), there || rights == CREATE)
        }
        Need::Tables(rights) => {
            let there = named || who.namespace == Some("acme");
            let makes = who.rights.contains(APPEND);
            (who.rights.intersects(rights), there || makes)
        }
        Need::Voice(rights) | Need::MadeVoice(rights) => {
            let there = named || who.namespace == Some("acme");
            let makes = who.rights.intersects(CREATE.with(MANAGE));
            (who.rights.intersects(rights), there || makes)
        }
        Need::AnyTables(rights) => (who.rights.intersects(rights), true),
        Need::Namespace(rights) => (who.rights.intersects(rights), true),
        Need::Named(rights) => (who.rights.intersects(rights) && !foreign, true),
        // A user is judged by what they are in the waddle, and here they are nothing.
        Need::Waddle(_) if is_user => (true, false),
        Need::Waddle(rights) => {
            let there = named || who.namespace == Some("acme");
            (who.rights.intersects(rights), there)
        }
        Need::Members(_) if is_user => (false, true),
        Need::Members(rights) => {
            let there = named || who.namespace == Some("acme");
            (who.rights.intersects(rights), there)
        }
        Need::Membership => {
            let there = named || who.namespace == Some("acme");
            (is_user || who.rights.contains(MANAGE), there)
        }
        Need::Joined => (is_user || who.rights.contains(MANAGE), true),
        Need::All(rights) => (who.rights.contains(rights), true),
        Need::Operator => (who.namespace.is_none() && who.rights.contains(ADMIN), true),
        // The invitation that is shown is none.
        Need::User => (who.name == "user of a signed token", true),
        Need::Known | Need::GoodIfShown => (true, true),
        Need::Nothing | Need::Wake => unreachable!(),
    };
    match (may, there) {
        (false, _) => Forbidden,
        (true, false) => NotThere,
        (true, true) => Served,
    }
}

#[test]
fn every_route_has_a_row_and_every_row_a_route() {
    for (method, route) in routes() {
        assert!(
            need(method, &route).is_some(),
            "{method} {route} has no row"
        );
    }
    assert_eq!(need("GET", "/v1/nowhere"), None);
    assert!(routes().len() > 70, "{}", routes().len());
}

#[test]
fn every_route_for_everyone_in_ones_own_namespace_and_by_name() {
    let server = TestServer::with(|settings| settings.api_keys = KEYS.into());
    for key in ["k-admin", "o-admin"] {
        server.expect(201, put("first").text("x").key(key));
    }
    let mut wrong = Vec::new();
    let mut cases = 0;
    for (method, route) in routes() {
        let need = need(method, &route).unwrap();
        for (at, mut who) in people(&server).into_iter().enumerate() {
            for named in [false, true] {
                cases += 1;
                if route.ends_with("/rotate-secret") {
                    // Whoever may has just ended the tokens that were signed before.
                    who = people(&server).swap_remove(at);
                }
                if let Err(seen) = ask(&server, method, &route, need, &who, named) {
                    wrong.push(format!(
                        "{method} {route} by {} (named: {named}): {seen}",
                        who.name
                    ));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {cases}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn ask(
    server: &TestServer,
    method: &str,
    route: &str,
    need: Need,
    who: &Who,
    named: bool,
) -> Result<(), String> {
    // A room of its own, since some requests are the end of one.
    let created = post("/v1/channels")
        .value(&json!({"name": "room"}))
        .key("k-admin");
    let channel = Channel::of(&server.expect(201, created));
    let said = channel.says("a", "hello").key("k-admin");
    server.expect(201, said);
    if matches!(need, Need::Stream(_)) {
        server.send(put("/n/acme/v1/stream/news").text("x").key("k-admin"));
    }
    if route.starts_with("/v1/waddles") {
        // Nobody who asks is a member of it.
        // Whoever asked before may have made a member of somebody, or banned them.
        server.send(delete("/v1/waddles/birds").key("k-admin"));
        let join = if route.ends_with("/join") {
            "open"
        } else {
            "invite"
        };
        let invite = json!({"id": "birds", "name": "n", "owner": "zoe", "join": join});
        server.send(post("/v1/waddles").value(&invite).key("k-admin"));
    }
    if tables::owns(route) {
        let call = json!({"method": "listTasks"});
        let call = post("/n/acme/v1/rooms/board/rpc").value(&call);
        server.expect(200, call.key("k-admin"));
    }
    let _seated = route.starts_with("/v1/voice/").then(|| {
        let mut room = upgrade().key("k-admin");
        room.target = format!("/n/acme/ws/voice/{VOICE}");
        // A user who makes a room owns it.
        let (mut nobody, _) = Client::greet(server, &room);
        nobody.next_of("welcome");
        room.target += "?user=mia";
        let (mut mia, _) = Client::greet(server, &room);
        let seated = mia.ask(json!({"type": "join"}));
        assert_eq!(seated["type"], "ack", "{seated}");
        mia
    });
    let mut request = request(method, route, &channel);
    if named {
        request.target = format!("/n/acme{}", request.target);
    }
    request = match &who.shows {
        Shows::Nothing => request,
        Shows::Wrong => request.key("nobody-has-this"),
        Shows::Bearer(key) => request.field("Authorization", format!("Bearer {key}")),
        Shows::Share(token) => {
            let joint = if request.target.contains('?') {
                '&'
            } else {
                '?'
            };
            request.target += &format!("{joint}share={token}");
            request
        }
        Shows::Token => request.token(&token(server, &channel)),
        Shows::OtherToken => {
            let other = post("/v1/channels")
                .value(&json!({"name": "n"}))
                .key("k-admin");
            request.token(&token(server, &Channel::of(&server.expect(201, other))))
        }
    };
    let mut connection = server.connect();
    connection.write(request.bytes());
    let status = connection.head().status;
    // A link opens rooms; nobody looks for one where there are none.
    let is_roomless = route == "/metrics" || route.contains("/__ds/");
    let mut expected = match who.shows {
        Shows::Share(_) if is_roomless => verdict(need, &people(server)[0], named),
        _ => verdict(need, who, named),
    };
    if let Need::Namespace(_) = need {
        let is_kept = route.starts_with("/channel/") || route.starts_with("/log/");
        let is_tables = tables::owns(route);
        let of_channels =
            !is_tables && (is_kept || !admin::owns(route) && !route.starts_with("/v1/stream/"));
        // Who shows a channel's token is judged by it, and it opens no namespace.
        let of_channels = of_channels && !community::http::owns(route);
        if of_channels && matches!(who.shows, Shows::Token | Shows::OtherToken) {
            expected = Verdict::Forbidden;
        }
        // The kept form names the namespace in its body.
        if is_kept && who.namespace == Some("other") && expected == Verdict::Served {
            expected = Verdict::Forbidden;
        }
    }
    let seen = match status {
        401 => Verdict::Unauthorized,
        403 => Verdict::Forbidden,
        404 if expected == Verdict::NotThere => Verdict::NotThere,
        // What a request names beside rooms need not be there.
        404 if [
            "{id}",
            "{namespace}",
            "__audit__",
            "{user}",
            "{channel}",
            "{recording}",
            "/leave",
        ]
        .iter()
        .any(|part| route.contains(part)) =>
        {
            Verdict::Served
        }
        404 => Verdict::NotThere,
        _ => Verdict::Served,
    };
    if seen == expected {
        Ok(())
    } else {
        Err(format!("{seen:?} ({status}) instead of {expected:?}"))
    }
}

fn token(server: &TestServer, channel: &Channel) -> String {
    let asked = json!({"rights": ["read"], "author": "tess"});
    let asked = post(&channel.at("/tokens")).value(&asked).key("k-admin");
    let answer = server.expect(201, asked).json();
    answer["token"].as_str().unwrap().to_owned()
}

/// What a frame takes of whoever sends it to a room.
fn frame_need(frame: &str) -> Option<Rights> {
    let rights = match frame {
        "join" | "members" => READ,
        "append" | "typing" | "memory" => APPEND,
        "presence" => Rights::PRESENCE,
        // These are about the connection, or about a room that was joined.
        "leave" | "auth" | "ping" => Rights::ALL,
        // These are for rooms with tables, and what they need depends on the method.
        "rpc" => Rights::ALL,
        _ => return None,
    };
    Some(rights)
}

/// Every frame that a client may send.
fn frames() -> Vec<String> {
    let schema = include_str!("../../../../docs/protocol.schema.json");
    let schema: Value = serde_json::from_str(schema).unwrap();
    let definitions = schema["$defs"].as_object().unwrap();
    let frames = definitions
        .keys()
        .filter_map(|name| name.strip_prefix("client."));
    frames.map(str::to_owned).collect()
}

#[test]
fn every_frame_for_everyone_in_channels_and_streams() {
    let server = TestServer::with(|settings| settings.api_keys = KEYS.into());
    let created = post("/v1/channels")
        .value(&json!({"name": "room"}))
        .key("k-admin");
    let channel = Channel::of(&server.expect(201, created));
    server.expect(201, put("news").text("x").key("k-admin"));
    let rooms = [format!("channel/{}", channel.id), "stream/news".to_owned()];
    assert_eq!(frames().len(), 10);
    for who in people(&server) {
        if matches!(who.shows, Shows::OtherToken) {
            continue;
        }
        for (room, is_channel) in rooms.iter().zip([true, false]) {
            for frame in frames() {
                let need = frame_need(&frame).unwrap_or_else(|| panic!("{frame} has no row"));
                let seen = say(&server, &who, &channel, room, &frame);
                let expected = frame_verdict(need, &who, is_channel, &frame);
                assert_eq!(seen, expected, "{frame} to {room} by {}", who.name);
            }
        }
    }
}

fn frame_verdict(need: Rights, who: &Who, is_channel: bool, frame: &str) -> &'static str {
    let by_token = matches!(who.shows, Shows::Token);
    let foreign = who.namespace.is_some_and(|namespace| namespace != "acme");
    // Without a name, a stream is that of one's own namespace, or the default one.
    let elsewhere = foreign || !is_channel && who.namespace.is_none();
    match who.shows {
        Shows::Wrong => return "401",
        _ if matches!(frame, "auth" | "ping") => return "",
        _ if frame == "rpc" => return "INVALID_REQUEST",
        Shows::Nothing => {
            return if frame == "join" || frame == "append" {
                "UNAUTHORIZED"
            } else {
                "NOT_JOINED"
            };
        }
        Shows::Token if !is_channel => {
            return if frame == "join" || frame == "append" {
                "UNAUTHORIZED"
            } else {
                "NOT_JOINED"
            };
        }
        _ => {}
    }
    let may = |rights: Rights| who.rights.intersects(rights);
    match frame {
        // Whoever may read but not append learns no more of another's channel than that.
        "append" if is_channel && elsewhere && may(ENTER) => "NOT_FOUND",
        "join" | "append" if !may(need) => "FORBIDDEN",
        "join" | "append" if elsewhere => "NOT_FOUND",
        "join" | "append" => "",
        // Who reads or appends comes in, and who does neither is not there.
        _ if !may(ENTER) || elsewhere => "NOT_JOINED",
        "leave" => "",
        // To be seen one must see.
        "presence" if !may(READ) || !may(need) && !by_token => "NOT_JOINED",
        // Who comes in by a token may be seen.
        "presence" if by_token => "",
        _ if may(need) => "",
        _ => "FORBIDDEN",
    }
}

/// Sends one frame on a connection of its own; returns the code of the error that it gets, if any.
fn say(server: &TestServer, who: &Who, channel: &Channel, room: &str, frame: &str) -> String {
    let mut request = upgrade();
    match &who.shows {
        Shows::Bearer(key) => request = request.key(key),
        Shows::Wrong => request = request.key("nobody-has-this"),
        Shows::Share(token) => request.target += &format!("?share={token}"),
        Shows::Token => request = request.token(&token(server, channel)),
        Shows::Nothing | Shows::OtherToken => {}
    }
    if matches!(who.shows, Shows::Wrong) {
        return server.send(request).status.to_string();
    }
    let (mut client, _) = Client::greet(server, &request);
    assert_eq!(client.frame()["type"], "welcome");
    let code = |answer: Value| answer["code"].as_str().unwrap_or_default().to_owned();
    if !matches!(frame, "join" | "append" | "auth" | "ping" | "rpc") {
        let reads = who.rights.intersects(READ);
        let mut join = json!({"type": "join", "room": room, "events": reads, "user": "ann"});
        let is_seen = who.rights.intersects(Rights::PRESENCE) || matches!(who.shows, Shows::Token);
        if is_seen && reads {
            join["presence"] = json!("member");
        }
        client.ask(join);
    }
    let mut said = json!({"type": frame});
    let fields = match frame {
        "join" | "leave" | "members" => json!({"room": room}),
        "append" if room.starts_with("stream/") => json!({"room": room, "content": "x"}),
        "append" => json!({"room": room, "content": "x", "authorId": "ann"}),
        "typing" => json!({"room": room, "typing": true}),
        "rpc" => json!({"room": room, "method": "getUsage"}),
        "memory" => json!({"room": room, "op": "set", "key": "k", "value": 1}),
        "presence" => json!({"room": room, "data": {"a": 1}}),
        "auth" => json!({"bearer": match &who.shows {
            Shows::Bearer(key) => key.clone(),
            _ => "k-read".to_owned(),
        }}),
        _ => json!({}),
    };
    for (name, value) in fields.as_object().unwrap() {
        said[name] = value.clone();
    }
    code(client.ask(said))
}
