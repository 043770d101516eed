//! Signals: the first asks for a graceful end, the second for one at once.

use std::io;

use actix_web::rt;
use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::logging::Log;

/// As a shell reports a process that a signal has ended.
const EXIT_CODE_BASE: i32 = 128;

#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// A file that may not grow any further is an error of one write, not the end of the process.
    _file_size: Signal,
}

impl Signals {
    /// # Errors
    /// When a signal cannot be watched.
    pub fn watch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _file_size: signal(SignalKind::from_raw(Number::XFSZ.as_raw()))?,
        })
    }

    /// The name of the next signal to end, and the exit code for it.
    pub async fn next(&mut self) -> (&'static str, i32) {
        tokio::select! {
            _ = self.terminate.recv() => ("SIGTERM", EXIT_CODE_BASE + Number::TERM.as_raw()),
            _ = self.interrupt.recv() => ("SIGINT", EXIT_CODE_BASE + Number::INT.as_raw()),
        }
    }

    /// From now on a signal ends the process at once.
    pub fn end_at_once(mut self, log: Option<Log>) {
        rt::spawn(async move {
            let (name, code) = self.next().await;
            log::warn!("{name} again: stopping at once; what was acknowledged is safe");
            if let Some(log) = log {
                log.flush();
            }
            std::process::exit(code);
        });
    }
}
