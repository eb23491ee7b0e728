//! Voice rooms with sound: real sockets, and browsers that are none.

mod browser;
mod recording;
mod tcp;

use std::time::Instant;

use floe_server::MediaSettings;
use serde_json::json;
use str0m::Rtc;

use self::browser::{Browser, talk_until};
use crate::harness::TestServer;

/// Starts a server that carries media.
fn server() -> TestServer {
    TestServer::with(|settings| settings.media = MediaSettings::default())
}

/// Has all talk until each of the first two has heard so much more of the other.
#[track_caller]
fn until_both_hear(browsers: &mut [Browser], what: &str) {
    let before = [browsers[0].heard.len(), browsers[1].heard.len()];
    talk_until(browsers, what, |browsers| {
        let more = browsers.iter().zip(before);
        more.into_iter()
            .all(|(browser, before)| browser.heard.len() >= before + 10)
    });
}

/// Has all talk until the first has heard nothing while the second said a lot.
#[track_caller]
fn until_silent(browsers: &mut [Browser], what: &str) {
    let mut since = (browsers[0].heard.len(), browsers[1].said);
    talk_until(browsers, what, |browsers| {
        let now = (browsers[0].heard.len(), browsers[1].said);
        if now.0 != since.0 {
            since = now;
        }
        now.1 >= since.1 + 25
    });
}

#[test]
fn two_hear_each_other_and_know_whom() {
    let server = server();
    let mut both = ["ann", "bob"].map(|user| Browser::talk(&server, user));
    until_both_hear(&mut both, "their first words");
    for (browser, other) in both.iter_mut().zip(["bob", "ann"]) {
        assert!(browser.heard.iter().all(|word| word.starts_with(other)));
        browser.until_tracks(&[other]);
    }
}

#[test]
fn whom_a_moderator_mutes_is_heard_no_more_until_they_are_let() {
    let server = server();
    let mut both = ["ann", "bob"].map(|user| Browser::talk(&server, user));
    until_both_hear(&mut both, "before");
    let mute = |muted: bool| json!({"type": "mute", "userId": "bob", "muted": muted});
    both[0].member.ask(mute(true));
    until_silent(&mut both, "silence");
    both[0].until_tracks(&["bob"]);
    both[0].until_tracks(&[]);
    both[0].member.ask(mute(false));
    both[1].member.ask(json!({"type": "mute", "muted": false}));
    until_both_hear(&mut both, "after");
}

#[test]
fn who_leaves_is_heard_no_more_and_hears_nothing() {
    let server = server();
    let mut both = ["ann", "bob"].map(|user| Browser::talk(&server, user));
    until_both_hear(&mut both, "before");
    both[1].member.ask(json!({"type": "leave"}));
    both[0].until_tracks(&["bob"]);
    both[0].until_tracks(&[]);
    let mut heard = both.each_ref().map(|browser| browser.heard.len());
    let mut said = both.each_ref().map(|browser| browser.said);
    talk_until(&mut both, "silence", |both| {
        let now = [both[0].heard.len(), both[1].heard.len()];
        if now != heard {
            heard = now;
            said = [both[0].said, both[1].said];
        }
        both[0].said >= said[0] + 25
    });
    let refused = json!({"type": "offer", "sdp": "v=0"});
    both[1].member.refused(refused, "NOT_JOINED");
}

#[test]
fn an_offer_with_another_certificate_replaces_the_connection() {
    let server = server();
    let mut both = ["ann", "bob"].map(|user| Browser::talk(&server, user));
    until_both_hear(&mut both, "before");
    both[1].connect();
    until_both_hear(&mut both, "after");
}

#[test]
fn after_a_restart_of_ice_they_go_on() {
    let server = server();
    let mut both = ["ann", "bob"].map(|user| Browser::talk(&server, user));
    until_both_hear(&mut both, "before");
    both[1].restart();
    until_both_hear(&mut both, "after");
}

#[test]
fn an_offer_that_is_none_is_refused_and_the_next_is_taken() {
    let server = server();
    let mut ann = Browser::join(&server, "ann");
    for sdp in ["v=0", "hello", "a=fingerprint:sha-256 00\r\n"] {
        ann.member.ask(json!({"type": "offer", "sdp": sdp}));
        let error = ann.member.client.next_of("error");
        assert_eq!(error["code"], "INVALID_REQUEST", "{error}");
    }
    ann.connect();
    let mut both = [ann, Browser::talk(&server, "bob")];
    until_both_hear(&mut both, "each other");
}

/// Returns how and where an answer says that the server is reached.
#[track_caller]
fn told(server: &TestServer) -> Vec<String> {
    let ann = Browser::talk(server, "ann");
    // Each medium names all of them.
    let mut once: Vec<String> = Vec::new();
    for (protocol, address) in ann.told {
        let text = format!("{protocol} {address}");
        if !once.contains(&text) {
            once.push(text);
        }
    }
    once
}

#[test]
fn an_answer_names_where_the_server_is_reached_over_udp_and_tcp() {
    let server = server();
    let port = server.own_address().port();
    let expected = ["udp", "tcp"].map(|protocol| format!("{protocol} 127.0.0.1:{port}"));
    assert_eq!(told(&server), expected);
    // Behind NAT it is what the operator says.
    let server = TestServer::with(|settings| {
        settings.media = MediaSettings {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            public_address: vec!["203.0.113.7:700".parse().unwrap()],
            public_tcp_address: vec!["203.0.113.8:443".parse().unwrap()],
            ..MediaSettings::default()
        };
    });
    let expected = ["udp 203.0.113.7:700", "tcp 203.0.113.8:443"];
    assert_eq!(told(&server), expected);
}

#[test]
fn several_addresses_are_listened_on_and_each_is_answered_from() {
    let server = TestServer::with(|settings| {
        let listen = ["127.0.0.1:0", "[::1]:0", "127.0.0.2:0"];
        settings.media = MediaSettings {
            listen: listen.map(|text| text.parse().unwrap()).to_vec(),
            ..MediaSettings::default()
        };
    });
    for from in ["127.0.0.1", "::1", "127.0.0.2"] {
        let mut both = ["ann", "bob"].map(|user| Browser::join(&server, user));
        for browser in &mut both {
            browser.connect_from(from.parse().unwrap());
        }
        until_both_hear(&mut both, from);
        for browser in &mut both {
            browser.member.ask(json!({"type": "leave"}));
        }
    }
}

#[test]
fn above_the_rooms_that_media_have_room_for_an_offer_is_refused() {
    let server = TestServer::with(|settings| {
        settings.media = MediaSettings {
            rooms_max: 0,
            ..MediaSettings::default()
        };
    });
    let mut ann = Browser::join(&server, "ann");
    let mut rtc = Rtc::builder().build(Instant::now());
    let (offer, ..) = ann.offer(&mut rtc);
    ann.member.ask(json!({"type": "offer", "sdp": offer}));
    let error = ann.member.client.next_of("error");
    assert_eq!(error["code"], "LIMIT_REACHED", "{error}");
}
