//! A command's process group: started, watched, killed as a whole, and reaped.

use std::ffi::OsString;
use std::io;
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

use super::orphans;
use crate::config::CommandEnvironment;

/// A killed process that is not gone after this waits for a disk: it is left to itself.
const TIME_TO_DIE: Duration = Duration::from_secs(1);
const PAUSE_BETWEEN_LOOKS: Duration = Duration::from_millis(10);
const LOOKS: u128 = TIME_TO_DIE.as_millis() / PAUSE_BETWEEN_LOOKS.as_millis();

/// A command that is to be started.
pub struct Start {
    words: Vec<String>,
    variables: Vec<(OsString, OsString)>,
    search_path: Vec<PathBuf>,
    exits: Signals,
}

impl Start {
    /// # Errors
    /// When the system would not tell of its end.
    pub fn new(
        words: &[String],
        environment: &CommandEnvironment,
        metadata: Vec<(&'static str, String)>,
    ) -> Result<Self, String> {
        let added = metadata.into_iter().map(|(name, value)| (name.into(), value.into()));
        Ok(Self {
            words: words.to_vec(),
            variables: environment.variables.iter().cloned().chain(added).collect(),
            search_path: environment.search_path(),
            // Before the command is started, so that its end cannot be missed.
            exits: signal(SignalKind::child())
                .map_err(|error| format!("cannot wait for a command: {error}"))?,
        })
    }

    /// Blocks until the program runs.
    ///
    /// # Errors
    /// Why it does not, and what to do.
    pub fn start(self) -> Result<ProcessGroup, String> {
        let Some((program, arguments)) = self.words.split_first() else {
            return Err("the target's EXEC names no program".to_owned());
        };
        let mut command = Command::new(find(program, &self.search_path)?);
        command.args(arguments).env_clear().envs(self.variables).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = orphans::start(&mut command).map_err(|error| cannot_start(program, &error))?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let id = id.ok_or_else(|| format!("cannot start {program}: it has no process id"))?;
        Ok(ProcessGroup { child, id, exits: self.exits, is_reaped: false })
    }
}

/// Found here, and not by the system's own search: a path lets the standard library start it without copying this
/// process first.
fn find(program: &str, search_path: &[PathBuf]) -> Result<PathBuf, String> {
    if program.contains('/') {
        return Ok(program.into());
    }
    let is_program = |path: &Path| path.is_file() && access(path, Access::EXEC_OK).is_ok();
    let found = search_path.iter().map(|directory| directory.join(program)).find(|path| is_program(path));
    found.ok_or_else(|| {
        let looked_in: Vec<_> = search_path.iter().map(|directory| directory.to_string_lossy()).collect();
        format!(
            "cannot start {program}: no program of that name in PATH ({}); install it there, or write its whole path",
            looked_in.join(":")
        )
    })
}

fn cannot_start(program: &str, error: &io::Error) -> String {
    let what_to_do = match error.kind() {
        io::ErrorKind::NotFound => {
            "there is no such file, or not the interpreter that its first line names; correct the target's EXEC, or put it there"
        }
        io::ErrorKind::PermissionDenied => {
            "it may not be executed; make it executable (chmod +x), or name an interpreter before it"
        }
        _ if error.raw_os_error() == Some(Errno::NOEXEC.raw_os_error()) => {
            "it is no program; a script begins with a line such as #!/bin/sh"
        }
        _ => return format!("cannot start {program}: {error}"),
    };
    format!("cannot start {program}: {what_to_do}")
}

/// A running command and what it has started.
pub struct ProcessGroup {
    child: Child,
    /// Of the leader and of the group. Until the leader is reaped, nobody else can get it.
    id: Pid,
    is_reaped: bool,
    exits: Signals,
}

impl ProcessGroup {
    pub fn take_pipes(&mut self) -> (Option<ChildStdin>, Option<ChildStdout>, Option<ChildStderr>) {
        (self.child.stdin.take(), self.child.stdout.take(), self.child.stderr.take())
    }

    /// Resolves when the leader has ended. It is not reaped, so that the group's id stays the group's.
    pub async fn exited(&mut self) {
        while !self.has_exited() {
            self.exits.recv().await;
        }
    }

    fn has_exited(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::Pid(self.id), look) {
            Ok(found) => found.is_some(),
            Err(error) => error != Errno::INTR,
        }
    }

    /// To everybody in the group.
    pub fn signal(&self, signal: Signal) {
        if !self.is_reaped {
            // Nobody left is what was wanted.
            let _ = kill_process_group(self.id, signal);
        }
    }

    /// Everybody in the group. Waits for those whose end this process has to take note of.
    pub async fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.reap().await;
        // In a container this process may be the one that inherits orphans.
        for _ in 0..LOOKS {
            match waitpgid(self.id, WaitOptions::NOHANG) {
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => tokio::time::sleep(PAUSE_BETWEEN_LOOKS).await,
                Err(_) => break,
            }
        }
    }

    /// How the leader ended; it must have, or be about to.
    pub async fn reap(&mut self) -> Option<ExitStatus> {
        tokio::time::timeout(TIME_TO_DIE, self.exited()).await.ok()?;
        let status = self.child.wait().await.ok();
        self.is_reaped = true;
        status
    }
}

/// Nobody waits for it any more. The runtime reaps the leader.
impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
