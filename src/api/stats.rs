//! Counts of messages and rejections over time, and the forecast of the database size.

use actix_web::http::header::ContentType;
use actix_web::{HttpResponse, web};
use serde::Deserialize;

use super::error::ApiError;
use super::input::{NoParameters, Query};
#[cfg(test)]
use super::types::schemas;
use super::types::stats::{
    CountBucket, CountNumbers, ExpectedSize, NamedCounts, StorageForecast, TrafficStats,
};
use crate::operate::{CountedTime, Forecast, Operator, StatsCriteria, StorageLimit};
use crate::request_id;
use crate::store::{CountGrouping, CountSeries, Timestamp, TrafficCount, UNKNOWN_EVENT};

/// Time, filter and grouping of counts.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, into_params(parameter_in = Query))]
pub struct StatsParameters {
    /// Start: a time such as `2026-11-22T14:31:00Z`, or an age such as `2h`; default: `7d`. The
    /// first bucket starts at or before it.
    #[cfg_attr(test, param(schema_with = schemas::time))]
    pub from: Option<String>,
    /// End: same format as `from`; default: now.
    #[cfg_attr(test, param(schema_with = schemas::time))]
    pub to: Option<String>,
    /// Length of a bucket: minutes that divide an hour, hours that divide a day, or days. Steps
    /// below `1h` are available for the last 3 days. By default at most about 120 buckets result;
    /// the limit is 1,000.
    #[cfg_attr(test, param(schema_with = schemas::step))]
    pub step: Option<String>,
    #[cfg_attr(test, param(schema_with = schemas::name))]
    pub source: Option<String>,
    /// A pattern: `*` matches any characters. Rejections have no event.
    #[cfg_attr(test, param(schema_with = schemas::pattern))]
    pub event: Option<String>,
    /// Also returns the counts of each source or event.
    #[cfg_attr(test, param(inline))]
    pub by: Option<StatsGrouping>,
}

/// The names of the series.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum StatsGrouping {
    Source,
    Event,
}

/// Counts of messages and rejections, in buckets.
///
/// The counts are kept for 400 days, so they outlive the messages. At most 1,000 events of a source
/// and hour are counted by name, the rest as `…other`. A source or event without counts is an error
/// with the nearest name, if it is unknown.
#[cfg_attr(test, utoipa::path(get, path = "/stats", params(StatsParameters), tag = "stats",
    responses(
        (status = 200, description = "The counts.", body = TrafficStats),
        (status = 404, description = "The source or event is unknown (`unknown_name`)."),
    )))]
pub async fn counts(
    operator: web::Data<Operator>,
    query: Query<StatsParameters>,
) -> Result<HttpResponse, ApiError> {
    let StatsParameters { from, to, step, source, event, by } = query.0;
    let by = by.map(|by| match by {
        StatsGrouping::Source => CountGrouping::Source,
        StatsGrouping::Event => CountGrouping::Event,
    });
    let counted = operator.stats(StatsCriteria { from, to, step, source, event, by }).await?;
    // Series can have several hundred kB, which would block an async thread.
    let write = move || serde_json::to_vec(&TrafficStats::of(&counted, by.is_some()));
    let written = web::block(request_id::for_thread(write)).await;
    let json = written.map_err(|_| ApiError::Internal)?.map_err(|_| ApiError::Internal)?;
    Ok(HttpResponse::Ok().content_type(ContentType::json()).body(json))
}

/// The expected size of the database, and when it reaches a limit.
///
/// The rate is the mean of the last whole days, at most 7. A forecast needs 24 h of counts and 100
/// stored messages.
#[cfg_attr(test, utoipa::path(get, path = "/stats/forecast", tag = "stats",
    responses((status = 200, description = "The forecast, or the reason why it is unavailable.", body = StorageForecast))))]
pub async fn forecast(
    operator: web::Data<Operator>,
    _: Query<NoParameters>,
) -> Result<web::Json<StorageForecast>, ApiError> {
    Ok(web::Json(match operator.forecast().await? {
        Ok(forecast) => StorageForecast { forecast: Some(forecast.into()), reason: None },
        Err(why) => StorageForecast { forecast: None, reason: Some(why.to_string()) },
    }))
}

impl TrafficStats {
    fn of(counted: &CountedTime, has_series: bool) -> Self {
        let CountedTime { step_minutes, report, .. } = counted;
        let bucket = |(place, count): (usize, &TrafficCount)| CountBucket {
            start: counted.start_of(place).to_string(),
            count: (*count).into(),
        };
        Self {
            from: counted.start_of(0).to_string(),
            to: counted.start_of(report.all.buckets.len()).to_string(),
            step_seconds: step_minutes.unsigned_abs() * 60,
            complete: !report.is_incomplete,
            total: report.all.total.into(),
            buckets: report.all.buckets.iter().enumerate().map(bucket).collect(),
            series: has_series.then(|| report.series.iter().map(NamedCounts::from).collect()),
        }
    }
}

impl From<TrafficCount> for CountNumbers {
    fn from(TrafficCount { messages, bytes, rejections }: TrafficCount) -> Self {
        Self { messages, bytes, rejections }
    }
}

impl From<&CountSeries> for NamedCounts {
    fn from(CountSeries { name, total, buckets }: &CountSeries) -> Self {
        Self {
            name: (**name != *UNKNOWN_EVENT).then(|| name.to_string()),
            total: (*total).into(),
            messages: buckets.iter().map(|count| count.messages).collect(),
            bytes: buckets.iter().map(|count| count.bytes).collect(),
            rejections: buckets.iter().map(|count| count.rejections).collect(),
        }
    }
}

impl From<Forecast> for ExpectedSize {
    fn from(forecast: Forecast) -> Self {
        Self {
            days: forecast.days,
            bytes_per_day: forecast.bytes_per_day,
            stored_bytes_per_body_byte: forecast.stored_bytes_per_body_byte,
            used_bytes: forecast.used_bytes,
            level_bytes: forecast.level_bytes,
            limit: match forecast.limit {
                StorageLimit::DatabaseSize => "max_database_size".to_owned(),
                StorageLimit::Disk => "disk".to_owned(),
            },
            limit_bytes: forecast.limit_bytes,
            full_at: forecast.full_at.map(|at| Timestamp::from(at).to_string()),
        }
    }
}
