//! A source whose messages are confirmed.

use std::sync::Arc;

use crate::config;
use crate::providers::Asker;

/// What there is to know of a source whose messages are confirmed.
#[derive(Clone, Debug)]
pub struct ConfirmationSource {
    pub name: Arc<str>,
    pub asker: Arc<Asker>,
    /// The variables that open the API, to be named when it says that they do not.
    pub credentials: Vec<String>,
}

impl ConfirmationSource {
    /// Those among the configured sources.
    pub fn among(sources: &[config::SourceConfig]) -> Vec<Self> {
        let asked = |source: &config::SourceConfig| {
            let confirm = source.confirm.as_ref()?;
            Some(Self {
                name: source.name.as_str().into(),
                asker: Arc::clone(&confirm.asker),
                credentials: confirm.credentials.clone(),
            })
        };
        sources.iter().filter_map(asked).collect()
    }
}
