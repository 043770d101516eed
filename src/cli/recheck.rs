//! `creel recheck` and `creel release`: turn rejected requests into messages, one or many.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::output::{Failure, harmless};
use super::rejections::RejectionFilters;
use super::remote::{Address, JSON, Remote, problem_code};
use super::send::block_on;
use crate::api::types::bulk::{BulkCount, BulkRequest, BulkStep, SelectedRejections};
use crate::api::types::rejection::{Recheck, RejectionSelection, ReleasedMessage, Verdict};
use crate::outbound::Response;

/// Pause while another client's step is running.
const BUSY_PAUSE: Duration = Duration::from_millis(200);
const MAX_RECOUNTS: usize = 10;

/// The rejected requests: one by its id, or many by filters.
#[derive(Debug, clap::Args)]
pub struct RecheckArguments {
    /// The id of one rejected request.
    #[arg(conflicts_with_all = ["source", "cause", "since", "until"])]
    id: Option<u64>,

    #[command(flatten)]
    filters: RejectionFilters,

    /// Verify the requests instead of only counting them.
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    address: Address,
}

pub fn recheck(arguments: &RecheckArguments) -> Result<String, Failure> {
    let remote = arguments.address.remote()?;
    match arguments.id {
        Some(id) => block_on(recheck_one(&remote, id))?,
        None => block_on(all(&remote, arguments, "recheck"))?,
    }
}

pub fn release(arguments: &RecheckArguments) -> Result<String, Failure> {
    let remote = arguments.address.remote()?;
    match arguments.id {
        Some(id) => block_on(release_one(&remote, id))?,
        None => block_on(all(&remote, arguments, "release"))?,
    }
}

async fn recheck_one(remote: &Remote, id: u64) -> Result<String, Failure> {
    let done: Recheck = remote.post(&format!("/rejections/{id}/recheck"), &[], Vec::new()).await?;
    outcome(id, &done)
}

fn outcome(id: u64, done: &Recheck) -> Result<String, Failure> {
    match done.message_id {
        Some(message) => Ok(released_text(message, done.duplicate)),
        None if done.verdict == Verdict::Refused.into() => {
            Err(Failure(format!("rejection {id} is still rejected. {}", harmless(&done.explanation))))
        }
        None => Err(Failure(format!("rejection {id} stays in quarantine. {}", harmless(&done.explanation)))),
    }
}

async fn release_one(remote: &Remote, id: u64) -> Result<String, Failure> {
    let done: ReleasedMessage = remote.post(&format!("/rejections/{id}/release"), &[], Vec::new()).await?;
    Ok(released_text(done.message_id, done.duplicate))
}

fn released_text(message: i64, duplicate: bool) -> String {
    let note = if duplicate { " (it was already stored, and is counted as a duplicate)" } else { "" };
    format!("message {message}{note}\n")
}

async fn all(remote: &Remote, arguments: &RecheckArguments, action: &str) -> Result<String, Failure> {
    let path = format!("/rejections/{action}");
    let mut request =
        BulkRequest { filter: arguments.filters.clone().into(), through: None, confirm: None, cursor: None };
    let count: BulkCount = post(remote, &path, &request).await?;
    let counted = counted(count.count, &count.by_cause);
    if count.count == 0 || !arguments.yes {
        let effect =
            if action == "recheck" { "verify them again" } else { "release them without verification" };
        let hint = if count.count == 0 { String::new() } else { format!("; add --yes to {effect}") };
        return Ok(format!("{counted}{hint}\n"));
    }
    // The filter of the count has times instead of durations, so that all steps select the same
    // requests.
    request.filter = as_selection(count.filter);
    request.through = Some(count.through);
    request.confirm = Some(count.count);
    let mut recounts = 0;
    let mut total = BulkStep::default();
    loop {
        let stopped = |why: Failure| Failure(format!("{why}\n{}", summary(&total).trim_end()));
        let response = respond(remote, &path, &request).await.map_err(stopped)?;
        if problem_code(&response).as_deref() == Some("count_changed") && recounts < MAX_RECOUNTS {
            // The quarantine has dropped some requests in the meantime.
            recounts += 1;
            request.confirm = None;
            let again: BulkCount = post(remote, &path, &request).await.map_err(stopped)?;
            request.confirm = Some(again.count);
            continue;
        }
        let step: BulkStep = remote.read(&response).map_err(stopped)?;
        request.cursor.clone_from(&step.next_cursor);
        request.confirm = None;
        add(&mut total, step);
        if request.cursor.is_none() {
            return Ok(summary(&total));
        }
    }
}

