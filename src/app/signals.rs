//! Signals: the first one requests a graceful stop, the second one an immediate exit.

use std::io;

use actix_web::rt;
use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::logging::Log;

/// Shells add this to the number of the signal that ended a process.
const EXIT_CODE_BASE: i32 = 128;

#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Handled so that reaching the file size limit fails one write and does not end the process.
    _file_size: Signal,
}

impl Signals {
    /// Starts to handle the signals.
    ///
    /// # Errors
    /// A signal cannot be watched.
    pub fn watch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _file_size: signal(SignalKind::from_raw(Number::XFSZ.as_raw()))?,
        })
    }

    /// Returns the name of the next termination signal, and its exit code.
    pub async fn next(&mut self) -> (&'static str, i32) {
        tokio::select! {
            _ = self.terminate.recv() => ("SIGTERM", EXIT_CODE_BASE + Number::TERM.as_raw()),
            _ = self.interrupt.recv() => ("SIGINT", EXIT_CODE_BASE + Number::INT.as_raw()),
        }
    }

    /// Makes the next termination signal end the process immediately.
    pub fn end_immediately(mut self, log: Option<Log>) {
        rt::spawn(async move {
            let (name, code) = self.next().await;
            log::warn!("{name} during the stop: exiting immediately; acknowledged messages are safe");
            if let Some(log) = log {
                log.flush();
            }
            std::process::exit(code);
        });
    }
}
