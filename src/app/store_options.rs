//! The store's part of the configuration.

use std::time::Duration;

use crate::config::{Config, Retention};
use crate::store::{SearchOptions, StoreOptions};

impl From<&Config> for StoreOptions {
    /// Extracts the store's part of the configuration.
    fn from(config: &Config) -> Self {
        Self {
            path: config.database.clone(),
            key: config.key.as_ref().map(|key| key.expose().to_vec()),
            checkpoint: config.checkpoint,
            min_free_bytes: config.min_free_bytes,
            search: config.search.then(|| search_options(config)),
        }
    }
}

/// Generations of the search index live for an eighth of the longest retention.
fn search_options(config: &Config) -> SearchOptions {
    const GENERATIONS_PER_RETENTION: u32 = 8;
    let of_sources = config.sources.iter().filter_map(|source| source.retention);
    let longest =
        of_sources.chain([config.retention]).try_fold(Duration::ZERO, |longest, retention| match retention {
            Retention::Keep => None,
            Retention::For(time) => Some(longest.max(time)),
        });
    SearchOptions { max_generation_age: longest.map(|longest| longest / GENERATIONS_PER_RETENTION) }
}
