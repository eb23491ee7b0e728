//! The request that asks for a WebSocket, and its answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use floe_proto::Code;
use sha1::{Digest as _, Sha1};

use super::deflate::Deflate;
use crate::http::{Answer, Envelope, Method, error_with};

/// Characters of a `Sec-WebSocket-Accept`.
pub const ACCEPT_KEY_LEN: usize = 28;

/// What a host has to offer to who asks for a WebSocket.
#[derive(Debug, Clone, Copy, Default)]
pub struct Offer<'a> {
    /// The subprotocols it speaks. The client's order decides between them.
    pub protocols: &'a [&'static str],
    /// Whether messages may be compressed, for clients that ask for it.
    pub deflate: bool,
    /// Whether a token may come among the subprotocols, as pages can set no other header: behind
    /// [`TOKEN_PROTOCOL`], which is then the one spoken, or alone.
    pub token: bool,
}

/// The subprotocol that says that the one beside it is a token.
pub const TOKEN_PROTOCOL: &str = "floe.token";

/// A handshake that can be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accept<'a> {
    /// Value of `Sec-WebSocket-Accept`.
    pub key: [u8; ACCEPT_KEY_LEN],
    /// The subprotocol to speak; `None` when the client named none.
    pub protocol: Option<&'a str>,
    /// The token that came among the subprotocols.
    pub token: Option<&'a str>,
    /// How messages are compressed, if they are; the [`Decoder`](super::Decoder) has to know.
    pub deflate: Option<Deflate>,
    /// The request's `Origin`, which all browsers send. The host decides whether it is welcome.
    pub origin: Option<&'a [u8]>,
    /// The request's `Host`.
    pub host: Option<&'a [u8]>,
}

/// Why a handshake was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Reject {
    /// The stable code.
    pub code: Code,
    /// What is wrong, for people.
    pub message: &'static str,
}

/// Reads the request for a WebSocket, by HTTP/1.1 or newer.
///
/// # Errors
/// The request is none, or one that cannot be met; [`write_reject`] answers it.
pub fn handshake<'a>(
    method: Method,
    fields: impl Iterator<Item = (&'a str, &'a [u8])>,
    offer: &Offer<'_>,
) -> Result<Accept<'a>, Reject> {
    let mut seen = Seen::default();
    for (name, value) in fields {
        seen.take(name, value.trim_ascii(), offer)?;
    }
    if method != Method::Get {
        return Err(Reject {
            code: Code::MethodNotAllowed,
            message: "a WebSocket begins with a GET",
        });
    }
    if !seen.upgrade || !seen.connection || !seen.version {
        return Err(Reject {
            code: Code::UpgradeRequired,
            message: "this path speaks WebSocket, version 13",
        });
    }
    if seen.protocols && seen.protocol.or(seen.token).is_none() {
        return Err(invalid(
            "none of the subprotocols in Sec-WebSocket-Protocol is spoken here",
        ));
    }
    let key = seen
        .key
        .ok_or(invalid("Sec-WebSocket-Key is missing, or not 16 bytes"))?;
    Ok(Accept {
        key: accept_key(key),
        // A token that came alone is what the page offered to speak, and wants to hear again.
        protocol: seen.protocol.or(seen.token),
        token: seen.token,
        deflate: seen.deflate,
        origin: seen.origin,
        host: seen.host,
    })
}

/// Writes the answer after which the connection speaks WebSocket.
pub fn write_accept(out: &mut Vec<u8>, envelope: &Envelope<'_>, accept: &Accept<'_>) {
    let envelope = Envelope {
        close: false,
        ..*envelope
    };
    Answer::start(out, &envelope, 101)
        .field("Upgrade", b"websocket")
        .field("Connection", b"Upgrade")
        .field("Sec-WebSocket-Accept", &accept.key)
        .maybe("Sec-WebSocket-Protocol", accept.protocol.map(str::as_bytes))
        .maybe(
            "Sec-WebSocket-Extensions",
            accept
                .deflate
                .map(|deflate| deflate.to_string())
                .as_deref()
                .map(str::as_bytes),
        )
        .no_body(true);
}

/// Writes the answer to a handshake that was refused.
pub fn write_reject(out: &mut Vec<u8>, envelope: &Envelope<'_>, reject: &Reject) {
    error_with(out, envelope, reject.code, reject.message, |answer| {
        if reject.code == Code::UpgradeRequired {
            let answer = answer
                .field("Upgrade", b"websocket")
                .field("Sec-WebSocket-Version", b"13");
            return if envelope.close {
                answer
            } else {
                answer.field("Connection", b"Upgrade")
            };
        }
        answer
    });
}

