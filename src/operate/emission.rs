//! Events that the user's own app emits. They are messages like any other, and are stored durably
//! before the receipt is returned.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ring::digest::{SHA256, digest};

use super::operator::Operator;
use super::problem::Problem;
use super::values;
use crate::config::{self, target_rules};
use crate::json;
use crate::store::{EMITTED, Identity, MessageContent, MessageId, NewMessage, Receipt};

/// The same timeout as for storing a webhook.
const STORE_TIMEOUT: Duration = Duration::from_millis(2_400);

/// A valid event of the user's own app.
#[derive(Debug)]
pub struct Event {
    event: String,
    owner: Option<String>,
    /// JSON, stored unchanged.
    payload: Bytes,
    sha256: [u8; 32],
}

/// The message created from an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmissionReceipt {
    pub message: MessageId,
    /// Whether the event had already been emitted with the same key.
    pub is_repeat: bool,
}

impl Event {
    /// Validates the parts of an event. For a large payload, call it on a blocking thread.
    ///
    /// # Errors
    /// If a part is invalid.
    pub fn new(event: String, owner: Option<String>, payload: Bytes) -> Result<Self, Problem> {
        values::name("event", &event)?;
        if let Some(owner) = &owner {
            target_rules::check_owner(owner)
                .map_err(|problem| Problem::invalid("owner", problem.to_string()))?;
        }
        if !json::accepts(&payload) {
            return Err(Problem::invalid("payload", "is nested more than 127 levels deep"));
        }
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest(&SHA256, &payload).as_ref());
        Ok(Self { event, owner, payload, sha256 })
    }
}

impl Operator {
    /// Emits an event, and returns after it is stored durably. Repeated calls with the same owner
    /// and `key` store the event once. A key contains no spaces.
    ///
    /// # Errors
    /// If the event is not declared, the key was used for another event, or the store accepts no
    /// writes.
    pub async fn emit(
        &self,
        event: Event,
        key: Option<String>,
        client: IpAddr,
    ) -> Result<EmissionReceipt, Problem> {
        self.reject_undeclared(&event.event)?;
        let is_keyed = key.is_some();
        let owner = event.owner.as_deref();
        let message = NewMessage {
            received_at: self.now(),
            source: EMITTED.into(),
            event: event.event.clone(),
            identity: key.map_or(Identity::None, |key| Identity::IdempotencyKey(owned(key, owner))),
            owner: event.owner.clone(),
            method: "POST".to_owned(),
            query: None,
            remote_ip: client,
            headers: r#"{"content-type":"application/json"}"#.to_owned(),
            content: MessageContent::Json(event.payload.clone()),
            body_sha256: event.sha256,
            body_unsigned: false,
            unverified: false,
            confirmation_request: None,
        };
        let receipt = self.store.ingest().keep(message, Instant::now() + STORE_TIMEOUT).await?;
        let is_repeat = is_keyed && matches!(receipt, Receipt::Duplicate { .. });
        if is_repeat {
            self.reject_other_event(receipt.id(), &event).await?;
        }
        Ok(EmissionReceipt { message: receipt.id(), is_repeat })
    }

    fn reject_undeclared(&self, event: &str) -> Result<(), Problem> {
        let declared = &self.known_events.emitted;
        if declared.iter().any(|declared| declared == event) {
            return Ok(());
        }
        Err(Problem::UndeclaredEvent(format!(
            "{} is not a declared event: add it to CREEL_EVENTS (declared: {})",
            config::shown(event),
            if declared.is_empty() { "none".to_owned() } else { declared.join(" ") }
        )))
    }

    /// Rejects an event whose key was used with another event name or owner; the store compares
    /// only payloads.
    async fn reject_other_event(&self, of: MessageId, event: &Event) -> Result<(), Problem> {
        // The message was deleted before its key, so there is nothing to compare with.
        let Some(before) = self.store.reads().message(of).await? else { return Ok(()) };
        let is_same = before.head.event == event.event && before.head.owner == event.owner;
        if is_same { Ok(()) } else { Err(Problem::IdempotencyKeyReused(of)) }
    }
}

/// Prefixes the key with its owner. Keys contain no space, so different pairs never produce the
/// same text.
fn owned(key: String, owner: Option<&str>) -> String {
    owner.map_or(key.clone(), |owner| format!("{owner} {key}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_different_owners_never_collide() {
        let all = [
            owned("a".to_owned(), None),
            owned("a".to_owned(), Some("x")),
            owned("a".to_owned(), Some("x y")),
            owned("y".to_owned(), Some("x a")),
        ];
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }
}
