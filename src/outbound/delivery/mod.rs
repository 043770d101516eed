//! The delivery client: it connects only to vetted addresses, and does not trust the declared
//! length of a response.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::client::{Clients, RequestError, describe, parse_method, with_body};
use super::reach::{Reach, VettingResolver};
use super::resolve::Resolver;

/// Limit on the bytes of a response body that are read; the connection of a longer one is closed.
pub const MAX_DELIVERY_RESPONSE_BYTES: usize = 64 * 1024;
/// Length of the stored excerpt.
pub const EXCERPT_BYTES: usize = 1024;
/// Limit on the time to read a body. The status alone determines the outcome. The body is read for
/// the excerpt, and so that the connection can be reused.
const BODY_TIMEOUT: Duration = Duration::from_secs(1);

const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Each idle connection holds a file descriptor. With a limit below the number of concurrent
/// attempts at a host, connections are closed and opened again all the time.
const MAX_IDLE_PER_HOST: usize = 128;

/// Headers that define where a message ends or how the connection is used; only the client sets
/// them.
const FRAMING: [HeaderName; 6] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// A delivery client. Clones are cheap and share connections, which belong to the runtime that
/// opened them.
#[derive(Clone, Debug)]
pub struct DeliveryClient {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    vetted: VettingResolver,
    clients: Clients,
}

/// Response of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryResponse {
    pub status: u16,
    /// The unparsed header.
    pub retry_after: Option<String>,
    /// The first [`EXCERPT_BYTES`] of the body, or the part that arrived in time.
    pub excerpt: Vec<u8>,
}

impl DeliveryClient {
    #[must_use]
    pub fn new(reach: Reach) -> Self {
        Self::with(reach, Resolver::system())
    }

    pub(super) fn with(reach: Reach, resolver: Resolver) -> Self {
        let vetted = VettingResolver { reach, resolver };
        Self { inner: Arc::new(Inner { vetted, clients: Clients::default() }) }
    }

    /// Posts the body once.
    ///
    /// # Errors
    /// See [`Self::send`].
    pub async fn post(
        &self,
        url: &str,
        headers: &[(Cow<'_, str>, Cow<'_, [u8]>)],
        body: Bytes,
        timeout: Duration,
    ) -> Result<DeliveryResponse, RequestError> {
        self.send("POST", url, headers, body, timeout).await
    }

    /// Sends the body once, over a connection to an allowed address. Any status is a response,
    /// including redirects. The head must arrive within `timeout`; a body that is too long, too
    /// slow or truncated is abandoned.
    ///
    /// # Errors
    /// If no response arrives in time, the host is or has a forbidden address, or the request is
    /// invalid.
    pub async fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(Cow<'_, str>, Cow<'_, [u8]>)],
        body: Bytes,
        timeout: Duration,
    ) -> Result<DeliveryResponse, RequestError> {
        let started = Instant::now();
        let url = Url::parse(url).map_err(|error| RequestError::Invalid(format!("the URL: {error}")))?;
        if let Some(host) = url.host() {
            // Literal addresses bypass the resolver.
            self.inner.vetted.reach.vet_literal(&host)?;
        }
        let client = self.inner.clients.get(url.scheme() == "https", |builder| self.configure(builder))?;
        let method = parse_method(method)?;
        let request = client.request(method.clone(), url).headers(header_map(headers)?);
        let request = with_body(request, &method, body);
        let response = tokio::time::timeout(timeout, request.send()).await;
        let response = response
            .map_err(|_| RequestError::Timeout(timeout))?
            .map_err(|error| describe(error, timeout))?;
        let retry_after = response.headers().get(header::RETRY_AFTER);
        Ok(DeliveryResponse {
            status: response.status().as_u16(),
            retry_after: retry_after.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
            excerpt: excerpt(response, timeout.saturating_sub(started.elapsed()).min(BODY_TIMEOUT)).await,
        })
    }

    fn configure(&self, builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        builder
            .dns_resolver(self.inner.vetted.clone())
            // The delivery queue schedules the retries. With a limit other than 0, reqwest would
            // copy each request.
            .retry(reqwest::retry::never().max_retries_per_request(0))
            .tcp_nodelay(true)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
    }
}

fn header_map(headers: &[(Cow<'_, str>, Cow<'_, [u8]>)]) -> Result<HeaderMap, RequestError> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        // The text omits the value, which may be a credential.
        let invalid = || RequestError::Invalid(format!("header {name:?}"));
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
        if FRAMING.contains(&parsed) {
            return Err(invalid());
        }
        map.append(parsed, HeaderValue::from_bytes(value).map_err(|_| invalid())?);
    }
    Ok(map)
}

/// Reads a body to its end, so that the connection can be reused. Abandons a body that is too long
/// or too slow, which closes its connection.
async fn excerpt(mut response: reqwest::Response, within: Duration) -> Vec<u8> {
    let mut excerpt = Vec::new();
    let reading = async {
        let mut length = 0;
        while let Ok(Some(chunk)) = response.chunk().await {
            excerpt.extend(chunk.iter().take(EXCERPT_BYTES - excerpt.len()));
            length += chunk.len();
            if length > MAX_DELIVERY_RESPONSE_BYTES {
                break;
            }
        }
    };
    // After a timeout the excerpt is the part that has arrived.
    let _ = tokio::time::timeout(within, reading).await;
    excerpt
}

#[cfg(test)]
mod tests;
