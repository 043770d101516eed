//! The addresses from which GitHub sends webhooks: the `hooks` list of its meta API.
//!
//! A list is always available: the latest valid response of this run; before the first one, the
//! list of the previous run, or the compiled-in list without one. An invalid response
//! never replaces a valid one, because an empty list would reject every webhook.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use super::client::{Client, RequestError, Response};
use crate::json::without_mark;

/// The `hooks` list that <https://api.github.com/meta> published when this version was released;
/// see "About GitHub's IP addresses" in GitHub's docs. Used until the first valid response.
const COMPILED_IN: [&str; 6] = [
    "192.30.252.0/22",
    "185.199.108.0/22",
    "140.82.112.0/20",
    "143.55.64.0/20",
    "2a0a:a440::/29",
    "2606:50c0::/32",
];

/// Minimum prefix lengths: no sender has a larger network, so a response with one would admit
/// untrusted clients.
const MIN_PREFIX_V4: u8 = 8;
const MIN_PREFIX_V6: u8 = 16;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const REFRESH_INTERVAL: Duration = Duration::from_secs(60 * 60);
const FIRST_RETRY: Duration = Duration::from_secs(30);
/// Limit on the pause between retries. With doubling, requests stay far below the API's limit of 60
/// per hour without a token.
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(15 * 60);

/// The current list. Clones are cheap and share it.
#[derive(Clone, Debug)]
pub struct GithubAddresses {
    list: Arc<RwLock<List>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct List {
    networks: Vec<IpNet>,
    /// Validator for conditional requests. `None` for the compiled-in list, and for a response
    /// without an entity tag.
    validator: Option<Validator>,
}

/// An entity tag is valid only for the URL that returned it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Validator {
    url: String,
    etag: String,
}

/// The result of a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshOutcome {
    /// A list was received. [`GithubAddresses::to_cache`] returns the text to store.
    Updated,
    /// The current list equals the published one.
    Unchanged,
}

/// Reason why a response is not a list of addresses.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error("not the expected JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the list is empty")]
    Empty,
    #[error("not a network: {0:?}")]
    NotANetwork(String),
    #[error("{0} is too wide to be the sender's own network")]
    TooWide(IpNet),
}

/// Reason why the list was not refreshed.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("the answer has status {0}")]
    Status(u16),
    #[error(transparent)]
    List(#[from] ListError),
}

#[derive(Deserialize)]
struct Meta {
    hooks: Vec<String>,
}

/// The cached form: the meta API's own format, with an added validator.
#[derive(Serialize, Deserialize)]
struct CachedList {
    hooks: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    validator: Option<Validator>,
}

impl Default for GithubAddresses {
    fn default() -> Self {
        Self::new()
    }
}

impl GithubAddresses {
    /// Starts with the compiled-in list.
    #[must_use]
    pub fn new() -> Self {
        let networks =
            COMPILED_IN.iter().map(|text| text.parse().expect("the compiled-in list parses")).collect();
        Self::with(List { networks, validator: None })
    }

    /// Starts with the list that [`Self::to_cache`] returned.
    ///
    /// # Errors
    /// If the text is not such a list.
    pub fn from_cache(text: &str) -> Result<Self, ListError> {
        let cached: CachedList = serde_json::from_str(text)?;
        Ok(Self::with(List { networks: networks(&cached.hooks)?, validator: cached.validator }))
    }

    fn with(list: List) -> Self {
        Self { list: Arc::new(RwLock::new(list)) }
    }

    /// Serializes the list for the next start.
    #[must_use]
    pub fn to_cache(&self) -> String {
        let list = self.current();
        let hooks = list.networks.iter().map(ToString::to_string).collect();
        let cached = CachedList { hooks, validator: list.validator };
        serde_json::to_string(&cached).expect("strings serialise")
    }

    /// Whether GitHub sends from this address. An IPv4-mapped IPv6 address is treated as its IPv4
    /// address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let list = self.list.read();
        list.networks.iter().any(|network| network.contains(&address))
    }

    /// Parses the networks of a meta API response.
    ///
    /// # Errors
    /// If it is not a list of at least one plausible network.
    pub fn parse(answer: &[u8]) -> Result<Vec<IpNet>, ListError> {
        let meta: Meta = serde_json::from_slice(without_mark(answer))?;
        networks(&meta.hooks)
    }

    /// Fetches the published list once. After an error the list is unchanged.
    ///
    /// # Errors
    /// If there is no response, or an invalid one.
    pub async fn refresh(&self, client: &Client, url: &str) -> Result<RefreshOutcome, RefreshError> {
        let mut headers = vec![("accept".to_owned(), "application/vnd.github+json".to_owned())];
        let validator = self.current().validator.filter(|validator| validator.url == url);
        if let Some(validator) = &validator {
            headers.push(("if-none-match".to_owned(), validator.etag.clone()));
        }
        let response = client.request("GET", url, &headers, Vec::new(), REQUEST_TIMEOUT).await?;
        match response.status {
            304 if validator.is_some() => Ok(RefreshOutcome::Unchanged),
            200 => Ok(self.replace(&response, url)?),
            status => Err(RefreshError::Status(status)),
        }
    }

    fn replace(&self, response: &Response, url: &str) -> Result<RefreshOutcome, ListError> {
        let networks = Self::parse(&response.body)?;
        let validator =
            response.header("etag").map(|etag| Validator { url: url.to_owned(), etag: etag.to_owned() });
        *self.list.write() = List { networks, validator };
        Ok(RefreshOutcome::Updated)
    }

    /// Refreshes immediately and then every hour, sooner after a failure; never returns. `persist`
    /// receives the text of each new list for [`Self::from_cache`] at the next start.
    pub async fn keep_fresh(&self, client: &Client, url: &str, persist: impl AsyncFn(String)) {
        let mut failures = 0;
        loop {
            match self.refresh(client, url).await {
                Ok(refreshed) => {
                    failures = 0;
                    log::debug!("GitHub's address list is fresh: {refreshed:?}");
                    if refreshed == RefreshOutcome::Updated {
                        persist(self.to_cache()).await;
                    }
                }
                Err(error) => {
                    failures += 1;
                    log::warn!("cannot refresh GitHub's address list, keeping the last valid one: {error}");
                }
            }
            tokio::time::sleep(wait_after(failures)).await;
        }
    }

    fn current(&self) -> List {
        self.list.read().clone()
    }
}

/// Returns the pause after a number of consecutive failures.
fn wait_after(failures: u32) -> Duration {
    match failures {
        0 => REFRESH_INTERVAL,
        _ => FIRST_RETRY.saturating_mul(2_u32.saturating_pow(failures - 1)).min(MAX_RETRY_PAUSE),
    }
}

fn networks(texts: &[String]) -> Result<Vec<IpNet>, ListError> {
    if texts.is_empty() {
        return Err(ListError::Empty);
    }
    texts.iter().map(|text| network(text)).collect()
}

fn network(text: &str) -> Result<IpNet, ListError> {
    // The text comes from outside and is logged, so it is truncated.
    let network: IpNet = text.parse().map_err(|_| ListError::NotANetwork(text.chars().take(60).collect()))?;
    let shortest = match network {
        IpNet::V4(_) => MIN_PREFIX_V4,
        IpNet::V6(_) => MIN_PREFIX_V6,
    };
    if network.prefix_len() < shortest {
        return Err(ListError::TooWide(network));
    }
    Ok(network.trunc())
}

#[cfg(test)]
mod tests;
