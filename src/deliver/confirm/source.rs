//! A source whose messages are confirmed.

use std::sync::Arc;

use crate::config;
use crate::providers::ConfirmApi;

/// Settings of a source whose messages are confirmed.
#[derive(Clone, Debug)]
pub struct ConfirmationSource {
    pub name: Arc<str>,
    pub confirm_api: Arc<ConfirmApi>,
    /// Variables with the API's credentials, named in the warning if the API rejects them.
    pub credentials: Vec<String>,
}

impl ConfirmationSource {
    /// Returns the configured sources with confirmation.
    pub fn among(sources: &[config::SourceConfig]) -> Vec<Self> {
        let confirmed = |source: &config::SourceConfig| {
            let confirm = source.confirm.as_ref()?;
            Some(Self {
                name: source.name.as_str().into(),
                confirm_api: Arc::clone(&confirm.api),
                credentials: confirm.credentials.clone(),
            })
        };
        sources.iter().filter_map(confirmed).collect()
    }
}
