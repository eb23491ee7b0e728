//! Who asks.

use floe_core::directory::Shown;
use floe_core::subscription::{Pattern, PatternError};
use floe_proto::{ChannelId, Millis, Namespace, Rights, VoiceId, table};

use super::{Denied, Known};

/// Somebody who may do something, whatever they showed to be believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The namespace that they belong to; `None` for those of all namespaces.
    pub namespace: Option<Namespace>,
    /// Who they are, as events and presence name them; `None` where they may say so themselves.
    pub user: Option<Box<str>>,
    /// What they may do where.
    pub grants: Grants,
    /// When they are no longer believed.
    pub ends_at: Option<Millis>,
    /// What they showed.
    pub source: Source,
}

/// What a caller showed, without anything that is secret; for revocation and the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nothing, where nothing is needed.
    Open,
    /// Nothing, where something is needed for more than public rooms.
    Anonymous,
    /// An API key, by its id; those of the settings have the number of their entry.
    Key(Box<str>),
    /// A signed token of an issuer, by the issuer's name and the token's id (`jti`).
    Token {
        /// The issuer.
        issuer: Box<str>,
        /// The token.
        id: Option<Box<str>>,
        /// When it was issued; tokens of a user can be revoked up to a time.
        issued_at: Option<Millis>,
    },
    /// Something that only the authorisation webhook knows.
    Webhook {
        /// When it said so; what it says of a user can be revoked up to a time.
        answered_at: Millis,
    },
}

impl Caller {
    /// Everyone, where nothing is needed. Deleted events stay deleted.
    #[must_use]
    pub fn open() -> Self {
        Self {
            namespace: None,
            user: None,
            grants: Grants::everywhere(ALL_BUT_DELETED),
            ends_at: None,
            source: Source::Open,
        }
    }

    /// Someone who showed nothing, where something is needed.
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            namespace: None,
            user: None,
            grants: Grants::default(),
            ends_at: None,
            source: Source::Anonymous,
        }
    }

    /// Returns whether the caller is no longer believed at `now`.
    #[must_use]
    pub fn has_ended(&self, now: Millis) -> bool {
        self.ends_at.is_some_and(|ends_at| ends_at <= now)
    }

    /// Returns what can be revoked of what the caller showed, while it is not what is believed
    /// that goes away.
    #[must_use]
    pub fn as_shown(&self) -> Option<Shown<'_>> {
        let (token, issued_at) = match &self.source {
            Source::Token { id, issued_at, .. } => (id.as_deref(), *issued_at),
            Source::Webhook { answered_at } => (None, Some(*answered_at)),
            Source::Open | Source::Anonymous | Source::Key(_) => return None,
        };
        Some(Shown {
            namespace: self.namespace.as_ref(),
            user: self.user.as_deref(),
            token,
            issued_at,
        })
    }

    /// Returns whether the caller looks after the whole server.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        self.namespace.is_none() && self.grants.in_namespace().contains(Rights::ADMIN)
    }
}

/// Everything but the content of deleted events, which is granted by name.
pub(super) const ALL_BUT_DELETED: Rights = Rights::READ
    .with(Rights::APPEND)
    .with(Rights::DELETE_OWN)
    .with(Rights::DELETE_ANY)
    .with(Rights::PRESENCE)
    .with(Rights::CREATE)
    .with(Rights::MANAGE)
    .with(Rights::ADMIN);

/// Rights by room pattern.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// What holds in every room of the namespace, and for the namespace itself.
    everywhere: Rights,
    rooms: Box<[(RoomPattern, Rights)]>,
}

impl Grants {
    /// Patterns that one caller may have.
    pub const PATTERNS_MAX: usize = 100;

    /// Grants the same in every room of a namespace.
    #[must_use]
    pub fn everywhere(rights: Rights) -> Self {
        Self {
            everywhere: rights,
            rooms: Box::default(),
        }
    }

    /// Adds up what holds for each pattern. Those beyond [`PATTERNS_MAX`](Self::PATTERNS_MAX) are
    /// for the caller to refuse.
    #[must_use]
    pub fn new(grants: impl IntoIterator<Item = (RoomPattern, Rights)>) -> Self {
        let mut everywhere = Rights::NONE;
        let mut rooms = Vec::new();
        for (pattern, rights) in grants {
            if pattern == RoomPattern::All {
                everywhere = everywhere.with(rights);
            } else {
                rooms.push((pattern, rights));
            }
        }
        Self {
            everywhere,
            rooms: rooms.into(),
        }
    }

