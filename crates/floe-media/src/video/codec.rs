//! What pictures are written in.

use str0m::RtcConfig;
use str0m::format::{Codec, PayloadParams, detect_h264_nalu};
use str0m::rtp::Vp8Descriptor;

/// What a picture is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PictureCodec {
    /// VP8 (RFC 6386).
    Vp8,
    /// H.264 in packets that are not interleaved, of a baseline profile (RFC 6184).
    H264 {
        /// Profile and constraints, the upper two bytes of `profile-level-id`.
        profile: u16,
    },
}

/// What the packet of a picture says of it.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Whether a picture begins with it that needs none before.
    pub begins_keyframe: bool,
    /// What VP8 has before its payload.
    pub vp8: Option<Vp8Descriptor>,
}

/// The number of the sequence parameter set, with which each keyframe begins that can be decoded
/// alone.
const SEQUENCE_PARAMETERS: u8 = 7;
/// Payload types that H.264 has unless a browser wants others, with those of what is sent again, and
/// the profiles: baseline, and the constrained one.
const H264: [(u8, u8, u32); 2] = [(127, 121, 0x0042_001F), (108, 109, 0x0042_E01F)];

impl PictureCodec {
    /// Has a connection agree to the codecs of pictures.
    pub fn enable_all(config: RtcConfig) -> RtcConfig {
        let mut config = config.enable_vp8(true);
        for (pt, resend, profile) in H264 {
            let codecs = config.codec_config();
            codecs.add_h264(pt.into(), Some(resend.into()), true, profile);
        }
        config
    }

    /// Returns what a payload type stands for.
    pub fn of(params: &PayloadParams) -> Option<Self> {
        let spec = params.spec();
        if spec.codec == Codec::Vp8 {
            return Some(Self::Vp8);
        }
        let profile = spec.format.profile_level_id.unwrap_or_default() >> 8;
        (spec.codec == Codec::H264).then_some(Self::H264 {
            profile: u16::try_from(profile).unwrap_or_default(),
        })
    }

    /// Whether who takes this also takes that. All browsers send the constrained form of baseline,
    /// whatever they call it.
    pub const fn takes(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Self::Vp8, Self::Vp8) | (Self::H264 { .. }, Self::H264 { .. })
        )
    }

    /// Looks at a packet; `None` where it is malformed.
    pub fn look(self, payload: &[u8]) -> Option<Look> {
        if payload.is_empty() {
            // Nothing but padding was in it. It goes on for the sake of its number.
            return Some(Look {
                begins_keyframe: false,
                vp8: None,
            });
        }
        Some(match self {
            Self::Vp8 => {
                let vp8 = Vp8Descriptor::parse(payload).ok()?;
                Look {
                    begins_keyframe: vp8.starts_keyframe(payload),
                    vp8: Some(vp8),
                }
            }
            Self::H264 { .. } => Look {
                begins_keyframe: detect_h264_nalu(payload, SEQUENCE_PARAMETERS),
                vp8: None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const H264: PictureCodec = PictureCodec::H264 { profile: 0x42E0 };

    fn begins(codec: PictureCodec, payload: &[u8]) -> Option<bool> {
        codec.look(payload).map(|look| look.begins_keyframe)
    }

    #[test]
    fn a_keyframe_is_seen_by_its_first_packet_alone() {
        let vp8 = PictureCodec::Vp8;
        assert_eq!(begins(vp8, &[0x10, 0x00]), Some(true));
        assert_eq!(begins(vp8, &[0x10, 0x01]), Some(false));
        assert_eq!(begins(vp8, &[0x00, 0x00]), Some(false));
        assert_eq!(begins(vp8, &[]), Some(false), "padding");
        assert_eq!(begins(vp8, &[0x90]), None, "cut off");
        assert_eq!(
            begins(H264, &[0x78, 0, 2, 0x67, 0x42, 0, 1, 0x68]),
            Some(true)
        );
        assert_eq!(begins(H264, &[0x67, 0x42]), Some(true));
        assert_eq!(begins(H264, &[0x7C, 0x85, 1]), Some(false), "a part of it");
        assert_eq!(begins(H264, &[0x61, 1]), Some(false));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = PictureCodec::Vp8.look(&bytes);
            let _ = H264.look(&bytes);
        }
    }
}
