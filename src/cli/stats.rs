//! `creel stats`: counts of messages and rejections as a table, and the forecast.

use clap::ValueEnum;
use serde_json::value::RawValue;

use super::output::{Failure, harmless_line, seconds, size};
use super::remote::{Address, Remote, understood, with_query};
use super::send::block_on;
use crate::api::types::stats::{CountNumbers, ExpectedSize, NamedCounts, StorageForecast, TrafficStats};

/// Time, filters and output format.
#[derive(Debug, clap::Args)]
pub struct StatsArguments {
    /// Start of the counts, such as 2h (two hours ago) or 2026-11-22T14:31:00Z.
    #[arg(long, value_name = "TIME", default_value = "7d")]
    from: String,

    /// End of the counts; default: now.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,

    /// Length of a row, such as 5m, 1h or 1d; below 1h within the last 3 days only. By default at
    /// most 120 rows result.
    #[arg(long)]
    step: Option<String>,

    /// Only this source.
    #[arg(long)]
    source: Option<String>,

    /// Only events that match this pattern, such as `github.*`.
    #[arg(long)]
    event: Option<String>,

    /// Print one row for each source or event instead of each time.
    #[arg(long, value_enum)]
    by: Option<StatsRows>,

    /// Print only the forecast of the database size.
    #[arg(long, conflicts_with_all = ["to", "step", "source", "event", "by"])]
    forecast: bool,

    /// Print the service's JSON.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    address: Address,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StatsRows {
    Source,
    Event,
}

pub fn run(arguments: &StatsArguments) -> Result<String, Failure> {
    let remote = arguments.address.remote()?;
    block_on(async {
        if arguments.forecast {
            let (json, forecast) = get::<StorageForecast>(&remote, "/stats/forecast").await?;
            return Ok(if arguments.json { json } else { forecast_text(&forecast) });
        }
        let (json, stats) = get::<TrafficStats>(&remote, &arguments.path()).await?;
        Ok(if arguments.json { json } else { table(&stats) })
    })?
}

/// Returns a response as text and parsed.
async fn get<T: serde::de::DeserializeOwned>(remote: &Remote, path: &str) -> Result<(String, T), Failure> {
    let json: Box<RawValue> = remote.get_large(path).await?;
    Ok((format!("{}\n", json.get()), understood(json.get())?))
}

impl StatsArguments {
    fn path(&self) -> String {
        let by = self.by.map(|by| match by {
            StatsRows::Source => "source",
            StatsRows::Event => "event",
        });
        with_query(
            "/stats",
            &[
                ("from", Some(self.from.as_str())),
                ("to", self.to.as_deref()),
                ("step", self.step.as_deref()),
                ("source", self.source.as_deref()),
                ("event", self.event.as_deref()),
                ("by", by),
            ],
        )
    }
}

/// Returns a table with one row for each bucket with requests, or for each series.
fn table(stats: &TrafficStats) -> String {
    let rows: Vec<(String, CountNumbers)> = match &stats.series {
        Some(series) => series.iter().map(|series| (name(series), series.total)).collect(),
        None => {
            let has_requests = |count: &CountNumbers| count.messages + count.rejections > 0;
            let with_requests = stats.buckets.iter().filter(|bucket| has_requests(&bucket.count));
            with_requests.map(|bucket| (seconds(&bucket.start), bucket.count)).collect()
        }
    };
    let rows = rows.into_iter().chain([("total".to_owned(), stats.total)]);
    let cells: Vec<[String; 4]> = std::iter::once(["", "messages", "bytes", "rejections"].map(str::to_owned))
        .chain(rows.map(|(name, count)| {
            let bytes = size(i64::try_from(count.bytes).unwrap_or(i64::MAX));
            [name, count.messages.to_string(), bytes, count.rejections.to_string()]
        }))
        .collect();
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths = [width(0), width(1), width(2), width(3)];
    let mut text = String::new();
    for [name, messages, bytes, rejections] in &cells {
        let [name_width, messages_width, bytes_width, rejections_width] = widths;
        text.push_str(&format!(
            "{name:name_width$}  {messages:>messages_width$}  {bytes:>bytes_width$}  {rejections:>rejections_width$}\n"
        ));
    }
    if !stats.complete {
        text.push_str("Some counts are missing: older messages are still being counted, or counts have lost their minutes.\n");
    }
    text
}

fn name(series: &NamedCounts) -> String {
    series.name.as_ref().map_or_else(|| "(rejections)".to_owned(), |name| harmless_line(name))
}

