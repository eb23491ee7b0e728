//! The settings of `floe serve`, from every place that they may stand in.
//!
//! A flag goes before an environment variable, that before the file, and that before the default.
//! The file has no list of settings of its own: its keys are the flags of the command line, and
//! what it says is given to the command line's parser, so that names, types and bounds stand once.

mod access;
mod command;
mod file;
mod key;
mod limits;
mod origin;
mod print;
mod problem;
mod setting;
mod tables;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::builder::Resettable;
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches};
use floe_server::{AccessSettings, Settings};

use crate::cli::Cli;
use crate::serve::{self, ServeArguments};

pub use command::{ConfigCommand, run};
pub use key::key_of;
pub use origin::Origin;
pub use problem::{Problem, Problems};
pub use setting::Setting;
pub use tables::FileTables;

use self::file::ConfigFile;

/// The command line, and with it where settings stand. They can be read again from there.
#[derive(Debug, Clone)]
pub struct Sources {
    arguments: Vec<OsString>,
}

/// Settings that are as they must be, and where each of them stands.
#[derive(Debug)]
pub struct Config {
    /// The flags, as if all had been given as such.
    pub arguments: ServeArguments,
    /// What only the file can say.
    pub tables: FileTables,
    /// Whom the server believes, as the tables say.
    access: AccessSettings,
    /// Every setting of the command line, and every table of the file.
    pub all: Vec<Setting>,
    /// What is odd, and no reason not to start.
    pub warnings: Vec<String>,
    /// The file they were read from.
    pub file: Option<PathBuf>,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The command line is not as it must be, or asks for help.
    #[error(transparent)]
    CommandLine(#[from] clap::Error),
    /// Something else is not as it must be.
    #[error(transparent)]
    Problems(#[from] Problems),
}

impl Sources {
    /// Takes the arguments of the process, the program's name first.
    pub const fn new(arguments: Vec<OsString>) -> Self {
        Self { arguments }
    }

    /// Parses the command line alone, without what the file may add to it.
    ///
    /// # Errors
    /// The parser's, which knows how to exit.
    pub fn command_line(&self) -> Result<Cli, clap::Error> {
        let mut command = without_relations(Cli::command());
        let matches = command.try_get_matches_from_mut(&self.arguments)?;
        Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }

    /// Reads all settings: the command line, the environment, and the file that one of them names.
    ///
    /// # Errors
    /// See [`ConfigError`]; of a file it has all problems at once.
    pub fn load(&self) -> Result<Config, ConfigError> {
        let serve = serve_command();
        let mut command = without_relations(Cli::command());
        let matches = command.try_get_matches_from_mut(&self.arguments)?;
        let (given, depth) = innermost(&matches);
        let path = given.get_one::<PathBuf>("config").cloned();
        let text = match &path {
            Some(path) => file::read(path)?,
            None => String::new(),
        };
        let mut problems = Problems::default();
        let name = path.as_deref().unwrap_or(Path::new(""));
        let file: ConfigFile = ConfigFile::parse(name, &text, &serve, &mut problems);
        let entries = file.entries_behind(given);

        let mut arguments = self.arguments.clone();
        let from_file = entries.iter().flat_map(|entry| &entry.arguments);
        let at = arguments.len().min(1 + depth);
        arguments.splice(at..at, from_file.map(OsString::from));
        let mut command = Cli::command();
        let matches = match command.try_get_matches_from_mut(arguments) {
            Ok(matches) => matches,
            // What each entry says is good, so it is the entries together that are not.
            Err(error) if path.is_some() => {
                if problems.is_empty() {
                    problems.push(Origin::of_file(name), problem::of_clap(&error));
                }
                return Err(problems.into());
            }
            Err(error) => return Err(error.into()),
        };
        let (matches, _) = innermost(&matches);
        let mut all = Vec::new();
        for argument in serve.get_arguments().filter(|one| key_of(one).is_some()) {
            let id = argument.get_id().as_str();
            let origin = match entries.iter().find(|entry| entry.id == id) {
                Some(entry) => entry.origin.clone(),
                None => Origin::of_argument(argument, given),
            };
            all.push(Setting::of(argument, matches, origin));
        }
        all.extend(file.table_settings());
        let origin = |name: &str| {
            let found = all.iter().find(|setting: &&Setting| setting.key == name);
            found.map_or(Origin::Default, |setting| setting.origin.clone())
        };
        let access = file
            .tables
            .access(|name, message| problems.push(origin(name), message));
        let config = Config {
            access,
            arguments: ServeArguments::from_arg_matches(matches)?,
            tables: file.tables,
            all,
            warnings: problem::odd_variables(&serve),
            file: path,
        };
        serve::look_for_problems(&config, &mut problems);
        problems.none_or(config).map_err(ConfigError::from)
    }
}

impl Config {
    /// Returns what the server is started with.
    pub fn settings(&self) -> Settings {
        // A table that is added here has to be used.
        let FileTables {
            limits,
            namespace,
            // They were read with the files that they name.
            jwt: _,
            access_webhook: _,
        } = &self.tables;
        Settings {
            access: self.access.clone(),
            quotas: limits.quotas(namespace),
            ..self.arguments.settings()
        }
    }

    /// Returns where a setting stands.
    pub fn origin(&self, key: &str) -> Origin {
        let found = self.all.iter().find(|setting| setting.key == key);
        found.map_or(Origin::Default, |setting| setting.origin.clone())
    }
}

/// Returns the command whose arguments are the settings.
pub fn serve_command() -> Command {
    let command = Cli::command();
    let serve = command.find_subcommand("serve");
    serve.cloned().unwrap_or(command)
}

/// Returns the matches of the innermost command, and how many words named it.
fn innermost(matches: &ArgMatches) -> (&ArgMatches, usize) {
    let (mut matches, mut depth) = (matches, 0);
    while let Some((_, inner)) = matches.subcommand() {
        matches = inner;
        depth += 1;
    }
    (matches, depth)
}

/// Takes away what one argument says about others: they may be in the file.
fn without_relations(mut command: Command) -> Command {
    let names = ["serve", "config"];
    for name in names {
        command = command.mut_subcommand(name, relax);
    }
    command
}

fn relax(command: Command) -> Command {
    let subcommands: Vec<_> = command
        .get_subcommands()
        .map(|one| one.get_name().to_owned())
        .collect();
    let mut command = command.mut_args(|argument| {
        argument
            .requires(Resettable::Reset)
            .required_unless_present(Resettable::Reset)
    });
    for name in subcommands {
        command = command.mut_subcommand(name, relax);
    }
    command
}

#[cfg(test)]
mod tests;
