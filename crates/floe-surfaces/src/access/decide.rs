//! The one decision about who may do what.

use floe_core::access::RoomAccess;
use floe_proto::token::{ChannelToken, TokenError};
use floe_proto::{Code, Millis, Namespace, Rights};

use super::caller::{Room, Session, Source};
use crate::channels::Ask;
use crate::channels::messages::Order;

/// What a host knows of the room that is asked for.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// The namespace that owns it.
    pub owner: &'a str,
    /// Its secret, if it is a channel.
    pub secret: Option<&'a str>,
    /// Whether it was deleted and is not yet purged.
    pub deleted: bool,
    /// Its own rules, if it has any.
    pub access: Option<&'a RoomAccess>,
    /// What the waddle that it is of lets the caller do there, if it is of one and the caller a user.
    pub standing: Option<Rights>,
}

/// What a caller wants, as far as it matters to whether it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// What it wants to do.
    pub deed: Deed,
    /// The room it names.
    pub room: Option<Room<'a>>,
    /// The namespace it names beside the request's own.
    pub namespace: Option<&'a str>,
}

/// What callers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// What everyone may.
    Nothing,
    /// Make a room.
    Create,
    /// List, query or search a whole namespace.
    Survey,
    /// Change or delete a room, sign tokens, rotate its secret; subscribe to streams.
    Manage,
    /// Look after a namespace: its keys, quotas, audit log.
    Administer,
    /// Learn of a room, deleted or not.
    Describe,
    /// Learn how to follow a room.
    Enter,
    /// Read, follow, see who is there.
    Read,
    /// Append, edit, react.
    Append,
    /// Delete events.
    Delete,
    /// Pin messages.
    Pin,
    /// Decide about what others say and do in a room.
    Moderate,
    /// Be seen in a room.
    Attend,
}

impl Deed {
    /// Returns the rights of which one is needed; none for what everyone may.
    #[must_use]
    pub const fn rights(self) -> Rights {
        match self {
            Self::Nothing => Rights::NONE,
            Self::Create => Rights::CREATE,
            Self::Survey | Self::Describe | Self::Read => Rights::READ,
            Self::Manage => Rights::MANAGE,
            Self::Administer => Rights::ADMIN,
            Self::Enter => Rights::READ.with(Rights::APPEND),
            Self::Append => Rights::APPEND,
            Self::Delete => Rights::DELETE_OWN.with(Rights::DELETE_ANY),
            Self::Pin => Rights::DELETE_ANY,
            Self::Moderate => Rights::MANAGE.with(Rights::DELETE_ANY),
            Self::Attend => Rights::PRESENCE,
        }
    }

    /// Returns the rights of which a channel token needs one; `None` for what is beyond tokens.
    const fn token_rights(self) -> Option<Rights> {
        match self {
            Self::Nothing
            | Self::Create
            | Self::Survey
            | Self::Moderate
            | Self::Manage
            | Self::Administer => None,
            // Whoever has come in may be seen.
            Self::Attend => Some(Rights::READ.with(Rights::APPEND)),
            Self::Describe | Self::Enter | Self::Read | Self::Append | Self::Delete | Self::Pin => {
                Some(self.rights())
            }
        }
    }
}

