//! Which messages: what lists and replays can ask of them.

use serde::Deserialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::error::ApiError;
use super::input;
use super::schemas;
use crate::store::MessageFilter;

/// Of a text that is searched.
const MAX_TEXT_CHARACTERS: usize = 1_000;

/// Which messages. All that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    #[schema(schema_with = schemas::name_or_null, required = false)]
    pub source: Option<String>,
    /// A pattern: `*` stands for any characters.
    #[schema(schema_with = schemas::pattern_or_null, required = false)]
    pub event: Option<String>,
    /// Received then or later: a time like `2026-11-22T14:31:00Z`, or a duration before now like `2h`.
    #[schema(schema_with = schemas::time_or_null, required = false)]
    pub since: Option<String>,
    /// Received before: written like `since`.
    #[schema(schema_with = schemas::time_or_null, required = false)]
    pub until: Option<String>,
    /// A text that stands in the body exactly so.
    #[schema(min_length = 1, max_length = 1000)]
    pub text: Option<String>,
    /// Whom emitted events belong to.
    #[schema(schema_with = schemas::name_or_null, required = false)]
    pub owner: Option<String>,
    /// Only those with a dead letter: a delivery that is dead and was not replayed.
    pub dead: Option<bool>,
}

impl Selection {
    /// # Errors
    /// When a value cannot be.
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
