//! The file: its keys against the arguments of the command line, its tables against their structs.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::key::{Kind, is_list, is_secret, key_of, says};
use super::origin::Origin;
use super::problem::{self, Problems, suggestion};
use super::setting::Setting;
use super::tables::{FileTables, names_of};

/// What a file says, as far as it is as it must be.
#[derive(Debug)]
pub struct ConfigFile<T = FileTables> {
    entries: Vec<Entry>,
    /// Its tables; none where any of them is wrong.
    pub tables: T,
    table_origins: Vec<(String, Origin)>,
}

/// A key of the file that stands for an argument.
#[derive(Debug)]
pub struct Entry {
    /// Id of the argument.
    pub id: String,
    /// Where the key stands.
    pub origin: Origin,
    /// What would say the same on the command line.
    pub arguments: Vec<String>,
}

/// Bytes of a file. A longer one is refused.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads a file.
///
/// # Errors
/// The operating system's, as the file's problem.
pub fn read(path: &Path) -> Result<String, Problems> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| {
        let mut file = file.take(FILE_BYTES_MAX + 1);
        file.read_to_string(&mut text)
    });
    let mut problems = Problems::default();
    match read {
        Ok(len) if len as u64 > FILE_BYTES_MAX => {
            let message = format!("has more than {FILE_BYTES_MAX} bytes");
            problems.push(Origin::of_file(path), message);
        }
        Ok(_) => {}
        Err(error) => problems.push(Origin::of_file(path), format!("cannot be read: {error}")),
    }
    problems.none_or(text)
}

impl<T: DeserializeOwned + Serialize + Default> ConfigFile<T> {
    /// Parses a file for the command whose arguments it sets; adds to `problems` all that is wrong.
    pub fn parse(path: &Path, text: &str, serve: &Command, problems: &mut Problems) -> Self {
        let lines = Lines {
            file: path.display().to_string().into(),
            text,
        };
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let message = error.message().replace('\n', "; ");
            problems.push(
                lines.origin(error.span().map_or(0, |span| span.start)),
                message,
            );
        }
        let mut file = Self {
            entries: Vec::new(),
            tables: T::default(),
            table_origins: Vec::new(),
        };
        let (table_names, root_span) = (names_of::<T>(), root.span());
        let mut tables = DeTable::new();
        for (name, value) in root.into_inner() {
            let origin = lines.origin(name.span().start);
            let argument = serve
                .get_arguments()
                .find(|one| key_of(one).as_deref() == Some(name.get_ref()));
            if let Some(argument) = argument {
                if let Some(arguments) =
                    arguments_of(argument, name.get_ref(), &value, &lines, problems)
                {
                    file.entries.push(Entry {
                        id: argument.get_id().to_string(),
                        origin,
                        arguments,
                    });
                }
            } else if table_names.contains(&&**name.get_ref()) {
                file.table_origins
                    .push((name.get_ref().to_string(), origin));
                tables.insert(name, value);
            } else {
                let arguments = serve.get_arguments().filter_map(key_of);
                let known = arguments.chain(table_names.iter().map(ToString::to_string));
                let name = name.get_ref();
                let meant = suggestion(name, known);
                problems.push(origin, format!("{name} is no setting{meant}"));
            }
        }
        file.read_tables(tables, root_span, &lines, problems);
        file
    }

    /// Returns the entries that neither a flag nor the environment goes before.
    pub fn entries_behind(&self, given: &ArgMatches) -> Vec<&Entry> {
        let is_given = |entry: &&Entry| {
            matches!(
                given.value_source(&entry.id),
                Some(ValueSource::CommandLine | ValueSource::EnvVariable)
            )
        };
        let entries = self.entries.iter();
        entries.filter(|entry| !is_given(entry)).collect()
    }

    /// Returns the tables that are there, as settings.
    pub fn table_settings(&self) -> Vec<Setting> {
        let values = serde_json::to_value(&self.tables).unwrap_or_default();
        let settings = self.table_origins.iter().map(|(name, origin)| Setting {
            key: name.clone(),
            value: values[name].clone(),
            is_secret: false,
            is_table: true,
            origin: origin.clone(),
        });
        settings.collect()
    }

    fn read_tables(
        &mut self,
        tables: DeTable<'_>,
        span: std::ops::Range<usize>,
        lines: &Lines<'_>,
        problems: &mut Problems,
    ) {
        let deserialize =
            |tables| T::deserialize(Deserializer::from(Spanned::new(span.clone(), tables)));
        let mut is_good = true;
        // One by one, since each ends with its first error.
        for (name, value) in &tables {
            for part in parts_of(value) {
                let mut alone = DeTable::new();
                alone.insert(name.clone(), part);
                if let Err(error) = deserialize(alone) {
                    let at = error.span().unwrap_or_else(|| name.span()).start;
                    let message = error.message().replace('\n', "; ");
                    let meant = suggestion_in(&message);
                    problems.push(
                        lines.origin(at),
                        format!("{}: {message}{meant}", name.get_ref()),
                    );
                    is_good = false;
                }
            }
        }
        if is_good {
            self.tables = deserialize(tables).unwrap_or_default();
        }
    }
}

