//! Public keys in PEM: `SubjectPublicKeyInfo` (RFC 5280), as far as three kinds of key need it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::key::PublicKey;

/// Reads a key in PEM; `None` where it is none of ours.
pub fn of_pem(text: &str) -> Option<PublicKey> {
    let body = text.trim().strip_prefix("-----BEGIN PUBLIC KEY-----")?;
    let body = body.strip_suffix("-----END PUBLIC KEY-----")?;
    let body: String = body.split_ascii_whitespace().collect();
    of_der(&STANDARD.decode(body).ok()?)
}

fn of_der(der: &[u8]) -> Option<PublicKey> {
    let mut whole = Reader(der);
    let mut info = Reader(whole.take(SEQUENCE)?);
    whole.end()?;
    let algorithm = info.take(SEQUENCE)?;
    let (unused, key) = info.take(BIT_STRING)?.split_first()?;
    info.end()?;
    if *unused != 0 {
        return None;
    }
    match algorithm {
        RSA => {
            let mut outer = Reader(key);
            let mut numbers = Reader(outer.take(SEQUENCE)?);
            outer.end()?;
            let (modulus, exponent) = (numbers.take(INTEGER)?, numbers.take(INTEGER)?);
            numbers.end()?;
            PublicKey::rsa(modulus, exponent)
        }
        P256 => PublicKey::p256(key),
        ED25519 => PublicKey::ed25519(key),
        _ => None,
    }
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;

/// `rsaEncryption`, and a null.
const RSA: &[u8] = &[
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];
/// `ecPublicKey` of `prime256v1`.
const P256: &[u8] = &[
    0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
    0x03, 0x01, 0x07,
];
/// `Ed25519`.
const ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];

/// Values one behind the other.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Takes the content of the next value, which must be of this kind.
    fn take(&mut self, kind: u8) -> Option<&'a [u8]> {
        let (found, rest) = self.0.split_first()?;
        if *found != kind {
            return None;
        }
        let (first, rest) = rest.split_first()?;
        let (len, rest) = if *first < 0x80 {
            (usize::from(*first), rest)
        } else {
            // A length of up to two bytes: no key of ours is longer.
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            if bytes.is_empty() || bytes.len() > 2 {
                return None;
            }
            let len = bytes
                .iter()
                .fold(0, |len, byte| len << 8 | usize::from(*byte));
            (len, rest)
        };
        let (content, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some(content)
    }

    /// Makes sure that nothing is left.
    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}