/// What the fields of a request said so far.
#[derive(Default)]
struct Seen<'a> {
    upgrade: bool,
    connection: bool,
    version: bool,
    key: Option<&'a [u8]>,
    protocols: bool,
    protocol: Option<&'static str>,
    token: Option<&'a str>,
    deflate: Option<Deflate>,
    origin: Option<&'a [u8]>,
    host: Option<&'a [u8]>,
}

impl<'a> Seen<'a> {
    fn take(&mut self, name: &str, value: &'a [u8], offer: &Offer<'_>) -> Result<(), Reject> {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        if is("upgrade") {
            self.upgrade |= tokens(value).any(|token| token.eq_ignore_ascii_case(b"websocket"));
        } else if is("connection") {
            self.connection |= tokens(value).any(|token| token.eq_ignore_ascii_case(b"upgrade"));
        } else if is("sec-websocket-version") {
            self.version = value == b"13";
        } else if is("sec-websocket-key") {
            if self.key.is_some() || !is_key(value) {
                return Err(invalid("Sec-WebSocket-Key is repeated, or not 16 bytes"));
            }
            self.key = Some(value);
        } else if is("sec-websocket-protocol") {
            self.protocols = true;
            if offer.token {
                return self.take_token(value);
            }
            self.protocol = self.protocol.or_else(|| {
                tokens(value).find_map(|token| {
                    let spoken = offer.protocols.iter();
                    spoken
                        .copied()
                        .find(|protocol| protocol.as_bytes() == token)
                })
            });
        } else if is("sec-websocket-extensions") && offer.deflate {
            self.deflate = self
                .deflate
                .or_else(|| tokens(value).find_map(Deflate::read));
        } else if is("origin") {
            if self.origin.is_some() {
                return Err(invalid("Origin is repeated"));
            }
            self.origin = Some(value);
        } else if is("host") {
            self.host = Some(value);
        }
        Ok(())
    }

    /// Reads subprotocols of which one may be a token.
    fn take_token(&mut self, value: &'a [u8]) -> Result<(), Reject> {
        for word in tokens(value) {
            if word == TOKEN_PROTOCOL.as_bytes() {
                self.protocol = Some(TOKEN_PROTOCOL);
            } else if self.token.is_none() {
                let token = std::str::from_utf8(word);
                self.token = Some(token.map_err(|_| invalid("the token is no text"))?);
            } else {
                return Err(invalid(
                    "Sec-WebSocket-Protocol has more than `floe.token` and a token",
                ));
            }
        }
        Ok(())
    }
}

fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.is_empty())
}

/// Returns whether the value is 16 bytes in base64.
fn is_key(value: &[u8]) -> bool {
    let mut bytes = [0; 18];
    value.len() == 24 && STANDARD.decode_slice(value, &mut bytes) == Ok(16)
}

fn accept_key(key: &[u8]) -> [u8; ACCEPT_KEY_LEN] {
    const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut accept = [0; ACCEPT_KEY_LEN];
    // 20 bytes are 28 characters.
    let _ = STANDARD.encode_slice(digest, &mut accept);
    accept
}

