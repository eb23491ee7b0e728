//! The bytes of a file, counted, with a bound on one row.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use anyhow::Context;

use super::lines::Lines;

/// Longest row that is read.
pub const ROW_BYTES_MAX: u64 = 8 << 20;

/// What is read, and how far.
pub struct Input {
    source: Box<dyn Read>,
    at: Rc<Position>,
}

/// How far an [`Input`] is.
#[derive(Debug, Default)]
pub struct Position {
    read: Cell<u64>,
    /// Where the row that is being read must have ended.
    limit: Cell<u64>,
    /// Lines of what was read, where somebody asks for them.
    lines: RefCell<Option<Lines>>,
}

impl Position {
    /// Returns how many bytes were read.
    pub fn bytes(&self) -> u64 {
        self.read.get()
    }

    /// Counts lines from here on.
    pub fn count_lines(&self) {
        *self.lines.borrow_mut() = Some(Lines::default());
    }

    /// Returns the line of a byte that was read, as [`Lines::of`] has it; 0 where nobody counts.
    pub fn line_of(&self, at: u64) -> u64 {
        let mut lines = self.lines.borrow_mut();
        lines.as_mut().map_or(0, |lines| lines.of(at))
    }

    /// A row begins about here.
    pub fn begin_row(&self) {
        self.limit.set(self.read.get() + ROW_BYTES_MAX);
    }
}

impl Input {
    /// Opens a file, or stdin for `-`; returns how long it is, if that is known.
    pub fn open(path: &Path) -> anyhow::Result<(Self, Option<u64>)> {
        if path == Path::new("-") {
            return Ok((Self::new(io::stdin().lock())?, None));
        }
        let context = || format!("cannot read {}", path.display());
        let file = File::open(path).with_context(context)?;
        let metadata = file.metadata().with_context(context)?;
        let len = metadata.is_file().then_some(metadata.len());
        Ok((Self::new(file).with_context(context)?, len))
    }

    /// Reads from `source`; what marks text as UTF-8 at its start is no part of it.
    pub fn new(mut source: impl Read + 'static) -> io::Result<Self> {
        let mut start = Vec::new();
        source
            .by_ref()
            .take(MARK.len() as u64)
            .read_to_end(&mut start)?;
        let at = Rc::new(Position::default());
        if start == MARK {
            at.read.set(MARK.len() as u64);
            start.clear();
        }
        at.begin_row();
        let source = Box::new(BufReader::new(io::Cursor::new(start).chain(source)));
        Ok(Self { source, at })
    }

    /// Returns what tells how far it is.
    pub fn position(&self) -> Rc<Position> {
        Rc::clone(&self.at)
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.source.read(buffer)?;
        let read = self.at.read.get() + len as u64;
        self.at.read.set(read);
        if let Some(lines) = self.at.lines.borrow_mut().as_mut() {
            lines.read(buffer.get(..len).unwrap_or_default());
        }
        match read > self.at.limit.get() + SLACK {
            true => Err(io::Error::other(format!(
                "a row is longer than {ROW_BYTES_MAX} bytes"
            ))),
            false => Ok(len),
        }
    }
}

/// The byte order mark.
const MARK: &[u8] = b"\xef\xbb\xbf";
/// What a buffer may have read beyond a row.
const SLACK: u64 = 256 << 10;
