//! All configured sources, with the HTTP client, trusted issuers and limits that they share.

use std::sync::{Arc, OnceLock};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config;
use crate::outbound::{Client, GithubAddresses, system_roots};
use crate::providers::Roots;
use crate::store::{Store, Unavailable};
use crate::verification::learning;
use crate::verification::room::{DecodingBudget, DecodingRoom};
use crate::verification::source::Source;

/// Limit on large bodies (256 KiB or more, or compressed and above 8 KiB) that verification itself
/// decodes or rewrites concurrently: each takes a multiple of the memory that the budget counts.
/// Rejected bodies of 256 KiB or more count too, while they are checked for a proof.
const MAX_CONCURRENT_REWRITES: usize = 2;

#[derive(Debug)]
pub struct Sources {
    all: Vec<Arc<Source>>,
    pub github: GithubAddresses,
    /// Fetches keys, certificates, and URLs that handshakes name.
    pub client: Client,
    /// Trusted issuers, loaded on first use unless they were passed in.
    roots: OnceLock<Roots>,
    rewrites: Arc<Semaphore>,
    decoding: Box<dyn DecodingBudget>,
}

impl Sources {
    pub fn new(
        sources: Vec<config::SourceConfig>,
        public_url: Option<&str>,
        github: GithubAddresses,
        decoding: Box<dyn DecodingBudget>,
    ) -> Self {
        Self {
            all: sources.into_iter().map(|source| Arc::new(Source::new(source, public_url))).collect(),
            github,
            client: Client::new(),
            roots: OnceLock::new(),
            rewrites: Arc::new(Semaphore::new(MAX_CONCURRENT_REWRITES)),
            decoding,
        }
    }

    pub fn all(&self) -> &[Arc<Source>] {
        &self.all
    }

    pub fn find(&self, name: &str) -> Option<&Arc<Source>> {
        self.all.iter().find(|source| *source.name == *name)
    }

    /// Restores the learned secrets and the verification health of all sources.
    ///
    /// # Errors
    /// The store cannot be read, or a secret was sealed under another key.
    pub async fn recall(&self, store: &Store) -> Result<(), Unavailable> {
        let mut numbers = None;
        for source in &self.all {
            learning::recall(source, store).await?;
            source.health.recall(&source.name, store, &mut numbers).await?;
        }
        Ok(())
    }

    /// Memory limit for decoding the body of a verified message.
    pub fn decoding_room(&self) -> DecodingRoom {
        self.decoding.room()
    }

    /// Waits for permission to rewrite a large body; never returns `None`, because the semaphore is
    /// never closed.
    pub async fn rewrite_turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.rewrites).acquire_owned().await.ok()
    }

    /// Trusted issuers of certificates: the given ones, or the system's.
    pub fn roots(&self) -> &Roots {
        self.roots.get_or_init(|| Roots::new(system_roots()))
    }

    /// Replaces the system's issuers. Has no effect after `roots` has been called.
    pub fn trust(&self, roots: Roots) {
        let _ = self.roots.set(roots);
    }
}
