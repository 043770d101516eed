//! Writes one log line per request. This runs for every message, so each line is written piece by
//! piece into the logger's own buffer.

use std::borrow::Cow;
use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;
use std::time::Duration;

use crate::config::LogFormat;
use crate::http::escape::{JsonString, LogValue};
use crate::store::UnreadableReason;

pub const TARGET: &str = "creel::request";

/// Maximum length of a logged part of an unknown path. A longer part may be a secret in the wrong
/// place: a random path part has at least 16 characters.
const MAX_SHOWN_PART_CHARACTERS: usize = 15;
const ELLIPSIS: &str = "...";
/// Limit on the shown method, in characters. The longest registered one has 17.
const MAX_SHOWN_METHOD_CHARACTERS: usize = 20;

/// The logged properties of a request; those that do not apply are omitted.
#[derive(Debug)]
pub struct LogEntry<'a> {
    pub method: &'a str,
    pub path: LogPath<'a>,
    pub status: u16,
    pub took: Duration,
    pub source: Option<&'a str>,
    /// The event type without the source.
    pub event_type: Option<&'a str>,
    pub id: Option<i64>,
    pub is_duplicate: bool,
    pub conflict_of: Option<i64>,
    /// Reason why the body could not be read, and filters could not be evaluated.
    pub unreadable: Option<&'a str>,
    pub cause: Option<&'a str>,
    pub reason: Option<&'a str>,
    /// The URL that a rejected signature was checked against, without secrets.
    pub signed_url: Option<&'a str>,
    pub ip: Option<IpAddr>,
}

/// The path of a request, for the log.
#[derive(Clone, Copy, Debug)]
pub enum LogPath<'a> {
    /// A path of creel's own routes.
    Known(&'a str),
    /// The path as sent: shown only in part, so that the log cannot contain a random path part.
    Unknown(&'a str),
}

impl<'a> LogEntry<'a> {
    /// Returns the entry of a request that is not a message.
    pub fn without_message(
        method: &'a str,
        path: LogPath<'a>,
        status: u16,
        took: Duration,
        ip: Option<IpAddr>,
    ) -> Self {
        Self {
            method,
            path,
            status,
            took,
            source: None,
            event_type: None,
            id: None,
            is_duplicate: false,
            conflict_of: None,
            unreadable: None,
            cause: None,
            reason: None,
            signed_url: None,
            ip,
        }
    }
}

impl LogEntry<'_> {
    pub fn write(&self, format: LogFormat) {
        log::info!(target: TARGET, "{}", EntryText(self, format));
    }

    /// Whether the body exists but is unreadable.
    fn is_not_json(&self) -> bool {
        self.unreadable.is_some_and(|reason| reason != UnreadableReason::Empty.name())
    }

    /// Returns the method, shortened, because the HTTP parser accepts a method as long as a whole
    /// head.
    fn method(&self) -> &str {
        let end = self
            .method
            .char_indices()
            .nth(MAX_SHOWN_METHOD_CHARACTERS)
            .map_or(self.method.len(), |(end, _)| end);
        &self.method[..end]
    }

    fn text(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", LogValue(self.method()), LogValue(&self.path.shown()))?;
        write!(f, "{} {}ms", self.status, Milliseconds(self.took))?;
        if let Some(source) = self.source {
            write!(f, " source={}", LogValue(source))?;
            if let Some(event_type) = self.event_type {
                write!(f, " event={}", LogValue(&event(source, event_type)))?;
            }
        }
        self.text_field(f, "id", self.id)?;
        if self.is_duplicate {
            f.write_str(" duplicate=true")?;
        }
        self.text_field(f, "conflict_of", self.conflict_of)?;
        if self.is_not_json() {
            f.write_str(" not_json=true")?;
        }
        self.text_field(f, "unreadable", self.unreadable)?;
        self.text_field(f, "cause", self.cause)?;
        self.text_field(f, "reason", self.reason)?;
        self.text_field(f, "signed_url", self.signed_url.map(LogValue))?;
        self.text_field(f, "ip", self.ip)
    }

    fn text_field(&self, f: &mut Formatter<'_>, name: &str, value: Option<impl Display>) -> fmt::Result {
        value.map_or(Ok(()), |value| write!(f, " {name}={value}"))
    }

    /// Writes the members of a JSON object, without its braces.
    fn json(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "\"method\":{},\"path\":{}", JsonString(self.method()), JsonString(&self.path.shown()))?;
        write!(f, ",\"status\":{},\"ms\":{}", self.status, Milliseconds(self.took))?;
        if let Some(source) = self.source {
            write!(f, ",\"source\":{}", JsonString(source))?;
            if let Some(event_type) = self.event_type {
                write!(f, ",\"event\":{}", JsonString(&event(source, event_type)))?;
            }
        }
        if let Some(id) = self.id {
            write!(f, ",\"id\":{id}")?;
        }
        if self.is_duplicate {
            f.write_str(",\"duplicate\":true")?;
        }
        if let Some(of) = self.conflict_of {
            write!(f, ",\"conflict_of\":{of}")?;
        }
        if self.is_not_json() {
            f.write_str(",\"not_json\":true")?;
        }
        let texts = [
            ("unreadable", self.unreadable),
            ("cause", self.cause),
            ("reason", self.reason),
            ("signed_url", self.signed_url),
        ];
        for (name, value) in texts {
            if let Some(value) = value {
                write!(f, ",\"{name}\":{}", JsonString(value))?;
            }
        }
        self.ip.map_or(Ok(()), |ip| write!(f, ",\"ip\":\"{ip}\""))
    }
}

