//! Tokens of the server's own, invitations and tickets.

use std::sync::Arc;

use floe_core::access::Role;
use floe_log::Disk;
use floe_proto::{Code, Namespace, Rights, table};
use floe_surfaces::access::jwt::{Claims, Purpose, sign};
use floe_surfaces::access::{Deed, Room, RoomPattern, Source, Wanted, may_sign};
use floe_surfaces::admin::{NewToken, Use, answer};
use serde_json::json;

use super::super::Reactor;
use super::super::caller::refused;
use super::audit::Act;
use super::{Office, secret_of};
use crate::directory::Outcome;
use crate::shard::Failure;

impl<D: Disk> Reactor<D> {
    /// Signs a token with the secret of its namespace.
    pub(super) fn sign_own_token(
        &mut self,
        office: &Office,
        token: &NewToken,
        host: Option<&str>,
    ) -> Result<(), Failure> {
        let session = &office.opened.session;
        may_sign(
            session.caller(),
            token.user.as_deref(),
            &token.grants,
            |pattern, needed| self.manages(office, pattern, needed),
        )
        .map_err(refused)?;
        let now = self.clock.wall;
        let ends_at = token.end.at(now);
        if ends_at <= now || ends_at > now.plus(NewToken::LIFE_SECONDS_MAX * 1_000) {
            let message = "a token ends from now on, and within 366 days";
            return Err(Failure::new(Code::InvalidRequest, message));
        }
        let namespace = office.target().unwrap_or_default();
        let entry = self.adopt(&namespace)?;
        let secret = secret_of(entry.secret_number, &entry.secret);
        let secret = secret.map_err(|error| Failure::new(Code::Internal, error.to_string()))?;
        let id = self.random_text::<16>();
        let (word, purpose) = match token.purpose {
            Use::Access => ("access", Purpose::Access),
            Use::Share => ("share", Purpose::Share),
            Use::Invite(_) => ("invite", Purpose::Invite),
        };
        let text = sign(
            &Claims {
                namespace: &namespace,
                user: token.user.as_deref(),
                grants: &token.grants,
                id: &id,
                issued_at: now,
                ends_at,
                purpose,
            },
            &secret,
        );
        let mut target = answer::grants(&token.grants);
        target.insert("id".to_owned(), id.clone().into());
        target.insert("user".to_owned(), json!(token.user));
        target.insert("use".to_owned(), word.into());
        target.insert("expiresAt".to_owned(), answer::moment(Some(ends_at)));
        let act = Act {
            log: namespace.clone(),
            target: target.into(),
        };
        let record = self.record(office, &act);
        self.log_act(&act, &record)?;
        let url = matches!(token.purpose, Use::Share)
            .then(|| self.share_url(office, &namespace, token, &text, host))
            .flatten();
        let mut body = json!({
            "token": text,
            "id": id,
            "namespace": namespace.as_str(),
            "expiresAt": answer::moment(Some(ends_at)),
        });
        if let Some(url) = url {
            body["url"] = url.into();
        }
        let ticket = self.wait(office.at, office.context, None);
        self.directory.answer(ticket, Outcome::Done(201, body));
        Ok(())
    }

    /// Returns whether the caller's place in one room lets them give so much there.
    fn manages(&mut self, office: &Office, pattern: &RoomPattern, needed: Rights) -> bool {
        if !pattern.is_one_room() {
            return false;
        }
        let (path, room_path);
        let room = match pattern {
            RoomPattern::Channel(id) => Room::Channel(*id),
            RoomPattern::Streams(glob) => {
                path = glob.as_str().as_bytes();
                Room::Stream(path)
            }
            RoomPattern::Rooms(glob) => {
                room_path = format!("{}{}", table::ROOMS, glob.as_str());
                Room::Stream(room_path.as_bytes())
            }
            RoomPattern::Voice(id) => {
                room_path = id.room_path();
                Room::Stream(room_path.as_bytes())
            }
            RoomPattern::All | RoomPattern::Channels | RoomPattern::Voices => return false,
        };
        let wanted = Wanted::in_room(Deed::Manage, room);
        let granted = self.grant(&office.opened.session, None, &wanted);
        granted.is_ok_and(|grant| {
            let here = office
                .target()
                .is_none_or(|target| target == grant.namespace);
            here && grant.rights.contains(needed)
        })
    }

