//! `floe serve`: the server, from its first line to a clean stop.

mod arguments;
mod cold;
mod ice;
mod look;
mod media;
mod reload;
mod signals;
mod tls;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;

use floe_server::{Server, Settings};
use tracing_subscriber::EnvFilter;

pub use arguments::ServeArguments;
pub use cold::StoreArguments;
pub use look::{look_for_problems, wants_key};

use crate::config::{Config, Problems, Sources};

use arguments::LogFormat;
use look::Reach;
use reload::{Reloading, SetFilter};

/// Serves until a signal says otherwise.
pub fn run(sources: Sources) -> anyhow::Result<()> {
    let config = sources.load()?;
    let set_filter = start_log(&config)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let settings = config.settings();
    let server = Server::open(&settings)?;
    // Nothing has been answered so far, and nothing is before the server runs.
    if let Some(problem) = wants_key(&config, server.address()) {
        let keys = server.kept_keys();
        if keys == 0 {
            let mut problems = Problems::default();
            problems.push(problem.origin, problem.message);
            return Err(problems.into());
        }
        tracing::info!(keys, "other machines are let in: there are keys in the log");
    }
    let log_format = config.arguments.log_format;
    // Whoever is told that it listens may send signals.
    let reloading = Reloading::new(sources, config, &server, set_filter);
    signals::listen(server.stopper(), reloading)?;
    let data = std::path::absolute(&settings.data)?;
    let (recovery, recovery_time) = server.recovery();
    tracing::info!(
        address = %server.address(),
        data = %data.display(),
        media = %list(server.media_addresses()),
        records = recovery.records,
        recovery_ms = recovery_time.as_millis() as u64,
        "listening"
    );
    // Keys that the server keeps itself close it, too.
    let reach = match server.is_open() {
        true => Reach::of(&settings, server.address()),
        false => Reach::Keys,
    };
    match log_format {
        // A closed stderr is no reason not to serve.
        LogFormat::Text => {
            let url = base_url(&settings, server.address());
            let _ = print_greeting(
                &mut io::stderr(),
                &url,
                &data,
                server.media_addresses(),
                reach,
            );
        }
        LogFormat::Json => {
            if let Some(warning) = reach.warning() {
                tracing::warn!("{warning}");
            }
        }
    }
    server.run()?;
    tracing::info!("stopped");
    Ok(())
}

/// Starts the log; returns what changes its filter.
fn start_log(config: &Config) -> anyhow::Result<SetFilter> {
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(&config.arguments.log)?)
        // Where nobody reads the log any more, the server goes on, and still hears its signals.
        .log_internal_errors(false)
        .with_writer(io::stderr);
    match config.arguments.log_format {
        LogFormat::Text => {
            use std::io::IsTerminal;
            let is_terminal = io::stderr().is_terminal();
            let log = log.with_ansi(is_terminal).with_target(false);
            let log = log.with_filter_reloading();
            let filter = log.reload_handle();
            log.init();
            Ok(Box::new(move |new| filter.reload(new)))
        }
        LogFormat::Json => {
            let log = log.json().flatten_event(true).with_filter_reloading();
            let filter = log.reload_handle();
            log.init();
            Ok(Box::new(move |new| filter.reload(new)))
        }
    }
}

fn list(addresses: &[SocketAddr]) -> String {
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    match addresses.is_empty() {
        true => "off".to_owned(),
        false => addresses.join(", "),
    }
}

fn base_url(settings: &Settings, address: SocketAddr) -> String {
    let scheme = if settings.tls.is_some() {
        "https"
    } else {
        "http"
    };
    format!("{scheme}://{address}")
}

fn print_greeting(
    out: &mut impl Write,
    base: &str,
    data: &Path,
    media: &[SocketAddr],
    reach: Reach,
) -> io::Result<()> {
    let url = format!("{base}/v1/stream/hello");
    write!(
        out,
        "\n  Floe listens on {base} and keeps its data in {}\n\n",
        data.display()
    )?;
    if !media.is_empty() {
        write!(
            out,
            "  Voice rooms carry sound and pictures over UDP {}\n\n",
            list(media)
        )?;
    }
    if let Some(warning) = reach.warning() {
        write!(out, "  ! {warning}\n\n")?;
    }
    write!(
        out,
        "  Try, in another terminal:\n    \
         curl -X PUT {url} -H 'content-type: text/plain'\n    \
         curl {url} -H 'content-type: text/plain' -d 'first message'\n    \
         curl -N '{url}?offset=-1&live=sse'\n\n  \
         Ctrl-C stops it.\n\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use floe_server::TlsSettings;

    fn greet(reach: Reach) -> String {
        let mut out = Vec::new();
        let data = Path::new("/srv/floe-data");
        let media = ["127.0.0.1:4437".parse().unwrap()];
        print_greeting(&mut out, "http://127.0.0.1:4437", data, &media, reach).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_greeting_names_the_folder_and_three_commands() {
        let text = greet(Reach::Keys);
        assert_eq!(text.matches("http://127.0.0.1:4437").count(), 4, "{text}");
        assert!(text.contains("data in /srv/floe-data\n"), "{text}");
        assert!(text.contains("over UDP 127.0.0.1:4437\n"), "{text}");
        assert_eq!(text.matches("    curl ").count(), 3, "{text}");
        assert!(!text.contains("everything"), "{text}");
    }

    #[test]
    fn the_greeting_says_loudly_who_may_do_everything() {
        let text = greet(Reach::Machine);
        assert!(text.contains("\n  ! Everyone on this machine may do everything"));
        let text = greet(Reach::World);
        assert!(text.contains("\n  ! Everyone who reaches this address may do everything"));
    }

    #[test]
    fn the_greeting_says_https_where_the_port_speaks_tls() {
        let address = "127.0.0.1:4437".parse().unwrap();
        let mut settings = Settings::default();
        assert_eq!(base_url(&settings, address), "http://127.0.0.1:4437");
        settings.tls = Some(TlsSettings {
            certificate: "a.pem".into(),
            key: "b.pem".into(),
        });
        assert_eq!(base_url(&settings, address), "https://127.0.0.1:4437");
    }
}
