//! The PROXY protocol, versions 1 and 2, from the side that receives it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a connection of the PROXY protocol begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Bytes of the header; what follows is the client's.
    pub len: usize,
    /// The client; `None` where the proxy speaks for itself, or of what has no IP address.
    pub client: Option<IpAddr>,
}

/// Bytes of the longest header that is taken.
pub(crate) const HEADER_BYTES_MAX: usize = V2_HEAD_LEN + V2_BODY_BYTES_MAX;

/// The bytes are no header of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Reads a header from the start of `bytes`; `None` while it is not complete.
///
/// What is said of some bytes holds for all that begin with them.
pub(crate) fn read_header(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let begins = |start: &[u8]| bytes.starts_with(start) || start.starts_with(bytes);
    if begins(V2_START) {
        read_v2(bytes)
    } else if begins(V1_START) {
        read_v1(bytes)
    } else {
        Err(Malformed)
    }
}

const V1_START: &[u8] = b"PROXY ";
/// Bytes of the longest header of version 1, its line's end included.
const V1_BYTES_MAX: usize = 107;
const V2_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_HEAD_LEN: usize = 16;
/// Bytes of addresses and further fields that are taken; they are passed over but for the client.
const V2_BODY_BYTES_MAX: usize = 4 << 10;

fn read_v1(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let line = &bytes[..bytes.len().min(V1_BYTES_MAX)];
    let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else {
        return if line.len() < V1_BYTES_MAX {
            Ok(None)
        } else {
            Err(Malformed)
        };
    };
    let text = line.get(V1_START.len()..end).ok_or(Malformed)?;
    let text = std::str::from_utf8(text).map_err(|_| Malformed)?;
    let mut words = text.split(' ');
    let family = words.next().unwrap_or_default();
    let len = end + 2;
    if family == "UNKNOWN" {
        return Ok(Some(Header { len, client: None }));
    }
    let mut address = || -> Result<IpAddr, Malformed> {
        let word = words.next().ok_or(Malformed)?;
        match family {
            "TCP4" => Ok(IpAddr::V4(word.parse().map_err(|_| Malformed)?)),
            "TCP6" => Ok(IpAddr::V6(word.parse().map_err(|_| Malformed)?)),
            _ => Err(Malformed),
        }
    };
    let client = address()?;
    address()?;
    for _ in 0..2 {
        let port = words.next().ok_or(Malformed)?;
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        port.parse::<u16>()
            .ok()
            .filter(|_| digits)
            .ok_or(Malformed)?;
    }
    if words.next().is_some() {
        return Err(Malformed);
    }
    let client = Some(client.to_canonical());
    Ok(Some(Header { len, client }))
}

