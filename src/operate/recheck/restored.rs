//! A rejected request, restored to its original form.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Deserialize;
use time::OffsetDateTime;

use super::super::problem::Problem;
use crate::providers::{Cause, Diagnosis};
use crate::store::headers::{self, StoredHeaders};
use crate::store::{NewMessage, StoredRejection};
use crate::verification::{
    IncomingRequest, Proof, Source, Sources, VerificationOutcome, VerifiedMessage, diagnose, new_message,
    verify,
};

/// Longer than the timeout for a webhook (2.4 s) plus the wait for one fetch of keys (1 s).
pub const VERIFICATION_TIMEOUT: Duration = Duration::from_secs(5);

/// A rejected request, restored to its original form.
pub struct RestoredRequest {
    sources: Arc<Sources>,
    source: Arc<Source>,
    method: String,
    target: String,
    query: String,
    fields: Vec<(String, Vec<u8>)>,
    received_at: OffsetDateTime,
    client: IpAddr,
    body: Option<Bytes>,
}

/// The result of verifying a restored request.
pub enum Verification {
    Message(Box<NewMessage>),
    Handshake,
    Rejected(Cause),
}

impl RestoredRequest {
    /// # Errors
    /// If its source is not configured, or the stored row is unreadable.
    pub fn of(sources: &Arc<Sources>, rejection: StoredRejection) -> Result<Self, Problem> {
        let Some(source) = sources.find(&rejection.head.source).cloned() else {
            return Err(Problem::SourceNotConfigured(rejection.head.source));
        };
        let credentials = Credentials::read(rejection.credentials.as_deref());
        let query = credentials.query.or(rejection.query).unwrap_or_default();
        let path = source.whole_path();
        let received_at = rejection.head.received_at.to_timestamp().ok_or(Problem::UnreadableRejection)?;
        let fields = fields(&rejection.headers, credentials.headers).ok_or(Problem::UnreadableRejection)?;
        Ok(Self {
            target: if query.is_empty() { path } else { format!("{path}?{query}") },
            query,
            method: rejection.head.method,
            fields,
            received_at: received_at.to_time(),
            client: rejection.head.remote_ip.parse().map_err(|_| Problem::UnreadableRejection)?,
            body: rejection.body.map(Bytes::from),
            sources: Arc::clone(sources),
            source,
        })
    }

    pub fn has_body(&self) -> bool {
        self.body.is_some()
    }

    /// Whether the verification needs the body.
    pub fn needs_body(&self) -> bool {
        self.source.verifier().reads_body()
    }

    /// Verifies the request with the current secrets and the time of its arrival.
    ///
    /// # Errors
    /// If the source does not store requests with this method as messages, or verification is not
    /// possible now.
    pub async fn verify(&self, proof: Proof) -> Result<Verification, Problem> {
        let source = &self.source;
        if !source.is_message_method(&self.method) {
            let (source_name, method) = (source.name.to_string(), self.method.clone());
            return Err(Problem::MethodWithoutMessage { source_name, method });
        }
        if proof == Proof::NeedsBody && !self.is_address_allowed() {
            return Ok(Verification::Rejected(Cause::AddressNotAllowed));
        }
        let incoming = self.incoming();
        let verifier = source.verifier();
        let body = self.body.clone().unwrap_or_default();
        let deadline = Instant::now() + VERIFICATION_TIMEOUT;
        let verified = verify(&self.sources, source, &verifier, &incoming, &body, proof, deadline).await?;
        Ok(match verified {
            VerificationOutcome::Message(verified) => self.message(incoming, verified),
            VerificationOutcome::Handshake(_) => Verification::Handshake,
            VerificationOutcome::Rejected(reason) => Verification::Rejected(reason.cause),
        })
    }

    fn incoming(&self) -> IncomingRequest<'_> {
        IncomingRequest {
            method: &self.method,
            target: &self.target,
            query: &self.query,
            url: self.source.registered_url(&self.target, &self.query),
            fields: self.fields.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect(),
            received_at: self.received_at,
            client: self.client,
        }
    }

    /// Explains the rejection with the current settings; `cause` is the recorded one. CPU-bound.
    pub fn diagnose(&self, cause: Option<Cause>) -> Diagnosis {
        let incoming = self.incoming();
        let body = self.body.as_deref().unwrap_or_default();
        diagnose(&self.sources, &self.source, &incoming.request(body), self.has_body(), cause)
    }

    /// Whether credentials of the request could not be restored.
    pub fn lacks_credentials(&self) -> bool {
        let is_redacted = |text: &[u8]| text == headers::REDACTED.as_bytes();
        self.fields.iter().any(|(_, value)| is_redacted(value))
            || self
                .query
                .split('&')
                .any(|field| field.split_once('=').is_some_and(|(_, value)| is_redacted(value.as_bytes())))
    }

    /// Returns the values of a header, in the order received.
    pub fn header<'a>(&'a self, wanted: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields.iter().filter(move |(name, _)| name == wanted).map(|(_, value)| value.as_slice())
    }

    pub fn source(&self) -> &Source {
        &self.source
    }

    pub const fn client(&self) -> IpAddr {
        self.client
    }

    /// Whether the source's allowlist has the client's address.
    pub fn is_address_allowed(&self) -> bool {
        self.source.admits(self.client, &self.sources.github)
    }

    fn message(&self, incoming: IncomingRequest<'_>, verified: VerifiedMessage) -> Verification {
        let source = &self.source;
        Verification::Message(Box::new(new_message(source, &source.verifier(), incoming, verified)))
    }
}

/// Marks a message that an operator released without verification.
pub fn unverified(message: NewMessage) -> NewMessage {
    // The operator's decision replaces the confirmation by the provider's API.
    NewMessage { unverified: true, confirmation_request: None, ..message }
}

/// Credentials that were removed from a request before it was stored.
#[derive(Default, Deserialize)]
struct Credentials {
    headers: BTreeMap<String, Vec<String>>,
    query: Option<String>,
}

impl Credentials {
    fn read(text: Option<&str>) -> Self {
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }
}

/// Restores the header fields byte for byte as they were received, sorted by name.
fn fields(stored: &str, mut credentials: BTreeMap<String, Vec<String>>) -> Option<Vec<(String, Vec<u8>)>> {
    let stored = StoredHeaders::parse(stored)?;
    let mut fields = Vec::new();
    let mut restored = None;
    for (name, value) in stored.pairs() {
        if let Some(values) = credentials.remove(name) {
            fields.extend(values.iter().map(|value| (name.to_owned(), headers::bytes(value).into_owned())));
            restored = Some(name);
        } else if restored != Some(name) {
            fields.push((name.to_owned(), headers::bytes(value).into_owned()));
        }
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restored_fields_keep_credentials_and_order() {
        let stored = r#"{"accept":"*/*","authorization":"[redacted]","cookie":["[redacted]","[redacted]"],"x":["1","\u001a\u00fc"]}"#;
        let sealed =
            r#"{"headers":{"authorization":["Bearer s"],"cookie":["b","\u001a\u00e4"]},"query":"key=s"}"#;
        let credentials = Credentials::read(Some(sealed));
        assert_eq!(credentials.query.as_deref(), Some("key=s"));
        let fields = fields(stored, credentials.headers).unwrap();
        let shown: Vec<(&str, &[u8])> =
            fields.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        let expected: [(&str, &[u8]); 6] = [
            ("accept", b"*/*"),
            ("authorization", b"Bearer s"),
            ("cookie", b"b"),
            ("cookie", b"\xe4"),
            ("x", b"1"),
            ("x", b"\xfc"),
        ];
        assert_eq!(shown, expected);
    }
}
