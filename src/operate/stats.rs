//! Counts of messages and rejections over time, and the forecast of the database size.

use std::time::Duration;

use time::OffsetDateTime;

use super::forecast::{Forecast, ForecastInput, InsufficientData, MAX_DAYS, SourceGrowth, forecast};
use super::operator::Operator;
use super::problem::Problem;
use super::values;
use crate::config::{self, Retention};
use crate::store::{
    CountGrouping, CountMinute, CountQuery, CountReport, Counts, MAX_BUCKETS, MessageFilter, Pattern,
    Timestamp, TrafficWindows,
};

const MINUTES_PER_HOUR: i64 = 60;
const MINUTES_PER_DAY: i64 = 24 * MINUTES_PER_HOUR;
const DEFAULT_FROM: Duration = Duration::from_secs(7 * 86_400);
/// Limit on whole buckets without an explicit step.
const MAX_DEFAULT_BUCKETS: i64 = 120;
/// Default steps up to a day, in minutes; each divides a day.
const DEFAULT_STEPS: [i64; 12] = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1_440];

/// Time, filter and grouping of counts. `from` and `to` are times, or ages such as `2h`.
#[derive(Clone, Debug, Default)]
pub struct StatsCriteria {
    pub from: Option<String>,
    pub to: Option<String>,
    /// The length of a bucket, such as `1h`.
    pub step: Option<String>,
    pub source: Option<String>,
    /// A pattern: `*` matches any characters.
    pub event: Option<String>,
    pub by: Option<CountGrouping>,
}

/// Counts in buckets of the same length.
#[derive(Clone, Debug)]
pub struct CountedTime {
    pub from: CountMinute,
    pub step_minutes: i64,
    pub report: CountReport,
}

/// Buckets of the same length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct BucketPlan {
    from: CountMinute,
    step_minutes: i64,
    buckets: usize,
}

impl CountedTime {
    /// Returns the start of a bucket; for the number of buckets, their end.
    pub fn start_of(&self, bucket: usize) -> Timestamp {
        let minutes = self.step_minutes * i64::try_from(bucket).unwrap_or(i64::MAX);
        self.from.plus(minutes).to_timestamp()
    }
}

impl Operator {
    /// Returns counts of messages and rejections.
    ///
    /// # Errors
    /// If a value is invalid, the source or event is unknown, or the counts cannot be read in time.
    pub async fn stats(&self, criteria: StatsCriteria) -> Result<CountedTime, Problem> {
        let StatsCriteria { from, to, step, source, event, by } = criteria;
        for (field, name) in [("source", &source), ("event", &event)] {
            name.as_deref().map_or(Ok(()), |name| values::name(field, name))?;
        }
        let now = self.now();
        let from = self.time("from", from.as_deref())?.map_or(now - DEFAULT_FROM, Timestamp::to_time);
        let to = self.time("to", to.as_deref())?.map_or(now, Timestamp::to_time);
        let step_minutes = step.as_deref().map(step_minutes).transpose()?;
        let BucketPlan { from, step_minutes, buckets } = plan(from, to, step_minutes, now)?;
        let pattern = event.as_deref().map(Pattern::new);
        let query = CountQuery { from, step_minutes, buckets, source: source.clone(), event: pattern, by };
        let report = self.store.counts().report(query).await?.ok_or_else(|| {
            Problem::invalid("from", "there are too many counts to read in 300 ms: choose a later time")
        })?;
        if report.all.total.is_zero() {
            self.check_counted_names(source, event).await?;
        }
        Ok(CountedTime { from, step_minutes, report })
    }

    /// Checks the names of a query without counts. A name with earlier counts is known, also after
    /// its messages were deleted.
    async fn check_counted_names(
        &self,
        source: Option<String>,
        event: Option<String>,
    ) -> Result<(), Problem> {
        let of_source = MessageFilter { source, ..MessageFilter::default() };
        let of_event = MessageFilter { event, ..MessageFilter::default() };
        for (by, filter) in [(CountGrouping::Source, of_source), (CountGrouping::Event, of_event)] {
            let checked = self.check_names(&filter, true).await;
            if let Err(Problem::UnknownName { name, .. }) = &checked
                && self.store.counts().may_have_name(by, name.clone()).await?
            {
                continue;
            }
            checked?;
        }
        Ok(())
    }

