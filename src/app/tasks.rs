//! Work beside the requests, on the main thread's event loop.

use std::time::Duration;

use actix_web::rt;
use tokio::time::{MissedTickBehavior, interval};

use crate::cleanup::{Cleaner, Pace, Policy, uptime};
use crate::http::Clock;
use crate::outbound::{Client, GithubAddresses};
use crate::store::{Sealing, Store};

/// The setting with GitHub's address list as it was last fetched.
const GITHUB_ADDRESSES: &str = "github_addresses";

/// Cleans up at once and then every interval.
pub fn clean_up_regularly(policy: Policy, every: Duration, store: Store, clock: Clock) {
    let mut ticks = interval(every);
    // After a long run the next one need not be made up for.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut cleaner = Cleaner::new(policy, Pace::BesideMessages, clock(), uptime());
    rt::spawn(async move {
        loop {
            ticks.tick().await;
            match cleaner.run_once(&store, clock(), uptime()).await {
                Ok(outcome) if outcome.messages + outcome.rejections > 0 => {
                    log::info!(
                        "cleaned up: {} messages, {} rejections",
                        outcome.messages,
                        outcome.rejections
                    );
                }
                Ok(_) => {}
                Err(why) => log::warn!("the clean-up stopped and goes on at the next interval: {why}"),
            }
        }
    });
}

/// The list from the last run, else the one compiled in.
pub async fn github_addresses(store: &Store) -> GithubAddresses {
    match store.setting(GITHUB_ADDRESSES).await {
        Ok(Some(cached)) => GithubAddresses::from_cache(&cached).unwrap_or_else(|error| {
            log::warn!("the cached list of GitHub's addresses cannot be used: {error}");
            GithubAddresses::new()
        }),
        Ok(None) => GithubAddresses::new(),
        Err(why) => {
            log::warn!("the cached list of GitHub's addresses cannot be read: {why}");
            GithubAddresses::new()
        }
    }
}

pub fn keep_github_addresses_fresh(url: String, addresses: GithubAddresses, store: Store, clock: Clock) {
    rt::spawn(async move {
        let persist = async |list: String| {
            if let Err(why) = store.set_setting(GITHUB_ADDRESSES, &list, Sealing::Plain, clock()).await {
                log::warn!("GitHub's address list could not be stored for the next start: {why}");
            }
        };
        addresses.keep_fresh(&Client::new(), &url, persist).await;
    });
}
