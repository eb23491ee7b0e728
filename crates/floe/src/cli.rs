//! The command line, as plain data.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use crate::append::AppendArguments;
use crate::bench::BenchArguments;
use crate::tail::TailArguments;

/// Durable realtime streams: a server and its tools in one binary.
#[derive(Debug, Parser)]
#[command(name = "floe", version, after_help = crate::exit::LIST)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print a stream, and then what comes.
    Tail(TailArguments),
    /// Append stdin to a stream.
    Append(AppendArguments),
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