    /// Forecasts the size of the database, or returns the reason why there is no forecast.
    ///
    /// # Errors
    /// If the counts cannot be read.
    pub async fn forecast(&self) -> Result<Result<Forecast, InsufficientData>, Problem> {
        let (now, counts) = (self.now(), self.store.counts());
        let first_hour = counts.first_hour(now).await?;
        let first_time = first_hour.map(|hour| hour.to_timestamp().to_time());
        let counted_for = first_time.map(|first| Duration::try_from(now - first).unwrap_or_default());
        let days = counted_for.map_or(0, |age| age.as_secs() / 86_400).min(MAX_DAYS);
        let oldest = counts.oldest_message().await?.map_or(now, Timestamp::to_time);
        // In the first counted hour, no message is older than the oldest one.
        let oldest = CountMinute::of(oldest);
        let oldest = if Some(oldest.hour()) == first_hour { oldest.hour() } else { oldest };
        let windows = self.windows(now, days, oldest);
        let Some(traffic) = counts.traffic_by_source(windows).await? else {
            return Ok(Err(InsufficientData::TooManyCounts));
        };
        let sources = traffic
            .into_iter()
            .map(|(name, traffic)| SourceGrowth { traffic, retention: self.storage.retention_of(&name) });
        let (used_bytes, free_page_bytes) = self.store.cleanup().used_and_free_bytes().await?;
        let stats = self.store.stats();
        Ok(forecast(&ForecastInput {
            now,
            counted_for,
            sources: sources.collect(),
            days,
            stored_messages: counts.estimate_messages().await?,
            used_bytes,
            free_page_bytes,
            quarantine_bytes: stats.quarantine.bytes,
            free_disk_bytes: stats.free_disk_bytes,
            min_free_bytes: self.storage.min_free_bytes,
            max_database_bytes: self.storage.max_database_bytes,
        }))
    }

    /// Returns the times of the counts for a forecast. Messages older than `oldest` were deleted.
    fn windows(&self, now: OffsetDateTime, days: u64, oldest: CountMinute) -> TrafficWindows {
        let recent_to = CountMinute::of(now).hour();
        let days = i64::try_from(days).unwrap_or(i64::MAX);
        let stored_from = |retention: &Retention| {
            let start = match retention {
                Retention::Keep => None,
                Retention::For(age) => now.checked_sub(signed(*age)).map(CountMinute::of),
            };
            start.map_or(oldest, |start| start.max(oldest))
        };
        TrafficWindows {
            recent_from: recent_to.plus(-days * MINUTES_PER_DAY),
            recent_to,
            now: CountMinute::of(now),
            stored_from: self
                .storage
                .of_sources
                .iter()
                .map(|(name, retention)| (name.clone(), stored_from(retention)))
                .collect(),
            others_stored_from: stored_from(&self.storage.retention),
        }
    }
}

fn signed(duration: Duration) -> time::Duration {
    time::Duration::try_from(duration).unwrap_or(time::Duration::MAX)
}

/// Parses the length of a bucket, in minutes. Buckets of the same length must fit into an hour or a
/// day, so that each starts at the same time of the day.
fn step_minutes(text: &str) -> Result<i64, Problem> {
    let seconds = config::duration(text).map(|step| step.as_secs()).unwrap_or_default();
    let minutes = i64::try_from(seconds / 60).unwrap_or_default();
    let is_whole = seconds > 0 && seconds.is_multiple_of(60);
    let fits = if minutes == 0 {
        false
    } else if minutes < MINUTES_PER_HOUR {
        MINUTES_PER_HOUR % minutes == 0
    } else if minutes < MINUTES_PER_DAY {
        minutes % MINUTES_PER_HOUR == 0 && MINUTES_PER_DAY % minutes == 0
    } else {
        minutes % MINUTES_PER_DAY == 0
    };
    match is_whole && fits {
        true => Ok(minutes),
        false => Err(Problem::invalid(
            "step",
            "must be minutes that divide an hour, hours that divide a day, or days, such as 1m, 5m, 1h or 1d",
        )),
    }
}