    /// Returns what holds for the namespace as a whole.
    #[must_use]
    pub const fn in_namespace(&self) -> Rights {
        self.everywhere
    }

    /// Returns what holds for each pattern but the one for all rooms.
    pub(super) const fn rooms(&self) -> &[(RoomPattern, Rights)] {
        &self.rooms
    }

    /// Returns what holds in one room.
    #[must_use]
    pub fn in_room(&self, room: Room<'_>) -> Rights {
        let rooms = self
            .rooms
            .iter()
            .filter(|(pattern, _)| pattern.covers(room));
        rooms.fold(self.everywhere, |sum, (_, rights)| sum.with(*rights))
    }

    /// Returns the grants with these rights taken from each.
    #[must_use]
    pub fn without(&self, rights: Rights) -> Self {
        let rooms = self.rooms.iter();
        Self {
            everywhere: self.everywhere.without(rights),
            rooms: rooms
                .map(|(pattern, had)| (pattern.clone(), had.without(rights)))
                .collect(),
        }
    }

    /// Returns the patterns and what holds for each, the one for all rooms as `**`.
    pub fn iter(&self) -> impl Iterator<Item = (String, Rights)> {
        let all = (self.everywhere != Rights::NONE).then(|| ("**".to_owned(), self.everywhere));
        let rooms = self.rooms.iter();
        all.into_iter()
            .chain(rooms.map(|(pattern, rights)| (pattern.to_string(), *rights)))
    }
}

/// A room as far as it matters to who may do something there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room<'a> {
    /// A stream, by its path in its namespace.
    Stream(&'a [u8]),
    /// A channel.
    Channel(ChannelId),
}

impl<'a> Room<'a> {
    /// Names the room at a path, which may be a channel's.
    #[must_use]
    pub fn at(path: &'a [u8]) -> Self {
        ChannelId::of_room(path).map_or(Self::Stream(path), Self::Channel)
    }

    /// Returns the channel, if it is one.
    #[must_use]
    pub const fn channel(self) -> Option<ChannelId> {
        match self {
            Self::Channel(id) => Some(id),
            Self::Stream(_) => None,
        }
    }
}

/// Which rooms a right is for: `**` for all, `stream/` and a glob over paths, `channel/` and an id
/// or `*`, `room/` and a glob over the names of rooms with tables, `voice/` and an id or `*`.
///
/// In a glob `*` is one segment and `**` any number of them, as in subscriptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomPattern {
    /// All rooms of the namespace.
    All,
    /// Streams whose path the glob covers; never the server's own.
    Streams(Pattern),
    /// All channels.
    Channels,
    /// One channel.
    Channel(ChannelId),
    /// Rooms with tables whose name the glob covers.
    Rooms(Pattern),
    /// All voice rooms.
    Voices,
    /// One voice room.
    Voice(VoiceId),
}

impl RoomPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// See [`RoomPatternError`].
    pub fn parse(text: &str) -> Result<Self, RoomPatternError> {
        match text.split_once('/') {
            None if text == "**" => Ok(Self::All),
            Some(("stream", glob)) => Ok(Self::Streams(Pattern::new(glob)?)),
            Some(("room", glob)) => Ok(Self::Rooms(Pattern::new(glob)?)),
            Some(("channel", "*")) => Ok(Self::Channels),
            Some(("voice", "*")) => Ok(Self::Voices),
            Some(("voice", id)) => id
                .parse()
                .map(Self::Voice)
                .map_err(|_| RoomPatternError::Shape),
            Some(("channel", id)) => id
                .parse()
                .map(Self::Channel)
                .map_err(|_| RoomPatternError::Shape),
            Some(_) | None => Err(RoomPatternError::Shape),
        }
    }

    /// Returns whether it can cover one room alone.
    #[must_use]
    pub fn is_one_room(&self) -> bool {
        match self {
            Self::All | Self::Channels | Self::Voices => false,
            Self::Channel(_) | Self::Voice(_) => true,
            Self::Streams(pattern) | Self::Rooms(pattern) => pattern.is_literal(),
        }
    }

    fn covers(&self, room: Room<'_>) -> bool {
        match (self, room) {
            (Self::All, _) | (Self::Channels, Room::Channel(_)) => true,
            (Self::Channel(one), Room::Channel(other)) => *one == other,
            (Self::Streams(glob), Room::Stream(path)) => {
                std::str::from_utf8(path).is_ok_and(|path| glob.matches(path))
            }
            (Self::Rooms(glob), Room::Stream(path)) => {
                let name = std::str::from_utf8(path)
                    .ok()
                    .and_then(|path| path.strip_prefix(table::ROOMS));
                name.is_some_and(|name| glob.matches(name))
            }
            (Self::Voices, Room::Stream(path)) => VoiceId::of_path(path).is_some(),
            (Self::Voice(one), Room::Stream(path)) => VoiceId::of_path(path) == Some(*one),
            (
                Self::Streams(_) | Self::Rooms(_) | Self::Voices | Self::Voice(_),
                Room::Channel(_),
            )
            | (Self::Channels | Self::Channel(_), Room::Stream(_)) => false,
        }
    }
}

