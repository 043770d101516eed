//! `creel targets`: lists the targets of a service with their states, or pauses or resumes one.

use clap::ValueEnum;

use super::output::{Failure, harmless, seconds};
use super::remote::{Address, Remote, with_query};
use super::send::block_on;
use crate::api::types::page::Page;
use crate::api::types::target::Target;
use crate::api::types::words::{TargetKind, TargetState, Word};

/// Action and target.
#[derive(Debug, clap::Args)]
pub struct TargetsArguments {
    /// Action on a target; without an action, all targets are listed.
    #[arg(value_enum, requires = "name")]
    action: Option<TargetAction>,

    /// The target's name.
    name: Option<String>,

    #[command(flatten)]
    address: Address,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TargetAction {
    /// Stop deliveries. They stay pending, and become dead letters after a week at the earliest.
    Pause,
    /// Deliver again to a target that was paused, or disabled because it answered 410 Gone.
    Resume,
}

pub fn run(arguments: &TargetsArguments) -> Result<String, Failure> {
    let remote = arguments.address.remote()?;
    block_on(async {
        let targets = all(&remote).await?;
        let (Some(action), Some(name)) = (arguments.action, &arguments.name) else {
            return Ok(targets.iter().map(line).collect());
        };
        let target = targets.iter().find(|target| target.name == *name);
        let target = target
            .ok_or_else(|| Failure(format!("target {name} not found; `creel targets` lists them all")))?;
        let verb = match action {
            TargetAction::Pause => "pause",
            TargetAction::Resume => "resume",
        };
        let changed: Target = remote.post(&format!("/targets/{}/{verb}", target.id), &[], Vec::new()).await?;
        Ok(line(&changed))
    })?
}

/// Returns all targets, oldest first.
async fn all(remote: &Remote) -> Result<Vec<Target>, Failure> {
    let mut targets = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let path = with_query("/targets", &[("limit", Some("200")), ("cursor", cursor.as_deref())]);
        let page: Page<Target> = remote.get(&path).await?;
        targets.extend(page.items);
        match page.next_cursor {
            Some(next) => cursor = Some(next.to_string()),
            None => break,
        }
    }
    targets.reverse();
    Ok(targets)
}

fn line(target: &Target) -> String {
    let reason = target.state_reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    // A disconnected listener is not paused: its deliveries stay pending until it connects again.
    let state = match (&target.kind, &target.state) {
        (Word::Known(TargetKind::Listener), Word::Known(TargetState::Paused)) => "disconnected".to_owned(),
        (_, state) => state.to_string(),
    };
    let line = format!(
        "{}  {}  {state} since {}{reason}  {}",
        target.name,
        target.kind,
        seconds(&target.state_since),
        target.events.join(" ")
    );
    format!("{}\n", harmless(&line.replace(['\n', '\t'], " ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn line_has_kind_and_state_of_a_newer_service() {
        let shown = |kind: &str, state: &str| {
            let target = json!({
                "id": 3, "name": "billing", "kind": kind, "state": state,
                "state_since": "2026-11-22T14:31:00.000000Z", "state_reason": null, "events": ["github.*"],
            });
            line(&serde_json::from_value(target).unwrap())
        };
        let since = "since 2026-11-22T14:31:00Z  github.*\n";
        assert_eq!(shown("http", "paused"), format!("billing  http  paused {since}"));
        assert_eq!(shown("listener", "paused"), format!("billing  listener  disconnected {since}"));
        assert_eq!(shown("queue", "asleep"), format!("billing  queue  asleep {since}"));
    }
}
