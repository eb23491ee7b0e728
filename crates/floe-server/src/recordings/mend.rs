//! Recordings that a crash left: what is whole of them is kept.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use floe_media::recording::{PAGE_BYTES_MAX, PAGE_HEADER, Whole};
use serde_json::json;

use super::folder::{Folder, Kept, NEW};
use super::index::{self, Index, Why};

/// Ends a recording that was under way when the server ended, and returns what it holds; `None` where
/// there is nothing of it.
pub fn mend(folder: &Folder) -> io::Result<Option<Index>> {
    let begun = match folder.begun() {
        Ok(begun) => begun,
        Err(error) if is_nothing(&error) => {
            folder.remove()?;
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for (name, user) in &begun.files {
        let (path, new) = (folder.file(name), folder.file(&format!("{name}{NEW}")));
        if new.exists() {
            fs::rename(&new, &path)?;
        }
        match mend_file(&path) {
            Ok(whole) if whole.is_heard() => files.push(index::File {
                user: Arc::from(&**user),
                name: name.clone(),
                bytes: fs::metadata(&path)?.len(),
                duration_ms: whole.duration_ms(),
            }),
            Ok(_) => fs::remove_file(&path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let longest = files.iter().map(|file| file.duration_ms).max();
    let index = Index {
        recording: Arc::from(&*folder.recording),
        started_at: begun.started_at,
        ended_at: begun.started_at.plus(longest.unwrap_or_default()),
        why: Why::Interrupted,
        files,
        dropped: 0,
        left_out: false,
    };
    let kept = Kept {
        ended_at: index.ended_at,
        is_stored: false,
        shown: index.shown(),
    };
    folder.end(&kept, &json!([]))?;
    Ok(Some(index))
}

/// Whether nothing was ever noted of a recording.
fn is_nothing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::InvalidData
    )
}

/// Cuts a file off where it is not whole any more, and ends it there.
fn mend_file(path: &Path) -> io::Result<Whole> {
    let mut whole = Whole::default();
    let mut options = File::options();
    let mut file = options.read(true).write(true).open(path)?;
    let mut reader = BufReader::with_capacity(PAGE_BYTES_MAX, &file);
    while let Some(page) = next_page(&mut reader)? {
        if !whole.page(&page) {
            break;
        }
    }
    file.set_len(whole.bytes())?;
    if let Some(end) = whole.end().filter(|_| whole.is_heard()) {
        file.seek(SeekFrom::End(0))?;
        file.write_all(&end)?;
    }
    file.sync_all()?;
    Ok(whole)
}

/// Reads what looks like a page; `None` where nothing more does.
fn next_page(reader: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut page = vec![0; PAGE_HEADER];
    if !fill(reader, &mut page, 0)? {
        return Ok(None);
    }
    let Some(header_len) = Whole::header_len(&page) else {
        return Ok(None);
    };
    page.resize(header_len, 0);
    if !fill(reader, &mut page, PAGE_HEADER)? {
        return Ok(None);
    }
    page.resize(Whole::page_len(&page), 0);
    let is_whole = fill(reader, &mut page, header_len)?;
    Ok(is_whole.then_some(page))
}

/// Fills a buffer from a place on; `false` where there is not so much.
fn fill(reader: &mut impl Read, buffer: &mut [u8], from: usize) -> io::Result<bool> {
    match reader.read_exact(&mut buffer[from..]) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