impl std::fmt::Display for RoomPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("**"),
            Self::Streams(glob) => write!(f, "stream/{}", glob.as_str()),
            Self::Channels => f.write_str("channel/*"),
            Self::Channel(id) => write!(f, "channel/{id}"),
            Self::Rooms(glob) => write!(f, "room/{}", glob.as_str()),
            Self::Voices => f.write_str("voice/*"),
            Self::Voice(id) => write!(f, "voice/{id}"),
        }
    }
}

/// Why a text is no pattern of rooms.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoomPatternError {
    /// It begins with something else.
    #[error(
        "a room pattern is `**`, `stream/` or `room/` and a glob, or `channel/` or `voice/` and an id or `*`"
    )]
    Shape,
    /// The glob is none.
    #[error(transparent)]
    Glob(#[from] PatternError),
}

/// A caller on one side of the wall: who asks, and in which namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    caller: Caller,
    /// The namespace that all is about; `None` where the caller may name any and has named none.
    namespace: Option<Namespace>,
}

impl Session {
    /// Puts a caller into the namespace that their request names, or their own.
    ///
    /// # Errors
    /// Refuses a namespace that is not theirs, whether it exists or not.
    pub fn new(caller: Caller, named: Option<Namespace>) -> Result<Self, Denied> {
        let namespace = match (&caller.namespace, named) {
            (Some(own), Some(named)) if *own != named => return Err(Denied::OTHER_NAMESPACE),
            (Some(own), _) => Some(own.clone()),
            (None, named) => named,
        };
        Ok(Self { caller, namespace })
    }

    /// Returns who asks.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Returns the namespace of all that is asked for, if it is settled.
    #[must_use]
    pub const fn namespace(&self) -> Option<&Namespace> {
        self.namespace.as_ref()
    }

    /// Returns whether the session reaches what `owner` owns.
    #[must_use]
    pub fn opens(&self, owner: &str) -> bool {
        let namespace = self.namespace.as_ref();
        namespace.is_none_or(|namespace| namespace.as_str() == owner)
    }

    /// Returns a session in which the caller speaks as a user: what they may do in the rooms of
    /// waddles is what that user may.
    ///
    /// # Errors
    /// [`Denied`] where they are another user, or are none and may not say who they are.
    pub fn acting_as(&self, user: &str) -> Result<Self, Denied> {
        let caller = &self.caller;
        match caller.user.as_deref() {
            Some(own) if own == user => return Ok(self.clone()),
            Some(_) => return Err(Denied::ANOTHER),
            None => {}
        }
        if !caller.grants.in_namespace().contains(Rights::MANAGE) {
            return Err(Denied::NO_USER);
        }
        let caller = Caller {
            user: Some(user.into()),
            grants: caller.grants.without(Rights::MANAGE.with(Rights::ADMIN)),
            ..caller.clone()
        };
        Ok(Self {
            caller,
            namespace: self.namespace.clone(),
        })
    }

