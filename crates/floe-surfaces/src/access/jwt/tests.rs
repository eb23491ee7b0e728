use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, KeyPair as _};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::caller::{Grants, Room, RoomPattern};
use super::super::{Access, Credentials, Source, Unrecognised};
use super::*;

const NOW: Millis = Millis(1_800_000_000_000);
const NOW_SECONDS: u64 = 1_800_000_000;
const ISSUER: &str = "https://id.example.com/";
const RSA: &[u8] = include_bytes!("testdata/rsa.der");
const RSA_PEM: &str = include_str!("testdata/rsa.pem");

fn acme() -> Namespace {
    "acme".parse().unwrap()
}

fn secret() -> Secret {
    Secret::new(Some("one"), &[7; 32]).unwrap()
}

/// Checks as the server does.
fn check(key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
    match key {
        PublicKey::Rsa { modulus, exponent } => signature::RsaPublicKeyComponents {
            n: modulus,
            e: exponent,
        }
        .verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, signature),
        PublicKey::P256(point) => {
            signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
                .verify(message, signature)
        }
        PublicKey::Ed25519(key) => {
            signature::UnparsedPublicKey::new(&signature::ED25519, key).verify(message, signature)
        }
    }
    .is_ok()
}

/// Something that signs, and its public half.
enum Signer {
    Rsa(signature::RsaKeyPair),
    P256(signature::EcdsaKeyPair),
    Ed25519(signature::Ed25519KeyPair),
    Secret(Vec<u8>),
}

/// Reads the two numbers of an RSA key (RFC 8017 appendix A.1.1): a sequence of integers.
fn rsa_numbers(der: &[u8]) -> [&[u8]; 2] {
    fn take(der: &[u8]) -> (&[u8], &[u8]) {
        let (len, rest) = match der[1] {
            long @ 0x81.. => {
                let (len, rest) = der[2..].split_at(usize::from(long & 0x7F));
                let len = len
                    .iter()
                    .fold(0, |len, byte| len << 8 | usize::from(*byte));
                (len, rest)
            }
            len => (usize::from(len), &der[2..]),
        };
        rest.split_at(len)
    }
    let (n, rest) = take(take(der).0);
    [n, take(rest).0].map(|number| number.strip_prefix(&[0]).unwrap_or(number))
}

impl Signer {
    fn all() -> [Self; 4] {
        let random = SystemRandom::new();
        let curve = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let p256 = signature::EcdsaKeyPair::generate_pkcs8(curve, &random).unwrap();
        let p256 = signature::EcdsaKeyPair::from_pkcs8(curve, p256.as_ref()).unwrap();
        let ed25519 = signature::Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let ed25519 = signature::Ed25519KeyPair::from_pkcs8(ed25519.as_ref()).unwrap();
        [
            Self::Rsa(signature::RsaKeyPair::from_der(RSA).unwrap()),
            Self::P256(p256),
            Self::Ed25519(ed25519),
            Self::Secret(vec![9; 32]),
        ]
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::P256(_) => "ES256",
            Self::Ed25519(_) => "EdDSA",
            Self::Secret(_) => "HS256",
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key) => {
                let mut signed = vec![0; key.public_modulus_len()];
                key.sign(&signature::RSA_PKCS1_SHA256, &random, message, &mut signed)
                    .unwrap();
                signed
            }
            Self::P256(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
            Self::Secret(secret) => {
                use hmac::Mac as _;
                let mac = sign::mac(secret, message);
                mac.finalize().into_bytes().to_vec()
            }
        }
    }

    fn jwk(&self, kid: &str) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match self {
            Self::Rsa(key) => {
                let [n, e] = rsa_numbers(key.public_key().as_ref());
                json!({"kty": "RSA", "n": text(n), "e": text(e), "alg": "RS256"})
            }
            Self::P256(key) => {
                let point = key.public_key().as_ref();
                let (x, y) = (text(&point[1..33]), text(&point[33..]));
                json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "use": "sig"})
            }
            Self::Ed25519(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": text(key.public_key().as_ref())})
            }
            Self::Secret(secret) => json!({"kty": "oct", "k": text(secret)}),
        };
        jwk["kid"] = kid.into();
        jwk
    }

    fn keys(&self, kid: &str) -> KeySet {
        if let Self::Secret(secret) = self {
            return KeySet::of_secrets([Secret::new(Some(kid), secret).unwrap()]);
        }
        let set = json!({"keys": [self.jwk(kid)]});
        KeySet::parse(set.to_string().as_bytes()).unwrap()
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// A good token.
    fn good(&self) -> String {
        self.token(&json!({"alg": self.word(), "kid": "k"}), &claims())
    }
}

