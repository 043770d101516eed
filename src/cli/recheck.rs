//! `creel recheck` and `creel release`: turn rejected requests into messages, one or many.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::output::{Failure, harmless};
use super::rejections::Selection;
use super::remote::{Address, JSON, Remote};
use super::send::block_on;
use crate::outbound::Response;

/// Pause while another client's step is running.
const BUSY_PAUSE: Duration = Duration::from_millis(200);
const MAX_RECOUNTS: usize = 10;

/// Which rejected requests, one by its id or many.
#[derive(Debug, clap::Args)]
pub struct Selected {
    /// The id of one rejected request.
    #[arg(conflicts_with_all = ["source", "cause", "since", "until"])]
    id: Option<u64>,

    #[command(flatten)]
    selection: Selection,

    /// Do it; otherwise several are only counted.
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    address: Address,
}

#[derive(Debug, Deserialize)]
struct Rechecked {
    verdict: String,
    explanation: String,
    message_id: Option<i64>,
    duplicate: bool,
}

#[derive(Debug, Deserialize)]
struct Released {
    message_id: i64,
    duplicate: bool,
}

#[derive(Debug, Deserialize)]
struct Count {
    count: u64,
    by_cause: BTreeMap<String, u64>,
    through: i64,
    /// Holds times instead of durations, so that all steps select the same requests.
    filter: Value,
}

#[derive(Debug, Deserialize)]
struct Step {
    next_cursor: Option<String>,
    #[serde(flatten)]
    done: Done,
}

/// Results of the requests.
#[derive(Debug, Default, Deserialize)]
struct Done {
    released: u64,
    duplicates: u64,
    still_rejected: BTreeMap<String, u64>,
    skipped: BTreeMap<String, u64>,
    gone: u64,
}

pub fn recheck(arguments: &Selected) -> Result<String, Failure> {
    let remote = arguments.address.remote()?;
    match arguments.id {
        Some(id) => block_on(recheck_one(&remote, id))?,
        None => block_on(all(&remote, arguments, "recheck"))?,
    }
}

pub fn release(arguments: &Selected) -> Result<String, Failure> {
    let remote = arguments.address.remote()?;
    match arguments.id {
        Some(id) => block_on(release_one(&remote, id))?,
        None => block_on(all(&remote, arguments, "release"))?,
    }
}

async fn recheck_one(remote: &Remote, id: u64) -> Result<String, Failure> {
    let done: Rechecked = remote.post(&format!("/rejections/{id}/recheck"), &[], Vec::new()).await?;
    match done.message_id {
        Some(message) => Ok(became(message, done.duplicate)),
        None if done.verdict == "refused" => {
            Err(Failure(format!("rejection {id} is still rejected. {}", harmless(&done.explanation))))
        }
        None => Err(Failure(format!("rejection {id} stays. {}", harmless(&done.explanation)))),
    }
}

async fn release_one(remote: &Remote, id: u64) -> Result<String, Failure> {
    let done: Released = remote.post(&format!("/rejections/{id}/release"), &[], Vec::new()).await?;
    Ok(became(done.message_id, done.duplicate))
}

fn became(message: i64, duplicate: bool) -> String {
    let note = if duplicate { " (it had arrived before, and is counted as a duplicate)" } else { "" };
    format!("message {message}{note}\n")
}

async fn all(remote: &Remote, arguments: &Selected, action: &str) -> Result<String, Failure> {
    let path = format!("/rejections/{action}");
    let Selection { source, cause, since, until } = &arguments.selection;
    let filter = json!({"source": source, "cause": cause, "since": since, "until": until});
    let mut count: Count = post(remote, &path, &json!({ "filter": filter })).await?;
    let counted = counted(count.count, &count.by_cause);
    if count.count == 0 || !arguments.yes {
        let what = if action == "recheck" { "check them again" } else { "release them without proof" };
        let hint = if count.count == 0 { String::new() } else { format!("; add --yes to {what}") };
        return Ok(format!("{counted}{hint}\n"));
    }
    let mut cursor: Option<String> = None;
    let mut recounts = 0;
    let mut done = Done::default();
    loop {
        let (filter, through) = (&count.filter, count.through);
        let request = match &cursor {
            Some(cursor) => json!({"filter": filter, "through": through, "cursor": cursor}),
            None => json!({"filter": filter, "through": through, "confirm": count.count}),
        };
        let stopped = |why: Failure| Failure(format!("{why}\n{}", done.text().trim_end()));
        let response = respond(remote, &path, &request).await.map_err(stopped)?;
        if code_of(&response).as_deref() == Some("count_changed") && recounts < MAX_RECOUNTS {
            // The quarantine has dropped some requests in the meantime.
            recounts += 1;
            let again = post(remote, &path, &json!({"filter": filter, "through": through})).await;
            count = again.map_err(stopped)?;
            continue;
        }
        let step: Step = remote.read(&response).map_err(stopped)?;
        done.add(step.done);
        cursor = step.next_cursor;
        if cursor.is_none() {
            return Ok(done.text());
        }
    }
}

