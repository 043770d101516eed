//! Parses the tables of replies.

use crate::content::request::Cause;

use super::super::reply::{AcceptedReply, RejectedReply, Reply};
use super::fields::{FieldProblem, problem};
use super::tables::{AcceptedTable, HandshakeTable, RejectedTable};
use crate::json;

pub fn accepted(tables: &[AcceptedTable]) -> Result<Vec<AcceptedReply>, FieldProblem> {
    if tables.is_empty() {
        return Ok(vec![AcceptedReply { event: None, reply: Reply::empty(200) }]);
    }
    if tables.last().is_none_or(|last| last.event.is_some()) {
        return Err(problem("accepted", "must end with a row without `event`, for all others"));
    }
    let row = |table: &AcceptedTable| {
        let reply = reply("accepted", 200..=299, table.status, table.text.as_ref(), table.json.as_ref())?;
        Ok(AcceptedReply { event: table.event.clone(), reply })
    };
    tables.iter().map(row).collect()
}

/// Parses the replies; a handshake's own rejection status precedes the rows of all others.
pub fn rejected(
    tables: &[RejectedTable],
    handshakes: &[HandshakeTable],
) -> Result<Vec<RejectedReply>, FieldProblem> {
    if tables.last().is_some_and(|last| last.causes.is_some()) {
        return Err(problem("refused", "must end with a row without `causes`, for all others"));
    }
    let mut rows = Vec::new();
    if let Some(status) = handshakes.iter().find_map(|table| table.refuse_status) {
        let reply = reply("handshake.refuse_status", 400..=599, status, None, None)?;
        rows.push(RejectedReply { causes: Some(vec![Cause::HandshakeRefused]), reply });
    }
    for table in tables {
        let reply = reply("refused", 400..=599, table.status, table.text.as_ref(), table.json.as_ref())?;
        rows.push(RejectedReply { causes: table.causes.clone(), reply });
    }
    if tables.is_empty() {
        rows.push(RejectedReply { causes: None, reply: Reply::empty(403) });
    }
    Ok(rows)
}

fn reply(
    field: &str,
    statuses: std::ops::RangeInclusive<u16>,
    status: u16,
    text: Option<&String>,
    json: Option<&String>,
) -> Result<Reply, FieldProblem> {
    if !statuses.contains(&status) {
        return Err(problem(
            &format!("{field}.status"),
            format!("{status} is not between {} and {}", statuses.start(), statuses.end()),
        ));
    }
    let text = text.filter(|text| !text.is_empty());
    match (text, json) {
        (Some(_), Some(_)) => Err(problem(field, "has both `text` and `json`")),
        (Some(_), None) | (None, Some(_)) if status == 204 => {
            Err(problem(field, "a reply with status 204 has no body"))
        }
        (Some(text), None) => Ok(Reply::text(status, text.clone())),
        (None, Some(json)) if json::accepts(json.as_bytes()) => Ok(Reply::json(status, json.clone())),
        (None, Some(_)) => Err(problem(&format!("{field}.json"), "is not JSON")),
        (None, None) => Ok(Reply::empty(status)),
    }
}