impl<'a> Wanted<'a> {
    /// Returns what a request wants.
    #[must_use]
    pub fn of(ask: &'a Ask<'_>) -> Self {
        let channel = ask.channel();
        let room = channel.map(Room::Channel);
        let deed = match ask {
            // What of it is told is decided for each channel.
            Ask::Reads(_) => Deed::Nothing,
            Ask::Preflight | Ask::Ping | Ask::OpenApi | Ask::Limits => Deed::Nothing,
            Ask::Messages(_, ask) => match ask.order {
                Order::Say { .. } | Order::Edit { .. } | Order::React { .. } => Deed::Append,
                Order::Delete { .. } => Deed::Delete,
                Order::Pin { .. } => Deed::Pin,
                Order::Read { .. } | Order::List(_) | Order::Versions { .. } => Deed::Read,
            },
            Ask::Create(_) => Deed::Create,
            Ask::List(_) => Deed::Survey,
            Ask::Query(_) | Ask::Search(_) if channel.is_none() => Deed::Survey,
            Ask::Query(_) | Ask::Search(_) => Deed::Read,
            Ask::Describe(_) => Deed::Describe,
            Ask::Realtime(_) => Deed::Enter,
            Ask::Change(..) | Ask::Remove { .. } | Ask::Token(..) | Ask::Secret(_) => Deed::Manage,
            Ask::Read(..)
            | Ask::Event { .. }
            | Ask::Presence(..)
            | Ask::Subscribe { .. }
            | Ask::Poll { .. } => Deed::Read,
            Ask::Append(..) | Ask::Edit(..) | Ask::React(..) => Deed::Append,
            Ask::Delete { .. } => Deed::Delete,
        };
        Self {
            deed,
            room,
            namespace: ask.namespace(),
        }
    }

    /// Wants something of one room.
    #[must_use]
    pub const fn in_room(deed: Deed, room: Room<'a>) -> Self {
        Self {
            deed,
            room: Some(room),
            namespace: None,
        }
    }

    /// Wants something of the namespace as a whole.
    #[must_use]
    pub const fn of_namespace(deed: Deed) -> Self {
        Self {
            deed,
            room: None,
            namespace: None,
        }
    }
}

/// What a caller may do with what it asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The namespace it acts in: the room's owner, else the one it named or belongs to.
    pub namespace: Namespace,
    /// What it may do in the room, or in the namespace where no room is asked for.
    pub rights: Rights,
    /// In whose name it speaks, whatever it says itself.
    pub author: Option<Box<str>>,
    /// When it all ends.
    pub ends_at: Option<Millis>,
}

/// Why a caller may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denied {
    /// The code on the wire.
    pub code: Code,
    /// In words.
    pub message: &'static str,
}

impl Denied {
    const NO_CHANNEL: Self = Self::new(Code::NotFound, "there is no such channel");
    pub(super) const NO_CREDENTIALS: Self = Self::new(
        Code::Unauthorized,
        "this takes an API key or token: `Authorization: Bearer …`",
    );
    const WRONG_TOKEN: Self = Self::new(Code::Unauthorized, "the token is not of this channel");
    const OTHER_CHANNEL: Self = Self::new(Code::Forbidden, "the token is of another channel");
    const BEYOND_TOKENS: Self = Self::new(
        Code::Forbidden,
        "this takes an API key, not a channel token",
    );
    pub(super) const ANOTHER: Self = Self::new(
        Code::Forbidden,
        "the key or token says that you are another user",
    );
    pub(super) const NO_USER: Self = Self::new(
        Code::Forbidden,
        "the key or token names no user, and does not let you say who you are",
    );
    /// The namespace is not the caller's, whether it exists or not.
    pub const OTHER_NAMESPACE: Self = Self::new(
        Code::Forbidden,
        "the API key or token is of another namespace",
    );
    const TOO_LITTLE: Self = Self::new(Code::Forbidden, "the key or token does not allow this");
    const DELETED: Self = Self::new(Code::Gone, "the channel was deleted");
    const BAD_NAMESPACE: Self = Self::new(
        Code::InvalidRequest,
        "a namespace has 1 to 64 letters, digits, `-`, `_` and `.`, and begins with a letter or \
         digit",
    );

    /// Makes a refusal.
    #[must_use]
    pub const fn new(code: Code, message: &'static str) -> Self {
        Self { code, message }
    }
}

/// Decides whether a caller may do what they ask for, and as whom.
///
/// `token` is the channel token that came along: who shows one is judged by it alone, so that
/// showing more never allows more. `known` is what there is of the room that is asked for; `None`
/// where there is none, which only a caller learns who could have learned that there is one.
///
/// # Errors
/// What to answer instead.
pub fn authorize(
    session: &Session,
    token: Option<&str>,
    wanted: &Wanted<'_>,
    known: Option<Known<'_>>,
    now: Millis,
) -> Result<Grant, Denied> {
    if wanted.deed == Deed::Nothing {
        return Ok(Grant {
            namespace: session.namespace().cloned().unwrap_or_default(),
            rights: Rights::NONE,
            author: None,
            ends_at: None,
        });
    }
    match token {
        Some(token) => by_token(token, wanted, known, now),
        None => by_caller(session, wanted, known),
    }
}

