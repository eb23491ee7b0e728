//! Where an export goes.

use std::fs::File;
use std::io::{self, BufWriter, Stdout, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Stdout, or a file that gets its name when it is whole.
pub enum Output {
    Stdout(BufWriter<Stdout>),
    File {
        file: BufWriter<File>,
        unfinished: PathBuf,
        path: PathBuf,
    },
}

impl Output {
    pub fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else {
            return Ok(Self::Stdout(BufWriter::new(io::stdout())));
        };
        let mut name = path
            .file_name()
            .with_context(|| format!("{} is no name of a file", path.display()))?
            .to_owned();
        name.push(".part");
        let unfinished = path.with_file_name(name);
        let file = File::create(&unfinished)
            .with_context(|| format!("cannot write to {}", unfinished.display()))?;
        Ok(Self::File {
            file: BufWriter::new(file),
            unfinished,
            path: path.to_owned(),
        })
    }

    /// All is written.
    pub fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Stdout(mut out) => out.flush()?,
            Self::File {
                mut file,
                unfinished,
                path,
            } => {
                file.flush()?;
                file.get_ref().sync_all()?;
                std::fs::rename(&unfinished, &path)
                    .with_context(|| format!("cannot write to {}", path.display()))?;
            }
        }
        Ok(())
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::File { file, .. } => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::File { file, .. } => file.flush(),
        }
    }
}
