//! The settings of the media of voice rooms as arguments.

use std::net::SocketAddr;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args};
use floe_server::{MediaSettings, PublicAddress};

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
}

impl MediaArguments {
    /// How media are carried.
    pub fn settings(&self) -> MediaSettings {
        MediaSettings {
            on: self.media,
            listen: self.media_listen.clone(),
            public_address: self.media_public_address.clone(),
        }
    }
}
