//! Selections of messages and rejections in requests, shared by lists and operations.

use super::error::ApiError;
use super::types::message::MessageSelection;
use super::types::rejection::RejectionSelection;
use crate::http::tokens::Role;
use crate::operate::{MessageCriteria, Operator, RejectionCriteria};
use crate::query::MessageQuery;
use crate::store::MessageFilter;

/// Converts criteria to a filter, within the rights of the token.
///
/// # Errors
/// If a value is invalid, or the token does not allow the search.
pub fn message_filter(
    operator: &Operator,
    role: Role,
    criteria: MessageCriteria,
) -> Result<MessageFilter, ApiError> {
    let filter = operator.message_filter(criteria)?;
    let is_public = filter.owner.is_none() && filter.q.as_ref().is_none_or(MessageQuery::is_public);
    if role != Role::Admin && !is_public {
        // Other searches can guess content.
        role.must_be_admin("searches by anything except source, event, time and state")?;
    }
    Ok(filter)
}

impl From<MessageSelection> for MessageCriteria {
    fn from(selection: MessageSelection) -> Self {
        let MessageSelection { q, source, event, since, until, text, owner, dead } = selection;
        Self { q, source, event, since, until, text, owner, is_dead: dead.unwrap_or(false) }
    }
}

impl From<RejectionSelection> for RejectionCriteria {
    fn from(selection: RejectionSelection) -> Self {
        let RejectionSelection { source, cause, since, until } = selection;
        Self { source, cause, since, until }
    }
}
