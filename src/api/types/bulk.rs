//! Steps of bulk operations on rejections, as clients request and see them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rejection::RejectionSelection;
use crate::store::RejectionId;

/// The selected rejections. Without `confirm` and `cursor` they are only counted.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct BulkRequest {
    /// `{}` for all rejections.
    pub filter: RejectionSelection,
    /// Id of the newest selected rejection: `through` from the count. Later rejections are
    /// excluded.
    #[cfg_attr(test, schema(value_type = Option<i64>, minimum = 0))]
    pub through: Option<RejectionId>,
    /// The number from the count. The first step runs only if it is unchanged.
    #[cfg_attr(test, schema(minimum = 0))]
    pub confirm: Option<u64>,
    /// `next_cursor` of the previous step; needs the `filter` and `through` of its reply.
    #[cfg_attr(test, schema(max_length = 100))]
    pub cursor: Option<String>,
}

/// The count, or the result of a step.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum BulkReply {
    Count(BulkCount),
    Step(BulkStep),
}

/// The selected rejections, with durations resolved to times.
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct SelectedRejections {
    pub source: Option<String>,
    pub cause: Option<String>,
    #[cfg_attr(test, schema(format = DateTime))]
    pub since: Option<String>,
    #[cfg_attr(test, schema(format = DateTime))]
    pub until: Option<String>,
}

/// The number of matching rejections; no step was run. To start, send `filter` and `through` of
/// this reply with `confirm`.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct BulkCount {
    #[cfg_attr(test, schema(examples(60)))]
    pub count: u64,
    #[serde(default)]
    #[cfg_attr(test, schema(examples(60), required = true))]
    pub confirm: u64,
    pub by_cause: BTreeMap<String, u64>,
    #[cfg_attr(test, schema(value_type = i64, examples(4711)))]
    pub through: RejectionId,
    /// The filter, with durations resolved to times.
    pub filter: SelectedRejections,
}

/// The result of one step.
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct BulkStep {
    /// Rejections that became messages.
    #[cfg_attr(test, schema(examples(58)))]
    pub released: u64,
    /// Rejections that are duplicates of stored messages. A duplicate is only counted.
    pub duplicates: u64,
    /// Rejections that failed verification again and stay, by cause.
    pub still_rejected: BTreeMap<Cow<'static, str>, u64>,
    /// Rejections that cannot become messages and stay, by reason.
    pub skipped: BTreeMap<Cow<'static, str>, u64>,
    /// Rejections that were deleted or released in the meantime.
    pub gone: u64,
    /// `cursor` of the next step; null after the last one.
    pub next_cursor: Option<String>,
    #[serde(default)]
    #[cfg_attr(test, schema(value_type = i64, required = true))]
    pub through: RejectionId,
    /// The filter, with durations resolved to times.
    #[serde(default)]
    #[cfg_attr(test, schema(required = true))]
    pub filter: SelectedRejections,
}
