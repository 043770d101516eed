//! An attempt over HTTP: sends the message with its body, the provider's relevant headers and
//! creel's signature, and evaluates the response.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use time::OffsetDateTime;
use tokio::sync::Semaphore;

use super::attempt::{AttemptRequest, AttemptResult, AttemptVerdict};
use super::form_body::FormBody;
use super::schedule;
use super::signature::Signer;
use crate::json::OFFLOAD_BYTES_MIN;
use crate::outbound::{
    DeliveryClient, DeliveryResponse, EXCERPT_BYTES, HeaderFields, as_variable, remove_hop_fields,
};
use crate::store::headers::{self, REDACTED, StoredHeaders, visible};
use crate::store::{ContentType, LARGE_BYTES, StoredMessage};

/// Headers that are not forwarded: those about the original sender, its credentials and its
/// capabilities, and `content-type`, which creel sets itself.
const SENDER_HEADERS: [&str; 11] = [
    "accept",
    "accept-charset",
    "accept-language",
    "authorization",
    "content-type",
    "cookie",
    "date",
    "origin",
    "pragma",
    "referer",
    "user-agent",
];
/// Prefixes of more such headers: creel sets its own `webhook-` headers, and only browsers send
/// `sec-` headers.
const SENDER_HEADER_PREFIXES: [&str; 2] = ["webhook-", "sec-"];
/// Minimum length of a redacted value: shorter ones occur in responses by chance.
const MIN_SECRET_BYTES: usize = 6;
const JSON: &str = "application/json";

/// Route to an HTTP target. Contains secrets, so it does not implement `Debug`.
pub struct HttpRoute {
    pub client: DeliveryClient,
    pub url: String,
    pub content_type: Option<ContentType>,
    pub signer: Signer,
    /// Names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Permit for a form made of a large payload. Such a form can be three times as large as
    /// the payload, so the target receives only one at a time. The lane takes the permit before the
    /// attempt begins, so that a waiting delivery is not signed yet.
    pub large_form: Arc<Semaphore>,
}

impl HttpRoute {
    /// Makes one attempt. `now` becomes the timestamp of the signature.
    pub async fn deliver(
        self: &Arc<Self>,
        attempt: &AttemptRequest<'_>,
        now: OffsetDateTime,
    ) -> AttemptResult {
        let (headers, body) = match self.is_quick(attempt.message) {
            true => self.request(attempt, now),
            false => match self.request_elsewhere(attempt, now).await {
                Some(request) => request,
                None => return AttemptResult::failed("a bug in creel"),
            },
        };
        match self.client.post(&self.url, &headers, body, attempt.timeout).await {
            Ok(response) => self.without_secrets(&response, attempt_result(&response, now)),
            Err(error) => AttemptResult::failed(error.to_string()),
        }
    }

    /// Whether a delivery of the message takes the permit for large forms.
    pub fn makes_large_form(&self, message: &StoredMessage) -> bool {
        let payload_bytes = message.payload().map_or(0, <[u8]>::len);
        self.content_type == Some(ContentType::Form) && message.body.len().max(payload_bytes) > LARGE_BYTES
    }

    /// Whether the request can be built on the async thread. Decompressed bodies and decoded
    /// payloads can be large.
    fn is_quick(&self, message: &StoredMessage) -> bool {
        let is_decompressed =
            self.content_type == Some(ContentType::Form) && message.head.headers.contains("content-encoding");
        let payload = self.content_type.and_then(|_| message.payload());
        let bytes = message.body.len().max(payload.map_or(0, <[u8]>::len));
        bytes < OFFLOAD_BYTES_MIN && !is_decompressed
    }

