//! Where the files of the embedded replica are.

use std::io;
use std::path::{Path, PathBuf};

/// The folder with a file for each namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedFolder(PathBuf);

const SUFFIX: &str = ".sqlite";
/// What SQLite keeps beside a file.
const BESIDE: [&str; 3] = ["", "-wal", "-shm"];
/// The file that says that everything is here: the log's end, and the namespaces that have a file.
const COMPLETE: &str = "complete";

impl EmbeddedFolder {
    /// Names the folder; nothing is made.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Returns the path of the file of a namespace.
    ///
    /// No name of a namespace holds a `/` or begins with a `.`, so it names a file in the folder.
    #[must_use]
    pub fn file(&self, namespace: &str) -> PathBuf {
        self.0.join(format!("{namespace}{SUFFIX}"))
    }

    /// Returns whether a namespace has a file.
    #[must_use]
    pub fn has(&self, namespace: &str) -> bool {
        self.file(namespace).exists()
    }

    /// Returns the namespaces that have a file, in order.
    ///
    /// # Errors
    /// The file system's; a folder that is not there has none.
    pub fn namespaces(&self) -> io::Result<Vec<String>> {
        let entries = match std::fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut namespaces = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let namespace = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
            namespaces.extend(namespace.map(str::to_owned));
        }
        namespaces.sort_unstable();
        Ok(namespaces)
    }

    /// Removes the file of a namespace.
    ///
    /// # Errors
    /// The file system's.
    pub fn remove(&self, namespace: &str) -> io::Result<()> {
        for suffix in BESIDE {
            let mut path = self.file(namespace).into_os_string();
            path.push(suffix);
            remove(Path::new(&path))?;
        }
        Ok(())
    }

    /// Returns what [`mark`](Self::mark) noted; 0 where a file came or went since.
    pub(super) fn watermark(&self) -> io::Result<u64> {
        let noted = match std::fs::read_to_string(self.0.join(COMPLETE)) {
            Ok(noted) => noted,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error),
        };
        let mut lines = noted.lines();
        let watermark = lines.next().and_then(|line| line.parse().ok());
        let is_whole = lines.eq(self.namespaces()?.iter().map(String::as_str));
        Ok(watermark.filter(|_| is_whole).unwrap_or(0))
    }

    /// Notes that everything is here up to the log's end.
    pub(super) fn mark(&self, watermark: u64) -> io::Result<()> {
        let namespaces = self.namespaces()?;
        if namespaces.is_empty() {
            // What holds nothing needs no folder; a start that finds none looks at all rooms.
            return Ok(());
        }
        let noted = format!("{watermark}\n{}\n", namespaces.join("\n"));
        std::fs::write(self.0.join(COMPLETE), noted)
    }

    /// Takes the note back.
    pub(super) fn unmark(&self) -> io::Result<()> {
        remove(&self.0.join(COMPLETE))
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
