//! Selections of messages and rejections in requests, shared by lists and operations.

use super::error::ApiError;
use super::types::message::MessageSelection;
use super::types::rejection::RejectionSelection;
use crate::http::tokens::Role;
use crate::operate::{MessageCriteria, Operator, RejectionCriteria};
use crate::query::MessageQuery;
use crate::store::{MessageFilter, RejectionSearch};

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
    check_rights(role, filter.q.as_ref(), filter.owner.is_none())?;
    Ok(filter)
}

/// Converts criteria and a query to a search for rejections, within the rights of the token.
///
/// # Errors
/// If a value is invalid, or the token does not allow the search.
pub fn rejection_search(
    operator: &Operator,
    role: Role,
    criteria: RejectionCriteria,
    q: Option<String>,
) -> Result<RejectionSearch, ApiError> {
    let search = operator.rejection_search(criteria, q)?;
    check_rights(role, search.q.as_ref(), true)?;
    Ok(search)
}

/// Allows all searches with the admin token, and those that cannot guess content with other tokens.
fn check_rights(role: Role, query: Option<&MessageQuery>, has_public_filter: bool) -> Result<(), ApiError> {
    match has_public_filter && query.is_none_or(MessageQuery::is_public) {
        true => Ok(()),
        false => role.must_be_admin("searches by anything except source, event, time and state"),
    }
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
