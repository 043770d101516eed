//! The filter of messages for lists, replays and counts, and its SQL.

use rusqlite::{CachedStatement, ToSql};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::query::{MessageQuery, MessageState, QueryTerm, QueryTime};
use crate::store::id::{MessageId, TargetId, ids_text};
use crate::store::target::subscription::Pattern;
use crate::store::timestamp::Timestamp;

/// Selection of messages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MessageFilter {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<MessageId>,
    /// Received at this time or later.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "since")]
    pub since: Option<Timestamp>,
    /// Received before this time.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "until")]
    pub until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// A pattern of event names, such as `github.*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// A query whose times are moments.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "write_query",
        deserialize_with = "read_query"
    )]
    pub q: Option<MessageQuery>,
    /// Selects only messages with a dead letter.
    pub dead: bool,
    /// Target of the dead letter, with `dead`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_at: Option<TargetId>,
}

impl MessageFilter {
    /// Whether a replay of these messages goes only to the targets where they became dead letters.
    pub fn replays_only_dead_letters(&self, target: Option<TargetId>) -> bool {
        self.dead && (target.is_none() || self.dead_at.is_some())
    }

    /// Parses the JSON of a stored filter.
    ///
    /// # Errors
    /// It is not JSON or has unknown fields. If they were ignored, a replay would deliver more
    /// messages.
    pub fn parse_stored(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }

    /// Whether the filter needs the text of messages: headers, query, body.
    pub fn needs_text(&self) -> bool {
        self.q.as_ref().is_some_and(MessageQuery::needs_text)
    }

    /// Returns the time range: the start, and the end, which is not in it.
    pub(super) fn time_range(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        narrowed_range((self.since, self.until), self.q.as_ref())
    }

    /// Returns a state that every match has and for which the database has an index.
    pub(super) fn driving_state(&self) -> Option<MessageState> {
        if self.dead {
            return Some(MessageState::Dead);
        }
        let of_term = |term: &QueryTerm| match term {
            QueryTerm::Is(state @ (MessageState::Dead | MessageState::Pending | MessageState::Awaiting)) => {
                Some(*state)
            }
            _ => None,
        };
        self.q.iter().flat_map(MessageQuery::required_terms).find_map(of_term)
    }

    /// Returns the ids of the only messages that can match; empty for all messages.
    pub(super) fn only_ids(&self) -> Vec<MessageId> {
        if !self.ids.is_empty() {
            return self.ids.clone();
        }
        let of_term = |term: &QueryTerm| match term {
            QueryTerm::MessageId(id) => Some(MessageId::of_rowid(*id)),
            _ => None,
        };
        self.q.iter().flat_map(MessageQuery::required_terms).find_map(of_term).into_iter().collect()
    }
}

fn write_query<S: Serializer>(query: &Option<MessageQuery>, serializer: S) -> Result<S::Ok, S::Error> {
    query.as_ref().map(MessageQuery::to_string).serialize(serializer)
}

/// Reads a query. As for `since`, an unreadable one selects no messages, nor does one with a time
/// that is not a moment.
fn read_query<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<MessageQuery>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let read = |text: String| MessageQuery::parse_stored(&text).ok().filter(MessageQuery::is_resolved);
    Ok(text.map(|text| read(text).unwrap_or_else(MessageQuery::of_nothing)))
}

/// Reads the start of the time range. An unreadable time, e.g. after a manual edit of a replay,
/// selects no messages. If it were ignored, the replay would deliver all messages.
fn since<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    time_or(deserializer, Timestamp::MAX)
}

/// Reads the end of the time range. As for `since`, an unreadable time selects no messages.
fn until<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    time_or(deserializer, Timestamp::MIN)
}

fn time_or<'de, D: Deserializer<'de>>(
    deserializer: D,
    nothing: Timestamp,
) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.map(|text| text.as_str().try_into().unwrap_or(nothing)))
}

