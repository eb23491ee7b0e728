//! `floe serve`: the server, from its first line to a clean stop.

mod arguments;
mod cold;
mod tls;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::thread;

use anyhow::Context;
use floe_server::{Server, Stopper};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing_subscriber::EnvFilter;

pub use arguments::ServeArguments;
pub use cold::StoreArguments;

use arguments::LogFormat;

/// Serves until a signal says otherwise.
pub fn run(arguments: &ServeArguments) -> anyhow::Result<()> {
    start_log(arguments)?;
    let settings = arguments.settings();
    let server = Server::open(&settings)?;
    stop_on_signals(server.stopper())?;
    let data = std::path::absolute(&settings.data)?;
    let (recovery, recovery_time) = server.recovery();
    tracing::info!(
        address = %server.address(),
        data = %data.display(),
        records = recovery.records,
        recovery_ms = recovery_time.as_millis() as u64,
        "listening"
    );
    if arguments.log_format == LogFormat::Text {
        // A closed stderr is no reason not to serve.
        let _ = print_greeting(
            &mut io::stderr(),
            server.address(),
            settings.tls.is_some(),
            &data,
        );
    }
    server.run()?;
    tracing::info!("stopped");
    Ok(())
}

fn start_log(arguments: &ServeArguments) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&arguments.log).context("--log")?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Where nobody reads the log any more, the server goes on, and still hears its signals.
        .log_internal_errors(false)
        .with_writer(io::stderr);
    match arguments.log_format {
        LogFormat::Text => {
            use std::io::IsTerminal;
            let is_terminal = io::stderr().is_terminal();
            log.with_ansi(is_terminal).with_target(false).init();
        }
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}

fn print_greeting(
    out: &mut impl Write,
    address: SocketAddr,
    secure: bool,
    data: &Path,
) -> io::Result<()> {
    let scheme = if secure { "https" } else { "http" };
    let url = format!("{scheme}://{address}/v1/stream/hello");
    write!(
        out,
        "\n  Floe listens on {scheme}://{address} and keeps its data in {}\n\n  \
         Try, in another terminal:\n    \
         curl -X PUT {url} -H 'content-type: text/plain'\n    \
         curl {url} -H 'content-type: text/plain' -d 'first message'\n    \
         curl -N '{url}?offset=-1&live=sse'\n\n  \
         Ctrl-C stops it.\n\n",
        data.display()
    )
}

/// The first signal stops the server, a second one ends the process where it stands.
fn stop_on_signals(stopper: Stopper) -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot listen for signals")?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for (count, signal) in signals.forever().enumerate() {
                if count > 0 {
                    std::process::exit(128 + signal);
                }
                tracing::info!(signal, "stopping");
                if let Err(error) = stopper.stop() {
                    tracing::error!(%error, "cannot wake the server to stop it");
                    std::process::exit(1);
                }
            }
        })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greeting_names_the_folder_and_three_commands() {
        let mut out = Vec::new();
        let address = "127.0.0.1:4437".parse().unwrap();
        print_greeting(&mut out, address, false, Path::new("/srv/floe-data")).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches("http://127.0.0.1:4437").count(), 4, "{text}");
        assert!(text.contains("data in /srv/floe-data\n"), "{text}");
        assert_eq!(text.matches("    curl ").count(), 3, "{text}");
    }

    #[test]
    fn the_greeting_says_https_where_the_port_speaks_tls() {
        let mut out = Vec::new();
        let address = "127.0.0.1:4437".parse().unwrap();
        print_greeting(&mut out, address, true, Path::new("/srv/floe-data")).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches("https://127.0.0.1:4437").count(), 4, "{text}");
    }
}
