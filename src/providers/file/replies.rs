//! Parses the tables of replies.

use std::ops::RangeInclusive;

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
        return Err(problem("accepted", "the last row must have no `event`: it applies to all other events"));
    }
    let row = |table: &AcceptedTable| {
        let reply = reply("accepted", 200..=299, table.status, table.text.as_ref(), table.json.as_ref())?;
        Ok(AcceptedReply { event: table.event.clone(), reply })
    };
    tables.iter().map(row).collect()
}

/// Parses the replies to rejected requests. The first `refuse_status` of a handshake becomes the
/// first row, for `HandshakeRefused`.
pub fn rejected(
    tables: &[RejectedTable],
    handshakes: &[HandshakeTable],
) -> Result<Vec<RejectedReply>, FieldProblem> {
    if tables.last().is_some_and(|last| last.causes.is_some()) {
        return Err(problem("refused", "the last row must have no `causes`: it applies to all other causes"));
    }
    let mut rows = Vec::new();
    if let Some(status) = handshakes.iter().find_map(|table| table.refuse_status) {
        check_status("handshake.refuse_status", &(400..=599), status)?;
        let causes = Some(vec![Cause::HandshakeRefused]);
        rows.push(RejectedReply { causes, reply: Reply::empty(status) });
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
    statuses: RangeInclusive<u16>,
    status: u16,
    text: Option<&String>,
    json: Option<&String>,
) -> Result<Reply, FieldProblem> {
    check_status(&format!("{field}.status"), &statuses, status)?;
    let text = text.filter(|text| !text.is_empty());
    match (text, json) {
        (Some(_), Some(_)) => Err(problem(field, "has both `text` and `json`")),
        (Some(_), None) | (None, Some(_)) if status == 204 => {
            Err(problem(field, "a reply with status 204 cannot have `text` or `json`"))
        }
        (Some(text), None) => Ok(Reply::text(status, text.clone())),
        (None, Some(json)) if json::accepts(json.as_bytes()) => Ok(Reply::json(status, json.clone())),
        (None, Some(_)) => Err(problem(&format!("{field}.json"), "is not JSON")),
        (None, None) => Ok(Reply::empty(status)),
    }
}

fn check_status(field: &str, statuses: &RangeInclusive<u16>, status: u16) -> Result<(), FieldProblem> {
    if statuses.contains(&status) {
        return Ok(());
    }
    Err(problem(field, format!("{status} is not between {} and {}", statuses.start(), statuses.end())))
}
