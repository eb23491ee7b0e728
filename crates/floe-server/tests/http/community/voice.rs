//! Voice rooms.

use super::{Member, socket};
use crate::harness::{TestServer, get, put};

#[test]
fn a_voice_room_comes_to_be_with_the_first_who_may_make_it_and_is_written_by_the_server_alone() {
    let keys = "default:read:k-read default:admin:k-admin";
    let server = TestServer::with(|settings| settings.api_keys = keys.into());
    let room = "/ws/voice/00000000000a";
    server.expect(404, socket(room).key("k-read"));
    Member::with(&server, &socket(room).key("k-admin"));
    Member::with(&server, &socket(room).key("k-read"));
    let stream = "/v1/stream/__voice__/00000000000a";
    let log = server.expect(200, get(&format!("{stream}?offset=-1")).key("k-read"));
    assert_eq!(log.json(), serde_json::json!([]));
    server.expect(405, put(stream).text("x").key("k-admin"));
    server.expect(401, get(&format!("{stream}?offset=-1")));
}