fn claims() -> Value {
    json!({
        "iss": ISSUER,
        "sub": "tess",
        "aud": ["other", "floe"],
        "exp": NOW_SECONDS + 60,
        "nbf": NOW_SECONDS - 60,
        "iat": NOW_SECONDS,
        "jti": "t1",
        "floe": {"namespace": "acme", "rooms": {"stream/a/**": ["read", "append"]}},
    })
}

fn issuer(keys: KeySet) -> Issuer {
    Issuer {
        audience: vec!["floe".into()],
        skew_seconds: 10,
        ..Issuer::new(ISSUER, keys)
    }
}

fn issuers(issuer: Issuer) -> Issuers {
    let mut issuers = Issuers::new(check);
    issuers.insert(issuer).unwrap();
    issuers
}

/// Verifies claims that are signed as they should be.
fn verify(change: impl FnOnce(&mut Issuer, &mut Value)) -> Result<Verified, TokenError> {
    let signer = Signer::Secret(vec![9; 32]);
    let (mut issuer, mut claims) = (issuer(signer.keys("k")), claims());
    change(&mut issuer, &mut claims);
    let token = signer.token(&json!({"alg": "HS256", "kid": "k"}), &claims);
    issuers(issuer).verify(&token, NOW)
}

#[test]
fn a_good_token_of_every_algorithm_says_who_may_do_what() {
    for signer in Signer::all() {
        let issuers = issuers(issuer(signer.keys("k")));
        let verified = issuers.verify(&signer.good(), NOW).unwrap();
        let read = RoomPattern::parse("stream/a/**").unwrap();
        let expected = Caller {
            namespace: Some(acme()),
            user: Some("tess".into()),
            grants: Grants::new([(read, Rights::READ.with(Rights::APPEND))]),
            ends_at: Some(Millis((NOW_SECONDS + 70) * 1_000)),
            source: Source::Token {
                issuer: ISSUER.into(),
                id: Some("t1".into()),
                issued_at: Some(NOW),
            },
        };
        assert_eq!(verified.caller, expected, "{}", signer.word());
        assert_eq!(verified.purpose, Purpose::Access);
    }
}

#[test]
fn keys_are_read_from_pem_too() {
    let signer = Signer::Rsa(signature::RsaKeyPair::from_der(RSA).unwrap());
    let mut keys = KeySet::default();
    keys.add_public(None, RSA_PEM).unwrap();
    let mut named = KeySet::default();
    let jwk = signer.jwk("k").to_string();
    named.add_public(None, &jwk).unwrap();
    assert_eq!(named, signer.keys("k"));
    assert!(issuers(issuer(keys)).verify(&signer.good(), NOW).is_ok());
    // Also the other two, as their standards show them.
    for pem in [
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
         -----END PUBLIC KEY-----\n",
        "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEVs/o5+uQbTjL3chynL4wXgUg2R9\n\
         q9UU8I5mEovUf86QZ7kOBIjJwqnzD1omageEHWwHdBO6B+dFabmdT9POxg==\n-----END PUBLIC KEY-----",
    ] {
        assert_eq!(KeySet::default().add_public(Some("x"), pem), Ok(()));
        for cut in 0..pem.len() - 1 {
            let _ = KeySet::default().add_public(None, &pem[..cut]);
        }
    }
    for bad in [
        "",
        "x",
        "{}",
        "-----BEGIN PUBLIC KEY-----MAA=-----END PUBLIC KEY-----",
    ] {
        assert!(KeySet::default().add_public(None, bad).is_err(), "{bad}");
    }
}

#[test]
fn a_key_serves_its_own_algorithm_alone() {
    let all = Signer::all();
    for key in &all {
        for named in ["HS256", "RS256", "ES256", "EdDSA"] {
            for signer in &all {
                let token = signer.token(&json!({"alg": named, "kid": "k"}), &claims());
                let verified = issuers(issuer(key.keys("k"))).verify(&token, NOW);
                let fits = key.word() == named && signer.word() == named;
                assert_eq!(verified.is_ok(), fits, "{} {named}", key.word());
            }
        }
    }
}

