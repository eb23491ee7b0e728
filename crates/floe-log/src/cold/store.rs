//! What the log asks of an object store.

use std::fmt;

/// Where objects are kept. All calls block, and may come from several threads.
///
/// A key is a few words of letters, digits and hyphens with `/` between them. No key is ever
/// written twice with other bytes.
pub trait ObjectStore: fmt::Debug + Send + Sync {
    /// Stores an object; it survives a loss of power once this returns.
    ///
    /// # Errors
    /// Whether the object is there is unknown then.
    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError>;

    /// Fills `buffer` with the bytes of an object from `at` on.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when there is no such object, or it ends before that.
    fn read(&self, key: &str, at: u64, buffer: &mut [u8]) -> Result<(), StoreError>;

    /// Removes an object; one that is not there is no error.
    ///
    /// # Errors
    /// Whether the object is there is unknown then, and may change later.
    fn remove(&self, key: &str) -> Result<(), StoreError>;

    /// Returns the keys that start with `prefix`, in any order.
    ///
    /// # Errors
    /// When not all of them could be listed.
    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError>;
}

/// Why an object store did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The object, or the bytes asked for, are not there.
    #[error("the object is not there")]
    Missing,
    /// The store cannot be reached, or refuses. Another try may succeed.
    #[error("{0}")]
    Unavailable(String),
}
