//! The settings of the media of voice rooms as arguments.

use std::net::SocketAddr;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args};
use floe_server::{MediaSettings, PublicAddress, RecordingSettings};

/// Sound and pictures of voice rooms.
#[derive(Debug, Args)]
#[command(next_help_heading = "Media of voice rooms")]
pub struct MediaArguments {
    /// Whether voice rooms carry sound and pictures: `on` or `off`.
    #[arg(long, env = "FLOE_MEDIA", value_name = "on|off", action = ArgAction::Set,
          value_parser = BoolishValueParser::new(), default_value = "on")]
    media: bool,
    /// UDP addresses and ports to receive them on, separated by commas.
    ///
    /// By default it is the address and port number of `--listen`; if that port is taken for UDP, voice
    /// rooms are silent, and the log says so.
    #[arg(
        long,
        env = "FLOE_MEDIA_LISTEN",
        value_name = "ADDRESS:PORT",
        value_delimiter = ','
    )]
    media_listen: Vec<SocketAddr>,
    /// IP addresses at which browsers reach these ports, with a port where it is another, separated by
    /// commas.
    ///
    /// Name them where the server stands behind NAT or in a container. By default browsers are told the
    /// addresses listened on, and for 0.0.0.0 those of the machine.
    #[arg(
        long,
        env = "FLOE_MEDIA_PUBLIC_ADDRESS",
        value_name = "IP[:PORT]",
        value_delimiter = ','
    )]
    media_public_address: Vec<PublicAddress>,
    /// IP addresses at which browsers reach the port of `--listen`, which takes media over TCP, too,
    /// with a port where it is another, separated by commas.
    ///
    /// Browsers come this way where their network lets no UDP through. By default it is the address of
    /// `--listen`, or those of `--media-public-address` with its port number. A proxy in front must hand
    /// on bytes as they are.
    #[arg(
        long,
        env = "FLOE_MEDIA_PUBLIC_TCP_ADDRESS",
        value_name = "IP[:PORT]",
        value_delimiter = ','
    )]
    media_public_tcp_address: Vec<PublicAddress>,
    /// Voices of one room that are forwarded at once: the loudest.
    #[arg(long, env = "FLOE_MEDIA_AUDIO_SLOTS", value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=32),
          default_value_t = MediaSettings::default().audio_slots)]
    media_audio_slots: u16,
    /// Pictures that one participant receives at once.
    #[arg(long, env = "FLOE_MEDIA_VIDEO_SLOTS", value_name = "N",
          value_parser = clap::value_parser!(u16).range(0..=32),
          default_value_t = MediaSettings::default().video_slots)]
    media_video_slots: u16,
    /// Bits a second of all that one participant sends. What is above is dropped.
    #[arg(long, env = "FLOE_MEDIA_BITRATE_MAX", value_name = "N",
          default_value_t = MediaSettings::default().bitrate_max)]
    media_bitrate_max: u64,
    /// Media that one participant sends at once, each layer of a picture not counted. Above: the offer
    /// is refused with LIMIT_REACHED.
    #[arg(long, env = "FLOE_MEDIA_TRACKS_MAX", value_name = "N",
          default_value_t = MediaSettings::default().tracks_max)]
    media_tracks_max: usize,
    /// Voice rooms in which somebody is connected. Above: the first offer in one more is refused with
    /// LIMIT_REACHED.
    #[arg(long, env = "FLOE_MEDIA_ROOMS_MAX", value_name = "N",
          default_value_t = MediaSettings::default().rooms_max)]
    media_rooms_max: usize,
    /// Recordings of voice rooms under way at once.
    ///
    /// Above, one that is to begin gets `LIMIT_REACHED`. With 0 nothing is recorded.
    #[arg(
        long,
        env = "FLOE_MEDIA_RECORDINGS_MAX",
        value_name = "COUNT",
        default_value_t = RecordingSettings::default().at_once_max
    )]
    media_recordings_max: usize,
    /// Hours of one recording; then it ends.
    #[arg(
        long,
        env = "FLOE_MEDIA_RECORDING_HOURS_MAX",
        value_name = "HOURS",
        default_value_t = RecordingSettings::default().hours_max
    )]
    media_recording_hours_max: u64,
    /// Days after which a recording is deleted; 0 is never.
    #[arg(
        long,
        env = "FLOE_MEDIA_RECORDING_KEEP_DAYS",
        value_name = "DAYS",
        default_value_t = RecordingSettings::default().keep_days
    )]
    media_recording_keep_days: u64,
    /// Bytes that the disk must have left for a recording to begin and to go on.
    #[arg(
        long,
        env = "FLOE_MEDIA_RECORDING_FREE_BYTES_MIN",
        value_name = "BYTES",
        default_value_t = RecordingSettings::default().free_bytes_min
    )]
    media_recording_free_bytes_min: u64,
}

impl MediaArguments {
    /// How media are carried.
    pub fn settings(&self) -> MediaSettings {
        MediaSettings {
            on: self.media,
            listen: self.media_listen.clone(),
            public_address: self.media_public_address.clone(),
            public_tcp_address: self.media_public_tcp_address.clone(),
            audio_slots: self.media_audio_slots,
            video_slots: self.media_video_slots,
            bitrate_max: self.media_bitrate_max,
            tracks_max: self.media_tracks_max,
            rooms_max: self.media_rooms_max,
            recordings: RecordingSettings {
                at_once_max: self.media_recordings_max,
                hours_max: self.media_recording_hours_max,
                keep_days: self.media_recording_keep_days,
                free_bytes_min: self.media_recording_free_bytes_min,
            },
        }
    }
}
