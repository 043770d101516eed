//! `creel cleanup`: one cleanup from the command line.

use std::time::Duration;

use time::OffsetDateTime;

use super::cleaner::{Cleaner, CleanupOutcome, CleanupPace};
use super::clock::uptime;
use super::guard::CONFIRMED;
use super::policy::Policy;
use crate::config::Config;
use crate::store::{self, OpenError, Store, StoreOptions, Timestamp};

/// Runs one cleanup immediately. If the service is running, only stores the confirmation, if
/// `confirm` is set. Returns a message for the user.
///
/// # Errors
/// If the database cannot be opened or written.
pub async fn run_now(
    config: &Config,
    options: &StoreOptions,
    confirm: bool,
    now: OffsetDateTime,
) -> Result<String, OpenError> {
    if store::is_in_use(&options.path)? {
        if confirm {
            store::write_setting_offline(&options.path, CONFIRMED, Timestamp::from(now).as_str(), now)?;
            return Ok("Confirmed: the running service continues with its next cleanup.".to_owned());
        }
        return Ok("The running service cleans up by itself, every CREEL_CLEANUP_INTERVAL.".to_owned());
    }
    if confirm && options.path.exists() {
        store::write_setting_offline(&options.path, CONFIRMED, Timestamp::from(now).as_str(), now)?;
    }
    let store = Store::open(options)?;
    store.limit_quarantine(config.quarantine_bytes);
    let mut cleaner = Cleaner::new(Policy::from_config(config), CleanupPace::Alone, now, uptime());
    let outcome = cleaner.run_once(&store.cleanup(), now, uptime()).await;
    for report in cleaner.drop_reports() {
        report.finish(&store.cleanup()).await;
    }
    store.close(Duration::from_secs(30)).await;
    match outcome {
        Ok(CleanupOutcome { paused: Some(why), .. }) => Err(OpenError(format!(
            "no messages or deliveries were deleted: {why}. If the clock is correct, run `creel cleanup --confirm`"
        ))),
        Ok(outcome) => Ok(format!("Deleted {outcome}.")),
        Err(why) => Err(OpenError(format!("the cleanup stopped: {why}"))),
    }
}
