//! Message selection, shared by lists and replays.

use time::OffsetDateTime;

use super::error::ApiError;
use super::types::message::MessageSelection;
use crate::operate::values;
use crate::store::MessageFilter;

impl MessageSelection {
    /// Converts the selection to a filter of the store. Ages are relative to `now`.
    ///
    /// # Errors
    /// If a value is invalid.
    pub fn filter(self, now: OffsetDateTime) -> Result<MessageFilter, ApiError> {
        for (field, name) in [("source", &self.source), ("event", &self.event), ("owner", &self.owner)] {
            name.as_deref().map_or(Ok(()), |name| values::name(field, name))?;
        }
        self.text.as_deref().map_or(Ok(()), |text| values::search_text("text", text))?;
        let at = |field, text: Option<String>| text.map(|text| values::time(field, &text, now)).transpose();
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
