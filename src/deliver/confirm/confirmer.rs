//! Confirmation: asks a source's API about its messages, off the path of a request, before anything is done with them. Each
//! source has a lane of its own, so that a slow API holds up nobody else. It must never deliver anything: a message that
//! is confirmed gets its deliveries in the transaction that says so.

mod answer;
mod lane;

use std::sync::Arc;

use futures_util::future::{join, join_all};
use time::OffsetDateTime;

use crate::config;
use crate::outbound::Client;
use crate::providers::Asker;
use crate::store::Store;
use lane::Lane;

/// What there is to know of a source whose messages are confirmed.
#[derive(Clone, Debug)]
pub struct AskedSource {
    pub name: Arc<str>,
    pub asker: Arc<Asker>,
    /// The variables that open the API, to be named when it says that they do not.
    pub credentials: Vec<String>,
}

impl AskedSource {
    /// Those among the configured sources.
    pub fn among(sources: &[config::Source]) -> Vec<Self> {
        let asked = |source: &config::Source| {
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

/// Asks about what is due.
#[derive(Debug)]
pub struct Confirmer {
    store: Store,
    clock: fn() -> OffsetDateTime,
    lanes: Vec<Lane>,
    client: Client,
}

impl Confirmer {
    pub fn new(
        store: Store,
        clock: fn() -> OffsetDateTime,
        client: Client,
        sources: Vec<AskedSource>,
    ) -> Self {
        let lane = |source: AskedSource| Lane::new(source.name.clone(), Some(source), &store, &client);
        Self { lanes: sources.into_iter().map(lane).collect(), clock, store, client }
    }

    /// Asks about all that is due; when something is due next. What cannot be read or written now is left for later.
    pub async fn run_once(&mut self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        self.take_up_what_is_left().await;
        let steps = join_all(self.lanes.iter().map(|lane| lane.run_once(now))).await;
        steps.into_iter().filter_map(|step| step.unwrap_or(None)).min()
    }

    /// Goes on for as long as the process.
    pub async fn run(mut self) {
        self.take_up_what_is_left().await;
        let lanes = join_all(self.lanes.iter().map(|lane| lane.run(self.clock)));
        let wake = async {
            loop {
                self.store.confirmation_due().await;
                self.lanes.iter().for_each(Lane::wake);
            }
        };
        join(lanes, wake).await;
    }

    /// Messages of sources that are no longer confirmed, or no longer configured, end some time, too.
    async fn take_up_what_is_left(&mut self) {
        let awaiting = self.store.sources_awaiting_confirmation().await.unwrap_or_else(|why| {
            log::warn!("which messages await their confirmation cannot be read: {why}");
            Vec::new()
        });
        for name in awaiting {
            if !self.lanes.iter().any(|lane| lane.is_of(&name)) {
                self.lanes.push(Lane::new(name.into(), None, &self.store, &self.client));
            }
        }
    }
}
