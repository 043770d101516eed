//! The HTTP client: one request, one bounded response.

use std::error::Error;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};

use super::reach::{Reach, UnreachableName, VettingResolver};
use super::resolve::Resolver;
use super::vetting::ForbiddenAddress;

/// Limit on the bytes of a response body. A longer one is an error, and is never truncated.
pub const MAX_RESPONSE_BYTES: usize = 2 * 1024 * 1024;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An HTTP client. Clones are cheap and share connections.
#[derive(Clone, Debug, Default)]
pub struct Client {
    inner: Arc<Clients>,
}

/// Clients built on first use: parsing the system's root certificates costs time and memory that an
/// instance without outgoing requests does not need, and a machine without certificates must still
/// receive webhooks.
#[derive(Debug, Default)]
pub(super) struct Clients {
    plain: OnceLock<Result<reqwest::Client, RequestError>>,
    tls: OnceLock<Result<reqwest::Client, RequestError>>,
}

impl Clients {
    /// Returns the client for this scheme. It does not follow redirects, so that only the URL
    /// determines the destination.
    pub(super) fn get(
        &self,
        is_https: bool,
        configure: impl Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Result<&reqwest::Client, RequestError> {
        let builder = || configure(reqwest::Client::builder());
        let client = if is_https {
            self.tls.get_or_init(|| build(builder()))
        } else {
            self.plain.get_or_init(|| build(builder().tls_certs_only([])))
        };
        client.as_ref().map_err(Clone::clone)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// Names in lower case; bytes that are not UTF-8 are replaced.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// Returns the first header with this lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(candidate, _)| candidate == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Reason for a missing response. The texts never contain the URL, which may carry a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error("cannot create the HTTP client: {0}")]
    Client(String),
    #[error("the request is not valid: {0}")]
    Invalid(String),
    #[error("cannot connect: {0}")]
    Connect(String),
    #[error("{0}: connections to it need its network in CREEL_TARGET_ALLOW_IPS")]
    Forbidden(#[from] ForbiddenAddress),
    #[error("no complete response within {0:?}")]
    Timeout(Duration),
    #[error("the response is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the exchange failed: {0}")]
    Exchange(String),
}

impl Client {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends one request and reads the complete response. Any status is a response, including
    /// redirects.
    ///
    /// # Errors
    /// If there is no complete response within `timeout`, or it is larger than
    /// [`MAX_RESPONSE_BYTES`].
    pub async fn request(
        &self,
        method: &str,
        url: &str,
        headers: &[(String, String)],
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<Response, RequestError> {
        self.request_up_to(MAX_RESPONSE_BYTES, method, url, headers, body, timeout).await
    }

    /// Like [`Self::request`], with `limit` as the maximum size of the response body.
    ///
    /// # Errors
    /// If there is no complete response within `timeout`, or it is larger than `limit` bytes.
    pub async fn request_up_to(
        &self,
        limit: usize,
        method: &str,
        url: &str,
        headers: &[(String, String)],
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<Response, RequestError> {
        let method = parse_method(method)?;
        let request = self.prepare(method.clone(), url, headers)?.timeout(timeout);
        let response = with_body(request, &method, body.into())
            .send()
            .await
            .map_err(|error| describe(error, timeout))?;
        read(response, limit, timeout).await
    }

    pub(super) fn prepare(
        &self,
        method: Method,
        url: &str,
        headers: &[(String, String)],
    ) -> Result<reqwest::RequestBuilder, RequestError> {
        let is_https = url.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"));
        let client = self.inner.get(is_https, |builder| {
            // Lookups do not run on the runtime's threads: ingest has few, and a dead name server
            // would block them all.
            builder.dns_resolver(VettingResolver { reach: Reach::Anywhere, resolver: Resolver::system() })
        })?;
        Ok(client.request(method, url).headers(header_map(headers)?))
    }
}

pub(super) fn parse_method(method: &str) -> Result<Method, RequestError> {
    Method::from_bytes(method.as_bytes()).map_err(|error| RequestError::Invalid(error.to_string()))
}

/// Adds the body. hyper sends an empty one without `Content-Length`, which strict servers reject
/// with 411, so the length is added if the method expects content (RFC 9110, section 8.6).
pub(super) fn with_body(
    request: reqwest::RequestBuilder,
    method: &Method,
    body: Bytes,
) -> reqwest::RequestBuilder {
    const WITHOUT_CONTENT: [Method; 6] =
        [Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS, Method::TRACE, Method::CONNECT];
    let request = match body.is_empty() && !WITHOUT_CONTENT.contains(method) {
        true => request.header(CONTENT_LENGTH, 0),
        false => request,
    };
    request.body(body)
}

fn build(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, RequestError> {
    // An error means that a crypto provider is already installed, which is sufficient.
    let _ = rustls::crypto::ring::default_provider().install_default();
    builder
        .user_agent(concat!("creel/", env!("CARGO_PKG_VERSION")))
        // A redirect could lead to an address that is not configured.
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .build()
        .map_err(|error| RequestError::Client(chain(&error)))
}

fn header_map(headers: &[(String, String)]) -> Result<HeaderMap, RequestError> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        // The text omits the value, which may be a credential.
        let invalid = || RequestError::Invalid(format!("header {name:?}"));
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
        map.append(parsed, HeaderValue::from_str(value).map_err(|_| invalid())?);
    }
    Ok(map)
}

pub(super) async fn read(
    mut response: reqwest::Response,
    limit: usize,
    timeout: Duration,
) -> Result<Response, RequestError> {
    if response.content_length().is_some_and(|length| length > limit as u64) {
        return Err(RequestError::TooLarge { limit });
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| describe(error, timeout))? {
        if body.len() + chunk.len() > limit {
            return Err(RequestError::TooLarge { limit });
        }
        body.extend_from_slice(&chunk);
    }
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers =
        response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    Ok(Response { status: response.status().as_u16(), headers, body })
}

pub(super) fn describe(error: reqwest::Error, timeout: Duration) -> RequestError {
    let error = error.without_url();
    if let Some(address) = forbidden(&error) {
        RequestError::Forbidden(address)
    } else if error.is_timeout() && error.is_connect() {
        RequestError::Timeout(timeout.min(CONNECT_TIMEOUT))
    } else if error.is_timeout() {
        RequestError::Timeout(timeout)
    } else if error.is_builder() {
        RequestError::Invalid(chain(&error))
    } else if error.is_connect() {
        RequestError::Connect(chain(&error))
    } else {
        RequestError::Exchange(chain(&error))
    }
}

/// Returns the address that the resolver rejected, if that is the cause.
fn forbidden(error: &dyn Error) -> Option<ForbiddenAddress> {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    let mut names = causes.filter_map(|cause| cause.downcast_ref::<UnreachableName>());
    names.find_map(|name| match name {
        UnreachableName::Forbidden(address) => Some(*address),
        UnreachableName::Lookup(_) => None,
    })
}

/// Formats the error with its causes: the outermost text alone only states that sending failed.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.ends_with(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests;
