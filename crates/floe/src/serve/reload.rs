//! Settings that are read again while the server runs.

use std::net::SocketAddr;

use floe_server::{Reloader, Server};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::reload::Error;

use super::arguments::is_reloaded;
use super::look::wants_key;
use crate::config::{Config, ConfigError, Setting, Sources};

/// Changes what is logged.
pub type SetFilter = Box<dyn Fn(EnvFilter) -> Result<(), Error> + Send>;

/// Reads the settings again and gives them to the running server.
pub struct Reloading {
    sources: Sources,
    /// The settings that the server runs with.
    running: Vec<Setting>,
    /// The address that is listened on, whatever the settings say by now.
    address: SocketAddr,
    reloader: Reloader,
    set_filter: SetFilter,
}

/// What differs between the settings that run and others.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changes {
    /// Settings that a running server takes over.
    at_once: Vec<String>,
    /// Settings that need a restart.
    after_restart: Vec<String>,
}

impl Reloading {
    /// Starts with the settings that the server was started with.
    pub fn new(sources: Sources, config: Config, server: &Server, set_filter: SetFilter) -> Self {
        Self {
            sources,
            running: config.all,
            address: server.address(),
            reloader: server.reloader(),
            set_filter,
        }
    }

    /// Reads everything again. What is wrong is logged, and then nothing changes.
    pub fn reload(&mut self) {
        let config = match self.sources.load() {
            Ok(config) => config,
            Err(ConfigError::Problems(problems)) => {
                for problem in problems.iter() {
                    tracing::error!("{problem}");
                }
                return self.refuse("the settings are wrong");
            }
            Err(ConfigError::CommandLine(error)) => return self.refuse(&error.to_string()),
        };
        // It was looked at with all the others.
        let Ok(filter) = EnvFilter::try_new(&config.arguments.log) else {
            return self.refuse("the log's filter is wrong");
        };
        // A server that ever kept a key is open to nobody any more.
        if let Some(problem) = wants_key(&config, self.address)
            && !self.reloader.is_closed()
        {
            tracing::error!("{problem}");
            return self.refuse("the settings are wrong");
        }
        if let Err(error) = self.reloader.reload(&config.settings()) {
            return self.refuse(&error.to_string());
        }
        if let Err(error) = (self.set_filter)(filter) {
            tracing::error!(%error, "the log's filter stays as it was");
        }
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        let Changes {
            at_once,
            after_restart,
        } = take_over(&mut self.running, config.all);
        for setting in after_restart {
            tracing::warn!(setting, "has changed, which needs a restart");
        }
        tracing::info!(changed = at_once.join(" "), "settings read again");
    }

    fn refuse(&self, why: &str) {
        self.reloader.failed();
        tracing::error!(why, "settings not read again; all stay as they were");
    }
}

/// Takes over into `running` what a running server does; returns what differs.
fn take_over(running: &mut Vec<Setting>, new: Vec<Setting>) -> Changes {
    let mut changes = Changes::default();
    let gone = |old: &&Setting| !new.iter().any(|setting| setting.key == old.key);
    let gone: Vec<_> = running.iter().filter(gone).cloned().collect();
    for old in gone {
        if is_reloaded(&old.key) {
            running.retain(|setting| setting.key != old.key);
            changes.at_once.push(old.key);
        } else {
            changes.after_restart.push(old.key);
        }
    }
    for setting in new {
        let old = running.iter_mut().find(|old| old.key == setting.key);
        if old.as_ref().is_some_and(|old| old.value == setting.value) {
            continue;
        }
        if !is_reloaded(&setting.key) {
            changes.after_restart.push(setting.key);
            continue;
        }
        changes.at_once.push(setting.key.clone());
        match old {
            Some(old) => *old = setting,
            None => running.push(setting),
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    fn setting(key: &str, value: u64) -> Setting {
        Setting {
            key: key.to_owned(),
            value: value.into(),
            is_secret: false,
            is_table: false,
            origin: Origin::Default,
        }
    }

    #[test]
    fn what_needs_a_restart_is_told_of_until_it_is_as_it_was() {
        let mut running = vec![setting("listen", 1), setting("streams_max", 1)];
        let new = || vec![setting("listen", 2), setting("streams_max", 2)];
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let expected = Changes {
            at_once: names(&["streams_max"]),
            after_restart: names(&["listen"]),
        };
        assert_eq!(take_over(&mut running, new()), expected);
        let expected = Changes {
            at_once: names(&[]),
            after_restart: names(&["listen"]),
        };
        assert_eq!(take_over(&mut running, new()), expected);
        let back = vec![setting("listen", 1), setting("streams_max", 2)];
        assert_eq!(take_over(&mut running, back), Changes::default());
    }

    #[test]
    fn a_table_that_is_gone_is_a_change() {
        let mut running = vec![setting("listen", 1), setting("a_table", 1)];
        let changes = take_over(&mut running, vec![setting("listen", 1)]);
        assert_eq!(changes.after_restart, ["a_table"]);
    }
}
