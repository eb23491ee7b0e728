//! What the header of an RTP packet says before anybody has proved anything (RFC 3550, RFC 8285).

/// Bytes of a header without lists.
const HEADER: usize = 12;

/// Whether a datagram is RTP, and not RTCP (RFC 5761 section 4).
pub fn is_rtp(datagram: &[u8]) -> bool {
    matches!(datagram, [first, second, ..]
        if (128..192).contains(first) && !(64..96).contains(&(second & 0x7F)))
}

/// Returns whose packet it says that it is: the SSRC.
pub fn ssrc(packet: &[u8]) -> Option<u32> {
    let bytes = packet.get(8..HEADER)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

/// Returns the extension of a header that has a number.
pub fn extension(packet: &[u8], id: u8) -> Option<&[u8]> {
    let first = *packet.first()?;
    if first & 0x10 == 0 {
        return None;
    }
    let sources = 4 * usize::from(first & 0x0F);
    let [k0, k1, l0, l1, rest @ ..] = packet.get(HEADER + sources..)? else {
        return None;
    };
    let words = usize::from(u16::from_be_bytes([*l0, *l1]));
    let mut list = rest.get(..4 * words)?;
    let is_short = match (k0, k1) {
        (0xBE, 0xDE) => true,
        (0x10, k1) if k1 & 0xF0 == 0 => false,
        _ => return None,
    };
    while let [head, more @ ..] = list {
        if *head == 0 {
            list = more;
            continue;
        }
        let (found, len, values) = match (is_short, more) {
            (true, _) if head >> 4 == 15 => return None,
            (true, _) => (head >> 4, usize::from(head & 0x0F) + 1, more),
            (false, [len, values @ ..]) => (*head, usize::from(*len), values),
            (false, []) => return None,
        };
        let value = values.get(..len)?;
        if found == id {
            return Some(value);
        }
        list = values.get(len..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(profile: [u8; 2], list: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x91, 111, 0, 1, 0, 0, 0, 2, 0xDE, 0xAD, 0xBE, 0xEF];
        packet.extend([0, 0, 0, 9]);
        packet.extend(profile);
        packet.extend([0, u8::try_from(list.len() / 4).unwrap()]);
        packet.extend(list);
        packet.extend(b"payload");
        packet
    }

    #[test]
    fn extensions_are_found_in_both_forms() {
        let short = packet([0xBE, 0xDE], &[0x10, 7, 0, 0x41, b'm', b'1', 0, 0]);
        assert!(is_rtp(&short));
        assert_eq!(ssrc(&short), Some(0xDEAD_BEEF));
        assert_eq!(extension(&short, 4), Some(&b"m1"[..]));
        assert_eq!(extension(&short, 5), None);
        let long = packet([0x10, 0], &[1, 0, 4, 3, b'm', b'i', b'd', 0]);
        assert_eq!(extension(&long, 4), Some(&b"mid"[..]));
        assert_eq!(extension(&long, 1), Some(&b""[..]));
    }

    #[test]
    fn reports_are_no_packets() {
        assert!(!is_rtp(&[0x80, 200, 0, 1]));
        assert!(!is_rtp(&[0x80]));
        assert!(!is_rtp(&[20, 111]));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80), id in any::<u8>()) {
            let _ = (is_rtp(&bytes), ssrc(&bytes), extension(&bytes, id));
            let padded = &bytes[..bytes.len() / 4 * 4];
            let _ = extension(&packet([0xBE, 0xDE], padded), id);
            let _ = extension(&packet([0x10, 3], padded), id);
        }
    }
}