#[test]
fn a_public_key_is_no_secret_whoever_signs_with_it() {
    let rsa = &Signer::all()[0];
    let issuers = issuers(issuer(rsa.keys("k")));
    for secret in [RSA_PEM.as_bytes(), RSA_PEM.trim().as_bytes()] {
        let forger = Signer::Secret(secret.to_vec());
        let forged = forger.token(&json!({"alg": "HS256", "kid": "k"}), &claims());
        assert_eq!(issuers.verify(&forged, NOW), Err(TokenError::UnknownKey));
    }
}

#[test]
fn only_what_the_issuer_lists_is_an_algorithm() {
    let signer = &Signer::all()[3];
    for (alg, fits) in [
        ("HS256", true),
        ("none", false),
        ("None", false),
        ("", false),
        ("HS512", false),
        ("hs256", false),
    ] {
        let token = signer.token(&json!({"alg": alg, "kid": "k"}), &claims());
        let verified = issuers(issuer(signer.keys("k"))).verify(&token, NOW);
        assert_eq!(
            verified.err(),
            (!fits).then_some(TokenError::Algorithm),
            "{alg}"
        );
    }
    let listed = Issuer {
        algorithms: vec![Algorithm::Rs256],
        ..issuer(signer.keys("k"))
    };
    let refused = issuers(listed).verify(&signer.good(), NOW);
    assert_eq!(refused, Err(TokenError::Algorithm));
    // Without a signature there is nothing to check, whatever the header says.
    let good = signer.good();
    let (signed, _) = good.rsplit_once('.').unwrap();
    let verified = issuers(issuer(signer.keys("k"))).verify(&format!("{signed}."), NOW);
    assert_eq!(verified, Err(TokenError::Signature));
}

#[test]
fn every_rule_is_kept_and_named() {
    type Change = fn(&mut Issuer, &mut Value);
    let cases: [(Change, TokenError); 25] = [
        (
            |_, claims| claims["iss"] = "other".into(),
            TokenError::UnknownIssuer,
        ),
        (
            |_, claims| claims["iss"] = json!(null),
            TokenError::UnknownIssuer,
        ),
        (
            |_, claims| claims["iss"] = "HTTPS://id.example.com/".into(),
            TokenError::UnknownIssuer,
        ),
        (
            |_, claims| claims["aud"] = "other".into(),
            TokenError::Audience,
        ),
        (|_, claims| claims["aud"] = json!([]), TokenError::Audience),
        (
            |_, claims| claims["aud"] = json!(null),
            TokenError::Audience,
        ),
        (
            |_, claims| claims["exp"] = (NOW_SECONDS - 10).into(),
            TokenError::Ended,
        ),
        (
            |_, claims| claims["exp"] = "soon".into(),
            TokenError::Malformed,
        ),
        (
            |_, claims| claims["exp"] = json!(1e300),
            TokenError::Malformed,
        ),
        (|_, claims| claims["exp"] = json!(-1), TokenError::Malformed),
        (
            |_, claims| {
                claims.as_object_mut().unwrap().remove("exp");
            },
            TokenError::NoEnd,
        ),
        (
            |_, claims| claims["nbf"] = (NOW_SECONDS + 11).into(),
            TokenError::NotBegun,
        ),
        (
            |_, claims| claims["iat"] = (NOW_SECONDS + 11).into(),
            TokenError::NotBegun,
        ),
        (|_, claims| claims["sub"] = "".into(), TokenError::User),
        (
            |_, claims| claims["sub"] = "x".repeat(129).into(),
            TokenError::User,
        ),
        (|_, claims| claims["sub"] = "a\nb".into(), TokenError::User),
        (|_, claims| claims["sub"] = 7.into(), TokenError::User),
        (
            |_, claims| {
                claims.as_object_mut().unwrap().remove("sub");
            },
            TokenError::NoUser,
        ),
        (
            |_, claims| claims["floe"] = "all".into(),
            TokenError::Grants,
        ),
        (
            |_, claims| claims["floe"]["rooms"] = json!({"**": ["fly"]}),
            TokenError::Grants,
        ),
        (
            |_, claims| claims["floe"]["rooms"] = json!({"user/x": ["read"]}),
            TokenError::Grants,
        ),
        (
            |_, claims| claims["floe"]["namespace"] = "*".into(),
            TokenError::Namespace,
        ),
        (
            |_, claims| claims["floe"] = json!({}),
            TokenError::Namespace,
        ),
        (
            |issuer, _| issuer.namespace = "umbra".parse().ok(),
            TokenError::Namespace,
        ),
        (
            |_, claims| claims["floe"]["use"] = "anything".into(),
            TokenError::Purpose,
        ),
    ];
    for (at, (change, why)) in cases.into_iter().enumerate() {
        assert_eq!(verify(change), Err(why), "case {at}");
    }
    let patterns = |count: usize| {
        move |_: &mut Issuer, claims: &mut Value| {
            let rooms = (0..count).map(|at| (format!("stream/{at}"), json!(["read"])));
            claims["floe"]["rooms"] = Value::Object(rooms.collect());
        }
    };
    assert!(verify(patterns(Grants::PATTERNS_MAX)).is_ok());
    let above = verify(patterns(Grants::PATTERNS_MAX + 1));
    assert_eq!(above, Err(TokenError::TooManyPatterns));
}

