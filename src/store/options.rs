//! Options for opening the store.

use std::path::PathBuf;

/// Location of the store and its limits. Not `Debug`: it has the key.
#[derive(Clone)]
pub struct StoreOptions {
    pub path: PathBuf,
    /// `CREEL_KEY`; `None` for the key file next to the database, created at the first start.
    pub key: Option<Vec<u8>>,
    /// Whether creel checkpoints; false if another process (Litestream) does.
    pub checkpoint: bool,
    /// The low-water mark of the disk (`CREEL_MIN_FREE`): messages are rejected when less space is
    /// free.
    pub min_free_bytes: u64,
    /// The search index; `None` for none.
    pub search: Option<SearchOptions>,
}

/// Settings of the search index.
#[derive(Clone, Copy, Debug, Default)]
pub struct SearchOptions {
    /// Time after which a generation of the index is complete, so that the words of deleted
    /// messages do not stay for long; `None` if messages are never deleted.
    pub max_generation_age: Option<std::time::Duration>,
}
