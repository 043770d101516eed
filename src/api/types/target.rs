//! Targets, as clients see them.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::words::Word;
use crate::json::Literal;
use crate::store::{ContentType, DeliveryOrdering, Origin, TargetKind, TargetState};

/// A destination of messages.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct Target {
    #[cfg_attr(test, schema(examples(3)))]
    pub id: i64,
    #[cfg_attr(test, schema(examples("billing")))]
    pub name: String,
    #[cfg_attr(test, schema(value_type = TargetKind))]
    pub kind: Word<TargetKind>,
    #[serde(default)]
    #[cfg_attr(test, schema(value_type = Origin, required = true))]
    pub origin: Word<Origin>,
    #[cfg_attr(test, schema(value_type = TargetState))]
    pub state: Word<TargetState>,
    /// Time of the last change of the state.
    #[cfg_attr(test, schema(format = DateTime, examples("2026-11-22T14:31:00.000000Z")))]
    pub state_since: String,
    /// The reason, if the service changed the state.
    pub state_reason: Option<String>,
    /// It receives only events that were emitted for this owner.
    pub owner: Option<String>,
    /// Event patterns: `*` matches any characters.
    #[cfg_attr(test, schema(examples(json!(["github.*"]))))]
    pub events: Vec<String>,
    /// Conditions on the payload; all must hold.
    #[serde(default, deserialize_with = "known_conditions")]
    pub filter: Option<Vec<Condition>>,
    /// Null for listeners and for targets from the environment. The read token sees the origin,
    /// and `…` for the rest.
    #[cfg_attr(test, schema(examples("https://billing.example.com/hooks")))]
    pub url: Option<String>,
    /// Null: as received; JSON for emitted events.
    #[cfg_attr(test, schema(value_type = Option<ContentType>))]
    pub content_type: Option<Word<ContentType>>,
    /// Concurrent deliveries.
    #[serde(default)]
    #[cfg_attr(test, schema(examples(8), required = true))]
    pub concurrency: u32,
    #[serde(default)]
    #[cfg_attr(test, schema(value_type = DeliveryOrdering, required = true))]
    pub order: Word<DeliveryOrdering>,
    #[cfg_attr(test, schema(examples("50/s")))]
    pub rate: Option<String>,
    /// Timeout of each attempt.
    #[serde(default)]
    #[cfg_attr(test, schema(examples(30), required = true))]
    pub timeout_seconds: u64,
    #[serde(default)]
    #[cfg_attr(test, schema(format = DateTime, required = true))]
    pub created_at: String,
    #[serde(default)]
    #[cfg_attr(test, schema(format = DateTime, required = true))]
    pub updated_at: String,
}

/// A target with metadata of its secrets. `header_names` and `secrets` are empty for a target from
/// the environment.
// `Deserialize` would need a copy of the conditions, as `flatten` cannot forward raw JSON.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct TargetDetails {
    #[serde(flatten)]
    pub target: Target,
    /// Names of the headers sent with every request; their values are never shown.
    #[cfg_attr(test, schema(examples(json!(["authorization"]))))]
    pub header_names: Vec<String>,
    /// Signing secrets, newest first, without their values.
    pub secrets: Vec<TargetSecret>,
}

/// A signing secret.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct TargetSecret {
    /// Time after which requests are not signed with this secret; null: it never expires.
    #[cfg_attr(test, schema(format = DateTime))]
    pub until: Option<String>,
}

/// A condition on one value of the payload.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// A JSON pointer (RFC 6901); empty for the whole payload.
    #[cfg_attr(
        test,
        schema(max_length = 500, pattern = "^(/([^~/\\u0000-\\u001f]|~[01])*)*$", examples("/ref"))
    )]
    pub pointer: String,
    /// The value must equal this.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[cfg_attr(test, schema(value_type = Value, required = false))]
    pub equals: Option<Literal>,
    /// The value must be one of these.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "in", deserialize_with = "present")]
    #[cfg_attr(test, schema(value_type = Vec<Value>, required = false, min_items = 1, max_items = 200))]
    pub among: Option<Vec<Literal>>,
    /// True: the value must exist. False: it must not.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[cfg_attr(test, schema(value_type = bool, required = false))]
    pub exists: Option<bool>,
}

/// Parses the conditions of a reply; `None` if a newer service has other kinds of conditions.
///
/// # Errors
/// If the value is not JSON.
fn known_conditions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Condition>>, D::Error> {
    let conditions = Option::<Box<RawValue>>::deserialize(deserializer)?;
    Ok(conditions.and_then(|conditions| serde_json::from_str(conditions.get()).ok()))
}

/// Parses a present value, including null, which differs from an absent one.
///
/// # Errors
/// If the value is not a `T`.
pub fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
