//! Selections of messages and rejections, as an operator writes them.

use super::operator::Operator;
use super::problem::Problem;
use super::values;
use crate::query::MessageQuery;
use crate::store::{MessageFilter, RejectionFilter, RejectionSearch, Timestamp};

/// Criteria that a message must match. `since` and `until` are times, or ages such as `2h`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageCriteria {
    /// A query of the language for messages.
    pub q: Option<String>,
    pub source: Option<String>,
    /// A pattern: `*` matches any characters.
    pub event: Option<String>,
    pub since: Option<String>,
    pub until: Option<String>,
    /// Exact text, as a quoted text in `q`.
    pub text: Option<String>,
    pub owner: Option<String>,
    pub is_dead: bool,
}

/// Criteria that a rejection must match. `since` and `until` are times, or ages such as `2h`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RejectionCriteria {
    pub source: Option<String>,
    pub cause: Option<String>,
    pub since: Option<String>,
    pub until: Option<String>,
}

impl Operator {
    /// Converts the criteria to a filter of the store. Ages are relative to the current time.
    ///
    /// # Errors
    /// If a value is invalid.
    pub fn message_filter(&self, criteria: MessageCriteria) -> Result<MessageFilter, Problem> {
        let MessageCriteria { q, source, event, since, until, text, owner, is_dead } = criteria;
        for (field, name) in [("source", &source), ("event", &event), ("owner", &owner)] {
            name.as_deref().map_or(Ok(()), |name| values::name(field, name))?;
        }
        text.as_deref().map_or(Ok(()), |text| values::search_text("text", text))?;
        let query = self.query(q)?;
        let query = match text {
            Some(text) => Some(query.unwrap_or_default().and_quote(text)),
            None => query,
        };
        Ok(MessageFilter {
            ids: Vec::new(),
            since: self.time("since", since.as_deref())?,
            until: self.time("until", until.as_deref())?,
            source,
            event,
            owner,
            q: query,
            dead: is_dead,
            dead_at: None,
        })
    }

    /// Converts the criteria to a filter of the store. Ages are relative to the current time.
    ///
    /// # Errors
    /// If a value is invalid.
    pub fn rejection_filter(&self, criteria: RejectionCriteria) -> Result<RejectionFilter, Problem> {
        let RejectionCriteria { source, cause, since, until } = criteria;
        for (field, name) in [("source", &source), ("cause", &cause)] {
            name.as_deref().map_or(Ok(()), |name| values::name(field, name))?;
        }
        let (since, until) = (self.time("since", since.as_deref())?, self.time("until", until.as_deref())?);
        Ok(RejectionFilter { since, until, source, cause, kind: None })
    }

    /// Converts the criteria and a query to a search of the store. Ages are relative to the current
    /// time.
    ///
    /// # Errors
    /// If a value is invalid.
    pub fn rejection_search(
        &self,
        criteria: RejectionCriteria,
        q: Option<String>,
    ) -> Result<RejectionSearch, Problem> {
        Ok(RejectionSearch { filter: self.rejection_filter(criteria)?, q: self.query(q)? })
    }

    fn query(&self, q: Option<String>) -> Result<Option<MessageQuery>, Problem> {
        let query = q.map(|q| MessageQuery::parse(&q)).transpose()?;
        Ok(query.map(|query| query.resolve(self.now())))
    }

    pub(super) fn time(&self, field: &'static str, text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
        text.map(|text| values::time(field, text, self.now())).transpose()
    }
}
