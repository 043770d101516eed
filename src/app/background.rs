//! What runs beside the requests: the clean-up as an interval task, and the list of GitHub's addresses.

use tokio::time::MissedTickBehavior;

use crate::cleanup::{Cleaner, Outcome, Pace, Policy, uptime};
use crate::config::Config;
use crate::http::Clock;
use crate::outbound::{Client, GithubAddresses};
use crate::store::{Sealing, Store};

const GITHUB_SETTING: &str = "github_hooks";

/// Starts the interval task that cleans up; the first run is at once.
pub fn clean_up(config: &Config, store: &Store, clock: Clock) {
    let mut cleaner = Cleaner::new(Policy::from_config(config), Pace::BesideMessages, clock(), uptime());
    let mut interval = actix_web::rt::time::interval(config.cleanup_interval);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let store = store.clone();
    actix_web::rt::spawn(async move {
        loop {
            interval.tick().await;
            match cleaner.run_once(&store, clock(), uptime()).await {
                Ok(Outcome { messages: 0, rejections: 0, .. }) => {}
                Ok(outcome) => {
                    log::info!(
                        "clean-up deleted {} messages and {} rejections",
                        outcome.messages,
                        outcome.rejections
                    );
                }
                Err(why) => log::warn!("the clean-up stopped, the next one goes on: {why}"),
            }
        }
    });
}

/// The list of GitHub's addresses, kept fresh in the background where a source asks for it.
pub async fn github_addresses(config: &Config, store: &Store, clock: Clock) -> GithubAddresses {
    let is_wanted =
        config.sources.iter().any(|source| source.allow.as_ref().is_some_and(|allow| allow.github));
    if !is_wanted {
        return GithubAddresses::new();
    }
    let cached = store.setting(GITHUB_SETTING).await.ok().flatten();
    let addresses = match cached.as_deref().map(GithubAddresses::from_cache) {
        Some(Ok(addresses)) => addresses,
        Some(Err(error)) => {
            log::warn!("the remembered list of GitHub's addresses is not used: {error}");
            GithubAddresses::new()
        }
        None => GithubAddresses::new(),
    };
    let (kept_fresh, url, store) = (addresses.clone(), config.github_meta_url.clone(), store.clone());
    actix_web::rt::spawn(async move {
        let client = Client::new();
        let persist = async |text: String| {
            if let Err(why) = store.set_setting(GITHUB_SETTING, &text, Sealing::Plain, clock()).await {
                log::warn!("the list of GitHub's addresses is not remembered: {why}");
            }
        };
        kept_fresh.keep_fresh(&client, &url, persist).await;
    });
    addresses
}
