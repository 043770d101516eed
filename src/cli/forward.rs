//! Forwards a message to a local program, in a request like the sender's.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::output::Failure;
use crate::api::types::listener::DeliveredMessage;
use crate::config;
use crate::outbound::{
    DeliveryClient, DeliveryResponse, HeaderFields, Reach, RequestError, remove_hop_fields,
};
use crate::store::headers::{StoredHeaders, visible};
use crate::store::query_without_content;

/// Long enough for a program that is stopped in a debugger.
const TIMEOUT: Duration = Duration::from_secs(3_600);

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

    pub async fn send(&self, message: &DeliveredMessage, body: Bytes) -> Result<Answer, RequestError> {
        let DeliveredMessage { head, .. } = message;
        let query = head.query.as_deref().unwrap_or_default();
        let url = with_query(&self.url, query);
        let headers = headers(message);
        // The JSON body of a GET message comes from its query, which the URL already contains.
        let is_in_query = query_without_content(&head.method, query, &body).is_some();
        let body = if is_in_query { Bytes::new() } else { body };
        let began = Instant::now();
        let response = self.client.send(&head.method, &url, &headers, body, TIMEOUT).await?;
        Ok(Answer { response, took: began.elapsed() })
    }
}

/// Returns the URL without its fragment, and with additional query parameters.
pub fn with_query(url: &str, query: &str) -> String {
    let base = url.split_once('#').map_or(url, |(base, _)| base);
    let joint = match base.split_once('?') {
        _ if query.is_empty() => "",
        None => "?",
        Some((_, own)) if own.is_empty() || own.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{base}{joint}{query}")
}

fn headers(message: &DeliveredMessage) -> HeaderFields<'_> {
    let DeliveredMessage { head, headers } = message;
    let mut headers = StoredHeaders::parse(headers.get()).unwrap_or_default().into_fields();
    remove_hop_fields(&mut headers);
    let mut set = |name: &'static str, value: String| headers.push((name.into(), value.into_bytes().into()));
    set("creel-event", visible(&head.event).into_owned());
    set("creel-source", visible(&head.source).into_owned());
    set("creel-method", visible(&head.method).into_owned());
    set("creel-message", head.id.to_string());
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(headers: &str) -> DeliveredMessage {
        let text = format!(
            r#"{{"id":7,"received_at":"2026-11-22T14:31:00.000000Z","source":"github","event":"github.a\r\nb",
                "method":"POST","query":null,"remote_ip":"192.0.2.7","body_bytes":0,"not_json":false,
                "body_unsigned":false,"unverified":false,"duplicates":0,"headers":{headers}}}"#
        );
        serde_json::from_str(&text).expect("a message of an older service")
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
    fn message_query_is_joined_to_url_query() {
        let rows = [
            ("http://a/b", "x=y", "http://a/b?x=y"),
            ("http://a/b?c=d", "x=y&z", "http://a/b?c=d&x=y&z"),
            ("http://a/b?", "x=y", "http://a/b?x=y"),
            ("http://a/b?c&", "x=y", "http://a/b?c&x=y"),
            ("http://a/b#c?d", "x=y", "http://a/b?x=y"),
            ("http://a/b?c=d", "", "http://a/b?c=d"),
        ];
        for (url, query, expected) in rows {
            assert_eq!(with_query(url, query), expected);
        }
    }
}
