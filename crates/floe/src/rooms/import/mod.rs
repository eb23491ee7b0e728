//! `floe import`: a file into a table of a room.

mod fit;
mod infer;
mod input;
mod lines;
mod source;
mod values;

use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use floe_client::rooms::{Insert, OnConflict, Room, RoomError, SchemaColumn};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::value::RawValue;
use signal_hook::consts::SIGINT;

use super::RoomArguments;
use crate::exit::CheckFailed;
use fit::Fit;
use input::Input;
use source::{Record, Source};

/// Insert the rows of a file into a table of a room.
///
/// The rows go in batches, each all or nothing, and a batch whose answer was lost is never inserted twice.
/// When it cannot go on, it says at which line, and how many rows are done: --skip goes on from there.
///
/// CSV names its columns in the first line. Its cells are read as the table's columns have it; bytes are
/// base64. An empty cell is NULL; where a column must have a value it is empty text, or left out, so that
/// the table's default or the next number stands there. JSON is an array of objects, or one object after
/// the other.
///
/// With --create a column is INTEGER, REAL or BOOLEAN if all of its values in the first 1000 rows are, REAL
/// if they are numbers, and TEXT otherwise; of JSON it may also be JSON, BLOB, or ANY if they are of several
/// kinds. A column `id` that is INTEGER or TEXT, with another value in each of these rows, becomes
/// the primary key.
#[derive(Debug, Args)]
pub struct ImportArguments {
    #[command(flatten)]
    room: RoomArguments,
    /// The table.
    #[arg(long, value_name = "TABLE")]
    table: String,
    /// The file; - is stdin.
    file: PathBuf,
    /// What the file is; by default its name says that.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Make the table if it is not there.
    #[arg(long)]
    create: bool,
    /// With --create: the columns of the primary key.
    #[arg(
        long,
        value_name = "COLUMNS",
        value_delimiter = ',',
        requires = "create"
    )]
    key: Vec<String>,
    /// Rows of one batch; those of many bytes are fewer.
    #[arg(long, value_name = "N", default_value_t = 1000,
          value_parser = clap::value_parser!(u64).range(1..=10_000))]
    batch: u64,
    /// What happens where the key of a row is taken.
    #[arg(long, value_enum, default_value_t = Conflict::Fail)]
    on_conflict: Conflict,
    /// Insert the rows that can be, and name the others.
    #[arg(long)]
    partial: bool,
    /// Leave out this many rows at the start.
    #[arg(long, value_name = "ROWS", default_value_t = 0)]
    skip: u64,
    /// What a cell of CSV has in it that is NULL.
    #[arg(long, value_name = "TEXT", default_value = "")]
    null: String,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Cells, with the names of the columns in the first line.
    Csv,
    /// An array of objects.
    Json,
    /// One object after the other.
    #[value(alias = "jsonl")]
    Ndjson,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Conflict {
    /// The row that is there gets the values of the new one.
    Update,
    /// The new row fails.
    Fail,
}

