//! `creel show`: one message with all its details.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};

use serde_json::value::RawValue;

use super::messages::remarks;
use super::output::{Failure, harmless, seconds};
use super::remote::{Address, Remote};
use super::send::block_on;
use crate::api::types::delivery::{Delivery, DeliveryWithAttempts};
use crate::api::types::message::Message;
use crate::json;
use crate::providers::{ByteLimit, Headers, charset, codings, decode};
use crate::store::headers::{StoredHeaders, readable};

/// Limit on a shown body; --body prints all of it.
const MAX_SHOWN_CHARACTERS: usize = 20_000;
/// Limit on a decompressed body.
const MAX_DECODED_BYTES: usize = 64 << 20;

/// Message and output format.
#[derive(Debug, clap::Args)]
pub struct ShowArguments {
    /// The message's id.
    id: u64,

    /// Print only the body, byte for byte; on a terminal, control characters are escaped.
    #[arg(long, conflicts_with = "json")]
    body: bool,

    /// Print the service's JSON for the message.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    address: Address,
}

pub fn run(arguments: &ShowArguments) -> Result<String, Failure> {
    let remote = arguments.address.remote()?;
    block_on(async {
        let path = format!("/messages/{}", arguments.id);
        if arguments.body {
            return print_body(&body(&remote, arguments.id).await?);
        }
        if arguments.json {
            let message: Box<RawValue> = remote.get(&path).await?;
            return Ok(format!("{}\n", message.get()));
        }
        let message: Message = remote.get(&path).await?;
        let body = match message.content {
            Some(_) => Some(body(&remote, arguments.id).await?),
            None => None,
        };
        let mut text = head(&message);
        text.push_str(&content(&message, body.as_deref()));
        text.push_str(&deliveries(&remote, &message.deliveries).await?);
        Ok(text)
    })?
}

/// Returns the exact bytes of a message's body.
pub async fn body(remote: &Remote, id: u64) -> Result<Vec<u8>, Failure> {
    let body = remote.download(&format!("/messages/{id}/body")).await?;
    body.ok_or_else(|| Failure(format!("Message {id} not found (it may have been deleted by retention).")))
}

fn print_body(body: &[u8]) -> Result<String, Failure> {
    let mut stdout = std::io::stdout();
    if stdout.is_terminal() {
        return Ok(format!("{}\n", harmless(&String::from_utf8_lossy(body))));
    }
    // A closed pipe is not an error.
    let _ = stdout.write_all(body).and_then(|()| stdout.flush());
    Ok(String::new())
}

/// Adds a line that starts with a name; untrusted text cannot start another line.
fn line(text: &mut String, name: &str, value: &str) {
    let value = harmless(&value.replace('\n', "\\n"));
    // Writing into a string cannot fail.
    let _ = writeln!(text, "{name:<13}{value}");
}

fn head(message: &Message) -> String {
    let head = &message.head;
    let mut text = String::new();
    line(&mut text, "message", &format!("#{} {}", head.id, head.event));
    line(&mut text, "received", &format!("{} from {}", seconds(&head.received_at), head.remote_ip));
    line(&mut text, "source", &head.source);
    let query = head.query.as_ref().map(|query| format!(" ?{query}")).unwrap_or_default();
    line(&mut text, "request", &format!("{}{query}", head.method));
    for (name, value) in [("owner", &head.owner), ("delivery id", &head.delivery_id)] {
        if let Some(value) = value {
            line(&mut text, name, value);
        }
    }
    let digest = head.body_sha256.as_ref().map(|digest| format!(", SHA-256 {digest}")).unwrap_or_default();
    line(&mut text, "body", &format!("{} bytes{digest}", head.body_bytes));
    if let Some(reason) = &head.unreadable {
        line(&mut text, "filters", &unread_in_words(reason));
    }
    let remarks = remarks(head);
    if !remarks.is_empty() {
        line(&mut text, "remarks", &remarks.join(", "));
    }
    if let Some(confirmation) = &message.confirmation_details {
        let due = confirmation.due_at.as_ref().map(|at| format!(", next query at {}", seconds(at)));
        let reason = confirmation.reason.as_ref().map(|reason| format!(": {reason}"));
        let (due, reason) = (due.unwrap_or_default(), reason.unwrap_or_default());
        let tries = attempts(confirmation.tries);
        let summary = format!("{} after {tries}{due}{reason}", confirmation.state);
        line(&mut text, "confirmation", &summary);
    }
    text
}

fn attempts(count: u32) -> String {
    format!("{count} {}", if count == 1 { "attempt" } else { "attempts" })
}

