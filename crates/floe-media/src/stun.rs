//! Whom a STUN message is for (RFC 8489).

/// Bytes of the header.
const HEADER: usize = 20;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
const USERNAME: u16 = 0x0006;

/// Whether a datagram is STUN (RFC 7983 section 7).
pub fn is_stun(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| *first < 4)
}

/// Returns the server's part of the user name of a STUN message: its ufrag.
///
/// Nothing is proved by it; it only says whose secret to check the message with.
pub fn local_ufrag(message: &[u8]) -> Option<&str> {
    if message.get(4..8)? != COOKIE {
        return None;
    }
    let said = usize::from(u16::from_be_bytes([*message.get(2)?, *message.get(3)?]));
    let mut rest = message.get(HEADER..)?;
    if said != rest.len() {
        return None;
    }
    while let [k0, k1, l0, l1, more @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([*l0, *l1]));
        let value = more.get(..len)?;
        if u16::from_be_bytes([*k0, *k1]) == USERNAME {
            let name = std::str::from_utf8(value).ok()?;
            return name.split_once(':').map(|(local, _)| local);
        }
        rest = more.get(len.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (kind, value) in attributes {
            body.extend(kind.to_be_bytes());
            body.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
            body.extend(*value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let mut message = vec![0, 1];
        message.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        message.extend(COOKIE);
        message.extend([7; 12]);
        message.extend(body);
        message
    }

    #[test]
    fn the_servers_part_of_a_user_name_is_found_after_other_attributes() {
        let message = message(&[
            (0x0024, &[1, 2, 3, 4]),
            (0x8022, b"abc"),
            (USERNAME, b"srv:cli"),
        ]);
        assert!(is_stun(&message));
        assert_eq!(local_ufrag(&message), Some("srv"));
    }

    #[test]
    fn what_names_nobody_is_for_nobody() {
        assert_eq!(local_ufrag(&message(&[])), None);
        assert_eq!(local_ufrag(&message(&[(USERNAME, b"alone")])), None);
        assert_eq!(local_ufrag(&message(&[(USERNAME, &[0xFF, b':'])])), None);
        let mut longer = message(&[(USERNAME, b"srv:cli")]);
        longer.push(0);
        assert_eq!(local_ufrag(&longer), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = local_ufrag(&bytes);
            let mut message = message(&[]);
            message.extend(&bytes);
            let len = u16::try_from(bytes.len()).unwrap().to_be_bytes();
            message[2..4].copy_from_slice(&len);
            let _ = local_ufrag(&message);
        }
    }
}
