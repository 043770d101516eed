//! Client for the API of a service: its address, and the token for it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use form_urlencoded::Serializer;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Host;

use super::output::{Failure, harmless, print_progress};
use crate::api::types::problem::ProblemDetails;
use crate::config::{self, Config, TokenSettings};
use crate::outbound::{Client, RequestError, Response, StreamAnswer};
use crate::providers::Secret;

const TIMEOUT: Duration = Duration::from_secs(30);
/// Long enough for a large body over a slow connection.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(600);
/// Limit on a downloaded body: the largest value of `CREEL_MAX_BODY`.
const MAX_BODY_BYTES: usize = 512 << 20;
const MAX_SHOWN_CHARACTERS: usize = 300;
/// The webhook address does not serve the API if the API has its own address.
const OTHER_ADDRESS: &str = " The API may be on another address: see CREEL_ADMIN_LISTEN (compose.yaml and creel.service: \
     http://127.0.0.1:9090).";
pub const JSON: (&str, &str) = ("content-type", "application/json");

/// Address of the service, for most commands.
#[derive(Debug, clap::Args)]
pub struct Address {
    /// The address of the service's API, such as http://127.0.0.1:9090 (CREEL_ADMIN_LISTEN);
    /// default: this machine.
    #[arg(long, value_name = "URL")]
    server: Option<String>,

    #[command(flatten)]
    token: TokenSource,
}

/// Origin of the token: a file or the environment.
#[derive(Debug, clap::Args)]
pub struct TokenSource {
    /// Read the token from a file instead of CREEL_ADMIN_TOKEN or CREEL_READ_TOKEN.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Purpose of a request, which determines the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The listener token is enough.
    Listen,
    /// All other requests.
    Manage,
}

/// A service, and a token for it.
#[derive(Debug)]
pub struct Remote {
    /// Without a trailing slash.
    base: String,
    token: Secret,
    client: Client,
}

impl Address {
    /// Returns the arguments that repeat this address on a command line, by name.
    pub fn options(&self) -> [(&'static str, Option<String>); 2] {
        let file = self.token.token_file.as_ref().map(|file| file.display().to_string());
        [("server", self.server.clone()), ("token-file", file)]
    }

    pub fn remote(&self) -> Result<Remote, Failure> {
        Remote::new(self.server.as_deref(), &self.token, Purpose::Manage)
    }
}

impl Remote {
    /// Creates a client. `server`: the address of the service; `None`: the service on this machine,
    /// according to its configuration.
    pub fn new(server: Option<&str>, token: &TokenSource, purpose: Purpose) -> Result<Self, Failure> {
        let base = match server {
            Some(url) => config::base_url(url)
                .map_err(|problem| Failure(format!("the service's address {problem}")))?,
            None => local(&Config::from_env()?)?,
        };
        let remote = Self { base, token: token.read(purpose)?, client: Client::new() };
        // The address of the local service may be public, but requests to it do not leave the
        // machine.
        if server.is_some() && remote.is_open_to_all() {
            print_progress(&format!(
                "warning: the token travels in clear text to {}; use https",
                remote.base
            ));
        }
        Ok(remote)
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    /// Whether the token leaves this machine without TLS. Depends on the host that the client
    /// connects to, not on its spelling.
    fn is_open_to_all(&self) -> bool {
        let url = url::Url::parse(&self.base).ok().filter(|url| url.scheme() == "http");
        url.is_some_and(|url| url.host().is_none_or(|host| !is_this_machine(&host)))
    }

    /// Sends a GET request. `path` is relative to `/api/v1`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let response = self.request("GET", path, &[], Vec::new()).await?;
        self.read(&response)
    }

    /// Like `get`, for a response that can be longer than most.
    pub async fn get_large<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let response = self.request_large(&self.url(path)).await?;
        self.read(&response)
    }

    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<T, Failure> {
        let response = self.request("POST", path, headers, body).await?;
        self.read(&response)
    }

    /// Returns the exact bytes of a large object; `None` if the service responds that it does not
    /// exist. `path`: as returned by the service, or relative to `/api/v1`.
    pub async fn download(&self, path: &str) -> Result<Option<Vec<u8>>, Failure> {
        let url = if path.starts_with("/api/") { format!("{}{path}", self.base) } else { self.url(path) };
        let response = self.request_large(&url).await?;
        match response.status {
            200 => Ok(Some(response.body)),
            404 if problem_code(&response).as_deref() == Some("not_found") => Ok(None),
            _ => Err(self.rejected(&response)),
        }
    }

