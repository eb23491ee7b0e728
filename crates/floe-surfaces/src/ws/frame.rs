//! Frames as they are written, and what both directions know of them.

use super::mask::apply_mask;

/// Bytes that the payload of a control frame may have.
pub const CONTROL_BYTES_MAX: usize = 125;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// A text message; its payload is UTF-8.
    Text = 1,
    /// A binary message.
    Binary = 2,
    /// The last frame of this direction.
    Close = 8,
    /// A question whether the peer is there.
    Ping = 9,
    /// The answer to a ping.
    Pong = 10,
}

pub(super) const FIN: u8 = 0x80;
pub(super) const MASKED: u8 = 0x80;
pub(super) const LEN_16: u8 = 126;
pub(super) const LEN_64: u8 = 127;

/// Appends a message or control frame in one unmasked frame, as a server sends it.
///
/// The same bytes serve every reader. A control frame's payload has at most
/// [`CONTROL_BYTES_MAX`] bytes.
pub fn write_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    out.reserve(HEAD_BYTES_MAX + payload.len());
    write_head(out, opcode, payload.len(), 0);
    out.extend_from_slice(payload);
}

/// Appends a frame masked with `key`, as a client sends it. The key is drawn anew for each frame.
pub fn write_masked(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], key: [u8; 4]) {
    out.reserve(HEAD_BYTES_MAX + key.len() + payload.len());
    write_head(out, opcode, payload.len(), MASKED);
    out.extend_from_slice(&key);
    let start = out.len();
    out.extend_from_slice(payload);
    apply_mask(&mut out[start..], key, 0);
}

/// Appends an unmasked close frame; a reason that does not fit is cut between two characters.
pub fn write_close(out: &mut Vec<u8>, code: u16, reason: &str) {
    let mut len = reason.len().min(CONTROL_BYTES_MAX - 2);
    while !reason.is_char_boundary(len) {
        len -= 1;
    }
    write_head(out, Opcode::Close, 2 + len, 0);
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(&reason.as_bytes()[..len]);
}

/// Begins an unmasked frame whose payload is appended next; [`end_frame`] wants what this returns.
pub fn begin_frame(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD_RESERVED]);
    start
}

/// Ends the frame that began at `start`: writes its head in front of what was appended since.
pub fn end_frame(out: &mut Vec<u8>, start: usize, opcode: Opcode) {
    let len = out.len() - start - HEAD_RESERVED;
    let mut head = [0; HEAD_BYTES_MAX];
    let head_len = encode_head(&mut head, opcode, len, 0);
    out.splice(
        start..start + HEAD_RESERVED,
        head[..head_len].iter().copied(),
    );
}

/// Bytes of the longest head without a key.
const HEAD_BYTES_MAX: usize = 10;
/// Bytes set aside for a head before the length is known: right for 126 to 65 535 bytes of
/// payload, so that what must be moved is either little or worth it.
const HEAD_RESERVED: usize = 4;

fn write_head(out: &mut Vec<u8>, opcode: Opcode, len: usize, masked: u8) {
    let mut head = [0; HEAD_BYTES_MAX];
    let head_len = encode_head(&mut head, opcode, len, masked);
    out.extend_from_slice(&head[..head_len]);
}

/// Writes the head of an unmasked frame whose first byte is at hand.
pub(super) fn write_first_and_length(out: &mut Vec<u8>, first: u8, len: usize) {
    let start = out.len();
    write_head(out, Opcode::Binary, len, 0);
    out[start] = first;
}

/// Writes the head up to the key and returns its length.
fn encode_head(head: &mut [u8; HEAD_BYTES_MAX], opcode: Opcode, len: usize, masked: u8) -> usize {
    head[0] = FIN | opcode as u8;
    if len <= CONTROL_BYTES_MAX {
        head[1] = masked | len as u8;
        2
    } else if let Ok(len) = u16::try_from(len) {
        head[1] = masked | LEN_16;
        head[2..4].copy_from_slice(&len.to_be_bytes());
        4
    } else {
        head[1] = masked | LEN_64;
        head[2..10].copy_from_slice(&(len as u64).to_be_bytes());
        10
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_the_bytes_of_the_standard() {
        let mut out = Vec::new();
        write_frame(&mut out, Opcode::Text, b"Hello");
        assert_eq!(out, [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
        out.clear();
        write_masked(&mut out, Opcode::Text, b"Hello", [0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(
            out,
            [
                0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58
            ]
        );
        out.clear();
        write_frame(&mut out, Opcode::Binary, &[7; 256]);
        assert_eq!(out[..4], [0x82, 0x7e, 0x01, 0x00]);
        out.clear();
        write_frame(&mut out, Opcode::Binary, &[7; 65_536]);
        assert_eq!(out[..10], [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(out.len(), 10 + 65_536);
    }

    #[test]
    fn a_frame_of_unknown_length_is_the_frame_of_that_length() {
        for len in [0, 1, 125, 126, 65_535, 65_536, 100_000] {
            let payload = vec![b'x'; len];
            let mut expected = b"before".to_vec();
            write_frame(&mut expected, Opcode::Text, &payload);
            let mut out = b"before".to_vec();
            let start = begin_frame(&mut out);
            out.extend_from_slice(&payload);
            end_frame(&mut out, start, Opcode::Text);
            assert!(out == expected, "{len}");
        }
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let mut out = Vec::new();
        write_close(&mut out, 4027, &"ä".repeat(100));
        assert_eq!(out[..4], [0x88, 124, 0x0f, 0xbb]);
        assert_eq!(std::str::from_utf8(&out[4..]), Ok(&*"ä".repeat(61)));
    }
}
