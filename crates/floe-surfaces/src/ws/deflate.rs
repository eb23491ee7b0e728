//! Compressed messages (permessage-deflate, RFC 7692).
//!
//! Every message is compressed by itself: both sides agree to remember nothing of the one before,
//! so that an idle connection holds no window, and a message that goes to many is compressed once.

use std::fmt;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::decoder::WsError;
use super::frame::{LEN_16, LEN_64, write_first_and_length};

/// What was agreed on with a client that wants compressed messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deflate {
    /// How far back, as a power of two, the client can look in what we send.
    window_bits: u8,
    /// Whether the client named a window, so that the answer has to.
    named: bool,
}

/// Largest window of the format, in bits.
const WINDOW_BITS_MAX: u8 = 15;

impl Deflate {
    /// Reads one element of `Sec-WebSocket-Extensions`; `None` when it is another extension, or
    /// asks for what is not known here.
    pub(super) fn read(offer: &[u8]) -> Option<Self> {
        let offer = str::from_utf8(offer).ok()?;
        let mut parts = offer.split(';').map(str::trim);
        if !parts.next()?.eq_ignore_ascii_case("permessage-deflate") {
            return None;
        }
        let mut seen = [false; 4];
        let mut agreed = Self {
            window_bits: WINDOW_BITS_MAX,
            named: false,
        };
        for part in parts {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name.trim_end(), Some(value.trim_start())),
                None => (part, None),
            };
            let at = match (name, value) {
                ("server_no_context_takeover", None) => 0,
                ("client_no_context_takeover", None) => 1,
                ("server_max_window_bits", Some(value)) => {
                    agreed.window_bits = window_bits(value)?;
                    agreed.named = true;
                    2
                }
                ("client_max_window_bits", None) => 3,
                ("client_max_window_bits", Some(value)) => {
                    window_bits(value)?;
                    3
                }
                _ => return None,
            };
            if std::mem::replace(&mut seen[at], true) {
                return None;
            }
        }
        Some(agreed)
    }
}

/// The value of `Sec-WebSocket-Extensions` that accepts.
impl fmt::Display for Deflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("permessage-deflate; server_no_context_takeover; client_no_context_takeover")?;
        if self.named {
            write!(f, "; server_max_window_bits={}", self.window_bits)?;
        }
        Ok(())
    }
}

fn window_bits(value: &str) -> Option<u8> {
    let value = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .unwrap_or(value);
    let bits = match value.as_bytes() {
        [digit @ b'8'..=b'9'] => digit - b'0',
        [b'1', digit @ b'0'..=b'5'] => 10 + digit - b'0',
        _ => return None,
    };
    Some(bits)
}

/// What the end of a compressed message always is, and so is left out.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// The bit in a frame's first byte that says that its message is compressed.
pub(super) const COMPRESSED: u8 = 0x40;

/// Compresses messages. It has some hundred kilobytes: one serves all connections of a thread.
pub struct Deflater {
    compress: Compress,
    buffer: Vec<u8>,
}

impl Deflater {
    /// Payloads shorter than this are sent as they are.
    pub const BYTES_MIN: usize = 64;

    /// Makes one; `level` is 1, quick, to 9, small.
    #[must_use]
    pub fn new(level: u32) -> Self {
        Self {
            compress: Compress::new(Compression::new(level.clamp(1, 9)), false),
            buffer: Vec::new(),
        }
    }

    /// Appends the unmasked frames in `frames`, as this crate writes them, with their messages
    /// compressed where that makes them shorter.
    pub fn write_frames(&mut self, out: &mut Vec<u8>, frames: &[u8], agreed: Deflate) {
        let mut rest = frames;
        while let Some((head, payload, after)) = split_frame(rest) {
            let message = matches!(head[0] & 0x0f, 1 | 2);
            if message && payload.len() >= Self::BYTES_MIN && self.deflate(payload, agreed) {
                write_first_and_length(out, head[0] | COMPRESSED, self.buffer.len());
                out.extend_from_slice(&self.buffer);
            } else {
                out.extend_from_slice(head);
                out.extend_from_slice(payload);
            }
            rest = after;
        }
        out.extend_from_slice(rest);
    }

