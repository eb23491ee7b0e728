//! From the claims of a token to its caller.

use floe_proto::{Millis, Namespace, Rights};
use serde_json::{Map, Value};

use super::super::caller::{Caller, Grants, RoomPattern, Source};
use super::{Issuer, Issuers, Purpose, TokenError, Verified};

/// Reads the claims of a token whose signature is good.
pub fn read_claims(
    issuer: &Issuer,
    claims: Map<String, Value>,
    now: Millis,
) -> Result<Verified, TokenError> {
    let (ends_at, issued_at) = read_times(issuer, &claims, now)?;
    check_audience(issuer, &claims)?;
    let user = word(&claims, "sub", Issuers::USER_BYTES_MAX)?;
    let id = word(&claims, "jti", Issuers::ID_BYTES_MAX)?;
    let ours = match claims.get(&*issuer.claim) {
        Some(Value::Object(ours)) => Some(ours),
        None => None,
        Some(_) => return Err(TokenError::Grants),
    };
    let namespace = namespace(issuer, ours.and_then(|ours| ours.get("namespace")))?;
    let grants = match ours.and_then(|ours| ours.get("rooms")) {
        Some(rooms) => read_rooms(rooms)?,
        None => Grants::everywhere(issuer.rights),
    };
    let purpose = match ours.and_then(|ours| ours.get("use")) {
        Some(word) => word.as_str().and_then(Purpose::of_word),
        None => Some(Purpose::Access),
    };
    let purpose = purpose.ok_or(TokenError::Purpose)?;
    // Whoever has no name could take any. What an invitation allows is for somebody else.
    if user.is_none() && purpose != Purpose::Invite && !is_reading(&grants) {
        return Err(TokenError::NoUser);
    }
    Ok(Verified {
        caller: Caller {
            namespace: Some(namespace),
            user,
            grants,
            ends_at: Some(ends_at),
            source: Source::Token {
                issuer: issuer.issuer.clone(),
                id,
                issued_at,
            },
        },
        purpose,
    })
}

/// Returns whether nothing but reading is granted.
pub fn is_reading(grants: &Grants) -> bool {
    let reading = Rights::READ.with(Rights::READ_DELETED);
    grants.iter().all(|(_, rights)| reading.contains(rights))
}

/// Returns when the token ends for us, and when it was issued.
fn read_times(
    issuer: &Issuer,
    claims: &Map<String, Value>,
    now: Millis,
) -> Result<(Millis, Option<Millis>), TokenError> {
    let skew_ms = u64::from(issuer.skew_seconds) * 1_000;
    let ends_at = time(claims, "exp")?.ok_or(TokenError::NoEnd)?.plus(skew_ms);
    if ends_at <= now {
        return Err(TokenError::Ended);
    }
    let begins_at = time(claims, "nbf")?;
    let issued_at = time(claims, "iat")?;
    let latest = now.plus(skew_ms);
    if begins_at.is_some_and(|at| at > latest) || issued_at.is_some_and(|at| at > latest) {
        return Err(TokenError::NotBegun);
    }
    Ok((ends_at, issued_at))
}

/// Reads a time in seconds since 1970, which may have a fraction.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<Millis>, TokenError> {
    /// The last second of the year 9999.
    const LAST_SECOND: f64 = 253_402_300_799.0;
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let seconds = value.as_f64().ok_or(TokenError::Malformed)?;
    if !(0.0..=LAST_SECOND).contains(&seconds) {
        return Err(TokenError::Malformed);
    }
    Ok(Some(Millis((seconds * 1_000.0) as u64)))
}

fn check_audience(issuer: &Issuer, claims: &Map<String, Value>) -> Result<(), TokenError> {
    let is_ours = |text: &Value| {
        let text = text.as_str();
        issuer.audience.iter().any(|one| text == Some(one))
    };
    let fits = match claims.get("aud") {
        _ if issuer.audience.is_empty() => true,
        Some(Value::Array(many)) => many.iter().any(is_ours),
        Some(one) => is_ours(one),
        None => false,
    };
    fits.then_some(()).ok_or(TokenError::Audience)
}

/// Reads a name, which if it is there is one.
fn word(
    claims: &Map<String, Value>,
    name: &str,
    bytes_max: usize,
) -> Result<Option<Box<str>>, TokenError> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let text = value.as_str().ok_or(TokenError::User)?;
    if text.is_empty() || text.len() > bytes_max || text.contains(char::is_control) {
        return Err(TokenError::User);
    }
    Ok(Some(text.into()))
}

fn namespace(issuer: &Issuer, claimed: Option<&Value>) -> Result<Namespace, TokenError> {
    let claimed = claimed.map(|value| value.as_str().and_then(|name| name.parse().ok()));
    match (&issuer.namespace, claimed) {
        (None, Some(Some(claimed))) => Ok(claimed),
        (Some(own), None) => Ok(own.clone()),
        (Some(own), Some(Some(claimed))) if *own == claimed => Ok(claimed),
        _ => Err(TokenError::Namespace),
    }
}

/// Reads what is allowed by room pattern, each with the words for its rights.
pub fn read_rooms(rooms: &Value) -> Result<Grants, TokenError> {
    let rooms = rooms.as_object().ok_or(TokenError::Grants)?;
    if rooms.len() > Grants::PATTERNS_MAX {
        return Err(TokenError::TooManyPatterns);
    }
    let grants: Option<Vec<_>> = rooms
        .iter()
        .map(|(pattern, words)| {
            let pattern = RoomPattern::parse(pattern).ok()?;
            let words = words.as_array()?.iter();
            let mut rights = words.map(|word| Rights::of_word(word.as_str()?));
            let rights = rights.try_fold(Rights::NONE, |sum, right| Some(sum.with(right?)))?;
            Some((pattern, rights))
        })
        .collect();
    grants.map(Grants::new).ok_or(TokenError::Grants)
}
