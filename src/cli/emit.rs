//! `creel emit`: emits an event in the same way as the app itself.

use std::io::Read;

use serde_json::value::RawValue;

use super::output::Failure;
use super::remote::{Address, JSON};
use super::send::block_on;
use crate::api::types::event::{EmittedEvent, NewEvent};

/// Limit on the payload from stdin: the largest value of `CREEL_MAX_BODY`.
const MAX_PAYLOAD_BYTES: u64 = 512 << 20;

/// The event to emit.
#[derive(Debug, clap::Args)]
pub struct EmitArguments {
    /// The event's name, one of CREEL_EVENTS.
    event: String,

    /// The payload as JSON, or - to read it from stdin; default: {}.
    #[arg(value_name = "JSON", allow_hyphen_values = true)]
    payload: Option<String>,

    /// Owner of the event. Only that owner's targets and targets without an owner receive the
    /// event.
    #[arg(long)]
    owner: Option<String>,

    /// Emit the event only once for this key, however often the command runs.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,

    #[command(flatten)]
    address: Address,
}

pub fn run(arguments: &EmitArguments) -> Result<String, Failure> {
    let payload = payload(arguments.payload.as_deref())?;
    let event =
        NewEvent { event: arguments.event.clone(), owner: arguments.owner.clone(), payload: &payload };
    let body = serde_json::to_vec(&event).map_err(|error| Failure(error.to_string()))?;
    let mut headers = vec![JSON];
    headers.extend(arguments.idempotency_key.as_deref().map(|key| ("idempotency-key", key)));
    let remote = arguments.address.remote()?;
    block_on(async {
        let response = remote.request("POST", "/events", &headers, body).await?;
        let EmittedEvent { id } = remote.read(&response)?;
        let again = if response.status == 200 { ", emitted before with this key" } else { "" };
        Ok(format!("message #{id}{again}\n"))
    })?
}

/// Returns the payload as written, without a byte order mark and white space around it.
fn payload(given: Option<&str>) -> Result<Box<RawValue>, Failure> {
    let text = match given {
        None => "{}".to_owned(),
        Some("-") => read_payload(std::io::stdin(), MAX_PAYLOAD_BYTES)?,
        Some(text) => text.to_owned(),
    };
    // Windows editors write a byte order mark, which is valid only at the start of a document.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).trim().to_owned();
    RawValue::from_string(text).map_err(|error| Failure(format!("the payload is not JSON: {error}")))
}

fn read_payload(input: impl Read, max_bytes: u64) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let read = input.take(max_bytes + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failure(format!("the payload cannot be read from stdin: {error}")))?;
    if bytes.len() as u64 > max_bytes {
        return Err(Failure(format!(
            "the payload is larger than {max_bytes} bytes, the maximum of CREEL_MAX_BODY"
        )));
    }
    let text = String::from_utf8(bytes);
    text.map_err(|error| Failure(format!("the payload is not UTF-8 text: {}", error.utf8_error())))
}

#[cfg(test)]
mod tests {
    use super::{payload, read_payload};

    #[test]
    fn payload_above_limit_is_rejected_as_too_large() {
        assert_eq!(read_payload(&b"[1]"[..], 3).expect("within the limit"), "[1]");
        let failure = read_payload("[1\u{e9}]".as_bytes(), 3).expect_err("too large").to_string();
        assert!(failure.contains("larger than 3 bytes"), "{failure}");
    }

    #[test]
    fn payload_is_sent_as_written() {
        assert_eq!(payload(None).expect("JSON").get(), "{}");
        assert_eq!(payload(Some(" { \"a\" : 1.00 }\n")).expect("JSON").get(), "{ \"a\" : 1.00 }");
        assert_eq!(payload(Some("\u{feff}{}\r\n")).expect("JSON").get(), "{}");
        let failure = payload(Some("{a}")).expect_err("no JSON").to_string();
        assert!(failure.contains("is not JSON"), "{failure}");
    }
}
