//! Forwards a message to a local program, as a request like that of its sender.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::output::Failure;
use crate::config;
use crate::outbound::{DeliveryClient, DeliveryResponse, Reach, RequestError, remove_hop_fields};
use crate::store::headers::{self as stored, visible};
use crate::store::query_without_content;

/// Allows for a program that is stopped in a debugger.
const TIMEOUT: Duration = Duration::from_secs(3_600);
/// A message without its body.
#[derive(Debug, Deserialize)]
pub struct Message {
    pub id: i64,
    pub source: String,
    pub event: String,
    pub method: String,
    pub query: Option<String>,
    /// Names with one or several values.
    pub headers: Map<String, Value>,
}

/// Client for the destination of messages.
#[derive(Debug)]
pub struct Forwarder {
    client: DeliveryClient,
    url: String,
}

/// The program's response.
#[derive(Debug)]
pub struct Answer {
    pub response: DeliveryResponse,
    pub took: Duration,
}

impl Forwarder {
    pub fn new(url: &str) -> Result<Self, Failure> {
        let url =
            config::http_url(url).map_err(|problem| Failure(format!("the URL to forward to {problem}")))?;
        // The user of this machine chooses the destination, so every address is allowed.
        Ok(Self { client: DeliveryClient::new(Reach::Anywhere), url })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub async fn send(&self, message: &Message, body: Bytes) -> Result<Answer, RequestError> {
        let url = with_query(&self.url, message.query.as_deref());
        let headers = headers(message);
        // The stored body of a GET request already contains its query.
        let query = message.query.as_deref().unwrap_or_default();
        let is_in_query = query_without_content(&message.method, query, &body).is_some();
        let body = if is_in_query { Bytes::new() } else { body };
        let began = Instant::now();
        let response = self.client.send(&message.method, &url, &headers, body, TIMEOUT).await?;
        Ok(Answer { response, took: began.elapsed() })
    }
}

fn with_query(url: &str, query: Option<&str>) -> String {
    match query {
        Some(query) if !query.is_empty() => {
            let separator = if url.contains('?') { '&' } else { '?' };
            format!("{url}{separator}{query}")
        }
        _ => url.to_owned(),
    }
}

fn headers(message: &Message) -> Vec<(String, Vec<u8>)> {
    let mut headers = stored::fields(&message.headers);
    remove_hop_fields(&mut headers);
    headers.push(("creel-event".to_owned(), visible(&message.event).into_bytes()));
    headers.push(("creel-source".to_owned(), visible(&message.source).into_bytes()));
    headers.push(("creel-method".to_owned(), visible(&message.method).into_bytes()));
    headers.push(("creel-message".to_owned(), message.id.to_string().into_bytes()));
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(headers: &str) -> Message {
        Message {
            id: 7,
            source: "github".to_owned(),
            event: "github.a\r\nb".to_owned(),
            method: "POST".to_owned(),
            query: None,
            headers: serde_json::from_str(headers).expect("the headers are JSON"),
        }
    }

    #[test]
    fn forwarded_request_keeps_content_without_transport_headers() {
        let stored = r#"{"host":"hooks.example.com","user-agent":"GitHub-Hookshot","content-type":"application/json",
            "x-forwarded-for":"192.0.2.1","cf-ray":"1","authorization":"[redacted]","x-two":["a","b"],
            "webhook-signature":"v1,abc","content-length":"9","te":"trailers","creel-method":"PUT","creel_method":"PUT",
            "connection":"close, X-Own","x-own":"1"}"#;
        let sent: Vec<String> = headers(&message(stored))
            .into_iter()
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(&value)))
            .collect();
        let mut sorted = sent.clone();
        sorted.sort();
        assert_eq!(
            sorted,
            [
                "content-type: application/json",
                "creel-event: github.ab",
                "creel-message: 7",
                "creel-method: POST",
                "creel-source: github",
                "user-agent: GitHub-Hookshot",
                "webhook-signature: v1,abc",
                "x-two: a",
                "x-two: b",
            ]
        );
    }

    #[test]
    fn the_query_is_appended() {
        let rows = [
            ("http://h/p", None, "http://h/p"),
            ("http://h/p", Some(""), "http://h/p"),
            ("http://h/p", Some("a=1"), "http://h/p?a=1"),
            ("http://h/p?x", Some("a=1&b"), "http://h/p?x&a=1&b"),
        ];
        for (url, query, expected) in rows {
            assert_eq!(with_query(url, query), expected);
        }
    }
}