#[test]
fn clocks_may_be_apart_as_far_as_the_issuer_says() {
    assert!(verify(|_, claims| claims["exp"] = (NOW_SECONDS - 9).into()).is_ok());
    assert!(verify(|_, claims| claims["nbf"] = (NOW_SECONDS + 10).into()).is_ok());
    assert!(verify(|_, claims| claims["iat"] = json!(NOW_SECONDS as f64 + 9.5)).is_ok());
}

#[test]
fn what_a_token_does_not_say_its_issuer_may() {
    let found = verify(|issuer, claims| {
        issuer.namespace = Some(acme());
        issuer.rights = Rights::READ;
        claims.as_object_mut().unwrap().remove("floe");
    });
    let caller = found.unwrap().caller;
    assert_eq!(caller.namespace, Some(acme()));
    assert_eq!(caller.grants, Grants::everywhere(Rights::READ));
    let found = verify(|issuer, claims| {
        issuer.claim = "https://floe.example.com".into();
        claims["https://floe.example.com"] = json!({"namespace": "b", "rooms": {}});
    });
    let caller = found.unwrap().caller;
    assert_eq!(caller.namespace.unwrap().as_str(), "b");
    assert_eq!(caller.grants, Grants::default());
}

#[test]
fn other_things_that_an_issuer_signs_are_no_access_tokens() {
    let signer = &Signer::all()[3];
    let issuers = issuers(issuer(signer.keys("k")));
    for (header, fits) in [
        (json!({"alg": "HS256", "typ": "JWT"}), true),
        (json!({"alg": "HS256", "typ": "at+jwt"}), true),
        (json!({"alg": "HS256", "typ": "logout+jwt"}), false),
        (
            json!({"alg": "HS256", "crit": ["b64"], "b64": false}),
            false,
        ),
    ] {
        let verified = issuers.verify(&signer.token(&header, &claims()), NOW);
        assert_eq!(
            verified.err(),
            (!fits).then_some(TokenError::Type),
            "{header}"
        );
    }
}

#[test]
fn a_new_key_is_believed_and_one_that_is_gone_is_not() {
    let [_, old, new, _] = Signer::all();
    let token = |signer: &Signer, kid: &str| {
        signer.token(&json!({"alg": signer.word(), "kid": kid}), &claims())
    };
    let (first, second) = (token(&old, "first"), token(&new, "second"));
    let mut issuers = issuers(Issuer {
        fetched: true,
        ..issuer(KeySet::default())
    });
    let not_here = Err(TokenError::KeyNotHere(ISSUER.into()));
    assert_eq!(issuers.verify(&first, NOW), not_here);
    issuers.set_keys(ISSUER, old.keys("first"));
    assert!(issuers.verify(&first, NOW).is_ok());
    assert_eq!(issuers.verify(&second, NOW), not_here);
    issuers.set_keys(ISSUER, old.keys("first").with(&new.keys("second")));
    assert!(issuers.verify(&first, NOW).is_ok() && issuers.verify(&second, NOW).is_ok());
    issuers.set_keys(ISSUER, new.keys("second"));
    assert_eq!(issuers.verify(&first, NOW), not_here);
    // The right name with the wrong key is no reason to fetch anything.
    let forged = token(&Signer::all()[2], "second");
    assert_eq!(issuers.verify(&forged, NOW), Err(TokenError::Signature));
}