    async fn request_large(&self, url: &str) -> Result<Response, Failure> {
        let headers = self.headers(&[]);
        let answer = self
            .client
            .request_up_to(MAX_BODY_BYTES, "GET", url, &headers, Vec::new(), DOWNLOAD_TIMEOUT)
            .await;
        answer.map_err(|error| self.unreached(&error))
    }

    /// Sends a request, and returns the response with any status.
    pub async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Response, Failure> {
        let answer =
            self.client.request(method, &self.url(path), &self.headers(headers), body, TIMEOUT).await;
        answer.map_err(|error| self.unreached(&error))
    }

    pub async fn stream(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        silence: Duration,
    ) -> Result<StreamAnswer, RequestError> {
        self.client.event_stream(&self.url(path), &self.headers(headers), silence).await
    }

    pub fn read<T: DeserializeOwned>(&self, response: &Response) -> Result<T, Failure> {
        if !(200..=299).contains(&response.status) {
            return Err(self.rejected(response));
        }
        serde_json::from_slice(&response.body).map_err(|error| {
            Failure(format!(
                "{} returned a response that this version of creel cannot parse: {error}",
                self.base
            ))
        })
    }

    /// Converts an error response to a failure, with the service's own text if it has one.
    pub fn rejected(&self, response: &Response) -> Failure {
        let base = &self.base;
        if response.status == 401 {
            return Failure(format!(
                "{base} rejected the token. The admin token was printed at the first start; `creel token`, run where the \
                 service runs, creates a new one. CREEL_READ_TOKEN sets a read-only token there, CREEL_LISTENER_TOKEN one \
                 for `creel listen`"
            ));
        }
        match serde_json::from_slice::<ProblemDetails>(&response.body) {
            Ok(problem) => Failure(harmless(&problem.detail)),
            Err(_) => {
                let text = String::from_utf8_lossy(&response.body);
                let shown: String = text.trim().chars().take(MAX_SHOWN_CHARACTERS).collect();
                let advice = if response.status == 404 { OTHER_ADDRESS } else { "" };
                Failure(format!(
                    "{base} answered {}, but not as creel's API; is the address correct?{advice} {}",
                    response.status,
                    harmless(&shown)
                ))
            }
        }
    }

    pub fn unreached(&self, error: &RequestError) -> Failure {
        Failure(format!("{} cannot be reached: {error}", self.base))
    }

    pub fn not_a_stream(&self, content_type: &str) -> Failure {
        let found = if content_type.is_empty() { "no content type" } else { content_type };
        Failure(format!(
            "{} answered 200 with {} instead of text/event-stream; is this the address of creel's API?{OTHER_ADDRESS}",
            self.base,
            harmless(found),
        ))
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/v1{path}", self.base)
    }

    fn headers(&self, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let token = format!("Bearer {}", String::from_utf8_lossy(self.token.expose()));
        let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        std::iter::once(("authorization".to_owned(), token)).chain(more).collect()
    }
}

impl TokenSource {
    fn read(&self, purpose: Purpose) -> Result<Secret, Failure> {
        if let Some(file) = &self.token_file {
            let name = file.display();
            let text = std::fs::read_to_string(file);
            let text =
                text.map_err(|error| Failure(format!("the token file {name} cannot be read: {error}")))?;
            let token = config::token(text.trim());
            return token.map_err(|problem| Failure(format!("the token in {name} {problem}")));
        }
        let TokenSettings { admin, read, listener } = TokenSettings::from_env()?;
        // A token for another purpose is sent anyway, because the service's response names the
        // correct one.
        let (variable, found) = match purpose {
            Purpose::Listen => ("CREEL_LISTENER_TOKEN", listener.or(admin).or(read)),
            Purpose::Manage => ("CREEL_ADMIN_TOKEN or CREEL_READ_TOKEN", admin.or(read).or(listener)),
        };
        found.ok_or_else(|| {
            Failure(format!(
                "no token is set. Set {variable}, or name a file with --token-file. The admin token was printed at the \
                 first start of the service; `creel token`, run there, creates a new one"
            ))
        })
    }
}

