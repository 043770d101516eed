//! The log: env_logger decides what is logged and gathers each line in its own buffer; this module gives the lines
//! their form and a sink that never stalls a request.

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
use crate::store::timestamp;

/// A log that nobody reads must not keep the process from ending.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

thread_local! {
    /// env_logger formats a line and hands it on in one go, on the thread that logs.
    static URGENCY: Cell<Urgency> = const { Cell::new(Urgency::Ordinary) };
}

/// Writes out what is left when it is dropped.
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
/// When there is a logger already, or no thread can be made.
pub fn start(filter: &str, format: LogFormat) -> io::Result<Log> {
    let sink = Sink::start(io::stderr())?;
    let mut builder = Builder::new();
    // What the server says of its own workers is of no use to an operator who has not asked for it.
    builder.filter_module("actix_server", LevelFilter::Warn);
    // Its lines about malformed requests have no address, and a stranger can cause any number of them: `http` writes
    // its own.
    builder.filter_module("actix_http", LevelFilter::Off);
    builder.parse_filters(filter).target(Target::Pipe(Box::new(LogPipe(sink.clone()))));
    match format {
        LogFormat::Text => builder.format(|line, record| write_text(line, record, OffsetDateTime::now_utc())),
        LogFormat::Json => builder.format(|line, record| write_json(line, record, OffsetDateTime::now_utc())),
    };
    builder.try_init().map_err(io::Error::other)?;
    std::panic::set_hook(Box::new(|panic| log::error!("a mistake of our own: {panic}")));
    Ok(Log(sink))
}

/// What env_logger writes finished lines to.
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

/// `2026-11-22T14:31:00.000000Z INFO listening on …`
fn write_text(line: &mut dyn Write, record: &Record<'_>, now: OffsetDateTime) -> io::Result<()> {
    note_urgency(record.level());
    line.write_all(timestamp::to_text(now).as_bytes())?;
    write!(line, " {} ", record.level())?;
    fmt::write(&mut EscapedText(LineWriter(line)), *record.args()).map_err(io::Error::other)?;
    line.write_all(b"\n")
}

/// One object a line; the fields of a request are members of it, any other message is one member.
fn write_json(line: &mut dyn Write, record: &Record<'_>, now: OffsetDateTime) -> io::Result<()> {
    note_urgency(record.level());
    line.write_all(b"{\"time\":\"")?;
    line.write_all(timestamp::to_text(now).as_bytes())?;
    write!(line, "\",\"level\":\"{}\",\"target\":{},", record.level(), JsonString(record.target()))?;
    if record.target() == REQUEST_LOG_TARGET {
        write!(line, "{}", record.args())?;
        return line.write_all(b"}\n");
    }
    line.write_all(b"\"message\":\"")?;
    fmt::write(&mut JsonText(LineWriter(line)), *record.args()).map_err(io::Error::other)?;
    line.write_all(b"\"}\n")
}

/// Writes text into bytes.
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
    fn a_line_of_text_is_one_line_whatever_is_in_it() {
        assert_eq!(
            line(write_text, "creel", "listening on\nhttp://\u{1b}[0m"),
            "2026-11-22T14:31:00.000000Z INFO listening on\\nhttp://\\u{1b}[0m\n"
        );
    }

    #[test]
    fn a_line_of_json_is_one_object() {
        let shown = line(write_json, "creel::app", "a \"quoted\"\nline");
        assert_eq!(shown.matches('\n').count(), 1);
        let expected = serde_json::json!({
            "time": "2026-11-22T14:31:00.000000Z", "level": "INFO", "target": "creel::app",
            "message": "a \"quoted\"\nline",
        });
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), expected);
    }

    #[test]
    fn the_fields_of_a_request_are_members_of_the_object() {
        let shown = line(write_json, REQUEST_LOG_TARGET, "\"status\":204");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap()["status"], 204);
    }
}