#[test]
fn published_sets_are_read_for_what_is_ours() {
    let all = Signer::all();
    let mut keys: Vec<Value> = all.iter().map(|signer| signer.jwk("k")).collect();
    // The secret is passed over, and so is what is for something else or no key at all.
    let mut other = all[0].jwk("enc");
    other["use"] = "enc".into();
    let mut wrong = all[0].jwk("wrong");
    wrong["alg"] = "RS512".into();
    let small = json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"});
    keys.extend([other, wrong, small, json!(7), json!({"kty": "EC"})]);
    let set = KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
    assert_eq!(set.len(), 3);
    assert_eq!(KeySet::parse(b"{}"), Err(KeyError::Json));
    assert_eq!(KeySet::parse(br#"{"keys":[]}"#), Err(KeyError::Unusable));
    let many: Vec<Value> = (0..=KeySet::KEYS_MAX).map(|_| all[2].jwk("k")).collect();
    let many = json!({ "keys": many }).to_string();
    assert_eq!(KeySet::parse(many.as_bytes()), Err(KeyError::TooMany));
}

#[test]
fn wrong_issuers_are_refused_and_no_secret_is_printed() {
    let mut issuers = Issuers::default();
    let with = |change: fn(&mut Issuer)| {
        let mut issuer = issuer(KeySet::of_secrets([secret()]));
        change(&mut issuer);
        issuer
    };
    type Spoil = fn(&mut Issuer);
    let cases: [(Spoil, IssuerError); 5] = [
        (|issuer| issuer.issuer = "".into(), IssuerError::Name),
        (
            |issuer| issuer.issuer = "floe:acme".into(),
            IssuerError::Name,
        ),
        (|issuer| issuer.algorithms.clear(), IssuerError::Algorithms),
        (|issuer| issuer.skew_seconds = 601, IssuerError::Skew),
        (
            |issuer| issuer.keys = KeySet::default(),
            IssuerError::NoKeys,
        ),
    ];
    for (change, why) in cases {
        assert_eq!(issuers.insert(with(change)), Err(why));
    }
    assert_eq!(issuers.insert(with(|_| {})), Ok(()));
    assert_eq!(issuers.insert(with(|_| {})), Err(IssuerError::Twice));
    assert_eq!(Secret::new(None, &[7; 31]), Err(KeyError::Short));
    let printed = format!("{issuers:?} {:?}", secret());
    assert!(
        !printed.contains("7, 7") && printed.contains("one"),
        "{printed}"
    );
}

#[test]
fn tokens_of_our_own_say_what_they_were_given() {
    let namespace = acme();
    let read = (RoomPattern::parse("stream/a/**").unwrap(), Rights::READ);
    let grants = Grants::new([read]);
    let claims = Claims {
        namespace: &namespace,
        user: Some("tess"),
        grants: &grants,
        id: "t1",
        issued_at: NOW,
        ends_at: NOW.plus(5_000),
        purpose: Purpose::Share,
    };
    let token = sign(&claims, &secret());
    let mut issuers = Issuers::default();
    assert_eq!(issuers.verify(&token, NOW), Err(TokenError::UnknownIssuer));
    issuers.set_own(&namespace, Some(secret()), None);
    assert!(issuers.is_empty());
    let verified = issuers.verify(&token, NOW).unwrap();
    assert_eq!(verified.purpose, Purpose::Share);
    let caller = verified.caller;
    assert_eq!(caller.namespace, Some(namespace.clone()));
    assert_eq!(caller.user.as_deref(), Some("tess"));
    assert_eq!(caller.grants.in_room(Room::Stream(b"a/b")), Rights::READ);
    assert_eq!(caller.grants.in_room(Room::Stream(b"b")), Rights::NONE);
    let other = |id| Secret::new(Some(id), &[8; 32]).ok();
    issuers.set_own(&namespace, other("one"), None);
    assert_eq!(issuers.verify(&token, NOW), Err(TokenError::Signature));
    issuers.set_own(&namespace, other("two"), None);
    assert_eq!(issuers.verify(&token, NOW), Err(TokenError::UnknownKey));
    // The secret before is believed until its end, and so long are those who show what it signed.
    let until = NOW.plus(1_000);
    issuers.set_own(&namespace, other("two"), Some((secret(), until)));
    let verified = issuers.verify(&token, NOW).unwrap();
    assert_eq!(verified.caller.ends_at, Some(until));
    assert_eq!(issuers.verify(&token, until), Err(TokenError::UnknownKey));
    let ended = issuers.verify(&token, NOW.plus(500_000));
    assert!(ended.is_err());
    let new = sign(&claims, &other("two").unwrap());
    let verified = issuers.verify(&new, NOW).unwrap();
    assert!(verified.caller.ends_at > Some(until));
    issuers.set_own(&namespace, None, None);
    assert_eq!(issuers.verify(&new, NOW), Err(TokenError::UnknownIssuer));
}

#[test]
fn a_token_is_good_for_its_purpose_alone() {
    let signer = &Signer::all()[3];
    let access = Access {
        issuers: issuers(issuer(signer.keys("k"))),
        ..Access::default()
    };
    assert!(!access.is_open());
    for word in [None, Some("share"), Some("invite")] {
        let mut claims = claims();
        if let Some(word) = word {
            claims["floe"]["use"] = word.into();
        }
        let token = signer.token(&json!({"alg": "HS256"}), &claims);
        let bearer = format!("Bearer {token}");
        let shown = Credentials::read([("authorization", bearer.as_bytes())].into_iter());
        assert_eq!(access.recognise(&shown, NOW).is_ok(), word.is_none());
        let mut linked = Credentials::default();
        let query = format!("share={token}");
        linked.query(&query);
        assert_eq!(
            access.recognise(&linked, NOW).is_ok(),
            word == Some("share")
        );
    }
    let unknown = Credentials::read([("authorization", &b"Bearer a.b.c"[..])].into_iter());
    let found = access.recognise(&unknown, NOW);
    assert!(matches!(found, Err(Unrecognised::Denied(denied)) if denied.code.http_status() == 401));
}

#[test]
fn a_token_has_a_bound() {
    let signer = &Signer::all()[3];
    let issuers = issuers(issuer(signer.keys("k")));
    let mut claims = claims();
    claims["more"] = "x".repeat(Issuers::TOKEN_BYTES_MAX).into();
    let token = signer.token(&json!({"alg": "HS256"}), &claims);
    assert_eq!(issuers.verify(&token, NOW), Err(TokenError::TooLong));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever byte of a good token is another, it is a good one no more.
    #[test]
    fn no_byte_of_a_token_can_be_another(which in 0_usize..4, byte in any::<u8>(), at in any::<prop::sample::Index>()) {
        let signer = &Signer::all()[which];
        let issuers = issuers(issuer(signer.keys("k")));
        let good = signer.good();
        prop_assert!(issuers.verify(&good, NOW).is_ok());
        let mut bytes = good.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let Ok(text) = String::from_utf8(bytes) else { return Ok(()); };
        prop_assert_eq!(issuers.verify(&text, NOW).is_ok(), text == good);
        let cut = &good[..at];
        prop_assert!(issuers.verify(cut, NOW).is_err());
    }

    #[test]
    fn no_text_is_too_strange(text in "\\PC{0,80}", parts in "[A-Za-z0-9_.=-]{0,80}") {
        let issuers = issuers(issuer(KeySet::of_secrets([secret()])));
        prop_assert!(issuers.verify(&text, NOW).is_err());
        prop_assert!(issuers.verify(&parts, NOW).is_err());
        let header = URL_SAFE_NO_PAD.encode(&text);
        let token = format!("{header}.{header}.{parts}");
        prop_assert!(issuers.verify(&token, NOW).is_err());
    }

    #[test]
    fn no_published_set_is_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = KeySet::parse(&bytes);
        let text = String::from_utf8_lossy(&bytes);
        prop_assert!(KeySet::default().add_public(None, &text).is_err());
        let body = base64::engine::general_purpose::STANDARD.encode(&bytes);
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----");
        let _ = KeySet::default().add_public(None, &pem);
    }
}