/// Imports the file.
pub async fn run(arguments: &ImportArguments) -> anyhow::Result<()> {
    let format = match arguments.format {
        Some(format) => format,
        None => format_of(&arguments.file)?,
    };
    let (input, len) = Input::open(&arguments.file)?;
    let mut source = match format {
        Format::Csv => Source::csv(input)?,
        Format::Json | Format::Ndjson => Source::json(input),
    };
    let interrupted = interruption()?;
    let run = format!("import-{:016x}", crate::append::random_number());
    let bar = bar(len)?;
    let schema = arguments.room.first_contact()?.schema().await;
    let mut schema = match schema {
        // The room comes to be with its first table.
        Err(RoomError::Refused(refused)) if refused.refusal.status == 404 && arguments.create => {
            Default::default()
        }
        schema => schema?,
    };
    let room = arguments.room.patient()?;
    let mut looked_at = VecDeque::new();
    let mut columns = columns_of(&mut schema, &arguments.table);
    if columns.is_none() && arguments.create {
        looked_at = look(&mut source)?;
        let table = infer::table(
            &arguments.table,
            source.header(),
            looked_at.make_contiguous(),
            &arguments.key,
            &arguments.null,
        )?;
        room.create_table(&table, &format!("{run}-table")).await?;
        columns = columns_of(&mut room.schema().await?, &arguments.table);
    }
    let Some(columns) = columns else {
        let table = &arguments.table;
        bail!("the room has no table `{table}`; --create makes it");
    };
    let fit = Fit::new(source.header(), &columns, &arguments.null);
    let fit = fit.map_err(anyhow::Error::msg)?;
    let mut import = Import {
        arguments,
        room,
        run,
        fit,
        bar,
        read: 0,
        done: 0,
        inserted: 0,
        failed: 0,
        batch: Batch::default(),
    };
    let result = import.all(&mut source, looked_at, &interrupted).await;
    import.bar.finish_and_clear();
    if let Err(error) = result {
        let done = import.done;
        return Err(error.context(format!(
            "stopped; the first {done} rows of the file are done, --skip {done} goes on from there"
        )));
    }
    writeln!(io::stdout(), "{} rows inserted", import.inserted)?;
    match import.failed {
        0 => Ok(()),
        failed => Err(CheckFailed(format!("{failed} rows could not be inserted")).into()),
    }
}

/// An import that goes on.
struct Import<'a> {
    arguments: &'a ImportArguments,
    room: Room,
    /// What the changes of this run are called.
    run: String,
    fit: Fit,
    bar: ProgressBar,
    /// Rows of the file that were read.
    read: u64,
    /// Rows at its start that are inserted, skipped, or named as failed.
    done: u64,
    inserted: u64,
    failed: u64,
    batch: Batch,
}

/// Rows that are inserted together.
#[derive(Debug, Default)]
struct Batch {
    /// An array that is not closed.
    json: String,
    /// Where each row begins in the file.
    lines: Vec<u64>,
}

impl Import<'_> {
    async fn all(
        &mut self,
        source: &mut Source,
        mut looked_at: VecDeque<Record>,
        interrupted: &AtomicBool,
    ) -> anyhow::Result<()> {
        loop {
            let record = match looked_at.pop_front() {
                Some(record) => Some(record),
                None => source.next()?,
            };
            let Some(record) = record else {
                return self.send().await;
            };
            if interrupted.load(Ordering::Relaxed) {
                bail!("interrupted");
            }
            self.read += 1;
            if self.read <= self.arguments.skip {
                self.done = self.read;
                continue;
            }
            let line = record.line;
            match self.fit.row(record) {
                Ok(row) => self.batch.add(&row, line),
                Err(why) if self.arguments.partial => self.name_failed(line, &why),
                Err(why) => bail!("line {line}: {why}"),
            }
            if self.batch.is_full(self.arguments.batch) {
                self.send().await?;
                self.bar.set_position(source.bytes());
                self.bar.set_message(format!("{} rows", self.inserted));
            }
        }
    }

    /// Inserts what was gathered; then all that was read is done.
    async fn send(&mut self) -> anyhow::Result<()> {
        let Batch { mut json, lines } = std::mem::take(&mut self.batch);
        if !lines.is_empty() {
            json.push(']');
            let rows = RawValue::from_string(json)?;
            let insert = Insert {
                table: &self.arguments.table,
                rows: &rows,
                rows_count: lines.len() as u64,
                on_conflict: match self.arguments.on_conflict {
                    Conflict::Update => OnConflict::Update,
                    Conflict::Fail => OnConflict::Fail,
                },
                partial: self.arguments.partial,
                update_id: &format!("{}-{}", self.run, self.done),
            };
            let inserted = self.room.insert(&insert).await;
            let inserted = inserted.map_err(|error| located(error, &lines))?;
            self.inserted += inserted.rows;
            for failed in &inserted.failed {
                let line = failed.row.and_then(|row| lines.get(row));
                let line = line.copied().unwrap_or_default();
                self.name_failed(line, &format!("{} ({})", failed.error, failed.code));
            }
            if inserted.unknown > 0 {
                let (first, last) = (lines.first().copied(), lines.last().copied());
                let (first, last) = (first.unwrap_or_default(), last.unwrap_or_default());
                self.failed += inserted.unknown;
                self.say(&format!(
                    "lines {first} to {last}: {} rows were not inserted; the answer that said which was \
                     lost",
                    inserted.unknown
                ));
            }
        }
        self.done = self.read;
        Ok(())
    }

    fn name_failed(&mut self, line: u64, why: &str) {
        self.failed += 1;
        self.say(&format!("line {line}: {why}"));
    }

    fn say(&self, text: &str) {
        self.bar.suspend(|| eprintln!("floe: {text}"));
    }
}

