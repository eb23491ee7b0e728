//! The command line, as plain data.

use clap::{Parser, Subcommand};

use crate::bench::BenchArguments;

/// Durable realtime streams: a server and its tools in one binary.
#[derive(Debug, Parser)]
#[command(version, after_help = crate::exit::LIST)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Put a server under load and measure it.
    #[command(after_help = crate::bench::EXAMPLES)]
    Bench(BenchArguments),
}
