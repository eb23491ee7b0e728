//! Recordings of voice rooms: when they begin, what comes of them, and who asks for them.

use std::sync::Arc;

use floe_core::voice::{Cut, MediaError, Voice};
use floe_log::Disk;
use floe_proto::{Namespace, RoomId, VoiceId};
use floe_surfaces::access::Caller;
use floe_surfaces::community::http;
use floe_surfaces::community::voice_recordings::{Ask, Sent, write_file_head};
use serde_json::{Value, json};

use super::conn::{Context, Expect, Place, State};
use super::{Reactor, envelope};
use crate::recordings::{Answer, Lent, News, Question};
use crate::shard::{Failure, SlotId, Ticket};

impl<D: Disk> Reactor<D> {
    /// Begins to write a recording, before anything is heard of it.
    pub(super) fn begin_writing(
        &mut self,
        room: RoomId,
        recording: &Arc<str>,
    ) -> Result<(), MediaError> {
        let slot = self.shard.voice_slot(room);
        let slot = slot.ok_or(MediaError::Unavailable)?;
        let name = self.shard.room(slot).name();
        let begun = self.recordings.begin(room, name, recording);
        begun.map_err(|failure| MediaError::Limit(failure.message.into()))
    }

    /// Acts on what came of recordings.
    pub(super) fn hear_recordings(&mut self) {
        for news in self.recordings.take_news() {
            match news {
                News::Answered { ticket, answer } => self.answer_recording(ticket, answer),
                News::Ended {
                    room,
                    name,
                    recording,
                    index,
                } => self.recording_ended(room, &name, &recording, &index),
            }
        }
    }

    /// Has the log of a room say what a recording holds; one that ended by itself is over for everyone.
    fn recording_ended(&mut self, room: RoomId, name: &[u8], recording: &str, index: &Value) {
        let now = self.clock.wall;
        let found = self.shard.find_voice(now, name);
        // Another room may be called so by now, and then nobody is told.
        let Some(slot) = found.ok().flatten() else {
            return;
        };
        if self.shard.room(slot).id() != room {
            return;
        }
        let voice = self.shard.voice(slot);
        let current = voice.and_then(Voice::recording);
        if current.is_some_and(|current| *current.id == *recording) {
            self.cut_recording(slot, Cut::Failed);
        }
        let logged = self
            .shard
            .log_recording(slot, recording, &index.to_string(), now);
        if let Err(failure) = logged {
            let code = failure.code.as_str();
            tracing::warn!(code, "the log of a voice room does not name a recording");
        }
    }

    /// Serves a request about the recordings of a voice room.
    pub(super) fn serve_recordings(
        &mut self,
        at: usize,
        context: Context,
        (caller, namespace): (&Caller, &Namespace),
        (voice, slot): (VoiceId, SlotId),
        ask: Ask,
    ) -> Result<(), Failure> {
        let room = self.shard.room(slot).id();
        let audited = match &ask {
            Ask::List | Ask::Index { .. } => None,
            Ask::File {
                recording, file, ..
            } => Some((
                "recording.download",
                json!({ "voiceId": voice.to_string(), "recordingId": recording, "file": file }),
            )),
            Ask::Delete { recording } => Some((
                "recording.delete",
                json!({ "voiceId": voice.to_string(), "recordingId": recording }),
            )),
        };
        if let Some((act, target)) = audited {
            self.log_done(at, caller, namespace, act, target)?;
        }
        let question = match ask {
            Ask::List => Question::List { room },
            Ask::Index { recording } => Question::Index { room, recording },
            Ask::File {
                recording,
                file,
                range,
            } => Question::File {
                room,
                recording,
                file,
                range,
            },
            Ask::Delete { recording } => Question::Delete { room, recording },
        };
        let ticket = self.conns[at].ticket(at);
        self.recordings.ask(ticket, question)?;
        self.wait(at, context, Some(Box::new(Expect::Recording)));
        Ok(())
    }

    fn answer_recording(&mut self, ticket: Ticket, answer: Result<Answer, Failure>) {
        let Place { at, generation, .. } = Place::of(ticket);
        let conn = self.conns.get(at);
        let waits = conn.is_some_and(|conn| {
            let expects = match &conn.state {
                State::Waiting(_, expect) => expect.as_deref(),
                State::Receiving
                | State::Parked(_)
                | State::LongPoll(_)
                | State::Sse(_)
                | State::Live(_)
                | State::Closing
                | State::Draining => None,
            };
            conn.generation == generation && matches!(expects, Some(Expect::Recording))
        });
        if !waits {
            return;
        }
        let Some((context, _)) = self.take_expected(at) else {
            return;
        };
        match answer {
            Err(failure) => self.answer_failure(at, context, &failure),
            Ok(Answer::Json(json)) => {
                let body = json.to_string();
                self.show(at, context, |out, envelope| {
                    http::write_json(out, envelope, 200, body.as_bytes());
                });
            }
            Ok(Answer::Done) => self.show(at, context, |out, envelope| {
                http::write_json(out, envelope, 200, b"{\"success\":true}");
            }),
            Ok(Answer::File(lent)) => self.send_recording(at, context, lent),
        }
        self.resume(at);
    }

    /// Answers with a file of a recording, of which no more is in memory than is sent at once.
    fn send_recording(&mut self, at: usize, context: Context, lent: Lent) {
        let sent = Sent {
            from: lent.from,
            len: lent.len,
            total: lent.total,
        };
        self.out.clear();
        let envelope = envelope(&mut self.clock, self.conns.get(at), context);
        write_file_head(&mut self.out, &envelope, sent);
        if context.head {
            return self.answer(at, context);
        }
        let Some(output) = self.begin_parts(at, context) else {
            return;
        };
        output.push_lent(lent);
        self.flush_only(at);
    }
}
