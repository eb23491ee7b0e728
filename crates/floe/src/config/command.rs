//! `floe config`: what the settings are, and whether they are as they must be.

use std::io::{self, Write};

use clap::{Args, Subcommand};

use super::{Config, Sources, print};
use crate::serve::{self, ServeArguments};

/// What to do with the settings.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check the settings as a start would, and name everything that is wrong.
    ///
    /// It takes the options of `floe serve`, and exits with 1 where a start would be refused. It does
    /// not look for keys in the server's log: where a start takes one there, it says so.
    Check(Box<ServeArguments>),
    /// Print every setting with its value and where that stands.
    ///
    /// It takes the options of `floe serve`. Secrets are not shown.
    Print(Box<PrintArguments>),
}

/// How settings are printed.
#[derive(Debug, Args)]
pub struct PrintArguments {
    /// Print one JSON object.
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Print a file that gives the same settings.
    #[arg(long, conflicts_with = "json", help_heading = "Output")]
    toml: bool,
    #[command(flatten)]
    _settings: ServeArguments,
}

/// Runs one of the commands on the settings that `sources` has.
pub fn run(command: &ConfigCommand, sources: &Sources) -> anyhow::Result<()> {
    let config = sources.load()?;
    for warning in &config.warnings {
        eprintln!("floe: {warning}");
    }
    if let Some(problem) = serve::wants_key(&config, config.settings().listen) {
        eprintln!("floe: unless there is a key in its log, the server does not start: {problem}");
    }
    let text = match command {
        ConfigCommand::Check(_) => report(&config),
        ConfigCommand::Print(how) if how.json => print::as_json(&config),
        ConfigCommand::Print(how) if how.toml => print::as_toml(&config),
        ConfigCommand::Print(_) => print::as_text(&config),
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn report(config: &Config) -> String {
    let all = config.all.iter();
    let in_file = all
        .filter(|setting| setting.origin.line().is_some())
        .count();
    match &config.file {
        Some(file) => format!("{} is good: {in_file} settings\n", file.display()),
        None => "the settings are good; there is no file\n".to_owned(),
    }
}
