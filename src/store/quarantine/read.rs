//! Reads rejections and the statistics of each source.

use std::collections::BTreeMap;

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Row, named_params};

use crate::store::damage;
use crate::store::id::RejectionId;
use crate::store::message::search::bind_if_used;
use crate::store::quarantine::network::ClientNetwork;
use crate::store::quarantine::rejection::RejectionKind;
use crate::store::quarantine::senders::Sender;
use crate::store::stored_time::StoredTime;
use crate::store::time_text::TimeText;
use crate::store::timestamp::Timestamp;

/// One row of `rejections` without the large columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectionRow {
    pub id: RejectionId,
    pub received_at: StoredTime,
    /// `received_at` as stored, for positions in order of arrival.
    pub received_text: TimeText,
    pub source: String,
    pub cause: String,
    pub kind: RejectionKind,
    pub remote_ip: String,
    pub method: String,
    /// `None` if the body was not stored.
    pub body_bytes: Option<i64>,
}

/// A rejection with all stored values. Not `Debug`: it has credentials.
#[derive(Clone)]
pub struct StoredRejection {
    pub head: RejectionRow,
    pub query: Option<String>,
    /// JSON object, credentials redacted.
    pub headers: String,
    pub body: Option<Vec<u8>>,
    /// Redacted values, as in `NewRejection`; `None` if nothing was redacted, or if they are sealed
    /// under another key.
    pub credentials: Option<String>,
}

/// Selection of rejections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RejectionFilter {
    pub source: Option<String>,
    pub cause: Option<String>,
    /// Received at this time or later.
    pub since: Option<Timestamp>,
    /// Received before this time.
    pub until: Option<Timestamp>,
    pub kind: Option<RejectionKind>,
}

/// Number of rejections with one cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CauseCount {
    pub cause: String,
    pub count: u64,
}

/// Position in order of arrival: everything up to it was examined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectionPosition {
    pub received_at: TimeText,
    pub id: RejectionId,
}

impl RejectionPosition {
    /// Position before all rejections.
    pub const START: Self = Self { received_at: TimeText::START, id: RejectionId::START };
}

/// Conditions of the filter, with named parameters.
pub(super) const MATCHES: &str =
    "(:source IS NULL OR source = :source) AND (:cause IS NULL OR cause = :cause)
    AND received_at >= coalesce(:since, '') AND (:until IS NULL OR received_at < :until)
    AND (:candidate IS NULL OR candidate = :candidate)";

pub(super) const HEAD: &str = "id, received_at, source, cause, remote_ip, method, length(body), candidate";

pub(super) fn read_head(row: &Row<'_>) -> rusqlite::Result<RejectionRow> {
    Ok(RejectionRow {
        id: row.get(0)?,
        received_at: damage::stored_time("rejections", row, 1)?,
        received_text: row.get(1)?,
        source: row.get(2)?,
        cause: row.get(3)?,
        kind: if row.get(7)? { RejectionKind::Candidate } else { RejectionKind::Noise },
        remote_ip: row.get(4)?,
        method: row.get(5)?,
        body_bytes: row.get(6)?,
    })
}

impl RejectionFilter {
    fn candidate(&self) -> Option<bool> {
        self.kind.map(|kind| kind == RejectionKind::Candidate)
    }
}

/// Binds the filter to the parameters of `MATCHES`.
pub(super) fn bind(statement: &mut CachedStatement<'_>, filter: &RejectionFilter) -> rusqlite::Result<()> {
    bind_if_used(statement, ":source", &filter.source)?;
    bind_if_used(statement, ":cause", &filter.cause)?;
    bind_if_used(statement, ":since", filter.since)?;
    bind_if_used(statement, ":until", filter.until)?;
    bind_if_used(statement, ":candidate", filter.candidate())
}

/// Counts matching rejections up to `through`, by cause.
pub fn count(
    connection: &Connection,
    filter: &RejectionFilter,
    through: RejectionId,
) -> rusqlite::Result<Vec<CauseCount>> {
    let sql = format!(
        "SELECT cause, count(*) FROM rejections WHERE id <= :through AND {MATCHES} GROUP BY cause ORDER BY cause"
    );
    connection
        .prepare_cached(&sql)?
        .query_map(
            named_params! {
                ":through": through, ":source": filter.source, ":cause": filter.cause,
                ":since": filter.since, ":until": filter.until, ":candidate": filter.candidate(),
            },
            |row| Ok(CauseCount { cause: row.get(0)?, count: row.get(1)? }),
        )?
        .collect()
}

