//! One line for each request. What comes from outside is escaped, so that no request can forge a line or move the
//! cursor of whoever reads it.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use crate::config::LogFormat;

/// The log target of the lines.
pub const TARGET: &str = "creel::request";

/// What a line says. The random part of a path is never among it.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    pub method: &'a str,
    /// `/webhooks/<source>`, or what was asked for where there is no such source.
    pub path: &'a str,
    pub status: u16,
    pub took: Duration,
    pub source: Option<&'a str>,
    pub ip: Option<IpAddr>,
    pub details: Details<'a>,
}

/// What became of the request.
#[derive(Clone, Copy, Debug)]
pub enum Details<'a> {
    None,
    Kept { event: &'a str, id: i64, note: Option<&'static str> },
    Refused { cause: &'static str },
}

thread_local! {
    static BUFFER: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Writes the line, if such lines are written at all.
pub fn write(line: &Line<'_>, format: LogFormat) {
    if !log::log_enabled!(target: TARGET, log::Level::Info) {
        return;
    }
    BUFFER.with_borrow_mut(|text| {
        text.clear();
        match format {
            LogFormat::Text => line.write_text(text),
            LogFormat::Json => line.write_json(text),
        }
        log::info!(target: TARGET, "{text}");
    });
}

impl Line<'_> {
    fn write_text(&self, text: &mut String) {
        push_escaped(text, self.method);
        text.push(' ');
        push_escaped(text, self.path);
        let _ = write!(text, " {} {:.1}ms", self.status, milliseconds(self.took));
        if let Some(source) = self.source {
            text.push_str(" source=");
            text.push_str(source);
        }
        match self.details {
            Details::None => {}
            Details::Kept { event, id, note } => {
                text.push_str(" event=");
                push_escaped(text, event);
                let _ = write!(text, " id={id}");
                if let Some(note) = note {
                    text.push(' ');
                    text.push_str(note);
                }
            }
            Details::Refused { cause } => {
                text.push_str(" cause=");
                text.push_str(cause);
            }
        }
        if let Some(ip) = self.ip {
            let _ = write!(text, " ip={ip}");
        }
    }

    /// The members of an object, without its braces: time and level stand before them.
    fn write_json(&self, text: &mut String) {
        text.push_str("\"method\":");
        push_json(text, self.method);
        text.push_str(",\"path\":");
        push_json(text, self.path);
        let _ = write!(text, ",\"status\":{},\"ms\":{:.1}", self.status, milliseconds(self.took));
        if let Some(source) = self.source {
            text.push_str(",\"source\":");
            push_json(text, source);
        }
        match self.details {
            Details::None => {}
            Details::Kept { event, id, note } => {
                text.push_str(",\"event\":");
                push_json(text, event);
                let _ = write!(text, ",\"id\":{id}");
                if let Some(note) = note {
                    let _ = write!(text, ",\"note\":\"{note}\"");
                }
            }
            Details::Refused { cause } => {
                let _ = write!(text, ",\"cause\":\"{cause}\"");
            }
        }
        if let Some(ip) = self.ip {
            let _ = write!(text, ",\"ip\":\"{ip}\"");
        }
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// Letters, digits and the usual punctuation stay; white space, controls, quotes and whatever reorders or hides text
/// is written as `\u{…}`.
pub fn push_escaped(line: &mut String, text: &str) {
    if text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\' && byte != b'"') {
        line.push_str(text);
        return;
    }
    for character in text.chars() {
        if character.is_alphanumeric()
            || (character.is_ascii_graphic() && character != '\\' && character != '"')
        {
            line.push(character);
        } else {
            let _ = write!(line, "{}", character.escape_unicode());
        }
    }
}

fn push_json(line: &mut String, text: &str) {
    line.push('"');
    for character in text.chars() {
        match character {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            ' ' => line.push(' '),
            _ if character.is_alphanumeric() || character.is_ascii_graphic() => line.push(character),
            _ => {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    let _ = write!(line, "\\u{unit:04x}");
                }
            }
        }
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(event: &str) -> Line<'_> {
        Line {
            method: "POST",
            path: "/webhooks/github",
            status: 204,
            took: Duration::from_micros(12_340),
            source: Some("github"),
            ip: Some([203, 0, 113, 9].into()),
            details: Details::Kept { event, id: 42, note: None },
        }
    }

    #[test]
    fn a_line_says_what_became_of_the_request() {
        let mut text = String::new();
        line("github.push").write_text(&mut text);
        assert_eq!(
            text,
            "POST /webhooks/github 204 12.3ms source=github event=github.push id=42 ip=203.0.113.9"
        );
        text.clear();
        Line { details: Details::Refused { cause: "signature_mismatch" }, status: 403, ..line("") }
            .write_text(&mut text);
        assert_eq!(
            text,
            "POST /webhooks/github 403 12.3ms source=github cause=signature_mismatch ip=203.0.113.9"
        );
    }

    #[test]
    fn what_comes_from_outside_stays_on_its_line() {
        let hostile = "push\r\n\u{1b}[2J\u{202e}x id=1 \"";
        let mut text = String::new();
        line(hostile).write_text(&mut text);
        assert!(text.is_ascii() && !text.contains(['\r', '\n', '\u{1b}', '"']), "{text}");
        assert!(text.contains(r"\u{d}\u{a}\u{1b}[2J\u{202e}x\u{20}id=1"), "{text}");
        let mut json = "{".to_owned();
        line(hostile).write_json(&mut json);
        json.push('}');
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["event"], hostile);
        assert!(json.is_ascii() && !json.contains(['\r', '\n', '\u{1b}']), "{json}");
    }
}
