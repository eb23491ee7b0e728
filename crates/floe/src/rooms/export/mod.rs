//! `floe export`: the tables of a room into a file.

mod output;
mod pages;
mod write;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, ValueEnum};
use floe_client::rooms::{Room, SchemaColumn};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::RoomArguments;
use output::Output;
use pages::Pages;
use write::Writer;

/// Write the rows of a room's tables into a file.
///
/// The rows come in pages, by their key; what changes meanwhile is there as it was when its page was read,
/// which is said at the end. `--format sqlite` is all tables at one moment. Without --table, JSON is one
/// object with an array for each table, and NDJSON has objects `{"table": …, "row": …}`.
#[derive(Debug, Args)]
pub struct ExportArguments {
    #[command(flatten)]
    room: RoomArguments,
    /// The table; without it all tables, which CSV cannot hold.
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
    /// What is written.
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
    /// The file, which is there once it is whole; without it stdout.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What a cell of CSV has in it that is NULL.
    #[arg(long, value_name = "TEXT", default_value = "")]
    null: String,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Cells, with the names of the columns in the first line.
    Csv,
    /// An array of objects.
    Json,
    /// One object a line.
    Ndjson,
    /// A SQLite file with all tables.
    Sqlite,
}

/// Exports.
pub async fn run(arguments: &ExportArguments) -> anyhow::Result<()> {
    match (arguments.format, &arguments.table) {
        (Format::Sqlite, Some(_)) => bail!("a SQLite file has all tables: leave out --table"),
        (Format::Sqlite, None) if arguments.output.is_none() && io::stdout().is_terminal() => {
            bail!("a SQLite file is nothing to look at: --output says where it goes")
        }
        (Format::Csv, None) => bail!("CSV is of one table: --table says of which"),
        (Format::Csv | Format::Json | Format::Ndjson, _) | (Format::Sqlite, None) => {}
    }
    let mut tables = arguments.room.first_contact()?.schema().await?;
    let room = arguments.room.patient()?;
    if let Some(wanted) = &arguments.table {
        tables.retain(|name, _| name.eq_ignore_ascii_case(wanted));
        if tables.is_empty() {
            bail!("the room has no table `{wanted}`");
        }
    }
    let mut output = Output::open(arguments.output.as_deref())?;
    if arguments.format == Format::Sqlite {
        backup(&room, &mut output).await?;
    } else {
        rows(arguments, &room, &tables, &mut output).await?;
    }
    output.finish()
}

async fn backup(room: &Room, output: &mut Output) -> anyhow::Result<()> {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template(
        "{spinner} {bytes}, {bytes_per_sec}",
    )?);
    let mut backup = room.backup().await?;
    while let Some(bytes) = backup.next().await? {
        output.write_all(&bytes)?;
        bar.inc(bytes.len() as u64);
    }
    bar.finish_and_clear();
    Ok(())
}

async fn rows(
    arguments: &ExportArguments,
    room: &Room,
    tables: &BTreeMap<String, Vec<SchemaColumn>>,
    output: &mut Output,
) -> anyhow::Result<()> {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template(
        "{spinner} {human_pos} rows, {per_sec}",
    )?);
    let is_one = arguments.table.is_some();
    let mut writer = match arguments.format {
        Format::Json => Writer::json(output, is_one),
        Format::Ndjson => Writer::ndjson(output, is_one),
        Format::Csv | Format::Sqlite => Writer::csv(output, &arguments.null),
    };
    let mut seqs = None;
    for (table, columns) in tables {
        writer.begin(table, columns)?;
        let mut pages = Pages::new(room, table, columns);
        while let Some(page) = pages.next().await? {
            let (first, last) = seqs.unwrap_or((page.seq, page.seq));
            seqs = Some((first, page.seq.max(last)));
            bar.inc(page.rows.len() as u64);
            for row in page.rows {
                writer.row(row)?;
            }
        }
        writer.end()?;
    }
    writer.finish()?;
    bar.finish_and_clear();
    if let Some((first, last)) = seqs.filter(|(first, last)| first != last) {
        eprintln!("floe: the room changed meanwhile, from seq {first} to {last}");
    }
    Ok(())
}
