//! Converts a verified request to a message for the store.

use std::sync::Arc;

use crate::providers::Verifier;
use crate::store::{Identity, NewMessage};
use crate::verification::examine::VerifiedMessage;
use crate::verification::incoming::IncomingRequest;
use crate::verification::source::Source;

/// Returns the message of a verified request, for the store.
pub fn new_message(
    source: &Source,
    verifier: &Verifier,
    incoming: IncomingRequest<'_>,
    verified: VerifiedMessage,
) -> NewMessage {
    let VerifiedMessage { description, content, body_sha256, confirm_query, decoded_memory: _ } = verified;
    let mut event = String::with_capacity(source.name.len() + 1 + description.event_type.len());
    event.push_str(&source.name);
    event.push('.');
    event.push_str(&description.event_type);
    NewMessage {
        received_at: incoming.received_at,
        source: Arc::clone(&source.name),
        event,
        identity: match (description.delivery_id, source.dedupe) {
            (Some(id), _) => match description.form_mark {
                None => Identity::DeliveryId(id),
                Some(mark) => Identity::EventId { id, mark },
            },
            (None, Some(window)) => Identity::Content { window },
            (None, None) => Identity::None,
        },
        method: incoming.method.to_owned(),
        query: source.redaction.query(incoming.query).map(Into::into),
        remote_ip: incoming.client,
        headers: source.redaction.headers(&incoming.fields),
        content,
        body_sha256,
        body_unsigned: !verifier.covers_body_of(&incoming.request(&[])),
        owner: None,
        unverified: false,
        confirmation_request: confirm_query.map(|confirm_query| source.confirmation_request(&confirm_query)),
    }
}
