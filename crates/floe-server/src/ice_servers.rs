//! Servers that help browsers find a way for media: STUN, and TURN with credentials that end soon.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use floe_proto::Millis;
use floe_surfaces::community::voice::{IceServer, IceServers, TurnLogin};

/// Which servers browsers are told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceSettings {
    /// Their addresses; none by default, at most [`SERVERS_MAX`](Self::SERVERS_MAX).
    pub servers: Vec<IceUrl>,
    /// What credentials for TURN are made of, shared with the TURN servers. Without it they are named
    /// without credentials.
    pub turn_secret: Option<TurnSecret>,
    /// Seconds that such credentials last; 12 h.
    pub turn_ttl_s: u64,
}

impl IceSettings {
    /// Servers that are told at most.
    pub const SERVERS_MAX: usize = 16;

    /// Returns what the browser of a user is told: those of STUN, and those of TURN with credentials
    /// of the user's own.
    #[must_use]
    pub fn for_user(&self, user: &str, now: Millis) -> IceServers {
        let (turn, stun): (Vec<_>, Vec<_>) = self.servers.iter().partition(|url| url.is_turn());
        let urls = |all: Vec<&IceUrl>| all.into_iter().map(|url| url.0.clone()).collect();
        let mut told = IceServers::default();
        if !stun.is_empty() {
            told.servers.push(IceServer {
                urls: urls(stun),
                login: None,
            });
        }
        if turn.is_empty() {
            return told;
        }
        let login = self.turn_secret.as_ref().map(|secret| {
            let ends_s = (now.0 / 1_000).saturating_add(self.turn_ttl_s);
            told.expires_at = Some(Millis(ends_s.saturating_mul(1_000)));
            let username = format!("{ends_s}:{user}");
            TurnLogin {
                credential: turn_credential(&secret.0, &username),
                username,
            }
        });
        told.servers.push(IceServer {
            urls: urls(turn),
            login,
        });
        told
    }
}

impl Default for IceSettings {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            turn_secret: None,
            turn_ttl_s: 12 * 60 * 60,
        }
    }
}

/// The secret that is shared with TURN servers. Its `Debug` form does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct TurnSecret(Box<[u8]>);

impl TurnSecret {
    /// Takes a secret.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Debug for TurnSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TurnSecret")
    }
}

/// The address of a STUN or TURN server, such as `turn:turn.example.com:3478?transport=udp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceUrl(Box<str>);

/// An address that is none of a STUN or TURN server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an address of 1 to 512 bytes begins with stun:, stuns:, turn: or turns:")]
pub struct IceUrlError;

impl IceUrl {
    const BYTES_MAX: usize = 512;

    fn is_turn(&self) -> bool {
        self.0.starts_with("turn")
    }
}

impl FromStr for IceUrl {
    type Err = IceUrlError;

    fn from_str(text: &str) -> Result<Self, IceUrlError> {
        let scheme = ["stun:", "stuns:", "turn:", "turns:"]
            .into_iter()
            .find_map(|scheme| text.strip_prefix(scheme));
        let is_good = scheme.is_some_and(|rest| !rest.is_empty())
            && text.len() <= Self::BYTES_MAX
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_good.then(|| Self(text.into())).ok_or(IceUrlError)
    }
}

impl fmt::Display for IceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns what goes with a name that says when it ends, as TURN servers with a shared secret expect
/// it: the name's HMAC-SHA1, in base64.
fn turn_credential(secret: &[u8], username: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    STANDARD.encode(hmac::sign(&key, username.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_700_000_000_999);

    fn settings(urls: &[&str], secret: Option<&str>) -> IceSettings {
        IceSettings {
            servers: urls.iter().map(|url| url.parse().unwrap()).collect(),
            turn_secret: secret.map(|secret| TurnSecret::new(secret.as_bytes())),
            turn_ttl_s: 3_600,
        }
    }

    #[test]
    fn a_credential_is_the_hmac_of_the_name() {
        // RFC 2202, test case 2 of HMAC-SHA-1.
        let credential = turn_credential(b"Jefe", "what do ya want for nothing?");
        assert_eq!(credential, "7/zfauXrL6LSdBbV8YTfnCWafHk=");
    }

    #[test]
    fn servers_of_turn_come_with_a_login_that_ends_and_those_of_stun_without() {
        let settings = settings(
            &["turn:t.example:3478", "stun:s.example", "turns:t.example"],
            Some("north"),
        );
        let stun = IceServer {
            urls: vec!["stun:s.example".into()],
            login: None,
        };
        let turn = IceServer {
            urls: vec!["turn:t.example:3478".into(), "turns:t.example".into()],
            login: Some(TurnLogin {
                username: "1700003600:ann".into(),
                credential: "TwqKCcbzejRFa1sgGqGS7SEzCGg=".into(),
            }),
        };
        let wanted = IceServers {
            servers: vec![stun, turn],
            expires_at: Some(Millis(1_700_003_600_000)),
        };
        assert_eq!(settings.for_user("ann", NOW), wanted);
        assert!(!format!("{settings:?}").contains("north"));
    }

    #[test]
    fn without_servers_or_secret_nothing_ends() {
        assert_eq!(
            settings(&[], Some("north")).for_user("ann", NOW),
            IceServers::default()
        );
        let open = settings(&["turn:t.example"], None).for_user("ann", NOW);
        assert_eq!((open.expires_at, open.servers.len()), (None, 1));
        assert_eq!(open.servers[0].login, None);
    }

    #[test]
    fn addresses_of_other_protocols_are_refused() {
        for wrong in ["", "turn:", "http://x", "turn:a b", "turn:\u{e9}", "stun"] {
            assert_eq!(wrong.parse::<IceUrl>(), Err(IceUrlError), "{wrong}");
        }
        let long = format!("turn:{}", "x".repeat(508));
        assert_eq!(long.parse::<IceUrl>(), Err(IceUrlError));
    }
}
