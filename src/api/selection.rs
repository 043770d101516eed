//! Message selection, shared by lists and replays.

use serde::Deserialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::error::ApiError;
use super::input;
use super::schemas;
use crate::store::MessageFilter;

/// Limit on a search text.
const MAX_TEXT_CHARACTERS: usize = 1_000;

/// Filters that select messages. A message must match all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    #[schema(schema_with = schemas::name_or_null, required = false)]
    pub source: Option<String>,
    /// A pattern: `*` matches any characters.
    #[schema(schema_with = schemas::pattern_or_null, required = false)]
    pub event: Option<String>,
    /// Received at or after: a time like `2026-11-22T14:31:00Z`, or a duration before now like
    /// `2h`.
    #[schema(schema_with = schemas::time_or_null, required = false)]
    pub since: Option<String>,
    /// Received before: same format as `since`.
    #[schema(schema_with = schemas::time_or_null, required = false)]
    pub until: Option<String>,
    /// A text that the body contains exactly.
    #[schema(min_length = 1, max_length = 1000)]
    pub text: Option<String>,
    /// Owner of emitted events.
    #[schema(schema_with = schemas::name_or_null, required = false)]
    pub owner: Option<String>,
    /// Only messages with a dead letter: a delivery that is dead and was not replayed.
    pub dead: Option<bool>,
}

impl Selection {
    /// # Errors
    /// If a value is invalid.
    pub fn filter(self, now: OffsetDateTime) -> Result<MessageFilter, ApiError> {
        for (field, name) in [("source", &self.source), ("event", &self.event), ("owner", &self.owner)] {
            name.as_deref().map_or(Ok(()), |name| input::name(field, name))?;
        }
        let length = self.text.as_ref().map(|text| text.chars().count());
        if length.is_some_and(|length| !(1..=MAX_TEXT_CHARACTERS).contains(&length)) {
            let problem = format!("must have 1 to {MAX_TEXT_CHARACTERS} characters");
            return Err(ApiError::InvalidValue { field: "text", problem });
        }
        let at = |field, text: Option<String>| text.map(|text| input::time(field, &text, now)).transpose();
        Ok(MessageFilter {
            ids: Vec::new(),
            since: at("since", self.since)?,
            until: at("until", self.until)?,
            source: self.source,
            event: self.event,
            owner: self.owner,
            text: self.text,
            dead: self.dead.unwrap_or(false),
            dead_at: None,
        })
    }
}