/// Limits the rows that a page examines, so that no reader blocks the WAL for long.
const MAX_SCANNED_PER_PAGE: usize = 20_000;
/// The same limit for a page that reads the text of messages.
pub const MAX_SEARCHED_PER_PAGE: usize = if cfg!(test) { 100 } else { 2_000 };
/// Limit on the bytes of text that a page reads: after them it ends.
pub(super) const MAX_SEARCHED_BYTES_PER_PAGE: usize = if cfg!(test) { 1 << 20 } else { 16 << 20 };

pub(super) fn max_scanned_per_page(filter: &MessageFilter) -> usize {
    match filter.needs_text() {
        true => MAX_SEARCHED_PER_PAGE,
        false => max_tested_per_page(filter.q.as_ref()),
    }
}

/// Limits the rows of a page that SQL tests.
pub fn max_tested_per_page(query: Option<&MessageQuery>) -> usize {
    // SQL tests each value in each row.
    let values = query.map_or(0, MessageQuery::count_values);
    MAX_SCANNED_PER_PAGE / (1 + values / 8)
}

/// Returns a time range narrowed by the terms that every match meets: the start, and the end, which
/// is not in it.
pub fn narrowed_range(
    (mut since, mut until): (Option<Timestamp>, Option<Timestamp>),
    query: Option<&MessageQuery>,
) -> (Option<Timestamp>, Option<Timestamp>) {
    for term in query.into_iter().flat_map(MessageQuery::required_terms) {
        match term {
            QueryTerm::After(QueryTime::Moment(at)) => since = since.max(Some(Timestamp::from(*at))),
            QueryTerm::Before(QueryTime::Moment(at)) => {
                let at = Timestamp::from(*at);
                until = Some(until.map_or(at, |until| until.min(at)));
            }
            _ => {}
        }
    }
    (since, until)
}

/// The order of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    NewestFirst,
    OldestFirst,
}

/// The conditions of a filter on a message.
pub(super) const MATCHES: &str = "(:ids IS NULL OR id IN (SELECT value FROM json_each(:ids)))
  AND (:since IS NULL OR received_at >= :since) AND (:until IS NULL OR received_at < :until)
  AND (:source IS NULL OR source = :source) AND (:event IS NULL OR event GLOB :event)
  AND (:owner IS NULL OR owner = :owner)
  AND (NOT :dead OR EXISTS (SELECT 1 FROM deliveries JOIN targets ON targets.id = target_id
    WHERE message_id = messages.id AND deliveries.state = 'dead' AND kind <> 'listener'
      AND (:dead_at IS NULL OR target_id = :dead_at)
      AND (NOT :only_dead_letters OR (targets.state <> 'removed'
        AND (targets.owner IS NULL OR targets.owner = messages.owner)))))";

/// Binds the filter to the parameters of `MATCHES`.
pub(super) fn bind(statement: &mut CachedStatement<'_>, filter: &MessageFilter) -> rusqlite::Result<()> {
    let mut bind = |name: &str, value: &dyn ToSql| match statement.parameter_index(name)? {
        Some(index) => statement.raw_bind_parameter(index, value),
        None => Ok(()),
    };
    bind(":ids", &(!filter.ids.is_empty()).then(|| ids_text(&filter.ids)))?;
    bind(":since", &filter.since)?;
    bind(":until", &filter.until)?;
    bind(":source", &filter.source)?;
    bind(":event", &filter.event.as_deref().map(glob))?;
    bind(":owner", &filter.owner)?;
    bind(":dead", &filter.dead)?;
    bind(":dead_at", &filter.dead_at)
}

/// Converts a pattern to the syntax of SQLite's GLOB, so that only `*` is special.
pub(super) fn glob(pattern: &str) -> String {
    let mut text = String::with_capacity(pattern.len());
    for character in Pattern::new(pattern).as_str().chars() {
        match character {
            '?' | '[' => text.extend(['[', character, ']']),
            other => text.push(other),
        }
    }
    text
}
