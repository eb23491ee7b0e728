//! `floe inspect`: what a data folder holds.

mod contents;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use floe_log::{DirDisk, ObjectStore, Verified};
use floe_server::open_store;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::exit::CheckFailed;
use crate::serve::StoreArguments;
use contents::Contents;

/// Show what a data folder holds, without changing it.
///
/// A server may have the folder open meanwhile.
#[derive(Debug, Args)]
pub struct InspectArguments {
    /// The folder, as given to `floe serve --data`.
    folder: PathBuf,
    /// Check all checksums and say what is damaged; exit with 3 if something is.
    ///
    /// Of cold segments only what is in the folder is checked, unless --cold says where the rest is.
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    store: StoreArguments,
    /// List at most this many streams, oldest first.
    #[arg(long, default_value_t = 100, value_name = "N")]
    streams: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Checks the folder if that was asked for, and prints what it holds.
pub fn run(arguments: &InspectArguments) -> anyhow::Result<()> {
    let folder = &arguments.folder;
    let disk = DirDisk::existing(folder).with_context(|| cannot("open", folder))?;
    if arguments.verify {
        let store = open_store(&arguments.store.settings())?;
        let verified = verify(&disk, store).with_context(|| cannot("check", folder))?;
        let damage = verified.damage.len();
        print_verified(&verified, arguments.json)?;
        return match damage {
            0 => Ok(()),
            damage => Err(CheckFailed(format!("{damage} places are damaged")).into()),
        };
    }
    let contents =
        Contents::read(disk, arguments.streams).with_context(|| cannot("read", folder))?;
    let mut out = io::stdout().lock();
    match arguments.json {
        true => {
            serde_json::to_writer_pretty(&mut out, &contents)?;
            writeln!(out)?;
        }
        false => contents.print(&mut out)?,
    }
    Ok(out.flush()?)
}

fn verify(disk: &DirDisk, store: Option<Arc<dyn ObjectStore>>) -> anyhow::Result<Verified> {
    // Drawn only on a terminal.
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = "{wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
    bar.set_style(ProgressStyle::with_template(style)?);
    let verified = floe_log::verify(disk, store, &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    Ok(verified?)
}

fn print_verified(verified: &Verified, json: bool) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        let damage: Vec<_> = verified
            .damage
            .iter()
            .map(|corrupt| {
                serde_json::json!({
                    "file": corrupt.file, "at": corrupt.at, "what": corrupt.what,
                })
            })
            .collect();
        let all = serde_json::json!({
            "bytes": verified.bytes,
            "objects_checked": verified.objects_checked,
            "objects_unchecked": verified.objects_unchecked,
            "damage": damage,
        });
        serde_json::to_writer_pretty(&mut out, &all)?;
        writeln!(out)?;
        return Ok(out.flush()?);
    }
    for corrupt in &verified.damage {
        writeln!(out, "{corrupt}")?;
    }
    if verified.damage.is_empty() {
        writeln!(out, "{} bytes checked, all as written", verified.bytes)?;
    }
    if verified.objects_checked > 0 {
        writeln!(
            out,
            "{} cold segments checked in the store",
            verified.objects_checked
        )?;
    }
    if verified.objects_unchecked > 0 {
        writeln!(
            out,
            "{} cold segments not checked in the store: --cold says where it is",
            verified.objects_unchecked
        )?;
    }
    Ok(out.flush()?)
}

fn cannot(what: &str, folder: &Path) -> String {
    format!("cannot {what} {}", folder.display())
}
