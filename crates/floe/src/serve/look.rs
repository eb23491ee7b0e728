//! What a start would be refused for.

use floe_server::Settings;
use tracing_subscriber::EnvFilter;

use crate::config::{Config, Problems};

/// Adds what is wrong with settings that are of the right types.
pub fn look_for_problems(config: &Config, problems: &mut Problems) {
    let settings = config.settings();
    for problem in settings.problems() {
        problems.push(config.origin(problem.name), problem.to_string());
    }
    if let Err(error) = EnvFilter::try_new(&config.arguments.log) {
        problems.push(config.origin("log"), format!("log: {error}"));
    }
    // Where something is wrong, that may be why there is no key.
    if problems.is_empty() && Reach::of(&settings) == Reach::World && !config.arguments.open {
        let listen = settings.listen;
        problems.push(
            config.origin("listen"),
            format!(
                "listen: {listen} lets other machines in, and without keys everyone may do \
                 everything; set api_keys, or listen on 127.0.0.1, or say --open (FLOE_OPEN=true, \
                 open = true) if everyone may"
            ),
        );
    }
}

/// Who may do everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Those who have a key for it.
    Keys,
    /// Everyone on this machine.
    Machine,
    /// Everyone.
    World,
}

impl Reach {
    /// Returns who may do everything with these settings.
    pub fn of(settings: &Settings) -> Self {
        if !settings.is_open() {
            Self::Keys
        } else if settings.listen.ip().to_canonical().is_loopback() {
            Self::Machine
        } else {
            Self::World
        }
    }

    /// Returns what an operator should know of it.
    pub const fn warning(self) -> Option<&'static str> {
        match self {
            Self::Keys => None,
            Self::Machine => Some(
                "Everyone on this machine may do everything here: there are no keys (--api-keys).",
            ),
            Self::World => Some(
                "Everyone who reaches this address may do everything here: there are no keys \
                 (--api-keys), and --open was said.",
            ),
        }
    }
}