fn content(message: &Message, body: Option<&[u8]>) -> String {
    let (Some(content), Some(body)) = (&message.content, body) else {
        return "\nThe query, headers and body need the admin token.\n".to_owned();
    };
    let mut text = "\n".to_owned();
    let headers = StoredHeaders::parse(content.headers.get()).unwrap_or_default();
    for (name, value) in headers.pairs() {
        let shown = format!("{name}: {}", readable(value));
        let _ = writeln!(text, "{}", harmless(&shown.replace('\n', "\\n")));
    }
    let _ = writeln!(text, "\n{}", shown(&headers, body));
    text
}

/// Explains an `unreadable` reason.
fn unread_in_words(reason: &str) -> String {
    let words = match reason {
        // Filters may have been evaluated on receipt.
        "older_version" => {
            return "not evaluated by replays: the body was stored without a payload before reasons were recorded".to_owned();
        }
        "empty" => "the body is empty",
        "not_json" => "the body is neither JSON nor a form that creel reads for this provider",
        "too_deep" => "the body is JSON nested more than 127 levels deep",
        "form_too_large" => "the body is a form that is too large to be decoded",
        "unknown_charset" => "the body is in an unknown charset",
        "malformed_text" => "the body has bytes that are invalid in its charset",
        "unknown_coding" => "the body has a Content-Encoding other than gzip and deflate",
        "malformed_coding" => "the body cannot be decompressed",
        "expands_too_much" => "the decoded body is too large",
        other => other,
    };
    format!("not evaluated: {words}")
}

/// Formats a body for a terminal: decoded according to its headers, JSON pretty-printed, anything
/// else as text, truncated to `MAX_SHOWN_CHARACTERS`.
fn shown(headers: &StoredHeaders<'_>, body: &[u8]) -> String {
    let fields = headers.fields();
    let fields: Vec<(&str, &[u8])> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
    let headers = Headers(&fields);
    let decoded = match (json::accepts(body), codings(headers)) {
        (false, Ok(codings)) if !codings.is_empty() => {
            decode(body, &codings, &mut ByteLimit(MAX_DECODED_BYTES)).ok()
        }
        _ => None,
    };
    let body = decoded.as_deref().unwrap_or(body);
    let other_charset = if json::accepts(body) { None } else { text_in_charset(body, headers) };
    let bytes = other_charset.as_ref().map_or(json::without_mark(body), String::as_bytes);
    let pretty = match json::document(bytes) {
        Ok(document) if document.len() <= MAX_SHOWN_CHARACTERS => Some(json::pretty(document)),
        _ => None,
    };
    let text = pretty.unwrap_or_else(|| String::from_utf8_lossy(bytes).into_owned());
    let cut: String = text.trim_end().chars().take(MAX_SHOWN_CHARACTERS).collect();
    let more = if cut.len() < text.trim_end().len() { "\n… (--body prints all of it)" } else { "" };
    format!("{}{more}", harmless(&cut))
}

async fn deliveries(remote: &Remote, deliveries: &[Delivery]) -> Result<String, Failure> {
    if deliveries.is_empty() {
        return Ok("\nNo deliveries.\n".to_owned());
    }
    let mut text = String::new();
    for delivery in deliveries {
        let delivery: DeliveryWithAttempts = remote.get(&format!("/deliveries/{}", delivery.id)).await?;
        text.push('\n');
        text.push_str(&delivery_text(&delivery));
    }
    Ok(text)
}

fn delivery_text(delivery: &DeliveryWithAttempts) -> String {
    let DeliveryWithAttempts { delivery, tries } = delivery;
    let mut text = String::new();
    let when = match (&delivery.finished_at, &delivery.due_at) {
        (Some(at), _) => format!(" at {}", seconds(at)),
        (None, Some(at)) => format!(", next attempt at {}", seconds(at)),
        (None, None) => String::new(),
    };
    let outcome = delivery.outcome.as_ref().map(|outcome| format!(" ({outcome})")).unwrap_or_default();
    let state = format!(
        "#{} to {}: {}{when}{outcome}, {}",
        delivery.id,
        delivery.target,
        delivery.state,
        attempts(delivery.attempts)
    );
    line(&mut text, "delivery", &state);
    for attempt in tries {
        let status = attempt.status.map(|status| format!(" {status}")).unwrap_or_default();
        let error = attempt.error.as_ref().map(|error| format!(" {error}")).unwrap_or_default();
        let began = seconds(&attempt.began_at);
        let tried = format!("{began} {}{status}{error}, {} ms", attempt.outcome, attempt.took_ms);
        line(&mut text, &format!("  attempt {}", attempt.number), &tried);
        for answer in attempt.excerpt.iter().flat_map(|excerpt| excerpt.lines()) {
            let _ = writeln!(text, "    | {}", harmless(answer));
        }
    }
    text
}