fn forecast_text(forecast: &StorageForecast) -> String {
    match &forecast.forecast {
        Some(expected) => expected_text(expected),
        None => {
            let reason = forecast.reason.as_deref().unwrap_or("The service sent no forecast.");
            format!("{}\n", harmless_line(reason))
        }
    }
}

fn expected_text(expected: &ExpectedSize) -> String {
    let shown = |bytes: u64| size(i64::try_from(bytes).unwrap_or(i64::MAX));
    let days = if expected.days == 1 { "day".to_owned() } else { format!("{} days", expected.days) };
    let level = match expected.level_bytes {
        Some(level) => format!("levels off at {}", shown(level)),
        None => "grows without end, because retention is off for a source".to_owned(),
    };
    let is_size_limit = expected.limit == "max_database_size";
    let limit = if is_size_limit { "CREEL_MAX_DATABASE_SIZE" } else { "the free disk space" };
    let limit_bytes = shown(expected.limit_bytes);
    let end = match &expected.full_at {
        None => format!("That fits {limit} ({limit_bytes})."),
        Some(at) if is_size_limit => format!(
            "{limit} ({limit_bytes}) is reached at {}: from then on, the oldest finished messages are deleted.",
            seconds(at)
        ),
        Some(at) => format!(
            "The disk is full at {}, when the database has {limit_bytes}: from then on, messages are rejected.",
            seconds(at)
        ),
    };
    format!(
        "The database has {} and receives {} a day (mean of the last {days}). It {level}.\n{}\n",
        shown(expected.used_bytes),
        shown(expected.bytes_per_day),
        harmless_line(&end)
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn table_is_aligned_and_omits_empty_rows() {
        let stats = json!({
            "from": "2026-11-22T14:00:00.000000Z", "to": "2026-11-22T17:00:00.000000Z", "step_seconds": 3600,
            "complete": false, "total": {"messages": 1200, "bytes": 20000, "rejections": 1},
            "buckets": [
                {"start": "2026-11-22T14:00:00.000000Z", "messages": 1199, "bytes": 19990, "rejections": 0},
                {"start": "2026-11-22T15:00:00.000000Z", "messages": 0, "bytes": 0, "rejections": 0},
                {"start": "2026-11-22T16:00:00.000000Z", "messages": 1, "bytes": 10, "rejections": 1},
            ],
            "series": null,
        });
        let expected = [
            "                      messages  bytes  rejections",
            "2026-11-22T14:00:00Z      1199  19 kB           0",
            "2026-11-22T16:00:00Z         1   10 B           1",
            "total                     1200  20 kB           1",
            "Some counts are missing: older messages are still being counted, or counts have lost their minutes.",
        ];
        let text = table(&serde_json::from_value(stats).unwrap());
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn series_are_rows_with_harmless_names() {
        let count = |messages: u64| json!({"messages": messages, "bytes": 0, "rejections": 0});
        let series = |name: Option<&str>| json!({"name": name, "total": count(1), "messages": [1], "bytes": [0], "rejections": [0]});
        let stats = json!({
            "from": "", "to": "", "step_seconds": 60, "complete": true, "total": count(2), "buckets": [],
            "series": [series(Some("a\u{1b}[31m")), series(None)],
        });
        let text = table(&serde_json::from_value(stats).unwrap());
        assert!(text.contains("a\\u{1b}[31m") && text.contains("(rejections)"), "{text}");
    }

    #[test]
    fn forecast_is_a_sentence() {
        let forecast = |limit: &str, level: Option<u64>, full_at: Option<&str>| {
            let expected = json!({
                "days": 7, "bytes_per_day": 20_000_000, "stored_bytes_per_body_byte": 1.5, "used_bytes": 90_000_000,
                "level_bytes": level, "limit": limit, "limit_bytes": 200_000_000, "full_at": full_at,
            });
            forecast_text(&serde_json::from_value(json!({"forecast": expected, "reason": null})).unwrap())
        };
        let start = "The database has 90 MB and receives 20 MB a day (mean of the last 7 days). It ";
        assert_eq!(
            forecast("disk", Some(140_000_000), None),
            format!("{start}levels off at 140 MB.\nThat fits the free disk space (200 MB).\n")
        );
        let full = forecast("max_database_size", None, Some("2026-12-06T12:00:00.000000Z"));
        assert!(
            full.contains("CREEL_MAX_DATABASE_SIZE (200 MB) is reached at 2026-12-06T12:00:00Z"),
            "{full}"
        );
        let none = json!({"forecast": null, "reason": "Too young."});
        assert_eq!(forecast_text(&serde_json::from_value(none).unwrap()), "Too young.\n");
    }
}
