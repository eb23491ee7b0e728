use proptest::prelude::*;

use super::*;

const SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const CHANNEL: ChannelId = ChannelId([0xab, 1, 0x23, 0x45, 0x67, 0x89]);
/// Hour 20 000 of tokens.
const END: Millis = Millis(1_776_067_200_000);
const BEFORE: Millis = Millis(END.0 - 1);

/// Computed by another program, with the HMAC of Python's standard library.
const GOLDEN: &str = "BKsBI0VniQsDYW5uAE4gNL7iPmsNdBRAKcK2";
const GOLDEN_LONGEST: &str =
    "BKsBI0VniR8gZ3LDvMOfZS14eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHj____7hWGdifqe5WZ7YwI";

fn token(author: &str, end: Millis) -> Result<ChannelToken, NewTokenError> {
    let rights = Rights::READ.with(Rights::APPEND).with(Rights::DELETE_OWN);
    ChannelToken::new(CHANNEL, rights, author, end)
}

#[test]
fn the_bytes_are_those_that_another_program_makes() {
    let short = token("ann", END).unwrap();
    assert_eq!(short.sign(SECRET), GOLDEN);
    assert_eq!(ChannelToken::verify(GOLDEN, SECRET, BEFORE), Ok(short));

    let author = format!("grüße-{}", "x".repeat(24));
    let last = Millis(TOKEN_EPOCH.0 + u64::from(HOUR_MAX) * HOUR_MS);
    let longest = ChannelToken::new(CHANNEL, Rights::TOKEN, &author, last).unwrap();
    assert_eq!(longest.sign(SECRET), GOLDEN_LONGEST);
    assert_eq!(
        ChannelToken::verify(GOLDEN_LONGEST, SECRET, BEFORE),
        Ok(longest)
    );
}

#[test]
fn a_token_lives_exactly_until_the_moment_it_reports() {
    for (asked, reported) in [
        (END.0, END.0),
        (END.0 - 1, END.0),
        (END.0 - HOUR_MS + 1, END.0),
        (END.0 - HOUR_MS, END.0 - HOUR_MS),
    ] {
        let token = token("ann", Millis(asked)).unwrap();
        assert_eq!(token.expires_at(), Millis(reported));
        let text = token.sign(SECRET);
        let at = |ms| ChannelToken::verify(&text, SECRET, Millis(ms));
        assert_eq!(at(reported - 1), Ok(token));
        assert_eq!(at(reported), Err(TokenError::Expired));
    }
}

#[test]
fn another_secret_opens_nothing() {
    for secret in ["", "0", &SECRET[1..], &SECRET.to_uppercase()] {
        assert_eq!(
            ChannelToken::verify(GOLDEN, secret, BEFORE),
            Err(TokenError::Signature)
        );
    }
}

#[test]
fn no_changed_or_cut_byte_is_taken() {
    let bytes = URL_SAFE_NO_PAD.decode(GOLDEN).unwrap();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            let text = URL_SAFE_NO_PAD.encode(changed);
            let verified = ChannelToken::verify(&text, SECRET, BEFORE);
            assert_eq!(verified, Err(TokenError::Signature), "{at}.{bit}");
        }
        let cut = URL_SAFE_NO_PAD.encode(&bytes[..at]);
        assert!(ChannelToken::verify(&cut, SECRET, BEFORE).is_err(), "{at}");
    }
    for text in [
        format!("{GOLDEN}="),
        format!("{GOLDEN}AAAA"),
        format!(" {GOLDEN}"),
        GOLDEN.repeat(50),
    ] {
        assert!(
            ChannelToken::verify(&text, SECRET, BEFORE).is_err(),
            "{text}"
        );
    }
}

#[test]
fn signed_nonsense_is_malformed() {
    for (what, text) in [
        ("version 3", "A6sBI0VniQsDYW5uAE4gr4TRxC4UXj2WhQyT"),
        ("bit 32", "BKsBI0VniSADYW5uAE4gJqgFskC9UaiOfyc9"),
        ("no author", "BKsBI0VniQEAAE4gKsn2LtrxuF2jVOTe"),
    ] {
        assert_eq!(
            ChannelToken::verify(text, SECRET, BEFORE),
            Err(TokenError::Malformed),
            "{what}"
        );
        assert_eq!(ChannelToken::peek(text), None, "{what}");
    }
}

#[test]
fn the_channel_is_read_before_the_secret_is_known() {
    assert_eq!(ChannelToken::peek(GOLDEN), Some(CHANNEL));
    assert_eq!(ChannelToken::peek(GOLDEN_LONGEST), Some(CHANNEL));
    assert_eq!(ChannelToken::peek(""), None);
}

#[test]
fn what_no_token_can_hold_is_refused() {
    assert_eq!(token("", END), Err(NewTokenError::Author));
    assert_eq!(token(&"ü".repeat(17), END), Err(NewTokenError::Author));
    assert!(token(&"ü".repeat(16), END).is_ok());
    let last = Millis(TOKEN_EPOCH.0 + u64::from(HOUR_MAX) * HOUR_MS);
    assert!(token("a", last).is_ok());
    assert_eq!(token("a", last.plus(1)), Err(NewTokenError::TooLate));
    assert_eq!(token("a", Millis(u64::MAX)), Err(NewTokenError::TooLate));
    assert_eq!(token("a", Millis(0)).unwrap().expires_at(), TOKEN_EPOCH);
}

proptest! {
    #[test]
    fn tokens_round_trip(
        channel: [u8; 6],
        bits in 0..32_u8,
        author in ".{1,32}",
        end in 0..60_000_000_000_000_u64,
        secret in ".{0,100}",
    ) {
        let Some(rights) = Rights::from_token_bits(bits) else { unreachable!() };
        let token = ChannelToken::new(ChannelId(channel), rights, &author, Millis(end));
        prop_assume!(author.len() <= ChannelToken::AUTHOR_BYTES_MAX);
        let token = token.unwrap();
        prop_assert!(token.expires_at() >= Millis(end).max(TOKEN_EPOCH));
        prop_assert!(token.expires_at().0 < end.max(TOKEN_EPOCH.0) + HOUR_MS);
        let text = token.sign(&secret);
        prop_assert_eq!(ChannelToken::peek(&text), Some(ChannelId(channel)));
        prop_assert_eq!(ChannelToken::verify(&text, &secret, Millis(0)), Ok(token));
    }

    #[test]
    fn hostile_text_never_panics(text in ".{0,120}", bytes: Vec<u8>) {
        let _ = ChannelToken::verify(&text, SECRET, BEFORE);
        let _ = ChannelToken::peek(&text);
        let _ = ChannelToken::peek(&URL_SAFE_NO_PAD.encode(bytes));
    }
}
