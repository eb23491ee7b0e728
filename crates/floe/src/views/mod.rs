//! `floe views`: the SQL side of a data folder.

mod rebuild;

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Look after the SQL view of channels.
#[derive(Debug, Args)]
pub struct ViewsArguments {
    #[command(subcommand)]
    command: ViewsCommand,
}

#[derive(Debug, Subcommand)]
enum ViewsCommand {
    /// Make the view again from the log.
    ///
    /// A server may have the folder open meanwhile: it answers from the old view until the new one
    /// is complete, takes that one seconds later, and catches up with what came in between.
    Rebuild {
        /// The folder, as given to `floe serve --data`.
        folder: PathBuf,
        /// Leave out the index of words.
        #[arg(long)]
        no_words: bool,
        /// Make the index of parts of words, too; the server must have it switched on.
        #[arg(long)]
        trigrams: bool,
    },
}

/// Does what the command says.
pub fn run(arguments: &ViewsArguments) -> anyhow::Result<()> {
    match &arguments.command {
        ViewsCommand::Rebuild {
            folder,
            no_words,
            trigrams,
        } => {
            let options = floe_views::Options {
                words: !no_words,
                trigrams: *trigrams,
                ..floe_views::Options::default()
            };
            rebuild::run(folder, &options)
        }
    }
}
