//! `creel rejections`: the list of rejected requests, or the explanation of one.

use serde_json::value::RawValue;

use super::explanation::explanation_text;
use super::list::ListArguments;
use super::messages::query_of;
use super::output::{Failure, harmless, seconds, size};
use super::remote::{Address, with_query};
use super::send::block_on;
use crate::api::types::rejection::{RejectionHead, RejectionSelection};

/// Filters of rejected requests.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct RejectionFilters {
    /// Only requests to this source.
    #[arg(long)]
    source: Option<String>,

    /// Only requests with this cause, such as signature_mismatch.
    #[arg(long)]
    cause: Option<String>,

    /// Only requests received at or after this time, such as 2h (two hours ago) or
    /// 2026-11-22T14:31:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// Only requests received before this time.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl From<RejectionFilters> for RejectionSelection {
    fn from(RejectionFilters { source, cause, since, until }: RejectionFilters) -> Self {
        Self { source, cause, since, until }
    }
}

/// Action, or filters and output format of the list.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub struct RejectionsArguments {
    #[command(subcommand)]
    action: Option<RejectionAction>,

    /// Only requests that match this query, such as source:github after:2h '"order 17"'; see
    /// docs/search.md. An argument cannot begin with a minus sign: write '!draft', or -draft after
    /// all options and --.
    #[arg(value_name = "QUERY")]
    query: Vec<String>,

    #[command(flatten)]
    filters: RejectionFilters,

    #[command(flatten)]
    list: ListArguments,

    #[command(flatten)]
    address: Address,
}

/// Action on one rejection; without an action, the rejections are listed.
#[derive(Debug, clap::Subcommand)]
enum RejectionAction {
    /// Explain why the request was rejected, and what to do.
    Show {
        /// The rejection's id.
        id: u64,

        /// Print the service's JSON.
        #[arg(long)]
        json: bool,

        #[command(flatten)]
        address: Address,
    },
}

fn line(head: &RejectionHead) -> String {
    let mut parts = vec![
        format!("#{}", head.id),
        seconds(&head.received_at),
        head.source.clone(),
        head.cause.clone(),
        if head.candidate { "candidate" } else { "noise" }.to_owned(),
        head.method.clone(),
        head.body_bytes.map_or_else(|| "no body".to_owned(), size),
        head.remote_ip.clone(),
    ];
    parts.extend(head.signed_url.as_ref().map(|url| {
        // A configured URL that has a query is used and shown unchanged.
        let note = if url.contains('?') { "" } else { " (query not shown)" };
        format!("checked against {url}{note}")
    }));
    format!("{}\n", harmless(&parts.join("  ").replace(['\n', '\t'], " ")))
}

pub fn run(arguments: &RejectionsArguments) -> Result<String, Failure> {
    if let Some(RejectionAction::Show { id, json, address }) = &arguments.action {
        let remote = address.remote()?;
        return block_on(async {
            let path = format!("/rejections/{id}/explanation");
            if *json {
                let explained: Box<RawValue> = remote.get(&path).await?;
                return Ok(format!("{}\n", explained.get()));
            }
            Ok(explanation_text(&remote.get(&path).await?))
        })?;
    }
    let remote = arguments.address.remote()?;
    let path = |limit: &str, cursor: Option<&str>| arguments.path(limit, cursor);
    block_on(arguments.list.print(&remote, path, line))?
}

impl RejectionsArguments {
    fn path(&self, limit: &str, cursor: Option<&str>) -> String {
        let RejectionFilters { source, cause, since, until } = &self.filters;
        with_query(
            "/rejections",
            &[
                ("limit", Some(limit)),
                ("cursor", cursor),
                ("q", query_of(&self.query).as_deref()),
                ("source", source.as_deref()),
                ("cause", cause.as_deref()),
                ("since", since.as_deref()),
                ("until", until.as_deref()),
            ],
        )
    }
}