const fn invalid(message: &'static str) -> Reject {
    Reject {
        code: Code::InvalidRequest,
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: Offer<'_> = Offer {
        protocols: &["chat", "superchat"],
        deflate: false,
        token: false,
    };

    const FIELDS: [(&str, &str); 7] = [
        ("Host", "server.example.com"),
        ("upgrade", "h2c, WebSocket"),
        ("Connection", "keep-alive, Upgrade"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Origin", "http://example.com"),
        ("Sec-WebSocket-Protocol", "other, superchat, chat"),
        ("Sec-WebSocket-Version", "13"),
    ];

    fn ask<'a>(fields: &[(&'a str, &'a str)]) -> Result<Accept<'a>, Reject> {
        let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
        handshake(Method::Get, fields, &OFFER)
    }

    fn with(name: &'static str, value: &'static str) -> Vec<(&'static str, &'static str)> {
        let mut fields = FIELDS.to_vec();
        fields.retain(|(other, _)| *other != name);
        fields.push((name, value));
        fields
    }

    const ENVELOPE: Envelope<'_> = Envelope {
        date: "now",
        cors: crate::http::Cors::Unasked,
        close: false,
        head: false,
        pace: crate::limits::Pace::NONE,
    };

    #[test]
    fn the_standards_own_example_is_accepted() {
        let accept = ask(&FIELDS).unwrap();
        assert_eq!(&accept.key, b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(accept.protocol, Some("superchat"));
        assert_eq!(accept.origin, Some(&b"http://example.com"[..]));
        assert_eq!(accept.host, Some(&b"server.example.com"[..]));
        let mut out = Vec::new();
        write_accept(&mut out, &ENVELOPE, &accept);
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with("HTTP/1.1 101 Switching Protocols\r\n"),
            "{text}"
        );
        assert!(
            text.ends_with(
                "Upgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
                 Sec-WebSocket-Protocol: superchat\r\n\r\n"
            ),
            "{text}"
        );
        assert!(!text.contains("Content-Length"), "{text}");
    }

    #[test]
    fn messages_are_compressed_if_both_sides_want_it() {
        let asked = with(
            "Sec-WebSocket-Extensions",
            "x-unknown, permessage-deflate; server_max_window_bits=20, permessage-deflate",
        );
        assert_eq!(ask(&asked).unwrap().deflate, None);
        let fields = asked.iter().map(|(name, value)| (*name, value.as_bytes()));
        let offer = Offer {
            deflate: true,
            ..OFFER
        };
        let accept = handshake(Method::Get, fields, &offer).unwrap();
        let mut out = Vec::new();
        write_accept(&mut out, &ENVELOPE, &accept);
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.ends_with(
                "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; \
                 client_no_context_takeover\r\n\r\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn who_names_no_subprotocol_gets_none() {
        let fields: Vec<_> = FIELDS
            .into_iter()
            .filter(|(name, _)| *name != "Sec-WebSocket-Protocol")
            .collect();
        assert_eq!(ask(&fields).unwrap().protocol, None);
    }

    #[test]
    fn a_token_comes_among_the_subprotocols_and_the_page_hears_what_it_offered() {
        let offer = Offer {
            token: true,
            ..Offer::default()
        };
        let ask = |protocols: &'static str| {
            let fields = with("Sec-WebSocket-Protocol", protocols);
            let fields = fields
                .into_iter()
                .map(|(name, value)| (name, value.as_bytes()));
            let accept = handshake(Method::Get, fields, &offer)?;
            Ok((accept.protocol, accept.token))
        };
        assert_eq!(
            ask("floe.token, k-secret"),
            Ok((Some("floe.token"), Some("k-secret")))
        );
        assert_eq!(
            ask("k-secret,floe.token"),
            Ok((Some("floe.token"), Some("k-secret")))
        );
        assert_eq!(ask("k-secret"), Ok((Some("k-secret"), Some("k-secret"))));
        assert_eq!(ask("floe.token"), Ok((Some("floe.token"), None)));
        for wrong in ["one, two", "floe.token, one, two", ""] {
            let refused: Result<(Option<&str>, Option<&str>), Reject> = ask(wrong);
            assert_eq!(refused.unwrap_err().code, Code::InvalidRequest, "{wrong}");
        }
    }

    #[test]
    fn what_is_no_handshake_is_refused_with_its_reason() {
        let code = |fields: &[(&'static str, &'static str)]| ask(fields).unwrap_err().code;
        assert_eq!(code(&with("upgrade", "h2c")), Code::UpgradeRequired);
        assert_eq!(code(&with("Connection", "close")), Code::UpgradeRequired);
        assert_eq!(
            code(&with("Sec-WebSocket-Version", "8")),
            Code::UpgradeRequired
        );
        assert_eq!(code(&[]), Code::UpgradeRequired);
        for key in ["", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZX!="] {
            assert_eq!(
                code(&with("Sec-WebSocket-Key", key)),
                Code::InvalidRequest,
                "{key}"
            );
        }
        assert_eq!(
            code(&with("Sec-WebSocket-Protocol", "unknown")),
            Code::InvalidRequest
        );
        let mut twice = FIELDS.to_vec();
        twice.push(FIELDS[3]);
        assert_eq!(code(&twice), Code::InvalidRequest);
        let post = handshake(Method::Post, std::iter::empty(), &OFFER).unwrap_err();
        assert_eq!(post.code, Code::MethodNotAllowed);
    }

    #[test]
    fn the_refusal_says_what_would_be_taken() {
        let mut out = Vec::new();
        write_reject(&mut out, &ENVELOPE, &ask(&[]).unwrap_err());
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("HTTP/1.1 426 "), "{text}");
        assert!(text.contains("Sec-WebSocket-Version: 13\r\n"), "{text}");
        assert!(text.contains("Upgrade: websocket\r\n"), "{text}");
    }
}