    /// Returns the address that a share link leads to: that of its room, where it has one alone.
    fn share_url(
        &self,
        office: &Office,
        namespace: &Namespace,
        token: &NewToken,
        text: &str,
        host: Option<&str>,
    ) -> Option<String> {
        let mut patterns = token.grants.iter();
        let (pattern, _) = patterns.next().filter(|_| patterns.next().is_none())?;
        let path = match RoomPattern::parse(&pattern).ok()? {
            RoomPattern::Channel(id) => format!("/v1/channels/{id}/events"),
            RoomPattern::Streams(path) if path.is_literal() => {
                format!("/v1/stream/{}", escape(path.as_str()))
            }
            RoomPattern::Rooms(name) if name.is_literal() => {
                format!("/v1/stream/{}{}", table::ROOMS, escape(name.as_str()))
            }
            RoomPattern::Voice(id) => format!("/v1/voice/{id}"),
            RoomPattern::Streams(_)
            | RoomPattern::Rooms(_)
            | RoomPattern::All
            | RoomPattern::Channels
            | RoomPattern::Voices => return None,
        };
        let base = self.base_url(office.context.secure, host);
        let base = base.trim_end_matches('/');
        let prefix = match namespace.is_default() {
            true => String::new(),
            false => format!("/n/{namespace}"),
        };
        Some(format!("{base}{prefix}{path}?share={text}"))
    }

    /// Makes the caller a member of the room that an invitation is for.
    pub(super) fn accept_invitation(
        &mut self,
        office: &Office,
        invitation: &str,
    ) -> Result<(), Failure> {
        let now = self.clock.wall;
        let session = &office.opened.session;
        let Some(user) = session.caller().user.clone() else {
            let message = "an invitation makes a user a member, and this caller has no name";
            return Err(Failure::new(Code::Forbidden, message));
        };
        let wrong = || Failure::new(Code::InvalidRequest, "the invitation is not good any more");
        let verified = self.access.issuers.verify(invitation, now);
        let verified = verified.map_err(|_| wrong())?;
        let host = &verified.caller;
        let namespace = host.namespace.clone().unwrap_or_default();
        self.check_stands(namespace.as_str())?;
        if verified.purpose != Purpose::Invite
            || self.access.is_revoked(host)
            || !session.opens(namespace.as_str())
        {
            return Err(wrong());
        }
        let mut grants = host.grants.iter();
        let only = grants.next().filter(|_| grants.next().is_none());
        let (pattern, rights) = only.ok_or_else(wrong)?;
        let role = Role::ALL.into_iter().find(|role| role.rights() == rights);
        let role = role.ok_or_else(wrong)?;
        let id = match &host.source {
            Source::Token { id, .. } => id.clone(),
            Source::Open | Source::Anonymous | Source::Key(_) | Source::Webhook { .. } => None,
        };
        let act = Act {
            log: namespace.clone(),
            target: json!({ "room": pattern, "role": role.as_str(), "invitation": id }),
        };
        let pattern = RoomPattern::parse(&pattern).map_err(|_| wrong())?;
        let name = self.invited_room(&namespace, &pattern)?;
        let record = self.record(office, &act);
        self.log_act(&act, &record)?;
        if let Some(slot) = self.shard.add_member(now, &name, &user, role)? {
            self.judge_room(slot);
        }
        let body = json!({
            "room": pattern.to_string(),
            "namespace": namespace.as_str(),
            "user": user,
            "role": role.as_str(),
        });
        let ticket = self.wait(office.at, office.context, None);
        self.directory.answer(ticket, Outcome::Done(200, body));
        Ok(())
    }

    /// Returns the full name of the room that an invitation is for, which must be there.
    fn invited_room(
        &mut self,
        namespace: &Namespace,
        room: &RoomPattern,
    ) -> Result<Vec<u8>, Failure> {
        let now = self.clock.wall;
        match room {
            RoomPattern::Channel(id) => {
                let slot = self.shard.find_channel(now, *id)?;
                let channel = slot.and_then(|slot| self.shard.room(slot).channel());
                if channel.is_none_or(|channel| channel.owner() != namespace.as_str()) {
                    return Err(Failure::new(Code::NotFound, "there is no such channel"));
                }
                Ok(id.room_name().into_bytes())
            }
            RoomPattern::Streams(path) => {
                let name = namespace.qualify(path.as_str().as_bytes()).into_owned();
                self.shard.rules(now, &name)?;
                Ok(name)
            }
            RoomPattern::Rooms(room) => {
                let path = format!("{}{}", table::ROOMS, room.as_str());
                let name = namespace.qualify(path.as_bytes()).into_owned();
                self.shard.rules(now, &name)?;
                Ok(name)
            }
            RoomPattern::Voice(id) => {
                let name = namespace.qualify(id.room_path().as_bytes()).into_owned();
                self.shard.rules(now, &name)?;
                Ok(name)
            }
            RoomPattern::All | RoomPattern::Channels | RoomPattern::Voices => {
                let message = "the invitation is not for one room";
                Err(Failure::new(Code::InvalidRequest, message))
            }
        }
    }

    /// Draws a ticket that opens one connection as its caller.
    pub(super) fn draw_ticket(&mut self, office: &Office) -> Result<(), Failure> {
        let text = self.random_text::<24>();
        let now = self.clock.wall;
        let ends_at = self.tickets.draw(now, &text, Arc::clone(&office.opened))?;
        let body = json!({ "ticket": text, "expiresAt": answer::moment(Some(ends_at)) });
        self.tell_office(office, 201, body);
        Ok(())
    }
}

fn escape(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}
