//! The `floe` binary.

mod bench;
mod cli;
mod exit;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Bench(arguments) => bench::run(&arguments),
    };
    exit::code_of(result)
}
