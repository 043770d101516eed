//! The log: env_logger filters the records and buffers each line; this module formats the lines and
//! writes them to a sink that never blocks a request.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use env_logger::{Builder, Target};
use log::{Level, LevelFilter, Record};
use time::OffsetDateTime;

use super::sink::{Sink, Urgency};
use crate::config::LogFormat;
use crate::http::REQUEST_LOG_TARGET;
use crate::http::escape::{EscapedText, JsonString, JsonText};
use crate::request_id::RequestId;
use crate::store::Timestamp;

/// Limit on flushing, so that a blocked log output does not prevent the process from exiting.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

thread_local! {
    /// Urgency of the line in progress: env_logger formats and writes a line in one call, on the
    /// thread that logs it.
    static URGENCY: Cell<Urgency> = const { Cell::new(Urgency::Ordinary) };
}

/// A handle to flush the log. Dropping it does not flush.
#[derive(Clone, Debug)]
pub struct Log(Sink);

impl Log {
    pub fn flush(&self) {
        self.0.flush(FLUSH_TIMEOUT);
    }
}

/// Starts the log of the process.
///
/// # Errors
/// A logger is already installed, or the thread cannot be created.
pub fn start(filter: &str, format: LogFormat) -> io::Result<Log> {
    let sink = Sink::start(io::stderr())?;
    let mut builder = Builder::new();
    // actix_server's info lines about its workers are not useful to operators, so they are off by
    // default. The configured filter can enable them.
    builder.filter_module("actix_server", LevelFilter::Warn);
    // The lines of `actix_http` about malformed requests have no client address, and
    // unauthenticated clients can cause any number of them. The module `http` logs such requests
    // itself.
    builder.filter_module("actix_http", LevelFilter::Off);
    builder.parse_filters(filter).target(Target::Pipe(Box::new(LogPipe(sink.clone()))));
    match format {
        LogFormat::Text => builder.format(|line, record| write_text(line, record, OffsetDateTime::now_utc())),
        LogFormat::Json => builder.format(|line, record| write_json(line, record, OffsetDateTime::now_utc())),
    };
    builder.try_init().map_err(io::Error::other)?;
    std::panic::set_hook(Box::new(|panic| log::error!("internal error in creel: {panic}")));
    Ok(Log(sink))
}

/// Output of env_logger for finished lines.
struct LogPipe(Sink);

impl Write for LogPipe {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line, URGENCY.get());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn note_urgency(level: Level) {
    URGENCY.set(if level <= Level::Warn { Urgency::Urgent } else { Urgency::Ordinary });
}

/// Writes a line such as `2026-11-22T14:31:00.000000Z INFO listening on …`, followed by the id of
/// the current request, if any.
fn write_text(line: &mut dyn Write, record: &Record<'_>, now: OffsetDateTime) -> io::Result<()> {
    note_urgency(record.level());
    line.write_all(Timestamp::from(now).as_str().as_bytes())?;
    write!(line, " {} ", record.level())?;
    fmt::write(&mut EscapedText(LineWriter(line)), *record.args()).map_err(io::Error::other)?;
    if let Some(id) = RequestId::current() {
        write!(line, " request_id={id}")?;
    }
    line.write_all(b"\n")
}

/// Writes one JSON object per line. A request record has its fields as members; any other record
/// has a `message` member.
fn write_json(line: &mut dyn Write, record: &Record<'_>, now: OffsetDateTime) -> io::Result<()> {
    note_urgency(record.level());
    line.write_all(b"{\"time\":\"")?;
    line.write_all(Timestamp::from(now).as_str().as_bytes())?;
    write!(line, "\",\"level\":\"{}\",\"target\":{},", record.level(), JsonString(record.target()))?;
    if record.target() == REQUEST_LOG_TARGET {
        write!(line, "{}", record.args())?;
    } else {
        line.write_all(b"\"message\":\"")?;
        fmt::write(&mut JsonText(LineWriter(line)), *record.args()).map_err(io::Error::other)?;
        line.write_all(b"\"")?;
    }
    if let Some(id) = RequestId::current() {
        write!(line, ",\"request_id\":\"{id}\"")?;
    }
    line.write_all(b"}\n")
}

/// Adapter that writes text into bytes.
struct LineWriter<'a>(&'a mut dyn Write);

impl fmt::Write for LineWriter<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write_all(text.as_bytes()).map_err(|_| fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn line(
        write: fn(&mut dyn Write, &Record<'_>, OffsetDateTime) -> io::Result<()>,
        target: &str,
        message: &str,
    ) -> String {
        let mut line = Vec::new();
        let now = datetime!(2026-11-22 14:31:00 UTC);
        let arguments = format_args!("{message}");
        write(&mut line, &Record::builder().level(Level::Info).target(target).args(arguments).build(), now)
            .unwrap();
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn text_record_with_line_breaks_stays_one_line() {
        assert_eq!(
            line(write_text, "creel", "listening on\nhttp://\u{1b}[0m"),
            "2026-11-22T14:31:00.000000Z INFO listening on\\nhttp://\\u{1b}[0m\n"
        );
    }

    #[test]
    fn json_line_is_one_object() {
        let shown = line(write_json, "creel::app", "a \"quoted\"\nline");
        assert_eq!(shown.matches('\n').count(), 1);
        let expected = serde_json::json!({
            "time": "2026-11-22T14:31:00.000000Z", "level": "INFO", "target": "creel::app",
            "message": "a \"quoted\"\nline",
        });
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), expected);
    }

    #[test]
    fn request_fields_are_members_of_json_object() {
        let shown = line(write_json, REQUEST_LOG_TARGET, "\"status\":204");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap()["status"], 204);
    }

    #[tokio::test]
    async fn lines_of_a_request_end_with_its_id() {
        let id = RequestId::next();
        let handled = id.scope(async {
            let text = line(write_text, "creel", "a warning");
            assert!(text.ends_with(&format!(" INFO a warning request_id={id}\n")), "{text}");
            for (target, message) in [(REQUEST_LOG_TARGET, "\"status\":204"), ("creel::app", "a warning")] {
                let json: serde_json::Value =
                    serde_json::from_str(&line(write_json, target, message)).unwrap();
                assert_eq!(json["request_id"], id.to_string());
            }
        });
        handled.await;
        assert!(!line(write_text, "creel", "a warning").contains("request_id"));
    }
}
