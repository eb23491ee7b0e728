//! Where a setting stands.

use std::path::Path;
use std::sync::Arc;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches};

/// Where a setting stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere.
    Default,
    /// In the file.
    File {
        /// The file, as it was named.
        file: Arc<str>,
        /// The line, from 1; `None` for the file as a whole.
        line: Option<usize>,
    },
    /// In this environment variable.
    Environment(String),
    /// On the command line, as this flag.
    Flag(String),
}

impl Origin {
    /// Returns the file as a whole.
    pub fn of_file(file: &Path) -> Self {
        let file = file.display().to_string().into();
        Self::File { file, line: None }
    }

    /// Returns where an argument stands that is not in the file.
    pub fn of_argument(argument: &Arg, given: &ArgMatches) -> Self {
        match given.value_source(argument.get_id().as_str()) {
            Some(ValueSource::CommandLine) => {
                Self::Flag(argument.get_long().unwrap_or_default().to_owned())
            }
            Some(ValueSource::EnvVariable) => {
                let variable = argument.get_env().unwrap_or_default();
                Self::Environment(variable.to_string_lossy().into_owned())
            }
            _ => Self::Default,
        }
    }

    /// Returns its name in `floe config print`.
    pub fn describe(&self) -> String {
        match self {
            Self::Default => "default".to_owned(),
            Self::File { .. } => format!("file {}", self.place()),
            Self::Environment(variable) => format!("environment {variable}"),
            Self::Flag(_) => "flag".to_owned(),
        }
    }

    /// Returns the place that a message about it begins with.
    pub fn place(&self) -> String {
        match self {
            Self::Default => "settings".to_owned(),
            Self::File { file, line: None } => file.to_string(),
            Self::File {
                file,
                line: Some(line),
            } => format!("{file}:{line}"),
            Self::Environment(variable) => variable.clone(),
            Self::Flag(flag) => format!("--{flag}"),
        }
    }

    /// Returns the line in the file.
    pub const fn line(&self) -> Option<usize> {
        match self {
            Self::File { line, .. } => *line,
            Self::Default | Self::Environment(_) | Self::Flag(_) => None,
        }
    }
}
