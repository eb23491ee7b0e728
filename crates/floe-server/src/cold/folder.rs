//! Cold data in a folder, such as one on a larger or a network disk.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use floe_log::{ObjectStore, StoreError};

/// A folder in which each key is a file; the words of a key before its last are folders.
#[derive(Debug)]
pub(super) struct FolderStore {
    path: PathBuf,
}

/// How the name ends of a file that is being written.
const NEW: &str = ".new";
/// Folders within folders that are listed.
const DEPTH_MAX: usize = 4;

impl FolderStore {
    /// Uses the folder at `path`, which is made with its first object: it may be away now.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    fn write(&self, key: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.path.join(key);
        let folder = path.parent().unwrap_or(&self.path);
        let is_new = !folder.is_dir();
        fs::create_dir_all(folder)?;
        let new = self.path.join(format!("{key}{NEW}"));
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(folder)?.sync_all()?;
        if is_new {
            // The folders above got an entry, too.
            let above = folder.ancestors().skip(1);
            for folder in above.take_while(|above| above.starts_with(&self.path)) {
                File::open(folder)?.sync_all()?;
            }
        }
        Ok(())
    }

    fn list_folder(&self, folder: &Path, depth: usize, keys: &mut Vec<String>) -> io::Result<()> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                if depth < DEPTH_MAX {
                    self.list_folder(&path, depth + 1, keys)?;
                }
                continue;
            }
            let key = path.strip_prefix(&self.path).ok().and_then(Path::to_str);
            // A file that was never finished counts as its object, so that it is removed.
            keys.extend(key.map(|key| key.strip_suffix(NEW).unwrap_or(key).to_owned()));
        }
        Ok(())
    }
}

impl ObjectStore for FolderStore {
    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.write(key, bytes).map_err(|error| failed(&error))
    }

    fn read(&self, key: &str, at: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        let read = File::open(self.path.join(key)).and_then(|file| file.read_exact_at(buffer, at));
        read.map_err(|error| {
            let kind = error.kind();
            // A folder that is not mounted looks empty, and nothing in it is lost.
            let lost = kind == io::ErrorKind::NotFound && !self.is_away();
            if lost || kind == io::ErrorKind::UnexpectedEof {
                return StoreError::Missing;
            }
            failed(&error)
        })
    }

    fn remove(&self, key: &str) -> Result<(), StoreError> {
        let path = self.path.join(key);
        let new = self.path.join(format!("{key}{NEW}"));
        for path in [&path, &new] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed(&error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        // The last one of its segment takes the folder with it.
        if let Some(folder) = path.parent().filter(|folder| *folder != self.path) {
            let _ = fs::remove_dir(folder);
        }
        Ok(())
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut keys = Vec::new();
        self.list_folder(&self.path.join(folder), 0, &mut keys)
            .map_err(|error| failed(&error))?;
        keys.retain(|key| key.starts_with(prefix));
        keys.sort();
        keys.dedup();
        Ok(keys)
    }
}

impl FolderStore {
    /// Whether there is nothing at all, as in the place of a disk that is not there.
    fn is_away(&self) -> bool {
        fs::read_dir(&self.path).map_or(true, |mut entries| entries.next().is_none())
    }
}

fn failed(error: &io::Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_stored_read_listed_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let store = FolderStore::new(&path);
        store.put("log/1-2/0000", b"hello").unwrap();
        store.put("log/1-2/0001", b"world").unwrap();
        store.put("log/3-4/0000", b"!").unwrap();
        let mut found = [0; 3];
        store.read("log/1-2/0000", 2, &mut found).unwrap();
        assert_eq!(&found, b"llo");
        let missing = store.read("log/1-2/0000", 3, &mut found);
        assert_eq!(missing, Err(StoreError::Missing));
        let missing = store.read("log/1-2/0002", 0, &mut found);
        assert_eq!(missing, Err(StoreError::Missing));
        let keys = store.list("log/1-2/").unwrap();
        assert_eq!(keys, ["log/1-2/0000", "log/1-2/0001"]);
        assert_eq!(store.list("log/").unwrap().len(), 3);
        assert_eq!(store.list("other/").unwrap(), [""; 0]);
        store.remove("log/1-2/0000").unwrap();
        store.remove("log/1-2/0000").unwrap();
        store.remove("log/1-2/0001").unwrap();
        assert!(!path.join("log/1-2").exists());
        assert_eq!(store.list("log/").unwrap(), ["log/3-4/0000"]);
    }

    #[test]
    fn what_was_never_finished_is_listed_and_goes_with_its_object() {
        let folder = tempfile::tempdir().unwrap();
        let store = FolderStore::new(folder.path());
        store.put("log/1-2/0000", b"hello").unwrap();
        fs::write(folder.path().join("log/1-2/0001.new"), b"wo").unwrap();
        assert_eq!(
            store.list("log/").unwrap(),
            ["log/1-2/0000", "log/1-2/0001"]
        );
        store.remove("log/1-2/0001").unwrap();
        assert_eq!(store.list("log/").unwrap(), ["log/1-2/0000"]);
    }

    #[test]
    fn a_disk_that_is_not_there_is_no_loss() {
        let folder = tempfile::tempdir().unwrap();
        let store = FolderStore::new(folder.path());
        let mut found = [0; 3];
        let away = store.read("log/1-2/0000", 0, &mut found);
        assert!(matches!(away, Err(StoreError::Unavailable(_))));
        fs::remove_dir(folder.path()).unwrap();
        let away = store.read("log/1-2/0000", 0, &mut found);
        assert!(matches!(away, Err(StoreError::Unavailable(_))));
    }
}
