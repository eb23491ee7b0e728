use proptest::prelude::*;

use super::*;

const MAX: u32 = 1 << 20;
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// An item that owns what it carries.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Owned {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

impl From<Item<'_>> for Owned {
    fn from(item: Item<'_>) -> Self {
        match item {
            Item::Text(text) => Self::Text(text.into()),
            Item::Binary(bytes) => Self::Binary(bytes.into()),
            Item::Ping(bytes) => Self::Ping(bytes.into()),
            Item::Pong(bytes) => Self::Pong(bytes.into()),
            Item::Close(close) => Self::Close(close.map(|(code, reason)| (code, reason.into()))),
        }
    }
}

/// Hands all pieces to the decoder, as a host does, and returns what it said.
fn feed<'a>(
    decoder: &mut Decoder,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> (Vec<Owned>, Option<WsError>) {
    let mut items = Vec::new();
    for piece in pieces {
        let mut bytes = piece.to_vec();
        let mut at = 0;
        loop {
            match decoder.next(&mut bytes[at..]) {
                Ok(step) => {
                    at += step.used;
                    match step.item {
                        Some(item) => items.push(item.into()),
                        None => break,
                    }
                }
                Err(error) => return (items, Some(error)),
            }
        }
        assert_eq!(at, bytes.len(), "all input is taken");
    }
    (items, None)
}

fn whole(bytes: &[u8]) -> (Vec<Owned>, Option<WsError>) {
    feed(&mut Decoder::new(Role::Server, MAX), [bytes].into_iter())
}

fn bytewise(bytes: &[u8]) -> (Vec<Owned>, Option<WsError>) {
    feed(&mut Decoder::new(Role::Server, MAX), bytes.chunks(1))
}

/// A masked frame with a free choice of its first byte.
fn raw(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    write_masked(&mut frame, Opcode::Binary, payload, KEY);
    frame[0] = first;
    frame
}

/// Frames, what they mean.
fn conversation() -> impl Strategy<Value = (Vec<u8>, Vec<Owned>)> {
    let control = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..=CONTROL_BYTES_MAX)
            .prop_map(|bytes| (raw(0x89, &bytes), Owned::Ping(bytes))),
        proptest::collection::vec(any::<u8>(), 0..=CONTROL_BYTES_MAX)
            .prop_map(|bytes| (raw(0x8a, &bytes), Owned::Pong(bytes))),
    ];
    let content = prop_oneof![
        ".{0,60}".prop_map(Owned::Text),
        proptest::collection::vec(any::<u8>(), 0..300).prop_map(Owned::Binary),
    ];
    let message = (
        content,
        proptest::collection::vec((any::<prop::sample::Index>(), control), 0..4),
    );
    proptest::collection::vec(message, 0..5).prop_map(|messages| {
        let mut bytes = Vec::new();
        let mut items = Vec::new();
        for (message, cuts) in messages {
            let (opcode, payload) = match &message {
                Owned::Text(text) => (1, text.as_bytes().to_vec()),
                Owned::Binary(bytes) => (2, bytes.clone()),
                Owned::Ping(_) | Owned::Pong(_) | Owned::Close(_) => panic!("no message"),
            };
            let mut at = 0;
            let mut first = opcode;
            for (cut, (frame, item)) in cuts {
                let to = at + cut.index(payload.len() - at + 1);
                bytes.extend(raw(first, &payload[at..to]));
                bytes.extend(frame);
                items.push(item);
                first = 0;
                at = to;
            }
            bytes.extend(raw(0x80 | first, &payload[at..]));
            items.push(message);
        }
        (bytes, items)
    })
}

proptest! {
    #[test]
    fn any_split_of_the_bytes_gives_the_same_items(
        (bytes, items) in conversation(),
        sizes in proptest::collection::vec(1..40_usize, 1..20),
    ) {
        prop_assert_eq!(&whole(&bytes), &(items.clone(), None));
        prop_assert_eq!(&bytewise(&bytes), &(items.clone(), None));
        let mut rest = &bytes[..];
        let pieces = sizes.iter().cycle().map_while(|size| {
            let (piece, after) = rest.split_at(rest.len().min(*size));
            rest = after;
            (!piece.is_empty()).then_some(piece)
        });
        let mut decoder = Decoder::new(Role::Server, MAX);
        prop_assert_eq!(feed(&mut decoder, pieces), (items, None));
        prop_assert!(decoder.is_idle());
        let _ = decoder.next(&mut []);
        prop_assert_eq!(decoder.memory(), 0);
    }

    #[test]
    fn hostile_bytes_never_panic_and_splits_never_matter(
        bytes in proptest::collection::vec(
            prop_oneof![any::<u8>(), Just(0x81), Just(0x80), Just(0x01), Just(0x89), Just(0xff)],
            0..200,
        ),
    ) {
        let (items, error) = whole(&bytes);
        let (bytewise_items, bytewise_error) = bytewise(&bytes);
        prop_assert_eq!(items, bytewise_items);
        // An invalid text is refused at its first wrong byte, a whole frame at once: what is
        // wrong is the same unless a part of the frame is missing.
        if error.is_some() {
            prop_assert_eq!(error, bytewise_error);
        }
    }

    #[test]
    fn what_one_side_writes_the_other_reads(text in ".{0,300}", key: [u8; 4]) {
        let mut bytes = Vec::new();
        write_masked(&mut bytes, Opcode::Text, text.as_bytes(), key);
        prop_assert_eq!(whole(&bytes), (vec![Owned::Text(text.clone())], None));
        bytes.clear();
        write_frame(&mut bytes, Opcode::Text, text.as_bytes());
        let mut client = Decoder::new(Role::Client, MAX);
        prop_assert_eq!(
            feed(&mut client, [&bytes[..]].into_iter()),
            (vec![Owned::Text(text)], None)
        );
    }
}

