//! Settings that bound the size of the database.

use std::collections::BTreeMap;

use crate::config::{Config, Retention};

/// Retention and limits of the storage, for forecasts.
#[derive(Clone, Debug)]
pub struct StorageRules {
    pub(super) retention: Retention,
    /// Sources with their own retention.
    pub(super) of_sources: BTreeMap<String, Retention>,
    pub(super) max_database_bytes: Option<u64>,
    pub(super) min_free_bytes: u64,
}

impl StorageRules {
    pub fn from_config(config: &Config) -> Self {
        let own = config.sources.iter().filter_map(|source| Some((source.name.clone(), source.retention?)));
        Self {
            retention: config.retention,
            of_sources: own.collect(),
            max_database_bytes: config.max_database_bytes,
            min_free_bytes: config.min_free_bytes,
        }
    }

    pub(super) fn retention_of(&self, source: &str) -> Retention {
        self.of_sources.get(source).copied().unwrap_or(self.retention)
    }
}