    /// Returns what the caller may do in a room, given what is known of it.
    ///
    /// In the rooms of a waddle a user may what the waddle says and nothing else, unless their
    /// credentials let them manage the room.
    #[must_use]
    pub fn rights_in(&self, room: Room<'_>, known: Option<Known<'_>>) -> Rights {
        let caller = &self.caller;
        if let Some(standing) = known.and_then(|known| known.standing)
            && !caller.grants.in_room(room).contains(Rights::MANAGE)
        {
            return standing;
        }
        let own = known.and_then(|known| known.access);
        let own = own.map_or(Rights::NONE, |access| access.rights(caller.user.as_deref()));
        caller.grants.in_room(room).with(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANNEL: ChannelId = ChannelId([1; 6]);

    fn rights(grants: &[(&str, Rights)], room: Room<'_>) -> Rights {
        let grants = grants.iter();
        Grants::new(grants.map(|(text, rights)| (RoomPattern::parse(text).unwrap(), *rights)))
            .in_room(room)
    }

    #[test]
    fn patterns_cover_what_they_say_and_nothing_else() {
        for (pattern, stream, channel) in [
            ("**", true, true),
            ("stream/**", true, false),
            ("stream/a/*", true, false),
            ("stream/a", false, false),
            ("stream/b/*", false, false),
            ("channel/*", false, true),
            ("channel/010101010101", false, true),
            ("channel/020202020202", false, false),
        ] {
            let one = &[(pattern, Rights::READ)];
            let covers = |room| rights(one, room) == Rights::READ;
            assert_eq!(covers(Room::Stream(b"a/b")), stream, "{pattern}");
            assert_eq!(covers(Room::Channel(CHANNEL)), channel, "{pattern}");
            assert_eq!(RoomPattern::parse(pattern).unwrap().to_string(), pattern);
        }
        for text in [
            "",
            "*",
            "a",
            "stream",
            "stream/",
            "stream/a*",
            "channel/x",
            "user/*",
        ] {
            assert!(RoomPattern::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn voice_rooms_are_covered_by_name_or_all_together() {
        let room = "__voice__/00000000000a";
        for (pattern, covers) in [
            ("voice/*", true),
            ("voice/00000000000a", true),
            ("voice/00000000000b", false),
            ("stream/**", false),
            ("room/**", false),
            ("channel/00000000000a", false),
        ] {
            let one = &[(pattern, Rights::READ)];
            let read = rights(one, Room::at(room.as_bytes())) == Rights::READ;
            assert_eq!(read, covers, "{pattern}");
            assert_eq!(RoomPattern::parse(pattern).unwrap().to_string(), pattern);
        }
        assert!(RoomPattern::parse("voice/x").is_err());
        let all = &[("voice/*", Rights::READ)];
        for other in [
            Room::Channel(CHANNEL),
            Room::Stream(b"a"),
            Room::Stream(b"__voice__/x"),
        ] {
            assert_eq!(rights(all, other), Rights::NONE);
        }
    }

    #[test]
    fn globs_never_cover_what_is_the_servers_own() {
        for path in ["__registry__", "__audit__", "__ds/x"] {
            let all = [("stream/**", Rights::ALL)];
            assert_eq!(
                rights(&all, Room::at(path.as_bytes())),
                Rights::NONE,
                "{path}"
            );
        }
    }

    #[test]
    fn grants_add_up() {
        let grants = [
            ("stream/a/**", Rights::READ),
            ("stream/a/b", Rights::APPEND),
            ("**", Rights::PRESENCE),
        ];
        let found = rights(&grants, Room::Stream(b"a/b"));
        assert_eq!(
            found,
            Rights::READ.with(Rights::APPEND).with(Rights::PRESENCE)
        );
        assert_eq!(rights(&grants, Room::Stream(b"c")), Rights::PRESENCE);
    }

    #[test]
    fn nobody_gets_into_a_namespace_that_is_not_theirs() {
        let acme: Namespace = "acme".parse().unwrap();
        let caller = Caller {
            namespace: Some(acme.clone()),
            ..Caller::open()
        };
        let named = |name: &str| Session::new(caller.clone(), Some(name.parse().unwrap()));
        assert_eq!(named("umbra"), Err(Denied::OTHER_NAMESPACE));
        assert_eq!(named("acme").unwrap().namespace(), Some(&acme));
        let own = Session::new(caller.clone(), None).unwrap();
        assert!(own.opens("acme") && !own.opens("default"));
        let any = Session::new(Caller::open(), None).unwrap();
        assert!(any.opens("acme") && any.opens("default"));
        let one = Session::new(Caller::open(), Some(acme)).unwrap();
        assert!(!one.opens("default"));
    }
}
