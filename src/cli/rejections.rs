//! `creel rejections`: the list of rejected requests.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::listen::understood;
use super::messages::{seconds, size};
use super::output::{Failure, harmless, print_to_reader};
use super::remote::{Address, with_query};
use super::send::block_on;

/// Limit of the service on items in one page.
const MAX_PAGE: usize = 200;

/// Which rejected requests.
#[derive(Debug, Default, clap::Args)]
pub struct Selection {
    /// Only of this source.
    #[arg(long)]
    pub source: Option<String>,

    /// Only with this cause, such as signature_mismatch.
    #[arg(long)]
    pub cause: Option<String>,

    /// Received then or later, such as 2h or 2026-11-22T14:31:00Z.
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,

    /// Received before.
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

/// Filters and output format of the list.
#[derive(Debug, clap::Args)]
pub struct Rejections {
    #[command(flatten)]
    selection: Selection,

    /// Limit on the number of lines.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,

    /// Print the API's JSON for each request, one per line.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    address: Address,
}

#[derive(Debug, Deserialize)]
struct Page {
    items: Vec<Box<RawValue>>,
    next_cursor: Option<i64>,
}

/// Fields of a rejected request shown in a line.
#[derive(Debug, Deserialize)]
struct Head {
    id: i64,
    received_at: String,
    source: String,
    cause: String,
    candidate: bool,
    remote_ip: String,
    method: String,
    body_bytes: Option<u64>,
    /// Absent from responses of older services.
    #[serde(default)]
    signed_url: Option<String>,
}

impl Head {
    fn line(&self) -> String {
        let mut parts = vec![
            format!("#{}", self.id),
            seconds(&self.received_at),
            self.source.clone(),
            self.cause.clone(),
            if self.candidate { "candidate" } else { "noise" }.to_owned(),
            self.method.clone(),
            self.body_bytes.map_or_else(|| "no body".to_owned(), size),
            self.remote_ip.clone(),
        ];
        parts.extend(self.signed_url.as_ref().map(|url| {
            // A configured URL with a query is checked as it is.
            let note = if url.contains('?') { "" } else { " (without its query)" };
            format!("checked against {url}{note}")
        }));
        format!("{}\n", harmless(&parts.join("  ").replace(['\n', '\t'], " ")))
    }
}

/// Prints each page as it arrives.
pub fn run(arguments: &Rejections) -> Result<String, Failure> {
    let remote = arguments.address.remote()?;
    let mut left = usize::try_from(arguments.limit).unwrap_or(usize::MAX);
    let mut cursor: Option<i64> = None;
    block_on(async {
        while left > 0 {
            let page: Page = remote.get(&arguments.path(left.min(MAX_PAGE), cursor)).await?;
            for item in page.items.iter().take(left) {
                let text = if arguments.json {
                    format!("{}\n", item.get())
                } else {
                    understood::<Head>(item.get())?.line()
                };
                if !print_to_reader(&text) {
                    return Ok(String::new());
                }
            }
            left = left.saturating_sub(page.items.len());
            let Some(next) = page.next_cursor else { break };
            cursor = Some(next);
        }
        Ok(String::new())
    })?
}

impl Rejections {
    fn path(&self, limit: usize, cursor: Option<i64>) -> String {
        let (limit, cursor) = (limit.to_string(), cursor.map(|id| id.to_string()));
        let Selection { source, cause, since, until } = &self.selection;
        with_query(
            "/rejections",
            &[
                ("limit", Some(&limit)),
                ("cursor", cursor.as_deref()),
                ("source", source.as_deref()),
                ("cause", cause.as_deref()),
                ("since", since.as_deref()),
                ("until", until.as_deref()),
            ],
        )
    }
}
