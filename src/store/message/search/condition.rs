//! The SQL of the terms of a query that need no text of a message. It must agree with the matcher
//! in `query`, which a test checks. One exception: GLOB reads an event only up to a NUL, so a
//! pattern with `*` ignores the rest of such an event.

use rusqlite::types::Value;

use crate::query::{MessageQuery, MessageState, QueryClause, QueryTerm, QueryTime};
use crate::store::confirmation::ConfirmationState;
use crate::store::message::filter::glob;
use crate::store::timestamp::Timestamp;

/// Conditions with named parameters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SqlCondition {
    /// ` AND …` for each clause, or empty.
    pub sql: String,
    /// The parameters, in order: `:q0`, `:q1` …
    pub values: Vec<Value>,
}

/// The table that a query searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchedTable {
    Messages,
    Rejections,
}

/// The type of an event: its text after the name of its source.
const EVENT_TYPE: &str =
    "iif(substr(event, 1, length(source) + 1) = source || '.', substr(event, length(source) + 2), event)";

impl SqlCondition {
    /// The conditions on messages of all clauses that need no text.
    pub fn new(query: &MessageQuery) -> Self {
        Self::of_table(query, SearchedTable::Messages)
    }

    /// As `new`, for a table.
    pub fn of_table(query: &MessageQuery, table: SearchedTable) -> Self {
        let mut condition = Self::default();
        let targets: Vec<String> = query.targets().into_iter().map(str::to_owned).collect();
        for clause in query.clauses.iter().filter(|clause| !clause.needs_text()) {
            condition.add(clause, table, &targets);
        }
        condition
    }

    fn add(&mut self, clause: &QueryClause, table: SearchedTable, targets: &[String]) {
        let of_term = |term| match table {
            SearchedTable::Messages => self.of_term(term, targets),
            SearchedTable::Rejections => self.of_rejection_term(term),
        };
        let terms: Vec<String> = clause.terms.iter().map(of_term).collect();
        let not = if clause.is_negated { "NOT " } else { "" };
        self.sql.push_str(&format!(" AND {not}({})", terms.join(" OR ")));
    }

    fn bind(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!(":q{}", self.values.len() - 1)
    }

    fn list(&mut self, values: &[String]) -> String {
        let names: Vec<String> = values.iter().map(|value| self.bind(value.clone())).collect();
        format!("({})", names.join(", "))
    }

    /// Returns an expression that is true or false, never NULL.
    fn of_term(&mut self, term: &QueryTerm, targets: &[String]) -> String {
        match term {
            QueryTerm::Source(names) => format!("source IN {}", self.list(names)),
            QueryTerm::Event(patterns) => {
                let of_pattern = |pattern: &String| match pattern.contains('*') {
                    true => {
                        let name = self.bind(glob(pattern));
                        format!("event GLOB {name} OR {EVENT_TYPE} GLOB {name}")
                    }
                    false => {
                        let name = self.bind(pattern.clone());
                        format!("event = {name} OR event = source || '.' || {name}")
                    }
                };
                patterns.iter().map(of_pattern).collect::<Vec<_>>().join(" OR ")
            }
            QueryTerm::DeliveryId(id) => format!("delivery_id IS {}", self.bind(id.clone())),
            QueryTerm::MessageId(id) => format!("messages.id = {}", self.bind(*id)),
            QueryTerm::Ip(address) => format!("remote_ip = {}", self.bind(address.to_string())),
            QueryTerm::Method(methods) => format!("method IN {}", self.list(methods)),
            QueryTerm::Owner(owner) => format!("owner IS {}", self.bind(owner.clone())),
            QueryTerm::After(time) => format!("received_at >= {}", self.bind(moment(*time))),
            QueryTerm::Before(time) | QueryTerm::At(time) => {
                format!("received_at < {}", self.bind(moment(*time)))
            }
            QueryTerm::Is(state) => self.of_state(*state, targets),
            QueryTerm::To(names) => self.of_deliveries("", names),
            QueryTerm::Larger(bytes) => format!("{BODY_BYTES} > {}", self.bind(integer(*bytes))),
            QueryTerm::Smaller(bytes) => format!("{BODY_BYTES} < {}", self.bind(integer(*bytes))),
            // Not reached: `new` leaves these out.
            QueryTerm::Words { .. }
            | QueryTerm::Quote(_)
            | QueryTerm::Path { .. }
            | QueryTerm::Header { .. } => "true".to_owned(),
        }
    }

    /// As `of_term`, for a rejection. It has no event, ids, owner and deliveries.
    fn of_rejection_term(&mut self, term: &QueryTerm) -> String {
        match term {
            QueryTerm::Event(_)
            | QueryTerm::DeliveryId(_)
            | QueryTerm::MessageId(_)
            | QueryTerm::Owner(_)
            | QueryTerm::To(_) => "false".to_owned(),
            QueryTerm::Is(state) => (*state == MessageState::Rejected).to_string(),
            QueryTerm::Larger(bytes) => {
                format!("{REJECTED_BODY_BYTES} > {}", self.bind(integer(*bytes)))
            }
            QueryTerm::Smaller(bytes) => {
                format!("{REJECTED_BODY_BYTES} < {}", self.bind(integer(*bytes)))
            }
            // These columns have the same names in both tables.
            QueryTerm::Source(_)
            | QueryTerm::Ip(_)
            | QueryTerm::Method(_)
            | QueryTerm::After(_)
            | QueryTerm::Before(_)
            | QueryTerm::At(_)
            | QueryTerm::Words { .. }
            | QueryTerm::Quote(_)
            | QueryTerm::Path { .. }
            | QueryTerm::Header { .. } => self.of_term(term, &[]),
        }
    }

    fn of_state(&mut self, state: MessageState, targets: &[String]) -> String {
        match state {
            MessageState::Dead | MessageState::Pending | MessageState::Delivered => {
                self.of_deliveries(&format!(" AND deliveries.state = '{}'", state.name()), targets)
            }
            MessageState::Conflict => "conflict_of IS NOT NULL".to_owned(),
            MessageState::Duplicate => "duplicates > 0".to_owned(),
            MessageState::NotJson => "not_json = 1".to_owned(),
            MessageState::Unsigned => "body_unsigned = 1".to_owned(),
            MessageState::Unverified => "unverified = 1".to_owned(),
            MessageState::Awaiting => format!("confirmation IS '{}'", ConfirmationState::Awaiting),
            MessageState::Rejected => {
                format!("unverified = 1 OR confirmation IS '{}'", ConfirmationState::Refused)
            }
        }
    }

    /// The deliveries of a message, to some or all targets other than listeners.
    fn of_deliveries(&mut self, and: &str, targets: &[String]) -> String {
        let to_targets = match targets {
            [] => String::new(),
            names => format!(" AND targets.name IN {}", self.list(names)),
        };
        format!(
            "EXISTS (SELECT 1 FROM deliveries JOIN targets ON targets.id = target_id
               WHERE message_id = messages.id AND kind <> 'listener'{and}{to_targets})"
        )
    }
}

const BODY_BYTES: &str = "coalesce(octet_length(coalesce(body, payload)), 0)";
const REJECTED_BODY_BYTES: &str = "coalesce(octet_length(body), 0)";

/// The text of a time. All times in a filter are moments.
fn moment(time: QueryTime) -> String {
    Timestamp::from(time.start(time::OffsetDateTime::UNIX_EPOCH)).to_string()
}

fn integer(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
