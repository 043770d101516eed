//! Events that the user's own app emits.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

#[cfg(test)]
use super::schemas;

/// An event of the user's own app.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewEvent<'a> {
    /// One of the names in `CREEL_EVENTS`.
    #[cfg_attr(
        test,
        schema(
            min_length = 1,
            max_length = 200,
            pattern = "^[A-Za-z0-9_.-]{1,200}$",
            examples("pay_info.paid")
        )
    )]
    pub event: String,
    /// Owner of the event: it is delivered to this owner's targets and to targets without an owner.
    #[cfg_attr(test, schema(schema_with = schemas::owner_or_null, required = false))]
    pub owner: Option<String>,
    /// Any JSON, stored unchanged.
    #[serde(borrow)]
    #[cfg_attr(test, schema(value_type = Value))]
    pub payload: &'a RawValue,
}

/// The message created from the event.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[cfg_attr(test, schema(as = Emitted))]
pub struct EmittedEvent {
    #[cfg_attr(test, schema(examples(42)))]
    pub id: i64,
}