    /// Builds the request on another thread: a large one would delay all other targets.
    async fn request_elsewhere(
        self: &Arc<Self>,
        attempt: &AttemptRequest<'_>,
        now: OffsetDateTime,
    ) -> Option<(HeaderFields<'static>, Bytes)> {
        let (route, message) = (self.clone(), attempt.message.clone());
        let (id, number, timeout) = (attempt.webhook_id.to_owned(), attempt.number, attempt.timeout);
        let (delivery, target) = (attempt.delivery, attempt.target.to_owned());
        let made = tokio::task::spawn_blocking(move || {
            let attempt = AttemptRequest {
                message: &message,
                delivery,
                number,
                webhook_id: &id,
                target: &target,
                timeout,
            };
            let (fields, body) = route.request(&attempt, now);
            let owned = |(name, value): (Cow<'_, str>, Cow<'_, [u8]>)| {
                (Cow::Owned(name.into_owned()), Cow::Owned(value.into_owned()))
            };
            (fields.into_iter().map(owned).collect(), body)
        });
        made.await.ok()
    }

    /// Redacts the target's own header values in the excerpt, because a target can echo its
    /// request.
    fn without_secrets(&self, response: &DeliveryResponse, attempted: AttemptResult) -> AttemptResult {
        let Some(excerpt) = attempted.excerpt else { return attempted };
        let values = self.headers.iter().filter_map(|(_, value)| std::str::from_utf8(value).ok());
        // `Bearer x` may be echoed as `x`.
        let values = values.flat_map(|value| [value, value.rsplit(' ').next().unwrap_or(value)]);
        let mut secrets: Vec<&str> = values.filter(|value| value.len() >= MIN_SECRET_BYTES).collect();
        // Longer ones first: one secret may be a part of another.
        secrets.sort_by_key(|secret| Reverse(secret.len()));
        let is_cut = response.excerpt.len() >= EXCERPT_BYTES;
        AttemptResult { excerpt: Some(redacted(excerpt, &secrets, is_cut)), ..attempted }
    }

    fn request<'a>(&'a self, attempt: &AttemptRequest<'a>, now: OffsetDateTime) -> (HeaderFields<'a>, Bytes) {
        let message = attempt.message;
        let stored = StoredHeaders::parse(&message.head.headers).unwrap_or_default();
        let OutgoingBody { content_type, body, is_as_received } =
            OutgoingBody::of(message, self.content_type, &stored);
        let timestamp = now.unix_timestamp();
        let mut fields = of_provider(stored);
        fields.retain(|(name, _)| is_as_received || name != "content-encoding");
        let mut set = |name: &'static str, value: Cow<'a, [u8]>| fields.push((name.into(), value));
        if let Some(content_type) = content_type {
            set("content-type", headers::sendable(&content_type).into_owned().into());
        }
        set("webhook-id", attempt.webhook_id.as_bytes().into());
        set("webhook-timestamp", timestamp.to_string().into_bytes().into());
        if let Some(signature) = self.signer.sign(attempt.webhook_id, timestamp, &body) {
            set("webhook-signature", signature.into_bytes().into());
        }
        set("creel-event", visible_bytes(&message.head.event));
        set("creel-source", message.head.source.as_bytes().into());
        set("creel-method", visible_bytes(&message.head.method));
        set("creel-attempt", attempt.number.to_string().into_bytes().into());
        let query = message.query_without_content().or_else(|| message.head.query.clone());
        if let Some(query) = query.filter(|query| !query.is_empty()) {
            set("creel-query", visible(&query).into_owned().into_bytes().into());
        }
        fields.retain(|(name, _)| !self.headers.iter().any(|(own, _)| own == name));
        let own = self.headers.iter().map(|(name, value)| (name.as_str().into(), value.as_slice().into()));
        fields.extend(own);
        (fields, body)
    }
}

fn visible_bytes(text: &str) -> Cow<'_, [u8]> {
    match visible(text) {
        Cow::Borrowed(text) => text.as_bytes().into(),
        Cow::Owned(text) => text.into_bytes().into(),
    }
}

/// The body of a delivery in the format that the target is configured for.
struct OutgoingBody {
    content_type: Option<String>,
    body: Bytes,
    /// The body is byte for byte as received, so the provider's Content-Encoding header still
    /// applies.
    is_as_received: bool,
}

