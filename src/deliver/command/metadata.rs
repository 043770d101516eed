//! The `HOOK_*` variables with a message's metadata. All of them are always set, so that a script
//! can use `set -u`.

use crate::deliver::attempt::AttemptRequest;
use crate::store::StoredMessage;
use crate::store::headers::StoredHeaders;

/// Maximum length; longer values are truncated.
const MAX_VALUE_BYTES: usize = 4 << 10;

/// Returns the variables; unknown values are empty.
pub fn variables(attempt: &AttemptRequest<'_>) -> Vec<(&'static str, String)> {
    let head = &attempt.message.head;
    let kind = head.event.strip_prefix(&head.source).and_then(|rest| rest.strip_prefix('.'));
    let headers = StoredHeaders::parse(&head.headers).unwrap_or_default();
    let or_empty = |value: &Option<String>| value.clone().unwrap_or_default();
    let values = [
        ("HOOK_MESSAGE_ID", head.id.to_string()),
        ("HOOK_WEBHOOK_ID", attempt.webhook_id.to_owned()),
        ("HOOK_DELIVERY", attempt.delivery.to_string()),
        ("HOOK_ATTEMPT", attempt.number.to_string()),
        ("HOOK_TARGET", attempt.target.to_owned()),
        ("HOOK_SOURCE", head.source.clone()),
        ("HOOK_EVENT", head.event.clone()),
        ("HOOK_TYPE", kind.unwrap_or(&head.event).to_owned()),
        ("HOOK_OWNER", or_empty(&head.owner)),
        ("HOOK_PROVIDER_DELIVERY_ID", or_empty(&head.delivery_id)),
        ("HOOK_METHOD", head.method.clone()),
        ("HOOK_QUERY", attempt.message.query_without_content().unwrap_or_else(|| or_empty(&head.query))),
        ("HOOK_CONTENT_TYPE", content_type(attempt.message, &headers)),
        ("HOOK_CONTENT_ENCODING", headers.values("content-encoding").collect::<Vec<_>>().join(", ")),
        ("HOOK_RECEIVED_AT", head.received_at.to_string()),
        ("HOOK_REMOTE_IP", head.remote_ip.clone()),
    ];
    values.into_iter().map(|(name, value)| (name, cleaned(&value))).collect()
}

/// Returns the first Content-Type as received. Without one, an emitted event and a message whose
/// body was taken from the query have `application/json`.
fn content_type(message: &StoredMessage, headers: &StoredHeaders<'_>) -> String {
    let is_json = message.is_emitted() || message.query_without_content().is_some();
    let json = is_json.then_some("application/json");
    headers.first("content-type").or(json).unwrap_or_default().to_owned()
}

/// Removes control characters, because scripts print values and terminals interpret them. A NUL
/// would end the value.
fn cleaned(value: &str) -> String {
    let mut value: String = value.chars().filter(|character| !character.is_control()).collect();
    value.truncate(super::output::boundary_before(&value, MAX_VALUE_BYTES));
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_truncated_and_lose_control_characters() {
        assert_eq!(cleaned("a\u{0}b\n\u{1b}[31mc\u{7f}\u{85} ü"), "ab[31mc ü");
        assert_eq!(cleaned(&"ü".repeat(5_000)).len(), MAX_VALUE_BYTES);
        assert_eq!(cleaned(&format!("a{}", "ü".repeat(5_000))).len(), MAX_VALUE_BYTES - 1);
    }
}