/// Returns the buckets that contain the time from `from` to `to`.
fn plan(
    from: OffsetDateTime,
    to: OffsetDateTime,
    step: Option<i64>,
    now: OffsetDateTime,
) -> Result<BucketPlan, Problem> {
    if from >= to {
        return Err(Problem::invalid("from", "must be before `to`"));
    }
    // A minute earlier, because time passes between the age in a request and this check.
    let oldest_minute = now - Counts::minute_retention() - time::Duration::MINUTE;
    let has_minutes = from >= oldest_minute;
    let (first, end) = (CountMinute::of(from), CountMinute::of(to - time::Duration::MICROSECOND).plus(1));
    let minutes = end.get() - first.get();
    let step = step.unwrap_or_else(|| default_step(minutes, has_minutes));
    if step < MINUTES_PER_HOUR && !has_minutes {
        return Err(Problem::invalid("step", "must be at least 1h if `from` is more than 3 days ago"));
    }
    let from = CountMinute::of_number(first.get() - first.get().rem_euclid(step.min(MINUTES_PER_DAY)));
    let length = end.get() - from.get();
    let buckets = usize::try_from(length / step + i64::from(length % step > 0)).unwrap_or(usize::MAX);
    if buckets > MAX_BUCKETS {
        let problem =
            format!("gives {buckets} buckets, and the limit is {MAX_BUCKETS}: choose a longer step");
        return Err(Problem::invalid("step", problem));
    }
    Ok(BucketPlan { from, step_minutes: step, buckets })
}

/// Returns the shortest step that gives at most `MAX_DEFAULT_BUCKETS` whole buckets.
fn default_step(minutes: i64, has_minutes: bool) -> i64 {
    let fits =
        |step: &i64| (has_minutes || *step >= MINUTES_PER_HOUR) && minutes / *step <= MAX_DEFAULT_BUCKETS;
    DEFAULT_STEPS.into_iter().find(fits).unwrap_or_else(|| {
        let of_days = MAX_DEFAULT_BUCKETS * MINUTES_PER_DAY;
        (minutes / of_days + i64::from(minutes % of_days > 0)) * MINUTES_PER_DAY
    })
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-22 14:31:30 UTC);

    #[test]
    fn step_must_divide_hour_or_day() {
        for (text, minutes) in
            [("1m", 1), ("15m", 15), ("60m", 60), ("2h", 120), ("1d", 1_440), ("7d", 10_080)]
        {
            assert_eq!(step_minutes(text).ok(), Some(minutes), "{text}");
        }
        for text in ["", "0m", "90s", "30s", "7m", "90m", "5h", "36h", "1", "1w", "36600d"] {
            assert!(step_minutes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn default_step_gives_about_a_hundred_buckets() {
        let hours = time::Duration::hours;
        for (age, step, buckets) in [
            (hours(1), 1, 61),
            (hours(24), 15, 97),
            (hours(72), 60, 73),
            (hours(7 * 24), 120, 85),
            (hours(30 * 24), 360, 121),
            (hours(400 * 24), 4 * 1_440, 101),
        ] {
            let plan = plan(NOW - age, NOW, None, NOW).unwrap();
            assert_eq!((plan.step_minutes, plan.buckets), (step, buckets), "{age}");
        }
    }

    #[test]
    fn buckets_contain_the_whole_time() {
        let plan = |from, to, step| plan(from, to, Some(step), NOW).unwrap();
        let hourly = plan(NOW - time::Duration::hours(2), NOW, 60);
        assert_eq!(hourly.from.to_timestamp().to_string(), "2026-11-22T12:00:00.000000Z");
        assert_eq!(hourly.buckets, 3);
        let exact = plan(datetime!(2026-11-21 00:00 UTC), datetime!(2026-11-22 00:00 UTC), 1_440);
        assert_eq!((exact.from.to_timestamp().to_seconds(), exact.buckets), ("2026-11-21T00:00:00", 1));
        let weekly = plan(datetime!(2026-11-03 05:00 UTC), NOW, 7 * 1_440);
        assert_eq!((weekly.from.to_timestamp().to_seconds(), weekly.buckets), ("2026-11-03T00:00:00", 3));
    }

    #[test]
    fn impossible_buckets_are_problems() {
        let days = time::Duration::days;
        let problem = |from, step| plan(from, NOW, step, NOW).unwrap_err().to_string();
        assert!(problem(NOW, None).contains("before `to`"));
        assert!(problem(NOW - days(4), Some(1)).contains("3 days"));
        assert!(plan(NOW - days(3), NOW, Some(5), NOW).is_ok());
        assert!(problem(NOW - days(3), Some(1)).contains("4321 buckets"));
        assert!(problem(datetime!(0000-01-01 0:00 UTC), Some(60)).contains("buckets"));
    }
}
