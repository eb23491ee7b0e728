//! Requests, read and checked.

use std::borrow::Cow;
use std::collections::BTreeMap;

use floe_core::access::Role;
use floe_core::directory::{KeyEntry, NamespaceSettings, Revoked, SettingsChange};
use floe_proto::{Code, Millis, Namespace, Retention, Rights};
use serde::{Deserialize, Deserializer};

use super::route::{self, Endpoint, Miss, Operation};
use crate::access::jwt::Issuers;
use crate::access::{Credentials, Grants, RoomPattern, Scope};
pub use crate::http::Reject;
use crate::http::{Method, decode};

/// A request that was understood.
#[derive(Debug)]
pub struct Asked<'a> {
    /// What the caller showed.
    pub credentials: Credentials<'a>,
    /// What is wanted.
    pub ask: Ask,
    /// Its route; none for a browser's question about headers.
    pub endpoint: Option<&'static Endpoint>,
}

/// What is asked.
#[derive(Debug, PartialEq, Eq)]
pub enum Ask {
    /// Answer a browser's question about headers.
    Preflight,
    /// Say who asks.
    Whoami,
    /// List namespaces.
    ListNamespaces(ListPage),
    /// Make a namespace.
    CreateNamespace(Namespace, SettingsChange),
    /// Show a namespace.
    DescribeNamespace(Namespace),
    /// Change a namespace's settings.
    ChangeNamespace(Namespace, SettingsChange),
    /// Delete a namespace, and its rooms or only if there are none.
    DeleteNamespace(Namespace, Rooms),
    /// Give a namespace a new secret; the old one is good for so many seconds more.
    RotateSecret(Namespace, u64),
    /// List API keys.
    ListKeys(ListPage),
    /// Make an API key.
    CreateKey(NewKey),
    /// Show an API key.
    DescribeKey(Box<str>),
    /// End an API key.
    DeleteKey(Box<str>),
    /// Give an API key a new secret; the old one is good for so many seconds more.
    RotateKey(Box<str>, u64),
    /// Sign a token.
    SignToken(NewToken),
    /// Become a member of the room of an invitation, which this is.
    AcceptInvitation(Box<str>),
    /// List revocations.
    ListRevocations(ListPage),
    /// Revoke something.
    Revoke(NewRevocation),
    /// Draw a ticket for one connection.
    DrawTicket,
}

/// What becomes of the rooms of a namespace that is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rooms {
    /// With any there the namespace stays.
    Keep,
    /// They are deleted.
    Delete,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPage {
    /// Of what is listed.
    pub scope: Option<Scope>,
    /// At most so many.
    pub limit: usize,
    /// Only what comes after this one.
    pub after: Box<str>,
}

impl ListPage {
    /// Entries of one page.
    pub const LIMIT_MAX: usize = 1_000;
    /// Entries of one page where nothing is said.
    pub const LIMIT: usize = 100;
}

/// When something ends, as a request says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// At a moment.
    At(Millis),
    /// So many seconds from now.
    In(u64),
}

impl End {
    /// Returns the moment.
    #[must_use]
    pub const fn at(self, now: Millis) -> Millis {
        match self {
            Self::At(at) => at,
            Self::In(seconds) => now.plus(seconds.saturating_mul(1_000)),
        }
    }
}

/// An API key to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// Of what it is.
    pub scope: Option<Scope>,
    /// What people call it.
    pub name: Box<str>,
    /// What it opens.
    pub grants: Grants,
    /// As whom its bearer speaks.
    pub user: Option<Box<str>>,
    /// When it ends.
    pub end: Option<End>,
}

/// A token to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// Of what it is; never of all namespaces.
    pub namespace: Option<Namespace>,
    /// Whose it is.
    pub user: Option<Box<str>>,
    /// What it opens.
    pub grants: Grants,
    /// When it ends.
    pub end: End,
    /// What for.
    pub purpose: Use,
}

impl NewToken {
    /// Seconds that a token lives at most: 366 days.
    pub const LIFE_SECONDS_MAX: u64 = 366 * 86_400;
    /// Seconds that a token lives where nothing is said.
    pub const LIFE_SECONDS: u64 = 3_600;
}

/// What a token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Use {
    /// To show as a credential.
    Access,
    /// To hand on as a link, to whoever is to read.
    Share,
    /// To make somebody a member.
    Invite(Invite),
}

/// An invitation into a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// The room.
    pub room: RoomPattern,
    /// What the guest becomes there.
    pub role: Role,
}