    /// Compresses a payload into the buffer; says whether it is shorter there.
    fn deflate(&mut self, payload: &[u8], agreed: Deflate) -> bool {
        self.compress.reset();
        self.buffer.clear();
        // After a full flush nothing refers to what lies before it, so that pieces as long as the
        // window never look further back than the window reaches.
        let mut pieces = payload.chunks(1 << agreed.window_bits).peekable();
        while let Some(piece) = pieces.next() {
            let flush = match pieces.peek() {
                Some(_) if agreed.window_bits < WINDOW_BITS_MAX => FlushCompress::Full,
                Some(_) => FlushCompress::None,
                None => FlushCompress::Sync,
            };
            if !self.feed(piece, flush, payload.len()) {
                return false;
            }
        }
        self.buffer.ends_with(&TAIL) && {
            self.buffer.truncate(self.buffer.len() - TAIL.len());
            self.buffer.len() < payload.len()
        }
    }

    /// Compresses one piece; says whether the result stays below `bytes_max`.
    fn feed(&mut self, piece: &[u8], flush: FlushCompress, bytes_max: usize) -> bool {
        let start = self.compress.total_in();
        loop {
            self.buffer.reserve(piece.len() / 2 + 64);
            let taken = (self.compress.total_in() - start) as usize;
            let full = self
                .compress
                .compress_vec(&piece[taken..], &mut self.buffer, flush);
            if full.is_err() || self.buffer.len() > bytes_max {
                return false;
            }
            // All has been written once there is space left.
            let taken = (self.compress.total_in() - start) as usize;
            if taken == piece.len() && self.buffer.len() < self.buffer.capacity() {
                return true;
            }
        }
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater").finish_non_exhaustive()
    }
}

/// Splits the first frame off: its head, its payload, what follows.
fn split_frame(frames: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (head_len, len) = match *frames.get(1)? {
        LEN_16 => (
            4,
            usize::from(u16::from_be_bytes(*frames[2..].first_chunk()?)),
        ),
        LEN_64 => {
            let len = u64::from_be_bytes(*frames[2..].first_chunk()?);
            (10, usize::try_from(len).ok()?)
        }
        len => (2, usize::from(len)),
    };
    let (head, rest) = frames.split_at_checked(head_len)?;
    let (payload, after) = rest.split_at_checked(len)?;
    Some((head, payload, after))
}

/// Returns the message that was compressed, if it has at most `message_bytes_max` bytes.
pub(super) fn inflate(compressed: &[u8], message_bytes_max: u32) -> Result<Vec<u8>, WsError> {
    let mut inflate = Inflate {
        decompress: Decompress::new(false),
        out: Vec::new(),
        message_bytes_max,
    };
    let left = inflate.feed(compressed)?;
    if left == 0 {
        inflate.feed(&TAIL)?;
    } else if left > 1 {
        // A last block may be followed by the first byte of an empty one, and by nothing else.
        return Err(WsError::NotDeflate);
    }
    Ok(inflate.out)
}

struct Inflate {
    decompress: Decompress,
    out: Vec<u8>,
    message_bytes_max: u32,
}

impl Inflate {
    /// Takes `input` and returns how much of it lies after the last block.
    fn feed(&mut self, input: &[u8]) -> Result<usize, WsError> {
        let start = self.decompress.total_in();
        loop {
            self.make_space(input.len())?;
            let taken = (self.decompress.total_in() - start) as usize;
            let status = self
                .decompress
                .decompress_vec(&input[taken..], &mut self.out, FlushDecompress::Sync)
                .map_err(|_| WsError::NotDeflate)?;
            let left = input.len() - (self.decompress.total_in() - start) as usize;
            let full = self.out.len() == self.out.capacity();
            match status {
                Status::StreamEnd => return self.bounded().map(|()| left),
                Status::Ok | Status::BufError if left == 0 && !full => {
                    return self.bounded().map(|()| 0);
                }
                Status::BufError if !full => return Err(WsError::NotDeflate),
                Status::Ok | Status::BufError => {}
            }
        }
    }

    /// Makes space for more, up to one byte beyond the bound.
    fn make_space(&mut self, input_len: usize) -> Result<(), WsError> {
        if self.out.len() == self.out.capacity() {
            self.bounded()?;
            let left = self.message_bytes_max as usize + 1 - self.out.len();
            let more = self.out.len().max(2 * input_len).max(256);
            self.out.reserve_exact(more.min(left));
        }
        Ok(())
    }

