//! Re-verification and release of rejections: with the current secrets, and the clock at arrival.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::web;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;

use super::super::error::ApiError;
use super::super::input::{Id, NoParameters, Query};
use super::super::types::rejection::{Recheck, ReleasedMessage, Verdict};
use super::{explanation, gone, not_kept, stored};
use crate::http::body::BodyError;
use crate::http::service::Service;
use crate::providers::Cause;
use crate::store::{IngestError, NewMessage, Receipt, StoredRejection, headers, timestamp};
use crate::verification::{
    IncomingRequest, Proof, Source, Sources, VerificationError, VerificationOutcome, VerifiedMessage,
    new_message, verify,
};

/// The limit for a webhook, plus one fetch of keys before it.
pub const JUDGED_WITHIN: Duration = Duration::from_secs(5);

/// Re-verifies a rejection, e.g. after a secret was corrected. A verified request immediately
/// becomes a message with its original arrival time.
#[utoipa::path(post, path = "/rejections/{id}/recheck", tag = "rejections",
    params(("id" = i64, Path, minimum = 1, example = 1)),
    responses(
        (status = 200, description = "The verdict.", body = Recheck),
        (status = 409, description = "It cannot be judged: its source is not configured, or its body was not kept."),
    ))]
pub async fn recheck(
    service: web::Data<Service>,
    sources: web::Data<Sources>,
    id: Id,
    _: Query<NoParameters>,
) -> Result<web::Json<Recheck>, ApiError> {
    let rejection = Again::of(&sources, stored(&service, id).await?)?;
    let verifier = rejection.source.verifier();
    if rejection.body.is_none() && verifier.reads_body() {
        return Err(not_kept());
    }
    match rejection.judge(Proof::NeedsBody).await? {
        Err(cause) => Ok(web::Json(Recheck::refused(cause))),
        Ok(Judged::Handshake) => Ok(web::Json(Recheck::told(
            Verdict::Handshake,
            "It is genuine, but a handshake: the provider has to begin it again.",
        ))),
        Ok(Judged::Message(_)) if rejection.body.is_none() => Ok(web::Json(Recheck::told(
            Verdict::Accepted,
            "It would be accepted now, but its body was not kept: the sender has to send it again.",
        ))),
        Ok(Judged::Message(message)) => {
            let released = release_as(&service, id, *message).await?;
            Ok(web::Json(Recheck {
                message_id: Some(released.message_id),
                duplicate: released.duplicate,
                ..Recheck::told(Verdict::Accepted, "It is genuine, and a message now.")
            }))
        }
    }
}

/// Releases a rejection as a message without verifying its sender. The message is marked
/// `unverified`, and delivered like any other.
#[utoipa::path(post, path = "/rejections/{id}/release", tag = "rejections",
    params(("id" = i64, Path, minimum = 1, example = 1)),
    responses(
        (status = 200, description = "The message.", body = ReleasedMessage),
        (status = 409, description = "It cannot become a message: its source is not configured, its body was not kept, or it is a handshake."),
    ))]
pub async fn release(
    service: web::Data<Service>,
    sources: web::Data<Sources>,
    id: Id,
    _: Query<NoParameters>,
) -> Result<web::Json<ReleasedMessage>, ApiError> {
    let rejection = Again::of(&sources, stored(&service, id).await?)?;
    if rejection.body.is_none() {
        return Err(not_kept());
    }
    match rejection.judge(Proof::Given).await? {
        Ok(Judged::Message(message)) => {
            // The operator decided, so the provider's API is not queried.
            let message = NewMessage { unverified: true, asking: None, ..*message };
            Ok(web::Json(release_as(&service, id, message).await?))
        }
        Ok(Judged::Handshake) | Err(_) => Err(ApiError::NotReleasable(
            "This request is a handshake or its source does not take its method: it is no message."
                .to_owned(),
        )),
    }
}

async fn release_as(service: &Service, id: Id, message: NewMessage) -> Result<ReleasedMessage, ApiError> {
    match service.store.ingest().release(id.0, message, Instant::now() + JUDGED_WITHIN).await {
        Ok(receipt) => Ok(ReleasedMessage {
            message_id: receipt.id(),
            duplicate: matches!(receipt, Receipt::Duplicate { .. }),
        }),
        Err(IngestError::RejectionGone) => Err(gone(id.0)),
        Err(error) => Err(error.into()),
    }
}