/// Something to revoke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewRevocation {
    /// A token or a user.
    Of {
        /// Where.
        scope: Option<Scope>,
        /// What.
        what: Revoked,
        /// When what is revoked has ended by itself.
        until: Option<Millis>,
    },
    /// A key, by its id, which ends it.
    Key(Box<str>),
}

impl Ask {
    /// Returns what the request says it is of, beside the path's namespace.
    #[must_use]
    pub fn scope(&self) -> Option<Cow<'_, Scope>> {
        match self {
            Self::ListKeys(page) | Self::ListRevocations(page) => {
                page.scope.as_ref().map(Cow::Borrowed)
            }
            Self::CreateKey(key) => key.scope.as_ref().map(Cow::Borrowed),
            Self::RotateSecret(name, _) => Some(Cow::Owned(Scope::One(name.clone()))),
            Self::SignToken(token) => token.namespace.clone().map(Scope::One).map(Cow::Owned),
            Self::Revoke(NewRevocation::Of { scope, .. }) => scope.as_ref().map(Cow::Borrowed),
            Self::Preflight
            | Self::Whoami
            | Self::ListNamespaces(_)
            | Self::CreateNamespace(..)
            | Self::DescribeNamespace(_)
            | Self::ChangeNamespace(..)
            | Self::DeleteNamespace(..)
            | Self::DescribeKey(_)
            | Self::DeleteKey(_)
            | Self::RotateKey(..)
            | Self::AcceptInvitation(_)
            | Self::Revoke(NewRevocation::Key(_))
            | Self::DrawTicket => None,
        }
    }
}

/// Reads a request whose path this surface [owns](super::owns).
///
/// # Errors
/// A [`Reject`] to answer with.
pub fn read_request<'a>(
    method: Method,
    path: &'a str,
    query: Option<&'a str>,
    fields: impl Iterator<Item = (&'a str, &'a [u8])>,
    body: &'a [u8],
) -> Result<Asked<'a>, Reject> {
    let mut credentials = Credentials::read(fields);
    credentials.query(query.unwrap_or_default());
    if method == Method::Options {
        return Ok(Asked {
            credentials,
            ask: Ask::Preflight,
            endpoint: None,
        });
    }
    let is_head = method == Method::Head;
    let wanted = if is_head { Method::Get } else { method };
    let (endpoint, capture) = route::find(path, wanted).map_err(|miss| match miss {
        Miss::Path => Reject::new(Code::UnknownRoute, "no route has this path"),
        Miss::Method => Reject::new(Code::MethodNotAllowed, "the path does not take this method"),
    })?;
    let params = read_params(query.unwrap_or_default(), endpoint.params)?;
    let ask = read_ask(endpoint.operation, capture, &params, body)?;
    Ok(Asked {
        credentials,
        ask,
        endpoint: Some(endpoint),
    })
}

fn read_ask(
    operation: Operation,
    capture: &str,
    params: &BTreeMap<&str, String>,
    body: &[u8],
) -> Result<Ask, Reject> {
    Ok(match operation {
        Operation::Whoami => Ask::Whoami,
        Operation::ListNamespaces => Ask::ListNamespaces(page(params)?),
        Operation::CreateNamespace => {
            let body: NamespaceBody = json(body)?;
            let name = body.name.as_deref();
            let name = name.ok_or_else(|| Reject::invalid("name is required"))?;
            Ask::CreateNamespace(namespace(name)?, body.settings()?)
        }
        Operation::DescribeNamespace => Ask::DescribeNamespace(namespace(capture)?),
        Operation::ChangeNamespace => {
            let body: NamespaceBody = json(body)?;
            if body.name.is_some() {
                return Err(Reject::invalid("a namespace keeps its name"));
            }
            Ask::ChangeNamespace(namespace(capture)?, body.settings()?)
        }
        Operation::DeleteNamespace => {
            let rooms = match params.get("rooms").map(String::as_str) {
                None => Rooms::Keep,
                Some("delete") => Rooms::Delete,
                Some(_) => return Err(Reject::invalid("rooms is not `delete`")),
            };
            Ask::DeleteNamespace(namespace(capture)?, rooms)
        }
        Operation::RotateSecret => Ask::RotateSecret(namespace(capture)?, read_overlap(body)?),
        Operation::ListKeys => Ask::ListKeys(page(params)?),
        Operation::CreateKey => Ask::CreateKey(json::<KeyBody>(body)?.read()?),
        Operation::DescribeKey => Ask::DescribeKey(id(capture)?),
        Operation::DeleteKey => Ask::DeleteKey(id(capture)?),
        Operation::RotateKey => Ask::RotateKey(id(capture)?, read_overlap(body)?),
        Operation::SignToken => Ask::SignToken(json::<TokenBody>(body)?.read()?),
        Operation::AcceptInvitation => {
            let body: AcceptBody = json(body)?;
            Ask::AcceptInvitation(body.invitation.into())
        }
        Operation::ListRevocations => Ask::ListRevocations(page(params)?),
        Operation::Revoke => Ask::Revoke(json::<RevocationBody>(body)?.read()?),
        Operation::DrawTicket => Ask::DrawTicket,
    })
}