/// Returns the next rejections after `after` with ids up to `through`, in order of arrival, with
/// the sizes of their bodies.
pub fn next_in_order(
    connection: &Connection,
    filter: &RejectionFilter,
    after: &RejectionPosition,
    through: RejectionId,
    limit: usize,
) -> rusqlite::Result<Vec<RejectionRow>> {
    let sql = format!(
        "SELECT {HEAD} FROM rejections INDEXED BY rejections_received_at
         WHERE (received_at, id) > (:after, :after_id) AND id <= :through AND {MATCHES}
         ORDER BY received_at, id LIMIT :limit"
    );
    connection
        .prepare_cached(&sql)?
        .query_map(
        named_params! {
            ":after": after.received_at, ":after_id": after.id, ":through": through, ":source": filter.source,
            ":cause": filter.cause, ":since": filter.since, ":until": filter.until,
            ":candidate": filter.candidate(), ":limit": limit,
        },
        read_head,
    )?
        .collect()
}

/// Returns the id of the newest rejection; 0 if there is no rejection.
pub fn newest(connection: &Connection) -> rusqlite::Result<RejectionId> {
    connection.prepare_cached("SELECT coalesce(max(id), 0) FROM rejections")?.query_row([], |row| row.get(0))
}

/// Returns one rejection, and its sealed values.
pub fn one(
    connection: &Connection,
    id: RejectionId,
) -> rusqlite::Result<Option<(StoredRejection, Option<Vec<u8>>)>> {
    let sql =
        format!("SELECT {HEAD}, query, headers, body, sealed_credentials FROM rejections WHERE id = ?1");
    connection
        .prepare_cached(&sql)?
        .query_row([id], |row| {
            let rejection = StoredRejection {
                head: read_head(row)?,
                query: row.get(8)?,
                headers: row.get(9)?,
                body: row.get(10)?,
                credentials: None,
            };
            Ok((rejection, row.get(11)?))
        })
        .optional()
}

/// Statistics of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceNumbers {
    /// Messages of this source among the newest `MAX_SCANNED` of all sources.
    pub recent_messages: i64,
    pub last_message_at: Option<StoredTime>,
    /// Rejections in quarantine, and those that were only counted.
    pub rejections: i64,
}

/// Number of newest messages examined for statistics. A count of all would scan the table, because
/// `source` has no index.
const MAX_SCANNED: i64 = 20_000;

/// Number of newest messages from which known senders are learned.
const MAX_SCANNED_SENDERS: i64 = 5_000;

/// Returns the sources and networks of the newest verified messages.
pub fn recent_senders(connection: &Connection) -> rusqlite::Result<Vec<Sender>> {
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT source, remote_ip FROM
           (SELECT source, remote_ip, unverified, confirmation FROM messages ORDER BY id DESC LIMIT ?1)
         WHERE unverified = 0 AND coalesce(confirmation, 'confirmed') = 'confirmed'",
    )?;
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get::<_, String>(1)?));
    let rows = statement.query_map([MAX_SCANNED_SENDERS], read)?;
    let mut senders = Vec::new();
    for row in rows {
        let (source, address) = row?;
        senders.extend(ClientNetwork::parse(&address).map(|network| (source, network)));
    }
    Ok(senders)
}

/// Returns the statistics of each source, by name.
pub fn source_numbers(connection: &Connection) -> rusqlite::Result<BTreeMap<String, SourceNumbers>> {
    let mut sources: BTreeMap<String, SourceNumbers> = BTreeMap::new();
    let mut statement = connection.prepare_cached(
        "SELECT source, count(*), max(received_at) FROM
           (SELECT source, received_at FROM messages ORDER BY id DESC LIMIT ?1) GROUP BY source",
    )?;
    let mut rows = statement.query([MAX_SCANNED])?;
    while let Some(row) = rows.next()? {
        let numbers = sources.entry(row.get(0)?).or_default();
        numbers.recent_messages = row.get(1)?;
        numbers.last_message_at = damage::stored_time("messages", row, 2)?;
    }
    let mut statement = connection.prepare_cached(
        "SELECT source, sum(number) FROM
           (SELECT source, count(*) AS number FROM rejections GROUP BY source
            UNION ALL SELECT source, counted FROM rejection_counts) GROUP BY source",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        sources.entry(row.get(0)?).or_default().rejections = row.get(1)?;
    }
    Ok(sources)
}
