//! The `floe` binary: the server and its tools.

mod admin;
mod append;
mod bench;
mod cli;
mod config;
mod exit;
mod inspect;
mod manual;
mod rooms;
mod serve;
mod tail;
mod views;

use std::process::ExitCode;

use cli::{Cli, Command};
use config::Sources;

fn main() -> ExitCode {
    let arguments = cli::with_default_command(std::env::args_os());
    let sources = Sources::new(arguments);
    match sources.command_line() {
        Ok(cli) => exit::code_of(run(cli, sources)),
        Err(error) => error.exit(),
    }
}

fn run(cli: Cli, sources: Sources) -> anyhow::Result<()> {
    match cli.command {
        Command::Serve(_) => serve::run(sources),
        Command::Config(command) => config::run(&command, &sources),
        Command::Tail(arguments) => on_one_thread(tail::run(&arguments)),
        Command::Append(arguments) => on_one_thread(append::run(&arguments)),
        Command::Sql(arguments) => on_one_thread(rooms::sql::run(&arguments)),
        Command::Import(arguments) => on_one_thread(rooms::import::run(&arguments)),
        Command::Export(arguments) => on_one_thread(rooms::export::run(&arguments)),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Views(arguments) => views::run(&arguments),
        Command::Namespace(arguments) => on_one_thread(admin::namespace::run(&arguments)),
        Command::Key(arguments) => on_one_thread(admin::key::run(&arguments)),
        Command::Token(arguments) => on_one_thread(admin::token::run(&arguments)),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Completions { shell } => manual::print_completions(shell),
        Command::Man { directory } => manual::print_man(directory.as_deref()),
    }
}

/// Runs a tool that waits for the network more than it works.
fn on_one_thread(tool: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(tool);
    // A read of stdin cannot be interrupted: leave it behind.
    runtime.shutdown_background();
    result
}