impl Batch {
    fn add(&mut self, row: &str, line: u64) {
        self.json
            .push(if self.lines.is_empty() { '[' } else { ',' });
        self.json.push_str(row);
        self.lines.push(line);
    }

    fn is_full(&self, rows_max: u64) -> bool {
        self.lines.len() as u64 >= rows_max || self.json.len() >= BATCH_BYTES_MAX
    }
}

/// Says where in the file the row stands that was refused.
fn located(error: RoomError, lines: &[u64]) -> anyhow::Error {
    let (first, last) = (lines.first().copied(), lines.last().copied());
    let (first, last) = (first.unwrap_or_default(), last.unwrap_or_default());
    let place = match &error {
        RoomError::Refused(refused) => refused.row.and_then(|row| lines.get(row)),
        RoomError::Unreachable(_) | RoomError::Answer(_) | _ => None,
    };
    let is_in_doubt = !matches!(error, RoomError::Refused(_));
    let error = anyhow::Error::from(error);
    match place {
        Some(line) => error.context(format!("line {line}")),
        None if is_in_doubt => error.context(format!(
            "lines {first} to {last}: nobody knows whether these rows are inserted"
        )),
        None => error.context(format!("lines {first} to {last}")),
    }
}

/// Reads the rows from whose values the columns' types are taken.
fn look(source: &mut Source) -> anyhow::Result<VecDeque<Record>> {
    let mut records = VecDeque::new();
    let start = source.bytes();
    while records.len() < infer::ROWS_MAX && source.bytes() - start < infer::BYTES_MAX {
        let Some(record) = source.next()? else { break };
        records.push_back(record);
    }
    Ok(records)
}

fn columns_of(
    schema: &mut std::collections::BTreeMap<String, Vec<SchemaColumn>>,
    table: &str,
) -> Option<Vec<SchemaColumn>> {
    let name = schema
        .keys()
        .find(|name| name.eq_ignore_ascii_case(table))?;
    let name = name.clone();
    schema.remove(&name)
}

fn format_of(file: &Path) -> anyhow::Result<Format> {
    let ending = file.extension().and_then(|ending| ending.to_str());
    match ending.map(str::to_ascii_lowercase).as_deref() {
        Some("csv") => Ok(Format::Csv),
        Some("json") => Ok(Format::Json),
        Some("ndjson" | "jsonl") => Ok(Format::Ndjson),
        _ => bail!("{} does not say what it is: --format does", file.display()),
    }
}

fn bar(len: Option<u64>) -> anyhow::Result<ProgressBar> {
    let bar = ProgressBar::with_draw_target(len, ProgressDrawTarget::stderr());
    let style = match len {
        Some(_) => "{wide_bar} {bytes} of {total_bytes}, {msg}, {bytes_per_sec}, {eta} left",
        None => "{spinner} {bytes}, {msg}, {bytes_per_sec}",
    };
    bar.set_style(ProgressStyle::with_template(style)?);
    Ok(bar)
}

/// Returns what the first SIGINT sets; a second one ends the process where it stands.
fn interruption() -> anyhow::Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register_conditional_shutdown(SIGINT, 130, Arc::clone(&interrupted))
        .and_then(|_| signal_hook::flag::register(SIGINT, Arc::clone(&interrupted)))
        .context("cannot listen for signals")?;
    Ok(interrupted)
}

/// Bytes of rows after which a batch is sent.
const BATCH_BYTES_MAX: usize = 1 << 20;
