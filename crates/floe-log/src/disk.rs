//! What the log asks of a folder of files.

use std::fmt;
use std::io;

/// Where the log's files live.
///
/// A folder on a real disk is [`DirDisk`](crate::DirDisk). Names are plain file names without a
/// path. Clones reach the same files, from any thread.
pub trait Disk: fmt::Debug + Clone + Send + Sync + 'static {
    /// An open file.
    type File: DiskFile;
    /// Keeps others out of the folder until it is dropped.
    type Lock: fmt::Debug + Send + Sync;

    /// Claims the folder for one process.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] while another process holds it.
    fn lock(&self) -> io::Result<Self::Lock>;

    /// Creates an empty file, or empties an existing one, and opens it for reading and writing.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Opens an existing file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Self::File>;

    /// Opens an existing file for reading only.
    fn open_read(&self, name: &str) -> io::Result<Self::File>;

    /// Gives a file another name, replacing a file of that name in one step.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file; handles that are open stay readable.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Returns the names of all files, sorted.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Makes creations, renames and removals durable.
    fn sync_dir(&self) -> io::Result<()>;
}

/// One open file, used from several threads at once at positions of their own.
#[expect(
    clippy::len_without_is_empty,
    reason = "nobody asks whether a file of the log is empty"
)]
pub trait DiskFile: fmt::Debug + Send + Sync + 'static {
    /// Fills `buffer` with the bytes at `at`.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] when the file ends before that.
    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()>;

    /// Writes all of `bytes` at `at`, growing the file where needed.
    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;

    /// Returns once all finished writes, and a length they changed, would survive power loss.
    fn sync_data(&self) -> io::Result<()>;

    /// Returns the length in bytes.
    fn len(&self) -> io::Result<u64>;
}

/// Returns whether an error says that space ran out, which may pass.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
