//! Reads the counts of messages and rejections, and counts older messages in the background.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::store::counts::period::CountMinute;
use crate::store::counts::read::{
    self, CountGrouping, CountQuery, CountReadOutcome, CountReport, SourceTraffic, TrafficWindows,
};
use crate::store::counts::{backlog, expire};
use crate::store::error::Unavailable;
use crate::store::handle::core::Core;
use crate::store::message;
use crate::store::timestamp::Timestamp;

/// Limit on the time of a report, whose read mark prevents a reset of the WAL.
const REPORT_TIMEOUT: Duration = Duration::from_millis(300);
/// Limit on the time to read the counts of a forecast.
const FORECAST_TIMEOUT: Duration = Duration::from_secs(2);
/// Limit on the time to look for a name.
const NAME_TIMEOUT: Duration = Duration::from_millis(200);
/// Pause before another snapshot, while the writer finishes a flush.
const SNAPSHOT_PAUSE: Duration = Duration::from_millis(5);

/// Counts of messages and rejections.
#[derive(Clone, Debug)]
pub struct Counts {
    pub(super) core: Arc<Core>,
}

impl Counts {
    /// Returns the age up to which there are counts by minute.
    pub fn minute_retention() -> Duration {
        expire::MINUTE_RETENTION.unsigned_abs()
    }

    /// Returns the counts, including those in memory; `None` if the read takes too long.
    pub async fn report(&self, query: CountQuery) -> Result<Option<CountReport>, Unavailable> {
        let deadline = Instant::now() + REPORT_TIMEOUT;
        while Instant::now() < deadline {
            let (query, pending) = (query.clone(), self.core.counts.snapshot());
            let read = self.core.read(move |connection| read::report(connection, &query, &pending, deadline));
            match read.await? {
                CountReadOutcome::Report(report) => return Ok(Some(report)),
                CountReadOutcome::OutdatedSnapshot => tokio::time::sleep(SNAPSHOT_PAUSE).await,
                CountReadOutcome::TimedOut => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Returns the first counted hour, that of `now` if there are no counts; `None` while older
    /// messages are still to be counted.
    pub async fn first_hour(&self, now: OffsetDateTime) -> Result<Option<CountMinute>, Unavailable> {
        self.core
            .read(move |connection| match backlog::is_waiting(connection)? {
                true => Ok(None),
                false => Ok(Some(read::first_hour(connection)?.unwrap_or(CountMinute::of(now).hour()))),
            })
            .await
    }

    /// Whether an hourly count has the source or event, also without a stored message; true if the
    /// counts cannot be read in time.
    pub async fn may_have_name(&self, by: CountGrouping, name: String) -> Result<bool, Unavailable> {
        let deadline = Instant::now() + NAME_TIMEOUT;
        self.core.read(move |connection| read::may_have_name(connection, by, &name, deadline)).await
    }

    /// Returns the number of stored messages, estimated from a sample of ids.
    pub async fn estimate_messages(&self) -> Result<u64, Unavailable> {
        self.core.read(message::read::estimate_number).await
    }

    /// Returns the time of the oldest stored message.
    pub async fn oldest_message(&self) -> Result<Option<Timestamp>, Unavailable> {
        self.core.read(message::read::oldest_time).await
    }

    /// Returns the counts of each source for a forecast; `None` if the read takes too long.
    pub async fn traffic_by_source(
        &self,
        windows: TrafficWindows,
    ) -> Result<Option<BTreeMap<String, SourceTraffic>>, Unavailable> {
        let deadline = Instant::now() + FORECAST_TIMEOUT;
        self.core.read(move |connection| read::traffic_by_source(connection, &windows, deadline)).await
    }

    /// Counts some messages from before the counts existed or before a crash, in one short step.
    /// Returns false if none is left.
    pub async fn count_older(&self, now: OffsetDateTime) -> Result<bool, Unavailable> {
        let Some(page) = self.core.read(backlog::read).await? else { return Ok(false) };
        self.core.write(move |database| backlog::write(database.connection, &page, now)).await?;
        Ok(true)
    }

    /// Whether the disk is too full to count older messages.
    pub fn is_disk_nearly_low(&self) -> bool {
        self.core.files.is_nearly_low()
    }
}
