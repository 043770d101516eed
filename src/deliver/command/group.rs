//! A command's process group: started, watched, killed as a whole, and reaped.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::fs::{Access, access};
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process_group, waitid, waitpgid,
};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

use super::error::CommandStartError;
use super::orphans;
use crate::config::CommandEnvironment;

/// Time for a killed process to exit. A process that takes longer is probably blocked on disk I/O,
/// and is abandoned.
const EXIT_TIMEOUT: Duration = Duration::from_secs(1);
const PAUSE_BETWEEN_CHECKS: Duration = Duration::from_millis(10);
const MAX_CHECKS: u128 = EXIT_TIMEOUT.as_millis() / PAUSE_BETWEEN_CHECKS.as_millis();

/// A command before its start.
pub struct Start {
    words: Vec<String>,
    variables: Vec<(OsString, OsString)>,
    search_path: Vec<PathBuf>,
    exits: Signals,
}

impl Start {
    /// # Errors
    /// The system cannot report the end of child processes.
    pub fn new(
        words: &[String],
        environment: &CommandEnvironment,
        metadata: Vec<(&'static str, String)>,
    ) -> Result<Self, CommandStartError> {
        let added = metadata.into_iter().map(|(name, value)| (name.into(), value.into()));
        Ok(Self {
            words: words.to_vec(),
            variables: environment.variables.iter().cloned().chain(added).collect(),
            search_path: environment.search_path(),
            // Registered before the start, so that the end of the command cannot be missed.
            exits: signal(SignalKind::child()).map_err(CommandStartError::NoSignals)?,
        })
    }

    /// Blocks until the program runs.
    ///
    /// # Errors
    /// The reason why it cannot start, and the remedy.
    pub fn start(self) -> Result<ProcessGroup, CommandStartError> {
        let Some((program, arguments)) = self.words.split_first() else {
            return Err(CommandStartError::NoProgram);
        };
        let mut command = Command::new(find(program, &self.search_path)?);
        command.args(arguments).env_clear().envs(self.variables).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = orphans::start(&mut command)
            .map_err(|error| CommandStartError::NotStarted { program: program.clone(), error })?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let id = id.ok_or_else(|| CommandStartError::NoProcessId(program.clone()))?;
        Ok(ProcessGroup { child, id, exits: self.exits, is_reaped: false })
    }
}

/// Resolves the program to a path. With a path, the standard library can start it without copying
/// this process first.
fn find(program: &str, search_path: &[PathBuf]) -> Result<PathBuf, CommandStartError> {
    if program.contains('/') {
        return Ok(program.into());
    }
    let is_program = |path: &Path| path.is_file() && access(path, Access::EXEC_OK).is_ok();
    let found = search_path.iter().map(|directory| directory.join(program)).find(|path| is_program(path));
    found.ok_or_else(|| {
        let searched: Vec<_> = search_path.iter().map(|directory| directory.to_string_lossy()).collect();
        CommandStartError::NotFound { program: program.to_owned(), search_path: searched.join(":") }
    })
}

/// A running command and its child processes.
pub struct ProcessGroup {
    child: Child,
    /// Id of the leader and of the group. It is not reused until the leader is reaped.
    id: Pid,
    is_reaped: bool,
    exits: Signals,
}

impl ProcessGroup {
    pub fn take_pipes(&mut self) -> (Option<ChildStdin>, Option<ChildStdout>, Option<ChildStderr>) {
        (self.child.stdin.take(), self.child.stdout.take(), self.child.stderr.take())
    }

    /// Resolves when the leader has exited. The leader is not reaped, so that the group's id stays
    /// valid.
    pub async fn exited(&mut self) {
        while !self.has_exited() {
            self.exits.recv().await;
        }
    }

    fn has_exited(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::Pid(self.id), options) {
            Ok(found) => found.is_some(),
            Err(error) => error != Errno::INTR,
        }
    }

    /// Sends a signal to every process of the group.
    pub fn signal(&self, signal: Signal) {
        if !self.is_reaped {
            // An error means that the group has no processes left.
            let _ = kill_process_group(self.id, signal);
        }
    }

    /// Kills every process of the group, and waits for those that this process has to reap.
    pub async fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.reap().await;
        // In a container this process may inherit orphans.
        for _ in 0..MAX_CHECKS {
            match waitpgid(self.id, WaitOptions::NOHANG) {
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => tokio::time::sleep(PAUSE_BETWEEN_CHECKS).await,
                Err(_) => break,
            }
        }
    }

    /// Returns the leader's exit status. The leader must have exited, or be about to exit.
    pub async fn reap(&mut self) -> Option<ExitStatus> {
        tokio::time::timeout(EXIT_TIMEOUT, self.exited()).await.ok()?;
        let status = self.child.wait().await.ok();
        self.is_reaped = true;
        status
    }
}

/// Kills the group of a cancelled attempt. The runtime reaps the leader.
impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
