//! The settings of servers that help browsers find a way for media, as arguments.

use clap::Args;
use floe_server::{IceSettings, IceUrl, TurnSecret};

/// STUN and TURN.
#[derive(Debug, Args)]
#[command(next_help_heading = "Media of voice rooms")]
pub struct IceArguments {
    /// STUN and TURN servers that browsers in voice rooms are told of, separated by commas; at most 16.
    ///
    /// Such as `stun:stun.example.com,turn:turn.example.com:3478?transport=udp`. The server itself
    /// needs none of them; they help browsers that reach it neither over UDP nor over its own TCP.
    #[arg(
        long,
        env = "FLOE_MEDIA_ICE_SERVERS",
        value_name = "URLS",
        value_delimiter = ','
    )]
    media_ice_servers: Vec<IceUrl>,
    /// Secret that is shared with the TURN servers (`static-auth-secret` of coturn).
    ///
    /// With it each participant gets credentials of their own that end soon. Prefer the environment
    /// variable or a file: other users of the machine see arguments.
    #[arg(
        long,
        env = "FLOE_MEDIA_TURN_SECRET",
        value_name = "SECRET",
        hide_env_values = true,
        default_value = "",
        hide_default_value = true
    )]
    media_turn_secret: String,
    /// Seconds that credentials for TURN last. Who stays longer is given others when asking.
    #[arg(long, env = "FLOE_MEDIA_TURN_TTL_S", value_name = "N",
          value_parser = clap::value_parser!(u64).range(60..=604_800),
          default_value_t = IceSettings::default().turn_ttl_s)]
    media_turn_ttl_s: u64,
}

impl IceArguments {
    pub fn settings(&self) -> IceSettings {
        let secret = self.media_turn_secret.as_bytes();
        IceSettings {
            servers: self.media_ice_servers.clone(),
            turn_secret: (!secret.is_empty()).then(|| TurnSecret::new(secret)),
            turn_ttl_s: self.media_turn_ttl_s,
        }
    }
}
