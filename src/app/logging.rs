//! The log: env_logger for what is logged, and a thread that writes it, so that a slow terminal or pipe never holds
//! up a request. Warnings and errors are written at once.

use std::io::Write;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use env_logger::{Builder, Logger, Target};
use log::{Level, LevelFilter, Log, Metadata, Record};
use time::OffsetDateTime;

use crate::config::LogFormat;
use crate::http::request_log;
use crate::store::timestamp;

/// Lines that wait longer than this would be missed by somebody who watches.
const WRITE_EVERY: Duration = Duration::from_millis(50);
/// When nobody takes the output, lines are dropped rather than memory used up.
const MOST_WAITING_BYTES: usize = 4 << 20;
/// Beyond it the writing begins at once.
const HURRY_BYTES: usize = 256 << 10;

static OUTPUT: OnceLock<Output> = OnceLock::new();

#[derive(Default)]
struct Output {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    /// Held while writing, so that lines stay in order.
    writing: Mutex<Vec<u8>>,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    dropped: u64,
    is_urgent: bool,
}

/// Starts logging to standard error. `filter` is env_logger's.
pub fn start(filter: &str, format: LogFormat) {
    let output = OUTPUT.get_or_init(Output::default);
    let mut builder = Builder::new();
    // The server's own lines say nothing that ours do not; CREEL_LOG may ask for them.
    builder.filter_module("actix_server", LevelFilter::Warn).parse_filters(filter);
    builder.target(Target::Pipe(Box::new(Sink(output))));
    match format {
        LogFormat::Text => builder.format(write_text),
        LogFormat::Json => builder.format(write_json),
    };
    let inner = builder.build();
    let level = inner.filter();
    let thread = std::thread::Builder::new().name("log".to_owned()).spawn(|| output.run());
    if thread.is_err() || log::set_boxed_logger(Box::new(UrgentFirst { inner, output })).is_err() {
        eprintln!("creel: logging cannot be started");
        return;
    }
    log::set_max_level(level);
}

/// Writes what waits; before the process ends.
pub fn flush() {
    if let Some(output) = OUTPUT.get() {
        output.write_waiting();
    }
}

fn now() -> String {
    timestamp::to_text(OffsetDateTime::now_utc())
}

fn write_text(buffer: &mut env_logger::fmt::Formatter, record: &Record<'_>) -> std::io::Result<()> {
    writeln!(buffer, "{} {:<5} {}", now(), record.level(), record.args())
}

fn write_json(buffer: &mut env_logger::fmt::Formatter, record: &Record<'_>) -> std::io::Result<()> {
    let (at, level) = (now(), record.level().as_str().to_ascii_lowercase());
    if record.target() == request_log::TARGET {
        // It comes as members of an object already.
        return writeln!(buffer, "{{\"at\":\"{at}\",\"level\":\"{level}\",{}}}", record.args());
    }
    let message = serde_json::Value::from(record.args().to_string());
    writeln!(buffer, "{{\"at\":\"{at}\",\"level\":\"{level}\",\"message\":{message}}}")
}

/// env_logger's logger, with warnings and errors written at once.
struct UrgentFirst {
    inner: Logger,
    output: &'static Output,
}

impl Log for UrgentFirst {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.inner.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        self.inner.log(record);
        if record.level() <= Level::Warn {
            self.output.hurry();
        }
    }

    fn flush(&self) {
        self.output.write_waiting();
    }
}

struct Sink(&'static Output);

impl Write for Sink {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.add(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Output {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, line: &[u8]) {
        let mut waiting = self.waiting();
        if waiting.bytes.len() + line.len() > MOST_WAITING_BYTES {
            waiting.dropped += 1;
            return;
        }
        let must_wake = waiting.bytes.is_empty();
        waiting.bytes.extend_from_slice(line);
        let is_much = waiting.bytes.len() > HURRY_BYTES && !waiting.is_urgent;
        waiting.is_urgent |= is_much;
        drop(waiting);
        if must_wake || is_much {
            self.wake.notify_one();
        }
    }

    fn hurry(&self) {
        self.waiting().is_urgent = true;
        self.wake.notify_one();
    }

    /// Sleeps until there is something, gathers for a moment, writes.
    fn run(&self) {
        loop {
            let waiting = self.waiting();
            let nothing = |waiting: &mut Waiting| waiting.bytes.is_empty();
            let waiting = self.wake.wait_while(waiting, nothing).unwrap_or_else(PoisonError::into_inner);
            let gathering = |waiting: &mut Waiting| !waiting.is_urgent;
            let waited = self.wake.wait_timeout_while(waiting, WRITE_EVERY, gathering);
            drop(waited);
            self.write_waiting();
        }
    }

    fn write_waiting(&self) {
        let mut buffer = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        buffer.clear();
        let dropped = {
            let mut waiting = self.waiting();
            std::mem::swap(&mut waiting.bytes, &mut *buffer);
            waiting.is_urgent = false;
            std::mem::take(&mut waiting.dropped)
        };
        // Nothing can be done about a standard error that is closed.
        let mut stderr = std::io::stderr().lock();
        let _ = stderr.write_all(&buffer);
        if dropped > 0 {
            let _ = writeln!(stderr, "{} WARN  {dropped} log lines were dropped: nobody takes them", now());
        }
    }
}