fn read_params<'a>(query: &'a str, allowed: &[&str]) -> Result<BTreeMap<&'a str, String>, Reject> {
    let mut found = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        // Credentials were read before.
        if matches!(name, "share" | "ticket") {
            continue;
        }
        if !allowed.contains(&name) {
            let name: String = name.chars().take(NAME_CHARS_SHOWN).collect();
            return Err(Reject::invalid(format!("unknown parameter `{name}`")));
        }
        let value = match value {
            "" => Some(String::new()),
            value => decode(value).and_then(|bytes| String::from_utf8(bytes.into_owned()).ok()),
        };
        let value =
            value.ok_or_else(|| Reject::invalid(format!("{name} is not percent-encoded UTF-8")))?;
        if found.insert(name, value).is_some() {
            return Err(Reject::invalid(format!("{name} is given more than once")));
        }
    }
    Ok(found)
}

fn page(params: &BTreeMap<&str, String>) -> Result<ListPage, Reject> {
    let limit = match params.get("limit").map(String::as_str) {
        None | Some("") => ListPage::LIMIT,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=ListPage::LIMIT_MAX).contains(limit))
            .ok_or_else(|| Reject::invalid(format!("limit is not 1 to {}", ListPage::LIMIT_MAX)))?,
    };
    let scope = params.get("namespace").filter(|text| !text.is_empty());
    Ok(ListPage {
        scope: scope.map(|text| scope_of(text)).transpose()?,
        limit,
        after: params
            .get("after")
            .map(String::as_str)
            .unwrap_or_default()
            .into(),
    })
}

fn json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Reject> {
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(Reject::invalid("the body is no JSON object"));
    }
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Reject::invalid(error.to_string()),
        serde_json::error::Category::Syntax
        | serde_json::error::Category::Eof
        | serde_json::error::Category::Io => Reject::new(Code::InvalidJson, error.to_string()),
    })
}