    fn bounded(&self) -> Result<(), WsError> {
        let message_bytes_max = self.message_bytes_max;
        if self.out.len() > message_bytes_max as usize {
            return Err(WsError::TooLarge { message_bytes_max });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ws::{Opcode, write_close, write_frame};
    use proptest::prelude::*;

    const MAX: u32 = 1 << 20;

    fn agreed(window_bits: u8) -> Deflate {
        Deflate {
            window_bits,
            named: true,
        }
    }

    /// Compresses a payload; `None` when it did not get shorter.
    fn deflated(payload: &[u8], window_bits: u8) -> Option<Vec<u8>> {
        let mut deflater = Deflater::new(6);
        let mut frame = Vec::new();
        write_frame(&mut frame, Opcode::Binary, payload);
        let mut out = Vec::new();
        deflater.write_frames(&mut out, &frame, agreed(window_bits));
        let (head, payload, rest) = split_frame(&out).unwrap();
        assert_eq!(rest, b"");
        (head[0] == 0xc2).then(|| payload.to_vec())
    }

    #[test]
    fn the_standards_own_examples_are_read() {
        for compressed in [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
            // Without compression, with a last block, and in two blocks.
            &[
                0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
            ],
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            &[
                0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
            ],
        ] {
            assert_eq!(
                inflate(compressed, MAX).unwrap(),
                b"Hello",
                "{compressed:x?}"
            );
        }
        assert_eq!(inflate(&[0], MAX).unwrap(), b"");
    }

    #[test]
    fn a_bomb_is_refused_at_the_bound() {
        let bomb = deflated(&vec![0; 1 << 20], 15).unwrap();
        assert!(bomb.len() < 5_000, "{}", bomb.len());
        assert_eq!(inflate(&bomb, 1 << 20).map(|out| out.len()), Ok(1 << 20));
        for message_bytes_max in [(1 << 20) - 1, 1_000, 0] {
            assert_eq!(
                inflate(&bomb, message_bytes_max),
                Err(WsError::TooLarge { message_bytes_max })
            );
        }
    }

    #[test]
    fn what_is_not_compressed_is_refused() {
        for bytes in [
            &[0xff, 0xff][..],
            &[0x07, 0x00],
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 1, 2, 3],
        ] {
            assert_eq!(inflate(bytes, MAX), Err(WsError::NotDeflate), "{bytes:x?}");
        }
    }

    #[test]
    fn offers_are_read_as_they_may_be_made() {
        let accepted = |offer: &str| Deflate::read(offer.as_bytes()).map(|it| it.to_string());
        let plain = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        for offer in [
            "permessage-deflate",
            "Permessage-Deflate; client_max_window_bits",
            "permessage-deflate;client_max_window_bits = \"9\" ; client_no_context_takeover",
            "permessage-deflate; server_no_context_takeover",
        ] {
            assert_eq!(accepted(offer).as_deref(), Some(plain), "{offer}");
        }
        assert_eq!(
            accepted("permessage-deflate; server_max_window_bits=8"),
            Some(format!("{plain}; server_max_window_bits=8"))
        );
        for offer in [
            "",
            "x-webkit-deflate-frame",
            "permessage-deflate; unknown",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; server_max_window_bits=08",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; client_max_window_bits=1",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_max_window_bits; client_max_window_bits",
        ] {
            assert_eq!(accepted(offer), None, "{offer}");
        }
    }

    #[test]
    fn what_does_not_get_shorter_stays_as_it_is() {
        let mut frames = Vec::new();
        write_frame(&mut frames, Opcode::Text, b"short");
        write_frame(&mut frames, Opcode::Binary, &(0..=255).collect::<Vec<u8>>());
        write_frame(&mut frames, Opcode::Ping, &[0; 100]);
        write_close(&mut frames, 1000, "bye");
        let mut out = Vec::new();
        Deflater::new(1).write_frames(&mut out, &frames, agreed(15));
        assert_eq!(out, frames);
    }

    proptest! {
        #[test]
        fn messages_round_trip_within_any_window(
            words in proptest::collection::vec(0..40_u32, 30..4_000),
            window_bits in 8..=15_u8,
        ) {
            let text: String = words.iter().map(|word| format!("word {word}, ")).collect();
            let compressed = deflated(text.as_bytes(), window_bits).unwrap();
            prop_assert!(compressed.len() < text.len());
            prop_assert_eq!(inflate(&compressed, MAX).unwrap(), text.as_bytes());
            prop_assert!(farthest_reference(&compressed) <= 1 << window_bits);
        }

        #[test]
        fn hostile_bytes_never_panic(bytes: Vec<u8>, message_bytes_max in 0..500_u32) {
            if let Ok(out) = inflate(&bytes, message_bytes_max) {
                prop_assert!(out.len() <= message_bytes_max as usize);
            }
        }
    }

    /// Returns the farthest distance that a compressed message refers back: read bit by bit.
    fn farthest_reference(compressed: &[u8]) -> usize {
        let mut bits = Bits {
            bytes: [compressed, &TAIL].concat(),
            at: 0,
        };
        let mut farthest = 0;
        while bits.at + 3 < bits.bytes.len() * 8 {
            let last = bits.take(1);
            match bits.take(2) {
                0 => {
                    bits.at = bits.at.next_multiple_of(8);
                    let len = bits.take(16);
                    bits.at += 16 + 8 * len;
                }
                1 => {
                    let lengths = [vec![8; 144], vec![9; 112], vec![7; 24], vec![8; 8]].concat();
                    farthest = farthest.max(bits.block(&lengths, &[5; 30]));
                }
                _ => {
                    let (literals, distances) = bits.code_lengths();
                    farthest = farthest.max(bits.block(&literals, &distances));
                }
            }
            if last == 1 {
                break;
            }
        }
        farthest
    }

    struct Bits {
        bytes: Vec<u8>,
        at: usize,
    }

    impl Bits {
        fn take(&mut self, count: usize) -> usize {
            (0..count).fold(0, |value, shift| {
                let bit = self.bytes[self.at / 8] >> (self.at % 8) & 1;
                self.at += 1;
                value | usize::from(bit) << shift
            })
        }

        /// Reads one symbol of a canonical code.
        fn symbol(&mut self, lengths: &[u8]) -> usize {
            let (mut code, mut first) = (0, 0);
            for len in 1..=15 {
                code = code << 1 | self.take(1);
                let of_len: Vec<_> = (0..lengths.len())
                    .filter(|symbol| lengths[*symbol] == len)
                    .collect();
                if code - first < of_len.len() {
                    return of_len[code - first];
                }
                first = (first + of_len.len()) << 1;
            }
            panic!("no symbol");
        }

        fn code_lengths(&mut self) -> (Vec<u8>, Vec<u8>) {
            const ORDER: [usize; 19] = [
                16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
            ];
            let (literals, distances) = (257 + self.take(5), 1 + self.take(5));
            let count = 4 + self.take(4);
            let mut code = [0; 19];
            for at in &ORDER[..count] {
                code[*at] = self.take(3) as u8;
            }
            let mut lengths: Vec<u8> = Vec::new();
            while lengths.len() < literals + distances {
                let (value, times) = match self.symbol(&code) {
                    16 => (*lengths.last().unwrap(), 3 + self.take(2)),
                    17 => (0, 3 + self.take(3)),
                    18 => (0, 11 + self.take(7)),
                    len => (len as u8, 1),
                };
                lengths.extend(std::iter::repeat_n(value, times));
            }
            let distances = lengths.split_off(literals);
            (lengths, distances)
        }

        /// Reads a block and returns its farthest distance.
        fn block(&mut self, literals: &[u8], distances: &[u8]) -> usize {
            let mut farthest = 0;
            loop {
                match self.symbol(literals) {
                    0..256 => continue,
                    256 => return farthest,
                    257..265 | 285 => {}
                    length => {
                        self.take((length - 261) / 4);
                    }
                }
                let symbol = self.symbol(distances);
                let extra = (symbol / 2).saturating_sub(1);
                let base = if symbol < 4 {
                    symbol + 1
                } else {
                    ((2 + symbol % 2) << extra) + 1
                };
                farthest = farthest.max(base + self.take(extra));
            }
        }
    }
}
