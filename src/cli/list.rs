//! Lists of a service, printed page by page. Each page is printed when it arrives.

use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::output::{Failure, print_progress, print_to_reader, seconds};
use super::remote::{Remote, understood};
use crate::api::types::page::{MatchingRejections, SearchPage};

/// The service's limit on the items in one page.
const MAX_PAGE_ITEMS: usize = 200;
/// Minimum interval between reports of a long search.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Range and format of a list.
#[derive(Debug, clap::Args)]
pub struct ListArguments {
    /// Limit on the number of items, newest first.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,

    /// Print the service's JSON for each item, one per line.
    #[arg(long)]
    json: bool,
}

impl ListArguments {
    /// Prints the items, each as the service's JSON or as the result of `line`. `path` returns the
    /// path of the page with a limit and a cursor.
    pub async fn print<T: DeserializeOwned>(
        &self,
        remote: &Remote,
        path: impl Fn(&str, Option<&str>) -> String,
        line: impl Fn(&T) -> String,
    ) -> Result<String, Failure> {
        self.print_searched(remote, path, line).await.map(|_| String::new())
    }

    /// As `print`; returns the matching rejections on the first page, unless the reader of the list
    /// has closed it.
    pub async fn print_searched<T: DeserializeOwned>(
        &self,
        remote: &Remote,
        path: impl Fn(&str, Option<&str>) -> String,
        line: impl Fn(&T) -> String,
    ) -> Result<Option<MatchingRejections>, Failure> {
        let mut matching_rejections = None;
        let mut left = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let mut cursor: Option<String> = None;
        let mut reported_at = None;
        while left > 0 {
            let limit = left.min(MAX_PAGE_ITEMS).to_string();
            let page: SearchPage<Box<RawValue>> = remote.get(&path(&limit, cursor.as_deref())).await?;
            matching_rejections = matching_rejections.or(page.matching_rejections);
            for item in page.items.iter().take(left) {
                let text = match self.json {
                    true => format!("{}\n", item.get()),
                    false => line(&understood(item.get())?),
                };
                if !print_to_reader(&text) {
                    return Ok(None);
                }
            }
            left = left.saturating_sub(page.items.len());
            // A page before the last may be short or empty.
            let Some(next) = page.next_cursor else { break };
            let is_due = reported_at.is_none_or(|at: Instant| at.elapsed() >= REPORT_INTERVAL);
            if !page.complete && left > 0 && is_due {
                let back_to =
                    page.looked_back_to.map_or_else(String::new, |at| format!(" back to {}", seconds(&at)));
                print_progress(&format!("searched{back_to}, continuing with older items"));
                reported_at = Some(Instant::now());
            }
            cursor = Some(next.to_string());
        }
        Ok(matching_rejections)
    }
}
