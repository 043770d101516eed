//! Message selection, shared by lists and replays.

use time::OffsetDateTime;

use super::error::ApiError;
use super::input;
use super::types::message::MessageSelection;
use crate::store::MessageFilter;

/// Limit on a search text.
const MAX_TEXT_CHARACTERS: usize = 1_000;

impl MessageSelection {
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