fn as_selection(
    SelectedRejections { source, cause, since, until }: SelectedRejections,
) -> RejectionSelection {
    RejectionSelection { source, cause, since, until }
}

async fn post<T: DeserializeOwned>(remote: &Remote, path: &str, request: &BulkRequest) -> Result<T, Failure> {
    remote.read(&respond(remote, path, request).await?)
}

/// Sends a step, and waits while another client's step is running.
async fn respond(remote: &Remote, path: &str, request: &BulkRequest) -> Result<Response, Failure> {
    let body = serde_json::to_vec(request).map_err(|error| Failure(error.to_string()))?;
    loop {
        let response = remote.request("POST", path, &[JSON], body.clone()).await?;
        if problem_code(&response).as_deref() != Some("already_running") {
            return Ok(response);
        }
        tokio::time::sleep(BUSY_PAUSE).await;
    }
}

fn counted(count: u64, by_cause: &BTreeMap<String, u64>) -> String {
    if count == 0 {
        return "no rejected request matches".to_owned();
    }
    let noun = if count == 1 { "rejected request" } else { "rejected requests" };
    format!("{count} {noun} ({})", list(by_cause))
}

fn list(counts: &BTreeMap<impl Display, u64>) -> String {
    let parts: Vec<String> = counts.iter().map(|(name, count)| format!("{name}: {count}")).collect();
    harmless(&parts.join(", "))
}

fn add(total: &mut BulkStep, step: BulkStep) {
    total.released += step.released;
    total.duplicates += step.duplicates;
    total.gone += step.gone;
    for (sum, more) in [(&mut total.still_rejected, step.still_rejected), (&mut total.skipped, step.skipped)]
    {
        more.into_iter().for_each(|(name, count)| *sum.entry(name).or_default() += count);
    }
}

fn summary(total: &BulkStep) -> String {
    let mut text = format!("released: {}\nduplicates: {}\n", total.released, total.duplicates);
    let sum = |counts: &BTreeMap<Cow<'_, str>, u64>| counts.values().sum::<u64>();
    for (name, counts) in [("still rejected", &total.still_rejected), ("skipped", &total.skipped)] {
        if sum(counts) > 0 {
            text.push_str(&format!("{name}: {} ({})\n", sum(counts), list(counts)));
        }
    }
    if ["provider_not_reached", "not_judged_in_time"].iter().any(|why| total.skipped.contains_key(*why)) {
        text.push_str(
            "run the same command again in a minute for the requests that could not be verified now\n",
        );
    }
    if total.gone > 0 {
        text.push_str(&format!("already gone: {}\n", total.gone));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_summed_up() {
        let step = |text: &str| serde_json::from_str::<BulkStep>(text).unwrap();
        let mut total = BulkStep::default();
        for text in [
            r#"{"released":64,"duplicates":0,"still_rejected":{},"skipped":{},"gone":1,"next_cursor":"x,1","through":9,"filter":{}}"#,
            r#"{"released":3,"duplicates":1,"still_rejected":{"signature_mismatch":2},"skipped":{"handshake":1},"gone":0,"next_cursor":null,"through":9,"filter":{}}"#,
        ] {
            add(&mut total, step(text));
        }
        assert_eq!(
            summary(&total),
            "released: 67\nduplicates: 1\nstill rejected: 2 (signature_mismatch: 2)\nskipped: 1 (handshake: 1)\nalready gone: 1\n"
        );
    }

    #[test]
    fn created_message_is_a_success_with_any_verdict() {
        let done = |verdict: &str, message_id: Option<i64>| Recheck {
            verdict: serde_json::from_value(verdict.into()).unwrap(),
            cause: None,
            explanation: "why".into(),
            message_id,
            duplicate: false,
        };
        assert_eq!(outcome(17, &done("accepted", Some(7))).unwrap(), "message 7\n");
        assert_eq!(outcome(17, &done("deferred", Some(7))).unwrap(), "message 7\n");
        for (verdict, text) in [
            ("refused", "rejection 17 is still rejected. why"),
            ("deferred", "rejection 17 stays in quarantine. why"),
        ] {
            assert_eq!(outcome(17, &done(verdict, None)).unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn count_names_its_causes() {
        let causes = BTreeMap::from([("stale_timestamp".to_owned(), 1), ("token_mismatch".to_owned(), 4)]);
        assert_eq!(counted(5, &causes), "5 rejected requests (stale_timestamp: 1, token_mismatch: 4)");
        assert_eq!(counted(0, &BTreeMap::new()), "no rejected request matches");
    }
}
