//! `creel tail`: prints the messages of a service as they arrive.

use std::time::Duration;

use super::following::{Following, Resume};
use super::listen::SILENCE_SECONDS;
use super::messages;
use super::output::{Failure, print_progress, print_to_reader};
use super::remote::{Address, understood, with_query};
use super::send::block_on;
use crate::api::types::listener::WatchingEvent;

/// Filters and output format.
#[derive(Debug, clap::Args)]
pub struct TailArguments {
    /// Only messages that match this query, such as event:push '.amount:>100'; see docs/search.md.
    /// An argument cannot begin with a minus sign: write '!is:dead', or -is:dead after all options
    /// and --.
    #[arg(value_name = "QUERY")]
    query: Vec<String>,

    /// Only these events, such as 'github.*'; can be given several times.
    #[arg(long, value_name = "PATTERN")]
    events: Vec<String>,

    /// Start after the message with this id, instead of now.
    #[arg(long, value_name = "ID")]
    from: Option<u64>,

    /// Print the service's JSON for each message, one per line.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    address: Address,

    /// For tests: seconds of silence after which a connection is treated as dead.
    #[arg(long, hide = true, default_value_t = SILENCE_SECONDS)]
    dead_after: u64,
}

/// Runs until the output is closed, or an error is permanent.
pub fn run(arguments: &TailArguments) -> Result<String, Failure> {
    let remote = arguments.address.remote()?;
    let from = arguments.from.map(|id| id.to_string());
    let events = (!arguments.events.is_empty()).then(|| arguments.events.join(" "));
    let query = messages::query_of(&arguments.query);
    let path = with_query(
        "/messages/stream",
        &[("from", from.as_deref()), ("q", query.as_deref()), ("events", events.as_deref())],
    );
    let silence = Duration::from_secs(arguments.dead_after);
    block_on(async {
        let mut stream = Following::new(&remote, path, Resume::ById, silence);
        loop {
            let event = stream.next().await?;
            let text = match event.kind.as_str() {
                "message" if arguments.json => format!("{}\n", event.data),
                "message" => messages::line(&understood(&event.data)?),
                "watching" => {
                    let WatchingEvent { from } = understood(&event.data)?;
                    stream.begin_at(from);
                    print_progress(&format!("watching {}", remote.base()));
                    continue;
                }
                // Event type of a newer service.
                _ => continue,
            };
            if !print_to_reader(&text) {
                return Ok(String::new());
            }
        }
    })?
}