fn read_v2(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    // Each byte is judged as soon as it is there.
    let Some(&command) = bytes.get(12) else {
        return Ok(None);
    };
    let speaks_for_itself = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err(Malformed),
    };
    let Some(&family) = bytes.get(13) else {
        return Ok(None);
    };
    if family >> 4 > 3 || family & 0xf > 2 {
        return Err(Malformed);
    }
    let Some(&[high, low]) = bytes.get(14..V2_HEAD_LEN) else {
        return Ok(None);
    };
    let body_len = usize::from(u16::from_be_bytes([high, low]));
    let addresses_len = match family {
        0x11 => 12,
        0x21 => 36,
        _ => 0,
    };
    if body_len > V2_BODY_BYTES_MAX || (!speaks_for_itself && body_len < addresses_len) {
        return Err(Malformed);
    }
    let len = V2_HEAD_LEN + body_len;
    let Some(body) = bytes.get(V2_HEAD_LEN..len) else {
        return Ok(None);
    };
    let client = match family {
        _ if speaks_for_itself => None,
        0x11 => body
            .first_chunk()
            .map(|ip: &[u8; 4]| IpAddr::V4(Ipv4Addr::from(*ip))),
        0x21 => body
            .first_chunk()
            .map(|ip: &[u8; 16]| IpAddr::V6(Ipv6Addr::from(*ip))),
        _ => None,
    };
    let client = client.map(|ip| ip.to_canonical());
    Ok(Some(Header { len, client }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> (usize, Option<String>) {
        let header = read_header(bytes).unwrap().unwrap();
        (header.len, header.client.map(|ip| ip.to_string()))
    }

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let len = (body.len() as u16).to_be_bytes();
        [V2_START, &[command, family], &len, body].concat()
    }

    fn tcp4() -> Vec<u8> {
        // Source, destination, ports, and a field that is passed over.
        v2(
            0x21,
            0x11,
            &[192, 0, 2, 1, 10, 0, 0, 1, 1, 2, 3, 4, 0x04, 0, 1, 7],
        )
    }

    fn tcp6() -> Vec<u8> {
        let source: Ipv6Addr = "2001:db8::1".parse().unwrap();
        v2(0x21, 0x21, &[&source.octets()[..], &[0; 20]].concat())
    }

    #[test]
    fn version_1_names_the_client() {
        let line = b"PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\nGET / HTTP/1.1\r\n";
        assert_eq!(read(line), (41, Some("192.0.2.1".into())));
        let line = b"PROXY TCP6 2001:db8::1 fd00::1 1 65535\r\n";
        assert_eq!(read(line), (40, Some("2001:db8::1".into())));
        let line = b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n";
        assert_eq!(read(line), (37, Some("192.0.2.1".into())));
        assert_eq!(read(b"PROXY UNKNOWN\r\n"), (15, None));
        assert_eq!(read(b"PROXY UNKNOWN ffff:: ::1 1 2\r\nrest"), (30, None));
    }

    #[test]
    fn version_2_names_the_client() {
        assert_eq!(read(&tcp4()), (32, Some("192.0.2.1".into())));
        assert_eq!(read(&tcp6()), (52, Some("2001:db8::1".into())));
    }

    #[test]
    fn without_a_client_in_version_2_the_proxy_is_who_it_is() {
        // LOCAL, UNSPEC, a Unix socket, UDP, with whatever they bring.
        assert_eq!(read(&v2(0x20, 0x00, b"")), (16, None));
        assert_eq!(read(&v2(0x20, 0x11, b"abc")), (19, None));
        assert_eq!(read(&v2(0x21, 0x00, b"abc")), (19, None));
        assert_eq!(read(&v2(0x21, 0x31, &[0; 216])), (232, None));
        assert_eq!(read(&v2(0x21, 0x12, &[0; 12])), (28, None));
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let line = |rest: &str| format!("PROXY {rest}").into_bytes();
        let mut long = v2(0x21, 0x11, &[0; V2_BODY_BYTES_MAX + 1]);
        let malformed = [
            b"GET / HTTP/1.1\r\n".to_vec(),
            line("TCP4 192.0.2.1 10.0.0.1 56324\r\n"),
            line("TCP4 192.0.2.1 10.0.0.1 56324 443 \r\n"),
            line("TCP4  192.0.2.1 10.0.0.1 56324 443\r\n"),
            line("TCP4 ::1 ::1 1 2\r\n"),
            line("TCP4 192.0.2.1 10.0.0.1 1 65536\r\n"),
            line("TCP4 192.0.2.1 10.0.0.1 +1 2\r\n"),
            line("TCP5 192.0.2.1 10.0.0.1 1 2\r\n"),
            line("\r\n"),
            line(&"x".repeat(V1_BYTES_MAX)),
            v2(0x11, 0x11, &[0; 12]),
            v2(0x22, 0x11, &[0; 12]),
            v2(0x21, 0x13, &[0; 12]),
            v2(0x21, 0x41, &[0; 12]),
            v2(0x21, 0x11, &[0; 11]),
            v2(0x21, 0x21, &[0; 35]),
            std::mem::take(&mut long),
        ];
        for bytes in malformed {
            assert_eq!(read_header(&bytes), Err(Malformed), "{bytes:?}");
        }
    }

    /// Bytes that come close to a header, so that all of the reader is reached.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let starts = prop_oneof![
            Just(b"PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\nGET".to_vec()),
            Just(b"PROXY UNKNOWN x\r\n".to_vec()),
            Just(tcp4()),
            Just(tcp6()),
            Just(Vec::new()),
        ];
        let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
        let more = proptest::collection::vec(any::<u8>(), 0..200);
        (starts, changes, more).prop_map(|(mut bytes, changes, more)| {
            for (at, byte) in changes {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
            }
            bytes.extend(more);
            bytes
        })
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same(bytes in bytes()) {
            let whole = read_header(&bytes);
            for len in 0..=bytes.len() {
                let part = read_header(&bytes[..len]);
                if part != Ok(None) {
                    prop_assert_eq!(part, whole);
                }
                if let Ok(Some(header)) = part {
                    prop_assert!(header.len <= len && header.len <= HEADER_BYTES_MAX);
                }
            }
        }
    }
}
