//! `creel targets`: lists the targets of a service with their states, or pauses or resumes one.

use clap::ValueEnum;
use serde::Deserialize;

use super::messages::seconds;
use super::output::{Failure, harmless};
use super::remote::{Address, Remote, with_query};
use super::send::block_on;

/// Action and target.
#[derive(Debug, clap::Args)]
pub struct Targets {
    /// Action on a target; if left out, all targets are listed.
    #[arg(value_enum, requires = "name")]
    action: Option<Action>,

    /// The target's name.
    name: Option<String>,

    #[command(flatten)]
    address: Address,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Action {
    /// Keep its deliveries pending for up to a week.
    Pause,
    /// Deliver again, after it was paused, or disabled because it answered 410 Gone.
    Resume,
}

#[derive(Debug, Deserialize)]
struct Page {
    items: Vec<Target>,
    next_cursor: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct Target {
    id: i64,
    name: String,
    kind: String,
    state: String,
    state_since: String,
    state_reason: Option<String>,
    events: Vec<String>,
}

pub fn run(arguments: &Targets) -> Result<String, Failure> {
    let remote = arguments.address.remote()?;
    block_on(async {
        let targets = all(&remote).await?;
        let (Some(action), Some(name)) = (arguments.action, &arguments.name) else {
            return Ok(targets.iter().map(Target::line).collect());
        };
        let target = targets.iter().find(|target| target.name == *name);
        let target = target
            .ok_or_else(|| Failure(format!("target {name} not found; `creel targets` lists them all")))?;
        let verb = match action {
            Action::Pause => "pause",
            Action::Resume => "resume",
        };
        let changed: Target = remote.post(&format!("/targets/{}/{verb}", target.id), &[], Vec::new()).await?;
        Ok(changed.line())
    })?
}

/// Returns all targets, oldest first.
async fn all(remote: &Remote) -> Result<Vec<Target>, Failure> {
    let mut targets = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let path = with_query("/targets", &[("limit", Some("200")), ("cursor", cursor.as_deref())]);
        let page: Page = remote.get(&path).await?;
        targets.extend(page.items);
        match page.next_cursor {
            Some(next) => cursor = Some(next.to_string()),
            None => break,
        }
    }
    targets.reverse();
    Ok(targets)
}

impl Target {
    fn line(&self) -> String {
        let reason = self.state_reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        // A disconnected listener is not paused: its deliveries stay pending until it connects
        // again.
        let state = match (self.kind.as_str(), self.state.as_str()) {
            ("listener", "paused") => "disconnected",
            (_, state) => state,
        };
        let line = format!(
            "{}  {}  {} since {}{reason}  {}",
            self.name,
            self.kind,
            state,
            seconds(&self.state_since),
            self.events.join(" ")
        );
        format!("{}\n", harmless(&line.replace(['\n', '\t'], " ")))
    }
}