/// Returns each table of a list of tables as a list of its own.
fn parts_of<'t>(value: &Spanned<DeValue<'t>>) -> Vec<Spanned<DeValue<'t>>> {
    let Some(all) = value.get_ref().as_array().filter(|all| all.len() > 1) else {
        return vec![value.clone()];
    };
    let alone = |one: &Spanned<DeValue<'t>>| {
        let list = std::iter::once(one.clone()).collect();
        Spanned::new(one.span(), DeValue::Array(list))
    };
    all.iter().map(alone).collect()
}

/// Returns what may have been meant, from a message that names what is unknown and what is not.
fn suggestion_in(message: &str) -> String {
    let mut names = message.split('`').skip(1).step_by(2).map(str::to_owned);
    match names.next() {
        Some(found) if message.starts_with("unknown ") => suggestion(&found, names),
        _ => String::new(),
    }
}

/// Returns what would say the same as a key on the command line; `None` where it is wrong.
fn arguments_of(
    argument: &Arg,
    key: &str,
    value: &Spanned<DeValue<'_>>,
    lines: &Lines<'_>,
    problems: &mut Problems,
) -> Option<Vec<String>> {
    let long = argument.get_long()?;
    let list = value.get_ref().as_array().filter(|_| is_list(argument));
    let values = list.map_or_else(|| vec![value], |list| list.iter().collect());
    let mut arguments = Vec::new();
    let mut is_good = true;
    for value in values {
        match text_of(argument, value.get_ref()) {
            Ok(text) => match says(argument) {
                None => arguments.push(format!("--{long}={text}")),
                Some(said) if text == said.to_string() => arguments.push(format!("--{long}")),
                Some(_) => {}
            },
            Err(message) => {
                let origin = lines.origin(value.span().start);
                problems.push(origin, format!("{key}: {message}"));
                is_good = false;
            }
        }
    }
    is_good.then_some(arguments)
}

/// Returns a value as it would stand on the command line, or what is wrong with it.
fn text_of(argument: &Arg, value: &DeValue<'_>) -> Result<String, String> {
    let expected = Kind::of(argument);
    let (found, text) = match value {
        DeValue::String(text) => (Kind::Text, text.to_string()),
        DeValue::Integer(number) => {
            let decimal = i128::from_str_radix(number.as_str(), number.radix());
            (
                Kind::Number,
                decimal.map_or_else(|_| number.to_string(), |number| number.to_string()),
            )
        }
        DeValue::Float(number) => (Kind::Fraction, number.as_str().to_owned()),
        DeValue::Boolean(is_on) => (Kind::Switch, is_on.to_string()),
        DeValue::Datetime(_) => return Err(found_instead(argument, "a date")),
        DeValue::Array(_) => return Err(found_instead(argument, "a list")),
        DeValue::Table(_) => return Err(found_instead(argument, "a table")),
    };
    if !expected.takes(found) {
        let help = match (expected, found) {
            (Kind::Text, _) => "; put it in quotes",
            (_, Kind::Text) => "; it stands without quotes",
            _ => "",
        };
        return Err(format!(
            "expected {}, found {}{help}",
            expected.name(),
            found.name()
        ));
    }
    match says(argument) {
        Some(_) => Ok(text),
        None => parse_alone(argument, &text).map(|()| text),
    }
}

fn found_instead(argument: &Arg, found: &str) -> String {
    let list = if is_list(argument) { ", or a list" } else { "" };
    format!(
        "expected {}{list}, found {found}",
        Kind::of(argument).name()
    )
}

/// Has the command line's parser look at one value alone.
fn parse_alone(argument: &Arg, text: &str) -> Result<(), String> {
    let alone = Arg::new("value")
        .long("value")
        .action(argument.get_action().clone())
        .value_delimiter(argument.get_value_delimiter())
        .value_parser(argument.get_value_parser().clone());
    let command = Command::new("floe").no_binary_name(true).arg(alone);
    match command.try_get_matches_from([format!("--value={text}")]) {
        Ok(_) => Ok(()),
        // A parser may repeat what it was given.
        Err(_) if is_secret(argument) => Err("the value is not one that it takes".to_owned()),
        Err(error) => Err(problem::of_value(argument, text, &error)),
    }
}

/// The lines of a file.
struct Lines<'t> {
    file: Arc<str>,
    text: &'t str,
}

impl Lines<'_> {
    fn origin(&self, at: usize) -> Origin {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Origin::File {
            file: Arc::clone(&self.file),
            line: Some(line),
        }
    }
}
