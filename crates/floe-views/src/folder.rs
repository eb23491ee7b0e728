//! Where the files of a view are, and which of them is the view.

use std::io;
use std::path::{Path, PathBuf};

/// The folder with the files of a view.
///
/// The file with the highest number is the view. A rebuild writes a file beside it and publishes it
/// under the next number, so whoever has the old one open goes on with that until it looks again;
/// and what SQLite keeps beside a file is never taken for another's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder(PathBuf);

const PREFIX: &str = "view-";
const SUFFIX: &str = ".sqlite";
/// What SQLite keeps beside a file.
const BESIDE: [&str; 3] = ["", "-wal", "-shm"];

impl Folder {
    /// Names the folder; nothing is made.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Returns the number of the view's file; `None` if there is none.
    ///
    /// # Errors
    /// The file system's; a folder that is not there is none.
    pub fn newest(&self) -> io::Result<Option<u32>> {
        Ok(self.numbers()?.into_iter().max())
    }

    /// Returns the path of a file.
    #[must_use]
    pub fn file(&self, number: u32) -> PathBuf {
        self.0.join(format!("{PREFIX}{number:06}{SUFFIX}"))
    }

    /// Makes the folder if it is not there, and returns the path of the file that is to be built;
    /// one that was begun before is gone.
    ///
    /// # Errors
    /// The file system's.
    pub fn begin(&self) -> io::Result<PathBuf> {
        std::fs::create_dir_all(&self.0)?;
        let building = self.0.join("building.sqlite");
        remove(&building)?;
        Ok(building)
    }

    /// Makes the file that was built the view; returns its number.
    ///
    /// It must be closed, so that nothing of it is beside it.
    ///
    /// # Errors
    /// The file system's.
    pub fn publish(&self) -> io::Result<u32> {
        let number = self.newest()?.unwrap_or(0) + 1;
        std::fs::rename(self.0.join("building.sqlite"), self.file(number))?;
        Ok(number)
    }

    /// Makes the folder if it is not there.
    ///
    /// # Errors
    /// The file system's.
    pub fn create(&self) -> io::Result<()> {
        std::fs::create_dir_all(&self.0)
    }

    /// Removes files that have come to be of no use: all with a smaller number.
    ///
    /// # Errors
    /// The file system's.
    pub fn remove_before(&self, number: u32) -> io::Result<()> {
        let older = self.numbers()?.into_iter().filter(|older| *older < number);
        for older in older {
            remove(&self.file(older))?;
        }
        Ok(())
    }

    fn numbers(&self) -> io::Result<Vec<u32>> {
        let entries = match std::fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut numbers = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let number = name
                .to_str()
                .and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX))
                .and_then(|digits| digits.parse::<u32>().ok());
            numbers.extend(number);
        }
        Ok(numbers)
    }
}

fn remove(file: &Path) -> io::Result<()> {
    for suffix in BESIDE {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(Path::new(&name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_file_is_the_view_and_older_ones_go() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("view"));
        assert_eq!(folder.newest().unwrap(), None);
        for number in 1..=3 {
            std::fs::write(folder.begin().unwrap(), [number as u8]).unwrap();
            assert_eq!(folder.publish().unwrap(), number);
        }
        std::fs::write(temporary.path().join("view/view-000009.sqlite-wal"), "").unwrap();
        assert_eq!(folder.newest().unwrap(), Some(3));
        folder.remove_before(3).unwrap();
        assert!(!folder.file(2).exists());
        assert_eq!(std::fs::read(folder.file(3)).unwrap(), [3]);
    }
}