fn text_in_charset(body: &[u8], headers: Headers<'_>) -> Option<String> {
    let (charset, mark) = charset::of_json(body, headers).ok()??;
    charset::decode(&body[mark..], charset).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_is_readable_without_terminal_controls() {
        let rows = [
            (&b"{\"a\":1}"[..], "{\n  \"a\": 1\n}"),
            (b"a=1&b=2\n", "a=1&b=2"),
            (b"\x1b[31mred", "\\u{1b}[31mred"),
            (b"\xff", "\u{fffd}"),
            (b"", ""),
        ];
        for (body, text) in rows {
            assert_eq!(shown(&StoredHeaders::default(), body), text);
        }
        let long = "x".repeat(MAX_SHOWN_CHARACTERS + 1);
        assert!(shown(&StoredHeaders::default(), long.as_bytes()).ends_with("(--body prints all of it)"));
    }

    #[test]
    fn older_row_omits_reason_of_skipped_filters() {
        assert!(unread_in_words("older_version").starts_with("not evaluated by replays: "));
        assert!(unread_in_words("empty").starts_with("not evaluated: "));
    }

    #[test]
    fn shown_json_keeps_digits_and_key_order() {
        let body = b"\xef\xbb\xbf{\"z\":123456789012345678901234567890,\"a\":1.10,\"far\":1e400,\"cut\":\"\\ud83d\"}";
        let text = "{\n  \"z\": 123456789012345678901234567890,\n  \"a\": 1.10,\n  \"far\": 1e400,\n  \"cut\": \"\\ud83d\"\n}";
        assert_eq!(shown(&StoredHeaders::default(), body), text);
    }

    #[test]
    fn encoded_body_is_shown_decoded() {
        let deflate = StoredHeaders::parse(r#"{"content-encoding":"deflate"}"#).expect("headers");
        let coded = miniz_oxide::deflate::compress_to_vec_zlib(b"a=1&b=2", 6);
        assert_eq!(shown(&deflate, &coded), "a=1&b=2");
        assert_eq!(shown(&deflate, b"{}"), "{}");
        let gzip = StoredHeaders::parse(r#"{"content-encoding":"gzip"}"#).expect("headers");
        assert_eq!(shown(&gzip, b"no gzip"), "no gzip");
        let latin = r#"{"content-type":"text/plain; charset=iso-8859-1"}"#;
        let latin = StoredHeaders::parse(latin).expect("headers");
        assert_eq!(shown(&latin, b"gr\xfcn"), "grün");
        assert_eq!(shown(&StoredHeaders::default(), b"\xff\xfe[\x001\0]\0"), "[\n  1\n]");
    }

    #[test]
    fn delivery_is_shown_with_attempts_and_answers() {
        let delivery: DeliveryWithAttempts = serde_json::from_value(serde_json::json!({
            "id": 9, "message_id": 7, "event": "e", "target_id": 1, "target": "billing", "state": "pending", "attempts": 1,
            "created_at": "2026-11-22T14:31:00.000000Z", "due_at": "2026-11-22T14:36:00.000000Z", "finished_at": null,
            "outcome": "500", "replay_id": null,
            "tries": [{"number": 1, "began_at": "2026-11-22T14:31:00.000000Z", "took_ms": 12, "outcome": "failed",
                "status": 500, "error": null, "excerpt": "oh\n\u{1b}[2Jno"}],
        }))
        .expect("a delivery");
        let expected = "delivery     #9 to billing: pending, next attempt at 2026-11-22T14:36:00Z (500), 1 attempt\n  \
                        attempt 1  2026-11-22T14:31:00Z failed 500, 12 ms\n    | oh\n    | \\u{1b}[2Jno\n";
        assert_eq!(delivery_text(&delivery), expected);
    }

    #[test]
    fn only_other_numbers_of_attempts_are_plural() {
        assert_eq!([0, 1, 2].map(attempts), ["0 attempts", "1 attempt", "2 attempts"]);
    }

    #[test]
    fn words_of_a_newer_service_are_shown() {
        let delivery: DeliveryWithAttempts = serde_json::from_value(serde_json::json!({
            "id": 9, "target": "billing", "state": "expired", "attempts": 1,
            "tries": [{"number": 1, "began_at": "2026-11-22T14:31:00.000000Z", "took_ms": 12, "outcome": "skipped"}],
        }))
        .expect("a delivery");
        let expected = "delivery     #9 to billing: expired, 1 attempt\n  \
                        attempt 1  2026-11-22T14:31:00Z skipped, 12 ms\n";
        assert_eq!(delivery_text(&delivery), expected);
    }
}