/// The entry in the configured format.
struct EntryText<'a>(&'a LogEntry<'a>, LogFormat);

impl Display for EntryText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.1 {
            LogFormat::Text => self.0.text(f),
            LogFormat::Json => self.0.json(f),
        }
    }
}

/// A duration in milliseconds, formatted with one decimal digit.
struct Milliseconds(Duration);

impl Display for Milliseconds {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let tenths = (self.0.as_micros() + 50) / 100;
        write!(f, "{}.{}", tenths / 10, tenths % 10)
    }
}

fn event(source: &str, event_type: &str) -> String {
    let mut event = String::with_capacity(source.len() + 1 + event_type.len());
    event.push_str(source);
    event.push('.');
    event.push_str(event_type);
    event
}

impl<'a> LogPath<'a> {
    fn shown(self) -> Cow<'a, str> {
        let path = match self {
            Self::Known(path) => return Cow::Borrowed(path),
            Self::Unknown(path) => path,
        };
        let mut shown = String::with_capacity(2 * MAX_SHOWN_PART_CHARACTERS);
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        for part in parts.by_ref().take(2) {
            let is_harmless = part.len() <= MAX_SHOWN_PART_CHARACTERS && !part.contains('%');
            shown.push('/');
            shown.push_str(if is_harmless { part } else { ELLIPSIS });
        }
        if parts.next().is_some() {
            shown.push('/');
            shown.push_str(ELLIPSIS);
        }
        if shown.is_empty() { Cow::Borrowed("/") } else { Cow::Owned(shown) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> LogEntry<'static> {
        LogEntry {
            method: "POST",
            path: LogPath::Known("/webhooks/github"),
            status: 204,
            took: Duration::from_micros(12_345),
            source: Some("github"),
            event_type: Some("push"),
            id: Some(42),
            is_duplicate: false,
            conflict_of: None,
            unreadable: None,
            cause: None,
            reason: None,
            signed_url: None,
            ip: Some("203.0.113.9".parse().unwrap()),
        }
    }

    fn text(entry: &LogEntry<'_>) -> String {
        EntryText(entry, LogFormat::Text).to_string()
    }

    #[test]
    fn message_is_logged_in_one_line() {
        let line = "POST /webhooks/github 204 12.3ms source=github event=github.push id=42 ip=203.0.113.9";
        assert_eq!(text(&entry()), line);
    }

    #[test]
    fn json_has_the_same_fields() {
        let json = format!("{{{}}}", EntryText(&entry(), LogFormat::Json));
        let expected = serde_json::json!({
            "method": "POST", "path": "/webhooks/github", "status": 204, "ms": 12.3, "source": "github",
            "event": "github.push", "id": 42, "ip": "203.0.113.9",
        });
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), expected);
    }

    #[test]
    fn optional_fields_are_logged_if_set() {
        let entry = LogEntry {
            is_duplicate: true,
            conflict_of: Some(7),
            unreadable: Some("too_deep"),
            cause: Some("signature_mismatch"),
            reason: Some("queue_full"),
            signed_url: Some("https://a.example/x?a=1"),
            ..entry()
        };
        let tail = "duplicate=true conflict_of=7 not_json=true unreadable=too_deep cause=signature_mismatch reason=queue_full signed_url=\"https://a.example/x?a=1\" ip=203.0.113.9";
        assert!(text(&entry).ends_with(tail), "{}", text(&entry));
        let json = format!("{{{}}}", EntryText(&entry, LogFormat::Json));
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&json["duplicate"], &json["conflict_of"]), (&true.into(), &7.into()));
    }

    #[test]
    fn untrusted_text_cannot_break_log_line() {
        let entry = LogEntry { event_type: Some("a b\r\n\u{202e}id=1"), method: "G E", ..entry() };
        let line = text(&entry);
        assert!(line.starts_with("\"G E\" /webhooks/github 204"), "{line}");
        assert!(line.contains(r#" event="github.a b\r\n\u{202e}id=1" id=42"#), "{line}");
    }

    #[test]
    fn long_method_is_shortened_in_both_formats() {
        let method = "\u{e9}".repeat(70_000);
        let entry = LogEntry { method: &method, ..entry() };
        for format in [LogFormat::Text, LogFormat::Json] {
            let line = EntryText(&entry, format).to_string();
            assert_eq!(line.matches('\u{e9}').count(), MAX_SHOWN_METHOD_CHARACTERS, "{line}");
            assert!(line.contains("/webhooks/github"), "{line}");
        }
        let entry = LogEntry { method: "UPDATEREDIRECTREF", ..entry };
        assert!(text(&entry).starts_with("UPDATEREDIRECTREF /"), "{}", text(&entry));
    }

    #[test]
    fn unknown_path_never_shows_possible_random_part() {
        let rows = [
            ("/", "/"),
            ("", "/"),
            ("/favicon.ico", "/favicon.ico"),
            ("/webhooks/acme", "/webhooks/acme"),
            ("/webhooks/acme/s3cret", "/webhooks/acme/..."),
            ("//webhooks//acme//s3cret", "/webhooks/acme/..."),
            ("/webhooks/QXRoZSBzZWNyZXQgb2YgdGhlIHBhdGggcGFydA", "/webhooks/..."),
            ("/webhooks%2facme%2fs3cret", "/..."),
        ];
        for (path, shown) in rows {
            assert_eq!(LogPath::Unknown(path).shown(), shown);
        }
    }
}