fn refused(bytes: &[u8]) -> Option<u16> {
    let (_, error) = whole(bytes);
    let (_, bytewise_error) = bytewise(bytes);
    assert_eq!(error, bytewise_error);
    error.map(WsError::close_code)
}

#[test]
fn what_the_standard_forbids_is_refused() {
    let mut unmasked = Vec::new();
    write_frame(&mut unmasked, Opcode::Text, b"hi");
    assert_eq!(refused(&unmasked), Some(1002));
    for first in [0xc1, 0xa1, 0x91, 0x83, 0x87, 0x8b, 0x8f, 0x09, 0x08, 0x80] {
        assert_eq!(refused(&raw(first, b"hi")), Some(1002), "{first:#x}");
    }
    // A ping of 126 bytes, and a message within another one.
    assert_eq!(refused(&raw(0x89, &[0; 126])), Some(1002));
    let nested = [raw(0x01, b"a"), raw(0x81, b"b")].concat();
    assert_eq!(refused(&nested), Some(1002));
    let top_bit = [&[0x82, 0xff, 0x80][..], &[0; 7], &KEY].concat();
    assert_eq!(refused(&top_bit), Some(1002));
    // A server's frame is never masked.
    let mut client = Decoder::new(Role::Client, MAX);
    let masked = raw(0x81, b"hi");
    let (_, error) = feed(&mut client, [&masked[..]].into_iter());
    assert_eq!(error.map(WsError::close_code), Some(1002));
}

#[test]
fn a_message_is_bounded_before_it_is_here() {
    let too_large = WsError::TooLarge {
        message_bytes_max: 10,
    };
    let bounded = || Decoder::new(Role::Server, 10);
    let fits = raw(0x82, &[1; 10]);
    assert_eq!(
        feed(&mut bounded(), fits.chunks(3)).0,
        [Owned::Binary(vec![1; 10])]
    );
    let head = &raw(0x82, &[1; 11])[..6];
    assert_eq!(feed(&mut bounded(), head.chunks(1)).1, Some(too_large));
    let fragments = [raw(0x02, &[1; 6]), raw(0x00, &[1; 4]), raw(0x80, &[1])].concat();
    assert_eq!(feed(&mut bounded(), fragments.chunks(2)).1, Some(too_large));
    // Control frames have a bound of their own.
    let ping = raw(0x89, &[1; 125]);
    assert_eq!(
        feed(&mut bounded(), ping.chunks(7)).0,
        [Owned::Ping(vec![1; 125])]
    );
    assert_eq!(too_large.close_code(), 1009);
}

#[test]
fn wrong_text_is_refused_at_its_first_wrong_byte() {
    // A surrogate in the middle of a frame of which more is to come.
    let frame = raw(0x81, b"ok \xed\xa0\x80 and more");
    let (_, error) = feed(
        &mut Decoder::new(Role::Server, MAX),
        frame[..6 + 5].chunks(1),
    );
    assert_eq!(error, Some(WsError::NotUtf8));
    // Cut within a character, which is fine between two frames and wrong at the end.
    let fine = [raw(0x01, b"\xf0\x9f"), raw(0x80, b"\x98\x80")].concat();
    assert_eq!(whole(&fine).0, [Owned::Text("😀".into())]);
    let short = [raw(0x01, b"\xf0\x9f"), raw(0x80, b"\x98")].concat();
    assert_eq!(refused(&short), Some(1007));
    assert_eq!(refused(&raw(0x81, b"\xff")), Some(1007));
    // Beyond the last character there is.
    assert_eq!(refused(&raw(0x01, b"\xf4\x90")), Some(1007));
}

#[test]
fn a_close_frame_is_the_last_one() {
    let close = |payload: &[u8]| whole(&[raw(0x88, payload), raw(0x89, b"late")].concat());
    assert_eq!(close(b""), (vec![Owned::Close(None)], None));
    assert_eq!(
        close(b"\x03\xe8bye"),
        (vec![Owned::Close(Some((1000, "bye".into())))], None)
    );
    assert_eq!(close(b"\x03").1.map(WsError::close_code), Some(1002));
    assert_eq!(
        close(b"\x03\xe8\xff").1.map(WsError::close_code),
        Some(1007)
    );
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
        let bytes = u16::to_be_bytes(code);
        assert_eq!(
            refused(&raw(0x88, &bytes)),
            Some(1002),
            "{code} may not be sent"
        );
    }
    for code in [1000, 1003, 1007, 1011, 1014, 3000, 4999] {
        assert_eq!(refused(&raw(0x88, &u16::to_be_bytes(code))), None, "{code}");
    }
}

#[test]
fn an_idle_decoder_is_small_and_owns_nothing() {
    assert!(size_of::<Decoder>() <= 56, "{}", size_of::<Decoder>());
    let mut decoder = Decoder::new(Role::Server, MAX);
    let frame = raw(0x81, b"whole");
    feed(&mut decoder, [&frame[..]].into_iter());
    assert!(decoder.is_idle());
    assert_eq!(decoder.memory(), 0);
    feed(&mut decoder, [&frame[..9]].into_iter());
    assert!(!decoder.is_idle() && decoder.memory() > 0);
}