async fn post<T: DeserializeOwned>(remote: &Remote, path: &str, body: &Value) -> Result<T, Failure> {
    remote.read(&respond(remote, path, body).await?)
}

/// Sends a step, and waits while another client's step is running.
async fn respond(remote: &Remote, path: &str, body: &Value) -> Result<Response, Failure> {
    loop {
        let response = remote.request("POST", path, &[JSON], body.to_string().into_bytes()).await?;
        if code_of(&response).as_deref() != Some("already_running") {
            return Ok(response);
        }
        tokio::time::sleep(BUSY_PAUSE).await;
    }
}

/// Returns the problem code in the service's response, if present.
fn code_of(response: &Response) -> Option<String> {
    let problem: Value = serde_json::from_slice(&response.body).ok().filter(|_| response.status == 409)?;
    problem["code"].as_str().map(str::to_owned)
}

fn counted(count: u64, by_cause: &BTreeMap<String, u64>) -> String {
    if count == 0 {
        return "no rejected request matches".to_owned();
    }
    let noun = if count == 1 { "rejected request" } else { "rejected requests" };
    format!("{count} {noun} ({})", list(by_cause))
}

fn list(counts: &BTreeMap<String, u64>) -> String {
    let parts: Vec<String> = counts.iter().map(|(name, count)| format!("{name}: {count}")).collect();
    harmless(&parts.join(", "))
}

impl Done {
    fn add(&mut self, other: Self) {
        self.released += other.released;
        self.duplicates += other.duplicates;
        self.gone += other.gone;
        for (sum, more) in
            [(&mut self.still_rejected, other.still_rejected), (&mut self.skipped, other.skipped)]
        {
            more.into_iter().for_each(|(name, count)| *sum.entry(name).or_default() += count);
        }
    }

    fn text(&self) -> String {
        let mut text = format!("released: {}\nduplicates: {}\n", self.released, self.duplicates);
        let sum = |counts: &BTreeMap<String, u64>| counts.values().sum::<u64>();
        for (name, counts) in [("still rejected", &self.still_rejected), ("skipped", &self.skipped)] {
            if sum(counts) > 0 {
                text.push_str(&format!("{name}: {} ({})\n", sum(counts), list(counts)));
            }
        }
        if ["provider_not_reached", "not_judged_in_time"].iter().any(|why| self.skipped.contains_key(*why)) {
            text.push_str("run the same command again in a minute for those that could not be judged now\n");
        }
        if self.gone > 0 {
            text.push_str(&format!("already gone: {}\n", self.gone));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_summed_up() {
        let step = |text: &str| serde_json::from_str::<Step>(text).unwrap().done;
        let mut done = Done::default();
        for text in [
            r#"{"released":64,"duplicates":0,"still_rejected":{},"skipped":{},"gone":1,"next_cursor":"x,1","through":9,"filter":{}}"#,
            r#"{"released":3,"duplicates":1,"still_rejected":{"signature_mismatch":2},"skipped":{"handshake":1},"gone":0,"next_cursor":null,"through":9,"filter":{}}"#,
        ] {
            done.add(step(text));
        }
        assert_eq!(
            done.text(),
            "released: 67\nduplicates: 1\nstill rejected: 2 (signature_mismatch: 2)\nskipped: 1 (handshake: 1)\nalready gone: 1\n"
        );
    }

    #[test]
    fn count_names_its_causes() {
        let causes = BTreeMap::from([("stale_timestamp".to_owned(), 1), ("token_mismatch".to_owned(), 4)]);
        assert_eq!(counted(5, &causes), "5 rejected requests (stale_timestamp: 1, token_mismatch: 4)");
        assert_eq!(counted(0, &BTreeMap::new()), "no rejected request matches");
    }
}
