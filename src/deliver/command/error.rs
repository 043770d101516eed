//! Reasons why a command cannot be started, as stored with the attempt.

use std::io;

use rustix::io::Errno;
use tokio::task::JoinError;

/// Failure to start a command, with the remedy.
#[derive(Debug, thiserror::Error)]
pub enum CommandStartError {
    #[error("cannot wait for a command: {0}")]
    NoSignals(#[source] io::Error),
    #[error("the target's EXEC names no program")]
    NoProgram,
    #[error(
        "cannot start {program}: no program of that name in PATH ({search_path}); \
         install it there, or write its whole path"
    )]
    NotFound { program: String, search_path: String },
    #[error("cannot start {program}: {}", explanation(error))]
    NotStarted {
        program: String,
        #[source]
        error: io::Error,
    },
    #[error("cannot start {0}: it has no process id")]
    NoProcessId(String),
    /// The runtime stopped before the start.
    #[error("the command could not be started")]
    Cancelled(#[from] JoinError),
}

/// Returns the cause, and the remedy if it is known.
fn explanation(error: &io::Error) -> String {
    let known = match error.kind() {
        io::ErrorKind::NotFound => {
            "the file does not exist, or the interpreter named in its first line does not; correct the target's EXEC, or add the file"
        }
        io::ErrorKind::PermissionDenied => {
            "creel has no permission to execute it; make it executable (chmod +x), or write an interpreter before it"
        }
        _ if error.raw_os_error() == Some(Errno::NOEXEC.raw_os_error()) => {
            "it is not a program; a script begins with a line such as #!/bin/sh"
        }
        _ => return error.to_string(),
    };
    known.to_owned()
}
