//! What an operator may set of the media of voice rooms.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use crate::recordings::RecordingSettings;

/// How the sound and pictures of voice rooms are carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaSettings {
    /// Whether they are; yes by default.
    pub on: bool,
    /// UDP addresses to listen on; by default the address and port number of
    /// [`Settings::listen`](crate::Settings::listen).
    pub listen: Vec<SocketAddr>,
    /// What browsers are told instead of the addresses listened on.
    pub public_address: Vec<PublicAddress>,
    /// What browsers are told instead of the address of [`Settings::listen`](crate::Settings::listen),
    /// which takes media over TCP; by default the addresses of `public_address`, with its port number.
    pub public_tcp_address: Vec<PublicAddress>,
    /// Voices of one room that are forwarded at once, the loudest; 10.
    pub audio_slots: u16,
    /// Pictures that one participant receives at once; 12.
    pub video_slots: u16,
    /// Bits a second of all that one participant sends; 8 million. What is above is dropped.
    pub bitrate_max: u64,
    /// Media that one participant sends; 4. Above: the offer is refused with 429 `LIMIT_REACHED`.
    pub tracks_max: usize,
    /// Voice rooms in which somebody is connected; 1 024. Above: the first offer in one more is refused
    /// with 429 `LIMIT_REACHED`.
    pub rooms_max: usize,
    /// Bounds of recordings.
    pub recordings: RecordingSettings,
}

impl MediaSettings {
    /// Returns settings by which nothing is carried: voice rooms are there, and silent.
    #[must_use]
    pub fn off() -> Self {
        Self {
            on: false,
            ..Self::default()
        }
    }
}

impl Default for MediaSettings {
    fn default() -> Self {
        let forwarder = floe_media::Config::default();
        Self {
            on: true,
            listen: Vec::new(),
            public_address: Vec::new(),
            public_tcp_address: Vec::new(),
            audio_slots: forwarder.audio_slots,
            video_slots: forwarder.video_slots,
            bitrate_max: forwarder.bitrate_max,
            tracks_max: forwarder.tracks_max,
            rooms_max: forwarder.rooms_max,
            recordings: RecordingSettings::default(),
        }
    }
}

/// Where browsers reach the server: an IP address, and a port if it is another than the one listened on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicAddress {
    /// The address.
    pub ip: IpAddr,
    /// The port.
    pub port: Option<u16>,
}

/// A text is no IP address, with or without a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must be an IP address, or one with a port: 203.0.113.7 or 203.0.113.7:4437")]
pub struct PublicAddressError;

impl FromStr for PublicAddress {
    type Err = PublicAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(ip) = text.parse() {
            return Ok(Self { ip, port: None });
        }
        let address: SocketAddr = text.parse().map_err(|_| PublicAddressError)?;
        Ok(Self {
            ip: address.ip(),
            port: Some(address.port()),
        })
    }
}

impl fmt::Display for PublicAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            None => self.ip.fmt(out),
            Some(port) => SocketAddr::new(self.ip, port).fmt(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_address_is_an_ip_with_or_without_a_port() {
        for text in [
            "203.0.113.7",
            "203.0.113.7:80",
            "2001:db8::7",
            "[2001:db8::7]:80",
        ] {
            let address: PublicAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
        for text in [
            "",
            "example.com",
            "203.0.113.7:",
            "203.0.113.7:70000",
            ":80",
        ] {
            assert_eq!(
                text.parse::<PublicAddress>(),
                Err(PublicAddressError),
                "{text}"
            );
        }
    }
}
