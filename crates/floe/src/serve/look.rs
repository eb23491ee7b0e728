//! What a start would be refused for.

use std::net::SocketAddr;

use floe_server::Settings;
use tracing_subscriber::EnvFilter;

use crate::config::{Config, Problem, Problems};

/// Adds what is wrong with settings that are of the right types.
pub fn look_for_problems(config: &Config, problems: &mut Problems) {
    let settings = config.settings();
    for problem in settings.problems() {
        problems.push(config.origin(problem.name), problem.to_string());
    }
    if let Err(error) = EnvFilter::try_new(&config.arguments.log) {
        problems.push(config.origin("log"), format!("log: {error}"));
    }
    // Where something is wrong, that may be why there is no key. Keys may stand in the log, too, but
    // not where there is none.
    if problems.is_empty()
        && let Some(problem) = wants_key(config, settings.listen)
        && !settings.data.exists()
    {
        problems.push(problem.origin, problem.message);
    }
}

/// Returns what is wrong with listening on an address unless the server keeps a key itself.
pub fn wants_key(config: &Config, listen: SocketAddr) -> Option<Problem> {
    if config.arguments.open || Reach::of(&config.settings(), listen) != Reach::World {
        return None;
    }
    Some(Problem {
        origin: config.origin("listen"),
        message: format!(
            "listen: {listen} lets other machines in, and without keys everyone may do everything; \
             set api_keys, or make a key while it listens on 127.0.0.1, or say --open \
             (FLOE_OPEN=true, open = true) if everyone may"
        ),
    })
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
    /// Returns who may do everything with these settings on an address, as far as they say.
    pub fn of(settings: &Settings, listen: SocketAddr) -> Self {
        if !settings.is_open() {
            Self::Keys
        } else if listen.ip().to_canonical().is_loopback() {
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