impl OutgoingBody {
    fn of(message: &StoredMessage, wanted: Option<ContentType>, stored: &StoredHeaders<'_>) -> Self {
        let given = stored.first("content-type");
        let made = |content_type: &str, body: Bytes| Self {
            content_type: Some(content_type.to_owned()),
            body,
            is_as_received: false,
        };
        let as_received = || Self {
            content_type: given.map(str::to_owned).or(message.is_emitted().then(|| JSON.to_owned())),
            body: message.body.clone(),
            is_as_received: true,
        };
        match (wanted, wanted.and_then(|_| message.payload_bytes())) {
            // The body of this GET was taken from its query, so no header describes it.
            (None | Some(ContentType::Json), _) if message.query_without_content().is_some() => {
                made(JSON, message.body.clone())
            }
            (Some(ContentType::Json), Some(payload)) => made(JSON, payload),
            (Some(ContentType::Form), Some(payload)) => {
                match FormBody::of(&stored.fields(), &message.body, &payload) {
                    FormBody::Made { content_type, body } => made(&content_type, body),
                    FormBody::AsReceived => as_received(),
                }
            }
            _ => as_received(),
        }
    }
}

/// Returns the provider's headers that matter for processing the message.
fn of_provider(stored: StoredHeaders<'_>) -> HeaderFields<'_> {
    let mut fields = stored.into_fields();
    remove_hop_fields(&mut fields);
    fields.retain(|(name, _)| {
        let name = as_variable(name);
        let has_prefix = SENDER_HEADER_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        !has_prefix && !SENDER_HEADERS.contains(&&*name)
    });
    fields
}

/// Replaces the secrets in the text, and the beginning of a secret at its end. `is_cut`: the text
/// is only the beginning of a longer one, so even a few bytes at its end may belong to a secret.
fn redacted(mut text: String, secrets: &[&str], is_cut: bool) -> String {
    for secret in secrets {
        text = text.replace(secret, REDACTED);
    }
    let min_bytes = if is_cut { 1 } else { MIN_SECRET_BYTES };
    // The last character may have been cut in two.
    let whole = text.trim_end_matches(char::REPLACEMENT_CHARACTER);
    let begun = secrets.iter().map(|secret| begun_at_end(whole, secret)).max().unwrap_or_default();
    let end = whole.len() - begun;
    if begun >= min_bytes {
        text.truncate(end);
        text.push_str(REDACTED);
    }
    text
}

/// Returns the length of the longest beginning of `secret` with which the text ends.
fn begun_at_end(text: &str, secret: &str) -> usize {
    let mut lengths = secret.char_indices().map(|(bytes, _)| bytes).rev();
    lengths.find(|bytes| text.ends_with(&secret[..*bytes])).unwrap_or_default()
}

fn attempt_result(response: &DeliveryResponse, now: OffsetDateTime) -> AttemptResult {
    let verdict = match response.status {
        200..=299 => AttemptVerdict::Delivered,
        410 => AttemptVerdict::Gone,
        status => AttemptVerdict::Failed {
            retry_after: retry_after(response, now),
            is_target_failing: status >= 500 || status == 429,
        },
    };
    let excerpt = String::from_utf8_lossy(&response.excerpt);
    AttemptResult {
        verdict,
        status: Some(i64::from(response.status)),
        error: matches!(response.status, 300..=399).then(|| {
            format!("{}: redirects are not followed; set the target to the final address", response.status)
        }),
        excerpt: (!excerpt.is_empty()).then(|| excerpt.into_owned()),
    }
}

fn retry_after(response: &DeliveryResponse, now: OffsetDateTime) -> Option<Duration> {
    schedule::retry_after(response.retry_after.as_deref()?, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_redacted_even_if_cut() {
        let secrets = ["Bearer pässword", "pässword", "X-Bearer"];
        for (text, is_cut, expected) in [
            ("a Bearer pässword, pässword b", false, "a [redacted], [redacted] b"),
            ("a Bearer pä", false, "a [redacted]"),
            ("a pässwo", false, "a [redacted]"),
            ("a päs", false, "a päs"),
            ("a päs", true, "a [redacted]"),
            ("a p\u{fffd}", true, "a [redacted]"),
            ("a X-Beare", true, "a [redacted]"),
            ("a b\u{fffd}", true, "a b\u{fffd}"),
        ] {
            assert_eq!(redacted(text.to_owned(), &secrets, is_cut), expected);
        }
    }
}
