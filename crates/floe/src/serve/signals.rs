//! What signals do to a server.

use std::io::{self, IsTerminal};
use std::thread;

use anyhow::Context;
use floe_server::Stopper;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::reload::Reloading;

/// Listens for signals on a thread of its own.
///
/// The first SIGINT or SIGTERM stops the server, a second one ends the process where it stands.
/// SIGHUP has the settings read again; where it says that the terminal is gone, it stops the server
/// as well.
pub fn listen(stopper: Stopper, mut reloading: Reloading) -> anyhow::Result<()> {
    let signals = Signals::new([SIGINT, SIGTERM, SIGHUP]);
    let mut signals = signals.context("cannot listen for signals")?;
    let had_terminal = io::stdin().is_terminal();
    let work = move || {
        let mut is_stopping = false;
        for signal in signals.forever() {
            let has_hung_up = had_terminal && !io::stdin().is_terminal();
            if signal == SIGHUP && !has_hung_up {
                reloading.reload();
                continue;
            }
            if is_stopping {
                std::process::exit(128 + signal);
            }
            is_stopping = true;
            tracing::info!(signal, "stopping");
            if let Err(error) = stopper.stop() {
                tracing::error!(%error, "cannot wake the server to stop it");
                std::process::exit(1);
            }
        }
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(work)?;
    Ok(())
}
