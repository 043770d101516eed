//! Sends due confirmation requests, with one lane per source.

use futures_util::future::{join, join_all};

use super::lane::ConfirmationLane;
use super::source::ConfirmationSource;
use crate::outbound::Client;
use crate::store::{Clock, DeliveryQueue};

/// Sends due confirmation requests.
#[derive(Debug)]
pub struct Confirmer {
    store: DeliveryQueue,
    clock: Clock,
    lanes: Vec<ConfirmationLane>,
    client: Client,
}

impl Confirmer {
    pub fn new(store: DeliveryQueue, clock: Clock, client: Client, sources: Vec<ConfirmationSource>) -> Self {
        let lane = |source: ConfirmationSource| {
            ConfirmationLane::new(source.name.clone(), Some(source), &store, &client)
        };
        Self { lanes: sources.into_iter().map(lane).collect(), clock, store, client }
    }

    /// Sends all due requests, and returns the next due time. After an error of the store, the
    /// affected requests stay due.
    #[cfg(test)]
    pub async fn run_once(&mut self, now: time::OffsetDateTime) -> Option<time::OffsetDateTime> {
        self.add_lanes_for_unconfigured().await;
        let steps = join_all(self.lanes.iter().map(|lane| lane.run_once(now))).await;
        steps.into_iter().filter_map(|step| step.unwrap_or(None)).min()
    }

    /// Runs until the process exits.
    pub async fn run(mut self) {
        self.add_lanes_for_unconfigured().await;
        let lanes = join_all(self.lanes.iter().map(|lane| lane.run(self.clock)));
        let wake = async {
            loop {
                self.store.confirmation_due().await;
                self.lanes.iter().for_each(ConfirmationLane::wake);
            }
        };
        join(lanes, wake).await;
    }

    /// Adds a lane for each source that has unconfirmed messages but is no longer configured for
    /// confirmation, so that these messages are rejected after the last attempt.
    async fn add_lanes_for_unconfigured(&mut self) {
        let awaiting = self.store.sources_awaiting_confirmation().await.unwrap_or_else(|why| {
            log::warn!("cannot read the sources with unconfirmed messages: {why}");
            Vec::new()
        });
        for name in awaiting {
            if !self.lanes.iter().any(|lane| lane.is_of(&name)) {
                self.lanes.push(ConfirmationLane::new(name.into(), None, &self.store, &self.client));
            }
        }
    }
}
