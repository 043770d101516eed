//! Background tasks on the event loop of the service's thread.

use std::sync::Arc;
use std::time::Duration;

use actix_web::rt;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use crate::cleanup::{Cleaner, CleanupPace, DeliveryDropReport, Policy, uptime};
use crate::deliver::confirm::{ConfirmationSource, Confirmer};
use crate::http::connections::Connections;
use crate::outbound::{Client, GithubAddresses};
use crate::store::{Clock, Sealing, Store};

/// The setting with GitHub's address list as of the last fetch.
const GITHUB_ADDRESSES: &str = "github_addresses";

/// Pause between a finished cleanup for the size limit and the next one.
const ROOM_PAUSE: Duration = Duration::from_secs(1);
/// Timeout for reading the names of targets from the database. With the timeouts for deliveries
/// (5.5 s) and for the store (2 s), a stop takes at most 8 s.
const REPORT_TIMEOUT: Duration = Duration::from_millis(500);

/// Pause after a step that counts older messages, as a multiple of its duration, so that ingest is
/// barely delayed.
const COUNTING_PAUSE_FACTOR: u32 = 4;
/// Pause after a failed step, or while the disk is nearly full.
const COUNTING_RETRY_PAUSE: Duration = Duration::from_secs(60);

/// Handle of the regular cleanup, to stop it.
pub struct CleanupTask {
    task: rt::task::JoinHandle<()>,
    reports: [DeliveryDropReport; 2],
}

impl CleanupTask {
    /// Stops the task, and logs the dropped deliveries that are not logged yet.
    pub async fn stop(self, store: &Store) {
        self.task.abort();
        // The task has ended when this returns, so it adds nothing more.
        drop(self.task.await);
        let (cleanup, [of_size, of_disk]) = (store.cleanup(), &self.reports);
        let finish = async { tokio::join!(of_size.finish(&cleanup), of_disk.finish(&cleanup)) };
        if tokio::time::timeout(REPORT_TIMEOUT, finish).await.is_err() {
            log::warn!("cannot log all dropped deliveries");
        }
    }
}

/// Cleans up immediately, then at every interval, and additionally when the database exceeds its
/// size limit.
pub fn clean_up_regularly(policy: Policy, every: Duration, store: Store, clock: Clock) -> CleanupTask {
    let mut ticks = interval(every);
    // A slow run must not cause a burst of missed ones.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    if let Some(limit) = policy.max_database_bytes {
        store.cleanup().limit_size(limit);
    }
    let mut cleaner = Cleaner::new(policy, CleanupPace::WhileServing, clock(), uptime());
    let reports = cleaner.drop_reports();
    let task = rt::spawn(async move {
        let mut not_before = Instant::now();
        let mut is_unfinished = false;
        loop {
            let done = tokio::select! {
                biased;
                _ = ticks.tick() => cleaner.run_once(&store.cleanup(), clock(), uptime()).await,
                () = beyond_size_limit(&store, not_before, is_unfinished) => {
                    let done = cleaner.make_room(&store.cleanup(), clock(), uptime()).await;
                    not_before = Instant::now() + ROOM_PAUSE;
                    done
                }
            };
            is_unfinished = done.as_ref().is_ok_and(|outcome| outcome.is_unfinished);
            match done {
                Ok(outcome) if outcome.is_nothing() => {}
                Ok(outcome) => log::info!("cleaned up: {outcome}"),
                Err(_) if store.is_closing() => return,
                Err(why) => log::warn!("the cleanup stopped and continues later: {why}"),
            }
        }
    });
    CleanupTask { task, reports }
}

/// Waits until `not_before`, and then until the database exceeds its size limit. Without
/// the pause, every write would start another cleanup while the excess cannot be deleted. An
/// unfinished cleanup continues immediately.
async fn beyond_size_limit(store: &Store, not_before: Instant, is_unfinished: bool) {
    if is_unfinished {
        return;
    }
    sleep_until(not_before).await;
    store.cleanup().beyond_size_limit().await;
}

/// Closes surplus connections whenever the connection limit leaves too little room for new clients.
pub fn keep_room(connections: &Arc<Connections>) {
    rt::spawn(connections.clone().keep_room());
}

/// Counts the messages from before the counts existed and those of the last seconds before a crash.
pub fn count_older(store: Store, clock: Clock) -> rt::task::JoinHandle<()> {
    rt::spawn(async move {
        let counts = store.counts();
        loop {
            let began = Instant::now();
            let pause = match counts.is_disk_nearly_low() {
                true => COUNTING_RETRY_PAUSE,
                false => match counts.count_older(clock()).await {
                    Ok(true) => began.elapsed() * COUNTING_PAUSE_FACTOR,
                    Ok(false) => return,
                    Err(_) if store.is_closing() => return,
                    Err(why) => {
                        log::warn!(
                            "cannot count older messages, retrying in {COUNTING_RETRY_PAUSE:?}: {why}"
                        );
                        COUNTING_RETRY_PAUSE
                    }
                },
            };
            sleep(pause).await;
        }
    })
}

/// Queries the APIs of sources to confirm their messages.
pub fn confirm(sources: Vec<ConfirmationSource>, store: Store, clock: Clock) -> rt::task::JoinHandle<()> {
    rt::spawn(Confirmer::new(store.delivery_queue(), clock, Client::new(), sources).run())
}

/// Returns the list from the last run, or the compiled-in list.
pub async fn github_addresses(store: &Store) -> GithubAddresses {
    match store.settings().setting(GITHUB_ADDRESSES).await {
        Ok(Some(cached)) => GithubAddresses::from_cache(&cached).unwrap_or_else(|error| {
            log::warn!("cannot use the cached list of GitHub's addresses: {error}");
            GithubAddresses::new()
        }),
        Ok(None) => GithubAddresses::new(),
        Err(why) => {
            log::warn!("cannot read the cached list of GitHub's addresses: {why}");
            GithubAddresses::new()
        }
    }
}

pub fn keep_github_addresses_fresh(url: String, addresses: GithubAddresses, store: Store, clock: Clock) {
    rt::spawn(async move {
        let persist = async |list: String| {
            if let Err(why) =
                store.settings().set_setting(GITHUB_ADDRESSES, &list, Sealing::Plain, clock()).await
            {
                log::warn!("cannot store GitHub's address list for the next start: {why}");
            }
        };
        addresses.keep_fresh(&Client::new(), &url, persist).await;
    });
}