fn by_token(
    text: &str,
    wanted: &Wanted<'_>,
    known: Option<Known<'_>>,
    now: Millis,
) -> Result<Grant, Denied> {
    let claimed = ChannelToken::peek(text).ok_or(Denied::WRONG_TOKEN)?;
    let Some(channel) = wanted.room.and_then(Room::channel) else {
        return Err(Denied::BEYOND_TOKENS);
    };
    if claimed != channel {
        return Err(Denied::OTHER_CHANNEL);
    }
    // Of a channel that is not there no token can be a good one.
    let known = known.ok_or(Denied::WRONG_TOKEN)?;
    let secret = known.secret.ok_or(Denied::WRONG_TOKEN)?;
    let token = ChannelToken::verify(text, secret, now).map_err(|why| match why {
        TokenError::Expired => Denied::new(why.code(), "the token has ended"),
        TokenError::Malformed | TokenError::Signature => Denied::WRONG_TOKEN,
    })?;
    if token.channel() != channel {
        return Err(Denied::OTHER_CHANNEL);
    }
    let needed = wanted.deed.token_rights().ok_or(Denied::BEYOND_TOKENS)?;
    if !token.rights().intersects(needed) {
        return Err(Denied::TOO_LITTLE);
    }
    there(wanted, known)?;
    Ok(Grant {
        namespace: known.owner.parse().unwrap_or_default(),
        // Whoever has come in may be seen.
        rights: token.rights().with(Rights::PRESENCE),
        author: Some(token.author().into()),
        ends_at: Some(token.expires_at()),
    })
}

fn by_caller(
    session: &Session,
    wanted: &Wanted<'_>,
    known: Option<Known<'_>>,
) -> Result<Grant, Denied> {
    let caller = session.caller();
    // What lies behind the wall is not there, whatever the caller may do on this side.
    let known = known.filter(|known| {
        session.opens(known.owner) && wanted.namespace.is_none_or(|named| named == known.owner)
    });
    let rights = match wanted.room {
        Some(room) => session.rights_in(room, known),
        None => caller.grants.in_namespace(),
    };
    if !rights.intersects(wanted.deed.rights()) {
        // Whether the room is there is nobody's to learn who may do nothing with it.
        return Err(match caller.source {
            Source::Anonymous => Denied::NO_CREDENTIALS,
            Source::Open | Source::Key(_) | Source::Token { .. } | Source::Webhook { .. } => {
                Denied::TOO_LITTLE
            }
        });
    }
    let namespace = match wanted.room {
        Some(Room::Channel(_)) => {
            let known = known.ok_or(Denied::NO_CHANNEL)?;
            there(wanted, known)?;
            known.owner.parse().unwrap_or_default()
        }
        Some(Room::Stream(_)) | None => namespace_of(session, wanted.namespace)?,
    };
    Ok(Grant {
        namespace,
        rights,
        author: caller.user.clone(),
        ends_at: caller.ends_at,
    })
}

/// Settles the namespace of what is no channel: the caller's own, else the one they name.
fn namespace_of(session: &Session, named: Option<&str>) -> Result<Namespace, Denied> {
    let Some(named) = named else {
        return Ok(session.namespace().cloned().unwrap_or_default());
    };
    if !session.opens(named) {
        return Err(Denied::OTHER_NAMESPACE);
    }
    named.parse().map_err(|_| Denied::BAD_NAMESPACE)
}

fn there(wanted: &Wanted<'_>, known: Known<'_>) -> Result<(), Denied> {
    if known.deleted && wanted.deed != Deed::Describe {
        return Err(Denied::DELETED);
    }
    Ok(())
}
