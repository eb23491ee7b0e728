//! The arguments of the workload over voice rooms.

use clap::Args;
use floe_client::load::{Plan, Workload};

use super::arguments::{CommonArguments, at_least_one, not_negative};

#[derive(Debug, Args)]
pub struct VoiceArguments {
    #[command(flatten)]
    pub common: CommonArguments,
    /// Voice rooms.
    #[arg(long, default_value_t = 1, value_parser = at_least_one())]
    rooms: u64,
    /// Participants of each room; all of them hear.
    #[arg(long, short, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    participants: u64,
    /// Those of them who speak: 50 packets a second, of `--size` bytes.
    #[arg(long, short, default_value_t = 1)]
    speakers: u64,
    /// Per cent of the participants that decrypt what they hear, look whose voice it is, and measure how long
    /// it took.
    ///
    /// The others count packets by stream and number, which stand in clear, and do the rest of a browser's
    /// work: connecting, keys, keeping the connection alive. They save the generator most of its work, but
    /// report nothing of what they received. Where most are checked, the generator needs more of the machine
    /// than the server.
    #[arg(long, default_value_t = 100.0, value_name = "PERCENT", value_parser = percent)]
    checked: f64,
}

impl VoiceArguments {
    pub fn plan(&self, plan: Plan) -> Plan {
        Plan {
            workload: Workload::Voice,
            rooms: self.rooms,
            participants: self.participants as usize,
            speakers: self.speakers.min(self.participants) as usize,
            checked_percent: self.checked,
            ..plan
        }
    }
}

fn percent(text: &str) -> Result<f64, String> {
    not_negative(text)
        .ok()
        .filter(|value| *value <= 100.0)
        .ok_or_else(|| "must be a number from 0 to 100".to_owned())
}
