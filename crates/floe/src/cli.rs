//! The command line, as plain data.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use crate::admin::key::KeyArguments;
use crate::admin::namespace::NamespaceArguments;
use crate::admin::token::TokenArguments;
use crate::append::AppendArguments;
use crate::bench::BenchArguments;
use crate::config::ConfigCommand;
use crate::inspect::InspectArguments;
use crate::rooms::export::ExportArguments;
use crate::rooms::import::ImportArguments;
use crate::rooms::sql::SqlArguments;
use crate::serve::ServeArguments;
use crate::tail::TailArguments;
use crate::views::ViewsArguments;

/// Durable realtime streams: a server and its tools in one binary.
///
/// Without a command, `floe` serves: its options are those of `floe serve`.
#[derive(Debug, Parser)]
#[command(name = "floe", version, after_help = crate::exit::LIST)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve streams from a folder (the default command).
    Serve(Box<ServeArguments>),
    /// Print a stream, and then what comes.
    Tail(TailArguments),
    /// Append stdin to a stream.
    Append(AppendArguments),
    /// Ask the tables of a room in SQL.
    Sql(SqlArguments),
    /// Insert the rows of a file into a table of a room.
    Import(ImportArguments),
    /// Write the rows of a room's tables into a file.
    Export(ExportArguments),
    /// Show what a data folder holds, without changing it.
    Inspect(InspectArguments),
    /// Look after the SQL view of channels.
    Views(ViewsArguments),
    /// Check and show the settings of the server.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Make, list and delete namespaces of a server.
    Namespace(NamespaceArguments),
    /// Make, list, rotate and delete API keys of a server.
    Key(KeyArguments),
    /// Have a server sign tokens, share links and invitations.
    Token(TokenArguments),
    /// Put a server under load and measure it.
    #[command(after_help = crate::bench::EXAMPLES)]
    Bench(BenchArguments),
    /// Print the completions of a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page, or write one page per command into a folder.
    Man {
        /// Folder for the pages.
        directory: Option<PathBuf>,
    },
}

/// Returns the arguments with the default command put in where none is.
pub fn with_default_command(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<_> = arguments.collect();
    let is_serve = match arguments.get(1) {
        None => true,
        Some(first) => {
            let first = first.to_string_lossy();
            first.starts_with('-') && !["-h", "--help", "-V", "--version"].contains(&&*first)
        }
    };
    if is_serve {
        let at = arguments.len().min(1);
        arguments.insert(at, "serve".into());
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_command_it_serves() {
        for (given, expected) in [
            ("floe", "floe serve"),
            ("floe --data x", "floe serve --data x"),
            ("floe --help", "floe --help"),
            ("floe tail --json", "floe tail --json"),
            ("floe help", "floe help"),
        ] {
            let found = with_default_command(given.split(' ').map(OsString::from));
            let expected: Vec<_> = expected.split(' ').map(OsString::from).collect();
            assert_eq!(found, expected);
        }
    }
}