/// A rejected request, restored to its original form.
pub struct Again {
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

/// The kind of a verified request.
pub enum Judged {
    Message(Box<NewMessage>),
    Handshake,
}

impl Again {
    pub fn of(sources: &Arc<Sources>, rejection: StoredRejection) -> Result<Self, ApiError> {
        let Some(source) = sources.find(&rejection.head.source).cloned() else {
            let problem = format!("The source {} is not configured any more.", rejection.head.source);
            return Err(ApiError::NotReleasable(problem));
        };
        let credentials = Credentials::read(rejection.credentials.as_deref());
        let query = credentials.query.or(rejection.query).unwrap_or_default();
        let path = source.whole_path();
        let readable = |text: Option<_>| text.ok_or(ApiError::Internal);
        Ok(Self {
            target: if query.is_empty() { path } else { format!("{path}?{query}") },
            query,
            method: rejection.head.method,
            fields: fields(&rejection.headers, credentials.headers).ok_or(ApiError::Internal)?,
            received_at: readable(timestamp::from_text(&rejection.head.received_at))?,
            client: rejection.head.remote_ip.parse().map_err(|_| ApiError::Internal)?,
            body: rejection.body.map(Bytes::from),
            sources: Arc::clone(sources),
            source,
        })
    }

    pub fn has_body(&self) -> bool {
        self.body.is_some()
    }

    /// Verifies the request with the current secrets and the clock at arrival.
    pub async fn judge(&self, proof: Proof) -> Result<Result<Judged, Cause>, ApiError> {
        let source = &self.source;
        if !source.makes_message_of(&self.method) {
            return Err(ApiError::NotReleasable(format!(
                "The source {} makes no message of {}.",
                source.name, self.method
            )));
        }
        if proof == Proof::NeedsBody && !source.admits(self.client, &self.sources.github) {
            return Ok(Err(Cause::AddressNotAllowed));
        }
        let incoming = IncomingRequest {
            method: &self.method,
            target: &self.target,
            query: &self.query,
            url: source.registered_url(&self.target, &self.query),
            fields: self.fields.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect(),
            received_at: self.received_at,
            client: self.client,
        };
        let verifier = source.verifier();
        let body = self.body.clone().unwrap_or_default();
        let deadline = Instant::now() + JUDGED_WITHIN;
        let verified = verify(&self.sources, source, &verifier, &incoming, &body, proof, deadline).await;
        Ok(match verified.map_err(not_now)? {
            VerificationOutcome::Message(verified) => Ok(self.message(incoming, verified)),
            VerificationOutcome::Handshake(_) => Ok(Judged::Handshake),
            VerificationOutcome::Rejected(reason) => Err(reason.cause),
        })
    }

    fn message(&self, incoming: IncomingRequest<'_>, verified: VerifiedMessage) -> Judged {
        let source = &self.source;
        Judged::Message(Box::new(new_message(source, &source.verifier(), incoming, verified)))
    }
}

fn not_now(error: VerificationError) -> ApiError {
    match error {
        VerificationError::Unavailable(why) => ApiError::Unavailable(why),
        VerificationError::NotReached => ApiError::ProviderUnreachable,
        VerificationError::NoRoom => ApiError::Body(BodyError::BudgetUsedUp),
        VerificationError::Failed => ApiError::Internal,
    }
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
    let stored: BTreeMap<String, Value> = serde_json::from_str(stored).ok()?;
    let text = |value: &Value| value.as_str().map(headers::bytes);
    let mut fields = Vec::new();
    for (name, value) in stored {
        let values: Vec<Vec<u8>> = match (credentials.remove(&name), &value) {
            (Some(values), _) => values.iter().map(|text| headers::bytes(text)).collect(),
            (None, Value::Array(values)) => values.iter().filter_map(text).collect(),
            (None, value) => text(value).into_iter().collect(),
        };
        fields.extend(values.into_iter().map(|value| (name.clone(), value)));
    }
    Some(fields)
}

impl Recheck {
    fn told(verdict: Verdict, explanation: &'static str) -> Self {
        Self { verdict, cause: None, explanation: explanation.into(), message_id: None, duplicate: false }
    }

    fn refused(cause: Cause) -> Self {
        Self { cause: Some(cause.name().into()), ..Self::told(Verdict::Refused, explanation::of(cause)) }
    }
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