/// Returns the service's problem code; `None` if the response is not from the service.
pub fn problem_code(response: &Response) -> Option<String> {
    let problem: ProblemDetails = serde_json::from_slice(&response.body).ok()?;
    Some(problem.code.into_owned())
}

/// Parses an event or an item of a list.
pub fn understood<'a, T: Deserialize<'a>>(data: &'a str) -> Result<T, Failure> {
    serde_json::from_str(data).map_err(|error| {
        Failure(format!("the service sent data that this version of creel cannot parse: {error}"))
    })
}

/// Returns the address of the service on this machine: the admin address, if it has one.
fn local(config: &Config) -> Result<String, Failure> {
    let url = config.local_admin_url();
    if url.ends_with(":0") {
        return Err(Failure(
            "the system chooses the service's port (port 0), so it is unknown here; pass the service's URL"
                .to_owned(),
        ));
    }
    Ok(url)
}

fn is_this_machine(host: &Host<&str>) -> bool {
    match host {
        // RFC 6761 reserves `localhost` and all names below it for this machine.
        Host::Domain(name) => name.trim_end_matches('.').rsplit('.').next() == Some("localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => IpAddr::V6(*address).to_canonical().is_loopback(),
    }
}

/// Returns a path with the parameters that have a value.
pub fn with_query(path: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let mut query = Serializer::new(String::new());
    for (name, value) in parameters {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(base: &str) -> Remote {
        Remote { base: base.to_owned(), token: Secret::new("t"), client: Client::new() }
    }

    #[test]
    fn only_remote_address_without_tls_is_open() {
        let rows = [
            ("http://hooks.example.com", true),
            ("http://192.0.2.7:8080/creel", true),
            ("https://hooks.example.com", false),
            ("http://localhost:8080", false),
            ("http://127.0.0.1:8080", false),
            ("http://127.9.8.7", false),
            ("http://[::1]:8080", false),
            ("http://[::ffff:127.0.0.1]", false),
            ("http://LocalHost.:8080/creel", false),
            ("http://app.localhost", false),
            ("HTTPS://hooks.example.com", false),
            // Other ways to write 127.0.0.1.
            ("http://2130706433", false),
            ("http://0x7f.1", false),
            ("http://[2001:db8::7]:8080", true),
            ("http://[::ffff:192.0.2.7]", true),
            ("http://[fe80::1]", true),
            ("http://[::]", true),
            ("http://127.example.com", true),
            ("http://127.0.0.1.example.com", true),
            ("http://localhost.example.com", true),
            ("http://notlocalhost", true),
            ("http://3221225991", true),
            ("HTTP://HOOKS.EXAMPLE.COM", true),
            ("http://hooks", true),
            // The host follows the user name.
            ("http://127.0.0.1@hooks.example.com", true),
            ("http://localhost:8080@192.0.2.7", true),
            ("http://hooks.example.com@127.0.0.1", false),
        ];
        for (base, is_open) in rows {
            assert_eq!(remote(base).is_open_to_all(), is_open, "{base}");
        }
    }

    #[test]
    fn parameters_without_value_are_omitted() {
        assert_eq!(with_query("/messages", &[("source", None)]), "/messages");
        let query =
            with_query("/messages", &[("event", Some("a b.*")), ("source", None), ("limit", Some("5"))]);
        assert_eq!(query, "/messages?event=a+b.*&limit=5");
    }

    #[test]
    fn error_response_text_is_shown_without_terminal_controls() {
        let response = |status, body: &str| Response { status, headers: Vec::new(), body: body.into() };
        let remote = remote("http://localhost:8080");
        let rows = [
            (
                response(
                    404,
                    r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"Message 7 not found.",
                        "code":"not_found"}"#,
                ),
                "Message 7 not found.",
            ),
            (response(404, r#"{"detail":"Message 7 is elsewhere.","hint":1}"#), "Message 7 is elsewhere."),
            (response(401, "{}"), "`creel token`"),
            (
                response(404, "Not Found"),
                "see CREEL_ADMIN_LISTEN (compose.yaml and creel.service: http://127.0.0.1:9090)",
            ),
            (
                response(502, "<html>\u{1b}[31m"),
                "answered 502, but not as creel's API; is the address correct? <html>\\u{1b}[31m",
            ),
        ];
        for (response, expected) in rows {
            let failure = remote.rejected(&response).to_string();
            assert!(failure.contains(expected), "{failure}");
        }
    }
}
