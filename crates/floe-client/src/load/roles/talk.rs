//! The signals of a participant of a voice room.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use serde::Deserialize;

use crate::load::response::Head;
use crate::load::role::{After, Io, Role, Shared};
use crate::load::voice::{Agreeing, Commands, Who};
use crate::load::websocket::{WebSocket, put_handshake_to, put_text, text_in};

/// Who takes part, and how.
pub(crate) struct Talk {
    /// The name of the room.
    pub(crate) room_name: String,
    /// The room, by its number in the run.
    pub(crate) room: u32,
    /// The participant, by its number in the run.
    pub(crate) number: u32,
    /// Whether it speaks.
    pub(crate) speaks: bool,
    /// Whether what it hears is decrypted and looked at.
    pub(crate) is_checked: bool,
    /// The address that it sends from, with any port.
    pub(crate) local: SocketAddr,
    /// Whether the server carries sound, once somebody knows.
    pub(crate) carries: Rc<Cell<Option<bool>>>,
    /// The thread that takes on whoever is agreed on.
    pub(crate) media: Commands,
}

/// Takes a seat, and agrees with the server on a connection for media.
pub(crate) struct TalkRole {
    talk: Talk,
    since: Instant,
    socket: Option<Box<WebSocket>>,
    agreeing: Option<Agreeing>,
    heard: Vec<Heard>,
}

/// What the server said that matters here.
enum Heard {
    /// It is there.
    Welcome,
    /// There is a session, which carries so many voices.
    Session(Features),
    /// What it wants the media to be like.
    Answer(String),
}

#[derive(Deserialize)]
struct SessionFrame {
    features: Features,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Features {
    audio: bool,
    audio_slots: u16,
}

#[derive(Deserialize)]
struct AnswerFrame {
    sdp: String,
}

impl TalkRole {
    pub(crate) fn new(talk: Talk) -> Self {
        Self {
            talk,
            since: Instant::now(),
            socket: None,
            agreeing: None,
            heard: Vec::new(),
        }
    }

    fn act(&mut self, io: &mut Io<'_>, heard: Heard) {
        match heard {
            Heard::Welcome => put_text(io.out, br#"{"type":"join","id":1}"#),
            Heard::Session(features) => {
                self.talk.carries.set(Some(features.audio));
                if features.audio && self.agreeing.is_none() {
                    self.offer(io, features.audio_slots);
                }
            }
            Heard::Answer(sdp) => {
                let Some(agreeing) = self.agreeing.take() else {
                    return io.shared.note_error("an answer to nothing");
                };
                match agreeing.agree(&sdp) {
                    Ok(participant) => {
                        io.shared.ready += 1;
                        self.talk.media.add(participant);
                    }
                    Err(error) => io.shared.note_error(&format!("answer: {error}")),
                }
            }
        }
    }

    fn offer(&mut self, io: &mut Io<'_>, slots: u16) {
        let who = Who {
            room: self.talk.room,
            number: self.talk.number,
            speaks: self.talk.speaks,
            is_checked: self.talk.is_checked,
            since: self.since,
        };
        match Agreeing::offer(who, self.talk.local, slots) {
            Ok((agreeing, sdp)) => {
                self.agreeing = Some(agreeing);
                let frame = serde_json::json!({"type": "offer", "id": 2, "sdp": sdp});
                put_text(io.out, frame.to_string().as_bytes());
            }
            Err(error) => io.shared.note_error(&format!("offer: {error}")),
        }
    }
}

/// Reads what matters of a frame.
fn hear(shared: &mut Shared, frame: &str) -> Option<Heard> {
    let read = match text_in(frame, "\"type\":\"") {
        Some("welcome") => Ok(Heard::Welcome),
        Some("session") => {
            serde_json::from_str(frame).map(|SessionFrame { features }| Heard::Session(features))
        }
        Some("answer") => serde_json::from_str(frame).map(|AnswerFrame { sdp }| Heard::Answer(sdp)),
        Some("error" | "left" | "session_ended") => {
            let code = text_in(frame, "\"code\":\"").or(text_in(frame, "\"reason\":\""));
            let code = code.unwrap_or("no code");
            shared.note_error(&format!("the server said {code}"));
            return None;
        }
        Some(_) | None => return None,
    };
    if read.is_err() {
        shared.note_error("a frame that cannot be read");
    }
    read.ok()
}

impl Role for TalkRole {
    fn handle_open(&mut self, io: &mut Io<'_>) {
        self.since = Instant::now();
        let Talk {
            room_name, number, ..
        } = &self.talk;
        let path = format!("/ws/voice/{room_name}?user=bench-{number}&changes=true");
        put_handshake_to(io.out, &io.shared.target, &path, "");
    }

    fn handle_head(&mut self, io: &mut Io<'_>, head: &Head<'_>) {
        match head.status {
            101 => self.socket = Some(Box::new(WebSocket::new())),
            status => io.shared.note_status("WebSocket", status),
        }
    }

    fn handle_body(&mut self, io: &mut Io<'_>, body: &[u8]) {
        let Some(mut socket) = self.socket.take() else {
            return;
        };
        let heard = &mut self.heard;
        let read = socket.read(body, io.out, io.shared, |shared, frame| {
            heard.extend(hear(shared, frame));
        });
        match read {
            Ok(()) => self.socket = Some(socket),
            Err(ended) => io.shared.note_error(&ended.to_string()),
        }
        for heard in std::mem::take(&mut self.heard) {
            self.act(io, heard);
        }
    }

    fn handle_end(&mut self, _: &mut Io<'_>) {}

    fn handle_close(&mut self, io: &mut Io<'_>) -> After {
        // Who lost this connection has no seat soon; coming back would be another run.
        io.shared.note_error("a connection for signals ended");
        After::Stop
    }
}