fn json_or_nothing<'a, T: Deserialize<'a> + Default>(body: &'a [u8]) -> Result<T, Reject> {
    if body.is_empty() {
        return Ok(T::default());
    }
    json(body)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NamespaceBody {
    name: Option<String>,
    origins: Option<Vec<String>>,
    retention: Option<Retention>,
    #[serde(default)]
    quotas: BTreeMap<Box<str>, Option<u64>>,
}

impl NamespaceBody {
    fn settings(self) -> Result<SettingsChange, Reject> {
        let origins = self.origins.map(read_origins).transpose()?;
        if self.quotas.len() > NamespaceSettings::QUOTAS_MAX {
            let most = NamespaceSettings::QUOTAS_MAX;
            return Err(Reject::invalid(format!(
                "there are more than {most} quotas"
            )));
        }
        if let Some(name) = self.quotas.keys().find(|name| !is_quota(name)) {
            let name: String = name.chars().take(NAME_CHARS_SHOWN).collect();
            return Err(Reject::invalid(format!("`{name}` is no name of a quota")));
        }
        Ok(SettingsChange {
            origins,
            retention: self.retention,
            quotas: self.quotas,
        })
    }
}

fn is_quota(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let fits = (1..=NamespaceSettings::QUOTA_BYTES_MAX).contains(&name.len());
    fits && name.bytes().all(plain)
}

fn read_origins(origins: Vec<String>) -> Result<Vec<Box<str>>, Reject> {
    if origins.len() > NamespaceSettings::ORIGINS_MAX {
        let most = NamespaceSettings::ORIGINS_MAX;
        return Err(Reject::invalid(format!(
            "there are more than {most} origins"
        )));
    }
    let fits = |origin: &String| {
        let has_scheme = origin.starts_with("http://") || origin.starts_with("https://");
        origin.len() <= NamespaceSettings::ORIGIN_BYTES_MAX
            && (origin == "*" || has_scheme)
            && origin.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if !origins.iter().all(fits) {
        return Err(Reject::invalid(
            "an origin is like `https://app.example.com`, or `*`",
        ));
    }
    Ok(origins.into_iter().map(Into::into).collect())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct KeyBody {
    namespace: Option<String>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    rights: Vec<String>,
    #[serde(default)]
    rooms: BTreeMap<String, Vec<String>>,
    user: Option<String>,
    #[serde(default, deserialize_with = "moment")]
    expires_at: Option<Millis>,
    expires_in_seconds: Option<u64>,
}

impl KeyBody {
    fn read(self) -> Result<NewKey, Reject> {
        let most = KeyEntry::NAME_BYTES_MAX;
        if self.name.len() > most || self.name.contains(char::is_control) {
            let message = format!("name is longer than {most} bytes or has control characters");
            return Err(Reject::invalid(message));
        }
        Ok(NewKey {
            scope: self.namespace.as_deref().map(scope_of).transpose()?,
            name: self.name.into(),
            grants: grants(&self.rights, &self.rooms)?,
            user: self.user.map(user).transpose()?,
            end: end(self.expires_at, self.expires_in_seconds)?,
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TokenBody {
    namespace: Option<String>,
    user: Option<String>,
    #[serde(default)]
    rights: Vec<String>,
    #[serde(default)]
    rooms: BTreeMap<String, Vec<String>>,
    #[serde(default, deserialize_with = "moment")]
    expires_at: Option<Millis>,
    expires_in_seconds: Option<u64>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    room: Option<String>,
    role: Option<String>,
}

impl TokenBody {
    fn read(self) -> Result<NewToken, Reject> {
        let purpose = match self.purpose.as_deref() {
            None => Use::Access,
            Some("share") => Use::Share,
            Some("invite") => Use::Invite(self.invite()?),
            Some(_) => return Err(Reject::invalid("use is neither share nor invite")),
        };
        let grants = match &purpose {
            Use::Invite(invite) => {
                if !self.rights.is_empty() || !self.rooms.is_empty() || self.user.is_some() {
                    let message = "an invitation has a room and a role, and no rights of its own";
                    return Err(Reject::invalid(message));
                }
                Grants::new([(invite.room.clone(), invite.role.rights())])
            }
            Use::Access | Use::Share => {
                if self.room.is_some() || self.role.is_some() {
                    return Err(Reject::invalid("room and role are for invitations"));
                }
                grants(&self.rights, &self.rooms)?
            }
        };
        let user = self.user.map(user).transpose()?;
        let reads = Rights::READ.with(Rights::READ_DELETED);
        let is_invitation = matches!(purpose, Use::Invite(_));
        if user.is_none()
            && !is_invitation
            && grants.iter().any(|(_, rights)| !reads.contains(rights))
        {
            let message =
                "a token without a user may only read: whoever has no name could take any";
            return Err(Reject::invalid(message));
        }
        let end = end(self.expires_at, self.expires_in_seconds)?;
        Ok(NewToken {
            namespace: self.namespace.as_deref().map(namespace).transpose()?,
            user,
            grants,
            end: end.unwrap_or(End::In(NewToken::LIFE_SECONDS)),
            purpose,
        })
    }

    fn invite(&self) -> Result<Invite, Reject> {
        let room = self.room.as_deref().map(RoomPattern::parse);
        let room = room
            .and_then(Result::ok)
            .filter(RoomPattern::is_one_room)
            .ok_or_else(|| {
                Reject::invalid("room is not one room, such as stream/a/b or channel/3f9ac2017b5e")
            })?;
        let role = self.role.as_deref().and_then(Role::of_word);
        let role = role.ok_or_else(|| {
            Reject::invalid("role is not among reader, member, moderator and owner")
        })?;
        Ok(Invite { room, role })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct RotateBody {
    old_expires_in_seconds: u64,
}

/// Reads for how many seconds an old secret is good besides the new one.
fn read_overlap(body: &[u8]) -> Result<u64, Reject> {
    let body: RotateBody = json_or_nothing(body)?;
    let seconds = body.old_expires_in_seconds;
    match seconds <= NewToken::LIFE_SECONDS_MAX {
        true => Ok(seconds),
        false => Err(Reject::invalid("oldExpiresInSeconds is more than 366 days")),
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AcceptBody {
    invitation: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RevocationBody {
    namespace: Option<String>,
    token: Option<String>,
    user: Option<String>,
    key: Option<String>,
    #[serde(default, deserialize_with = "moment")]
    until: Option<Millis>,
}

impl RevocationBody {
    fn read(self) -> Result<NewRevocation, Reject> {
        let what = match (self.token, self.user, self.key) {
            (None, None, Some(key)) => {
                if self.until.is_some() || self.namespace.is_some() {
                    return Err(Reject::invalid("a key ends for good and everywhere"));
                }
                return Ok(NewRevocation::Key(id(&key)?));
            }
            (Some(token), None, None) => Revoked::Token(token.into()),
            (None, Some(user), None) => Revoked::User(user.into()),
            _ => return Err(Reject::invalid("one of token, user and key is wanted")),
        };
        let len = what.name().len();
        if !(1..=Revoked::NAME_BYTES_MAX).contains(&len) || what.name().contains(char::is_control) {
            return Err(Reject::invalid("what is to be revoked cannot be called so"));
        }
        Ok(NewRevocation::Of {
            scope: self.namespace.as_deref().map(scope_of).transpose()?,
            what,
            until: self.until,
        })
    }
}

/// Reads grants: for all rooms, and by room pattern.
fn grants(everywhere: &[String], rooms: &BTreeMap<String, Vec<String>>) -> Result<Grants, Reject> {
    let mut all = vec![(RoomPattern::All, rights(everywhere)?)];
    for (pattern, words) in rooms {
        let pattern = RoomPattern::parse(pattern).map_err(|error| {
            let pattern: String = pattern.chars().take(NAME_CHARS_SHOWN).collect();
            Reject::invalid(format!("`{pattern}` is no pattern of rooms: {error}"))
        })?;
        all.push((pattern, rights(words)?));
    }
    let bytes: usize = rooms.keys().map(String::len).sum();
    if rooms.len() > Grants::PATTERNS_MAX || bytes > KeyEntry::GRANT_BYTES_MAX {
        let most = Grants::PATTERNS_MAX;
        let message = format!("there are more than {most} patterns, or they are too long");
        return Err(Reject::invalid(message));
    }
    if all.iter().all(|(_, rights)| *rights == Rights::NONE) {
        return Err(Reject::invalid(
            "nothing is granted: name rights, or rooms with rights",
        ));
    }
    Ok(Grants::new(all))
}

fn rights(words: &[String]) -> Result<Rights, Reject> {
    words.iter().try_fold(Rights::NONE, |sum, word| {
        let right = Rights::of_word(word).ok_or_else(|| {
            let word: String = word.chars().take(NAME_CHARS_SHOWN).collect();
            let known: Vec<_> = Rights::ALL.words().collect();
            Reject::invalid(format!(
                "`{word}` is no right; there are {}",
                known.join(", ")
            ))
        })?;
        Ok(sum.with(right))
    })
}

fn user(user: String) -> Result<Box<str>, Reject> {
    let fits = (1..=Issuers::USER_BYTES_MAX).contains(&user.len());
    if !fits || user.contains(char::is_control) {
        let most = Issuers::USER_BYTES_MAX;
        let message = format!("user is not 1 to {most} bytes without control characters");
        return Err(Reject::invalid(message));
    }
    Ok(user.into())
}

fn end(at: Option<Millis>, seconds: Option<u64>) -> Result<Option<End>, Reject> {
    match (at, seconds) {
        (Some(_), Some(_)) => Err(Reject::invalid(
            "expiresAt and expiresInSeconds say the same thing: one will do",
        )),
        (_, Some(0)) => Err(Reject::invalid("expiresInSeconds is 0")),
        (at, seconds) => Ok(at.map(End::At).or(seconds.map(End::In))),
    }
}

fn namespace(text: &str) -> Result<Namespace, Reject> {
    let name = text.parse::<Namespace>();
    name.map_err(|error| Reject::invalid(error.to_string()))
}

fn scope_of(text: &str) -> Result<Scope, Reject> {
    Scope::parse(text)
        .ok_or_else(|| Reject::invalid("namespace is neither the name of one nor `*`"))
}

/// Reads the id of a key, which need not be there.
fn id(text: &str) -> Result<Box<str>, Reject> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if !(1..=KEY_ID_BYTES_MAX).contains(&text.len()) || !text.bytes().all(plain) {
        return Err(Reject::invalid("this is no id of a key"));
    }
    Ok(text.into())
}

fn moment<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Millis>, D::Error> {
    let text = Option::<String>::deserialize(source)?;
    let read = |text: String| {
        Millis::parse_rfc3339(&text)
            .ok_or_else(|| serde::de::Error::custom("a moment is an RFC 3339 time from 1970 on"))
    };
    text.map(read).transpose()
}

/// Bytes of the id of a key.
const KEY_ID_BYTES_MAX: usize = 64;
/// Characters of an unknown name that a message repeats.
const NAME_CHARS_SHOWN: usize = 40;
