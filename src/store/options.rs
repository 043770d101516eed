//! What the store is opened with.

use std::path::PathBuf;

/// Where the store lives and its limits. Not `Debug`: it has the key.
#[derive(Clone)]
pub struct StoreOptions {
    pub path: PathBuf,
    /// `CREEL_KEY`; `None`: the key file beside the database, made at the first start.
    pub key: Option<Vec<u8>>,
    /// False: another process (Litestream) owns the checkpoints.
    pub checkpoint: bool,
    /// The low-water mark of the disk.
    pub min_free_bytes: u64,
}
