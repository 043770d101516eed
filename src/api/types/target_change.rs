//! Requests that create and change targets, with their replies.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

#[cfg(test)]
use super::schemas;
use super::target::{Condition, TargetDetails, TargetSecret, present};
use crate::store::{ContentType, DeliveryOrdering};

/// A target to create.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewTarget {
    /// Generated if omitted.
    #[cfg_attr(
        test,
        schema(max_length = 64, pattern = "^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$", examples("billing"))
    )]
    pub name: Option<String>,
    /// It receives only events that are emitted for this owner, and never a received message.
    /// Cannot be changed later.
    #[cfg_attr(test, schema(schema_with = schemas::owner_or_null, required = false))]
    pub owner: Option<String>,
    /// Event patterns: `*` matches any characters. A pattern without `*` must be a declared event
    /// (`CREEL_EVENTS`) or start with the name of a source and a dot.
    #[cfg_attr(test, schema(schema_with = schemas::patterns))]
    pub events: Vec<String>,
    /// Conditions on the payload; all must hold.
    #[cfg_attr(test, schema(min_items = 1, max_items = 50))]
    pub filter: Option<Vec<Condition>>,
    /// `http://` or `https://`, on a public address, or one allowed by `CREEL_TARGET_ALLOW_IPS`.
    #[cfg_attr(test, schema(max_length = 2000, examples("https://billing.example.com/hooks")))]
    pub url: String,
    /// Default: as received; JSON for emitted events.
    pub content_type: Option<ContentType>,
    /// Sent with every request; the values are never shown again.
    #[cfg_attr(test, schema(schema_with = schemas::headers_or_null, required = false))]
    pub headers: Option<BTreeMap<String, String>>,
    /// `whsec_` and base64, or any text; generated if omitted.
    #[cfg_attr(test, schema(min_length = 16, max_length = 200, pattern = "^[!-~]{16,200}$"))]
    pub secret: Option<String>,
    /// Concurrent deliveries; default: 8, or 1 in strict order.
    #[cfg_attr(test, schema(minimum = 1, maximum = 1000))]
    pub concurrency: Option<u32>,
    pub order: Option<DeliveryOrdering>,
    /// Limit on deliveries per second, minute or hour.
    #[cfg_attr(test, schema(pattern = "^[1-9][0-9]{0,5}/[smh]$", examples("50/s")))]
    pub rate: Option<String>,
    /// Timeout of each attempt.
    #[cfg_attr(test, schema(minimum = 1, maximum = 900, default = 30))]
    pub timeout_seconds: Option<u64>,
    /// Often sent by clients, so it is rejected with an explanation.
    #[serde(default, skip_serializing)]
    #[cfg_attr(test, schema(ignore))]
    pub exec: Option<IgnoredAny>,
    #[serde(default, skip_serializing)]
    #[cfg_attr(test, schema(ignore))]
    pub command: Option<IgnoredAny>,
}

/// Changes to a target. Omitted fields stay unchanged; null removes a filter, a content type,
/// headers or a rate.
#[derive(Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct TargetPatch {
    #[cfg_attr(test, schema(max_length = 64, pattern = "^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$"))]
    pub name: Option<String>,
    #[cfg_attr(test, schema(schema_with = schemas::patterns_or_null, required = false))]
    pub events: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[cfg_attr(test, schema(value_type = Option<Vec<Condition>>, min_items = 1, max_items = 50))]
    pub filter: Option<Option<Vec<Condition>>>,
    #[cfg_attr(test, schema(max_length = 2000))]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[cfg_attr(test, schema(value_type = Option<ContentType>))]
    pub content_type: Option<Option<ContentType>>,
    /// The complete set: all other headers are removed.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[cfg_attr(test, schema(schema_with = schemas::headers_or_null, required = false))]
    pub headers: Option<Option<BTreeMap<String, String>>>,
    #[cfg_attr(test, schema(minimum = 1, maximum = 1000))]
    pub concurrency: Option<u32>,
    pub order: Option<DeliveryOrdering>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[cfg_attr(test, schema(value_type = Option<String>, pattern = "^[1-9][0-9]{0,5}/[smh]$"))]
    pub rate: Option<Option<String>>,
    #[cfg_attr(test, schema(minimum = 1, maximum = 900))]
    pub timeout_seconds: Option<u64>,
}

/// A new target with its secret, which is not shown again.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct CreatedTarget {
    #[serde(flatten)]
    pub target: TargetDetails,
    /// Signs the requests according to Standard Webhooks.
    #[cfg_attr(test, schema(examples("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")))]
    pub secret: String,
}

/// A new secret for a target.
#[derive(Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewSecret {
    /// `whsec_` and base64, or any text; generated if omitted.
    #[cfg_attr(
        test,
        schema(
            min_length = 16,
            max_length = 200,
            pattern = "^[!-~]{16,200}$",
            examples("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")
        )
    )]
    pub secret: Option<String>,
    /// Time for which the old secrets also sign; default: one day.
    #[cfg_attr(test, schema(minimum = 0, maximum = 2_592_000, default = 86_400))]
    pub overlap_seconds: Option<u32>,
}

/// The new secret, which is not shown again.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[cfg_attr(test, schema(as = Rotated))]
pub struct RotatedSecret {
    #[cfg_attr(test, schema(examples("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")))]
    pub secret: String,
    /// All active signing secrets, newest first.
    pub secrets: Vec<TargetSecret>,
}
