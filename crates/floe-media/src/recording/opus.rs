//! What can be told of an Opus packet without decoding it (RFC 6716 section 3).

/// Samples in a second, whatever the sound was made from.
pub const RATE: u64 = 48_000;
/// A packet of 20 ms of silence: a frame of CELT that says so with its first bit.
pub const SILENCE: [u8; 3] = [0xF8, 0xFF, 0xFE];
/// Samples of [`SILENCE`].
pub const SILENCE_SAMPLES: u32 = 960;

/// Bytes of a frame.
const FRAME_BYTES_MAX: usize = 1_275;
/// Samples of a packet: 120 ms.
const SAMPLES_MAX: u32 = 5_760;

/// Returns how many samples a packet has; `None` where it is malformed.
pub fn samples(packet: &[u8]) -> Option<u32> {
    let (&toc, rest) = packet.split_first()?;
    let samples = frame_samples(toc);
    let frames = match toc & 3 {
        0 => (rest.len() <= FRAME_BYTES_MAX).then_some(1)?,
        1 => {
            let each = rest.len() / 2;
            (rest.len() % 2 == 0 && each <= FRAME_BYTES_MAX).then_some(2)?
        }
        2 => {
            let (first, rest) = frame_len(rest)?;
            let second = rest.len().checked_sub(first)?;
            (second <= FRAME_BYTES_MAX).then_some(2)?
        }
        _ => frames_counted(rest)?,
    };
    let samples = samples * frames;
    (samples <= SAMPLES_MAX).then_some(samples)
}

/// Whether a packet has two channels.
pub fn is_stereo(packet: &[u8]) -> bool {
    packet.first().is_some_and(|toc| toc & 4 != 0)
}

fn frame_samples(toc: u8) -> u32 {
    let (milliseconds_x10, at) = match toc >> 3 {
        config @ 0..=11 => (&[100, 200, 400, 600], config & 3),
        config @ 12..=15 => (&[100, 200, 100, 200], config & 1),
        config => (&[25, 50, 100, 200], config & 3),
    };
    milliseconds_x10[usize::from(at)] * 48 / 10
}

/// Reads the frames of a packet that says how many there are (code 3).
fn frames_counted(rest: &[u8]) -> Option<u32> {
    let (&said, mut rest) = rest.split_first()?;
    let frames = said & 0x3F;
    if frames == 0 {
        return None;
    }
    if said & 0x40 != 0 {
        let mut padding = 0;
        loop {
            let (&more, after) = rest.split_first()?;
            rest = after;
            if more < 255 {
                padding += usize::from(more);
                break;
            }
            padding += 254;
        }
        rest = rest.get(..rest.len().checked_sub(padding)?)?;
    }
    let last = if said & 0x80 == 0 {
        let each = rest.len() / usize::from(frames);
        (rest.len() % usize::from(frames) == 0).then_some(each)?
    } else {
        let mut before = 0;
        for _ in 1..frames {
            let (len, after) = frame_len(rest)?;
            rest = after;
            before += len;
        }
        rest.len().checked_sub(before)?
    };
    (last <= FRAME_BYTES_MAX).then_some(frames.into())
}

/// Reads the length of a frame (section 3.2.1).
fn frame_len(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [first, rest @ ..] if *first < 252 => Some((usize::from(*first), rest)),
        [first, second, rest @ ..] => Some((usize::from(*first) + 4 * usize::from(*second), rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_length_of_a_packet_is_told_from_its_first_bytes() {
        for (packet, ms_x10) in [
            (&[0xF8, 0xFF, 0xFE][..], 200),
            (&[0x78, 1, 2, 3], 200),
            (&[0xE0, 1], 25),
            (&[0x18, 1], 600),
            (&[0x19, 1, 2], 1_200),
            (&[0xFA, 1, 7, 8, 9], 400),
            // Three of 20 ms, with padding.
            (&[0xFB, 0x43, 2, 1, 2, 3, 0, 0], 600),
            // Three whose lengths are said.
            (&[0xFB, 0x83, 1, 0, 7], 600),
            // Nothing sent, as in silence.
            (&[0xF8], 200),
        ] {
            assert_eq!(samples(packet), Some(ms_x10 * 48 / 10), "{packet:x?}");
        }
    }

    #[test]
    fn malformed_packets_have_no_length() {
        let long = [0_u8; 1_277];
        for packet in [
            &[][..],
            &[0xF9, 1],
            &[0xFA],
            &[0xFA, 2, 1],
            &[0xFA, 252],
            &[0xFB],
            &[0xFB, 0],
            &[0xFB, 0x02, 1, 2, 3],
            // Seven of 20 ms.
            &[0xFB, 0x07, 1, 2, 3, 4, 5, 6, 7],
            // More padding than there is.
            &[0xFB, 0x41, 9, 1],
            &[0xFB, 0x82, 2, 1],
            &long,
        ] {
            assert_eq!(samples(packet), None, "{packet:x?}");
        }
        assert!(is_stereo(&[0xFC]) && !is_stereo(&[0xF8]) && !is_stereo(&[]));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(packet in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Some(samples) = samples(&packet) {
                prop_assert!((120..=SAMPLES_MAX).contains(&samples));
            }
        }
    }
}
